//! Real threads use the table of contexts that the library serves, and their events:
//! context_table.rs, context_ref.rs and event_queue.rs of src/engine over std's atomics. Memory
//! comes from the allocator, so that ThreadSanitizer (`make tsan`) sees every access to an event
//! and to freed memory.
//!
//! Threads submit, take and wait for events, while another thread destroys the context again and
//! again and creates a new one, often at the same address. One test disables the lock, and must
//! find lost or doubled events.

// Only the library itself is for old versions of Rust.
#![allow(clippy::incompatible_msrv)]

// The library uses all of these.
#[allow(dead_code)]
#[path = "../src/abi.rs"]
mod abi;
#[allow(dead_code)]
#[path = "../src/aio_ring.rs"]
mod aio_ring;
#[allow(dead_code)]
#[path = "../src/engine/context_ref.rs"]
mod context_ref;
#[allow(dead_code)]
#[path = "../src/engine/context_table.rs"]
mod context_table;
#[allow(dead_code)]
#[path = "../src/errno.rs"]
mod errno;
#[path = "../src/engine/event_queue.rs"]
mod event_queue;
#[allow(dead_code)]
#[path = "../src/sys/restartable/section.rs"]
pub mod restartable;

/// The module that context_table.rs imports.
mod settings {
    pub const WITHOUT_LOCK: bool = false;
}

/// The parts of the library's `sys` that these files use.
#[allow(dead_code)]
mod sys {
    pub use super::restartable;

    /// The same calls as the library makes, through libc.
    pub mod futex {
        use crate::errno::{from_kernel, Errno, Result};
        use std::ptr::null;
        use std::sync::atomic::AtomicU32;

        /// Ignores the deadline. If a thread sleeps for a minute, its wake-up is lost.
        pub fn wait(word: &AtomicU32, value: u32, _: i64) -> Result {
            let minute = libc::timespec {
                tv_sec: 60,
                tv_nsec: 0,
            };
            let call = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
            // SAFETY: the kernel reads the word and the time.
            unsafe {
                if libc::syscall(libc::SYS_futex, word.as_ptr(), call, value, &minute) != 0 {
                    let error = *libc::__errno_location();
                    assert_ne!(error, libc::ETIMEDOUT, "this thread was not woken");
                    return from_kernel(-error as isize);
                }
            }
            Ok(0)
        }

        pub fn wake(word: &AtomicU32, count: i32) {
            let call = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
            // SAFETY: the kernel only uses the address.
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), call, count, null::<u8>()) };
        }

        pub unsafe fn poll(_: Option<(i32, i16)>, _: Option<i64>, _: *const u8) -> Result {
            Err(Errno::ENOSYS)
        }
    }

    /// Blocks no signals, but lets other threads run: calls do this after they have found an entry.
    pub mod signals {
        pub type Mask = u8;
        pub fn block() -> Option<Mask> {
            crate::pause();
            None
        }
        pub fn restore(_: &Mask) {}
    }

    pub mod memory {
        pub fn wipe_on_fork<T>(_: &'static T) -> bool {
            true
        }
        pub fn process_id() -> u32 {
            1
        }
        pub fn sleep(_: i64) {
            std::thread::yield_now();
        }
        /// The events in the ring are lost.
        pub unsafe fn unmap(address: usize, _: usize) {
            unsafe { crate::end_ring(address) };
        }
    }
}

use abi::{io_context_t, io_event};
use aio_ring::LibraryRing;
use context_ref::ContextRef;
use context_table::NewContext;
use event_queue::{EventQueue, Word};
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU8, AtomicUsize};
use std::thread::yield_now;

/// Sometimes lets other threads run.
fn pause() {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    if TURN.fetch_add(1, Relaxed) % 16 == 0 {
        yield_now();
    }
}

/// Few, so that the indices wrap often and the ring is often full.
const SLOTS: u32 = 8;
const CAPACITY: u32 = SLOTS - 1;
const EVENTS: usize = 100_000;
const SUBMITTERS: usize = 2;
/// The most events that a call takes.
const ROOM: usize = 4;

fn layout() -> Layout {
    Layout::from_size_align(32 + SLOTS as usize * size_of::<io_event>(), 4096).expect("small")
}

fn new_ring() -> usize {
    // SAFETY: as large as a ring with its header.
    unsafe {
        let ring = alloc_zeroed(layout());
        assert!(!ring.is_null());
        LibraryRing::start(ring.expose_provenance(), SLOTS);
        ring.expose_provenance()
    }
}

