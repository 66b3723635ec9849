//! The registry of the contexts that this library set up: a fixed table, so that neither memory nor
//! a lock is ever needed and it can be read from a signal handler.
//!
//! A handle belongs to one set of eight by its page number. A context that finds its set full is
//! not listed, and served by the kernel alone.
//!
//! The two words of an entry (see `entry.rs`) are far apart, for `fork`. The slots are copied. The
//! locks are in pages that the kernel wipes in the child: there nothing is its own until its own
//! `io_setup`. After `vfork` the child has the parent's own, as it should.

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
/// 512 sets list 4,096 contexts in 64 KiB of zero pages, of which only those in use are touched.
const SETS: usize = 512;

#[repr(align(64))]
struct Set([AtomicUsize; WAYS]);

/// Alone on its pages, of whatever size, because the kernel wipes whole ones: 4 KiB on some
/// machines, up to 64 KiB on the others.
#[cfg_attr(pages_of_4_kib, repr(align(4096)))]
#[cfg_attr(not(pages_of_4_kib), repr(align(65536)))]
struct Pages {
    locks: [Set; SETS],
    /// For each set, the threads in the kernel with a handle that is not listed.
    unlisted: [AtomicUsize; SETS],
    /// For each set, whether a thread is listing a ring.
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
// The build script reads these two from the CPU's file.
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
    /// A few microseconds; an owner that is not interrupted needs less for a hundred events. With
    /// 20 looks, single takes beside threads of low priority lasted 4 ms; with 400, a SCHED_FIFO
    /// thread's takes lasted longer (docs/benchmarks.md, "Tails").
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
        // SAFETY: the word is a lock; others change it from `owned` by compare-and-exchange alone.
        unsafe { restartable::store(area, self.as_ptr(), owned, value) }
    }
    fn can_restart_others() -> bool {
        restartable::can_restart_others()
    }
    fn restart_others() -> bool {
        restartable::restart_others()
    }
    /// Spins, then, if sections cannot be restarted, sleeps: 50 µs, later 1 ms, in all 100 ms. An
    /// owner that was preempted may have a lower priority than this thread, so it does not yield.
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

#[inline(always)]
fn set_of(address: usize) -> usize {
    // Rings are page-aligned and some pages long, so neighbours differ in the low page bits.
    let page = address >> 12;
    (page ^ (page >> 9)) % SETS
}

/// The entries that a ring at this address may have.
#[inline(always)]
fn entries(address: usize) -> impl Iterator<Item = Listed> {
    let set = set_of(address);
    let pairs = SLOTS[set].0.iter().zip(&WIPED.locks[set].0);
    pairs.map(|(slot, lock)| Entry {
        slot,
        lock: Lock(lock),
    })
}

/// The entry that a ring at this address has or, in a forked child, had in the parent.
#[inline(never)]
fn entry_at(address: usize) -> Option<Listed> {
    entries(address).find(|entry| address != 0 && entry.belongs_to(address))
}

/// The entry of a ring that this process set up by this library, destroyed meanwhile or not.
pub fn find(address: usize) -> Option<Listed> {
    entry_at(address).filter(|entry| entry.lock.is_ours())
}

/// The same for the one caller for whom a call would be too slow: it is eight comparisons long.
#[inline(always)]
pub fn find_inline(address: usize) -> Option<Listed> {
    entries(address)
        .find(|entry| address != 0 && entry.belongs_to(address))
        .filter(|entry| entry.lock.is_ours())
}

/// The entry, or if there is none, this thread counted among those that enter the kernel with a
/// handle that is not listed.
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

/// Lists a ring that the kernel has just made, at an address that is not 0.
pub fn add(address: usize, call: Call) {
    if !is_wiped_by_fork() {
        return;
    }
    let set = set_of(address);
    // One at a time, or one ring could get two entries: another thread may destroy this ring and
    // set up the next one at its address meanwhile. That one is not listed then; nobody waits here.
    // If this thread never comes back, no ring is listed in this set any more.
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

/// Reads the settings, if this is another library's constructor, before our own.
pub fn load() {
    // Relaxed: whatever a thread finds here it would find by itself.
    if STATE.load(Ordering::Relaxed) == UNKNOWN {
        decide(core::ptr::null());
    }
}

/// Whether contexts are listed: only if a forked child is sure to find their locks wiped.
fn is_wiped_by_fork() -> bool {
    STATE.load(Ordering::Relaxed) == WIPED_BY_FORK
}

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const WIPED_BY_FORK: u8 = 1;
const REFUSED: u8 = 2;

/// Only constructors come here: our own, with what it was given, and others that call io_setup.
fn decide(given: Environment) {
    // SAFETY: constructors do not change the environment under each other.
    if unsafe { settings::read_engine(given) } != Mode::Kernel {
        engine::prepare();
    }
    let wiped = memory::wipe_on_fork(&WIPED);
    #[cfg(reaps_in_user_space)]
    {
        // SAFETY: constructors do not change the environment under each other.
        let may = unsafe { settings::may_reap_in_user_space(given) };
        restartable::enable(wiped && may && !valgrind::is_running());
    }
    let state = if wiped { WIPED_BY_FORK } else { REFUSED };
    STATE.store(state, Ordering::Relaxed);
}

/// Run by the dynamic linker or the start files, when no program has begun to restrict itself yet:
/// a filter that it loads later, and that kills for what is not on its list, was made for the
/// original and may not know the calls. And no thread changes the environment yet.
extern "C" fn when_loaded(_: c_int, _: *const *const c_char, given: Environment) {
    // Once more after another constructor's io_setup, for which the environment may not have been
    // there yet.
    if STATE.load(Ordering::Relaxed) != REFUSED {
        decide(given);
    }
}

#[used]
#[link_section = ".init_array"]
static WHEN_LOADED: extern "C" fn(c_int, *const *const c_char, Environment) = when_loaded;
