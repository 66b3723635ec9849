//! The events of a context that this library serves: room for them, their order, and the threads
//! that wait for them. It takes the place of `ctx_lock`, `reqs_available` and the wait queue in the
//! kernel's `fs/aio.c`.
//!
//! Four words. A thread that holds the lock has blocked its signals, so it neither leaves by a jump
//! nor meets itself in a handler; it holds the lock for some tens of nanoseconds. Events
//! may be taken meanwhile by an owner of the ring's entry (`context/lock.rs`), which moves the head
//! without this lock: that only makes room.
//!
//! Generic over its words: `tests/events_model.rs` runs this file through all interleavings.

#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

/// A word that threads can sleep on.
pub trait Word {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
    fn swap(&self, value: u32, order: Ordering) -> u32;
    fn add(&self, value: u32, order: Ordering) -> u32;
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
    /// Requests that have room for their event and are being carried out.
    pub reserved: &'a W,
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
        self.reserved.store(0, Relaxed);
        self.needed.store(NONE, Relaxed);
    }

    /// Takes room for one event, if fewer than `capacity` are unread or expected.
    pub fn reserve(&self, capacity: u32, unread: impl FnOnce() -> u32) -> bool {
        // Acquire pairs with the release in `append`: an event that is no longer counted here is
        // counted among the unread ones. In between it is counted twice.
        let expected = self.reserved.add(1, AcqRel);
        let has_room = unread().saturating_add(expected) < capacity;
        if !has_room {
            self.give_back();
        }
        has_room
    }

    /// Gives the room back: the request was refused.
    pub fn give_back(&self) {
        self.reserved.add(u32::MAX, Release);
    }

    /// Adds an event, for which room was reserved. `put` says how many are unread then.
    pub fn append(&self, put: impl FnOnce() -> u32) {
        self.acquire();
        let unread = put();
        // Nobody has as many as `NONE` and `CLOSED` say.
        let wakes = unread > self.needed.load(Relaxed);
        if wakes {
            self.needed.store(NONE, Relaxed);
            self.changed.add(1, Release);
        }
        self.release();
        self.give_back();
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
        self.changed.add(1, Release);
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
