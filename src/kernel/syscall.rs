//! How a system call is made. Three architectures have their instruction here, so that the
//! library needs nothing from libc and one file serves glibc and musl programs; all others go
//! through libc's `syscall`, with `errno` put back as it was.
//!
//! Registers and the clobbered ones are from syscall(2), "Architecture calling conventions".

/// What an argument is passed in. On x32 the kernel reads 64 bits of each register, and the two
/// kinds of argument are widened differently: see [`long`] and [`pointer`].
#[cfg(target_arch = "x86_64")]
pub type Register = i64;
/// What an argument is passed in.
#[cfg(not(target_arch = "x86_64"))]
pub type Register = isize;

/// A C `long`, with its sign.
#[inline(always)]
pub fn long(value: libc::c_long) -> Register {
    // Only x32 widens here, so elsewhere the conversion is between equal types.
    #[allow(clippy::unnecessary_cast)]
    let register = value as Register;
    register
}

/// An address, without one.
#[inline(always)]
pub fn pointer<T>(address: *const T) -> Register {
    address as usize as Register
}

/// `call!(number, arguments...)`: the kernel's answer, -4095 to -1 for an error.
macro_rules! call {
    ($number:expr, $a:expr) => {
        $crate::kernel::syscall::syscall1($number, $a)
    };
    ($number:expr, $a:expr, $b:expr) => {
        $crate::kernel::syscall::syscall2($number, $a, $b)
    };
    ($number:expr, $a:expr, $b:expr, $c:expr) => {
        $crate::kernel::syscall::syscall3($number, $a, $b, $c)
    };
    ($number:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr) => {
        $crate::kernel::syscall::syscall5($number, $a, $b, $c, $d, $e)
    };
    ($number:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr) => {
        $crate::kernel::syscall::syscall6($number, $a, $b, $c, $d, $e, $f)
    };
}
pub(super) use call;

#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
macro_rules! with_instruction {
    ($($name:ident($($argument:ident $register:tt),+);)+) => {$(
        #[inline(always)]
        pub unsafe fn $name(number: libc::c_long, $($argument: Register),+) -> isize {
            let answer: Register;
            // SAFETY: the instruction's contract is the system call's, which the caller keeps;
            // no stack is used, and every register that the kernel changes is declared.
            unsafe { instruction!(number, answer, $($argument $register),+) };
            answer as isize
        }
    )+};
}

#[cfg(target_arch = "x86_64")]
macro_rules! instruction {
    ($number:ident, $answer:ident, $($argument:ident $register:tt),+) => {
        core::arch::asm!(
            "syscall",
            inlateout("rax") $number as Register => $answer,
            $(in($register) $argument,)+
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags)
        )
    };
}
#[cfg(target_arch = "x86_64")]
with_instruction! {
    syscall1(a "rdi");
    syscall2(a "rdi", b "rsi");
    syscall3(a "rdi", b "rsi", c "rdx");
    syscall5(a "rdi", b "rsi", c "rdx", d "r10", e "r8");
    syscall6(a "rdi", b "rsi", c "rdx", d "r10", e "r8", f "r9");
}

// On the other two the first argument shares its register with the answer.
#[cfg(target_arch = "aarch64")]
macro_rules! instruction {
    ($number:ident, $answer:ident, $first:ident $first_register:tt $(, $argument:ident $register:tt)*) => {
        core::arch::asm!(
            "svc 0",
            in("x8") $number,
            inlateout($first_register) $first => $answer,
            $(in($register) $argument,)*
            options(nostack, preserves_flags)
        )
    };
}
#[cfg(target_arch = "aarch64")]
with_instruction! {
    syscall1(a "x0");
    syscall2(a "x0", b "x1");
    syscall3(a "x0", b "x1", c "x2");
    syscall5(a "x0", b "x1", c "x2", d "x3", e "x4");
    syscall6(a "x0", b "x1", c "x2", d "x3", e "x4", f "x5");
}

#[cfg(target_arch = "riscv64")]
macro_rules! instruction {
    ($number:ident, $answer:ident, $first:ident $first_register:tt $(, $argument:ident $register:tt)*) => {
        core::arch::asm!(
            "ecall",
            in("a7") $number,
            inlateout($first_register) $first => $answer,
            $(in($register) $argument,)*
            options(nostack, preserves_flags)
        )
    };
}
#[cfg(target_arch = "riscv64")]
with_instruction! {
    syscall1(a "a0");
    syscall2(a "a0", b "a1");
    syscall3(a "a0", b "a1", c "a2");
    syscall5(a "a0", b "a1", c "a2", d "a3", e "a4");
    syscall6(a "a0", b "a1", c "a2", d "a3", e "a4", f "a5");
}

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
macro_rules! with_libc {
    ($($name:ident($($argument:ident),+);)+) => {$(
        #[inline(always)]
        pub unsafe fn $name(number: libc::c_long, $($argument: Register),+) -> isize {
            // SAFETY: the system call's contract, which the caller keeps; __errno_location is
            // the calling thread's own and always valid.
            unsafe {
                let errno = libc::__errno_location();
                let saved = *errno;
                let answer = libc::syscall(number, $($argument),+) as isize;
                if answer != -1 {
                    return answer;
                }
                let error = *errno;
                *errno = saved;
                -(error as isize)
            }
        }
    )+};
}
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
with_libc! {
    syscall1(a);
    syscall2(a, b);
    syscall3(a, b, c);
    syscall5(a, b, c, d, e);
    syscall6(a, b, c, d, e, f);
}
