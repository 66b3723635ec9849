//! `io_pgetevents(2)`, since Linux 4.18; on 32-bit machines also `io_pgetevents_time64`, since 5.1.

use super::arch::{Register, KERNEL_SIGSET_SIZE, SYS_IO_PGETEVENTS};
use super::syscall::{call, long, pointer};
use crate::abi::{io_context_t, io_event};
use crate::errno::{from_kernel, Result};
use crate::timeout::timespec;
use libc::{c_long, sigset_t};

/// The arguments before the timeout, which both forms have.
type Arguments = (io_context_t, c_long, c_long, *mut io_event);

/// Makes the call. A system call has at most six arguments, so the last one points to the mask and
/// its size (`struct __aio_sigset`).
#[cfg(target_pointer_width = "64")]
#[inline(always)]
unsafe fn with_mask(
    number: c_long,
    (ctx, min_nr, nr, events): Arguments,
    timeout: Register,
    mask: *const sigset_t,
) -> Result {
    let sigset = [mask as usize, KERNEL_SIGSET_SIZE];
    // SAFETY: the kernel checks the caller's pointers; `sigset` outlives the call.
    from_kernel(unsafe {
        call!(
            number,
            pointer(ctx),
            long(min_nr),
            long(nr),
            pointer(events),
            timeout,
            pointer(&sigset)
        )
    })
}

/// Makes the call. There are two layouts of `struct __aio_sigset` for 32-bit programs: two 32-bit
/// words (32-bit kernels and recent 64-bit ones), and a padded one with a 64-bit pointer (older
/// 64-bit kernels, and the x32 ABI). In the wrong layout, a kernel finds a wrong size and returns
/// `EINVAL`, so both are tried.
#[cfg(target_pointer_width = "32")]
unsafe fn with_mask(
    number: c_long,
    (ctx, min_nr, nr, events): Arguments,
    timeout: Register,
    mask: *const sigset_t,
) -> Result {
    let mask = mask as usize;
    let plain = [mask, KERNEL_SIGSET_SIZE, 0, 0];
    let padded = if cfg!(target_endian = "little") {
        [mask, 0, KERNEL_SIGSET_SIZE, 0]
    } else {
        [0, mask, KERNEL_SIGSET_SIZE, 0]
    };
    let try_layout = |sigset: &[usize; 4]| {
        // SAFETY: the kernel checks the caller's pointers; `sigset` outlives the call.
        from_kernel(unsafe {
            call!(
                number,
                pointer(ctx),
                long(min_nr),
                long(nr),
                pointer(events),
                timeout,
                pointer(sigset)
            )
        })
    };
    match try_layout(&plain) {
        Err(crate::errno::Errno::EINVAL) => try_layout(&padded),
        answer => answer,
    }
}

/// `io_pgetevents(2)`.
pub unsafe fn io_pgetevents(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> Result {
    // SAFETY: the same contract.
    unsafe {
        with_mask(
            SYS_IO_PGETEVENTS,
            (ctx, min_nr, nr, events),
            pointer(timeout),
            mask,
        )
    }
}

#[cfg(target_pointer_width = "32")]
pub use time64::{io_getevents_time64, io_pgetevents_time64};

/// The calls for programs built with `_TIME_BITS=64`. There is only one system call; without a
/// mask, its last argument is NULL.
#[cfg(target_pointer_width = "32")]
mod time64 {
    use super::*;
    use crate::errno::Errno;
    use crate::timeout::timespec64;

    /// The same number on every architecture.
    const SYS_IO_PGETEVENTS_TIME64: c_long = 416;

    /// `io_pgetevents_time64`.
    ///
    /// # Safety
    /// As `io_pgetevents`. If `timeout` is a user-space address, it must be readable.
    pub unsafe fn io_pgetevents_time64(
        ctx: io_context_t,
        min_nr: c_long,
        nr: c_long,
        events: *mut io_event,
        timeout: *const timespec64,
        mask: *const sigset_t,
    ) -> Result {
        // SAFETY: the same contract.
        let answer = unsafe {
            with_mask(
                SYS_IO_PGETEVENTS_TIME64,
                (ctx, min_nr, nr, events),
                pointer(timeout),
                mask,
            )
        };
        match answer {
            Err(Errno::ENOSYS) => with_32_bit_time(timeout, |old| {
                // SAFETY: the same contract, and a timeout that outlives the call.
                unsafe { io_pgetevents(ctx, min_nr, nr, events, old, mask) }
            }),
            answer => answer,
        }
    }

    /// `io_getevents(2)` with a 64-bit time.
    ///
    /// # Safety
    /// As [`io_pgetevents_time64`].
    pub unsafe fn io_getevents_time64(
        ctx: io_context_t,
        min_nr: c_long,
        nr: c_long,
        events: *mut io_event,
        timeout: *const timespec64,
    ) -> Result {
        // SAFETY: the same contract.
        let answer = unsafe {
            call!(
                SYS_IO_PGETEVENTS_TIME64,
                pointer(ctx),
                long(min_nr),
                long(nr),
                pointer(events),
                pointer(timeout),
                pointer(core::ptr::null::<usize>())
            )
        };
        match from_kernel(answer) {
            Err(Errno::ENOSYS) => with_32_bit_time(timeout, |old| {
                // SAFETY: the same contract, and a timeout that outlives the call.
                unsafe { super::super::aio::io_getevents(ctx, min_nr, nr, events, old) }
            }),
            answer => answer,
        }
    }

    /// Makes a call with the old form of the timeout, on kernels before Linux 5.1.
    fn with_32_bit_time(
        timeout: *const timespec64,
        make: impl FnOnce(*const timespec) -> Result,
    ) -> Result {
        if !crate::address::is_plausible(timeout) {
            return make(timeout.cast()); // NULL, or EFAULT
        }
        // SAFETY: the callers' contract.
        make(&unsafe { timeout.read_unaligned() }.to_32_bit())
    }
}
