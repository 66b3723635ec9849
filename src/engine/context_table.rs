//! The table of the contexts that this library serves alone (`inline.rs`) or in part
//! (`short_ring.rs`). It has a fixed size, like the registry, so that a lookup needs neither memory
//! nor a lock.
//!
//! A thread that uses a context's memory holds a reference (`context_ref.rs`), which is counted in
//! the entry. io_destroy() waits until all references are gone.
//!
//! In a forked child the table is empty, because the kernel wipes its pages. Some emulators claim
//! to wipe them, but do not; therefore each entry has the ID of its process.

use super::event_queue::{EventQueue, Word};
use crate::abi::io_context_t;
use crate::aio_ring::LibraryRing;
use crate::settings::WITHOUT_LOCK;
use crate::sys::futex;
use crate::sys::memory;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{self, Acquire, Relaxed, Release, SeqCst},
};

const WAYS: usize = 8;
const SETS: usize = 1024;

/// In [`Entry::handle`]: no context.
const FREE: usize = 0;
/// In [`Entry::handle`]: a context is being created or destroyed.
const BUSY: usize = 1;

/// One context, in a cache line of its own.
#[repr(C, align(64))]
pub struct Entry {
    /// The context's handle, or [`FREE`] or [`BUSY`].
    handle: AtomicUsize,
    /// The number of references.
    users: AtomicU32,
    /// Incremented for every context, to tell it from earlier ones in this entry.
    generation: AtomicU32,
    /// The address and length of the library's ring for the events.
    memory: AtomicUsize,
    length: AtomicUsize,
    /// The number of requests for which the library's ring has room.
    capacity: AtomicU32,
    /// The most requests that one io_submit() processes (`nr_events` of `struct kioctx`).
    nr_events: AtomicU32,
    /// For a short ring: the number of slots in the kernel's ring. Stored here, because the ring
    /// may be unmapped while a thread waits.
    kernel_slots: AtomicU32,
    /// The ID of the process, in case the table is not wiped in a forked child.
    process: AtomicU32,
    /// For a short ring: the number of unread events in the library's ring.
    library_events: AtomicU32,
    /// For a short ring: whether the next call takes the library's events before the kernel's.
    library_first: AtomicBool,
    lock: AtomicU32,
    outstanding: AtomicU32,
    added: AtomicU32,
    needed: AtomicU32,
    changed: AtomicU32,
}

/// Aligned to the largest page, like the registry, because the kernel wipes whole pages.
#[cfg_attr(pages_of_4_kib, repr(align(4096)))]
#[cfg_attr(not(pages_of_4_kib), repr(align(65536)))]
struct Table([[Entry; WAYS]; SETS]);

// The constants are only the initial values.
#[allow(clippy::declare_interior_mutable_const, clippy::large_const_arrays)]
static TABLE: Table = {
    const ZERO: AtomicU32 = AtomicU32::new(0);
    const WORD: AtomicUsize = AtomicUsize::new(0);
    const ENTRY: Entry = Entry {
        handle: WORD,
        users: ZERO,
        generation: ZERO,
        memory: WORD,
        length: WORD,
        capacity: ZERO,
        nr_events: ZERO,
        kernel_slots: ZERO,
        process: ZERO,
        library_events: ZERO,
        library_first: AtomicBool::new(false),
        lock: ZERO,
        outstanding: ZERO,
        added: ZERO,
        needed: ZERO,
        changed: ZERO,
    };
    const SET: [Entry; WAYS] = [ENTRY; WAYS];
    Table([SET; SETS])
};

static WIPED: AtomicBool = AtomicBool::new(false);
/// Whether the table has ever had a context.
static IS_USED: AtomicBool = AtomicBool::new(false);

/// Must be called when the library is loaded, if the environment allows it to serve contexts.
pub fn prepare() {
    WIPED.store(memory::wipe_on_fork(&TABLE), Relaxed);
}

