//! Who serves a handle. This is the one place where that is decided: the C functions hand every
//! call to a [`Context`], and everything behind it is one of the servers.
//!
//! Completions have two servers: the ring, which is in this process's memory, and the kernel. The
//! ring serves contexts that this library set up and that are still listed (`getevents.rs`). Any other
//! handle, be it a context that the program made with the raw system call, a ring moved by
//! `mremap(2)`, a context already destroyed, or a number that never was one, is the kernel's.

mod entry;
mod getevents;
mod lock;
mod registry;

use crate::c_abi::is_plausible;
use crate::c_abi::types::{io_context_t, io_event, iocb};
use crate::errno::{Errno, Result};
use crate::kernel::{self, restartable};
pub use getevents::{getevents, getevents_beside_others, Request};
use libc::{c_int, c_long};
use lock::Call;

/// A handle as the program gave it: anything at all.
#[derive(Clone, Copy)]
pub struct Context(pub io_context_t);

impl Context {
    /// Makes a context; the kernel writes its handle to `*ctxp`.
    ///
    /// # Safety
    /// `ctxp` may be any address; if it is writable, the caller lets it be written.
    pub unsafe fn set_up(maxevents: c_int, ctxp: *mut io_context_t) -> Result {
        // SAFETY: the same contract.
        let answer = unsafe { kernel::io_setup(maxevents, ctxp) }?;
        // A sandbox may answer 0 without making the call; then the address was never looked at.
        if is_plausible(ctxp) {
            // SAFETY: the kernel has just read and written there.
            let address = unsafe { ctxp.read_unaligned() } as usize;
            if address != 0 {
                registry::add(address, this_call());
            }
        }
        Ok(answer)
    }

    /// Destroys the context, after everything in flight has completed. Threads that reap it get
    /// events or `EINVAL`.
    ///
    /// # Safety
    /// The handle may be anything; buffers of requests in flight are the kernel's until this
    /// returns.
    pub unsafe fn destroy(self) -> Result {
        let address = self.0 as usize;
        // SAFETY: the same contract.
        let ask_kernel = || unsafe { kernel::io_destroy(self.0) };
        let Some(entry) = registry::find(address) else {
            return ask_kernel();
        };
        let retired = entry.retire(address);
        let answer = match entry.enter(address, this_call()) {
            Ok(Some(reader)) => {
                let answer = ask_kernel();
                reader.leave();
                answer
            }
            // Destroyed by another thread, and the entry is another ring's.
            Ok(None) => return Err(Errno::EINVAL),
            // An owner that cannot be told to go: as the original does, without asking.
            Err(_) => ask_kernel(),
        };
        // After EINVAL there is no such context; after any other error, which only a sandbox
        // gives, there is.
        if retired && !matches!(answer, Ok(_) | Err(Errno::EINVAL)) {
            entry.reinstate(address);
        }
        answer
    }

    /// Queues requests.
    ///
    /// # Safety
    /// The pointers may be anything; buffers of accepted requests belong to the kernel until
    /// their events arrive.
    pub unsafe fn submit(self, nr: c_long, iocbs: *mut *mut iocb) -> Result {
        // SAFETY: the same contract.
        unsafe { kernel::io_submit(self.0, nr, iocbs) }
    }

    /// Asks for a request in flight to be cancelled.
    ///
    /// # Safety
    /// The pointers may be anything.
    pub unsafe fn cancel(self, iocb: *mut iocb, event: *mut io_event) -> Result {
        // SAFETY: the same contract.
        unsafe { kernel::io_cancel(self.0, iocb, event) }
    }
}

#[inline(always)]
fn this_call() -> Call {
    Call::at(restartable::stack_pointer())
}
