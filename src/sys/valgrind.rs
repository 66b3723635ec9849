//! Whether the program runs under Valgrind. Valgrind's tools see memory that instructions and known
//! system calls write, but not what the kernel writes to a ring.

/// The client request that returns the number of Valgrinds around the program (`valgrind.h`).
#[cfg(target_arch = "x86_64")]
const RUNNING_ON_VALGRIND: u64 = 0x1001;

/// Makes the client request, with instructions that have no effect without Valgrind.
#[cfg(target_arch = "x86_64")]
pub fn is_running() -> bool {
    // The request and its five arguments, which this one does not use.
    let request = [RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0];
    let mut answer = 0_u64;
    // SAFETY: the rotations add up to 128 bits and the exchange is of a register with itself, so
    // only the flags change. Valgrind reads `request` and writes the register of `answer`.
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

/// Other CPUs have other instructions for this. They have not been tested, so they are not used.
#[cfg(not(target_arch = "x86_64"))]
pub fn is_running() -> bool {
    false
}
