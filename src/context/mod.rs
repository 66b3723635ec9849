//! Contexts: which engine serves a handle, and whether ready events are copied from the ring
//! without entering the kernel. The C functions pass every call to the functions below; all these
//! decisions are made here.
//!
//! Events are copied from the ring of contexts that are listed in the registry (`getevents.rs`,
//! `registry.rs`). Calls for other handles go to the engine: for a context that the program created
//! with the raw system call, a ring moved by `mremap(2)`, a destroyed context, or any other number.
//!
//! The engine is kernel AIO, unless the environment allows another one (`settings.rs`); then the
//! handle is looked up in the engines' table.

mod entry;
mod getevents;
mod lock;
mod registry;

use crate::abi::{io_context_t, io_event, iocb};
pub use crate::engine::Wanted;
use crate::engine::{self, Engine, GetEvents, KernelAio, Rung, Server};
use crate::errno::{into_c, Errno, Result};
use crate::settings;
use crate::sys::restartable;
use crate::timeout::Timeout;
pub use getevents::{getevents, getevents_slow};
use libc::{c_int, c_long};
use lock::Call;

/// Creates a context, and writes its handle to `*ctxp`.
///
/// # Safety
/// `ctxp` may be any address. If it is writable, it may be written.
pub unsafe fn set_up(maxevents: c_int, ctxp: *mut io_context_t) -> Result {
    registry::load();
    // SAFETY: the same contract.
    let rung = unsafe { engine::set_up(settings::engine(), maxevents, ctxp) }?;
    // A short ring is not listed, because some of its events are in the library's memory.
    if rung != Rung::ShortRing {
        // SAFETY: `set_up` has just written the handle there.
        let address = unsafe { engine::read_handle(ctxp) } as usize;
        if address != 0 {
            registry::add(address, this_call());
        }
    }
    Ok(0)
}

/// Submits requests. Returns a negated error number, so that the slow path is a tail call and the
/// fast path is the system call and two instructions.
///
/// # Safety
/// The pointers may have any value. Buffers of accepted requests belong to the engine until their
/// events arrive.
#[inline(always)]
pub unsafe fn submit(ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> c_int {
    // SAFETY: the same contract.
    unsafe {
        match settings::is_kernel_only() {
            true => into_c(KernelAio.submit(ctx, nr, iocbs)),
            false => submit_to_engine(ctx, nr, iocbs),
        }
    }
}

/// # Safety
/// As [`submit`].
#[cold]
#[inline(never)]
unsafe fn submit_to_engine(ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> c_int {
    // SAFETY: the same contract.
    into_c(unsafe { engine_of(ctx).submit(ctx, nr, iocbs) })
}

/// Waits for events of a context that any engine may serve.
///
/// # Safety
/// As [`Engine::wait`].
#[cold]
#[inline(never)]
unsafe fn wait_in_engine<T: Timeout + GetEvents>(wanted: &Wanted<T>) -> Result {
    // SAFETY: the same contract.
    unsafe { engine_of(wanted.ctx).wait(wanted) }
}

#[inline(never)]
fn engine_of(ctx: io_context_t) -> Server {
    Server::of(settings::engine(), ctx)
}

/// Cancels a request in flight.
///
/// # Safety
/// The pointers may have any value. If `event` is writable, it may be written.
pub unsafe fn cancel(ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result {
    // SAFETY: the same contract.
    unsafe {
        match settings::is_kernel_only() {
            true => KernelAio.cancel(ctx, iocb, event),
            false => engine_of(ctx).cancel(ctx, iocb, event),
        }
    }
}

/// Destroys a context after all requests in flight have completed. Threads that wait for events
/// return with the events that they have, or with `EINVAL`.
///
/// # Safety
/// Buffers of requests in flight belong to the engine until this returns.
pub unsafe fn destroy(ctx: io_context_t) -> Result {
    let address = ctx as usize;
    // SAFETY: the same contract.
    let destroy = || unsafe {
        match settings::is_kernel_only() {
            true => KernelAio.destroy(ctx),
            false => engine_of(ctx).destroy(ctx),
        }
    };
    let Some(entry) = registry::find(address) else {
        return destroy();
    };
    let retired = entry.retire(address);
    let answer = match entry.enter(address, this_call()) {
        Ok(Some(reader)) => {
            let answer = destroy();
            // Another thread had already destroyed the ring. This call has destroyed a later ring
            // at the same address, which was listed in the meantime.
            if answer.is_ok() && !retired {
                entry.retire(address);
            }
            reader.leave();
            answer
        }
        // Another thread has destroyed the ring, and the entry belongs to another one.
        Ok(None) => return Err(Errno::EINVAL),
        // An owner does not release the lock. Destroy without the lock, as the original does.
        Err(_) => destroy(),
    };
    // EINVAL means that there is no such context. Other errors come only from sandboxes, and the
    // context still exists.
    if retired && !matches!(answer, Ok(_) | Err(Errno::EINVAL)) {
        entry.reinstate(address);
    }
    answer
}

#[inline(always)]
fn this_call() -> Call {
    Call::at(restartable::stack_pointer())
}
