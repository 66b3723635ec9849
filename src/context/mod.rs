//! Contexts: which engine serves a handle, and what the ring in this process's memory answers
//! before the engine is asked. This is the one place where that is decided; the C functions hand
//! every call on to the functions below.
//!
//! The ring answers for contexts that this library set up and that are still listed
//! (`getevents.rs`, `registry.rs`). For any other handle the engine is asked: for a context that
//! the program created with the raw system call, a ring moved by `mremap(2)`, a context that was
//! destroyed, or a number that never was one. A handle may be anything at all.
//!
//! The engine is the kernel's AIO, unless the environment allows another (`settings.rs`); then the
//! handle is looked up.

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
pub use getevents::{getevents, getevents_beside_others};
use libc::{c_int, c_long};
use lock::Call;

/// Makes a context, and writes its handle to `*ctxp`.
///
/// # Safety
/// `ctxp` may be any address; if it is writable, the caller lets it be written.
pub unsafe fn set_up(maxevents: c_int, ctxp: *mut io_context_t) -> Result {
    registry::load();
    // SAFETY: the same contract.
    let rung = unsafe { engine::set_up(settings::engine(), maxevents, ctxp) }?;
    // Not one whose events are in two places.
    if rung != Rung::ShortRing {
        // SAFETY: the handle has just been written there.
        let address = unsafe { engine::handle_at(ctxp) } as usize;
        if address != 0 {
            registry::add(address, this_call());
        }
    }
    Ok(0)
}

/// Queues requests. The answer is in libaio's convention: the slow path is then a tail call, and
/// the usual one is the system call and two instructions.
///
/// # Safety
/// The pointers may be anything; buffers of accepted requests belong to the engine until their
/// events arrive.
#[inline(always)]
pub unsafe fn submit(ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> c_int {
    // SAFETY: the same contract.
    unsafe {
        match settings::is_kernel_only() {
            true => into_c(KernelAio.submit(ctx, nr, iocbs)),
            false => submit_to_server(ctx, nr, iocbs),
        }
    }
}

/// # Safety
/// As [`submit`].
#[cold]
#[inline(never)]
unsafe fn submit_to_server(ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> c_int {
    // SAFETY: the same contract.
    into_c(unsafe { server_of(ctx).submit(ctx, nr, iocbs) })
}

/// Waits for events of a context that the kernel may not serve.
///
/// # Safety
/// As [`Engine::wait`].
#[cold]
#[inline(never)]
unsafe fn wait_for_server<T: Timeout + GetEvents>(wanted: &Wanted<T>) -> Result {
    // SAFETY: the same contract.
    unsafe { server_of(wanted.ctx).wait(wanted) }
}

#[inline(never)]
fn server_of(ctx: io_context_t) -> Server {
    Server::of(settings::engine(), ctx)
}

/// Asks for a request in flight to be cancelled.
///
/// # Safety
/// The pointers may be anything.
pub unsafe fn cancel(ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result {
    // SAFETY: the same contract.
    unsafe {
        match settings::is_kernel_only() {
            true => KernelAio.cancel(ctx, iocb, event),
            false => server_of(ctx).cancel(ctx, iocb, event),
        }
    }
}

/// Destroys a context, after everything in flight has completed. Threads that wait for its events
/// get them, or `EINVAL`.
///
/// # Safety
/// Buffers of requests in flight are the kernel's until this returns.
pub unsafe fn destroy(ctx: io_context_t) -> Result {
    let address = ctx as usize;
    // SAFETY: the same contract.
    let destroy = || unsafe {
        match settings::is_kernel_only() {
            true => KernelAio.destroy(ctx),
            false => server_of(ctx).destroy(ctx),
        }
    };
    let Some(entry) = registry::find(address) else {
        return destroy();
    };
    let retired = entry.retire(address);
    let answer = match entry.enter(address, this_call()) {
        Ok(Some(reader)) => {
            let answer = destroy();
            // Another thread had destroyed the ring already, and this call a later one at the same
            // address, which was listed meanwhile.
            if answer.is_ok() && !retired {
                entry.retire(address);
            }
            reader.leave();
            answer
        }
        // Destroyed by another thread, and the entry is another ring's.
        Ok(None) => return Err(Errno::EINVAL),
        // An owner that does not give the lock up: as the original does, without asking.
        Err(_) => destroy(),
    };
    // After EINVAL there is no such context; after any other error, which only a sandbox gives,
    // there is.
    if retired && !matches!(answer, Ok(_) | Err(Errno::EINVAL)) {
        entry.reinstate(address);
    }
    answer
}

#[inline(always)]
fn this_call() -> Call {
    Call::at(restartable::stack_pointer())
}
