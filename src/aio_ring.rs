//! The completion ring: `struct aio_ring` in `fs/aio.c`. The kernel maps it into the process; its
//! address is the context's handle. The first part of this file reads the kernel's ring, the second
//! ([`LibraryRing`]) fills a ring of the library's own.

use crate::abi::{io_context_t, io_event};
use crate::sys::restartable::Section;
use core::sync::atomic::{AtomicU32, Ordering};

const MAGIC: u32 = 0xa10a_10a1;
/// The size of the header in bytes.
pub const HEADER_LENGTH: u32 = 32;

/// The header of a ring; the events follow. `head` and `tail` are atomics, because programs that
/// reap by themselves write `head` from any thread, and the kernel writes `tail` from interrupts.
/// `magic` is one, because [`Ring::hide`] clears it. The rest is set once.
#[repr(C)]
struct Header {
    id: u32,
    /// The number of slots. One always stays free.
    nr: u32,
    head: AtomicU32,
    tail: AtomicU32,
    magic: AtomicU32,
    compat_features: u32,
    incompat_features: u32,
    header_length: u32,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Header>() == HEADER_LENGTH as usize);
    assert!(offset_of!(Header, id) == 0);
    assert!(offset_of!(Header, nr) == 4);
    assert!(offset_of!(Header, head) == 8);
    assert!(offset_of!(Header, tail) == 12);
    assert!(offset_of!(Header, magic) == 16);
    assert!(offset_of!(Header, compat_features) == 20);
    assert!(offset_of!(Header, incompat_features) == 24);
    assert!(offset_of!(Header, header_length) == 28);
};

/// A mapped ring.
#[derive(Clone, Copy)]
pub struct Ring<'a>(&'a Header);

impl<'a> Ring<'a> {
    /// The ring at a handle, if it has the known layout. There has never been another one.
    ///
    /// # Safety
    /// A ring must be mapped at the handle as long as the `Ring` is used.
    #[inline(always)]
    pub unsafe fn at(ctx: io_context_t) -> Option<Ring<'a>> {
        // SAFETY: the caller's promise. The kernel has initialised the header.
        let header = unsafe { &*ctx.cast::<Header>() };
        let known = header.magic.load(Ordering::Relaxed) == MAGIC
            && header.incompat_features == 0
            && header.header_length == HEADER_LENGTH;
        known.then_some(Ring(header))
    }

    /// Whether there is no ready completion.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        // Acquire pairs with the write barrier in aio_complete(), which stores the event and then
        // the tail: a thread that sees the completion also sees the data that was read. The head
        // is loaded first, so if it is equal to the tail, the ring was empty at that time.
        self.0.head.load(Ordering::Acquire) == self.0.tail.load(Ordering::Acquire)
    }
}

/// How the owner of a ring's lock reads the ring and moves its head: in restartable sections, which
/// have no effect after another call has taken the lock from it.
pub trait Sections {
    /// Reads four words, the second with acquire.
    ///
    /// # Safety
    /// They must be readable as long as the lock is owned.
    unsafe fn read_words(&self, from: *const u64) -> (Section, [u64; 4]);

    /// Copies blocks of [`BLOCK`] bytes to `to`: `count` (not 0) from `from`, then `more` from
    /// `from_start`. Then stores `value` to `word`, with release.
    ///
    /// # Safety
    /// As long as the lock is owned, the sources must be readable and `word` writable. `to` must be
    /// writable in any case.
    #[allow(clippy::too_many_arguments)]
    unsafe fn copy_and_store(
        &self,
        from: *const u8,
        count: usize,
        from_start: *const u8,
        more: usize,
        to: *mut u8,
        word: *mut u32,
        value: u32,
    ) -> Section;
}

/// The size of an event.
pub const BLOCK: usize = 32;
const _: () = assert!(core::mem::size_of::<io_event>() == BLOCK);

/// The ready completions, as the owner of the ring's lock has read them from the header.
#[derive(Clone, Copy)]
pub struct Completions {
    nr: u32,
    head: u32,
    /// How many are ready.
    pub count: u32,
}

