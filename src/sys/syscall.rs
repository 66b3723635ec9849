//! How a system call is written down: `call!(number, arguments...)`, over the functions of `arch`.

use super::arch::Register;

/// A C `long`, with its sign.
#[inline(always)]
pub fn long(value: libc::c_long) -> Register {
    // Only x32 widens here, so elsewhere the conversion is between equal types.
    #[allow(clippy::unnecessary_cast)]
    let register = value as Register;
    register
}

/// An address, without one. (On x32 the two are widened differently.)
#[inline(always)]
pub fn pointer<T>(address: *const T) -> Register {
    address as usize as Register
}

/// `call!(number, arguments...)`: the kernel's answer, -4095 to -1 for an error.
macro_rules! call {
    ($number:expr, $a:expr) => {
        $crate::sys::arch::syscall1($number, $a)
    };
    ($number:expr, $a:expr, $b:expr) => {
        $crate::sys::arch::syscall2($number, $a, $b)
    };
    ($number:expr, $a:expr, $b:expr, $c:expr) => {
        $crate::sys::arch::syscall3($number, $a, $b, $c)
    };
    ($number:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr) => {
        $crate::sys::arch::syscall5($number, $a, $b, $c, $d, $e)
    };
    ($number:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr) => {
        $crate::sys::arch::syscall6($number, $a, $b, $c, $d, $e, $f)
    };
}
pub(super) use call;
