//! Waiting: until a word changes (`futex(2)`), until a time (`clock_gettime(2)`), or with a signal
//! mask (`ppoll(2)`).

use super::arch::KERNEL_SIGSET_SIZE;
use super::signals::Mask;
use super::syscall::{call, long, pointer};
use crate::errno::{from_kernel, Result};
use crate::timeout::{timespec, Timeout};
use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;

/// The time of CLOCK_MONOTONIC, in nanoseconds.
#[inline(never)]
pub fn now() -> i64 {
    let mut time = MaybeUninit::<timespec>::uninit();
    // SAFETY: the kernel writes the time. The call cannot fail, because every kernel has the clock.
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

/// Nanoseconds in a second.
const NANOSECONDS: i32 = 1_000_000_000;

/// The sum in nanoseconds. Saturates after some 68 years: without libgcc, 32-bit machines can
/// multiply only 32-bit numbers.
pub fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    let saturated = if seconds < 0 { i64::MIN } else { i64::MAX };
    match i32::try_from(seconds) {
        Ok(seconds) => (i64::from(seconds) * i64::from(NANOSECONDS)).saturating_add(nanoseconds),
        Err(_) => saturated.saturating_add(nanoseconds),
    }
}

/// The longest time that fits into every form of a timeout.
const LONGEST: i64 = 2_000_000_000 * NANOSECONDS as i64;

/// Converts nanoseconds to a `timespec`; a negative number becomes 0.
#[inline(never)]
pub fn time_of(nanoseconds: i64) -> timespec {
    let (seconds, rest) = divide(nanoseconds.clamp(0, LONGEST) as u64);
    timespec {
        tv_sec: seconds as _,
        tv_nsec: rest as _,
    }
}

/// Splits nanoseconds into seconds and the rest.
#[cfg(target_pointer_width = "64")]
fn divide(nanoseconds: u64) -> (u64, u32) {
    let second = NANOSECONDS as u64;
    (nanoseconds / second, (nanoseconds % second) as u32)
}

/// Splits nanoseconds into seconds and the rest: shifts by 9 bits, and divides by 5^9 in steps of
/// 11 bits, because 32-bit machines have no 64-bit division without libgcc.
#[cfg(target_pointer_width = "32")]
fn divide(nanoseconds: u64) -> (u64, u32) {
    const DIVISOR: u32 = NANOSECONDS as u32 >> 9;
    let mut left = nanoseconds & !0x1ff;
    let (mut seconds, mut remainder) = (0_u64, 0_u32);
    for _ in 0..5 {
        let part = remainder << 11 | (left >> 53) as u32;
        left <<= 11;
        seconds = seconds << 11 | u64::from(part / DIVISOR);
        remainder = part % DIVISOR;
    }
    (seconds, remainder << 9 | nanoseconds as u32 & 0x1ff)
}

/// Sleeps while `word` holds `value`, until `deadline` (a time of [`now`]). Returns `EINTR` if a
/// signal handler ran, and `ETIMEDOUT`; after any other result, the caller must check its condition
/// again. There is always a timeout, because SA_RESTART would restart a wait without one, and
/// io_getevents(2) is never restarted.
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

/// Wakes up to `count` threads that sleep on the word.
#[inline(never)]
pub fn wake(word: &AtomicU32, count: c_int) {
    // SAFETY: the kernel uses only the address.
    unsafe {
        call!(
            libc::SYS_futex,
            pointer(word),
            long((libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as _),
            long(count as _)
        );
    }
}

/// Atomically adds 0 to a word, whose address may have any value. `EFAULT` if it is not writable.
#[inline(never)]
pub fn add_zero(word: *mut u32) -> Result {
    // FUTEX_OP_ADD of 0, and FUTEX_OP_CMP_NE with 0: if the word is 0, the call wakes no thread.
    const ADD_ZERO: c_int = 1 << 28 | 1 << 24;
    let local = AtomicU32::new(0);
    // SAFETY: the kernel checks the address, and the word keeps its value.
    from_kernel(unsafe {
        call!(
            libc::SYS_futex,
            pointer(&local),
            long((libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG) as _),
            long(0),
            long(0),
            pointer(word),
            long(ADD_ZERO as _)
        )
    })
}

/// `ppoll(2)`: waits until a file is ready, or, without a file, until the timeout, with another
/// signal mask, which the kernel sets atomically. Returns the number of ready files, 0 or 1.
///
/// # Safety
/// `mask` may have any value: the kernel checks it.
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
    // SAFETY: the kernel reads and writes the local variables, and checks the mask.
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
