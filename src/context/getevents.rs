//! How events are reaped: from the ring if enough are ready, otherwise by the kernel.
//!
//! 1. A poll (a timeout of zero) of an empty ring returns 0, whatever the other arguments are. Like
//!    the original, it takes no lock.
//! 2. If at least `min_nr` events, and at least one, are ready, and the kernel would accept the
//!    arguments, the owner of the ring's lock copies them from the ring.
//! 3. In all other cases the kernel is entered: to wait, to return an error, or because of a signal
//!    mask. A signal that the mask lets through must be delivered even if events are ready.

use super::lock::{Owner, Reader};
use super::registry::{self, Listed};
use super::this_call;
use crate::abi::{io_context_t, io_event};
use crate::address::is_plausible;
use crate::aio_ring::{Completions, Ring};
use crate::engine::{Engine, GetEvents, KernelAio, Wanted};
use crate::errno::{into_c, Errno, Result};
use crate::settings;
use crate::sys::aio;
use crate::sys::restartable::{Area, Section};
use crate::timeout::Timeout;
use core::ptr::{null, null_mut};
use core::sync::atomic::AtomicUsize;
use libc::{c_int, c_long};

/// How often sections are repeated before the kernel is entered.
const TRIES: u32 = 8;

/// What the timeout asks for.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Poll,
    Wait,
    /// The kernel returns `EFAULT`.
    Unreadable,
}

/// The result of [`Wanted::take`].
enum Taken {
    Events(c_int),
    Empty,
    /// Fewer than `min_nr` are ready.
    TooFew,
    /// The kernel must decide: the ring is retired, or its header is not as expected.
    Unknown,
    /// A section was aborted, and had no effect.
    Aborted,
    /// Another call has taken the lock, and nothing was done.
    LockLost,
}

/// The result of [`Wanted::take_or_enter`].
enum Outcome {
    Answer(c_int),
    /// The kernel must be entered, as this reader.
    Enter(Reader<'static, AtomicUsize>),
    /// Another call has taken the lock.
    LockLost,
}

/// [`Wanted::getevents`] without a signal mask. The common cases come first: a poll of an empty
/// ring, and a ring that no other thread uses. The slow paths are tail calls with unchanged
/// arguments, so the common path needs no stack frame.
///
/// # Safety
/// As [`Wanted::getevents`].
#[inline(always)]
pub unsafe fn getevents<T: Timeout + GetEvents>(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *const T,
) -> c_int {
    let wanted = Wanted {
        ctx,
        min_nr,
        nr,
        events,
        timeout,
        mask: None,
    };
    if let Some(entry) = registry::find_inline(ctx as usize) {
        // SAFETY: the same contract.
        let when = unsafe { wanted.when() };
        // SAFETY: the same contract.
        if when == When::Poll && unsafe { wanted.is_live_and_empty(entry) } {
            return 0;
        }
        if let Some(owner) = wanted.try_own(entry, when) {
            // SAFETY: this call owns the lock of the ring's entry.
            match unsafe { wanted.take(entry, &owner) } {
                Taken::Events(count) => {
                    owner.release();
                    return count;
                }
                Taken::Empty | Taken::TooFew if when == When::Wait => {
                    if let Some(reader) = owner.into_reader() {
                        // SAFETY: the same contract.
                        return unsafe { wait(ctx, min_nr, nr, events, timeout, reader) };
                    }
                }
                _ => owner.release(),
            }
        }
    }
    // SAFETY: the same contract.
    unsafe { getevents_slow(ctx, min_nr, nr, events, timeout) }
}

/// Enters the kernel as a reader of the ring's lock, to wait.
///
/// # Safety
/// As [`Wanted::getevents`].
#[inline(never)]
unsafe fn wait<T: Timeout + GetEvents>(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *const T,
    reader: Reader<'static, AtomicUsize>,
) -> c_int {
    let wanted = Wanted {
        ctx,
        min_nr,
        nr,
        events,
        timeout,
        mask: None,
    };
    if !settings::is_kernel_only() {
        // SAFETY: the same contract.
        return unsafe { wait_in_engine(&wanted, reader) };
    }
    // SAFETY: the same contract.
    let answer = unsafe { KernelAio.wait(&wanted) };
    reader.leave();
    into_c(answer)
}

/// The same with any engine.
///
/// # Safety
/// As [`Wanted::getevents`].
#[cold]
#[inline(never)]
unsafe fn wait_in_engine<T: Timeout + GetEvents>(
    wanted: &Wanted<T>,
    reader: Reader<'static, AtomicUsize>,
) -> c_int {
    // SAFETY: the same contract.
    let answer = unsafe { super::wait_in_engine(wanted) };
    reader.leave();
    into_c(answer)
}

/// [`Wanted::getevents`] without a signal mask, for the cases that [`getevents`] does not handle.
///
/// # Safety
/// As [`Wanted::getevents`].
#[inline(never)]
pub unsafe fn getevents_slow<T: Timeout + GetEvents>(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *const T,
) -> c_int {
    let wanted = Wanted {
        ctx,
        min_nr,
        nr,
        events,
        timeout,
        mask: None,
    };
    // SAFETY: the same contract.
    into_c(unsafe { wanted.getevents() })
}

impl<T: Timeout + GetEvents> Wanted<T> {
    /// Reaps events, and waits for them if necessary.
    ///
    /// # Safety
    /// `timeout` must be NULL, readable, or not a user-space address. `events` must be NULL, have
    /// room for `nr`, or not be a user-space address.
    pub unsafe fn getevents(self) -> Result {
        match registry::find_or_count(self.ctx as usize) {
            // SAFETY: the same contract.
            Ok(entry) => unsafe { self.getevents_listed(entry) },
            Err(counted) => {
                // SAFETY: the same contract.
                let answer = match unsafe { self.is_unlisted_poll_of_empty() } {
                    true => Ok(0),
                    // SAFETY: the same contract.
                    false => unsafe { self.enter_kernel() },
                };
                counted.leave();
                answer
            }
        }
    }

