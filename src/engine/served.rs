//! The contexts that this library serves, wholly (`in_line.rs`) or in part (`short_ring.rs`): a
//! fixed table like that of the registry, so that neither memory nor a lock is needed to look in
//! it.
//!
//! A thread that uses a context's memory is counted in its entry, and blocks its signals as long:
//! so it comes back, whatever handlers do, and io_destroy can wait for it.
//!
//! A forked child finds the table empty. The kernel wipes its pages; where it does not (emulators
//! say that they do, and do nothing), each entry says whose it is.

use super::events::{Events, Word};
use crate::abi::{io_context_t, io_event};
use crate::aio_ring::Memory;
use crate::errno::{Errno, Result};
use crate::settings::WITHOUT_LOCK;
use crate::sys::futex;
use crate::sys::memory;
use crate::sys::signals::{self, Mask};
use core::cell::Cell;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{self, Acquire, Relaxed, Release, SeqCst},
};

const WAYS: usize = 8;
const SETS: usize = 1024;

/// In [`Entry::handle`]: no context; one that is being made; one that is being destroyed.
const FREE: usize = 0;
const BUSY: usize = 1;

/// One context, in a cache line of its own.
#[repr(C, align(64))]
pub struct Entry {
    /// The context's handle, or [`FREE`] or [`BUSY`].
    handle: AtomicUsize,
    /// Threads that use the memory.
    users: AtomicU32,
    /// Changes with every context that the entry is given to.
    generation: AtomicU32,
    /// Where the ring of the events is that come from this library, and how long it is.
    memory: AtomicUsize,
    length: AtomicUsize,
    /// How many requests have room at a time, and how many one io_submit() looks at at most.
    capacity: AtomicU32,
    most: AtomicU32,
    /// How many slots the kernel's ring has, where the kernel serves a part. Here, because the ring
    /// goes away under a thread that waits.
    slots: AtomicU32,
    /// Whose it is, where the table is not wiped.
    process: AtomicU32,
    /// Where the kernel serves a part: how many events are ours and unread, and whether the last
    /// call that took the kernel's left ours where they are.
    late: AtomicU32,
    is_passed_over: AtomicBool,
    lock: AtomicU32,
    outstanding: AtomicU32,
    added: AtomicU32,
    needed: AtomicU32,
    changed: AtomicU32,
}

/// Alone on its pages, as the registry's.
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
        most: ZERO,
        slots: ZERO,
        process: ZERO,
        late: ZERO,
        is_passed_over: AtomicBool::new(false),
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
/// Whether there ever was a context in the table.
static IS_USED: AtomicBool = AtomicBool::new(false);

/// To be called when the library is loaded, if it may come to serve contexts.
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

/// How many sets a context may be in.
const CHOICES: usize = 4;

/// The entries that a context with this handle may have. The first set fills evenly where rings are
/// neighbours. Rings at equal distances, such as those of threads that each map a stack and a ring,
/// may share their first set; the others are a hash.
fn entries(address: usize) -> impl Iterator<Item = &'static Entry> {
    const BITS: u32 = SETS.trailing_zeros();
    const ODD: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;
    let page = address >> 12;
    let hash = page.wrapping_mul(ODD);
    let first = (page ^ (page >> BITS)) % SETS;
    let mut sets = ((hash ^ (hash >> (usize::BITS / 2))) << BITS) | first;
    // How many is hidden from the compiler, which unrolls every loop over them otherwise.
    (0..core::hint::black_box(CHOICES * WAYS)).map(move |i| {
        let entry = &TABLE.0[sets % SETS][i % WAYS];
        if i % WAYS == WAYS - 1 {
            sets >>= BITS;
        }
        entry
    })
}

/// What a new context is.
pub struct New {
    pub handle: usize,
    pub memory: usize,
    pub length: usize,
    pub capacity: u32,
    pub most: u32,
    /// Of the kernel's ring.
    pub slots: u32,
}

