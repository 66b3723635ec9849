//! A reader-writer lock in one word. It excludes the kernel's `io_getevents` while this library
//! moves a ring's head in user space. The kernel moves the same head under a lock of its own, with
//! a plain store (`aio_read_events_ring` in `fs/aio.c`), so without a common lock events are lost
//! or delivered twice.
//!
//! ```text
//!   owner: the call that takes events in user space │ ours │ readers: threads in io_getevents(2)
//! ```
//!
//! * *Readers* are threads inside the kernel's call. They share the lock, because the kernel
//!   excludes them from each other. A reader that never returns (killed there, or left by
//!   `longjmp`) stays counted, and from then on the kernel delivers the ring's events. No call
//!   waits for a reader.
//! * The *owner* (the writer) excludes all others. It is one call, named by its stack pointer,
//!   which no other active call has. It releases the lock after some tens of nanoseconds, unless
//!   its thread is preempted, ends, or leaves the call by a jump.
//! * A call that finds an owner spins for a moment. Then it takes the lock from the owner: it
//!   stores its own name in the word, and restarts every restartable section in progress
//!   (`membarrier(2)`). An owner accesses the ring only in such sections, and each begins with a
//!   check of this word, so the former owner has either committed or will change nothing.
//! * A call that was left by a jump, or ended with its thread, leaves its name in the word. A later
//!   call with the same stack pointer has the same name. The earlier call may have taken the lock
//!   without restarting sections, so the later call restarts them before it owns the lock.
//! * *Ours* is set if the word belongs to this process. It is clear in a forked child, because the
//!   kernel wipes the word there (see `registry.rs`); contexts are not inherited either.
//!
//! Generic over its word: `tests/lock_model.rs` runs this file through all interleavings.

#![forbid(unsafe_code)]

use crate::sys::restartable::Section;
use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

/// The word, and the operations that the lock needs.
pub trait Word {
    /// The thread's data for restartable sections.
    type Area: Copy;
    /// How often a call looks at an owner before it takes the lock from it.
    const PATIENCE: u32;
    fn load(&self, order: Ordering) -> usize;
    fn store(&self, value: usize, order: Ordering);
    fn compare_exchange(
        &self,
        old: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize>;
    /// A restartable section: stores `value`, with release, if the word holds `owned`.
    fn store_if(&self, area: Self::Area, owned: usize, value: usize) -> Section;
    /// Whether [`Word::restart_others`] should work.
    fn can_restart_others() -> bool;
    /// Restarts all sections in progress in other threads, with a full memory barrier in each
    /// thread. False if the kernel refuses.
    fn restart_others() -> bool;
    /// Waits for a moment, so that the owner can release the lock. `turn` counts from 0. False if
    /// the call has waited long enough.
    fn wait(turn: u32) -> bool;
}

/// The number of readers. It never decreases from its highest value.
const READERS: usize = (1 << 10) - 1;
/// This process may use the lock.
const OURS: usize = 1 << 10;
const OWNER_SHIFT: u32 = 11;
const OWNER: usize = usize::MAX << OWNER_SHIFT;

/// The name of a call: its stack pointer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Call(usize);

impl Call {
    /// The stack pointer is aligned to at least 8 bytes, and below 2^56 in user space.
    #[inline(always)]
    pub fn at(stack_pointer: usize) -> Call {
        Call((stack_pointer >> 3) << OWNER_SHIFT)
    }
}

/// How often a call has found the same owner.
#[derive(Default)]
struct Patience {
    /// The word, with that owner.
    seen: usize,
    turn: u32,
}

/// Why a call does not get the lock.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The word does not belong to this process.
    NotOurs,
    /// Threads are in the kernel's call.
    Readers,
    /// The owner does not release the lock, and the kernel no longer restarts sections, although it
    /// did when the library was loaded.
    Owner,
}

/// The lock of one ring.
pub struct Lock<'a, W>(pub &'a W);

