//! System calls: `call!(number, arguments...)`, which calls a function of `arch`.

use super::arch::Register;

/// A C `long`, sign-extended.
#[inline(always)]
pub fn long(value: libc::c_long) -> Register {
    // Only x32 widens; elsewhere both types are equal.
    #[allow(clippy::unnecessary_cast)]
    let register = value as Register;
    register
}

/// An address, zero-extended. (Only on x32 does this differ from `long`.)
#[inline(always)]
pub fn pointer<T>(address: *const T) -> Register {
    address as usize as Register
}

/// Makes a system call. The result is the kernel's: -4095 to -1 for an error.
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
