//! The lock and the ring with real threads, over std's atomics and a ring in plain memory.
//!
//! One thread plays the device and completes events. Others reap, each in every way, and now and
//! then leave a call in the middle, as a jump does. One destroys the ring again and again, frees
//! its memory and creates a new ring, often at the same address. The others use the new handle
//! before it is listed.
//!
//! In `mod restartable` the restartable sections are the library's own, and the kernel restarts
//! them. In the other tests a section is a critical section in Rust: they run under ThreadSanitizer
//! (`make tsan`) and Miri (`make miri`), which see every access to the slots and to freed memory,
//! and report data races.

// Only the library itself must compile with old versions of Rust.
#![allow(clippy::incompatible_msrv)]

// The library uses all of these.
#[allow(dead_code)]
#[path = "../src/abi.rs"]
mod abi;
#[allow(dead_code)]
#[path = "../src/aio_ring.rs"]
mod aio_ring;
#[allow(dead_code)]
#[path = "../src/context/entry.rs"]
mod entry;
#[allow(dead_code)]
#[path = "../src/context/lock.rs"]
mod lock;
#[path = "support/no_lock.rs"]
mod no_lock;
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "support/sys.rs"]
mod sys;

use abi::{io_event, iocb};
use aio_ring::{Completions, Sections, BLOCK};
use entry::Entry;
use lock::{Call, Lock, Owner, Reader, Word};
use no_lock::{Checked, NoLock};
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU8, AtomicUsize};
use std::thread::yield_now;
use sys::restartable::Section;

/// Whether the machine is emulated (emulation-check.sh). A system call takes so much longer there
/// than a section that threads rarely meet in a section, unless it copies more.
const EMULATED: bool = option_env!("LIBAIO_RS_EMULATED").is_some();
/// Slots of the ring; few, so that it wraps around often.
const NR: usize = if EMULATED { 512 } else { 8 };
const HEADER: usize = 32;
/// How many events a call has room for.
const ROOM: usize = if EMULATED { 64 } else { 4 };
/// Rounds of each test with the library's own sections; more where threads rarely meet.
const ROUNDS: usize = if EMULATED { 100 } else { 10 };
const EVENTS: usize = if cfg!(miri) { 400 } else { 20_000 };
/// Threads are numbered below this.
const THREADS: usize = 6;

fn layout() -> Layout {
    Layout::from_size_align(HEADER + NR * size_of::<io_event>(), 4096).expect("small")
}

/// std's own mutex is not compiled with the sanitizer, which therefore does not see it.
struct Mutex(AtomicBool);

impl Mutex {
    fn with<R>(&self, inside: impl FnOnce() -> R) -> R {
        while self
            .0
            .compare_exchange(false, true, Acquire, Relaxed)
            .is_err()
        {
            yield_now();
        }
        let result = inside();
        self.0.store(false, Release);
        result
    }
}

/// The kernel: one context at a time, and its ring.
struct Kernel {
    /// `ctx->ring_lock` and `ctx->completion_lock`.
    ring_lock: Mutex,
    completion_lock: Mutex,
    /// The live context. The threads read it here as soon as it exists.
    ring: AtomicPtr<u8>,
}

/// The words of `struct aio_ring`.
unsafe fn word<'a>(ring: *mut u8, number: usize) -> &'a AtomicU32 {
    unsafe { AtomicU32::from_ptr(ring.cast::<u32>().add(number)) }
}
unsafe fn head<'a>(ring: *mut u8) -> &'a AtomicU32 {
    unsafe { word(ring, 2) }
}
unsafe fn tail<'a>(ring: *mut u8) -> &'a AtomicU32 {
    unsafe { word(ring, 3) }
}
unsafe fn slot(ring: *mut u8, number: usize) -> *mut io_event {
    unsafe { ring.add(HEADER).cast::<io_event>().add(number) }
}

