//! A lock that excludes no thread: the fault that the tests of the lock must find.

use crate::lock::Word;
use crate::sys::restartable::Section;
use std::sync::atomic::Ordering;

/// What the sections in the tests need.
pub trait Checked {
    /// Whether the word holds this.
    fn holds(&self, owned: usize) -> bool;
}

/// A word that never changes if it is the lock. It always says that the lock is ours and free.
pub struct NoLock<W> {
    word: W,
    is_lock: bool,
}

impl<W> NoLock<W> {
    pub fn new(word: impl Fn(usize) -> W, is_lock: bool) -> NoLock<W> {
        NoLock {
            word: word(if is_lock { 1 << 10 } else { 0 }),
            is_lock,
        }
    }
}

impl<W: Word> Word for NoLock<W> {
    type Area = W::Area;
    const PATIENCE: u32 = W::PATIENCE;
    fn load(&self, order: Ordering) -> usize {
        self.word.load(order)
    }
    fn store(&self, value: usize, order: Ordering) {
        self.word.store(value, order)
    }
    fn compare_exchange(
        &self,
        old: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        if self.is_lock {
            return Ok(old);
        }
        self.word.compare_exchange(old, new, success, failure)
    }
    fn store_if(&self, _: W::Area, _: usize, _: usize) -> Section {
        Section::Done
    }
    fn can_restart_others() -> bool {
        W::can_restart_others()
    }
    fn restart_others() -> bool {
        W::restart_others()
    }
    fn wait(turn: u32) -> bool {
        W::wait(turn)
    }
}

impl<W: Word> Checked for NoLock<W> {
    fn holds(&self, _: usize) -> bool {
        true
    }
}
