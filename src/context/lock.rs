//! A reader-writer lock in one word, between this library, which moves a ring's head in user space,
//! and the kernel's `io_getevents`, which moves the same head under a lock of its own and stores it
//! plainly (`aio_read_events_ring` in `fs/aio.c`). Two that move it without knowing of each other
//! deliver events twice or lose them.
//!
//! ```text
//!   owner: the call that takes events in user space │ ours │ readers: threads in io_getevents(2)
//! ```
//!
//! * *Readers* share it: threads inside the kernel's call, which keeps them apart by itself. One
//!   that never comes back (killed there, or left by `longjmp`) stays counted, and the ring is the
//!   kernel's from then on. Nobody ever waits for a reader.
//! * The *owner* (the writer) excludes everybody else. It is one call, named by its stack pointer,
//!   which no other living call has. It is gone after some tens of nanoseconds, unless its thread
//!   was preempted, ended, or left the call by a jump.
//! * Whoever meets an owner spins for a moment, then takes the lock from it: it puts
//!   its own name into the word, and restarts every restartable section in progress
//!   (`membarrier(2)`). An owner touches the ring in such sections only, and each begins with a
//!   look at this word; so from then on the former owner has either committed or changes nothing.
//! * If the word names this very call before it owns the lock, a call that had the same place on
//!   the stack was left by a jump or ended with its thread. Nothing of it runs: the lock is this
//!   call's.
//! * *Ours* says that the word belongs to this process. It is wiped in a forked child (see
//!   `registry.rs`), where the kernel knows nothing of the parent's contexts either.
//!
//! Generic over its word: `tests/lock_model.rs` runs this file through all interleavings.

#![forbid(unsafe_code)]

use crate::sys::restartable::Section;
use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

/// The word, and what the lock needs from the machine besides.
pub trait Word {
    /// What a section needs to know of its thread.
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
    /// Whether [`Word::restart_others`] can be expected to work.
    fn can_restart_others() -> bool;
    /// Restarts all sections in progress in other threads; a full memory barrier with each. False
    /// if the kernel refuses.
    fn restart_others() -> bool;
    /// Lets an owner get on. `turn` counts from 0. False when the call has waited long enough.
    fn wait(turn: u32) -> bool;
}

/// How many readers. Once at its highest value it stays there.
const READERS: usize = (1 << 10) - 1;
/// This process may use the lock.
const OURS: usize = 1 << 10;
const OWNER_SHIFT: u32 = 11;
const OWNER: usize = usize::MAX << OWNER_SHIFT;

/// Who calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Call(usize);

impl Call {
    /// From the stack pointer, which is aligned to 8 bytes at least and below 2^56 in user space.
    #[inline(always)]
    pub fn at(stack_pointer: usize) -> Call {
        Call((stack_pointer >> 3) << OWNER_SHIFT)
    }
}

/// Why a call does not get the lock.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The word is not this process's.
    NotOurs,
    /// Threads are in the kernel's call.
    Readers,
    /// There is an owner that does not give it up, and the kernel, which was willing to restart
    /// sections when the library was loaded, refuses now.
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

/// This call owns the lock, unless another has taken it meanwhile.
#[must_use]
pub struct Owner<'a, W: Word> {
    word: &'a W,
    call: Call,
    area: W::Area,
}

/// This thread is counted among those in the kernel. It makes its system call, and then leaves.
#[must_use]
pub struct Reader<'a, W>(&'a W);

impl<'a, W: Word> Lock<'a, W> {
    /// Whether this process may use the lock.
    #[inline(always)]
    pub fn is_ours(self) -> bool {
        self.0.load(Relaxed) & OURS != 0
    }

    /// The usual case of [`Lock::own`] in a few instructions: nobody has it.
    #[inline(always)]
    pub fn try_own(self, call: Call, area: W::Area) -> Option<Owner<'a, W>> {
        // The load keeps those who cannot have the word from taking it away from those who do.
        // Acquire pairs with the release in `Owner::release`, for where the last owner left the
        // head; with the one in `Reader::leave`, for where the kernel left it; and with the one in
        // `enter`, for the mark that a destroyer sets before.
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

    /// Becomes the owner, if necessary by taking the lock from one that does not give it up.
    pub fn own(self, call: Call, area: W::Area) -> Result<Owner<'a, W>, Refused> {
        let mut turn = 0;
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
                _ => self.take_over(word, call, &mut turn)?,
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