impl Kernel {
    fn set_up(&self) -> *mut u8 {
        let ring = unsafe { alloc_zeroed(layout()) };
        assert!(!ring.is_null());
        for (number, value) in [(1, NR as u32), (4, 0xa10a_10a1), (7, HEADER as u32)] {
            unsafe { ring.cast::<u32>().add(number).write(value) };
        }
        self.completion_lock.with(|| self.ring.store(ring, Release));
        ring
    }

    /// aio_complete(), if there is a context and room.
    fn complete(&self, number: usize) -> bool {
        self.completion_lock.with(|| {
            let ring = self.ring.load(Acquire);
            if ring.is_null() {
                return false;
            }
            let (head, tail) = unsafe { (head(ring), tail(ring)) };
            let at = tail.load(Relaxed) as usize;
            let next = (at + 1) % NR;
            if next == head.load(Acquire) as usize {
                return false;
            }
            let event = io_event {
                data: without_provenance_mut(number),
                obj: null_mut::<iocb>(),
                res: number as _,
                res2: 0,
            };
            unsafe { slot(ring, at).write(event) };
            tail.store(next as u32, Release);
            true
        })
    }

    /// io_getevents(2) that does not wait; None if there is no such context.
    fn getevents(&self, ctx: *mut u8, nr: usize) -> Option<Vec<usize>> {
        self.ring_lock.with(|| {
            if self.ring.load(Acquire) != ctx {
                return None;
            }
            let (head, tail) = unsafe { (head(ctx), tail(ctx)) };
            let mut at = head.load(Relaxed) as usize;
            let end = tail.load(Acquire) as usize;
            let mut events = Vec::new();
            while at != end && events.len() < nr {
                events.push(unsafe { (*slot(ctx, at)).data.addr() });
                at = (at + 1) % NR;
            }
            // Gives other threads time to interfere, if they can.
            yield_now();
            head.store(at as u32, Release);
            Some(events)
        })
    }

    /// io_destroy(2). Returns the events that were lost with the ring.
    fn destroy(&self, ctx: *mut u8) -> Vec<usize> {
        let lost = self.getevents(ctx, NR).expect("alive");
        self.ring_lock.with(|| {
            self.completion_lock
                .with(|| self.ring.store(null_mut(), Relaxed))
        });
        // Events that were completed between the two.
        let (mut at, end) = unsafe { (head(ctx).load(Relaxed), tail(ctx).load(Acquire)) };
        let mut all = lost;
        while at != end {
            all.push(unsafe { (*slot(ctx, at as usize)).data.addr() });
            at = (at + 1) % NR as u32;
        }
        unsafe { dealloc(ctx, layout()) };
        all
    }
}

/// A word whose sections the sanitizers see: a thread holds its mutex while it is in a section, and
/// restarting all sections means to lock and unlock every mutex.
struct Visible(AtomicUsize);

static IN_SECTION: [Mutex; THREADS] = [const { Mutex(AtomicBool::new(false)) }; THREADS];

impl Word for Visible {
    /// The thread's number.
    type Area = usize;
    const PATIENCE: u32 = 2;
    fn load(&self, order: Ordering) -> usize {
        self.0.load(order)
    }
    fn store(&self, value: usize, order: Ordering) {
        self.0.store(value, order)
    }
    fn compare_exchange(
        &self,
        old: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        self.0.compare_exchange(old, new, success, failure)
    }
    fn store_if(&self, area: usize, owned: usize, value: usize) -> Section {
        IN_SECTION[area].with(|| {
            if !self.holds(owned) {
                return Section::NotOwner;
            }
            self.0.store(value, Release);
            Section::Done
        })
    }
    fn can_restart_others() -> bool {
        true
    }
    fn restart_others() -> bool {
        IN_SECTION.iter().for_each(|section| section.with(|| {}));
        true
    }
    fn wait(_: u32) -> bool {
        yield_now();
        true
    }
}

impl Checked for Visible {
    fn holds(&self, owned: usize) -> bool {
        self.0.load(Relaxed) == owned
    }
}

