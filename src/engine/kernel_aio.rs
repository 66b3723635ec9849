//! Kernel AIO: each operation is one system call.

use super::{Engine, Wanted};
use crate::abi::{io_context_t, io_event, iocb};
use crate::errno::{Errno, Result};
use crate::sys::aio;
use crate::sys::pgetevents;
use crate::timeout::{timespec, Timeout};
use core::ptr::null_mut;
use libc::{c_int, c_long};

/// Kernel AIO.
#[derive(Clone, Copy)]
pub struct KernelAio;

impl Engine for KernelAio {
    #[inline(always)]
    unsafe fn set_up(self, maxevents: c_int, ctxp: *mut io_context_t) -> Result {
        // SAFETY: the same contract.
        unsafe { aio::io_setup(maxevents, ctxp) }
    }

    #[inline(always)]
    unsafe fn submit(self, ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result {
        // SAFETY: the same contract.
        unsafe { aio::io_submit(ctx, nr, iocbs) }
    }

    #[inline(always)]
    unsafe fn wait<T: Timeout + GetEvents>(self, wanted: &Wanted<T>) -> Result {
        // SAFETY: the same contract.
        unsafe { T::getevents(wanted) }
    }

    #[inline(always)]
    unsafe fn cancel(self, ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result {
        // SAFETY: the same contract.
        unsafe { aio::io_cancel(ctx, iocb, event) }
    }

    #[inline(always)]
    unsafe fn destroy(self, ctx: io_context_t) -> Result {
        // SAFETY: the same contract.
        unsafe { aio::io_destroy(ctx) }
    }
}

/// Whether an error means that the kernel has no AIO, or that a sandbox refuses all of it. A test
/// call decides, because a sandbox may refuse only one call, and kernel AIO itself returns EPERM
/// for some priorities and flags.
pub fn is_refused(error: Errno) -> bool {
    // SAFETY: the kernel returns EFAULT and creates nothing.
    let test = || unsafe { aio::io_setup(0, null_mut()) };
    matches!(error, Errno::ENOSYS | Errno::EPERM) && test() == Err(error)
}

/// A form of the timeout, and the system calls that take it.
pub trait GetEvents: Sized {
    /// `io_getevents(2)`, or `io_pgetevents(2)` if there is a mask.
    ///
    /// # Safety
    /// As [`Engine::wait`].
    unsafe fn getevents(wanted: &Wanted<Self>) -> Result;
}

macro_rules! system_calls {
    ($timeout:ty, $getevents:path, $pgetevents:path) => {
        impl GetEvents for $timeout {
            #[inline(always)]
            unsafe fn getevents(wanted: &Wanted<Self>) -> Result {
                let Wanted {
                    ctx,
                    min_nr,
                    nr,
                    events,
                    timeout,
                    mask,
                } = *wanted;
                // SAFETY: the same contract.
                unsafe {
                    match mask {
                        None => $getevents(ctx, min_nr, nr, events, timeout),
                        Some(mask) => $pgetevents(ctx, min_nr, nr, events, timeout, mask),
                    }
                }
            }
        }
    };
}

system_calls!(timespec, aio::io_getevents, pgetevents::io_pgetevents);
#[cfg(target_pointer_width = "32")]
system_calls!(
    crate::timeout::timespec64,
    pgetevents::io_getevents_time64,
    pgetevents::io_pgetevents_time64
);
