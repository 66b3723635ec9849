//! How completions are taken: from the ring if enough are there, otherwise by the kernel.
//!
//! 1. A poll, that is, a timeout of zero, of an empty ring is answered with 0, whatever the other
//!    arguments are, because the original does so.
//! 2. If at least `min_nr` completions and at least one are there, and the arguments are such that
//!    the kernel would take them too, they are taken.
//! 3. Everything else is the kernel's: waiting, errors, and signal masks, since a signal that the
//!    mask lets through must be delivered even if there are completions.

use super::gate::{Access, Alone, Counted, Entry, Look, Reaped, Stop};
use super::{listed, this_thread, Context};
use crate::c_abi::is_plausible;
use crate::c_abi::types::io_event;
use crate::errno::{Errno, Result};
use crate::kernel::{self, Ring, Timeout};
use core::ptr::{null, null_mut};
use core::sync::atomic::AtomicUsize;
use libc::{c_int, c_long};

/// What the timeout says.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Poll,
    Wait,
    /// The kernel answers `EFAULT`.
    Unreadable,
}

impl When {
    /// # Safety
    /// The timeout must be NULL, readable, or nothing that a program can map.
    #[inline(always)]
    unsafe fn of<T: Timeout>(timeout: *const T) -> When {
        if timeout.is_null() {
            return When::Wait;
        }
        if !is_plausible(timeout) {
            return When::Unreadable;
        }
        // SAFETY: the caller's promise. Programs may keep it in packed structures.
        if unsafe { timeout.read_unaligned() }.is_zero() {
            When::Poll
        } else {
            When::Wait
        }
    }
}

/// What a reap needs to know at the ring.
struct Reap {
    ctx: Context,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    /// The arguments are such that the kernel would take completions too, and there is no mask.
    may_take: bool,
    polls: bool,
}

/// Who answers.
enum Server {
    Ring(Result),
    Kernel,
    /// It must be asked while this thread is counted.
    KernelCounted(Counted<'static, AtomicUsize>),
}

impl Reap {
    #[inline(always)]
    fn new(
        ctx: Context,
        min_nr: c_long,
        nr: c_long,
        events: *mut io_event,
        when: When,
        masked: bool,
    ) -> Reap {
        Reap {
            ctx,
            min_nr,
            nr,
            events,
            may_take: 0 <= min_nr
                && min_nr <= nr
                && nr > 0
                && !masked
                && when != When::Unreadable
                && is_plausible(events),
            polls: when == When::Poll,
        }
    }

    /// For a listed ring, whoever else is there.
    #[inline(never)]
    fn serve(self, entry: Entry<'static, AtomicUsize>) -> Server {
        let address = self.ctx.0 as usize;
        let (polls, may_take) = (self.polls, self.may_take);
        if !entry.is_ours() {
            // SAFETY: a ring of the parent's, which a child has mapped until it unmaps it itself;
            // or nothing may be reaped here, and it is as with the original: the caller sees to it
            // that no other thread destroys the context during a poll.
            return match polls && entry.is_live(address) && unsafe { is_empty(self.ctx) } {
                true => Server::Ring(Ok(0)),
                false => Server::Kernel,
            };
        }
        let (min_nr, valid) = (self.min_nr, 0 <= self.min_nr && self.min_nr <= self.nr);
        match entry.reap(address, this_thread(), may_take, polls, self) {
            Ok(Reaped::Answered(count)) => Server::Ring(Ok(count)),
            Ok(Reaped::Entered(counted)) => Server::KernelCounted(counted),
            Err(Stop::Destroyed) => Server::Ring(Err(Errno::EINVAL)),
            // As if a signal had arrived before any completion.
            Err(Stop::Interrupted) => Server::Ring(match valid {
                _ if polls => Ok(0),
                true if min_nr == 0 => Ok(0),
                true => Err(Errno::EINTR),
                false => Err(Errno::EINVAL),
            }),
        }
    }
}

impl Look<c_int> for Reap {
    #[inline(always)]
    fn look(self, access: Access, may_move: impl FnOnce() -> bool) -> Option<c_int> {
        // SAFETY: the gate is held and the ring listed, so it is mapped, and stays so.
        let ring = unsafe { Ring::at(self.ctx.0) }?;
        if self.may_take && access == Access::Take {
            let there = ring.completions()?;
            if there.count > 0 && there.count as c_long >= self.min_nr {
                let count = (there.count as c_long).min(self.nr) as u32;
                // SAFETY: no more than there are, nor than there is room for; the gate keeps
                // everybody else off the head.
                let moved = unsafe { there.take(count, self.events, may_move) };
                return moved.then_some(count as c_int);
            }
        }
        (self.polls && ring.is_empty()).then_some(0)
    }
}

impl Context {
    /// The usual case of [`Context::reap`] in a few instructions, without a mask: no other thread is
    /// at the ring. After [`Alone::Entered`], [`Context::ask_counted`] must follow.
    ///
    /// # Safety
    /// As [`Context::reap`].
    #[inline(always)]
    pub unsafe fn reap_alone<T: Timeout>(
        self,
        min_nr: c_long,
        nr: c_long,
        events: *mut io_event,
        timeout: *const T,
    ) -> Alone<c_int> {
        let address = self.0 as usize;
        let Some(entry) = listed::find_inline(address) else {
            return Alone::Not;
        };
        // SAFETY: the same contract.
        let when = unsafe { When::of(timeout) };
        let reap = Reap::new(self, min_nr, nr, events, when, false);
        if !reap.may_take && !reap.polls {
            return Alone::Not;
        }
        entry.reap_alone(address, this_thread(), reap)
    }

