//! The completion ring, as far as the library reads it: `struct aio_ring` in `fs/aio.c`, which
//! the kernel maps into the process at the address that is the context's handle.

use crate::c_abi::types::{io_context_t, io_event};
use core::sync::atomic::{AtomicU32, Ordering};

const MAGIC: u32 = 0xa10a_10a1;
const HEADER_LENGTH: u32 = 32;

/// The header of a ring; the events follow. Programs that reap for themselves write `head` from any
/// thread, and the kernel writes `tail` from interrupts, so both are atomics here; the rest is set
/// once.
#[repr(C)]
struct Header {
    id: u32,
    /// How many events the ring holds; one slot always stays free.
    nr: u32,
    head: AtomicU32,
    tail: AtomicU32,
    magic: u32,
    compat_features: u32,
    incompat_features: u32,
    header_length: u32,
}

const _: () = assert!(core::mem::size_of::<Header>() == HEADER_LENGTH as usize);

/// A ring whose header can be read. The slots are behind it, so they have a pointer of their own: a
/// reference reaches no further than what it refers to.
#[derive(Clone, Copy)]
pub struct Ring<'a> {
    header: &'a Header,
    slots: *const io_event,
}

/// The completions that are in a ring, from one look at it.
#[derive(Clone, Copy)]
pub struct Completions<'a> {
    ring: Ring<'a>,
    head: u32,
    /// How many.
    pub count: u32,
}

impl<'a> Ring<'a> {
    /// The ring at a handle, if its layout is the only one there has ever been, so that head and
    /// tail mean what they are called.
    ///
    /// # Safety
    /// The handle must be the address of a live context's ring, and stay so while the `Ring` is
    /// used.
    #[inline(always)]
    pub unsafe fn at(ctx: io_context_t) -> Option<Ring<'a>> {
        // SAFETY: the caller's promise. The kernel has initialised the header.
        let header = unsafe { &*ctx.cast::<Header>() };
        let known = header.magic == MAGIC
            && header.incompat_features == 0
            && header.header_length == HEADER_LENGTH;
        let slots = ctx.cast::<Header>().wrapping_add(1).cast();
        known.then_some(Ring { header, slots })
    }

    /// Whether no completion waits to be taken.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        // Acquire pairs with the write barrier in aio_complete(), which stores the event first
        // and the tail after it: whoever learns of a completion here sees what it completed.
        self.header.head.load(Ordering::Relaxed) == self.header.tail.load(Ordering::Acquire)
    }

    /// What can be taken. None if the program has put the head, or anything, where only the kernel
    /// knows what it means.
    #[inline(always)]
    pub fn completions(self) -> Option<Completions<'a>> {
        // Relaxed: other holders of the gate, and the kernel's callers, come before by its acquire.
        let head = self.header.head.load(Ordering::Relaxed);
        // Acquire: as in `is_empty`; the events are read after it.
        let tail = self.header.tail.load(Ordering::Acquire);
        let nr = self.header.nr;
        if head >= nr || tail >= nr {
            return None;
        }
        let round = if tail < head { nr } else { 0 };
        Some(Completions {
            ring: self,
            head,
            count: tail + round - head,
        })
    }
}

impl Completions<'_> {
    /// Copies the first `count` of them to `events`, and moves the head behind them if `may_move`
    /// still says so. Whether it did.
    ///
    /// # Safety
    /// `count` is at most what there is, and `events` has room for as many. Nobody else moves the
    /// head meanwhile.
    #[inline(always)]
    pub unsafe fn take(
        self,
        count: u32,
        events: *mut io_event,
        may_move: impl FnOnce() -> bool,
    ) -> bool {
        let nr = self.ring.header.nr;
        let slots = self.ring.slots;
        let before_end = count.min(nr - self.head);
        // SAFETY: the slots from `head` on and, if those reach the end, from the first on are
        // between head and tail, where the kernel does not write; the caller has room for `count`.
        unsafe {
            copy(slots, self.head, before_end, events);
            copy(
                slots,
                0,
                count - before_end,
                events.add(before_end as usize),
            );
        }
        if !may_move() {
            return false;
        }
        let behind = self.head + count;
        let head = if behind < nr { behind } else { behind - nr };
        // Release: the slots have been read before the kernel may use them again; pairs with its
        // reading of head in user_refill_reqs_available(). Programs that reap for themselves
        // index with head, so it stays below `nr`.
        self.ring.header.head.store(head, Ordering::Release);
        true
    }
}

/// The largest thing that every machine of its kind loads at once; slots are aligned to it.
#[cfg(target_arch = "x86_64")]
type Part = core::arch::x86_64::__m128i;
#[cfg(target_arch = "aarch64")]
type Part = core::arch::aarch64::uint64x2_t;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Part = u64;
const PARTS: usize = core::mem::size_of::<io_event>() / core::mem::size_of::<Part>();

/// Copies `count` slots from number `from` on.
///
/// # Safety
/// They are slots of a ring, and `to` has room.
#[inline(always)]
unsafe fn copy(slots: *const io_event, from: u32, count: u32, to: *mut io_event) {
    for i in 0..count as usize {
        // SAFETY: the caller's promise. Volatile, or this becomes a call of memcpy, which the
        // library does not have.
        unsafe {
            let slot = slots.add(from as usize + i).cast::<Part>();
            let event = to.add(i).cast::<Part>();
            for part in 0..PARTS {
                event
                    .add(part)
                    .write_unaligned(slot.add(part).read_volatile());
            }
        }
    }
}
