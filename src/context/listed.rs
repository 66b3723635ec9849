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

use super::gate::{implement_word, Counted, Entry, Thread, Word};
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
struct Pages {
    gates: [Set; SETS],
    /// For each set, the threads in the kernel with a handle that is not listed.
    unlisted: [AtomicUsize; SETS],
}

// The constants are only the initial values.
#[allow(clippy::declare_interior_mutable_const, clippy::large_const_arrays)]
const ZERO: AtomicUsize = AtomicUsize::new(0);
#[allow(clippy::declare_interior_mutable_const, clippy::large_const_arrays)]
const EMPTY: [Set; SETS] = {
    const SET: Set = Set([ZERO; WAYS]);
    [SET; SETS]
};
static SLOTS: [Set; SETS] = EMPTY;
static WIPED: Pages = Pages {
    gates: EMPTY,
    unlisted: [ZERO; SETS],
};

implement_word!(AtomicUsize, wait);

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

#[inline(always)]
fn set_of(address: usize) -> usize {
    // Rings are page-aligned and some pages long, so neighbours differ in the low page bits.
    let page = address >> 12;
    (page ^ (page >> 9)) % SETS
}

/// The entries that a ring at this address may have.
#[inline(always)]
fn entries(address: usize) -> impl Iterator<Item = Entry<'static, AtomicUsize>> {
    let set = set_of(address);
    let pairs = SLOTS[set].0.iter().zip(&WIPED.gates[set].0);
    pairs.map(|(slot, gate)| Entry { slot, gate })
}

/// The entry of a ring that this library set up, destroyed meanwhile or not.
#[inline(never)]
pub fn find(address: usize) -> Option<Entry<'static, AtomicUsize>> {
    find_inline(address)
}

/// The same for the one caller for whom a call would be too slow: it is eight comparisons long.
#[inline(always)]
pub fn find_inline(address: usize) -> Option<Entry<'static, AtomicUsize>> {
    entries(address).find(|entry| address != 0 && entry.belongs_to(address))
}

/// For a handle that was not found: counts this thread among those that go into the kernel with
/// such a handle, unless it is listed by now.
#[cold]
#[inline(never)]
pub fn find_or_count(
    address: usize,
) -> Result<Entry<'static, AtomicUsize>, Counted<'static, AtomicUsize>> {
    let counted = Counted::unlisted(&WIPED.unlisted[set_of(address)]);
    match find(address) {
        Some(entry) => {
            counted.leave();
            Ok(entry)
        }
        None => Err(counted),
    }
}

/// Lists a ring that the kernel has just made, at an address that is not 0.
pub fn add(address: usize, thread: Thread) {
    let ours = gates_are_wiped_by_fork();
    let unlisted = &WIPED.unlisted[set_of(address)];
    let again = entries(address).any(|entry| entry.give_again(address, thread, ours, unlisted));
    let _ = again || entries(address).any(|entry| entry.give(address, thread, ours, unlisted));
}

/// Whether the gates may be used: only if a forked child is sure to find them shut. The kernel is
/// asked for that once, when the library is loaded, or by an io_setup that comes even before (in
/// another library's constructor); if it refuses, it serves everything.
fn gates_are_wiped_by_fork() -> bool {
    // Relaxed: whatever a thread finds here it would find by itself.
    match STATE.load(Ordering::Relaxed) {
        #[cfg(reaps_in_user_space)]
        state @ (UNKNOWN | WIPED_BY_FORK) => {
            let yes = settings::may_reap_in_user_space()
                && (state == WIPED_BY_FORK || kernel::wipe_on_fork(&WIPED));
            STATE.store(if yes { YES } else { NO }, Ordering::Relaxed);
            yes
        }
        state => state == YES,
    }
}

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
/// The environment has not been asked yet: it may not be there when the library is loaded.
#[cfg(reaps_in_user_space)]
const WIPED_BY_FORK: u8 = 1;
const YES: u8 = 2;
#[cfg(reaps_in_user_space)]
const NO: u8 = 3;

/// Run by the dynamic linker or the start files, when no program has begun to restrict itself yet: a
/// filter that it loads later, and that kills for what is not on its list, was made for the
/// original and may not know the call.
#[cfg(reaps_in_user_space)]
extern "C" fn when_loaded() {
    if STATE.load(Ordering::Relaxed) == UNKNOWN {
        let wiped = kernel::wipe_on_fork(&WIPED);
        STATE.store(if wiped { WIPED_BY_FORK } else { NO }, Ordering::Relaxed);
    }
}

#[cfg(reaps_in_user_space)]
#[used]
#[link_section = ".init_array"]
static WHEN_LOADED: extern "C" fn() = when_loaded;