impl Completions {
    /// Reads the header. None if head or tail is out of range (programs may write head), or the
    /// layout is not known; the kernel then decides.
    ///
    /// # Safety
    /// A ring must be mapped at the handle as long as `owner` owns its lock.
    #[inline(always)]
    pub unsafe fn at<S: Sections>(
        ctx: io_context_t,
        owner: &S,
    ) -> Result<Option<Completions>, Section> {
        // SAFETY: the caller's promise.
        let (section, words) = unsafe { owner.read_words(ctx.cast()) };
        match section {
            Section::Done => Ok(Completions::from_header(words)),
            other => Err(other),
        }
    }

    /// From the header, on a little-endian machine: two fields in each word.
    #[inline(always)]
    fn from_header(words: [u64; 4]) -> Option<Completions> {
        let fields = |word: u64| (word as u32, (word >> 32) as u32);
        let (_id, nr) = fields(words[0]);
        let (head, tail) = fields(words[1]);
        let (magic, _compat_features) = fields(words[2]);
        let (incompat_features, header_length) = fields(words[3]);
        let known = magic == MAGIC && incompat_features == 0 && header_length == HEADER_LENGTH;
        if !known || head >= nr || tail >= nr {
            return None;
        }
        let round = if tail < head { nr } else { 0 };
        Some(Completions {
            nr,
            head,
            count: tail + round - head,
        })
    }

    /// Copies the oldest `count` of them to `events`, and moves the head past them.
    ///
    /// # Safety
    /// As [`Completions::at`]. `count` must be at least 1 and at most `self.count`, and `events`
    /// must have room for `count`.
    #[inline(always)]
    pub unsafe fn take<S: Sections>(
        self,
        ctx: io_context_t,
        owner: &S,
        count: u32,
        events: *mut io_event,
    ) -> Section {
        let slots = ctx.cast::<u8>().wrapping_add(HEADER_LENGTH as usize);
        let from = slots.wrapping_add(self.head as usize * BLOCK);
        let before_end = count.min(self.nr - self.head);
        let after = self.head + count;
        // Programs that reap by themselves index with head, so it must stay below `nr`.
        let head = if after < self.nr {
            after
        } else {
            after - self.nr
        };
        let head_field = ctx
            .cast::<u8>()
            .wrapping_add(core::mem::offset_of!(Header, head));
        // SAFETY: the copied slots, which may wrap to the first one, are between head and tail,
        // where the kernel does not write. `events` has room for `count`. The release pairs with
        // the kernel's load of head in user_refill_reqs_available(): the slots are read before the
        // kernel reuses them.
        unsafe {
            owner.copy_and_store(
                from,
                before_end as usize,
                slots,
                (count - before_end) as usize,
                events.cast(),
                head_field.cast(),
                head,
            )
        }
    }
}

/// A ring in the library's own memory. As in the kernel's ring, events are added at the tail, under
/// a lock (`engine/event_queue.rs`), and taken at the head.
#[derive(Clone, Copy)]
pub struct LibraryRing<'a>(&'a Header);

/// Quotient and remainder; `(0, value)` for a divisor of 0.
#[cfg(not(target_arch = "arm"))]
pub fn divide(value: u32, divisor: u32) -> (u32, u32) {
    core::num::NonZeroU32::new(divisor).map_or((0, value), |by| (value / by, value % by))
}

/// The same, bit by bit: 32-bit ARM cannot divide without libgcc.
#[cfg(target_arch = "arm")]
pub fn divide(value: u32, divisor: u32) -> (u32, u32) {
    let (mut quotient, mut remainder) = (0, 0_u64);
    for bit in (0..32).rev() {
        remainder = remainder << 1 | u64::from(value >> bit & 1);
        if divisor != 0 && remainder >= u64::from(divisor) {
            remainder -= u64::from(divisor);
            quotient |= 1 << bit;
        }
    }
    (quotient, remainder as u32)
}

