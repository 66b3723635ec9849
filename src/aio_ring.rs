//! The completion ring, as far as the library reads it: `struct aio_ring` in `fs/aio.c`, which
//! the kernel maps into the process at the address that is the context's handle.

use crate::abi::{io_context_t, io_event};
use crate::sys::restartable::Section;
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

/// A ring whose header can be read.
#[derive(Clone, Copy)]
pub struct Ring<'a>(&'a Header);

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
        known.then_some(Ring(header))
    }

    /// Whether no completion waits to be taken.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        // Acquire pairs with the write barrier in aio_complete(), which stores the event first
        // and the tail after it: whoever learns of a completion here sees what it completed. The
        // head is loaded first: the ring was empty then.
        self.0.head.load(Ordering::Acquire) == self.0.tail.load(Ordering::Acquire)
    }
}

/// How the owner of a ring's lock reads the ring and moves its head: in restartable sections, which
/// have no effect once the lock has been taken from it.
pub trait Sections {
    /// Reads four words, the second of which with acquire.
    ///
    /// # Safety
    /// They must be readable as long as the lock is owned.
    unsafe fn read_words(&self, from: *const u64) -> (Section, [u64; 4]);

    /// Copies blocks of [`BLOCK`] bytes, `count` (not 0) from `from` and `more` from `from_start`,
    /// and then stores `value` to `word`, with release.
    ///
    /// # Safety
    /// All must be readable and writable as long as the lock is owned, and `to` in any case.
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

/// The completions that are in a ring, from one look at it by the owner of its lock.
#[derive(Clone, Copy)]
pub struct Completions {
    nr: u32,
    head: u32,
    /// How many.
    pub count: u32,
}

impl Completions {
    /// What can be taken. None if head or tail is out of range (programs may write head), or the
    /// layout is not known: the kernel then decides.
    ///
    /// # Safety
    /// A ring is mapped at the handle as long as `owner` owns its lock.
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

    /// Copies the first `count` of them to `events`, and moves the head behind them.
    ///
    /// # Safety
    /// As [`Completions::at`]; `count` is 1 at least and at most what there is, and `events` has
    /// room for as many.
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
        let behind = self.head + count;
        // Programs that reap for themselves index with head, so it stays below `nr`.
        let head = if behind < self.nr {
            behind
        } else {
            behind - self.nr
        };
        let head_field = ctx
            .cast::<u8>()
            .wrapping_add(core::mem::offset_of!(Header, head));
        // SAFETY: the slots from `head` on and, if those reach the end, from the first on are
        // between head and tail, where the kernel does not write; the caller has room for `count`.
        // The release pairs with the kernel's reading of head in user_refill_reqs_available(): the
        // slots have been read before they are used again.
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
