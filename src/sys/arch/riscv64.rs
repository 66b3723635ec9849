//! riscv64.

pub use super::no_sections::*;
use libc::c_long;

pub const REAPS: bool = false;
pub const LARGEST_PAGE: usize = 4096;
pub const KERNEL_SIGSET_SIZE: usize = 8;
pub const SYS_IO_PGETEVENTS: c_long = 292;

/// The type of a register that passes an argument.
pub type Register = isize;

// The first argument and the result share a register.
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

// The functions that the compiler calls to copy and clear memory, as local symbols, because the
// shared library is not linked with a C library on this CPU.
core::arch::global_asm!(
    ".pushsection .text.memory,\"ax\"",
    "memset:",
    "mv a3, a0",
    "beqz a2, 2f",
    "1: sb a1, 0(a3)",
    "addi a3, a3, 1",
    "addi a2, a2, -1",
    "bnez a2, 1b",
    "2: ret",
    "memmove:",
    "bltu a1, a0, 3f",
    "memcpy:",
    "mv a3, a0",
    "beqz a2, 2f",
    "1: lbu a4, 0(a1)",
    "sb a4, 0(a3)",
    "addi a1, a1, 1",
    "addi a3, a3, 1",
    "addi a2, a2, -1",
    "bnez a2, 1b",
    "2: ret",
    "3: beqz a2, 2b",
    "addi a2, a2, -1",
    "add a3, a1, a2",
    "add a4, a0, a2",
    "lbu a3, 0(a3)",
    "sb a3, 0(a4)",
    "j 3b",
    ".popsection",
);