    /// For a listed handle. A call that has lost the lock twice enters the kernel.
    ///
    /// # Safety
    /// As [`Wanted::getevents`].
    unsafe fn getevents_listed(&self, entry: Listed) -> Result {
        // SAFETY: the same contract.
        let when = unsafe { self.when() };
        // SAFETY: the same contract.
        if when == When::Poll && unsafe { self.is_live_and_empty(entry) } {
            return Ok(0);
        }
        if let Some(area) = self.area_to_own(when) {
            for _ in 0..2 {
                let Ok(owner) = entry.lock.own(this_call(), area) else {
                    break;
                };
                // SAFETY: the same contract.
                match unsafe { self.take_or_enter(entry, owner, when == When::Poll) } {
                    Outcome::Answer(count) => return Ok(count),
                    // SAFETY: the same contract.
                    Outcome::Enter(reader) => unsafe { return self.enter(entry, reader) },
                    Outcome::LockLost => {}
                }
            }
        }
        if !Area::are_used() {
            // No call takes events in this process, so readers need not be counted.
            // SAFETY: the same contract.
            return unsafe { self.enter_kernel() };
        }
        match entry.lock.enter(this_call()) {
            // SAFETY: the same contract.
            Ok(reader) => unsafe { self.enter(entry, reader) },
            // As if a signal had arrived: the events stay in the ring.
            Err(_) if self.is_valid() => Err(Errno::EINTR),
            Err(_) => Err(Errno::EINVAL),
        }
    }

    /// Takes events as the owner, repeating aborted sections. Otherwise becomes a reader.
    ///
    /// # Safety
    /// As [`Wanted::getevents`].
    #[inline(never)]
    unsafe fn take_or_enter(
        &self,
        entry: Listed,
        owner: Owner<'static, AtomicUsize>,
        polls: bool,
    ) -> Outcome {
        for _ in 0..TRIES {
            // SAFETY: this call owns the lock of the ring's entry.
            match unsafe { self.take(entry, &owner) } {
                Taken::Events(count) => {
                    owner.release();
                    return Outcome::Answer(count);
                }
                Taken::Empty if polls => {
                    owner.release();
                    return Outcome::Answer(0);
                }
                Taken::Aborted => {}
                Taken::LockLost => return Outcome::LockLost,
                Taken::Empty | Taken::TooFew | Taken::Unknown => break,
            }
        }
        match owner.into_reader() {
            Some(reader) => Outcome::Enter(reader),
            None => Outcome::LockLost,
        }
    }

    /// Enters the kernel as a reader, if the entry still belongs to this ring.
    ///
    /// # Safety
    /// As [`Wanted::getevents`].
    unsafe fn enter(&self, entry: Listed, reader: Reader<'static, AtomicUsize>) -> Result {
        let Some(reader) = entry.confirm(self.ctx as usize, reader) else {
            return Err(Errno::EINVAL); // the ring was destroyed during the call
        };
        // SAFETY: the same contract.
        let answer = unsafe { self.enter_kernel() };
        reader.leave();
        answer
    }

    /// Makes the system call, or calls the engine that serves the handle.
    ///
    /// # Safety
    /// As [`Wanted::getevents`].
    unsafe fn enter_kernel(&self) -> Result {
        // SAFETY: the same contract.
        unsafe {
            match settings::is_kernel_only() {
                true => KernelAio.wait(self),
                false => super::wait_in_engine(self),
            }
        }
    }

    /// Reads the timeout.
    ///
    /// # Safety
    /// It must be NULL, readable, or not a user-space address.
    #[inline(always)]
    unsafe fn when(&self) -> When {
        if self.timeout.is_null() {
            return When::Wait;
        }
        if !is_plausible(self.timeout) {
            return When::Unreadable;
        }
        // SAFETY: the caller's promise. It may be unaligned, in a packed structure.
        if unsafe { self.timeout.read_unaligned() }.is_zero() {
            When::Poll
        } else {
            When::Wait
        }
    }

