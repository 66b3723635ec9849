//! Who serves a handle. This is the one place where that is decided: the C functions hand every
//! call to a [`Context`], and everything behind it is one of the servers.
//!
//! Completions have two servers: the ring, which is in this process's memory, and the kernel. The
//! ring serves contexts that this library set up and that are still listed (`reap.rs`). Any other
//! handle, be it a context that the program made with the raw system call, a ring moved by
//! `mremap(2)`, a context already destroyed, or a number that never was one, is the kernel's.

mod gate;
mod listed;
mod reap;

use crate::c_abi::is_plausible;
use crate::c_abi::types::{io_context_t, io_event, iocb};
use crate::errno::{Errno, Result};
use crate::kernel;
pub use gate::Alone;
use gate::{Stop, Thread};
use libc::{c_int, c_long};

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
                listed::add(address, this_thread());
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
        let Some(entry) = listed::find(address) else {
            return ask_kernel();
        };
        // A forked child may not destroy its parent's contexts, but still has their rings mapped.
        if !entry.is_ours() {
            let answer = ask_kernel();
            if answer.is_ok() {
                entry.mark_gone(address);
            }
            return answer;
        }
        // After EINVAL there is no such context; after any other error, which only a sandbox
        // gives, there is.
        let failed = |answer: &Result| !matches!(answer, Ok(_) | Err(Errno::EINVAL));
        match entry.destroy(address, this_thread(), ask_kernel, failed) {
            Ok(answer) => answer,
            Err(Stop::Destroyed) => Err(Errno::EINVAL),
            // The ring cannot go away under the reap that this call's signal handler interrupted.
            Err(Stop::Interrupted) => Err(Errno::EAGAIN),
        }
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
fn this_thread() -> Thread {
    Thread::with_pointer(kernel::thread_pointer())
}