impl<W> Clone for Lock<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<W> Copy for Lock<'_, W> {}

/// A call that owns the lock, unless another call has taken it since.
#[must_use]
pub struct Owner<'a, W: Word> {
    word: &'a W,
    call: Call,
    area: W::Area,
}

/// A thread that is counted as a reader. It makes its system call and then leaves.
#[must_use]
pub struct Reader<'a, W>(&'a W);

impl<'a, W: Word> Lock<'a, W> {
    /// Whether this process may use the lock.
    #[inline(always)]
    pub fn is_ours(self) -> bool {
        self.0.load(Relaxed) & OURS != 0
    }

    /// The common case of [`Lock::own`] in a few instructions: there is no owner and no reader.
    #[inline(always)]
    pub fn try_own(self, call: Call, area: W::Area) -> Option<Owner<'a, W>> {
        // The load avoids moving the cache line to this CPU if the exchange must fail anyway.
        // Acquire pairs with the release in `Owner::release`: this call sees the last owner's head;
        // in `Reader::leave`: it sees the kernel's head; and in `enter`: it sees that io_destroy()
        // has retired the slot.
        let owned = self.0.load(Relaxed) == OURS
            && self
                .0
                .compare_exchange(OURS, OURS | call.0, Acquire, Relaxed)
                .is_ok();
        owned.then_some(Owner {
            word: self.0,
            call,
            area,
        })
    }

    /// Becomes the owner. Takes the lock from an owner that does not release it.
    pub fn own(self, call: Call, area: W::Area) -> Result<Owner<'a, W>, Refused> {
        let mut patience = Patience::default();
        loop {
            let word = self.0.load(Relaxed);
            if word & OURS == 0 {
                return Err(Refused::NotOurs);
            }
            if word & READERS != 0 {
                return Err(Refused::Readers);
            }
            let owned = match word & OWNER {
                0 => self
                    .0
                    .compare_exchange(word, word | call.0, Acquire, Relaxed)
                    .is_ok(),
                _ => self.take_over(word, call, &mut patience)?,
            };
            if owned {
                return Ok(Owner {
                    word: self.0,
                    call,
                    area,
                });
            }
        }
    }

    /// Counts this thread among the readers.
    pub fn enter(self, call: Call) -> Result<Reader<'a, W>, Refused> {
        self.enter_with(call, 0)
    }

    /// The same, and sets the bit *ours*.
    pub fn enter_as_ours(self, call: Call) -> Result<Reader<'a, W>, Refused> {
        self.enter_with(call, OURS)
    }

    fn enter_with(self, call: Call, ours: usize) -> Result<Reader<'a, W>, Refused> {
        let mut patience = Patience::default();
        loop {
            let word = self.0.load(Relaxed);
            if word & OWNER != 0 && !self.take_over(word, call, &mut patience)? {
                continue;
            }
            // If the lock was taken from an owner, only the name in the word has changed.
            let found = match word & OWNER {
                0 => word,
                _ => (word & !OWNER) | call.0,
            };
            let free = found & !OWNER;
            let entered = (free + (free & READERS != READERS) as usize) | ours;
            // Acquire pairs with the release in `Owner::release`: the kernel sees the last owner's
            // head. Release pairs with the acquire in `own`: the next owner sees a retired slot.
            if self
                .0
                .compare_exchange(found, entered, AcqRel, Relaxed)
                .is_ok()
            {
                return Ok(Reader(self.0));
            }
        }
    }

    /// Becomes the only reader, and sets the bit *ours*. None if there is an owner or a reader.
    pub fn enter_alone(self) -> Option<Reader<'a, W>> {
        let word = self.0.load(Relaxed);
        let free = word & (OWNER | READERS) == 0;
        (free
            && self
                .0
                .compare_exchange(word, OURS | 1, AcqRel, Relaxed)
                .is_ok())
        .then_some(Reader(self.0))
    }

    /// Waits for the owner found in `word`, or takes the lock from it. True: the word now names
    /// this call, and no section of another call will have an effect. False: load the word again.
    #[cold]
    #[inline(never)]
    fn take_over(self, word: usize, call: Call, patience: &mut Patience) -> Result<bool, Refused> {
        let is_own = word & OWNER == call.0;
        if patience.seen != word {
            // Another owner than before, so owners do release the lock: start counting again.
            *patience = Patience {
                seen: word,
                turn: 0,
            };
        }
        if !is_own && (patience.turn < W::PATIENCE || !W::can_restart_others()) {
            patience.turn += 1;
            return match W::wait(patience.turn - 1) {
                true => Ok(false),
                false => Err(Refused::Owner),
            };
        }
        let taken = (word & !OWNER) | call.0;
        if self
            .0
            .compare_exchange(word, taken, Acquire, Relaxed)
            .is_err()
        {
            return Ok(false);
        }
        // Until the kernel has restarted it, the former owner may be in a section that has already
        // found its own name in the word. If the kernel keeps refusing, the word keeps this call's
        // name, and the next call must restart sections again, even if it is this one.
        let mut turn = W::PATIENCE;
        while !W::restart_others() {
            if !W::wait(turn) {
                return Err(Refused::Owner);
            }
            turn += 1;
        }
        Ok(true)
    }
}

