//! The registry of the contexts that were created through this library. It is a fixed table, so it
//! needs no memory allocation and no lock, and can be used in a signal handler.
//!
//! The handle's page number selects a set of eight entries. A context whose set is full is not
//! listed, and the kernel delivers all its events.
//!
//! The two words of an entry (see `entry.rs`) are in different pages, because of `fork`. The slots
//! are copied to the child. The locks are in pages that the kernel wipes there, so no lock belongs
//! to the child until its own `io_setup`. After `vfork`, the child shares the parent's locks.

use super::entry::Entry;
use super::lock::{Call, Lock, Owner, Reader, Word};
use crate::aio_ring::Sections;
use crate::engine;
use crate::settings::{self, Environment, Mode, WITHOUT_LOCK};
use crate::sys::restartable::{self, Area, Section};
#[cfg(reaps_in_user_space)]
use crate::sys::valgrind;
use crate::sys::{arch, memory};
use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

const WAYS: usize = 8;
/// 512 sets have room for 4,096 contexts. The table's pages use memory only after their first
/// write.
const SETS: usize = 512;

#[repr(align(64))]
struct Set([AtomicUsize; WAYS]);

/// Aligned to the largest page that the CPU's kernels may have, because the kernel wipes whole
/// pages.
#[cfg_attr(pages_of_4_kib, repr(align(4096)))]
#[cfg_attr(not(pages_of_4_kib), repr(align(65536)))]
struct Pages {
    locks: [Set; SETS],
    /// For each set, the number of threads in the kernel with an unlisted handle.
    unlisted: [AtomicUsize; SETS],
    /// For each set, 1 while a thread lists a ring.
    listing: [AtomicUsize; SETS],
}

// The constants are only the initial values.
#[allow(clippy::declare_interior_mutable_const, clippy::large_const_arrays)]
const ZERO: AtomicUsize = AtomicUsize::new(0);
#[allow(clippy::declare_interior_mutable_const, clippy::large_const_arrays)]
const EMPTY: [Set; SETS] = {
    const SET: Set = Set([ZERO; WAYS]);
    [SET; SETS]
};
// The build script must have found the constants in the CPU's file.
const _: () = assert!(arch::REAPS || !cfg!(reaps_in_user_space));
const _: () = assert!((arch::LARGEST_PAGE == 4096) == cfg!(pages_of_4_kib));
const _: () = assert!(core::mem::align_of::<Pages>() >= arch::LARGEST_PAGE);

static SLOTS: [Set; SETS] = EMPTY;
static WIPED: Pages = Pages {
    locks: EMPTY,
    unlisted: [ZERO; SETS],
    listing: [ZERO; SETS],
};

/// For [`WITHOUT_LOCK`]: whether a word is the lock of an entry that has been bound.
fn is_bound_lock(word: &AtomicUsize) -> bool {
    let locks = WIPED.locks.as_ptr_range();
    let word_as_set = (word as *const AtomicUsize).cast::<Set>();
    locks.contains(&word_as_set) && Lock(word).is_ours()
}

/// An entry of this table.
pub type Listed = Entry<'static, AtomicUsize>;

impl Word for AtomicUsize {
    type Area = Area;
    /// A few microseconds; an owner that is not interrupted takes a hundred events in less. With
    /// 20, some reaps next to low-priority threads took 4 ms; with 400, reaps of a SCHED_FIFO
    /// thread took longer (docs/benchmarks.md, "Tails").
    const PATIENCE: u32 = 100;
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
        if WITHOUT_LOCK && new > old && is_bound_lock(self) {
            return Ok(old);
        }
        AtomicUsize::compare_exchange(self, old, new, success, failure)
    }
    #[inline(always)]
    fn store_if(&self, area: Area, owned: usize, value: usize) -> Section {
        if WITHOUT_LOCK {
            return Section::Done;
        }
        // SAFETY: the word is a lock, which other threads change only by compare-and-exchange.
        unsafe { restartable::store(area, self.as_ptr(), owned, value) }
    }
    fn can_restart_others() -> bool {
        restartable::can_restart_others()
    }
    fn restart_others() -> bool {
        restartable::restart_others()
    }
    /// Spins; then, if sections cannot be restarted, sleeps for 50 µs to 1 ms at a time, 100 ms in
    /// all. It does not yield, because a preempted owner may have a lower priority.
    fn wait(turn: u32) -> bool {
        match turn.checked_sub(Self::PATIENCE) {
            None => core::hint::spin_loop(),
            Some(sleeps @ 0..=109) => memory::sleep((sleeps as i64 + 1).min(20) * 50_000),
            Some(_) => return false,
        }
        true
    }
}

impl Sections for Owner<'_, AtomicUsize> {
    #[inline(always)]
    unsafe fn read_words(&self, from: *const u64) -> (Section, [u64; 4]) {
        let (lock, owned, area) = self.condition();
        let always_owned = AtomicUsize::new(owned);
        let lock = if WITHOUT_LOCK { &always_owned } else { lock };
        // SAFETY: the caller's promise.
        unsafe { restartable::read_words(area, lock.as_ptr(), owned, from) }
    }

    #[inline(always)]
    unsafe fn copy_and_store(
        &self,
        from: *const u8,
        count: usize,
        from_start: *const u8,
        more: usize,
        to: *mut u8,
        word: *mut u32,
        value: u32,
    ) -> Section {
        let (lock, owned, area) = self.condition();
        let always_owned = AtomicUsize::new(owned);
        let lock = if WITHOUT_LOCK { &always_owned } else { lock };
        // SAFETY: the caller's promise.
        unsafe {
            restartable::copy_and_store(
                area,
                lock.as_ptr(),
                owned,
                from,
                count,
                from_start,
                more,
                to,
                word,
                value,
            )
        }
    }
}

