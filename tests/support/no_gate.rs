//! The fault that the tests of the gate must find: a gate through which everybody passes.

use crate::gate::Word;
use std::sync::atomic::Ordering;

/// A word that, if it is the gate, does not change. It is this process's from the beginning.
pub struct NoGate<W> {
    word: W,
    is_gate: bool,
}

impl<W> NoGate<W> {
    pub fn new(word: impl Fn(usize) -> W, is_gate: bool) -> NoGate<W> {
        NoGate {
            word: word(if is_gate { 1 << 10 } else { 0 }),
            is_gate,
        }
    }
}

impl<W: Word> Word for NoGate<W> {
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
        if self.is_gate {
            return Ok(old);
        }
        self.word.compare_exchange(old, new, success, failure)
    }
    fn wait(turn: u32) {
        W::wait(turn);
    }
}
