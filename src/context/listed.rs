//! The contexts that this library set up: a fixed table, so that neither memory nor a lock is ever
//! needed and it can be read from a signal handler.
//!
//! A handle belongs to one set of eight by its page number. A context that finds its set full is
//! not listed, and served by the kernel alone.
//!
//! The two words of an entry (see `gate.rs`) are far apart, for `fork`. The slots are copied, so
//! that a child's polls of its parent's empty rings, which it still has mapped, are answered as
//! the original does. The gates are in pages that the kernel wipes in the child: there nothing is
//! its own until its own `io_setup`. After `vfork` the child has the parent's own, as it should.

use super::gate::{Entry, Thread, Word};
use crate::kernel;
#[cfg(reaps_in_user_space)]
use crate::settings;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

const WAYS: usize = 8;
/// 512 sets list 4,096 contexts in 64 KiB of zero pages, of which only those in use are touched.
const SETS: usize = 512;

#[repr(align(64))]
struct Set([AtomicUsize; WAYS]);

/// Alone on its pages, of whatever size: the kernel wipes whole ones.
#[cfg_attr(target_arch = "aarch64", repr(align(65536)))]
#[cfg_attr(not(target_arch = "aarch64"), repr(align(4096)))]
struct Pages([Set; SETS]);

// The constants are only the initial values.
#[allow(clippy::declare_interior_mutable_const, clippy::large_const_arrays)]
const EMPTY: [Set; SETS] = {
    const FREE: AtomicUsize = AtomicUsize::new(0);
    const SET: Set = Set([FREE; WAYS]);
    [SET; SETS]
};
static SLOTS: [Set; SETS] = EMPTY;
static GATES: Pages = Pages(EMPTY);

impl Word for AtomicUsize {
    #[inline(always)]
    fn load(&self, order: Ordering) -> usize {
        AtomicUsize::load(self, order)
    }
    #[inline(always)]
    fn store(&self, value: usize, order: Ordering) {
        AtomicUsize::store(self, value, order)
    }
    #[inline(always)]
    fn compare_exchange(
        &self,
        old: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        AtomicUsize::compare_exchange(self, old, new, success, failure)
    }
    #[inline(always)]
    fn fetch_sub(&self, count: usize, order: Ordering) -> usize {
        AtomicUsize::fetch_sub(self, count, order)
    }
    fn wait(turn: u32) {
        wait(turn)
    }
}

/// A holder that runs is gone after a few turns. One that was preempted may have a lower priority
/// than this thread, so sleep rather than yield: 50 µs, then longer, up to 1 ms.
#[cold]
#[inline(never)]
fn wait(turn: u32) {
    match turn {
        0..=99 => core::hint::spin_loop(),
        _ => kernel::sleep((turn as i64 - 99).min(20) * 50_000),
    }
}

/// The entries that a ring at this address may have.
#[inline(always)]
fn entries(address: usize) -> impl Iterator<Item = Entry<'static, AtomicUsize>> {
    // Rings are page-aligned and some pages long, so neighbours differ in the low page bits.
    let page = address >> 12;
    let set = (page ^ (page >> 9)) % SETS;
    let pairs = SLOTS[set].0.iter().zip(&GATES.0[set].0);
    pairs.map(|(slot, gate)| Entry { slot, gate })
}

/// The entry of a ring that this library set up, destroyed meanwhile or not.
#[inline(always)]
pub fn find(address: usize) -> Option<Entry<'static, AtomicUsize>> {
    entries(address).find(|entry| address != 0 && entry.belongs_to(address))
}

/// Lists a ring that the kernel has just made, at an address that is not 0.
pub fn add(address: usize, thread: Thread) {
    let ours = gates_are_wiped_by_fork();
    let again = entries(address).any(|entry| entry.give_again(address, ours));
    let _ = again || entries(address).any(|entry| entry.give(address, thread, ours));
}

/// Whether the gates may be used: only if a forked child is sure to find them shut. The one system
/// call that this needs is made at the first io_setup (by each of the threads that are there at
/// the same time), and never again; if it is refused, the kernel serves everything.
fn gates_are_wiped_by_fork() -> bool {
    const UNKNOWN: u8 = 0;
    const YES: u8 = 1;
    const NO: u8 = 2;
    static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
    // Relaxed: whatever a thread finds here it would find by itself.
    match STATE.load(Ordering::Relaxed) {
        UNKNOWN => {
            #[cfg(reaps_in_user_space)]
            let yes = settings::may_reap_in_user_space() && kernel::wipe_on_fork(&GATES);
            #[cfg(not(reaps_in_user_space))]
            let yes = false;
            STATE.store(if yes { YES } else { NO }, Ordering::Relaxed);
            yes
        }
        state => state == YES,
    }
}
