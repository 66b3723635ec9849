//! What is known of each CPU, one file for each. Every file has the same items:
//!
//! | item | |
//! |---|---|
//! | `REAPS` | whether completions may be taken from the ring: whether there are sections here |
//! | `BROKEN_KERNELS` | which versions do not restart sections although they say so |
//! | `LARGEST_PAGE` | the largest page that its kernels may be built with |
//! | `SYS_IO_PGETEVENTS`, `KERNEL_SIGSET_SIZE` | from `asm/unistd.h`, `asm/signal.h` |
//! | `Register`, `syscall1` to `syscall6`, `mmap` | how a system call is made |
//! | `stack_pointer`, `rseq_area`, `cpu_id` | where a thread's stack, and its `struct rseq`, are |
//! | `read_words`, `copy_and_store`, `store` | the restartable sections |
//!
//! A new CPU is one file and one row of the table below. `build.rs` reads `REAPS` and
//! `LARGEST_PAGE` from these files. A file without an instruction of its own makes system calls
//! through libc (`through_libc.rs`); one without sections has those of `no_sections.rs`, which are
//! never run.
//!
//! Registers and the clobbered ones are from syscall(2), "Architecture calling conventions".

/// `syscall1` to `syscall6`, from `instruction!` of the file that uses this.
#[allow(unused_macros)]
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
    )+

    /// Anonymous memory (`mmap(2)`).
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

// By Rust's names. The build script reads this table too.
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
