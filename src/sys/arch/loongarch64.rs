//! loongarch64.

pub use super::no_sections::*;
use libc::c_long;

pub const REAPS: bool = false;
pub const LARGEST_PAGE: usize = 65536;
pub const KERNEL_SIGSET_SIZE: usize = 8;
pub const SYS_IO_PGETEVENTS: c_long = 292;

/// The type of a register that passes an argument.
pub type Register = isize;

// The first argument and the result share a register. The kernel clobbers all temporary registers.
macro_rules! instruction {
    (
        $number:ident, $answer:ident, $first:ident $first_register:tt
        $(, $argument:ident $register:tt)*
    ) => {
        core::arch::asm!(
            "syscall 0",
            in("$a7") $number,
            inlateout($first_register) $first => $answer,
            $(in($register) $argument,)*
            lateout("$t0") _,
            lateout("$t1") _,
            lateout("$t2") _,
            lateout("$t3") _,
            lateout("$t4") _,
            lateout("$t5") _,
            lateout("$t6") _,
            lateout("$t7") _,
            lateout("$t8") _,
            options(nostack, preserves_flags)
        )
    };
}
with_instruction! {
    syscall1(a "$a0");
    syscall2(a "$a0", b "$a1");
    syscall3(a "$a0", b "$a1", c "$a2");
    syscall5(a "$a0", b "$a1", c "$a2", d "$a3", e "$a4");
    syscall6(a "$a0", b "$a1", c "$a2", d "$a3", e "$a4", f "$a5");
}

// The functions that the compiler calls to copy and clear memory, as local symbols, because the
// shared library is not linked with a C library on this CPU.
core::arch::global_asm!(
    ".pushsection .text.memory,\"ax\"",
    "memset:",
    "move $t0, $a0",
    "beqz $a2, 2f",
    "1: st.b $a1, $t0, 0",
    "addi.d $t0, $t0, 1",
    "addi.d $a2, $a2, -1",
    "bnez $a2, 1b",
    "2: jr $ra",
    "memmove:",
    "bltu $a1, $a0, 3f",
    "memcpy:",
    "move $t0, $a0",
    "beqz $a2, 2f",
    "1: ld.b $t1, $a1, 0",
    "st.b $t1, $t0, 0",
    "addi.d $a1, $a1, 1",
    "addi.d $t0, $t0, 1",
    "addi.d $a2, $a2, -1",
    "bnez $a2, 1b",
    "2: jr $ra",
    "3: beqz $a2, 2b",
    "addi.d $a2, $a2, -1",
    "add.d $t0, $a1, $a2",
    "add.d $t1, $a0, $a2",
    "ld.b $t0, $t0, 0",
    "st.b $t0, $t1, 0",
    "b 3b",
    ".popsection",
);
