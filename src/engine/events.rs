//! The events of a context that this library serves: room for them, their order, and the threads that
//! wait for them. It takes the place of `ctx_lock`, `reqs_available` and the wait queue in the
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

pub struct Events<'a, W> {
    /// A mutex: [`FREE`], [`HELD`] or [`WANTED`].
    pub lock: &'a W,
    /// Requests that have room for their event and are being carried out.
    pub reserved: &'a W,
    /// How many events some waiter needs at least, less 1 so that a word of zeros says 1; or
    /// [`NONE`]. A waiter that left by a jump may be meant: then a wake-up finds nobody.
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
    /// value of `changed` to sleep on; None if they are there.
    pub fn expect(&self, needed: u32, unread: impl FnOnce() -> u32) -> Option<u32> {
        self.acquire();
        // Under the lock: an event that is added later finds what is written here.
        let value = (unread() < needed).then(|| {
            let least = self.needed.load(Relaxed);
            // Not `NONE` + 1.
            if least == NONE || least > needed - 1 {
                self.needed.store(needed - 1, Relaxed);
            }
            self.changed.load(Relaxed)
        });
        self.release();
        value
    }

    /// Wakes all who wait: the context is being destroyed.
    pub fn wake(&self) {
        self.acquire();
        self.needed.store(NONE, Relaxed);
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
        // Whoever has slept cannot know whether others still do.
        while self.lock.swap(WANTED, Acquire) != FREE {
            self.lock.sleep(WANTED);
        }
    }

    fn release(&self) {
        // Pairs with the acquires above.
        if self.lock.swap(FREE, Release) == WANTED {
            self.lock.wake_one();
        }
    }
}
