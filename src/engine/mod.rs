//! The engines, which serve contexts. Each implements the five operations of [`Engine`].
//!
//! `context` decides which engine serves a handle, and takes ready events from the ring before it
//! calls an engine. Kernel AIO (`kernel_aio.rs`) is the only engine, unless the environment allows
//! the others, which serve what the kernel refuses. Their files, each of which imports only from
//! those below it, and the items of this file:
//!
//! | file | |
//! |---|---|
//! | `ladder.rs` | io_setup(): chooses the engine of a new context |
//! | `short_ring.rs` | the engine of kernel contexts with a smaller ring |
//! | `inline.rs` | the engine of contexts without the kernel |
//! | `request.rs` | io_submit(): checks one iocb, carries it out in this thread, adds its event |
//! | `read_write.rs` | carries out a read or write |
//! | `refusal.rs` | whether an error refuses the request, or is the result in its event |
//! | `transfer.rs` | the system calls for a read or write |
//! | `eventfd.rs` | adds 1 to the eventfd of a request |
//! | `wait.rs` | io_getevents(): takes events, and waits for them |
//! | `context_ref.rs` | a thread's reference to a context, for adding and taking events |
//! | `context_table.rs` | the table of the contexts |
//! | `event_queue.rs` | the lock for the events, the room for them, the waiting threads |
//! | `ring_size.rs` | the size of a ring, and the number of requests that it has room for |
//!
//! The events are in a ring of the library's own (`LibraryRing` in `aio_ring.rs`). io_getevents()
//! copies them from there like from the kernel's ring: in user space as the owner of its lock
//! (`context/getevents.rs`), or else in `wait.rs`.

mod context_ref;
mod context_table;
mod event_queue;
mod eventfd;
mod inline;
mod kernel_aio;
mod ladder;
mod read_write;
mod refusal;
mod request;
mod ring_size;
mod short_ring;
mod transfer;
mod wait;

use crate::abi::{io_context_t, io_event, iocb};
use crate::errno::Result;
use crate::settings::Mode;
use crate::timeout::Timeout;
use inline::Inline;
pub use kernel_aio::{GetEvents, KernelAio};
pub use ladder::{read_handle, set_up, Rung};
use libc::{c_int, c_long, sigset_t};
use short_ring::ShortRing;

/// The arguments of io_getevents() and io_pgetevents(), with either form of the timeout.
#[derive(Clone, Copy)]
pub struct ReapArgs<T> {
    pub ctx: io_context_t,
    pub min_nr: c_long,
    pub nr: c_long,
    pub events: *mut io_event,
    pub timeout: *const T,
    /// None for io_getevents(). The mask of io_pgetevents() may be NULL.
    pub mask: Option<*const sigset_t>,
}

/// The five operations. Pointers may have any value, unless a function says otherwise.
pub trait Engine: Copy {
    /// Creates a context, and writes its handle to `*ctxp`.
    ///
    /// # Safety
    /// If `ctxp` is writable, it may be written.
    unsafe fn set_up(self, maxevents: c_int, ctxp: *mut io_context_t) -> Result;

    /// Submits requests.
    ///
    /// # Safety
    /// Buffers of accepted requests belong to the engine until their events arrive.
    unsafe fn submit(self, ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result;

    /// Reaps events, and waits for them if necessary.
    ///
    /// # Safety
    /// If `events` is writable, it must have room for `nr`.
    unsafe fn wait<T: Timeout + GetEvents>(self, args: &ReapArgs<T>) -> Result;

    /// Cancels a request in flight.
    ///
    /// # Safety
    /// If `event` is writable, it may be written.
    unsafe fn cancel(self, ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result;

    /// Destroys the context after all requests in flight have completed.
    ///
    /// # Safety
    /// Buffers of requests in flight belong to the engine until this returns.
    unsafe fn destroy(self, ctx: io_context_t) -> Result;
}

/// Must be called when the library is loaded, if the environment allows more than kernel AIO.
pub fn prepare() {
    context_table::prepare();
    crate::sys::user_memory::prepare();
    ladder::prepare();
}

/// The engine that serves a handle, if the environment allows more than kernel AIO.
#[derive(Clone, Copy)]
pub enum AnyEngine {
    /// The handle is not in the table, and may have any value. Kernel AIO may be refused.
    Kernel,
    ShortRing(ShortRing),
    /// Without a context if the handle is unknown and kernel AIO must not be called, because some
    /// sandboxes kill the program for it.
    Inline(Inline),
}

impl AnyEngine {
    /// Looks the handle up in the table.
    pub fn of(mode: Mode, ctx: io_context_t) -> AnyEngine {
        match context_table::find(ctx) {
            Some(entry) if entry.is_inline(ctx) => AnyEngine::Inline(Inline(Some(entry))),
            Some(entry) => AnyEngine::ShortRing(ShortRing(entry)),
            None if mode == Mode::Inline => AnyEngine::Inline(Inline(None)),
            None => AnyEngine::Kernel,
        }
    }

    /// Whether no event is ready. None if only the kernel can tell.
    ///
    /// # Safety
    /// No other thread may destroy the context during the call.
    pub unsafe fn is_empty(self, ctx: io_context_t) -> Option<bool> {
        match self {
            AnyEngine::Kernel => None,
            // SAFETY: the same contract.
            AnyEngine::ShortRing(ring) => Some(unsafe { ring.is_empty(ctx) }),
            AnyEngine::Inline(Inline(entry)) => {
                // SAFETY: the same contract.
                Some(entry.is_some_and(|entry| unsafe { entry.is_empty() }))
            }
        }
    }
}

/// Calls an operation of the engine.
macro_rules! call_engine {
    ($server:expr, $engine:ident => $call:expr) => {
        match $server {
            AnyEngine::Kernel => {
                let $engine = KernelAio;
                match $call {
                    // There is no kernel AIO. Return what it would return for an unknown handle.
                    Err(error) if kernel_aio::is_refused(error) => {
                        let $engine = Inline(None);
                        $call
                    }
                    answer => answer,
                }
            }
            AnyEngine::ShortRing($engine) => $call,
            AnyEngine::Inline($engine) => $call,
        }
    };
}

impl Engine for AnyEngine {
    unsafe fn set_up(self, maxevents: c_int, ctxp: *mut io_context_t) -> Result {
        // SAFETY: the same contract.
        call_engine!(self, engine => unsafe { engine.set_up(maxevents, ctxp) })
    }

    unsafe fn submit(self, ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result {
        // SAFETY: the same contract.
        call_engine!(self, engine => unsafe { engine.submit(ctx, nr, iocbs) })
    }

    unsafe fn wait<T: Timeout + GetEvents>(self, args: &ReapArgs<T>) -> Result {
        // SAFETY: the same contract.
        call_engine!(self, engine => unsafe { engine.wait(args) })
    }

    unsafe fn cancel(self, ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result {
        // SAFETY: the same contract.
        call_engine!(self, engine => unsafe { engine.cancel(ctx, iocb, event) })
    }

    unsafe fn destroy(self, ctx: io_context_t) -> Result {
        // SAFETY: the same contract.
        call_engine!(self, engine => unsafe { engine.destroy(ctx) })
    }
}