    /// Asks the kernel, for a thread that [`Context::reap_alone`] has left counted. Until it is
    /// counted off, the entry stays that of this ring.
    pub fn ask_counted(self, ask_kernel: impl Fn() -> Result) -> Result {
        let answer = ask_kernel();
        if let Some(entry) = listed::find(self.0 as usize) {
            entry.counted().leave();
        }
        answer
    }

    /// Takes completions; `ask_kernel` makes the system call that is meant, with a signal mask if
    /// `masked`.
    ///
    /// # Safety
    /// `timeout` must be NULL, readable, or nothing that a program can map. `events` must be NULL,
    /// have room for `nr`, or be nothing that a program can map.
    pub unsafe fn reap<T: Timeout>(
        self,
        min_nr: c_long,
        nr: c_long,
        events: *mut io_event,
        timeout: *const T,
        masked: bool,
        ask_kernel: impl Fn() -> Result,
    ) -> Result {
        let address = self.0 as usize;
        let found = match listed::find(address) {
            Some(entry) => Ok(entry),
            None => listed::find_or_count(address),
        };
        let entry = match found {
            Ok(entry) => entry,
            Err(counted) => {
                // SAFETY: the same contract.
                let answer = match unsafe { self.is_unlisted_poll_of_empty(timeout) } {
                    true => Ok(0),
                    false => ask_kernel(),
                };
                counted.leave();
                return answer;
            }
        };
        // SAFETY: the same contract.
        let when = unsafe { When::of(timeout) };
        match Reap::new(self, min_nr, nr, events, when, masked).serve(entry) {
            Server::Ring(answer) => answer,
            Server::Kernel => ask_kernel(),
            Server::KernelCounted(counted) => {
                let answer = ask_kernel();
                counted.leave();
                answer
            }
        }
    }

    /// Whether a handle that is not listed is polled and empty. If it is a live context all the
    /// same, one that the program made by the system call or moved, its ring is looked at, as the
    /// original does.
    ///
    /// # Safety
    /// As [`Context::reap`].
    #[cold]
    #[inline(never)]
    unsafe fn is_unlisted_poll_of_empty<T: Timeout>(self, timeout: *const T) -> bool {
        // A ring begins a page. So much is seen without the kernel, in whose place a sandbox may
        // answer 0 to anything; and before the timeout is read, as in the original.
        let may_be_ring = is_plausible(self.0) && self.0 as usize % 4096 == 0;
        // SAFETY: the caller's timeout; and the kernel knows the handle, so a ring is mapped
        // there, unless the program destroys it at this moment, which kills it with the original.
        may_be_ring
            && unsafe {
                When::of(timeout) == When::Poll && self.is_known_to_kernel() && is_empty(self)
            }
    }

    /// Asks with a call that can neither wait nor take an event.
    ///
    /// # Safety
    /// None but the kernel may be moving the ring's head: the call stores it anew.
    unsafe fn is_known_to_kernel(self) -> bool {
        // SAFETY: for 0 events nothing is written.
        let answer = unsafe { kernel::io_getevents(self.0, 0, 0, null_mut(), null()) };
        // The kernel looks for pending signals after it has found the context.
        matches!(answer, Ok(_) | Err(Errno::EINTR))
    }
}

/// Whether a ring is known to be empty.
///
/// # Safety
/// A ring must be mapped at the handle.
unsafe fn is_empty(ctx: Context) -> bool {
    // SAFETY: the caller's promise.
    unsafe { Ring::at(ctx.0) }.is_some_and(Ring::is_empty)
}
