//! The system calls of kernel AIO.
//!
//! The kernel checks every pointer and answers `EFAULT`, and looks a handle up in its own table and
//! answers `EINVAL` (`lookup_ioctx` in `fs/aio.c`), so these functions are sound for any argument
//! as far as this process's own memory goes; what the kernel writes through a valid pointer is the
//! caller's business, hence `unsafe`.

use super::syscall::{call, long, pointer};
use crate::abi::{io_context_t, io_event, iocb};
use crate::errno::{from_kernel, Result};
use crate::timeout::timespec;
use libc::{c_int, c_long};

/// `io_setup(2)`. The kernel takes an `unsigned`; the sign-extended `int` has the same low half.
pub unsafe fn io_setup(maxevents: c_int, ctxp: *mut io_context_t) -> Result {
    // SAFETY: the kernel checks `ctxp`, which the caller lets it write.
    from_kernel(unsafe { call!(libc::SYS_io_setup, long(maxevents as c_long), pointer(ctxp)) })
}

/// `io_destroy(2)`.
pub unsafe fn io_destroy(ctx: io_context_t) -> Result {
    // SAFETY: the kernel looks the handle up; the caller gives the context up.
    from_kernel(unsafe { call!(libc::SYS_io_destroy, pointer(ctx)) })
}

/// `io_submit(2)`.
pub unsafe fn io_submit(ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result {
    // SAFETY: the kernel checks the array and each iocb; the caller vouches for the buffers.
    from_kernel(unsafe { call!(libc::SYS_io_submit, pointer(ctx), long(nr), pointer(iocbs)) })
}

/// `io_cancel(2)`.
pub unsafe fn io_cancel(ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result {
    // SAFETY: the kernel checks both pointers, and only compares `iocb` with what is in flight.
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
    // SAFETY: the kernel checks `events`, which the caller lets it write, and `timeout`.
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
