//! The functions of `libaio.h`. Their documentation is the header's: `build.rs` copies it there.

// What pointers may be is said for each argument, in the words of the module above.
#![allow(clippy::missing_safety_doc)]
// The text is the header's, where brackets are C's.
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
super::exports::of_functions!();

/// Makes a context, like io_setup(), but clears *ctxp first instead of requiring it to be 0.
///
/// maxevents: as for io_setup(). ctxp: read here; written.
///
/// Returns 0, or
///   -EINVAL   maxevents is 0 or negative (*ctxp is left alone then), or more than can be mapped
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
        // SAFETY: the caller passes a writable ctxp, as the original demands.
        unsafe { ctxp.write_unaligned(null_mut()) };
    }
    // SAFETY: the caller lets *ctxp be written.
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

/// Takes the ready completions, one at a time and without waiting, and calls for each the
/// function that io_set_callback() put into its request:
/// callback(ctx, iocb, res, res2), with the values of struct io_event.
///
/// Every request of this context must have a callback. It may call any function of this library,
/// also io_queue_run() and, as its last act on ctx, io_destroy(). Completions that arrive
/// meanwhile are taken too, so a callback that always submits again keeps this function busy.
///
/// Returns 0 when no completion is left, or
///   -EINVAL   ctx is not a context of this process; or a completion had no callback (its data
///             was NULL): that completion is gone, the call can be repeated
///   -EINTR    a signal arrived
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe: no completion is taken twice. Source: libaio 0.3.113; io_getevents(2).
#[no_mangle]
pub unsafe extern "C" fn io_queue_run(ctx: io_context_t) -> c_int {
    const AT_ONCE: timespec = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        let mut event = MaybeUninit::<io_event>::uninit();
        // SAFETY: room for one event, in a local that outlives the call.
        let taken = unsafe { getevents(ctx, 0, 1, event.as_mut_ptr(), &AT_ONCE) };
        if taken != 1 {
            return taken;
        }
        // SAFETY: one event was written.
        let event = unsafe { event.assume_init() };
        // SAFETY: a data pointer and an optional function pointer have the same form, and
        // io_set_callback stored the one as the other.
        let callback = unsafe { transmute::<*mut c_void, io_callback_t>(event.data) };
        let Some(callback) = callback else {
            return into_c(Err(Errno::EINVAL)); // the original calls address 0 here
        };
        // SAFETY: the program's own function. Nothing of ours is live across it, so it may leave
        // by longjmp, by a C++ exception or by pthread_exit, as through the original.
        unsafe { callback(ctx, event.obj, event.res as c_long, event.res2 as c_long) };
    }
}

/// Makes a context for at least maxevents requests at a time.
///
/// maxevents: 1 or more. The kernel gives more than it is asked for, at least 120 on a machine of
/// two processors with 4 KiB pages, and counts what was asked for against the system's limit.
/// ctxp: checked by the kernel; *ctxp must be 0, and receives the handle.
///
/// Returns 0, or
///   -EINVAL   *ctxp is not 0; maxevents is 0, or more than the kernel can map
///   -EAGAIN   maxevents is more than /proc/sys/fs/aio-max-nr leaves of the system's total
///             (a negative number counts as a large one, and gives either of these errors)
///   -EFAULT   ctxp cannot be read and written
///   -ENOMEM   the kernel is out of memory
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe. Async-signal-safe. Source: io_setup(2); ioctx_alloc() in the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_setup(maxevents: c_int, ctxp: *mut io_context_t) -> c_int {
    // SAFETY: the caller lets *ctxp be written.
    into_c(unsafe { context::set_up(maxevents, ctxp) })
}

/// Destroys a context. Pending polls are cancelled; everything else in flight is waited for, and
/// its events are lost. This takes tens of milliseconds. Threads that wait in io_getevents()
/// return with -EINVAL or with the events they have.
///
/// ctx: checked by the kernel.
///
/// Returns 0, or
///   -EINVAL   ctx is not a context of this process, or another thread is destroying it
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe, but no other thread may poll the context (io_getevents(), io_pgetevents() or
/// io_queue_run() with a timeout of zero) at the same time: a poll reads the ring, which goes away.
/// Async-signal-safe. In a forked child: -EINVAL.
/// Source: io_destroy(2); kill_ioctx() in the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_destroy(ctx: io_context_t) -> c_int {
    // SAFETY: the same contract.
    into_c(unsafe { context::destroy(ctx) })
}