impl Entry {
    fn events(&self) -> Events<'_, AtomicU32> {
        Events {
            lock: &self.lock,
            outstanding: &self.outstanding,
            added: &self.added,
            needed: &self.needed,
            changed: &self.changed,
        }
    }

    fn is_ours(&self) -> bool {
        WIPED.load(Relaxed) || self.process.load(Relaxed) == memory::process_id()
    }

    /// Takes the entry for a new context, if it is free, or another process's.
    #[inline(never)]
    fn claim(&self) -> bool {
        let found = self.handle.load(Relaxed);
        if found != FREE {
            if self.is_ours() {
                return false;
            }
            self.users.store(0, Relaxed); // the parent's threads
        }
        self.handle
            .compare_exchange(found, BUSY, Acquire, Relaxed)
            .is_ok()
    }

    /// How many events there can be at a time.
    pub fn capacity(&self) -> u32 {
        self.capacity.load(Relaxed)
    }

    /// How many requests one io_submit() looks at at most.
    pub fn most(&self) -> u32 {
        self.most.load(Relaxed)
    }

    /// How many slots the kernel's ring has.
    pub fn slots(&self) -> u32 {
        self.slots.load(Relaxed)
    }

    /// Tells the context from a later one with the same handle.
    pub fn generation(&self) -> u32 {
        self.generation.load(Relaxed)
    }

    /// Whether the context is there that had this generation. It may be destroyed at any moment.
    pub fn still_has(&self, ctx: io_context_t, generation: u32) -> bool {
        self.handle.load(Acquire) == ctx as usize && self.generation() == generation
    }

    /// How many of a short ring's events are ours. Read without a lock, and in memory that stays.
    pub fn late(&self) -> u32 {
        self.late.load(Relaxed)
    }

    pub fn is_passed_over(&self) -> bool {
        self.is_passed_over.load(Relaxed)
    }

    pub fn pass_over(&self, passed: bool) {
        self.is_passed_over.store(passed, Relaxed);
    }

    /// Whether the context with this handle is, or was, served by this library alone. Not by the
    /// entry's handle, which is gone as soon as another thread destroys the context.
    pub fn is_whole(&self, ctx: io_context_t) -> bool {
        self.memory.load(Relaxed) == ctx as usize
    }

    /// Whether no event of this library's waits, and none is expected.
    ///
    /// # Safety
    /// The context is not destroyed meanwhile.
    pub unsafe fn is_empty(&self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.memory() }.unread() == 0
    }

    /// # Safety
    /// As long as the result is used, this thread is counted, or the context not destroyed.
    unsafe fn memory(&self) -> Memory<'_> {
        // SAFETY: the caller's promise.
        unsafe { Memory::at(self.memory.load(Acquire)) }
    }
}

/// Lists a context. False if there is no room for it.
pub fn add(new: &New) -> bool {
    let Some(entry) = entries(new.handle).find(|entry| entry.claim()) else {
        return false;
    };
    IS_USED.store(true, Relaxed);
    entry.process.store(memory::process_id(), Relaxed);
    entry.generation.fetch_add(1, Relaxed);
    entry.memory.store(new.memory, Relaxed);
    entry.length.store(new.length, Relaxed);
    entry.capacity.store(new.capacity, Relaxed);
    entry.most.store(new.most, Relaxed);
    entry.slots.store(new.slots, Relaxed);
    entry.late.store(0, Relaxed);
    entry.events().start();
    // Release pairs with the acquires in `find` and `enter`.
    entry.handle.store(new.handle, Release);
    true
}

/// The entry of a context that this library serves, wholly or in part.
#[inline(never)]
pub fn find(ctx: io_context_t) -> Option<&'static Entry> {
    // Relaxed: a thread that has a handle of such a context has seen what was before.
    if !IS_USED.load(Relaxed) {
        return None;
    }
    let address = ctx as usize;
    let has_handle = |entry: &&Entry| entry.handle.load(Acquire) == address;
    let entry = entries(address).find(has_handle)?;
    (address > BUSY && entry.is_ours()).then_some(entry)
}

/// Takes a context off the list, waits for the threads that use its memory, and unmaps that. False
/// if another thread does so. Threads that wait for its events are woken.
#[inline(never)]
pub fn remove(entry: &'static Entry, ctx: io_context_t) -> bool {
    // Sequentially consistent, as in `enter`: either that thread is seen below, or it finds the
    // handle gone.
    if entry
        .handle
        .compare_exchange(ctx as usize, BUSY, SeqCst, Relaxed)
        .is_err()
    {
        return false;
    }
    entry.events().close();
    let mut turn = 0;
    while entry.users.load(SeqCst) != 0 {
        match turn {
            0..=99 => core::hint::spin_loop(),
            // The longest is a request that the kernel carries out.
            _ => memory::sleep(50_000),
        }
        turn += 1;
    }
    // SAFETY: nobody comes in any more, and nobody is there.
    unsafe { memory::unmap(entry.memory.load(Relaxed), entry.length.load(Relaxed)) };
    entry.handle.store(FREE, Release);
    true
}

/// A thread that uses a context's memory, with its signals blocked.
pub struct Inside {
    entry: &'static Entry,
    handle: usize,
    generation: u32,
    mask: Option<Mask>,
    /// Whether it is counted: not after [`Wait::Destroyed`].
    is_counted: Cell<bool>,
}

/// How a wait for a file ended, [`Inside::wait_for_file`].
pub enum Wait {
    Ready,
    Interrupted,
    /// Other requests have taken the room for the event.
    Full,
    /// The context was destroyed.
    Destroyed,
}

impl Inside {
    /// None if the context was destroyed.
    #[inline(never)]
    pub fn enter(entry: &'static Entry, ctx: io_context_t) -> Option<Inside> {
        let mut inside = Inside {
            entry,
            handle: ctx as usize,
            generation: 0,
            mask: signals::block(),
            is_counted: Cell::new(false),
        };
        if !inside.count() {
            inside.unblock();
            return None;
        }
        inside.generation = entry.generation();
        Some(inside)
    }