impl Word for AtomicU32 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
    #[inline(always)]
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order)
    }
    #[inline(always)]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        AtomicU32::swap(self, value, order)
    }
    #[inline(always)]
    fn add(&self, value: u32, order: Ordering) -> u32 {
        AtomicU32::fetch_add(self, value, order)
    }
    #[inline(always)]
    fn add_below(&self, limit: u32) -> bool {
        let more = |value| (value < limit).then_some(value + 1);
        self.fetch_update(Relaxed, Relaxed, more).is_ok()
    }
    #[inline(always)]
    fn compare_exchange(
        &self,
        old: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> core::result::Result<u32, u32> {
        if WITHOUT_LOCK {
            return Ok(old);
        }
        AtomicU32::compare_exchange(self, old, new, success, failure)
    }
    fn sleep(&self, value: u32) {
        let _ = futex::wait(self, value, i64::MAX);
    }
    fn wake_one(&self) {
        futex::wake(self, 1);
    }
    fn wake_all(&self) {
        futex::wake(self, i32::MAX);
    }
}

/// The number of sets that a context may be in.
const CHOICES: usize = 4;

/// The entries that a context with this handle may have. The first set is such that adjacent rings
/// fill all sets evenly. Rings at equal distances, for example if each thread maps a stack and a
/// ring, may have the same first set, so the other sets are chosen by a hash.
fn entries(address: usize) -> impl Iterator<Item = &'static Entry> {
    const BITS: u32 = SETS.trailing_zeros();
    const ODD: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;
    let page = address >> 12;
    let hash = page.wrapping_mul(ODD);
    let first = (page ^ (page >> BITS)) % SETS;
    let mut sets = ((hash ^ (hash >> (usize::BITS / 2))) << BITS) | first;
    // black_box hides the number, because the compiler would unroll every loop over the entries.
    (0..core::hint::black_box(CHOICES * WAYS)).map(move |i| {
        let entry = &TABLE.0[sets % SETS][i % WAYS];
        if i % WAYS == WAYS - 1 {
            sets >>= BITS;
        }
        entry
    })
}

/// The fields of a new entry.
pub struct NewContext {
    pub handle: usize,
    pub memory: usize,
    pub length: usize,
    pub capacity: u32,
    pub nr_events: u32,
    /// 0 without a kernel ring.
    pub kernel_slots: u32,
}

impl Entry {
    /// The lock, the room and the waiters of the library's events.
    pub fn queue(&self) -> EventQueue<'_, AtomicU32> {
        EventQueue {
            lock: &self.lock,
            outstanding: &self.outstanding,
            added: &self.added,
            needed: &self.needed,
            changed: &self.changed,
        }
    }

    /// Whether the entry belongs to this process.
    fn is_ours(&self) -> bool {
        WIPED.load(Relaxed) || self.process.load(Relaxed) == memory::process_id()
    }

    /// Claims the entry for a new context, if it is free or belongs to another process.
    #[inline(never)]
    fn claim(&self) -> bool {
        let found = self.handle.load(Relaxed);
        if found != FREE {
            if self.is_ours() {
                return false;
            }
            self.users.store(0, Relaxed); // those were threads of the parent
        }
        self.handle
            .compare_exchange(found, BUSY, Acquire, Relaxed)
            .is_ok()
    }

    /// The number of requests for which the library's ring has room.
    pub fn capacity(&self) -> u32 {
        self.capacity.load(Relaxed)
    }

    /// The most requests that one io_submit() processes.
    pub fn nr_events(&self) -> u32 {
        self.nr_events.load(Relaxed)
    }

    /// The number of slots in the kernel's ring.
    pub fn kernel_slots(&self) -> u32 {
        self.kernel_slots.load(Relaxed)
    }

    /// A number that tells the context from a later one with the same handle.
    pub fn generation(&self) -> u32 {
        self.generation.load(Relaxed)
    }

    /// Whether the context with this generation still exists. It may be destroyed at any time.
    pub fn still_has(&self, ctx: io_context_t, generation: u32) -> bool {
        self.handle.load(Acquire) == ctx as usize && self.generation() == generation
    }

    /// For a short ring: the number of unread events in the library's ring. Needs no reference,
    /// because the entry is never unmapped.
    pub fn library_events(&self) -> u32 {
        self.library_events.load(Relaxed)
    }

    pub fn set_library_events(&self, unread: u32) {
        self.library_events.store(unread, Relaxed);
    }

    /// Whether to take the library's events before the kernel's.
    pub fn library_first(&self) -> bool {
        self.library_first.load(Relaxed)
    }

    pub fn set_library_first(&self, first: bool) {
        self.library_first.store(first, Relaxed);
    }

    /// Whether the context with this handle is, or was, served by this library alone: its handle is
    /// the address of the library's ring. Does not use the entry's handle, which is cleared if
    /// another thread destroys the context.
    pub fn is_inline(&self, ctx: io_context_t) -> bool {
        self.memory.load(Relaxed) == ctx as usize
    }

    /// Counts a reference. False, and not counted, if the context was destroyed.
    pub fn add_user(&self, ctx: io_context_t) -> bool {
        // Sequentially consistent: see `remove`.
        self.users.fetch_add(1, SeqCst);
        let exists = self.handle.load(SeqCst) == ctx as usize;
        if !exists {
            self.remove_user();
        }
        exists
    }

    /// Stops counting a reference.
    pub fn remove_user(&self) {
        self.users.fetch_sub(1, SeqCst);
    }

    /// Whether the library's ring has no unread event.
    ///
    /// # Safety
    /// No other thread may destroy the context during the call.
    pub unsafe fn is_empty(&self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.ring() }.unread() == 0
    }

    /// The library's ring.
    ///
    /// # Safety
    /// As long as the result is used, this thread must hold a reference, or no thread may destroy
    /// the context.
    pub unsafe fn ring(&self) -> LibraryRing<'_> {
        // SAFETY: the caller's promise.
        unsafe { LibraryRing::at(self.memory.load(Acquire)) }
    }
}

