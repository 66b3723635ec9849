//! Sleeping until a word changes (`futex(2)`) and until a time (`clock_gettime(2)`), and both with
//! a signal mask (`ppoll(2)`).

use super::arch::KERNEL_SIGSET_SIZE;
use super::signals::Mask;
use super::syscall::{call, long, pointer};
use crate::errno::{from_kernel, Result};
use crate::timeout::{timespec, Timeout};
use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;

/// Nanoseconds of CLOCK_MONOTONIC.
#[inline(never)]
pub fn now() -> i64 {
    let mut time = MaybeUninit::<timespec>::uninit();
    // SAFETY: the kernel writes it; the clock exists everywhere.
    unsafe {
        call!(
            libc::SYS_clock_gettime,
            long(libc::CLOCK_MONOTONIC as _),
            pointer(time.as_mut_ptr())
        );
        let time = time.assume_init();
        let (seconds, rest) = time.parts();
        nanoseconds(seconds, rest)
    }
}

/// Saturates after some 292 years.
pub fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

/// The longest time that every form of a timeout can say.
const LONGEST: i64 = 2_000_000_000 * 1_000_000_000;

pub fn time_of(nanoseconds: i64) -> timespec {
    let nanoseconds = nanoseconds.clamp(0, LONGEST);
    timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as _,
        tv_nsec: (nanoseconds % 1_000_000_000) as _,
    }
}

/// Sleeps while `word` holds `value`, until `deadline` of [`now`]. `EINTR` if a handler ran, and
/// `ETIMEDOUT`; other answers mean to look again. A wait without a timeout would be restarted
/// under SA_RESTART, which io_getevents(2) never is, so there is always one.
#[inline(never)]
pub fn wait(word: &AtomicU32, value: u32, deadline: i64) -> Result {
    let deadline = time_of(deadline);
    // SAFETY: the kernel reads the word and the time.
    from_kernel(unsafe {
        call!(
            libc::SYS_futex,
            pointer(word),
            long((libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG) as _),
            long(value as _),
            pointer(&deadline),
            long(0),
            long(-1) // any waker
        )
    })
}

/// Wakes threads that sleep on the word.
#[inline(never)]
pub fn wake(word: &AtomicU32, count: c_int) {
    // SAFETY: the kernel only uses the address.
    unsafe {
        call!(
            libc::SYS_futex,
            pointer(word),
            long((libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as _),
            long(count as _)
        );
    }
}

/// Adds 0 to a word at any address: `EFAULT` unless it can be written.
#[inline(never)]
pub fn add_nothing(word: *mut u32) -> Result {
    // FUTEX_OP_ADD of 0, and FUTEX_OP_CMP_NE to 0: no waiter is woken where the word is 0.
    const ADD_NOTHING: c_int = 1 << 28 | 1 << 24;
    let local = AtomicU32::new(0);
    // SAFETY: the kernel checks the address.
    from_kernel(unsafe {
        call!(
            libc::SYS_futex,
            pointer(&local),
            long((libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG) as _),
            long(0),
            long(0),
            pointer(word),
            long(ADD_NOTHING as _)
        )
    })
}

/// Waits for a file, or for nothing, with another signal mask, which changes and waits in one step.
/// How many files are ready: 0 or 1.
///
/// # Safety
/// `mask` may be anything: the kernel checks it.
#[inline(never)]
pub unsafe fn poll(
    file: Option<(c_int, i16)>,
    nanoseconds: Option<i64>,
    mask: *const Mask,
) -> Result {
    let (fd, events) = file.unwrap_or((-1, 0));
    let mut waited = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    let time = time_of(nanoseconds.unwrap_or(0));
    let time = nanoseconds.map_or(core::ptr::null(), |_| &time as *const timespec);
    // SAFETY: the kernel reads and writes the locals and checks the mask.
    from_kernel(unsafe {
        call!(
            libc::SYS_ppoll,
            pointer(core::ptr::addr_of_mut!(waited)),
            long(file.is_some() as _),
            pointer(time),
            pointer(mask),
            long(KERNEL_SIGSET_SIZE as _)
        )
    })
}