/// An owner whose sections are in Rust.
struct InRust<'a, 'b, W: Word<Area = usize>>(&'b Owner<'a, W>);

impl<W: Word<Area = usize> + Checked> Sections for InRust<'_, '_, W> {
    unsafe fn read_words(&self, from: *const u64) -> (Section, [u64; 4]) {
        let (word, owned, area) = self.0.condition();
        IN_SECTION[area].with(|| {
            if !word.holds(owned) {
                return (Section::NotOwner, [0; 4]);
            }
            let words = [0, 1, 2, 3].map(|number| {
                let word = |number| {
                    u64::from(unsafe { self::word(from.cast_mut().cast(), number) }.load(Acquire))
                };
                word(2 * number) | word(2 * number + 1) << 32
            });
            (Section::Done, words)
        })
    }

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
        let (lock, owned, area) = self.0.condition();
        IN_SECTION[area].with(|| {
            if !lock.holds(owned) {
                return Section::NotOwner;
            }
            unsafe {
                from.copy_to(to, count * BLOCK);
                from_start.copy_to(to.add(count * BLOCK), more * BLOCK);
                // Gives other threads time to interfere, if they can.
                yield_now();
                AtomicU32::from_ptr(word).store(value, Release);
            }
            Section::Done
        })
    }
}

/// How an owner takes events with this kind of word.
trait Takes: Word + Sized {
    fn area(thread: usize) -> Self::Area;
    fn take(
        owner: &Owner<'_, Self>,
        ctx: *mut u8,
        min_nr: u32,
        events: &mut [io_event; ROOM],
    ) -> Option<usize>;
}

/// Takes events as `context/getevents.rs` does. None if a section failed: then nothing was taken.
fn take(
    owner: &impl Sections,
    ctx: *mut u8,
    min_nr: u32,
    events: &mut [io_event; ROOM],
) -> Option<usize> {
    let ready = unsafe { Completions::at(ctx.cast(), owner) }
        .ok()?
        .expect("in order");
    if ready.count == 0 || ready.count < min_nr {
        return Some(0);
    }
    let count = ready.count.min(ROOM as u32);
    let section = unsafe { ready.take(ctx.cast(), owner, count, events.as_mut_ptr()) };
    (section == Section::Done).then_some(count as usize)
}

impl Takes for Visible {
    fn area(thread: usize) -> usize {
        thread
    }
    fn take(
        owner: &Owner<'_, Self>,
        ctx: *mut u8,
        min_nr: u32,
        events: &mut [io_event; ROOM],
    ) -> Option<usize> {
        take(&InRust(owner), ctx, min_nr, events)
    }
}

impl Takes for NoLock<Visible> {
    fn area(thread: usize) -> usize {
        thread
    }
    fn take(
        owner: &Owner<'_, Self>,
        ctx: *mut u8,
        min_nr: u32,
        events: &mut [io_event; ROOM],
    ) -> Option<usize> {
        take(&InRust(owner), ctx, min_nr, events)
    }
}

struct World<W> {
    slot: W,
    lock: W,
    unlisted: W,
    kernel: Kernel,
    /// How often each event was delivered, or lost with a destroyed ring.
    seen: Vec<AtomicU8>,
    by_ring: AtomicUsize,
    by_kernel: AtomicUsize,
    completed: AtomicUsize,
    rings: AtomicUsize,
    /// How many owners have left without a release.
    left: AtomicUsize,
    over: AtomicBool,
}

impl<W: Takes + Sync> World<W> {
    /// `word` creates a word; its argument says whether it is the lock.
    fn new(word: impl Fn(bool) -> W) -> World<W> {
        let world = World {
            slot: word(false),
            lock: word(true),
            unlisted: word(false),
            kernel: Kernel {
                ring_lock: Mutex(AtomicBool::new(false)),
                completion_lock: Mutex(AtomicBool::new(false)),
                ring: AtomicPtr::new(null_mut()),
            },
            seen: (0..EVENTS).map(|_| AtomicU8::new(0)).collect(),
            by_ring: AtomicUsize::new(0),
            by_kernel: AtomicUsize::new(0),
            completed: AtomicUsize::new(0),
            rings: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        };
        world.set_up(0);
        world
    }

