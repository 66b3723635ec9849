//! riscv64.

pub use super::no_sections::*;
use libc::c_long;

pub const REAPS: bool = false;
pub const LARGEST_PAGE: usize = 4096;
pub const KERNEL_SIGSET_SIZE: usize = 8;
pub const SYS_IO_PGETEVENTS: c_long = 292;

/// What an argument is passed in.
pub type Register = isize;

// The first argument shares its register with the answer.
macro_rules! instruction {
    (
        $number:ident, $answer:ident, $first:ident $first_register:tt
        $(, $argument:ident $register:tt)*
    ) => {
        core::arch::asm!(
            "ecall",
            in("a7") $number,
            inlateout($first_register) $first => $answer,
            $(in($register) $argument,)*
            options(nostack, preserves_flags)
        )
    };
}
with_instruction! {
    syscall1(a "a0");
    syscall2(a "a0", b "a1");
    syscall3(a "a0", b "a1", c "a2");
    syscall5(a "a0", b "a1", c "a2", d "a3", e "a4");
    syscall6(a "a0", b "a1", c "a2", d "a3", e "a4", f "a5");
}
