//! An entry of the registry: one ring's address and lock, and how the entry comes to the ring and
//! leaves it. Like the lock it is generic over its words: see `tests/lock_model.rs`.

#![forbid(unsafe_code)]

use super::lock::{Call, Lock, Reader, Refused, Word};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// In a slot: the ring is being destroyed, or has been. Rings begin on a page, so the bit is free.
const RETIRED: usize = 1;
/// A slot that is on its way to another ring. Nobody's address.
const BINDING: usize = 2;

/// One ring's two words.
pub struct Entry<'a, W> {
    /// The ring's address, and whether it is retired.
    pub slot: &'a W,
    /// The ring's lock.
    pub lock: Lock<'a, W>,
}

impl<W> Clone for Entry<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<W> Copy for Entry<'_, W> {}

impl<'a, W: Word> Entry<'a, W> {
    /// Whether the entry is bound to the ring at `address`, be it retired or not.
    #[inline(always)]
    pub fn belongs_to(&self, address: usize) -> bool {
        // Acquire pairs with the release in `bind` and `rebind`: the lock is seen as ours.
        self.slot.load(Acquire) & !RETIRED == address
    }

    /// Whether the ring is there. An owner knows; for others it is what they last heard.
    #[inline(always)]
    pub fn is_live(&self, address: usize) -> bool {
        // Acquire pairs with the release in `bind` and `rebind`: what is read of a new ring at the
        // same address is read after it was made.
        self.slot.load(Acquire) == address
    }

    /// Counts this thread among the readers of this ring. Ok(None): the entry is another ring's by
    /// now, so this one was destroyed during the call.
    pub fn enter(&self, address: usize, call: Call) -> Result<Option<Reader<'a, W>>, Refused> {
        Ok(self.confirm(address, self.lock.enter(call)?))
    }

    /// A thread that is counted at another ring's lock must not enter the kernel for this one.
    #[inline(always)]
    pub fn confirm(&self, address: usize, reader: Reader<'a, W>) -> Option<Reader<'a, W>> {
        if self.belongs_to(address) {
            return Some(reader);
        }
        reader.leave();
        None
    }

    /// Marks the ring as retired, before the call that destroys it. Every owner looks at the mark
    /// after it got the lock, so once the destroyer has entered no owner reads the ring. False if
    /// it was retired already.
    pub fn retire(&self, address: usize) -> bool {
        self.slot
            .compare_exchange(address, address | RETIRED, Relaxed, Relaxed)
            .is_ok()
    }

    /// Takes the mark back: the ring could not be destroyed.
    pub fn reinstate(&self, address: usize) {
        let _ = self
            .slot
            .compare_exchange(address | RETIRED, address, Relaxed, Relaxed);
    }

    /// Binds the entry to a ring that the kernel has just made at `address`, if it was that of an
    /// earlier ring there. Whether it was.
    ///
    /// Readers of the earlier ring stay counted: they may have this very address in their hands,
    /// which is why an entry keeps its address until another ring needs the entry.
    pub fn rebind(&self, address: usize, call: Call, unlisted: &W) -> bool {
        let found = self.slot.load(Relaxed);
        if found & !RETIRED != address {
            return false;
        }
        // As a reader, so that nobody owns the lock before all is said.
        let Ok(reader) = self.lock.enter_as_ours(call) else {
            return true; // and the ring stays retired for the registry: the kernel serves it
        };
        let _ = self.slot.compare_exchange(found, address, Release, Relaxed);
        Self::open(reader, unlisted);
        true
    }

    /// Binds the entry to a ring that the kernel has just made at `address`, if it is free: never
    /// used, or of a retired ring and without readers. Whether it was.
    ///
    /// A thread that is ended or jumps in the middle of this leaves the entry unused, no more.
    pub fn bind(&self, address: usize, unlisted: &W) -> bool {
        let found = self.slot.load(Relaxed);
        if found != 0 && found & RETIRED == 0 {
            return false;
        }
        let Some(reader) = self.lock.enter_alone() else {
            return false;
        };
        if self
            .slot
            .compare_exchange(found, BINDING, Release, Relaxed)
            .is_err()
        {
            reader.leave();
            return false;
        }
        // A thread that holds the earlier ring's address either was counted before this, and is
        // seen here, or will see that the slot is not its own (`confirm`).
        if !reader.is_alone() {
            self.slot.store(found, Release);
            reader.leave();
            return false;
        }
        self.slot.store(address, Release);
        Self::open(reader, unlisted);
        true
    }

    /// Lets owners in, by leaving, unless a thread may be in the kernel for this ring already.
    ///
    /// Handles are known before they are listed, since the kernel writes them to the program's
    /// memory. Who enters the kernel with a handle that is not listed is counted as `unlisted`, and
    /// then looks for the entry again: acquire and release pair with those in `Reader::unlisted`,
    /// so either it is seen here or it finds the entry. Hence a write, although nothing changes.
    fn open(reader: Reader<'a, W>, unlisted: &W) {
        match unlisted.compare_exchange(0, 0, AcqRel, Relaxed) {
            Ok(_) => reader.leave(),
            Err(_) => reader.stay(),
        }
    }
}
