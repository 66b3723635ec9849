//! What serves contexts: one implementation of the five verbs each. So far there is one, kernel
//! AIO.
//!
//! `context` decides which engine serves a handle (the registry says), and what the ring in the
//! process's memory answers before an engine is asked.

mod kernel_aio;

use crate::abi::{io_context_t, io_event, iocb};
use crate::errno::Result;
use crate::timeout::Timeout;
pub use kernel_aio::{GetEvents, KernelAio};
use libc::{c_int, c_long, sigset_t};

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
