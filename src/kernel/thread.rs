//! What this thread is, and how it sleeps.

use super::syscall::{call, long, pointer};
use super::timeout::timespec;

/// The thread pointer: an address of the thread's own. A signal handler has that of the code it
/// interrupted, and a child of `vfork` its parent's, who is suspended.
///
/// Read from where each machine's ABI for thread-local storage keeps it. Every C library sets it up
/// before `main`, in static programs too.
#[cfg(all(reaps_in_user_space, target_arch = "x86_64"))]
#[inline(always)]
pub fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads the first word of thread-local storage, which the ABI makes its own address.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) pointer,
            options(nostack, preserves_flags, readonly));
    }
    pointer
}

/// See above.
#[cfg(all(reaps_in_user_space, target_arch = "aarch64"))]
#[inline(always)]
pub fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer,
            options(nostack, preserves_flags, nomem));
    }
    pointer
}

/// See above.
#[cfg(all(reaps_in_user_space, target_arch = "riscv64"))]
#[inline(always)]
pub fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mv {}, tp", out(reg) pointer,
            options(nostack, preserves_flags, nomem));
    }
    pointer
}

/// Nobody reaps in user space on other machines, so nobody has to be told apart.
#[cfg(not(reaps_in_user_space))]
#[inline(always)]
pub fn thread_pointer() -> usize {
    0
}

/// Sleeps some nanoseconds, less than a second; a signal ends it. By `futex(2)`, which every
/// program with threads calls anyway, and filters of system calls allow: a wait for a word that
/// nobody changes.
pub fn sleep(nanoseconds: i64) {
    let word = 0_u32;
    let time = timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds as _,
    };
    // SAFETY: the kernel reads the two locals.
    unsafe {
        call!(
            libc::SYS_futex,
            pointer(&word),
            long((libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as _),
            long(0),
            pointer(&time),
            long(0)
        );
    }
}

/// Tells the kernel to give forked children these pages empty (`madvise(2)`, since Linux 4.14).
/// Whether it agreed.
#[cfg(reaps_in_user_space)]
pub fn wipe_on_fork<T>(pages: &'static T) -> bool {
    let advise = |advice: libc::c_int| {
        // SAFETY: changes nothing in this process. Only whole pages are accepted.
        unsafe {
            call!(
                libc::SYS_madvise,
                pointer(pages),
                long(core::mem::size_of::<T>() as _),
                long(advice as _)
            )
        }
    };
    // Some sandboxes and emulators answer 0 to any advice, and do nothing. No kernel knows this one.
    advise(-1) != 0 && advise(libc::MADV_WIPEONFORK) == 0
}
