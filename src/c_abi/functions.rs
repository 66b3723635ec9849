//! The functions of `libaio.h`. `build.rs` copies their documentation into the header.

// The documentation says which values each pointer argument may have, in the terms of `c_abi`.
#![allow(clippy::missing_safety_doc)]
// Brackets in the documentation are C, not links.
#![allow(rustdoc::broken_intra_doc_links)]

use crate::abi::{io_callback_t, io_context_t, io_event, iocb};
use crate::address::is_plausible;
use crate::context::{self, Wanted};
use crate::errno::{into_c, Errno};
use crate::timeout::timespec;
use core::mem::{transmute, MaybeUninit};
use core::ptr::null_mut;
use libc::{c_int, c_long, c_void, sigset_t};

#[cfg(feature = "versioned")]
super::exports::versions_of_functions!();

/// Creates a context, like io_setup(), but sets *ctxp to 0 first instead of requiring that it is 0.
///
/// maxevents: as for io_setup(). ctxp: read here; written.
///
/// Returns 0, or
///   -EINVAL   maxevents is 0 or negative (*ctxp is not changed then), or more than the kernel can
///             map
///   -EFAULT   ctxp cannot be written
///   -EAGAIN, -ENOMEM, -ENOSYS   as io_setup()
///
/// Thread-safe. Async-signal-safe. Source: libaio 0.3.113; io_setup(2).
#[no_mangle]
pub unsafe extern "C" fn io_queue_init(maxevents: c_int, ctxp: *mut io_context_t) -> c_int {
    if maxevents <= 0 {
        return into_c(Err(Errno::EINVAL));
    }
    if is_plausible(ctxp) {
        // SAFETY: the caller must pass a writable ctxp, as to the original.
        unsafe { ctxp.write_unaligned(null_mut()) };
    }
    // SAFETY: if ctxp is writable, it may be written.
    into_c(unsafe { context::set_up(maxevents, ctxp) })
}

/// Destroys a context: the same as io_destroy().
///
/// Returns 0, or
///   -EINVAL   ctx is not a context of this process
///   -ENOSYS   the kernel has no AIO
#[no_mangle]
pub unsafe extern "C" fn io_queue_release(ctx: io_context_t) -> c_int {
    // SAFETY: the same contract.
    into_c(unsafe { context::destroy(ctx) })
}

/// Reaps the ready completions one at a time, without waiting, and calls the callback of each
/// request, which io_set_callback() has set: callback(ctx, iocb, res, res2), with the values of
/// struct io_event.
///
/// Every request of this context must have a callback. A callback may call any function of this
/// library, including io_queue_run(). It may call io_destroy() if it does not use ctx afterwards.
/// Completions that arrive during the call are reaped too, so this function does not return while
/// callbacks submit requests that complete at once.
///
/// Returns 0 when no completion is left, or
///   -EINVAL   ctx is not a context of this process; or a completion had no callback (its data
///             was NULL): that completion is removed, and the call can be repeated
///   -EINTR    a signal arrived
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe: no completion is reaped twice. Source: libaio 0.3.113; io_getevents(2).
#[no_mangle]
pub unsafe extern "C" fn io_queue_run(ctx: io_context_t) -> c_int {
    const AT_ONCE: timespec = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        let mut event = MaybeUninit::<io_event>::uninit();
        // SAFETY: `event` has room for one event, and outlives the call.
        let taken = unsafe { getevents(ctx, 0, 1, event.as_mut_ptr(), &AT_ONCE) };
        if taken != 1 {
            return taken;
        }
        // SAFETY: the call has written one event.
        let event = unsafe { event.assume_init() };
        // SAFETY: a data pointer and an optional function pointer have the same representation,
        // and io_set_callback stored one as the other.
        let callback = unsafe { transmute::<*mut c_void, io_callback_t>(event.data) };
        let Some(callback) = callback else {
            return into_c(Err(Errno::EINVAL)); // the original calls address 0
        };
        // SAFETY: the program's own function, which io_set_callback stored. The library holds no
        // lock and no resource during the call, so the callback may leave by longjmp, a C++
        // exception or pthread_exit, as with the original.
        unsafe { callback(ctx, event.obj, event.res as c_long, event.res2 as c_long) };
    }
}

