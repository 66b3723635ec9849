//! A context without the kernel: memory shaped like a ring, and every request carried out inside
//! io_submit(), where the kernel's AIO carries out buffered I/O too. There is no thread, so nothing
//! is in flight when io_submit() returns.

use super::request;
use super::served::{self, Entry, Inside, New};
use super::{machine, Engine, GetEvents, Wanted};
use crate::abi::{io_context_t, io_event, iocb};
use crate::address::is_plausible;
use crate::aio_ring::{self, Memory};
use crate::errno::{Errno, Result};
use crate::sys::futex;
use crate::sys::memory;
use crate::sys::user_memory::Proven;
use crate::timeout::Timeout;
use core::mem::size_of;
use core::sync::atomic::{fence, Ordering};
use libc::{c_int, c_long};

/// The most that the kernel takes: 0x10000000 bytes of events, after doubling.
const MOST: u32 = 0x1000_0000 / 32 / 2;

/// One context; none is needed to set one up.
#[derive(Clone, Copy)]
pub struct InLine(pub Option<&'static Entry>);

/// What the kernel says of a number of requests, whatever its limit is. `ioctx_alloc` in
/// `fs/aio.c`.
pub fn check_count(maxevents: c_int) -> core::result::Result<u32, Errno> {
    match maxevents as u32 {
        0 => Err(Errno::EINVAL),
        0x8000_0000 => Err(Errno::EAGAIN), // doubled, it is 0
        count if count > MOST => Err(Errno::EINVAL),
        count => Ok(count),
    }
}

/// Memory for the events of a context, named for `/proc/PID/maps`. Its address, length, and slots.
#[inline(never)]
pub fn map_ring(maxevents: u32) -> core::result::Result<(usize, usize, u32), Errno> {
    let page = machine::page_size();
    let (length, slots) = aio_ring::size_for(maxevents, machine::cpus(), page);
    let address = memory::map(length)?;
    memory::name_and_wipe_on_fork(address, length, c"libaio-rs events");
    // SAFETY: new pages, of that length.
    unsafe { Memory::start(address, slots) };
    Ok((address, length, slots))
}

impl Engine for InLine {
    unsafe fn set_up(self, maxevents: c_int, ctxp: *mut io_context_t) -> Result {
        let mut proven = Proven::new();
        if !is_plausible(ctxp) || !proven.is_readable(ctxp, size_of::<io_context_t>()) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: readable.
        if !unsafe { ctxp.read_unaligned() }.is_null() {
            return Err(Errno::EINVAL);
        }
        let count = check_count(maxevents)?;
        // Other threads may wait for the handle to appear there.
        if !proven.is_word_writable(ctxp) {
            return Err(Errno::EFAULT);
        }
        let (address, length, slots) = map_ring(count)?;
        let new = New {
            handle: address,
            memory: address,
            length,
            capacity: aio_ring::capacity(slots, machine::cpus()),
            most: slots,
            slots: 0,
        };
        if !served::add(&new) {
            // SAFETY: nobody knows of it.
            unsafe {
                memory::unmap(address, length);
                ctxp.write_unaligned(core::ptr::null_mut());
            }
            return Err(Errno::EAGAIN); // as if the limit were reached
        }
        // Another thread that finds the handle there finds the context in the table.
        fence(Ordering::Release);
        // SAFETY: writable.
        unsafe { ctxp.write_unaligned(address as io_context_t) };
        Ok(0)
    }

    #[inline(never)]
    unsafe fn submit(self, ctx: io_context_t, nr: c_long, iocbs: *mut *mut iocb) -> Result {
        if nr < 0 {
            return Err(Errno::EINVAL);
        }
        let inside = self.0.and_then(|entry| Inside::enter(entry, ctx));
        let inside = inside.ok_or(Errno::EINVAL)?;
        let nr = nr.min(inside.most() as c_long);
        // SAFETY: the same contract.
        let answer = unsafe { submit_all(&inside, nr, iocbs) };
        inside.leave();
        answer
    }

    #[inline(never)]
    unsafe fn wait<T: Timeout + GetEvents>(self, wanted: &Wanted<T>) -> Result {
        // SAFETY: the same contract.
        let deadline = unsafe { Deadline::of(wanted) }?;
        // A signal that the mask lets through is delivered, even if events are there.
        let mask = wanted.mask.unwrap_or(core::ptr::null());
        // SAFETY: the kernel checks the mask.
        let interrupted = match unsafe { poll(mask, 0) } {
            Ok(_) => false,
            Err(Errno::EINTR) => true,
            Err(error) => return Err(error),
        };
        let entry = self.0.ok_or(Errno::EINVAL)?;
        if wanted.min_nr < 0 || wanted.min_nr > wanted.nr {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the same contract.
        unsafe { wait(entry, wanted, deadline, interrupted) }
    }

    /// Nothing is ever in flight.
    #[inline(never)]
    unsafe fn cancel(self, _: io_context_t, iocb: *mut iocb, _: *mut io_event) -> Result {
        if !is_plausible(iocb) || !Proven::new().is_readable(iocb, size_of::<iocb>()) {
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

/// Carries out `nr` requests, one at least, up to the first that is refused.
///
/// # Safety
/// As [`Engine::submit`].
#[inline(never)]
unsafe fn submit_all(inside: &Inside, nr: c_long, iocbs: *mut *mut iocb) -> Result {
    let proven = &mut Proven::new();
    for i in 0..nr {
        let at = iocbs.wrapping_add(i as usize);
        let is_readable = proven.can_read(at)
            || is_plausible(at) && proven.is_readable(at, size_of::<*mut iocb>());
        let answer = match is_readable {
            // SAFETY: it is; and the same contract.
            true => unsafe { request::submit(inside, at.read_unaligned(), proven) },
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

/// How long io_getevents() waits.
#[derive(Clone, Copy)]
pub enum Deadline {
    Now,
    /// By [`futex::now`].
    At(i64),
    Never,
}

impl Deadline {
    /// As `read_events` and its callers in `fs/aio.c` take a timeout: nanoseconds are added up, and
    /// a negative time is no limit. `EFAULT` if it cannot be read.
    ///
    /// # Safety
    /// As [`Engine::wait`].
    #[inline(never)]
    pub unsafe fn of<T: Timeout>(wanted: &Wanted<T>) -> core::result::Result<Deadline, Errno> {
        let timeout = wanted.timeout;
        if timeout.is_null() {
            return Ok(Deadline::Never);
        }
        if !is_plausible(timeout) || !Proven::new().is_readable(timeout, size_of::<T>()) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: readable.
        let (seconds, nanoseconds) = unsafe { timeout.read_unaligned() }.parts();
        Ok(match futex::nanoseconds(seconds, nanoseconds) {
            0 => Deadline::Now,
            time if time < 0 => Deadline::Never,
            time => Deadline::At(futex::now().saturating_add(time)),
        })
    }

    /// Nanoseconds until then.
    #[inline(never)]
    pub fn left(self) -> i64 {
        match self {
            Deadline::Now => 0,
            Deadline::At(time) => time.saturating_sub(futex::now()).max(0),
            Deadline::Never => i64::MAX,
        }
    }

    fn time(self) -> i64 {
        match self {
            Deadline::Now => 0,
            Deadline::At(time) => time,
            Deadline::Never => i64::MAX,
        }
    }
}

/// `read_events` in `fs/aio.c`: takes events as they come, until there are enough.
///
/// # Safety
/// As [`Engine::wait`].
unsafe fn wait<T>(
    entry: &'static Entry,
    wanted: &Wanted<T>,
    deadline: Deadline,
    interrupted: bool,
) -> Result {
    let mask = wanted.mask.unwrap_or(core::ptr::null());
    let generation = entry.generation();
    let mut taken = 0;
    let mut pause = 100_000;
    loop {
        // SAFETY: the same contract.
        let answer = unsafe { take(entry, generation, wanted, taken) };
        let result = match answer {
            Ok(count) => {
                taken += c_long::from(count);
                let is_over = interrupted || deadline.left() == 0;
                if taken >= wanted.min_nr && !(interrupted && taken == 0) {
                    Err(None)
                } else if is_over {
                    Err(interrupted.then_some(Errno::EINTR))
                } else if mask.is_null() {
                    let most = entry.capacity() as c_long;
                    let needed = (wanted.min_nr - taken).min(most) as u32;
                    served::sleep(entry, wanted.ctx, generation, needed, deadline.time())
                        .map_err(Some)
                } else {
                    // Nothing wakes this thread but signals, so it looks by itself.
                    pause = (pause * 2).min(10_000_000);
                    // SAFETY: as above.
                    unsafe { poll(mask, deadline.left().min(pause)) }.map_err(Some)
                }
            }
            Err(error) => Err(Some(error)),
        };
        match result {
            Err(None) => return Ok(taken as c_int),
            Err(Some(_)) if taken > 0 => return Ok(taken as c_int),
            Err(Some(error @ (Errno::EINTR | Errno::EINVAL | Errno::EFAULT))) => return Err(error),
            // Woken, or the time is over: look once more.
            _ => {}
        }
    }
}

/// Takes what there is.
///
/// # Safety
/// As [`Engine::wait`].
#[inline(never)]
pub unsafe fn take<T>(
    entry: &'static Entry,
    generation: u32,
    wanted: &Wanted<T>,
    taken: c_long,
) -> Result {
    let Some(inside) = Inside::enter_again(entry, wanted.ctx, generation) else {
        return Err(Errno::EINVAL);
    };
    let count = (wanted.nr - taken).min(inside.unread() as c_long) as usize;
    let to = wanted.events.wrapping_add(taken as usize);
    let length = count * size_of::<io_event>();
    let answer = if count == 0 {
        // Stores the head all the same, which a program may have left beyond the ring.
        // SAFETY: nothing is written there.
        Ok(unsafe { inside.take(to, 0) } as c_int)
    } else if is_plausible(to) && Proven::new().is_writable(to, length) {
        // SAFETY: writable, with room.
        Ok(unsafe { inside.take(to, count as u32) } as c_int)
    } else {
        Err(Errno::EFAULT)
    };
    inside.leave();
    answer
}

/// Lets signals in that the mask lets through, if there is one.
///
/// # Safety
/// The kernel checks the mask.
unsafe fn poll(mask: *const libc::sigset_t, nanoseconds: i64) -> Result {
    if mask.is_null() {
        return Ok(0);
    }
    // SAFETY: the same contract.
    unsafe { futex::poll(None, Some(nanoseconds), mask.cast()) }
}
