//! The functions of version LIBAIO_0.1 whose signatures changed in 0.4. Headers have not declared
//! them for twenty years, but programs that were linked before that still use them.

use super::functions::getevents;
use crate::abi::{io_context_t, io_event, iocb};
use crate::context;
use crate::errno::into_c;
use crate::timeout::timespec;
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use libc::{c_int, c_long};

super::exports::versions_of_version_0_1!();

/// Cancels a request and discards the event that the kernel may fill in.
pub unsafe extern "C" fn io_cancel(ctx: io_context_t, iocb: *mut iocb) -> c_int {
    let mut event = MaybeUninit::<io_event>::uninit();
    // SAFETY: `event` may be written, and outlives the call.
    into_c(unsafe { context::cancel(ctx, iocb, event.as_mut_ptr()) })
}

/// Waits for at least one event and returns up to `nr`.
pub unsafe extern "C" fn io_getevents(
    ctx: io_context_t,
    nr: c_long,
    events: *mut io_event,
    timeout: *const timespec,
) -> c_int {
    // SAFETY: the timeout is readable, and events has room for nr.
    unsafe { getevents(ctx, 1, nr, events, timeout) }
}

/// Returns at once, like the current version.
pub unsafe extern "C" fn io_queue_wait(ctx: io_context_t, timeout: *const timespec) -> c_int {
    // SAFETY: the timeout is readable; for 0 events nothing is written.
    unsafe { getevents(ctx, 0, 0, null_mut(), timeout) }
}