/// Counts the events in a ring that is no longer used, and frees its memory.
unsafe fn end_ring(address: usize) {
    unsafe {
        let mut events = [NOTHING; SLOTS as usize];
        let count = LibraryRing::at(address).take(events.as_mut_ptr(), SLOTS);
        account(&events[..count as usize]);
        dealloc(std::ptr::with_exposed_provenance_mut(address), layout());
    }
}

const NOTHING: io_event = io_event {
    data: null_mut(),
    obj: null_mut(),
    res: 0,
    res2: 0,
};

/// Each event carries the address of its counter.
fn event(count: &AtomicU8) -> io_event {
    io_event {
        data: count.as_ptr().cast(),
        res: count.as_ptr().addr() as _,
        ..NOTHING
    }
}

fn account(events: &[io_event]) {
    for event in events {
        assert_eq!(event.data.addr(), event.res as usize, "a whole event");
        // SAFETY: the counters outlive the threads.
        unsafe { AtomicU8::from_ptr(event.data.cast()) }.fetch_add(1, Relaxed);
    }
}

/// The context that the threads use.
trait Context: Sync {
    /// None if the context is destroyed.
    fn submit(&self, event: io_event) -> Option<bool>;
    fn take(&self, events: &mut [io_event; ROOM], count: u32) -> Option<u32>;
    /// Sleeps until the ring may hold `needed` events.
    fn sleep(&self, needed: u32);
}

/// The context that is in the table at the moment.
struct InTable {
    current: AtomicUsize,
    made: AtomicUsize,
}

impl InTable {
    fn new() -> InTable {
        let table = InTable {
            current: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
        };
        table.make();
        table
    }

    fn make(&self) {
        let address = new_ring();
        let new = NewContext {
            handle: address,
            memory: address,
            length: layout().size(),
            capacity: CAPACITY,
            nr_events: SLOTS,
            kernel_slots: 0,
        };
        assert!(context_table::add(&new));
        self.current.store(address, Release);
        self.made.fetch_add(1, Relaxed);
    }

    fn context(&self) -> io_context_t {
        std::ptr::with_exposed_provenance_mut(self.current.load(Acquire))
    }

    fn destroy(&self) {
        let context = self.context();
        let entry = context_table::find(context).expect("listed");
        assert!(context_table::remove(entry, context));
    }

    fn enter(&self) -> Option<ContextRef> {
        let context = self.context();
        ContextRef::get(context_table::find(context)?, context)
    }
}

impl Context for InTable {
    fn submit(&self, event: io_event) -> Option<bool> {
        let context = self.enter()?;
        let has_room = context.reserve().is_ok();
        if has_room {
            pause(); // while the request is carried out
            context.append(event);
        }
        context.put();
        Some(has_room)
    }

    fn take(&self, events: &mut [io_event; ROOM], count: u32) -> Option<u32> {
        let context = self.enter()?;
        // SAFETY: there is room.
        let taken = unsafe { context.take(events.as_mut_ptr(), count) };
        context.put();
        Some(taken)
    }

    fn sleep(&self, needed: u32) {
        let context = self.context();
        if let Some(entry) = context_table::find(context) {
            let _ = context_ref::sleep(entry, context, entry.generation(), needed, i64::MAX);
        }
    }
}

/// A single context without a table, with any implementation of its words.
struct Bare<W> {
    words: [W; 5],
    ring: usize,
}

impl<W: Word> Bare<W> {
    fn new(word: impl Fn() -> W) -> Bare<W> {
        let bare = Bare {
            words: [(); 5].map(|()| word()),
            ring: new_ring(),
        };
        bare.queue().start();
        bare
    }

    fn queue(&self) -> EventQueue<'_, W> {
        let [lock, outstanding, added, needed, changed] = &self.words;
        EventQueue {
            lock,
            outstanding,
            added,
            needed,
            changed,
        }
    }

    fn memory(&self) -> LibraryRing<'_> {
        // SAFETY: the ring is freed only when `self` is dropped.
        unsafe { LibraryRing::at(self.ring) }
    }
}

impl<W> Drop for Bare<W> {
    fn drop(&mut self) {
        // SAFETY: no other thread uses it.
        unsafe { end_ring(self.ring) };
    }
}

impl<W: Word + Sync> Context for Bare<W> {
    fn submit(&self, event: io_event) -> Option<bool> {
        let memory = self.memory();
        let has_room = self.queue().reserve(CAPACITY, || memory.unread());
        if has_room {
            // SAFETY: under the lock, with room.
            self.queue().append(|| unsafe { memory.append(event) });
        }
        Some(has_room)
    }

    fn take(&self, events: &mut [io_event; ROOM], count: u32) -> Option<u32> {
        let to = events.as_mut_ptr();
        // SAFETY: under the lock, and there is room.
        let take = || unsafe { self.memory().take(to, count) };
        Some(self.queue().take(take))
    }

