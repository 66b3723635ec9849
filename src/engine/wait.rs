//! io_getevents() for events in the library's ring: takes them, and waits for them.

use super::context_ref::{self, ContextRef};
use super::context_table::Entry;
use super::ReapArgs;
use crate::abi::io_event;
use crate::address::is_user_address;
use crate::errno::{Errno, Result};
use crate::sys::futex;
use crate::sys::user_memory::Checked;
use crate::timeout::Timeout;
use core::mem::size_of;
use libc::{c_int, c_long};

/// When io_getevents() stops waiting.
#[derive(Clone, Copy)]
pub enum Deadline {
    Now,
    /// A time of [`futex::now`].
    At(i64),
    Never,
}

impl Deadline {
    /// Reads the timeout, like `read_events` and its callers in `fs/aio.c`: seconds and nanoseconds
    /// are added, and a negative sum is no limit. `EFAULT` if it cannot be read.
    ///
    /// # Safety
    /// As [`super::Engine::wait`].
    #[inline(never)]
    pub unsafe fn of<T: Timeout>(args: &ReapArgs<T>) -> core::result::Result<Deadline, Errno> {
        let timeout = args.timeout;
        if timeout.is_null() {
            return Ok(Deadline::Never);
        }
        if !is_user_address(timeout) || !Checked::new().is_readable(timeout, size_of::<T>()) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: it is readable.
        let (seconds, nanoseconds) = unsafe { timeout.read_unaligned() }.parts();
        Ok(match futex::nanoseconds(seconds, nanoseconds) {
            0 => Deadline::Now,
            time if time < 0 => Deadline::Never,
            time => Deadline::At(futex::now().saturating_add(time)),
        })
    }

    /// Nanoseconds until the deadline.
    #[inline(never)]
    pub fn left(self) -> i64 {
        match self {
            Deadline::Now => 0,
            Deadline::At(time) => time.saturating_sub(futex::now()).max(0),
            Deadline::Never => i64::MAX,
        }
    }

    /// The deadline as a time of [`futex::now`].
    fn time(self) -> i64 {
        match self {
            Deadline::Now => 0,
            Deadline::At(time) => time,
            Deadline::Never => i64::MAX,
        }
    }
}

/// Takes events as they arrive, until `min_nr` are taken. `read_events` in `fs/aio.c`. Without an
/// entry, the handle is unknown.
///
/// # Safety
/// As [`super::Engine::wait`].
pub unsafe fn read_events<T: Timeout>(entry: Option<&'static Entry>, args: &ReapArgs<T>) -> Result {
    // SAFETY: the same contract.
    let deadline = unsafe { Deadline::of(args) }?;
    // A pending signal that the mask lets through is delivered even if events are ready.
    let mask = args.mask.unwrap_or(core::ptr::null());
    // SAFETY: the kernel checks the mask.
    let interrupted = match unsafe { wait_for_signal(mask, 0) } {
        Ok(_) => false,
        Err(Errno::EINTR) => true,
        Err(error) => return Err(error),
    };
    let entry = entry.ok_or(Errno::EINVAL)?;
    if args.min_nr < 0 || args.min_nr > args.nr {
        return Err(Errno::EINVAL);
    }
    let generation = entry.generation();
    let mut taken = 0;
    let mut pause = 100_000;
    let error = loop {
        // SAFETY: the same contract.
        match unsafe { take(entry, generation, args, taken) } {
            Ok(count) => taken += c_long::from(count),
            Err(error) => break error,
        }
        if interrupted {
            break Errno::EINTR;
        }
        if taken >= args.min_nr || deadline.left() == 0 {
            return Ok(taken as c_int);
        }
        let answer = if mask.is_null() {
            let most = entry.capacity() as c_long;
            let needed = (args.min_nr - taken).min(most) as u32;
            context_ref::sleep(entry, args.ctx, generation, needed, deadline.time())
        } else {
            // ppoll(2) sets the mask, but only signals wake it. So it returns after `pause` to
            // check for events.
            pause = (pause * 2).min(10_000_000);
            // SAFETY: the kernel checks the mask.
            unsafe { wait_for_signal(mask, deadline.left().min(pause)) }
        };
        // After a wake-up, or at the end of the time, check for events once more.
        if let Err(error @ (Errno::EINTR | Errno::EINVAL | Errno::EFAULT)) = answer {
            break error;
        }
    };
    match taken {
        0 => Err(error),
        _ => Ok(taken as c_int),
    }
}

/// Takes ready events from the library's ring, up to `nr` together with the `taken` ones.
///
/// # Safety
/// As [`super::Engine::wait`].
#[inline(never)]
pub unsafe fn take<T>(
    entry: &'static Entry,
    generation: u32,
    args: &ReapArgs<T>,
    taken: c_long,
) -> Result {
    let Some(context) = ContextRef::get_same_generation(entry, args.ctx, generation) else {
        return Err(Errno::EINVAL);
    };
    let count = (args.nr - taken).min(context.unread() as c_long) as usize;
    let to = args.events.wrapping_add(taken as usize);
    let length = count * size_of::<io_event>();
    let answer = if count == 0 {
        // Like the kernel, stores the head even then; a program may have set it out of range.
        // SAFETY: for 0 events nothing is written.
        Ok(unsafe { context.take(to, 0) } as c_int)
    } else if is_user_address(to) && Checked::new().is_writable(to, length) {
        // SAFETY: `to` is writable, with room for `count`.
        Ok(unsafe { context.take(to, count as u32) } as c_int)
    } else {
        Err(Errno::EFAULT)
    };
    context.put();
    answer
}

/// Waits for a signal that the mask lets through (`EINTR`). Returns at once without a mask.
///
/// # Safety
/// `mask` may have any value: the kernel checks it.
unsafe fn wait_for_signal(mask: *const libc::sigset_t, nanoseconds: i64) -> Result {
    if mask.is_null() {
        return Ok(0);
    }
    // SAFETY: the same contract.
    unsafe { futex::poll(None, Some(nanoseconds), mask.cast()) }
}
