//! An entry of the registry: the address and the lock of one ring, and how an entry is bound to a
//! ring and retired. Generic over its words, like the lock: see `tests/lock_model.rs`.

#![forbid(unsafe_code)]

use super::lock::{Call, Lock, Reader, Refused, Word};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// In a slot: `io_destroy` has begun for the ring. Rings are page-aligned, so the bit is free.
const RETIRED: usize = 1;
/// The slot of an entry that is being bound. No ring has this address.
const BINDING: usize = 2;

/// The two words of an entry.
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
    /// Whether the entry is bound to the ring at `address`, retired or not.
    #[inline(always)]
    pub fn belongs_to(&self, address: usize) -> bool {
        // Acquire pairs with the release in `bind` and `rebind`: the lock is initialised.
        self.slot.load(Acquire) & !RETIRED == address
    }

    /// Whether the entry is bound to the ring at `address` and not retired. If so, the ring stays
    /// mapped as long as this call owns the lock; otherwise it may be unmapped at any time.
    #[inline(always)]
    pub fn is_live(&self, address: usize) -> bool {
        // Acquire pairs with the release in `bind` and `rebind`: a new ring at an old address is
        // read after it was created.
        self.slot.load(Acquire) == address
    }

    /// Becomes a reader of this ring. Ok(None): the entry now belongs to another ring, so this one
    /// was destroyed during the call.
    pub fn enter(&self, address: usize, call: Call) -> Result<Option<Reader<'a, W>>, Refused> {
        Ok(self.confirm(address, self.lock.enter(call)?))
    }

    /// Returns the reader if the entry still belongs to its ring. Otherwise the thread is counted
    /// for another ring, and must not enter the kernel for this one.
    #[inline(always)]
    pub fn confirm(&self, address: usize, reader: Reader<'a, W>) -> Option<Reader<'a, W>> {
        if self.belongs_to(address) {
            return Some(reader);
        }
        reader.leave();
        None
    }

    /// Marks the ring as retired, before the call that destroys it. Every owner checks the mark
    /// after it has acquired the lock, so no owner reads the ring after the destroying thread has
    /// become a reader. False if the ring was retired already.
    pub fn retire(&self, address: usize) -> bool {
        self.slot
            .compare_exchange(address, address | RETIRED, Relaxed, Relaxed)
            .is_ok()
    }

    /// Removes the mark, because the ring could not be destroyed.
    pub fn reinstate(&self, address: usize) {
        let _ = self
            .slot
            .compare_exchange(address | RETIRED, address, Relaxed, Relaxed);
    }

    /// Binds the entry to a ring that the kernel has just created at `address`, if it belonged to
    /// an earlier ring at the same address. Returns whether it did.
    ///
    /// Readers of the earlier ring stay counted, because they may still enter the kernel with the
    /// same handle. Therefore an entry keeps its address until another ring needs the entry.
    pub fn rebind(&self, address: usize, call: Call, unlisted: &W) -> bool {
        let found = self.slot.load(Relaxed);
        if found & !RETIRED != address {
            return false;
        }
        // As a reader, so that no call owns the lock before the entry is bound.
        let Ok(reader) = self.lock.enter_as_ours(call) else {
            return true; // the entry stays retired, and the kernel delivers the ring's events
        };
        let _ = self.slot.compare_exchange(found, address, Release, Relaxed);
        Self::open(reader, unlisted);
        true
    }

    /// Binds the entry to a ring that the kernel has just created at `address`, if the entry is
    /// free: never used, or retired and without readers. Returns whether it was.
    ///
    /// If the thread ends or jumps during this call, the entry stays unused, and nothing else
    /// breaks.
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
        // A thread that enters the kernel for the earlier ring either is counted already, and seen
        // here, or will find that the entry no longer belongs to its ring (`confirm`).
        if !reader.is_alone() {
            self.slot.store(found, Release);
            reader.leave();
            return false;
        }
        self.slot.store(address, Release);
        Self::open(reader, unlisted);
        true
    }

    /// Allows owners, by leaving, unless a thread may already be in the kernel for this ring.
    ///
    /// The kernel writes a handle to the program's memory before the library lists it. A thread
    /// that enters the kernel with an unlisted handle is counted in `unlisted`, and then looks for
    /// the entry again. The exchange of 0 for 0 pairs with the count in `Reader::unlisted`: either
    /// this thread sees the count, or the other one finds the entry.
    fn open(reader: Reader<'a, W>, unlisted: &W) {
        match unlisted.compare_exchange(0, 0, AcqRel, Relaxed) {
            Ok(_) => reader.leave(),
            Err(_) => reader.leak(),
        }
    }
}