    fn entry(&self) -> Entry<'_, W> {
        Entry {
            slot: &self.slot,
            lock: Lock(&self.lock),
        }
    }

    fn set_up(&self, thread: usize) {
        let (entry, address) = (self.entry(), self.kernel.set_up().addr());
        // Threads of an earlier ring may be counted in the only entry; then this one is not listed.
        let _ = entry.rebind(address, call_of(thread), &self.unlisted)
            || entry.bind(address, &self.unlisted);
        self.rings.fetch_add(1, Relaxed);
    }

    fn destroy(&self, thread: usize) {
        let (ctx, entry) = (self.kernel.ring.load(Acquire), self.entry());
        let is_listed = entry.belongs_to(ctx.addr());
        entry.retire(ctx.addr());
        let reader = match is_listed {
            true => entry
                .enter(ctx.addr(), call_of(thread))
                .expect("never refused"),
            false => None, // no thread reaps it in user space
        };
        let lost = self.kernel.destroy(ctx);
        if let Some(reader) = reader {
            reader.leave();
        }
        lost.into_iter().for_each(|event| self.account(event));
    }

    fn account(&self, event: usize) {
        self.seen[event].fetch_add(1, Relaxed);
    }

    fn took(&self, events: &[io_event]) {
        self.by_ring.fetch_add(events.len(), Relaxed);
        for event in events {
            assert_eq!(event.data.addr(), event.res as usize);
            self.account(event.data.addr());
        }
    }

    fn ask_kernel(&self, ctx: *mut u8, nr: usize, reader: Reader<'_, W>) {
        let events = self.kernel.getevents(ctx, nr).unwrap_or_default();
        reader.leave();
        self.by_kernel.fetch_add(events.len(), Relaxed);
        events.into_iter().for_each(|event| self.account(event));
        // Lets other threads take in user space: while a thread is in the kernel, all calls go
        // there.
        for _ in 0..50 {
            yield_now();
        }
    }

    /// io_getevents() of the library, with a handle that may be destroyed or not listed.
    fn reap(&self, thread: usize, way: usize) {
        let ctx = self.kernel.ring.load(Acquire);
        if ctx.is_null() {
            return yield_now();
        }
        let (entry, call, address) = (self.entry(), call_of(thread), ctx.addr());
        let nr = 1 + way % ROOM;
        let is_listed = || entry.belongs_to(address) && entry.lock.is_ours();
        if !is_listed() {
            let counted = Reader::unlisted(&self.unlisted);
            if !is_listed() {
                return self.ask_kernel(ctx, ROOM, counted);
            }
            counted.leave();
        }
        let mut events = [const {
            io_event {
                data: null_mut(),
                obj: null_mut(),
                res: 0,
                res2: 0,
            }
        }; ROOM];
        let min_nr = if way % 16 == 13 { 3 } else { 1 };
        // Some calls have a signal mask, and must go into the kernel.
        let tries = if way % 16 == 15 { 0 } else { 2 };
        for attempt in 0..tries {
            let owner = match attempt {
                0 => entry.lock.try_own(call, W::area(thread)),
                _ => entry.lock.own(call, W::area(thread)).ok(),
            };
            let Some(owner) = owner else { continue };
            let taken = match entry.is_live(address) {
                true => W::take(&owner, ctx, min_nr, &mut events),
                false => Some(0),
            };
            if let Some(count @ 1..) = taken {
                self.took(&events[..count]);
                // Sometimes the call is left, as by a jump or the thread's end, and keeps the lock.
                match way % 32 {
                    0 => _ = self.left.fetch_add(1, Relaxed),
                    _ => owner.release(),
                }
                return;
            }
            let polls = way % 16 < 12;
            if taken == Some(0) && polls {
                owner.release();
                return yield_now();
            }
            if let Some(reader) = owner.into_reader() {
                if let Some(reader) = entry.confirm(address, reader) {
                    self.ask_kernel(ctx, nr, reader);
                }
                return;
            }
        }
        if let Some(reader) = entry.enter(address, call).expect("never refused") {
            self.ask_kernel(ctx, nr, reader);
        }
    }

    /// How many events were lost or doubled.
    fn run(&self, destroys: bool) -> usize {
        std::thread::scope(|scope| {
            for number in 1..=3 {
                scope.spawn(move || {
                    let mut seed = number;
                    while !self.over.load(Acquire) {
                        self.reap(number, seed >> 16);
                        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
                    }
                });
            }
            if destroys {
                scope.spawn(|| {
                    while !self.over.load(Acquire) {
                        // A ring lasts for some events, so that there is something to take.
                        let until = self.completed.load(Relaxed) + 40;
                        while self.completed.load(Relaxed) < until && !self.over.load(Acquire) {
                            yield_now();
                        }
                        self.destroy(4);
                        self.set_up(4);
                    }
                });
            }
            for event in 0..EVENTS {
                while !self.kernel.complete(event) {
                    yield_now();
                }
                self.completed.store(event, Relaxed);
            }
            self.over.store(true, Release);
        });
        self.destroy(5);
        println!(
            "{} events from the ring, {} by the kernel, {} rings, {} owners that left",
            self.by_ring.load(Relaxed),
            self.by_kernel.load(Relaxed),
            self.rings.load(Relaxed),
            self.left.load(Relaxed)
        );
        let wrong = self.seen.iter().filter(|seen| seen.load(Relaxed) != 1);
        wrong.count()
    }
}

