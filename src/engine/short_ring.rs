//! A context of the kernel's whose ring is smaller than was asked for. What it has room for is the
//! kernel's. A request for which it has none, although fewer are outstanding than the program may
//! have, is carried out inside io_submit(), and its event waits in memory of this library's, from
//! which io_getevents() takes too.
//!
//! A thread that waits in the kernel does not see those events. So it waits in short stays.

use super::in_line::{self, map_ring, Deadline, InLine};
use super::served::{self, Entry, New};
use super::{machine, Engine, GetEvents, KernelAio, Wanted};
use crate::abi::{io_context_t, io_event, iocb};
use crate::aio_ring::{self, Ring};
use crate::errno::{Errno, Result};
use crate::sys::futex;
use crate::sys::memory;
use crate::timeout::{timespec, Timeout};
use libc::{c_int, c_long};

/// Nanoseconds that a thread stays in the kernel at a time.
const STAY: i64 = 10_000_000;

#[derive(Clone, Copy)]
pub struct ShortRing(pub &'static Entry);

/// Makes a context of the kernel's one of these, for as many requests as a ring for `asked` has
/// room for.
///
/// # Safety
/// It was just made, and no other thread uses it.
pub unsafe fn adopt(ctx: io_context_t, asked: u32) -> Result {
    // SAFETY: the kernel has just made it.
    let ring = unsafe { Ring::at(ctx) }.ok_or(Errno::EAGAIN)?;
    let cpus = machine::cpus();
    let (address, length, slots) = map_ring(asked)?;
    let granted = aio_ring::capacity(ring.slots(), cpus);
    let new = New {
        handle: ctx as usize,
        memory: address,
        length,
        capacity: aio_ring::capacity(slots, cpus).saturating_sub(granted),
        most: slots,
        slots: ring.slots(),
    };
    if !served::add(&new) {
        // SAFETY: nobody knows of it.
        unsafe { memory::unmap(address, length) };
        return Err(Errno::EAGAIN);
    }
    // Programs that look into the ring by themselves would miss the other events.
    ring.hide();
    Ok(0)
}

impl Engine for ShortRing {
    unsafe fn set_up(self, _: c_int, _: *mut io_context_t) -> Result {
        Err(Errno::EINVAL) // see `adopt`
    }

    unsafe fn submit(self, ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result {
        if nr <= 0 {
            // SAFETY: the same contract.
            return unsafe { KernelAio.submit(ctx, nr, iocbs) };
        }
        let nr = nr.min(self.0.most() as c_long);
        let mut done: c_long = 0;
        let error = loop {
            let rest = iocbs.wrapping_add(done as usize);
            // SAFETY: the same contract.
            match unsafe { KernelAio.submit(ctx, nr - done, rest) } {
                Ok(count) => done += c_long::from(count),
                Err(Errno::EAGAIN) => {
                    // All that is left: signals stay blocked until the call is over, as a handler
                    // runs when the kernel's is.
                    // SAFETY: the same contract.
                    match unsafe { InLine(Some(self.0)).submit(ctx, nr - done, rest) } {
                        Ok(count) => return Ok(done as c_int + count),
                        Err(error) => break error,
                    }
                }
                Err(error) => break error,
            }
            if done >= nr {
                return Ok(done as c_int);
            }
        };
        match done {
            0 => Err(error),
            _ => Ok(done as c_int),
        }
    }

    #[inline(never)]
    unsafe fn wait<T: Timeout + GetEvents>(self, wanted: &Wanted<T>) -> Result {
        // SAFETY: the same contract.
        let deadline = unsafe { Deadline::of(wanted) }?;
        if wanted.min_nr < 0 || wanted.min_nr > wanted.nr {
            // SAFETY: the same contract.
            return unsafe { KernelAio.wait(wanted) };
        }
        let generation = self.0.generation();
        let mut taken: c_long = 0;
        loop {
            let is_over = deadline.left() == 0;
            // SAFETY: the same contract.
            let answer = unsafe {
                match self.0.late() {
                    0 if is_over || taken >= wanted.min_nr => self.stay(wanted, taken, 0),
                    0 => self.stay(wanted, taken, deadline.left().min(STAY)),
                    _ => self.take_both(generation, wanted, taken),
                }
            };
            match answer {
                Ok(count) => taken += c_long::from(count),
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            }
            if taken >= wanted.min_nr || is_over {
                break;
            }
            // Destroyed: the handle may be a later context's by now.
            if !self.0.still_has(wanted.ctx, generation) {
                match taken {
                    0 => return Err(Errno::EINVAL),
                    _ => break,
                }
            }
        }
        Ok(taken as c_int)
    }

    unsafe fn cancel(self, ctx: io_context_t, iocb: *mut iocb, event: *mut io_event) -> Result {
        // SAFETY: the same contract.
        unsafe { KernelAio.cancel(ctx, iocb, event) }
    }

    unsafe fn destroy(self, ctx: io_context_t) -> Result {
        // First the part that other threads find by the handle: the kernel may give the address to
        // another context as soon as it has destroyed this one.
        if !served::remove(self.0, ctx) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the same contract.
        unsafe { KernelAio.destroy(ctx) }
    }
}

impl ShortRing {
    /// Whether no event waits, neither the kernel's nor ours.
    ///
    /// # Safety
    /// The context is not destroyed meanwhile.
    pub unsafe fn is_empty(self, ctx: io_context_t) -> bool {
        // SAFETY: the caller's promise.
        self.0.late() == 0 && unsafe { Ring::of_kernel(ctx) }.is_empty()
    }

    /// Takes what is ready: the kernel's first, which are older as a rule. If that leaves none of
    /// ours taken, ours come first the next time, since the kernel may always have as many as are
    /// wanted.
    ///
    /// # Safety
    /// As [`Engine::wait`].
    unsafe fn take_both<T>(self, generation: u32, wanted: &Wanted<T>, taken: c_long) -> Result {
        let ours_first = self.0.is_passed_over();
        let mut count = 0;
        for is_ours in [ours_first, !ours_first] {
            let before = taken + c_long::from(count);
            if before >= wanted.nr && count > 0 {
                break;
            }
            // SAFETY: the same contract.
            let answer = unsafe {
                match is_ours {
                    true => in_line::take(self.0, generation, wanted, before),
                    false => self.stay(wanted, before, 0),
                }
            };
            match answer {
                Ok(more) => count += more,
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
        }
        self.0.pass_over(self.0.late() > 0 && !ours_first);
        Ok(count)
    }

    /// Takes events from the kernel, and waits for them at most so many nanoseconds.
    ///
    /// # Safety
    /// As [`Engine::wait`].
    #[inline(never)]
    unsafe fn stay<T>(self, wanted: &Wanted<T>, taken: c_long, nanoseconds: i64) -> Result {
        let timeout: timespec = futex::time_of(nanoseconds);
        // More than the ring holds would never be there at a time.
        let most = (self.0.slots().max(2) - 1) as c_long;
        let least = (wanted.min_nr - taken).max(0).min(most);
        let part = Wanted {
            ctx: wanted.ctx,
            min_nr: if nanoseconds == 0 { 0 } else { least },
            nr: wanted.nr - taken,
            events: wanted.events.wrapping_add(taken as usize),
            timeout: &timeout,
            mask: wanted.mask,
        };
        // SAFETY: the same contract.
        unsafe { KernelAio.wait(&part) }
    }
}