/// A product scatters rings at equal distances, for example those of threads that each map a stack
/// and a ring, and fills the sets evenly with adjacent ones.
#[inline(always)]
fn set_of(address: usize) -> usize {
    const GOLDEN_RATIO: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;
    (address >> 12).wrapping_mul(GOLDEN_RATIO) >> (usize::BITS - SETS.trailing_zeros())
}

/// The entries of the set that an address belongs to.
#[inline(always)]
fn entries(address: usize) -> impl Iterator<Item = Listed> {
    let set = set_of(address);
    let pairs = SLOTS[set].0.iter().zip(&WIPED.locks[set].0);
    pairs.map(|(slot, lock)| Entry {
        slot,
        lock: Lock(lock),
    })
}

/// The entry of a ring. In a forked child, this may be the entry of a ring of the parent's.
#[inline(never)]
fn entry_at(address: usize) -> Option<Listed> {
    entries(address).find(|entry| address != 0 && entry.belongs_to(address))
}

/// The entry of a ring that this process created through this library, retired or not.
pub fn find(address: usize) -> Option<Listed> {
    entry_at(address).filter(|entry| entry.lock.is_ours())
}

/// The same, inlined, for the fast path: eight comparisons.
#[inline(always)]
pub fn find_inline(address: usize) -> Option<Listed> {
    entries(address)
        .find(|entry| address != 0 && entry.belongs_to(address))
        .filter(|entry| entry.lock.is_ours())
}

/// The entry. If there is none, counts this thread among those in the kernel with an unlisted
/// handle.
#[inline(never)]
pub fn find_or_count(address: usize) -> Result<Listed, Reader<'static, AtomicUsize>> {
    if let Some(entry) = find(address) {
        return Ok(entry);
    }
    let counted = Reader::unlisted(&WIPED.unlisted[set_of(address)]);
    match find(address) {
        Some(entry) => {
            counted.leave();
            Ok(entry)
        }
        None => Err(counted),
    }
}

/// Whether the parent of this forked child had a live context at this address.
pub fn was_of_parent(address: usize) -> bool {
    entry_at(address).is_some_and(|entry| entry.is_live(address) && !entry.lock.is_ours())
}

/// Lists a ring that was just created, at an address that is not 0.
pub fn add(address: usize, call: Call) {
    if !is_wiped_by_fork() {
        return;
    }
    let set = set_of(address);
    // One thread at a time. Otherwise, if another thread destroys this ring now and creates the
    // next one at the same address, that ring could get two entries. The second thread does not
    // wait; its ring is not listed. If this thread never finishes, the set lists no more rings.
    let listing = &WIPED.listing[set];
    if listing
        .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        return;
    }
    let unlisted = &WIPED.unlisted[set];
    let again = entries(address).any(|entry| entry.rebind(address, call, unlisted));
    let _ = again || entries(address).any(|entry| entry.bind(address, unlisted));
    listing.store(0, Ordering::Release);
}

/// Initialises the library if another library's constructor calls it before our constructor runs.
pub fn load() {
    // Relaxed: `initialise` has the same result in every thread.
    if STATE.load(Ordering::Relaxed) == UNKNOWN {
        initialise(core::ptr::null());
    }
}

/// Whether contexts are listed. User-space reaping is allowed only if the lock words are certain to
/// be zero in a forked child; if the kernel refuses that, it serves every call.
fn is_wiped_by_fork() -> bool {
    STATE.load(Ordering::Relaxed) == WIPED_BY_FORK
}

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const WIPED_BY_FORK: u8 = 1;
const REFUSED: u8 = 2;

/// Called only by constructors: our own, with its third argument, and others that call io_setup.
fn initialise(given: Environment) {
    // SAFETY: constructors run one after another, so none changes the environment during the call.
    if unsafe { settings::read_engine(given) } != Mode::Kernel {
        engine::prepare();
    }
    let wiped = memory::wipe_on_fork(&WIPED);
    #[cfg(reaps_in_user_space)]
    {
        // SAFETY: as above.
        let may = unsafe { settings::may_reap_in_user_space(given) };
        restartable::enable(wiped && may && !valgrind::is_running());
    }
    let state = if wiped { WIPED_BY_FORK } else { REFUSED };
    STATE.store(state, Ordering::Relaxed);
}

/// The constructor. It runs before the program can load a filter of system calls, which may not
/// allow the calls made here, because it was written for the original. No thread changes the
/// environment yet.
extern "C" fn when_loaded(_: c_int, _: *const *const c_char, given: Environment) {
    // Again after another constructor's io_setup, because the environment may not have been set
    // then.
    if STATE.load(Ordering::Relaxed) != REFUSED {
        initialise(given);
    }
}

#[used]
#[link_section = ".init_array"]
static WHEN_LOADED: extern "C" fn(c_int, *const *const c_char, Environment) = when_loaded;
