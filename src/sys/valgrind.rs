//! Whether the program runs under Valgrind. Its tools learn what a program does with memory from
//! the instructions, and from the system calls, which they know; of what the kernel writes into a
//! ring they know nothing.

/// The request by which Valgrind says how many of it are running around the program.
#[cfg(target_arch = "x86_64")]
const RUNNING_ON_VALGRIND: u64 = 0x1001;

/// Asks it, by instructions that do nothing anywhere else.
#[cfg(target_arch = "x86_64")]
pub fn is_running() -> bool {
    // The request and its arguments, of which this one has none.
    let request = [RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0];
    let mut answer = 0_u64;
    // SAFETY: the rotations make a whole turn and a register is exchanged with itself, so but for
    // the flags all is as before. Valgrind reads the words and writes the answer's register.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") &request,
            inout("rdx") answer,
            options(nostack, readonly)
        );
    }
    answer != 0
}

/// Other processors have other instructions for it. Nobody has seen them work here.
#[cfg(not(target_arch = "x86_64"))]
pub fn is_running() -> bool {
    false
}