fn call_of(thread: usize) -> Call {
    Call::at((thread + 1) * 4096)
}

fn visible(_: bool) -> Visible {
    Visible(AtomicUsize::new(0))
}

#[test]
fn every_event_once() {
    let world = World::new(visible);
    assert_eq!(world.run(false), 0, "lost or doubled");
    assert_ne!(world.by_ring.load(Relaxed), 0);
    assert_ne!(world.by_kernel.load(Relaxed), 0);
    assert_ne!(world.left.load(Relaxed), 0);
}

#[test]
fn every_event_once_in_rings_that_come_and_go() {
    let world = World::new(visible);
    assert_eq!(world.run(true), 0, "lost or doubled");
    assert_ne!(world.by_ring.load(Relaxed), 0);
}

/// The fault that the other tests must be able to find. The counts show it here; the sanitizers
/// report a race.
#[test]
#[cfg_attr(miri, ignore = "Miri stops at the race")]
fn without_the_lock_events_are_lost_or_doubled() {
    // The first round usually finds it, but not where threads rarely meet.
    let found = (0..100).any(|_| {
        let word = |number| Visible(AtomicUsize::new(number));
        World::new(|is_lock| NoLock::new(word, is_lock)).run(false) != 0
    });
    assert!(found);
}

/// With the library's own sections, where the kernel and the C library support them.
#[cfg(all(reaps_in_user_space, not(miri)))]
mod restartable {
    use super::*;
    use crate::sys::restartable::{self, Area};
    use std::io::Write as _;
    use std::sync::OnceLock;

    /// A word whose kernel restarts sections if `BARRIER`, and otherwise only claims to.
    struct Restartable<const BARRIER: bool>(AtomicUsize);

    impl<const BARRIER: bool> Word for Restartable<BARRIER> {
        type Area = Area;
        const PATIENCE: u32 = if BARRIER { 2 } else { 0 };
        fn load(&self, order: Ordering) -> usize {
            self.0.load(order)
        }
        fn store(&self, value: usize, order: Ordering) {
            self.0.store(value, order)
        }
        fn compare_exchange(
            &self,
            old: usize,
            new: usize,
            success: Ordering,
            failure: Ordering,
        ) -> Result<usize, usize> {
            self.0.compare_exchange(old, new, success, failure)
        }
        fn store_if(&self, area: Area, owned: usize, value: usize) -> Section {
            unsafe { restartable::store(area, self.0.as_ptr(), owned, value) }
        }
        fn can_restart_others() -> bool {
            true
        }
        fn restart_others() -> bool {
            !BARRIER || restartable::restart_others()
        }
        fn wait(_: u32) -> bool {
            std::hint::spin_loop();
            true
        }
    }