    /// Whether the ring of a listed context is mapped and empty.
    ///
    /// # Safety
    /// No other thread may destroy the context during this poll. The original would crash, too.
    #[inline(always)]
    unsafe fn is_live_and_empty(&self, entry: Listed) -> bool {
        // SAFETY: a live entry's ring is mapped, and the caller promises that it stays mapped.
        entry.is_live(self.ctx as usize) && unsafe { is_empty(self.ctx) }
    }

    /// Whether the kernel would accept the numbers.
    #[inline(always)]
    fn is_valid(&self) -> bool {
        0 <= self.min_nr && self.min_nr <= self.nr
    }

    /// This thread's area, if events may be taken in user space: the kernel would accept the
    /// arguments, and there is no signal mask.
    #[inline(always)]
    fn area_to_own(&self, when: When) -> Option<Area> {
        let may = self.is_valid()
            && self.nr > 0
            && self.mask.map_or(true, |mask| mask.is_null())
            && when != When::Unreadable
            && is_plausible(self.events);
        if may {
            Area::of_this_thread()
        } else {
            None
        }
    }

    #[inline(always)]
    fn try_own(&self, entry: Listed, when: When) -> Option<Owner<'static, AtomicUsize>> {
        entry.lock.try_own(this_call(), self.area_to_own(when)?)
    }

    /// Takes up to `nr` ready events, or none if fewer than `min_nr` are ready.
    ///
    /// # Safety
    /// As [`Wanted::getevents`]; and `owner` is, or was, the owner of the entry's lock.
    #[inline(always)]
    unsafe fn take(&self, entry: Listed, owner: &Owner<'static, AtomicUsize>) -> Taken {
        if !entry.is_live(self.ctx as usize) {
            return Taken::Unknown;
        }
        // SAFETY: while a call owns the lock of a live entry, its ring is mapped.
        let ready = match unsafe { Completions::at(self.ctx, owner) } {
            Ok(Some(ready)) => ready,
            Ok(None) => return Taken::Unknown,
            Err(Section::NotOwner) => return Taken::LockLost,
            Err(_) => return Taken::Aborted,
        };
        if ready.count == 0 {
            return Taken::Empty;
        }
        if (ready.count as c_long) < self.min_nr {
            return Taken::TooFew;
        }
        let count = (ready.count as c_long).min(self.nr) as u32;
        // SAFETY: `count` is at most the number of ready events, and `events` has room for `nr`.
        match unsafe { ready.take(self.ctx, owner, count, self.events) } {
            Section::Done => Taken::Events(count as c_int),
            Section::NotOwner => Taken::LockLost,
            Section::Aborted => Taken::Aborted,
        }
    }

    /// Whether this is a poll of an empty ring whose handle is not listed. Like the original, this
    /// reads the ring of a live context that the program created with the raw system call or moved,
    /// and, in a forked child, a ring of the parent's, if it is mapped there.
    ///
    /// # Safety
    /// As [`Wanted::getevents`].
    unsafe fn is_unlisted_poll_of_empty(&self) -> bool {
        let address = self.ctx as usize;
        // Rings are page-aligned. Check that first, because a sandbox may answer 0 to any system
        // call, and before reading the timeout, as the original does.
        let may_be_ring = is_plausible(self.ctx) && address % 4096 == 0;
        // SAFETY: the caller promises that the timeout is readable. A ring is mapped at the handle,
        // unless the program destroys it now, and then the original would crash, too.
        may_be_ring
            && unsafe {
                self.when() == When::Poll
                    && match super::engine_of(self.ctx).is_empty(self.ctx) {
                        Some(empty) => empty,
                        None => {
                            (is_known_to_kernel(self.ctx)
                                || registry::was_of_parent(address) && is_mapped(self.ctx))
                                && is_empty(self.ctx)
                        }
                    }
            }
    }
}

/// Whether a handle is a live context: whether a call that neither waits nor reaps finds it.
///
/// # Safety
/// Only the kernel may be moving the ring's head, because the call stores it.
unsafe fn is_known_to_kernel(ctx: io_context_t) -> bool {
    // SAFETY: for 0 events, the kernel writes nothing.
    let answer = unsafe { aio::io_getevents(ctx, 0, 0, null_mut(), null()) };
    // EINTR: the kernel checks for signals after it has found the context.
    matches!(answer, Ok(_) | Err(Errno::EINTR))
}

/// Whether the ring of a parent's context is mapped in this child. It is not since Linux 7.1, or if
/// the parent has destroyed the context. Uses an io_setup() for 0 requests, which creates nothing:
/// it returns EFAULT if it cannot read the variable, and otherwise EINVAL.
fn is_mapped(ctx: io_context_t) -> bool {
    // SAFETY: for 0 requests, the kernel writes nothing.
    let answer = unsafe { aio::io_setup(0, ctx.cast()) };
    answer == Err(Errno::EINVAL)
}

/// Whether a ring has the known layout and is empty.
///
/// # Safety
/// A ring must be mapped at the handle.
#[inline(always)]
unsafe fn is_empty(ctx: io_context_t) -> bool {
    // SAFETY: the caller's promise.
    unsafe { Ring::at(ctx) }.is_some_and(Ring::is_empty)
}
