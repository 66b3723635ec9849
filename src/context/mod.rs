//! Who serves a handle. This is the one place where that is decided: the C functions hand every
//! call to a [`Context`], and everything behind it is one of the servers.
//!
//! Today there is one server, kernel AIO, and one question: may the ring at the handle be looked
//! at without asking the kernel? For rings that this library set up and that are still listed the
//! answer is yes. Any other handle, be it a context that the program made with the raw system
//! call, a ring moved by `mremap(2)`, a context already destroyed, or a number that never was one,
//! is the kernel's to judge.

mod listed;

use crate::c_abi::is_plausible;
use crate::c_abi::types::{io_context_t, io_event, iocb};
use crate::errno::{Errno, Result};
use crate::kernel::{self, Ring};
use core::ptr::{null, null_mut};
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
            listed::add(unsafe { ctxp.read_unaligned() });
        }
        Ok(answer)
    }

    /// Destroys the context, after everything in flight has completed.
    ///
    /// # Safety
    /// No other thread may poll the context with a zero timeout meanwhile, as with the original:
    /// its ring goes away.
    pub unsafe fn destroy(self) -> Result {
        // First out of the list, so that whoever finds it there finds a mapped ring.
        let was_listed = listed::remove(self.0);
        // SAFETY: the same contract.
        let answer = unsafe { kernel::io_destroy(self.0) };
        // A forked child may not destroy its parent's contexts, but still has their rings mapped.
        if was_listed && answer.is_err() {
            listed::add(self.0);
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

    /// Takes completions. `polls` says that the timeout is zero, and `ask_kernel` makes the
    /// system call that is meant.
    ///
    /// A poll of an empty ring is answered here, whatever the other arguments are, because the
    /// original does so: 0, without a system call.
    ///
    /// # Safety
    /// As [`Context::destroy`]: no other thread may destroy the context during a poll.
    pub unsafe fn reap(self, polls: bool, ask_kernel: impl FnOnce() -> Result) -> Result {
        // SAFETY: the same contract.
        if polls && unsafe { self.is_empty() } {
            return Ok(0);
        }
        ask_kernel()
    }

    /// Whether this is a live context whose ring is empty. Never reads through a bad handle.
    ///
    /// # Safety
    /// As [`Context::destroy`].
    unsafe fn is_empty(self) -> bool {
        (listed::contains(self.0) || self.is_live()) && {
            // SAFETY: the kernel knows the handle, so a ring is mapped there, unless it is
            // destroyed at this moment, which the caller excludes.
            let ring = unsafe { Ring::at(self.0) };
            ring.has_known_layout() && ring.is_empty()
        }
    }

    /// Asks the kernel, with a call that can neither wait nor take an event.
    fn is_live(self) -> bool {
        // A ring begins a page. So much is seen without the kernel, in whose place a sandbox may
        // answer 0 to anything.
        if !is_plausible(self.0) || self.0 as usize % 4096 != 0 {
            return false;
        }
        // SAFETY: for 0 events nothing is written.
        let answer = unsafe { kernel::io_getevents(self.0, 0, 0, null_mut(), null()) };
        // The kernel looks for pending signals after it has found the context.
        matches!(answer, Ok(_) | Err(Errno::EINTR))
    }
}
