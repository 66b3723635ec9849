//! What serves contexts: one implementation of the five verbs each.
//!
//! `context` decides which engine serves a handle, and what the ring in the process's memory
//! answers before an engine is called. Unless the environment says otherwise, there is only kernel
//! AIO. The others serve what the kernel refuses (`ladder.rs`): both carry requests out in the
//! thread that submits them (`request.rs`, `transfer.rs`), and keep their events (`events.rs`) in
//! memory of their own, which a table lists (`served.rs`).

mod events;
mod in_line;
mod kernel_aio;
mod ladder;
mod machine;
mod request;
mod served;
mod short_ring;
mod transfer;

use crate::abi::{io_context_t, io_event, iocb};
use crate::errno::Result;
use crate::settings::Mode;
use crate::timeout::Timeout;
use in_line::InLine;
pub use kernel_aio::{GetEvents, KernelAio};
pub use ladder::{handle_at, set_up, Rung};
use libc::{c_int, c_long, sigset_t};
use short_ring::ShortRing;

/// What io_getevents() and io_pgetevents() are asked for, with either form of the timeout.
#[derive(Clone, Copy)]
pub struct Wanted<T> {
    pub ctx: io_context_t,
    pub min_nr: c_long,
    pub nr: c_long,
    pub events: *mut io_event,
    pub timeout: *const T,
    /// io_pgetevents() has one, which may be NULL.
    pub mask: Option<*const sigset_t>,
}

/// The five verbs. Pointers may be anything unless a function says otherwise.
pub trait Engine: Copy {
    /// Makes a context, and writes its handle to `*ctxp`.
    ///
    /// # Safety
    /// If `ctxp` is writable, the caller lets it be written.
    unsafe fn set_up(self, maxevents: c_int, ctxp: *mut io_context_t) -> Result;

    /// Queues requests.
    ///
    /// # Safety
    /// Buffers of accepted requests belong to the engine until their events arrive.
    unsafe fn submit(self, ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result;

    /// Takes completions, and waits for them.
    ///
    /// # Safety
    /// If `events` is writable, it has room for `nr`. `timeout` is readable wherever the engine
    /// finds it so.
    unsafe fn wait<T: Timeout + GetEvents>(self, wanted: &Wanted<T>) -> Result;

    /// Asks for a request in flight to be cancelled.
    ///
    /// # Safety
    /// If `event` is writable, the caller lets it be written.
    unsafe fn cancel(self, ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result;

    /// Destroys the context, after everything in flight has completed.
    ///
    /// # Safety
    /// Buffers of requests in flight are the engine's until this returns.
    unsafe fn destroy(self, ctx: io_context_t) -> Result;
}

/// To be called when the library is loaded, if the environment allows more than kernel AIO.
pub fn prepare() {
    served::prepare();
    crate::sys::user_memory::prepare();
    ladder::prepare();
}

/// The engine that serves a handle, where there is more than kernel AIO.
#[derive(Clone, Copy)]
pub enum Server {
    /// Kernel AIO, which may be refused: the handle may be anything.
    Kernel,
    ShortRing(ShortRing),
    /// Without a context where kernel AIO may not be called: some sandboxes kill for it.
    InLine(InLine),
}

impl Server {
    /// Looks the handle up.
    pub fn of(mode: Mode, ctx: io_context_t) -> Server {
        match served::find(ctx) {
            Some(entry) if entry.is_whole(ctx) => Server::InLine(InLine(Some(entry))),
            Some(entry) => Server::ShortRing(ShortRing(entry)),
            None if mode == Mode::InLine => Server::InLine(InLine(None)),
            None => Server::Kernel,
        }
    }

    /// Whether no event waits. None if only the kernel knows.
    ///
    /// # Safety
    /// The context is not destroyed meanwhile.
    pub unsafe fn is_empty(self, ctx: io_context_t) -> Option<bool> {
        match self {
            Server::Kernel => None,
            // SAFETY: the same contract.
            Server::ShortRing(ring) => Some(unsafe { ring.is_empty(ctx) }),
            Server::InLine(InLine(entry)) => {
                // SAFETY: the same contract.
                Some(entry.is_some_and(|entry| unsafe { entry.is_empty() }))
            }
        }
    }
}

macro_rules! serve {
    ($server:expr, $engine:ident => $call:expr) => {
        match $server {
            Server::Kernel => {
                let $engine = KernelAio;
                match $call {
                    // There is no kernel AIO; this is what it would say.
                    Err(error) if kernel_aio::is_refused(error) => {
                        let $engine = InLine(None);
                        $call
                    }
                    answer => answer,
                }
            }
            Server::ShortRing($engine) => $call,
            Server::InLine($engine) => $call,
        }
    };
}

impl Engine for Server {
    unsafe fn set_up(self, maxevents: c_int, ctxp: *mut io_context_t) -> Result {
        // SAFETY: the same contract.
        serve!(self, engine => unsafe { engine.set_up(maxevents, ctxp) })
    }

    unsafe fn submit(self, ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result {
        // SAFETY: the same contract.
        serve!(self, engine => unsafe { engine.submit(ctx, nr, iocbs) })
    }

    unsafe fn wait<T: Timeout + GetEvents>(self, wanted: &Wanted<T>) -> Result {
        // SAFETY: the same contract.
        serve!(self, engine => unsafe { engine.wait(wanted) })
    }

    unsafe fn cancel(self, ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result {
        // SAFETY: the same contract.
        serve!(self, engine => unsafe { engine.cancel(ctx, iocb, event) })
    }

    unsafe fn destroy(self, ctx: io_context_t) -> Result {
        // SAFETY: the same contract.
        serve!(self, engine => unsafe { engine.destroy(ctx) })
    }
}
