//! The engine of contexts without the kernel. The handle is the address of a ring in the library's
//! memory. Every request is carried out inside io_submit(), where kernel AIO carries out buffered
//! I/O, too. There is no thread, so no request is in flight when io_submit() returns.

use super::request;
use super::served::{self, ContextRef, Entry, NewContext};
use super::{ring_size, Engine, GetEvents, ReapArgs};
use crate::abi::{io_context_t, io_event, iocb};
use crate::address::is_user_address;
use crate::aio_ring::LibraryRing;
use crate::errno::{Errno, Result};
use crate::sys::futex;
use crate::sys::memory;
use crate::sys::user_memory::Checked;
use crate::timeout::Timeout;
use core::mem::size_of;
use core::sync::atomic::{fence, Ordering};
use libc::{c_int, c_long};

/// The most requests that the kernel accepts: twice as many events fill 0x10000000 bytes.
const MAX_EVENTS: u32 = 0x1000_0000 / 32 / 2;

/// One context; None to create one, or if the handle is unknown.
#[derive(Clone, Copy)]
pub struct Inline(pub Option<&'static Entry>);

/// The kernel's check of a count, before its limit: `ioctx_alloc` in `fs/aio.c`.
pub fn check_count(maxevents: c_int) -> core::result::Result<u32, Errno> {
    match maxevents as u32 {
        0 => Err(Errno::EINVAL),
        0x8000_0000 => Err(Errno::EAGAIN), // doubling it gives 0
        count if count > MAX_EVENTS => Err(Errno::EINVAL),
        count => Ok(count),
    }
}

/// Maps an empty ring for a context's events. Returns its address, length and number of slots.
#[inline(never)]
pub fn map_ring(maxevents: u32) -> core::result::Result<(usize, usize, u32), Errno> {
    let (length, slots) = ring_size::length_and_slots(maxevents);
    let address = memory::map(length)?;
    memory::name_and_wipe_on_fork(address, length, c"libaio-rs events");
    // SAFETY: the pages are new, and have room for the slots.
    unsafe { LibraryRing::start(address, slots) };
    Ok((address, length, slots))
}

impl Engine for Inline {
    unsafe fn set_up(self, maxevents: c_int, ctxp: *mut io_context_t) -> Result {
        let mut checked = Checked::new();
        if !is_user_address(ctxp) || !checked.is_readable(ctxp, size_of::<io_context_t>()) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: it is readable.
        if !unsafe { ctxp.read_unaligned() }.is_null() {
            return Err(Errno::EINVAL);
        }
        let count = check_count(maxevents)?;
        // A check that does not change the word, because other threads may watch it for the handle.
        if !checked.is_word_writable(ctxp) {
            return Err(Errno::EFAULT);
        }
        let (address, length, slots) = map_ring(count)?;
        let new = NewContext {
            handle: address,
            memory: address,
            length,
            capacity: ring_size::capacity(slots),
            nr_events: slots,
            kernel_slots: 0,
        };
        if !served::add(&new) {
            // SAFETY: no other thread has the address; and `*ctxp` is writable.
            unsafe {
                memory::unmap(address, length);
                ctxp.write_unaligned(core::ptr::null_mut());
            }
            return Err(Errno::EAGAIN); // as if the limit were reached
        }
        // Release pairs with the program's load of `*ctxp`: a thread that reads the handle finds
        // the context in the table.
        fence(Ordering::Release);
        // SAFETY: it is writable.
        unsafe { ctxp.write_unaligned(address as io_context_t) };
        Ok(0)
    }

    #[inline(never)]
    unsafe fn submit(self, ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result {
        if nr < 0 {
            return Err(Errno::EINVAL);
        }
        let context = self.0.and_then(|entry| ContextRef::get(entry, ctx));
        let context = context.ok_or(Errno::EINVAL)?;
        let nr = nr.min(context.nr_events() as c_long);
        // SAFETY: the same contract.
        let answer = unsafe { submit_all(&context, nr, iocbs) };
        context.put();
        answer
    }

    #[inline(never)]
    unsafe fn wait<T: Timeout + GetEvents>(self, args: &ReapArgs<T>) -> Result {
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
        let entry = self.0.ok_or(Errno::EINVAL)?;
        if args.min_nr < 0 || args.min_nr > args.nr {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the same contract.
        unsafe { wait(entry, args, deadline, interrupted) }
    }

    /// No request is ever in flight, so none can be cancelled.
    #[inline(never)]
    unsafe fn cancel(self, _: io_context_t, iocb: *mut iocb, _: *mut io_event) -> Result {
        if !is_user_address(iocb) || !Checked::new().is_readable(iocb, size_of::<iocb>()) {
            return Err(Errno::EFAULT);
        }
        Err(Errno::EINVAL)
    }

    #[inline(never)]
    unsafe fn destroy(self, ctx: io_context_t) -> Result {
        match self.0.is_some_and(|entry| served::remove(entry, ctx)) {
            true => Ok(0),
            false => Err(Errno::EINVAL),
        }
    }
}

/// Carries out `nr` requests, up to the first that is refused. Returns how many, or the error if it
/// was the first one.
///
/// # Safety
/// As [`Engine::submit`].
#[inline(never)]
unsafe fn submit_all(context: &ContextRef, nr: c_long, iocbs: *mut *mut iocb) -> Result {
    let checked = &mut Checked::new();
    for i in 0..nr {
        let at = iocbs.wrapping_add(i as usize);
        let is_readable = checked.is_known_readable(at)
            || is_user_address(at) && checked.is_readable(at, size_of::<*mut iocb>());
        let answer = match is_readable {
            // SAFETY: the array element is readable; and the same contract.
            true => unsafe { request::submit(context, at.read_unaligned(), checked) },
            false => Err(Errno::EFAULT),
        };
        match answer {
            Ok(()) => {}
            Err(error) if i == 0 => return Err(error),
            Err(_) => return Ok(i as c_int),
        }
    }
    Ok(nr as c_int)
}

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
    /// As [`Engine::wait`].
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

/// Takes events as they arrive, until `min_nr` are taken. `read_events` in `fs/aio.c`.
///
/// # Safety
/// As [`Engine::wait`].
unsafe fn wait<T>(
    entry: &'static Entry,
    args: &ReapArgs<T>,
    deadline: Deadline,
    interrupted: bool,
) -> Result {
    let mask = args.mask.unwrap_or(core::ptr::null());
    let generation = entry.generation();
    let mut taken = 0;
    let mut pause = 100_000;
    loop {
        // SAFETY: the same contract.
        let answer = unsafe { take(entry, generation, args, taken) };
        // Err(None) means that the wait is over.
        let result = match answer {
            Ok(count) => {
                taken += c_long::from(count);
                let is_over = interrupted || deadline.left() == 0;
                if taken >= args.min_nr && !(interrupted && taken == 0) {
                    Err(None)
                } else if is_over {
                    Err(interrupted.then_some(Errno::EINTR))
                } else if mask.is_null() {
                    let most = entry.capacity() as c_long;
                    let needed = (args.min_nr - taken).min(most) as u32;
                    served::sleep(entry, args.ctx, generation, needed, deadline.time())
                        .map_err(Some)
                } else {
                    // ppoll(2) sets the mask, but only signals wake it. So it returns after `pause`
                    // to check for events.
                    pause = (pause * 2).min(10_000_000);
                    // SAFETY: the kernel checks the mask.
                    unsafe { wait_for_signal(mask, deadline.left().min(pause)) }.map_err(Some)
                }
            }
            Err(error) => Err(Some(error)),
        };
        match result {
            Err(None) => return Ok(taken as c_int),
            Err(Some(_)) if taken > 0 => return Ok(taken as c_int),
            Err(Some(error @ (Errno::EINTR | Errno::EINVAL | Errno::EFAULT))) => return Err(error),
            // A wake-up, or the end of the time: check for events once more.
            _ => {}
        }
    }
}

/// Takes ready events from the library's ring, up to `nr` together with the `taken` ones.
///
/// # Safety
/// As [`Engine::wait`].
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