    /// The same, and makes the word this process's.
    pub fn enter_as_ours(self, call: Call) -> Result<Reader<'a, W>, Refused> {
        self.enter_with(call, OURS)
    }

    fn enter_with(self, call: Call, ours: usize) -> Result<Reader<'a, W>, Refused> {
        let mut turn = 0;
        loop {
            let word = self.0.load(Relaxed);
            if word & OWNER != 0 && !self.take_over(word, call, &mut turn)? {
                continue;
            }
            // If the lock was taken from an owner, the word is now as it was but for the name.
            let found = match word & OWNER {
                0 => word,
                _ => (word & !OWNER) | call.0,
            };
            let free = found & !OWNER;
            let entered = (free + (free & READERS != READERS) as usize) | ours;
            // Acquire pairs with the release in `Owner::release`: the last owner is done. Release
            // publishes a destroyer's mark to the next owner.
            if self
                .0
                .compare_exchange(found, entered, AcqRel, Relaxed)
                .is_ok()
            {
                return Ok(Reader(self.0));
            }
        }
    }

    /// Counts this thread as the only one here, and makes the word this process's. None if
    /// anybody else is.
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

    /// Waits for the owner found in `word`, or takes the lock from it. True: the word names this
    /// call now, and no section of another call has any effect. False: look again.
    #[cold]
    #[inline(never)]
    fn take_over(self, word: usize, call: Call, turn: &mut u32) -> Result<bool, Refused> {
        if word & OWNER == call.0 {
            return Ok(true);
        }
        if *turn < W::PATIENCE || !W::can_restart_others() {
            *turn += 1;
            return match W::wait(*turn - 1) {
                true => Ok(false),
                false => Err(Refused::Owner),
            };
        }
        *turn = 0;
        let taken = (word & !OWNER) | call.0;
        if self
            .0
            .compare_exchange(word, taken, Acquire, Relaxed)
            .is_err()
        {
            return Ok(false);
        }
        // Until the kernel has restarted them, the former owner may still be in a section that has
        // seen its own name. If it refuses, the word keeps this call's name, and whoever comes next
        // has to do the same.
        match W::restart_others() {
            true => Ok(true),
            false => Err(Refused::Owner),
        }
    }
}

impl<'a, W: Word> Owner<'a, W> {
    /// For the sections: the word, what it must hold, and the thread's area.
    #[inline(always)]
    pub fn condition(&self) -> (&'a W, usize, W::Area) {
        (self.word, OURS | self.call.0, self.area)
    }

    /// Gives the lock up.
    #[inline(always)]
    pub fn release(self) {
        self.give_up(OURS);
    }

    /// Goes on into the kernel, without letting anybody between who could take the events that this
    /// call has found to be too few. None if the lock was taken from it.
    #[inline(always)]
    pub fn into_reader(self) -> Option<Reader<'a, W>> {
        let word = self.word;
        self.give_up(OURS | 1).then_some(Reader(word))
    }

    /// Leaves `value` in the word. An owner is alone: no reader enters meanwhile.
    #[inline(always)]
    fn give_up(self, value: usize) -> bool {
        let (word, owned, area) = self.condition();
        // Release: the head that this owner stored, and its reads of the ring, come before what the
        // next owner, the kernel or a destroyer does. Pairs with the acquires in `try_own`, `own`
        // and `enter`.
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
    /// Counts this thread in a word that never has an owner: see `Entry::bind`.
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

    /// Whether no other thread is counted. A write, although nothing changes: whoever is counted
    /// later sees what this thread did before.
    pub fn is_alone(&self) -> bool {
        self.0
            .compare_exchange(OURS | 1, OURS | 1, AcqRel, Relaxed)
            .is_ok()
    }

    /// Takes this thread off again.
    pub fn leave(self) {
        let mut word = self.0.load(Relaxed);
        // At its highest the count has lost count. At 0 this is a child forked meanwhile, whose
        // word is new.
        while word & READERS != READERS && word & READERS != 0 {
            // Release: the kernel has stored the head. Pairs with the acquire in `try_own`.
            match self.0.compare_exchange(word, word - 1, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Stays counted for good, so that the ring is the kernel's.
    pub fn stay(self) {}
}