/// Creates a context with room for at least maxevents requests at a time.
///
/// maxevents: 1 or more. The room is larger: at least 120 requests on a machine with two processors
/// and 4 KiB pages. The system's limit counts maxevents itself.
/// ctxp: checked by the kernel; *ctxp must be 0, and receives the handle.
///
/// LIBAIO_RS_ENGINE=auto in the environment replaces -EAGAIN and -ENOSYS by a context that the
/// library serves in part or alone: docs/engines.md.
///
/// Returns 0, or
///   -EINVAL   *ctxp is not 0; maxevents is 0, or more than the kernel can map
///   -EAGAIN   maxevents exceeds what is left of the system's limit, /proc/sys/fs/aio-max-nr
///             (a negative number counts as a large one, and gives -EINVAL or -EAGAIN)
///   -EFAULT   ctxp cannot be read and written
///   -ENOMEM   the kernel is out of memory
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe. Async-signal-safe. Source: io_setup(2); ioctx_alloc() in the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_setup(maxevents: c_int, ctxp: *mut io_context_t) -> c_int {
    // SAFETY: if ctxp is writable, it may be written.
    into_c(unsafe { context::set_up(maxevents, ctxp) })
}

/// Destroys a context: cancels pending polls, waits for all other requests in flight, and discards
/// all events. This takes tens of milliseconds. Threads that wait in io_getevents() return with
/// -EINVAL or with the events that they already have.
///
/// ctx: checked by the kernel.
///
/// Returns 0, or
///   -EINVAL   ctx is not a context of this process, or another thread is destroying it
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe, but no other thread may poll the context at the same time (io_getevents() or
/// io_pgetevents() with a timeout of zero, or io_queue_run()), because a poll reads the ring, which
/// this function unmaps.
/// Async-signal-safe. In a forked child: -EINVAL.
/// Source: io_destroy(2); kill_ioctx() in the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_destroy(ctx: io_context_t) -> c_int {
    // SAFETY: the same contract.
    into_c(unsafe { context::destroy(ctx) })
}

/// Submits requests in order, and stops at the first that is refused.
///
/// nr: the number of requests; 0 or more. A context that becomes full accepts fewer.
/// ctx, ios, every ios[k] and what they point to: checked by the kernel.
///
/// Returns the number of requests submitted, or, if the first one was refused,
///   -EAGAIN   the context is full: reap events first
///   -EBADF    the request's file, or its eventfd, is not open in the way the request needs
///   -EFAULT   ios, ios[0] or a vector cannot be read, or ios[0]->key cannot be written
///   -EINVAL   ctx is not a context of this process; nr is negative; or the request is malformed:
///             unknown opcode, reserved fields that are not 0, negative offset, length over
///             SSIZE_MAX, a resfd that is not an eventfd, an invalid priority, or an opcode that
///             the file does not support
///   -EOPNOTSUPP   aio_rw_flags has a flag that the kernel or the file system does not support
///   -EPERM    the priority needs a privilege; or RWF_NOAPPEND on an append-only file
///   -ENOMEM, -ENOSYS   the kernel is out of memory; the kernel has no AIO
/// Errors that are found later, such as a misaligned O_DIRECT buffer, are in the event's res.
///
/// The function returns before the I/O is done only where the file system is asynchronous: in
/// practice, for O_DIRECT within the file's size. Buffered reads that miss the page cache, buffered
/// writes, writes that extend a file and reads of empty pipes block in this call.
///
/// Thread-safe. Async-signal-safe. In a forked child: -EINVAL. Source: io_submit(2);
/// io_submit_one() in the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_submit(ctx: io_context_t, nr: c_long, ios: *mut *mut iocb) -> c_int {
    // SAFETY: the caller guarantees that the buffers of the requests are valid.
    unsafe { context::submit(ctx, nr, ios) }
}

