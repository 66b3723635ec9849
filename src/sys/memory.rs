//! How a thread sleeps, memory from the kernel, and what a forked child gets of it.

use super::arch;
use super::syscall::{call, long, pointer};
use crate::errno::Errno;
use crate::timeout::timespec;
use core::ffi::CStr;
use libc::c_long;

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

/// Pages of zeros, private to this process, or the error (`mmap(2)`).
pub fn map(length: usize) -> core::result::Result<usize, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let answer = unsafe { arch::mmap(length, protection, flags) };
    match answer {
        -4095..=-1 => Err(Errno::ENOMEM),
        address => Ok(address as usize),
    }
}

/// Gives pages of [`map`] back.
///
/// # Safety
/// Nobody uses them any more.
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

/// Gives pages of [`map`] a name in `/proc/PID/maps`, where the kernel has such names
/// (`PR_SET_VMA_ANON_NAME`, since Linux 5.17), and tells it to give forked children empty ones.
pub fn name(address: usize, length: usize, name: &CStr) {
    const PR_SET_VMA: c_long = 0x5356_4d41;
    const PR_SET_VMA_ANON_NAME: c_long = 0;
    // SAFETY: the kernel reads the name; no content changes in this process.
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

/// This process (`getpid(2)`).
pub fn process() -> u32 {
    // SAFETY: no memory is involved; the call takes no argument.
    unsafe { call!(libc::SYS_getpid, long(0)) as u32 }
}
