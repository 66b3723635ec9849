//! The lock for the events of a context that this library serves, the room for them, and the
//! threads that wait for them: `ctx_lock`, `reqs_available` and the wait queue in the kernel's
//! `fs/aio.c`.
//!
//! A thread that holds the lock has blocked its signals, so it cannot leave by a jump, and no
//! signal handler in it waits for its own thread. It holds the lock for some tens of nanoseconds.
//!
//! The owner of the ring's entry (`context/lock.rs`) may take events, and move the head, without
//! this lock. That only makes room. The tail moves only under this lock, so the number of unread
//! events must be computed under it: otherwise other threads could fill the ring between the loads
//! of head and tail, and a full ring would look empty.
//!
//! Generic over its words: `tests/events_model.rs` runs this file through all interleavings.

#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};

/// A word that threads can sleep on.
pub trait Word {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
    fn swap(&self, value: u32, order: Ordering) -> u32;
    fn add(&self, value: u32, order: Ordering) -> u32;
    /// Adds 1 if the word is less than `limit`. Returns whether it was. Relaxed.
    fn add_below(&self, limit: u32) -> bool;
    fn compare_exchange(
        &self,
        old: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32>;
    /// Sleeps while the word holds `value`. May return early.
    fn sleep(&self, value: u32);
    fn wake_one(&self);
    fn wake_all(&self);
}

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and other threads may sleep.
const CONTENDED: u32 = 2;

/// No thread waits.
const NONE: u32 = u32::MAX;
/// The context is being destroyed, so no thread may start to wait.
const CLOSED: u32 = u32::MAX - 1;

/// The five words of a context.
pub struct EventQueue<'a, W> {
    /// A mutex: [`FREE`], [`HELD`] or [`CONTENDED`].
    pub lock: &'a W,
    /// The number of requests that have reserved room: those being carried out, and `added`.
    pub outstanding: &'a W,
    /// The number of events added, including those that were taken since the last refill. Changed
    /// under the lock.
    pub added: &'a W,
    /// The smallest number of events that a waiter needs; or [`NONE`] or [`CLOSED`]. If that waiter
    /// has left by a jump, a wake-up has no effect.
    pub needed: &'a W,
    /// Incremented whenever waiters are woken. They sleep on this word.
    pub changed: &'a W,
}

impl<W: Word> EventQueue<'_, W> {
    /// Initialises the words of a new context, before any other thread uses it.
    pub fn start(&self) {
        self.lock.store(FREE, Relaxed);
        self.outstanding.store(0, Relaxed);
        self.added.store(0, Relaxed);
        self.needed.store(NONE, Relaxed);
    }

    /// Reserves room for one event. False if `capacity` events are unread or in flight. `unread`
    /// counts the unread events.
    #[inline(always)]
    pub fn reserve(&self, capacity: u32, unread: impl FnOnce() -> u32) -> bool {
        self.outstanding.add_below(capacity) || self.refill_and_reserve(capacity, unread)
    }

    /// Frees the room of events that were taken, then reserves. `user_refill_reqs_available` in
    /// `fs/aio.c`.
    #[cold]
    #[inline(never)]
    fn refill_and_reserve(&self, capacity: u32, unread: impl FnOnce() -> u32) -> bool {
        acquire(self.lock);
        // Saturating, because a program may store any value in the head.
        let added = self.added.load(Relaxed);
        let taken = added.saturating_sub(unread());
        self.added.store(added - taken, Relaxed);
        // Relaxed: a thread that uses the room acquires the lock before it writes the slot, and so
        // sees that the slot was read.
        self.outstanding.add(taken.wrapping_neg(), Relaxed);
        let has_room = self.outstanding.add_below(capacity);
        release(self.lock);
        has_room
    }

    /// Frees reserved room, because the request was refused.
    pub fn unreserve(&self) {
        self.outstanding.add(u32::MAX, Relaxed);
    }

    /// Adds an event, for which room was reserved. `put` stores it, and returns the number of
    /// unread events.
    pub fn append(&self, put: impl FnOnce() -> u32) {
        acquire(self.lock);
        let unread = put();
        self.added
            .store(self.added.load(Relaxed).wrapping_add(1), Relaxed);
        // False for `NONE` and `CLOSED`, which are larger than any number of events.
        let wakes = unread >= self.needed.load(Relaxed);
        if wakes {
            self.needed.store(NONE, Relaxed);
            self.changed.add(1, Relaxed);
        }
        release(self.lock);
        if wakes {
            self.changed.wake_all();
        }
    }

    /// Runs `take` under the lock.
    pub fn take<T>(&self, take: impl FnOnce() -> T) -> T {
        acquire(self.lock);
        let taken = take();
        release(self.lock);
        taken
    }

    /// Registers that this thread waits until `needed` events, at least one, are unread. Returns
    /// the value of `changed` to sleep on. None if so many are unread, or the context is being
    /// destroyed.
    pub fn prepare_to_wait(&self, needed: u32, unread: impl FnOnce() -> u32) -> Option<u32> {
        acquire(self.lock);
        // Under the lock, so that every later `append` sees `needed`.
        let least = self.needed.load(Relaxed);
        let value = (unread() < needed && least != CLOSED).then(|| {
            self.needed.store(least.min(needed), Relaxed);
            self.changed.load(Relaxed)
        });
        release(self.lock);
        value
    }

    /// Wakes all waiters, because the context is being destroyed. A thread that calls
    /// `prepare_to_wait` later finds [`CLOSED`], and does not wait.
    pub fn close(&self) {
        acquire(self.lock);
        self.needed.store(CLOSED, Relaxed);
        self.changed.add(1, Relaxed);
        release(self.lock);
        self.changed.wake_all();
    }
}

/// Acquires a mutex: a word that holds [`FREE`], [`HELD`] or [`CONTENDED`].
fn acquire(lock: &impl Word) {
    let was_free = lock.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok();
    if !was_free {
        acquire_contended(lock);
    }
}

#[cold]
#[inline(never)]
fn acquire_contended(lock: &impl Word) {
    // CONTENDED even if it succeeds, because other threads may still sleep.
    while lock.swap(CONTENDED, Acquire) != FREE {
        lock.sleep(CONTENDED);
    }
}

#[inline(never)]
fn release(lock: &impl Word) {
    // Release pairs with the acquires above: the next holder sees this one's stores.
    if lock.swap(FREE, Release) == CONTENDED {
        lock.wake_one();
    }
}