impl<'a, W: Word> Owner<'a, W> {
    /// The condition of sections: the word, the value that it must hold, and the thread's area.
    #[inline(always)]
    pub fn condition(&self) -> (&'a W, usize, W::Area) {
        (self.word, OURS | self.call.0, self.area)
    }

    /// Releases the lock.
    #[inline(always)]
    pub fn release(self) {
        self.release_as(OURS);
    }

    /// Becomes a reader in one step, so that no other call can take the ready events in between.
    /// None if the lock was taken from this call.
    #[inline(always)]
    pub fn into_reader(self) -> Option<Reader<'a, W>> {
        let word = self.word;
        self.release_as(OURS | 1).then_some(Reader(word))
    }

    /// Stores `value` in the word if this call still owns the lock. While it does, the word has no
    /// readers that `value` could overwrite.
    #[inline(always)]
    fn release_as(self, value: usize) -> bool {
        let (word, owned, area) = self.condition();
        // Release pairs with the acquires in `try_own`, `own` and `enter`: the next owner and the
        // kernel see this owner's head, and io_destroy() unmaps the ring after it was read.
        match word.store_if(area, owned, value) {
            Section::Done => true,
            Section::NotOwner => false,
            Section::Aborted => word
                .compare_exchange(owned, value, Release, Relaxed)
                .is_ok(),
        }
    }
}

impl<'a, W: Word> Reader<'a, W> {
    /// Counts this thread in a word that never has an owner: see `Entry::open`.
    pub fn unlisted(count: &'a W) -> Self {
        let mut word = count.load(Relaxed);
        while word & READERS != READERS {
            match count.compare_exchange(word, word + 1, AcqRel, Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        Reader(count)
    }

    /// Whether no other thread is counted. An exchange, not a load, so that a thread that is
    /// counted later sees the earlier stores of this thread.
    pub fn is_alone(&self) -> bool {
        self.0
            .compare_exchange(OURS | 1, OURS | 1, AcqRel, Relaxed)
            .is_ok()
    }

    /// Stops counting this thread.
    pub fn leave(self) {
        let mut word = self.0.load(Relaxed);
        // At the highest value, the number of readers is no longer known. At 0, this is a child
        // that was forked during the call, and its word was wiped.
        while word & READERS != READERS && word & READERS != 0 {
            // Release pairs with the acquires in `try_own` and `own`: an owner sees the head that
            // the kernel stored.
            match self.0.compare_exchange(word, word - 1, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Leaves this thread counted for ever, so that the kernel delivers all events of the ring.
    pub fn leak(self) {}
}
