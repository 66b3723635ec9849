//! The engine of kernel contexts whose ring is smaller than requested. The kernel serves the
//! requests that its ring has room for. If the ring is full, but the program has fewer requests
//! outstanding than it requested, the next one is carried out inside io_submit(), and its event is
//! stored in a ring of the library's. io_getevents() takes events from both rings.
//!
//! A thread that waits in the kernel does not see the library's events. So it waits for a short
//! time and then checks for them.

use super::context_table::{self, Entry, NewContext};
use super::inline::{map_ring, Inline};
use super::wait::{self, Deadline};
use super::{ring_size, Engine, GetEvents, KernelAio, ReapArgs};
use crate::abi::{io_context_t, io_event, iocb};
use crate::aio_ring::Ring;
use crate::errno::{Errno, Result};
use crate::sys::futex;
use crate::sys::memory;
use crate::timeout::{timespec, Timeout};
use libc::{c_int, c_long};

/// The longest time that a thread waits in the kernel before it checks for library events, in
/// nanoseconds.
const KERNEL_WAIT: i64 = 10_000_000;

#[derive(Clone, Copy)]
pub struct ShortRing(pub &'static Entry);

/// Adds a kernel context to the table, with room for as many requests as a ring for `requested`
/// would have.
///
/// # Safety
/// The context must be new, so that no other thread uses it.
pub unsafe fn adopt(ctx: io_context_t, requested: u32) -> Result {
    // SAFETY: the kernel has just mapped the ring.
    let ring = unsafe { Ring::at(ctx) }.ok_or(Errno::EAGAIN)?;
    let (address, length, slots) = map_ring(requested)?;
    let granted = ring_size::capacity(ring.slots());
    let new = NewContext {
        handle: ctx as usize,
        memory: address,
        length,
        capacity: ring_size::capacity(slots).saturating_sub(granted),
        nr_events: slots,
        kernel_slots: ring.slots(),
    };
    if !context_table::add(&new) {
        // SAFETY: no other thread has the address.
        unsafe { memory::unmap(address, length) };
        return Err(Errno::EAGAIN);
    }
    // Programs that read the kernel's ring by themselves would miss the library's events.
    ring.hide();
    Ok(0)
}

impl Engine for ShortRing {
    unsafe fn set_up(self, _: c_int, _: *mut io_context_t) -> Result {
        Err(Errno::EINVAL) // never called: `adopt` creates these contexts
    }

    unsafe fn submit(self, ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result {
        if nr <= 0 {
            // SAFETY: the same contract.
            return unsafe { KernelAio.submit(ctx, nr, iocbs) };
        }
        let nr = nr.min(self.0.nr_events() as c_long);
        let mut done: c_long = 0;
        let error = loop {
            let rest = iocbs.wrapping_add(done as usize);
            // SAFETY: the same contract.
            match unsafe { KernelAio.submit(ctx, nr - done, rest) } {
                Ok(count) => done += c_long::from(count),
                Err(Errno::EAGAIN) => {
                    // All remaining requests, with signals blocked, so that a handler runs only at
                    // the end of the call, as with the kernel's.
                    // SAFETY: the same contract.
                    match unsafe { Inline(Some(self.0)).submit(ctx, nr - done, rest) } {
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
    unsafe fn wait<T: Timeout + GetEvents>(self, args: &ReapArgs<T>) -> Result {
        // SAFETY: the same contract.
        let deadline = unsafe { Deadline::of(args) }?;
        if args.min_nr < 0 || args.min_nr > args.nr {
            // SAFETY: the same contract.
            return unsafe { KernelAio.wait(args) };
        }
        let generation = self.0.generation();
        let mut taken: c_long = 0;
        loop {
            let is_over = deadline.left() == 0;
            // SAFETY: the same contract.
            let answer = unsafe {
                match self.0.library_events() {
                    0 if is_over || taken >= args.min_nr => self.reap_from_kernel(args, taken, 0),
                    0 => self.reap_from_kernel(args, taken, deadline.left().min(KERNEL_WAIT)),
                    _ => self.take_from_both(generation, args, taken),
                }
            };
            match answer {
                Ok(count) => taken += c_long::from(count),
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            }
            if taken >= args.min_nr || is_over {
                break;
            }
            // If the context was destroyed, the handle may now belong to a later one.
            if !self.0.still_has(args.ctx, generation) {
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
        // The table first: as soon as the kernel has destroyed the context, it may create another
        // one at the same address.
        if !context_table::remove(self.0, ctx) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the same contract.
        unsafe { KernelAio.destroy(ctx) }
    }
}

impl ShortRing {
    /// Whether both rings are empty.
    ///
    /// # Safety
    /// No other thread may destroy the context during the call.
    pub unsafe fn is_empty(self, ctx: io_context_t) -> bool {
        // SAFETY: the caller's promise.
        self.0.library_events() == 0 && unsafe { Ring::of_kernel(ctx) }.is_empty()
    }

    /// Takes ready events from both rings: first the kernel's, which are usually older. If library
    /// events are left, the next call takes them first, because the kernel alone might always have
    /// as many as are wanted.
    ///
    /// # Safety
    /// As [`Engine::wait`].
    unsafe fn take_from_both<T>(
        self,
        generation: u32,
        args: &ReapArgs<T>,
        taken: c_long,
    ) -> Result {
        let library_first = self.0.library_first();
        let mut count = 0;
        for from_library in [library_first, !library_first] {
            let before = taken + c_long::from(count);
            if before >= args.nr && count > 0 {
                break;
            }
            // SAFETY: the same contract.
            let answer = unsafe {
                match from_library {
                    true => wait::take(self.0, generation, args, before),
                    false => self.reap_from_kernel(args, before, 0),
                }
            };
            match answer {
                Ok(more) => count += more,
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
        }
        let is_left = self.0.library_events() > 0;
        self.0.set_library_first(is_left && !library_first);
        Ok(count)
    }

    /// Enters the kernel to reap events, and waits for them for at most so many nanoseconds.
    ///
    /// # Safety
    /// As [`Engine::wait`].
    #[inline(never)]
    unsafe fn reap_from_kernel<T>(
        self,
        args: &ReapArgs<T>,
        taken: c_long,
        nanoseconds: i64,
    ) -> Result {
        let timeout: timespec = futex::time_of(nanoseconds);
        // The kernel's ring never holds more events than this.
        let most = (self.0.kernel_slots().max(2) - 1) as c_long;
        let least = (args.min_nr - taken).max(0).min(most);
        let part = ReapArgs {
            ctx: args.ctx,
            min_nr: if nanoseconds == 0 { 0 } else { least },
            nr: args.nr - taken,
            events: args.events.wrapping_add(taken as usize),
            timeout: &timeout,
            mask: args.mask,
        };
        // SAFETY: the same contract.
        unsafe { KernelAio.wait(&part) }
    }
}
