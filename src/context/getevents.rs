//! How completions are taken: from the ring if enough are there, otherwise by the kernel.
//!
//! 1. A poll, that is, a timeout of zero, of an empty ring is answered with 0, whatever the other
//!    arguments are, because the original does so; and like it without a lock.
//! 2. If at least `min_nr` completions and at least one are there, and the arguments are such that
//!    the kernel would take them too, they are copied from the ring by the owner of its lock.
//! 3. Everything else is the kernel's: waiting, errors, and signal masks, since a signal that the
//!    mask lets through must be delivered even if there are completions.

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

/// How often sections are tried anew before the kernel is entered.
const TRIES: u32 = 8;

/// What the timeout says.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Poll,
    Wait,
    /// The kernel answers `EFAULT`.
    Unreadable,
}

/// What one look at the ring by the owner of its lock comes to.
enum Look {
    Taken(c_int),
    Empty,
    /// Fewer than wanted.
    TooFew,
    /// The kernel must decide: the ring is retired, or its header not as expected.
    Unknown,
    /// The section was aborted, and nothing was done.
    Aborted,
    /// The lock was taken from the owner, and nothing was done.
    Lost,
}

/// What an owner comes to.
enum Found {
    Answer(c_int),
    /// Not enough, or nothing that can be taken here: the kernel must be entered.
    TooFew(Reader<'static, AtomicUsize>),
    /// The lock was taken from it.
    Lost,
}

/// [`Wanted::getevents`] for a call without a signal mask, with the most usual cases first: an
/// empty ring is polled, or nobody else is at the ring. The other cases are functions of their own,
/// which keeps this one small.
/// The answer is in libaio's convention, so those functions are tail calls.
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
        if when == When::Poll && unsafe { wanted.finds_empty(entry) } {
            return 0;
        }
        if let Some(owner) = wanted.try_own(entry, when) {
            // SAFETY: this call owns the lock of the ring's entry.
            match unsafe { wanted.take(entry, &owner) } {
                Look::Taken(count) => {
                    owner.release();
                    return count;
                }
                Look::Empty | Look::TooFew if when == When::Wait => {
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
    unsafe { getevents_beside_others(ctx, min_nr, nr, events, timeout) }
}

/// Waits in the kernel, for a reader of the ring's lock.
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
        return unsafe { wait_for_server(&wanted, reader) };
    }
    // SAFETY: the same contract.
    let answer = unsafe { KernelAio.wait(&wanted) };
    reader.leave();
    into_c(answer)
}

/// # Safety
/// As [`Wanted::getevents`].
#[cold]
#[inline(never)]
unsafe fn wait_for_server<T: Timeout + GetEvents>(
    wanted: &Wanted<T>,
    reader: Reader<'static, AtomicUsize>,
) -> c_int {
    // SAFETY: the same contract.
    let answer = unsafe { super::wait_for_server(wanted) };
    reader.leave();
    into_c(answer)
}

/// Whatever is not usual.
///
/// # Safety
/// As [`Wanted::getevents`].
#[inline(never)]
pub unsafe fn getevents_beside_others<T: Timeout + GetEvents>(
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
    /// Takes completions, or waits for them.
    ///
    /// # Safety
    /// `timeout` must be NULL, readable, or nothing that a program can map. `events` must be NULL,
    /// have room for `nr`, or be nothing that a program can map.
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

    /// For a handle that is listed. Waits for an owner, and takes the lock from it if it does not
    /// give it up. A call from which the lock was taken twice enters the kernel.
    ///
    /// # Safety
    /// As [`Wanted::getevents`].
    unsafe fn getevents_listed(&self, entry: Listed) -> Result {
        // SAFETY: the same contract.
        let when = unsafe { self.when() };
        // SAFETY: the same contract.
        if when == When::Poll && unsafe { self.finds_empty(entry) } {
            return Ok(0);
        }
        if let Some(area) = self.may_own(when) {
            for _ in 0..2 {
                let Ok(owner) = entry.lock.own(this_call(), area) else {
                    break;
                };
                // SAFETY: the same contract.
                match unsafe { self.attempt(entry, owner, when == When::Poll) } {
                    Found::Answer(count) => return Ok(count),
                    // SAFETY: the same contract.
                    Found::TooFew(reader) => unsafe { return self.enter(entry, reader) },
                    Found::Lost => {}
                }
            }
        }
        if !Area::are_used() {
            // SAFETY: the same contract. Nobody takes events in this process, so nobody has to be
            // counted.
            return unsafe { self.enter_kernel() };
        }
        match entry.lock.enter(this_call()) {
            // SAFETY: the same contract.
            Ok(reader) => unsafe { self.enter(entry, reader) },
            // As if a signal had arrived: the events stay where they are.
            Err(_) if self.is_valid() => Err(Errno::EINTR),
            Err(_) => Err(Errno::EINVAL),
        }
    }

    /// What an owner does, until it is done or has no lock.
    ///
    /// # Safety
    /// As [`Wanted::getevents`].
    #[inline(never)]
    unsafe fn attempt(
        &self,
        entry: Listed,
        owner: Owner<'static, AtomicUsize>,
        polls: bool,
    ) -> Found {
        for _ in 0..TRIES {
            // SAFETY: this call owns the lock of the ring's entry.
            match unsafe { self.take(entry, &owner) } {
                Look::Taken(count) => {
                    owner.release();
                    return Found::Answer(count);
                }
                Look::Empty if polls => {
                    owner.release();
                    return Found::Answer(0);
                }
                Look::Aborted => {}
                Look::Lost => return Found::Lost,
                Look::Empty | Look::TooFew | Look::Unknown => break,
            }
        }
        match owner.into_reader() {
            Some(reader) => Found::TooFew(reader),
            None => Found::Lost,
        }
    }

    /// Enters the kernel as a reader, if the lock is that of this ring.
    ///
    /// # Safety
    /// As [`Wanted::getevents`].
    unsafe fn enter(&self, entry: Listed, reader: Reader<'static, AtomicUsize>) -> Result {
        let Some(reader) = entry.confirm(self.ctx as usize, reader) else {
            return Err(Errno::EINVAL); // the ring was destroyed meanwhile
        };
        // SAFETY: the same contract.
        let answer = unsafe { self.enter_kernel() };
        reader.leave();
        answer
    }

    /// # Safety
    /// As [`Wanted::getevents`].
    unsafe fn enter_kernel(&self) -> Result {
        // SAFETY: the same contract.
        unsafe {
            match settings::is_kernel_only() {
                true => KernelAio.wait(self),
                false => super::wait_for_server(self),
            }
        }
    }

    /// # Safety
    /// The timeout must be NULL, readable, or nothing that a program can map.
    #[inline(always)]
    unsafe fn when(&self) -> When {
        if self.timeout.is_null() {
            return When::Wait;
        }
        if !is_plausible(self.timeout) {
            return When::Unreadable;
        }
        // SAFETY: the caller's promise. Programs may keep it in packed structures.
        if unsafe { self.timeout.read_unaligned() }.is_zero() {
            When::Poll
        } else {
            When::Wait
        }
    }

    /// Whether the ring is there and empty.
    ///
    /// # Safety
    /// No other thread destroys the context during this poll, which kills the original too.
    #[inline(always)]
    unsafe fn finds_empty(&self, entry: Listed) -> bool {
        // SAFETY: the entry says that the ring is there, and the caller that it stays.
        entry.is_live(self.ctx as usize) && unsafe { is_empty(self.ctx) }
    }

    #[inline(always)]
    fn is_valid(&self) -> bool {
        0 <= self.min_nr && self.min_nr <= self.nr
    }

    /// This thread's area, if the kernel would take completions with these arguments, and nothing
    /// else is asked of it.
    #[inline(always)]
    fn may_own(&self, when: When) -> Option<Area> {
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
        entry.lock.try_own(this_call(), self.may_own(when)?)
    }

    /// Takes as many completions as are wanted, or none if there are too few.
    ///
    /// # Safety
    /// As [`Wanted::getevents`]; and `owner` owns the lock of the entry, or has lost it.
    #[inline(always)]
    unsafe fn take(&self, entry: Listed, owner: &Owner<'static, AtomicUsize>) -> Look {
        if !entry.is_live(self.ctx as usize) {
            return Look::Unknown;
        }
        // SAFETY: while a call owns the lock of a live entry, its ring is mapped.
        let there = match unsafe { Completions::at(self.ctx, owner) } {
            Ok(Some(there)) => there,
            Ok(None) => return Look::Unknown,
            Err(Section::NotOwner) => return Look::Lost,
            Err(_) => return Look::Aborted,
        };
        if there.count == 0 {
            return Look::Empty;
        }
        if (there.count as c_long) < self.min_nr {
            return Look::TooFew;
        }
        let count = (there.count as c_long).min(self.nr) as u32;
        // SAFETY: no more than there are, nor than there is room for.
        match unsafe { there.take(self.ctx, owner, count, self.events) } {
            Section::Done => Look::Taken(count as c_int),
            Section::NotOwner => Look::Lost,
            Section::Aborted => Look::Aborted,
        }
    }

    /// Whether a handle that is not listed is polled and empty. If it is a live context all the
    /// same, one that the program made by the system call or moved, its ring is looked at, as the
    /// original does; and so is a ring of the parent's in a forked child, if it is mapped there.
    ///
    /// # Safety
    /// As [`Wanted::getevents`].
    unsafe fn is_unlisted_poll_of_empty(&self) -> bool {
        let address = self.ctx as usize;
        // A ring begins a page. So much is seen without the kernel, in whose place a sandbox may
        // answer 0 to anything; and before the timeout is read, as in the original.
        let may_be_ring = is_plausible(self.ctx) && address % 4096 == 0;
        // SAFETY: the caller's timeout; and a ring is mapped there, unless the program destroys it
        // at this moment, which kills it with the original.
        may_be_ring
            && unsafe {
                self.when() == When::Poll
                    && match super::server_of(self.ctx).is_empty(self.ctx) {
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

/// Asks with a call that can neither wait nor take an event.
///
/// # Safety
/// None but the kernel may be moving the ring's head: the call stores it anew.
unsafe fn is_known_to_kernel(ctx: io_context_t) -> bool {
    // SAFETY: for 0 events nothing is written.
    let answer = unsafe { aio::io_getevents(ctx, 0, 0, null_mut(), null()) };
    // The kernel looks for pending signals after it has found the context.
    matches!(answer, Ok(_) | Err(Errno::EINTR))
}

/// Whether the ring of a parent's context is mapped in this child: not since Linux 7.1, nor when
/// the parent has destroyed the context. Asks with a call that makes nothing: io_setup() reads the
/// variable, answers EFAULT if it cannot, and then EINVAL for 0 requests.
fn is_mapped(ctx: io_context_t) -> bool {
    // SAFETY: for 0 requests nothing is written.
    let answer = unsafe { aio::io_setup(0, ctx.cast()) };
    answer == Err(Errno::EINVAL)
}

/// Whether a ring is known to be empty.
///
/// # Safety
/// A ring must be mapped at the handle.
#[inline(always)]
unsafe fn is_empty(ctx: io_context_t) -> bool {
    // SAFETY: the caller's promise.
    unsafe { Ring::at(ctx) }.is_some_and(Ring::is_empty)
}