/// Queues requests, in order, up to the first that is refused.
///
/// nr: how many; 0 or more. A full context takes fewer.
/// ctx, ios, every ios[k] and what they point to: checked by the kernel.
///
/// Returns how many were queued, or, if the first one was refused,
///   -EAGAIN   the context is full: take events first
///   -EBADF    the request's file, or its eventfd, is not open in the way the request needs
///   -EFAULT   ios, ios[0] or a vector cannot be read, or ios[0]->key cannot be written
///   -EINVAL   ctx is not a context of this process; nr is negative; or the request is malformed:
///             unknown opcode, reserved fields that are not 0, negative offset, length over
///             SSIZE_MAX, a resfd that is no eventfd, an invalid priority, or an opcode that the
///             file does not support
///   -EOPNOTSUPP   aio_rw_flags has a flag that the kernel or the file system does not know
///   -EPERM    the priority needs a privilege; or RWF_NOAPPEND and an append-only file
///   -ENOMEM, -ENOSYS   no memory; no AIO in the kernel
/// Errors found later, such as a misaligned O_DIRECT buffer, come in the event's res.
///
/// It returns at once only for what the file system can do asynchronously, in practice O_DIRECT
/// within the file's size; buffered reads that miss the page cache, buffered writes, writes that
/// extend a file and reads of empty pipes block in here.
///
/// Thread-safe. Async-signal-safe. In a forked child: -EINVAL. Source: io_submit(2);
/// io_submit_one() in the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_submit(ctx: io_context_t, nr: c_long, ios: *mut *mut iocb) -> c_int {
    // SAFETY: the caller vouches for the buffers that the requests name.
    unsafe { context::submit(ctx, nr, ios) }
}

/// Asks for a request to be cancelled. The kernel can do so only with a pending IO_CMD_POLL.
///
/// ctx, iocb, evt: checked by the kernel; iocb is the address that was submitted. evt is never
/// written by current kernels: the event of a cancelled request arrives as any other, with res 0.
///
/// Returns
///   -EINPROGRESS   it is being cancelled: its event will come
///   -EINVAL   ctx is not a context of this process; or iocb is not in flight in it, or cannot be
///             cancelled; or iocb->key is not 0
///   -EFAULT   iocb cannot be read
///   -ENOSYS   the kernel has no AIO
/// and 0, with *evt filled in, from kernels before 3.11.
///
/// Thread-safe. Async-signal-safe. In a forked child: -EINVAL. Source: io_cancel(2); io_cancel in
/// the kernel's fs/aio.c.
#[no_mangle]
pub unsafe extern "C" fn io_cancel(
    ctx: io_context_t,
    iocb: *mut iocb,
    evt: *mut io_event,
) -> c_int {
    // SAFETY: the caller lets *evt be written.
    into_c(unsafe { context::cancel(ctx, iocb, evt) })
}

/// Takes completions: waits until there are min_nr, takes nr at most.
///
/// min_nr, nr: events; 0 <= min_nr <= nr.
/// events: room for nr events. Written here if events are there, otherwise checked by the kernel.
/// timeout: read here; the longest time to wait, relative. NULL or a negative time: for ever.
/// {0,0}: not at all; on an empty context this is answered with 0 whatever the other arguments
/// are, and costs no system call.
///
/// Ready events are copied from the completion ring, which is mapped into the process, without a
/// system call. The kernel is entered only to wait, or when the ring cannot be read safely. With
/// the environment variable LIBAIO_RS_REAP=kernel, read when the library is loaded, it takes all
/// events.
///
/// Returns how many were taken, fewer than min_nr if the time is over or a signal arrived, or
///   -EINVAL   ctx is not a context of this process, or was destroyed meanwhile; min_nr or nr is
///             out of range
///   -EFAULT   events is not a user-space address, or the kernel was entered and could not write
///             there (the events stay queued); or timeout cannot be read
///   -EINTR    a signal arrived before any event; never restarted, whatever SA_RESTART says
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe: no completion is taken twice. Async-signal-safe. In a forked child: -EINVAL, but
/// for the answer to {0,0}. Source: io_getevents(2); read_events() in the kernel's fs/aio.c.
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

/// The same as io_getevents(), with the signal mask replaced by *sigmask while it waits, in one
/// step. A signal that *sigmask lets through is delivered even if events are taken, so the kernel
/// is always asked, but for the answer to {0,0}.
///
/// sigmask: checked by the kernel. NULL: the mask stays as it is.
///
/// Returns as io_getevents(), and
///   -ENOSYS   the kernel is older than Linux 4.18
///   -EFAULT   sigmask cannot be read
///
/// Thread-safe: no completion is taken twice. Source: io_pgetevents in the kernel's fs/aio.c.
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
    // SAFETY: the caller's timeout, and room for nr events.
    into_c(unsafe { wanted.getevents() })
}

/// Does nothing, at once: the same as io_getevents(ctx, 0, 0, NULL, timeout). Exported for old
/// programs; libaio.h does not declare it, because the original's does not.
///
/// timeout: read here.
///
/// Returns 0, or
///   -EINVAL   ctx is not a context of this process
///   -EFAULT   timeout is nothing that a program can map
///   -EINTR    a signal is pending
///   -ENOSYS   the kernel has no AIO
///
/// Thread-safe. Async-signal-safe. Source: libaio 0.3.113; io_getevents(2).
#[no_mangle]
pub unsafe extern "C" fn io_queue_wait(ctx: io_context_t, timeout: *mut timespec) -> c_int {
    // SAFETY: the caller's timeout; no event is written.
    unsafe { getevents(ctx, 0, 0, null_mut(), timeout) }
}

/// io_getevents() for the other functions. They do not call one another's exported names, which the
/// dynamic linker would have to look up.
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
    unsafe { context::getevents_beside_others(ctx, min_nr, nr, events, timeout) }
}
