//! The events of a context that this library serves: room for them, their order, and the threads
//! that wait for them. It takes the place of `ctx_lock`, `reqs_available` and the wait queue in the
//! kernel's `fs/aio.c`.
//!
//! Five words. A thread that holds the lock has blocked its signals, so it neither leaves by a jump
//! nor meets itself in a handler; it holds the lock for some tens of nanoseconds. Events
//! may be taken meanwhile by an owner of the ring's entry (`context/lock.rs`), which moves the head
//! without this lock: that only makes room. So the tail stays where it is under this lock, and only
//! then head and tail say how many events are unread: without it, others may fill the ring between
//! one look and the next, and a full ring would look like an empty one.
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
    /// Adds 1 if the word is less than `limit`. Whether it was. Relaxed.
    fn add_below(&self, limit: u32) -> bool;
    fn compare_exchange(
        &self,
        old: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32>;
    /// Sleeps while the word holds `value`; may wake for no reason.
    fn sleep(&self, value: u32);
    fn wake_one(&self);
    fn wake_all(&self);
}

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and others sleep.
const WANTED: u32 = 2;

/// Nobody waits.
const NONE: u32 = u32::MAX;
/// The context is being destroyed: nobody is to wait any more.
const CLOSED: u32 = u32::MAX - 1;

pub struct Events<'a, W> {
    /// A mutex: [`FREE`], [`HELD`] or [`WANTED`].
    pub lock: &'a W,
    /// Requests that have room for an event: those being carried out, and those in `added`.
    pub outstanding: &'a W,
    /// Of these, how many have had their event added. It may have been taken: that is found out
    /// when the room is used up. Changed under the lock.
    pub added: &'a W,
    /// One less than the number of events that the least demanding waiter needs; or [`NONE`], or
    /// [`CLOSED`]. That waiter may have left by a jump: then a wake-up finds nobody.
    pub needed: &'a W,
    /// Changes whenever waiters are woken.
    pub changed: &'a W,
}

impl<W: Word> Events<'_, W> {
    /// For a new context, before any other thread knows it.
    pub fn start(&self) {
        self.lock.store(FREE, Relaxed);
        self.outstanding.store(0, Relaxed);
        self.added.store(0, Relaxed);
        self.needed.store(NONE, Relaxed);
    }

    /// Takes room for one event, if fewer than `capacity` are unread or expected.
    #[inline(always)]
    pub fn reserve(&self, capacity: u32, unread: impl FnOnce() -> u32) -> bool {
        self.outstanding.add_below(capacity) || self.reserve_what_was_taken(capacity, unread)
    }

    /// `user_refill_reqs_available` in `fs/aio.c`.
    #[cold]
    #[inline(never)]
    fn reserve_what_was_taken(&self, capacity: u32, unread: impl FnOnce() -> u32) -> bool {
        self.acquire();
        // A program that moves the head by itself may leave it anywhere.
        let added = self.added.load(Relaxed);
        let taken = added.saturating_sub(unread());
        self.added.store(added - taken, Relaxed);
        // Relaxed: who uses the room comes to the lock later, and so sees that the slot was read.
        self.outstanding.add(taken.wrapping_neg(), Relaxed);
        let has_room = self.outstanding.add_below(capacity);
        self.release();
        has_room
    }

    /// Gives the room back: the request was refused.
    pub fn give_back(&self) {
        self.outstanding.add(u32::MAX, Relaxed);
    }

    /// Adds an event, for which room was reserved. `put` says how many are unread then.
    pub fn append(&self, put: impl FnOnce() -> u32) {
        self.acquire();
        let unread = put();
        self.added
            .store(self.added.load(Relaxed).wrapping_add(1), Relaxed);
        // Nobody has as many as `NONE` and `CLOSED` say.
        let wakes = unread > self.needed.load(Relaxed);
        if wakes {
            self.needed.store(NONE, Relaxed);
            self.changed.add(1, Relaxed);
        }
        self.release();
        if wakes {
            self.changed.wake_all();
        }
    }

    /// Takes events, apart from others that do so here.
    pub fn take<T>(&self, take: impl FnOnce() -> T) -> T {
        self.acquire();
        let taken = take();
        self.release();
        taken
    }

    /// Says that this thread is going to wait until `needed` events, at least one, are unread. The
    /// value of `changed` to sleep on; None if they are there, or the context is being destroyed.
    pub fn expect(&self, needed: u32, unread: impl FnOnce() -> u32) -> Option<u32> {
        self.acquire();
        // Under the lock: an event that is added later finds what is written here.
        let least = self.needed.load(Relaxed);
        let value = (unread() < needed && least != CLOSED).then(|| {
            self.needed.store(least.min(needed - 1), Relaxed);
            self.changed.load(Relaxed)
        });
        self.release();
        value
    }

    /// Wakes all who wait, and lets nobody wait any more: the context is being destroyed. A thread
    /// that came in before, and has not said yet that it waits, finds the mark.
    pub fn close(&self) {
        self.acquire();
        self.needed.store(CLOSED, Relaxed);
        self.changed.add(1, Relaxed);
        self.release();
        self.changed.wake_all();
    }

    fn acquire(&self) {
        if self
            .lock
            .compare_exchange(FREE, HELD, Acquire, Relaxed)
            .is_ok()
        {
            return;
        }
        self.acquire_from_others();
    }

    #[cold]
    #[inline(never)]
    fn acquire_from_others(&self) {
        // Whoever has slept cannot know whether others still do.
        while self.lock.swap(WANTED, Acquire) != FREE {
            self.lock.sleep(WANTED);
        }
    }

    #[inline(never)]
    fn release(&self) {
        // Pairs with the acquires above.
        if self.lock.swap(FREE, Release) == WANTED {
            self.lock.wake_one();
        }
    }
}
