//! How a thread sleeps, and what a forked child gets of its memory.

use super::syscall::{call, long, pointer};
use crate::timeout::timespec;

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
    // Some sandboxes and emulators answer 0 to any advice, and do nothing. No kernel knows this
    // one.
    advise(-1) != 0 && advise(libc::MADV_WIPEONFORK) == 0
}