    fn sleep(&self, needed: u32) {
        let memory = self.memory();
        if let Some(value) = self.queue().prepare_to_wait(needed, || memory.unread()) {
            self.queue().changed.sleep(value);
        }
    }
}

/// A word that excludes no thread if it is the lock.
struct NoLock(AtomicU32);

impl Word for NoLock {
    fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }
    fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, order)
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.0.swap(value, order)
    }
    fn add(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_add(value, order)
    }
    fn add_below(&self, limit: u32) -> bool {
        Word::add_below(&self.0, limit)
    }
    fn compare_exchange(&self, old: u32, _: u32, _: Ordering, _: Ordering) -> Result<u32, u32> {
        Ok(old)
    }
    fn sleep(&self, _: u32) {}
    fn wake_one(&self) {}
    fn wake_all(&self) {}
}

/// Submits every event; gives up after `patience` attempts without room.
fn submit_all(context: &impl Context, counts: &[AtomicU8], patience: usize) {
    for count in counts {
        let mut tries = 0;
        while context.submit(event(count)) != Some(true) {
            tries += 1;
            if tries == patience {
                return;
            }
            yield_now();
        }
    }
}

/// Takes events until the end, and waits for them if `waits`.
fn reap(context: &impl Context, over: &AtomicBool, waits: bool) -> usize {
    let (mut taken, mut turn) = (0, 0);
    while !over.load(Acquire) {
        turn += 1;
        let wanted = 1 + turn % ROOM as u32;
        if waits {
            context.sleep(wanted);
        }
        let mut events = [NOTHING; ROOM];
        let count = context.take(&mut events, wanted).unwrap_or(0) as usize;
        account(&events[..count]);
        taken += count;
        if count == 0 {
            yield_now();
        }
    }
    taken
}

/// Returns how many events were lost or doubled. `end` wakes all waiters; another thread runs
/// `beside`.
fn run<C: Context>(
    context: C,
    patience: usize,
    waits: bool,
    beside: impl Fn(&C) + Sync,
    end: impl Fn(&C),
) -> usize {
    let counts: Vec<AtomicU8> = (0..EVENTS).map(|_| AtomicU8::new(0)).collect();
    let over = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let (context, over, beside) = (&context, &over, &beside);
        let submitters: Vec<_> = counts
            .chunks(EVENTS / SUBMITTERS)
            .map(|part| scope.spawn(move || submit_all(context, part, patience)))
            .collect();
        let reapers: Vec<_> = [false, waits, waits]
            .map(|waits| scope.spawn(move || reap(context, over, waits)))
            .into();
        let other = scope.spawn(move || {
            while !over.load(Acquire) {
                beside(context);
            }
        });
        for submitter in submitters {
            submitter.join().expect("no panic");
        }
        over.store(true, Release);
        other.join().expect("no panic");
        end(context);
        let taken = reapers
            .into_iter()
            .map(|reaper| reaper.join().expect("no panic"));
        taken.sum::<usize>()
    });
    assert_ne!(taken, 0);
    drop(context);
    let wrong = counts.iter().filter(|count| count.load(Relaxed) != 1);
    wrong.count()
}

fn word() -> AtomicU32 {
    AtomicU32::new(0)
}

#[test]
fn every_event_once_in_one_context() {
    let close = |bare: &Bare<AtomicU32>| bare.queue().close();
    let wrong = run(Bare::new(word), usize::MAX, true, |_| yield_now(), close);
    assert_eq!(wrong, 0, "lost or doubled");
}

#[test]
fn every_event_once_in_the_tables_context() {
    let wrong = run(
        InTable::new(),
        usize::MAX,
        true,
        |_| yield_now(),
        InTable::destroy,
    );
    assert_eq!(wrong, 0, "lost or doubled");
}

#[test]
fn every_event_once_in_contexts_that_come_and_go() {
    let renew = |table: &InTable| {
        for _ in 0..2 {
            yield_now();
        }
        table.destroy();
        table.make();
    };
    let destroy = |table: &InTable| {
        println!("{} contexts", table.made.load(Relaxed));
        table.destroy();
    };
    let wrong = run(InTable::new(), usize::MAX, true, renew, destroy);
    assert_eq!(wrong, 0, "lost or doubled");
}

/// Without the lock, events must be lost or doubled, or ThreadSanitizer must report a race.
#[test]
fn without_the_lock_events_are_lost_or_doubled() {
    // The first round is usually enough.
    let found = (0..100).any(|_| {
        let bare = Bare::new(|| NoLock(word()));
        run(bare, 100_000, false, |_| yield_now(), |_| {}) != 0
    });
    assert!(found);
}