    /// None also if the handle is a later context's.
    #[inline(never)]
    pub fn enter_again(
        entry: &'static Entry,
        ctx: io_context_t,
        generation: u32,
    ) -> Option<Inside> {
        let inside = Inside::enter(entry, ctx)?;
        if inside.generation != generation {
            inside.leave();
            return None;
        }
        Some(inside)
    }

    /// Whether the context is still there; if it is, this thread is counted.
    #[inline(never)]
    fn count(&self) -> bool {
        // Sequentially consistent: see `remove`.
        self.entry.users.fetch_add(1, SeqCst);
        self.is_counted.set(true);
        let is_there = self.entry.handle.load(SeqCst) == self.handle;
        if !is_there {
            self.discount();
        }
        is_there
    }

    fn discount(&self) {
        if self.is_counted.replace(false) {
            self.entry.users.fetch_sub(1, SeqCst);
        }
    }

    fn unblock(&self) {
        if let Some(mask) = &self.mask {
            signals::restore(mask);
        }
    }

    #[inline(never)]
    pub fn leave(self) {
        self.discount();
        self.unblock();
    }

    fn memory(&self) -> Memory<'_> {
        // SAFETY: this thread is counted.
        unsafe { self.entry.memory() }
    }

    /// How many requests one io_submit() looks at at most.
    pub fn most(&self) -> u32 {
        self.entry.most()
    }

    /// Whether the context is served by this library alone.
    pub fn is_whole(&self) -> bool {
        self.entry.is_whole(self.handle as io_context_t)
    }

    /// Takes room for an event.
    #[inline(never)]
    pub fn reserve(&self) -> Result {
        let capacity = self.entry.capacity();
        let memory = self.memory();
        match self.entry.events().reserve(capacity, || memory.unread()) {
            true => Ok(0),
            false => Err(Errno::EAGAIN),
        }
    }

    /// Gives it back.
    pub fn give_back(&self) {
        self.entry.events().unreserve();
    }

    /// Adds an event, for which there is room.
    #[inline(never)]
    pub fn append(&self, event: io_event) {
        let memory = self.memory();
        self.entry.events().append(|| {
            // SAFETY: under the lock, and the caller has reserved room.
            let unread = unsafe { memory.append(event) };
            self.entry.late.store(unread, Relaxed);
            unread
        });
    }

    /// Takes up to `count` events.
    ///
    /// # Safety
    /// `events` is writable, with room for `count`.
    pub unsafe fn take(&self, events: *mut io_event, count: u32) -> u32 {
        let memory = self.memory();
        self.entry.events().take(|| {
            // SAFETY: under the lock; and the caller is a reader of the ring's lock, if it has one,
            // so that no other call takes events as its owner.
            let taken = unsafe { memory.take(events, count) };
            self.entry.late.store(memory.unread(), Relaxed);
            taken
        })
    }

    pub fn unread(&self) -> u32 {
        self.memory().unread()
    }

    /// Waits until a file is ready, as ppoll(2) does, with the program's signals. This thread is
    /// not counted as long: if a handler leaves by a jump, nothing is held, neither memory nor,
    /// unless `keeps_room`, room for the request's event.
    #[inline(never)]
    pub fn wait_for_file(&self, fd: i32, events: i16, keeps_room: bool) -> Wait {
        let Some(mask) = &self.mask else {
            return Wait::Ready; // the call itself waits
        };
        if !keeps_room {
            self.give_back();
        }
        self.discount();
        // SAFETY: a mask of our own.
        let answer = unsafe { futex::poll(Some((fd, events)), None, mask) };
        if !self.count() || self.entry.generation() != self.generation {
            self.discount();
            return Wait::Destroyed;
        }
        if !keeps_room && self.reserve().is_err() {
            return Wait::Full;
        }
        match answer {
            Err(Errno::EINTR) => Wait::Interrupted,
            _ => Wait::Ready,
        }
    }
}

/// Sleeps until `needed` events, at least one, may be there, or until `deadline` of [`futex::now`].
/// `EINVAL` if the context is not there any more, `EINTR` if a handler ran.
pub fn sleep(
    entry: &'static Entry,
    ctx: io_context_t,
    generation: u32,
    needed: u32,
    deadline: i64,
) -> Result {
    let Some(inside) = Inside::enter_again(entry, ctx, generation) else {
        return Err(Errno::EINVAL);
    };
    let memory = inside.memory();
    let value = entry.events().prepare_to_wait(needed, || memory.unread());
    inside.leave();
    match value {
        // The word is in the table, which stays.
        Some(value) => futex::wait(&entry.changed, value, deadline),
        None => Ok(0),
    }
}