/// Adds a context. False if the table has no room for it.
pub fn add(new: &NewContext) -> bool {
    let Some(entry) = entries(new.handle).find(|entry| entry.claim()) else {
        return false;
    };
    IS_USED.store(true, Relaxed);
    entry.process.store(memory::process_id(), Relaxed);
    entry.generation.fetch_add(1, Relaxed);
    entry.memory.store(new.memory, Relaxed);
    entry.length.store(new.length, Relaxed);
    entry.capacity.store(new.capacity, Relaxed);
    entry.nr_events.store(new.nr_events, Relaxed);
    entry.kernel_slots.store(new.kernel_slots, Relaxed);
    entry.library_events.store(0, Relaxed);
    entry.queue().start();
    // Release pairs with the acquires in `find` and `add_user`: a thread that finds the handle sees
    // the other fields.
    entry.handle.store(new.handle, Release);
    true
}

/// The entry of a context that this library serves, alone or in part.
#[inline(never)]
pub fn find(ctx: io_context_t) -> Option<&'static Entry> {
    // Relaxed: a thread that has the handle of a context also sees what was stored before.
    if !IS_USED.load(Relaxed) {
        return None;
    }
    let address = ctx as usize;
    let has_handle = |entry: &&Entry| entry.handle.load(Acquire) == address;
    let entry = entries(address).find(has_handle)?;
    (address > BUSY && entry.is_ours()).then_some(entry)
}

/// Removes a context: wakes the threads that wait for its events, waits until no thread holds a
/// reference, and unmaps the library's ring. False if another thread has begun to remove it.
#[inline(never)]
pub fn remove(entry: &'static Entry, ctx: io_context_t) -> bool {
    // Sequentially consistent, as in `add_user`: either its count is seen below, or it finds that
    // the handle has changed.
    if entry
        .handle
        .compare_exchange(ctx as usize, BUSY, SeqCst, Relaxed)
        .is_err()
    {
        return false;
    }
    entry.queue().close();
    let mut turn = 0;
    while entry.users.load(SeqCst) != 0 {
        match turn {
            0..=99 => core::hint::spin_loop(),
            // A reference is held for as long as the kernel carries out a request.
            _ => memory::sleep(50_000),
        }
        turn += 1;
    }
    // SAFETY: no thread holds a reference, and none can get one any more.
    unsafe { memory::unmap(entry.memory.load(Relaxed), entry.length.load(Relaxed)) };
    entry.handle.store(FREE, Release);
    true
}