impl<'a> LibraryRing<'a> {
    /// # Safety
    /// [`LibraryRing::start`] must have been called for the address, and the pages must stay mapped
    /// as long as the result is used.
    pub unsafe fn at(address: usize) -> LibraryRing<'a> {
        // SAFETY: the caller's promise.
        LibraryRing(unsafe { &*(address as *const Header) })
    }

    /// Initialises an empty ring.
    ///
    /// # Safety
    /// Zeroed pages with room for the slots must be mapped at the address, and no other thread may
    /// use them yet.
    pub unsafe fn start(address: usize, slots: u32) {
        let header = Header {
            id: 0,
            nr: slots,
            head: AtomicU32::new(0),
            tail: AtomicU32::new(0),
            magic: AtomicU32::new(MAGIC),
            compat_features: 1,
            incompat_features: 0,
            header_length: HEADER_LENGTH,
        };
        // SAFETY: the caller's promise. Pages are aligned.
        unsafe { (address as *mut Header).write(header) };
    }

    /// Programs that reap by themselves may store any value in `head`. Like the kernel, this takes
    /// it modulo the number of slots.
    #[inline(never)]
    fn head_and_tail(self) -> (u32, u32) {
        // Acquire pairs with the release store of the head by the owner of the ring's lock: slots
        // are read before they are reused.
        let head = self.0.head.load(Ordering::Acquire);
        let head = match head < self.0.nr {
            true => head,
            false => divide(head, self.0.nr).1,
        };
        (head, self.0.tail.load(Ordering::Acquire))
    }

    /// The number of events that have not been taken.
    pub fn unread(self) -> u32 {
        let (head, tail) = self.head_and_tail();
        if tail >= head {
            tail - head
        } else {
            tail + self.0.nr - head
        }
    }

    fn slot(self, index: u32) -> *mut io_event {
        let header: *const Header = self.0;
        let first = header.cast::<u8>().wrapping_add(HEADER_LENGTH as usize);
        first.wrapping_add(index as usize * BLOCK) as *mut io_event
    }

    fn after(self, index: u32) -> u32 {
        if index + 1 < self.0.nr {
            index + 1
        } else {
            0
        }
    }

    /// Adds an event. Returns the number of events afterwards.
    ///
    /// # Safety
    /// The caller must hold the lock of `engine/event_queue.rs`, and have reserved room for the
    /// event.
    pub unsafe fn append(self, event: io_event) -> u32 {
        let tail = self.0.tail.load(Ordering::Relaxed);
        // SAFETY: the slot at the tail is free, because room is reserved, and only the holder of
        // the lock writes it.
        unsafe { self.slot(tail).write(event) };
        // Release pairs with the acquires in `Ring::is_empty`, in `Completions::at` and above: a
        // thread that sees the tail sees the event.
        self.0.tail.store(self.after(tail), Ordering::Release);
        self.unread()
    }

    /// Takes up to `count` events. Returns how many.
    ///
    /// # Safety
    /// The caller must hold the lock of `engine/event_queue.rs`, and no call may own the lock of
    /// `context/lock.rs` for this ring. `events` must have room for `count`.
    pub unsafe fn take(self, events: *mut io_event, count: u32) -> u32 {
        let (mut head, _) = self.head_and_tail();
        let count = count.min(self.unread());
        for i in 0..count as usize {
            // SAFETY: the slot is between head and tail, and `events` has room. It may be
            // unaligned, in a packed structure.
            unsafe {
                events
                    .wrapping_add(i)
                    .write_unaligned(self.slot(head).read())
            };
            head = self.after(head);
        }
        // Release pairs with the acquire in `head_and_tail`: see there.
        self.0.head.store(head, Ordering::Release);
        count
    }
}

impl Ring<'_> {
    /// The kernel's ring of a context that this library created. Its magic number is not checked,
    /// because [`Ring::hide`] may have cleared it.
    ///
    /// # Safety
    /// As [`Ring::at`].
    pub unsafe fn of_kernel(ctx: io_context_t) -> Self {
        // SAFETY: the caller's promise.
        Ring(unsafe { &*ctx.cast::<Header>() })
    }

    /// The number of slots. One always stays free.
    pub fn slots(self) -> u32 {
        self.0.nr
    }

    /// Clears the magic number. Programs that reap by themselves check it first, as the original
    /// does, and then call the library instead. The kernel never reads it.
    pub fn hide(self) {
        self.0.magic.store(0, Ordering::Relaxed);
    }
}
