//! The system calls of kernel AIO.
//!
//! The arguments may have any value: the kernel checks pointers (`EFAULT`) and looks handles up in
//! its own table (`EINVAL`, `lookup_ioctx` in `fs/aio.c`). The functions are unsafe because the
//! kernel writes through valid pointers, which the caller must allow.

use super::syscall::{call, long, pointer};
use crate::abi::{io_context_t, io_event, iocb};
use crate::errno::{from_kernel, Result};
use crate::timeout::timespec;
use libc::{c_int, c_long};

/// `io_setup(2)`. The kernel reads an `unsigned`, the low half of the sign-extended `int`.
pub unsafe fn io_setup(maxevents: c_int, ctxp: *mut io_context_t) -> Result {
    // SAFETY: the kernel checks `ctxp`, and the caller allows it to be written.
    from_kernel(unsafe { call!(libc::SYS_io_setup, long(maxevents as c_long), pointer(ctxp)) })
}

/// `io_destroy(2)`.
pub unsafe fn io_destroy(ctx: io_context_t) -> Result {
    // SAFETY: the kernel looks the handle up, and the caller no longer uses the context.
    from_kernel(unsafe { call!(libc::SYS_io_destroy, pointer(ctx)) })
}

/// `io_submit(2)`.
pub unsafe fn io_submit(ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result {
    // SAFETY: the kernel checks the array and each iocb; the caller guarantees that buffers stay
    // valid while requests are in flight.
    from_kernel(unsafe { call!(libc::SYS_io_submit, pointer(ctx), long(nr), pointer(iocbs)) })
}

/// `io_cancel(2)`.
pub unsafe fn io_cancel(ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result {
    // SAFETY: the kernel checks both pointers, and the caller allows `event` to be written.
    from_kernel(unsafe {
        call!(
            libc::SYS_io_cancel,
            pointer(ctx),
            pointer(iocb),
            pointer(event)
        )
    })
}

/// `io_getevents(2)`.
pub unsafe fn io_getevents(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *const timespec,
) -> Result {
    // SAFETY: the kernel checks `events` and `timeout`, and the caller allows `events` to be
    // written.
    from_kernel(unsafe {
        call!(
            libc::SYS_io_getevents,
            pointer(ctx),
            long(min_nr),
            long(nr),
            pointer(events),
            pointer(timeout)
        )
    })
}
