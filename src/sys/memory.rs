//! Memory from the kernel, what a forked child inherits of it, and how a thread sleeps.

use super::arch;
use super::syscall::{call, long, pointer};
use crate::errno::Errno;
use crate::timeout::timespec;
use core::ffi::CStr;
use libc::c_long;

/// Sleeps for some nanoseconds, less than a second, or until a signal arrives. Uses `futex(2)`
/// because filters of system calls allow it: every program with threads makes this call. It waits
/// for a word that does not change.
pub fn sleep(nanoseconds: i64) {
    let word = 0_u32;
    let time = timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds as _,
    };
    // SAFETY: the kernel reads the two local variables.
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

/// Makes the kernel clear these pages in forked children (`MADV_WIPEONFORK`, since Linux 4.14).
/// Returns whether it does.
pub fn wipe_on_fork<T>(pages: &'static T) -> bool {
    let advise = |advice: libc::c_int| {
        // SAFETY: the advice has no effect in this process. The kernel accepts only whole pages.
        unsafe {
            call!(
                libc::SYS_madvise,
                pointer(pages),
                long(core::mem::size_of::<T>() as _),
                long(advice as _)
            )
        }
    };
    // Some sandboxes and emulators return 0 for any advice and do nothing. Kernels refuse -1.
    advise(-1) != 0 && advise(libc::MADV_WIPEONFORK) == 0
}

/// Maps private zeroed pages (`mmap(2)`). Returns their address.
pub fn map(length: usize) -> core::result::Result<usize, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let answer = unsafe { arch::mmap(length, protection, flags) };
    match answer {
        -4095..=-1 => Err(Errno::ENOMEM),
        address => Ok(address as usize),
    }
}

/// Unmaps pages of [`map`].
///
/// # Safety
/// No thread may use them any more.
pub unsafe fn unmap(address: usize, length: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        call!(
            libc::SYS_munmap,
            pointer(address as *const u8),
            long(length as _)
        );
    }
}

/// Names pages of [`map`] in `/proc/PID/maps` (`PR_SET_VMA_ANON_NAME`, since Linux 5.17), and makes
/// the kernel clear them in forked children.
pub fn name_and_wipe_on_fork(address: usize, length: usize, name: &CStr) {
    const PR_SET_VMA: c_long = 0x5356_4d41;
    const PR_SET_VMA_ANON_NAME: c_long = 0;
    // SAFETY: the kernel reads the name. The contents do not change in this process.
    unsafe {
        call!(
            libc::SYS_prctl,
            long(PR_SET_VMA),
            long(PR_SET_VMA_ANON_NAME),
            pointer(address as *const u8),
            long(length as _),
            pointer(name.as_ptr())
        );
        call!(
            libc::SYS_madvise,
            pointer(address as *const u8),
            long(length as _),
            long(libc::MADV_WIPEONFORK as _)
        );
    }
}

/// The ID of this process (`getpid(2)`).
pub fn process_id() -> u32 {
    // SAFETY: the call reads and writes no memory.
    unsafe { call!(libc::SYS_getpid, long(0)) as u32 }
}
