//! The engine of contexts without the kernel. The handle is the address of a ring in the library's
//! memory. Every request is carried out inside io_submit(), where kernel AIO carries out buffered
//! I/O, too. There is no thread, so no request is in flight when io_submit() returns.

use super::context_ref::ContextRef;
use super::context_table::{self, Entry, NewContext};
use super::request;
use super::{ring_size, wait, Engine, GetEvents, ReapArgs};
use crate::abi::{io_context_t, io_event, iocb};
use crate::address::is_user_address;
use crate::aio_ring::LibraryRing;
use crate::errno::{Errno, Result};
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
        if !context_table::add(&new) {
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
        unsafe { wait::read_events(self.0, args) }
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
        match self
            .0
            .is_some_and(|entry| context_table::remove(entry, ctx))
        {
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