    struct InAssembly<'a, 'b, const BARRIER: bool>(&'b Owner<'a, Restartable<BARRIER>>);

    impl<const BARRIER: bool> Sections for InAssembly<'_, '_, BARRIER> {
        unsafe fn read_words(&self, from: *const u64) -> (Section, [u64; 4]) {
            let (lock, owned, area) = self.0.condition();
            unsafe { restartable::read_words(area, lock.0.as_ptr(), owned, from) }
        }
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
            let (lock, owned, area) = self.0.condition();
            let lock = lock.0.as_ptr();
            unsafe {
                restartable::copy_and_store(
                    area, lock, owned, from, count, from_start, more, to, word, value,
                )
            }
        }
    }

    impl<const BARRIER: bool> Takes for Restartable<BARRIER> {
        fn area(_: usize) -> Area {
            Area::of_this_thread().expect("registered")
        }
        fn take(
            owner: &Owner<'_, Self>,
            ctx: *mut u8,
            min_nr: u32,
            events: &mut [io_event; ROOM],
        ) -> Option<usize> {
            take(&InAssembly(owner), ctx, min_nr, events)
        }
    }

    fn can_be_run() -> bool {
        static ENABLED: OnceLock<()> = OnceLock::new();
        ENABLED.get_or_init(|| restartable::enable(true));
        let can = Area::are_used();
        if !can {
            // Straight to the terminal: the test harness keeps what passing tests print.
            let _ = writeln!(
                std::io::stdout(),
                "SKIPPED TEST restartable sections: the kernel or the C library has none"
            );
        }
        can
    }

    fn word<const BARRIER: bool>(_: bool) -> Restartable<BARRIER> {
        Restartable(AtomicUsize::new(0))
    }

    #[test]
    fn kernel_releases_are_parsed() {
        let version = |release: &str| restartable::version_of(release.bytes().chain([0]));
        let numbers = |major: u64, minor: u64, patch: u64| major << 32 | minor << 16 | patch;
        assert_eq!(version("6.18.44-fc-v657"), numbers(6, 18, 44));
        assert_eq!(version("6.19.0-rc1+"), numbers(6, 19, 0));
        assert_eq!(version("7.0-rc3"), numbers(7, 0, 0));
        assert_eq!(version("7.0.13"), numbers(7, 0, 13));
        assert_eq!(version("7.0.14.1"), numbers(7, 0, 14));
        assert_eq!(version("5.10.0-32-cloud-amd64"), numbers(5, 10, 0));
    }

    #[test]
    fn every_event_once() {
        if can_be_run() {
            for _ in 0..ROUNDS {
                let world = World::new(word::<true>);
                assert_eq!(world.run(false), 0, "lost or doubled");
                assert_ne!(world.by_ring.load(Relaxed), 0);
                assert_ne!(world.left.load(Relaxed), 0);
            }
        }
    }

    #[test]
    fn every_event_once_in_rings_that_come_and_go() {
        if can_be_run() {
            for _ in 0..ROUNDS {
                assert_eq!(World::new(word::<true>).run(true), 0, "lost or doubled");
            }
        }
    }

    /// The fault that the other tests must be able to find: the lock is taken from a thread in the
    /// middle of a section, and the section continues.
    #[test]
    fn without_the_barrier_events_are_lost_or_doubled() {
        if can_be_run() {
            let found = (0..20 * ROUNDS).any(|_| World::new(word::<false>).run(false) != 0);
            assert!(found);
        }
    }
}
