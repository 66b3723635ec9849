//! The code and constants for each CPU, one file for each. Every file has the same items:
//!
//! | item | |
//! |---|---|
//! | `REAPS` | whether the CPU has restartable sections, which taking from the ring needs |
//! | `BROKEN_KERNELS` | the kernel versions that claim to restart sections but do not |
//! | `LARGEST_PAGE` | the largest page size of the CPU's kernels |
//! | `SYS_IO_PGETEVENTS`, `KERNEL_SIGSET_SIZE` | from `asm/unistd.h`, `asm/signal.h` |
//! | `Register`, `syscall1` to `syscall6`, `mmap` | system calls |
//! | `stack_pointer`, `rseq_area`, `cpu_id` | the thread's stack pointer and `struct rseq` |
//! | `read_words`, `copy_and_store`, `store` | the restartable sections |
//! | `probe_setup` | the probe of `probe.rs` |
//!
//! A new CPU is one file and one row of the table below. `build.rs` reads `REAPS` and
//! `LARGEST_PAGE` from these files. A file without a system call instruction uses
//! `through_libc.rs`; one without sections uses `no_sections.rs`, whose sections are never run.
//!
//! The registers, and those that the kernel clobbers, are from syscall(2), "Architecture calling
//! conventions".

/// Defines `syscall1` to `syscall6` with the macro `instruction!` of the file that uses this.
#[allow(unused_macros)]
macro_rules! with_instruction {
    ($($name:ident($($argument:ident $register:tt),+);)+) => {$(
        #[inline(always)]
        pub unsafe fn $name(number: libc::c_long, $($argument: Register),+) -> isize {
            let answer: Register;
            // SAFETY: the caller keeps the system call's contract. The instruction uses no stack,
            // and every register that the kernel changes is declared.
            unsafe { instruction!(number, answer, $($argument $register),+) };
            answer as isize
        }
    )+

    /// Maps anonymous memory (`mmap(2)`).
    pub unsafe fn mmap(length: usize, protection: libc::c_int, flags: libc::c_int) -> isize {
        // SAFETY: the same contract.
        unsafe {
            syscall6(
                libc::SYS_mmap,
                0,
                length as Register,
                protection as Register,
                flags as Register,
                -1,
                0,
            )
        }
    }
    };
}

macro_rules! cpus {
    ($($($name:literal)|+ => $file:ident;)+) => {
        $(
            #[cfg(any($(target_arch = $name),+))]
            mod $file;
            #[cfg(any($(target_arch = $name),+))]
            pub use $file::*;
        )+
        #[cfg(not(any($($(target_arch = $name),+),+)))]
        compile_error!("a CPU without a file in src/sys/arch: see mod.rs there");
    };
}

// Rust's names of the CPUs. The build script reads this table too.
cpus! {
    "x86_64" => x86_64;
    "x86" => x86;
    "aarch64" => aarch64;
    "arm" => arm;
    "riscv64" => riscv64;
    "loongarch64" => loongarch64;
    "powerpc" | "powerpc64" => powerpc;
    "s390x" => s390x;
    "sparc" | "sparc64" => sparc;
    "mips" | "mips64" => mips;
}

#[allow(dead_code)]
mod no_sections;
#[allow(dead_code)]
mod through_libc;