/// Asks the kernel to cancel a request. The kernel can cancel only a pending IO_CMD_POLL.
///
/// ctx, iocb, evt: checked by the kernel; iocb is the address that was submitted. Current kernels
/// never write evt: the event of a cancelled request must be reaped like any other, and its res is
/// 0.
///
/// Returns
///   -EINPROGRESS   success: the request is being cancelled, and its event will arrive
///   -EINVAL   ctx is not a context of this process; iocb is not in flight in ctx, or cannot be
///             cancelled; or iocb->key is not 0
///   -EFAULT   iocb cannot be read
///   -ENOSYS   the kernel has no AIO
/// Kernels before 3.11 return 0 and fill in *evt.
///
/// Thread-safe. Async-signal-safe. In a forked child: -EINVAL. Source: io_cancel(2); io_cancel in
/// the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_cancel(
    ctx: io_context_t,
    iocb: *mut iocb,
    evt: *mut io_event,
) -> c_int {
    // SAFETY: if evt is writable, it may be written.
    into_c(unsafe { context::cancel(ctx, iocb, evt) })
}

/// Reaps completions: waits for at least min_nr events and returns up to nr.
///
/// min_nr, nr: numbers of events; 0 <= min_nr <= nr.
/// events: room for nr events. Written here if events are ready, otherwise checked by the kernel.
/// timeout: read here; the longest time to wait, from now. NULL or a negative time: no limit.
/// {0,0}: do not wait. If no event is ready, the call then returns 0, whatever the other arguments
/// are, and makes no system call.
///
/// Ready events are copied from the completion ring, which is mapped into the process, without a
/// system call. The kernel is entered only to wait, or when the ring cannot be read safely. With
/// LIBAIO_RS_REAP=kernel in the environment when the library is loaded, the kernel delivers all
/// events.
///
/// Returns the number of events, which is less than min_nr if the time is over or a signal arrived,
/// or
///   -EINVAL   ctx is not a context of this process, or was destroyed during the call; min_nr or nr
///             is out of range
///   -EFAULT   events is not a user-space address, or the kernel was entered and could not write
///             there (the events stay queued); or timeout cannot be read
///   -EINTR    a signal arrived before any event; the call is never restarted, even with SA_RESTART
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe: no completion is reaped twice. Async-signal-safe. In a forked child: -EINVAL,
/// except that {0,0} may return 0. Source: io_getevents(2); read_events() in the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_getevents(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *mut timespec,
) -> c_int {
    // SAFETY: the same contract.
    unsafe { context::getevents(ctx, min_nr, nr, events, timeout) }
}

/// Reaps completions like io_getevents(), and atomically replaces the signal mask by *sigmask while
/// it waits. A pending signal that *sigmask does not block is delivered even if events are
/// returned, so every call with a mask enters the kernel, except a poll ({0,0}) of an empty ring.
///
/// sigmask: checked by the kernel. NULL: the mask is not changed.
///
/// Returns as io_getevents(), and
///   -ENOSYS   the kernel is older than Linux 4.18
///   -EFAULT   sigmask cannot be read
///
/// Thread-safe: no completion is reaped twice. Source: io_pgetevents in the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_pgetevents(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *mut timespec,
    sigmask: *mut sigset_t,
) -> c_int {
    let wanted = Wanted {
        ctx,
        min_nr,
        nr,
        events,
        timeout,
        mask: Some(sigmask),
    };
    // SAFETY: the timeout is readable, and events has room for nr.
    into_c(unsafe { wanted.getevents() })
}

/// Returns at once: the same as io_getevents(ctx, 0, 0, NULL, timeout). Exported for old programs;
/// libaio.h does not declare it, because the original's header does not.
///
/// timeout: read here.
///
/// Returns 0, or
///   -EINVAL   ctx is not a context of this process
///   -EFAULT   timeout is not a user-space address
///   -EINTR    a signal is pending
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe. Async-signal-safe. Source: libaio 0.3.113; io_getevents(2).
#[no_mangle]
pub unsafe extern "C" fn io_queue_wait(ctx: io_context_t, timeout: *mut timespec) -> c_int {
    // SAFETY: the timeout is readable; for 0 events nothing is written.
    unsafe { getevents(ctx, 0, 0, null_mut(), timeout) }
}

/// io_getevents() for the other functions. They do not call the exported name, because the dynamic
/// linker would have to look it up.
///
/// # Safety
/// As io_getevents().
pub(super) unsafe fn getevents(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *const timespec,
) -> c_int {
    // SAFETY: the same contract.
    unsafe { context::getevents_slow(ctx, min_nr, nr, events, timeout) }
}
