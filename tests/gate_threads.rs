//! The gate and the ring with real threads, over std's atomics and a ring in plain memory, in a form
//! that finds data races as such: it runs under ThreadSanitizer (`make tsan`) and Miri (`make miri`),
//! which see every access to the slots and to memory that has been given back.
//!
//! One thread plays the device: it completes events. Others reap, each by every way there is; one
//! destroys the ring again and again, gives its memory back and makes a new one, whose handle the
//! others have before it is listed, and often at the same address.

// Only the library itself is for old versions of Rust.
#![allow(clippy::incompatible_msrv)]

// The library uses all of these.
#[allow(dead_code)]
#[path = "../src/context/gate.rs"]
mod gate;
#[path = "support/no_gate.rs"]
mod no_gate;
#[allow(dead_code)]
#[path = "../src/kernel/ring.rs"]
mod ring;
#[allow(dead_code)]
#[path = "../src/c_abi/types.rs"]
mod types;
/// Where ring.rs looks for the types.
mod c_abi {
    pub(crate) use super::types;
}

use gate::{implement_word, Access, Alone, Counted, Entry, Look, Reaped, Thread, Word};
use no_gate::NoGate;
use ring::Ring;
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU8, AtomicUsize};
use std::thread::yield_now;
use types::{io_event, iocb};

/// Slots of the ring; few, so that it goes round often.
const NR: usize = 8;
const HEADER: usize = 32;
const ROOM: usize = 4;
const EVENTS: usize = if cfg!(miri) { 400 } else { 20_000 };

fn layout() -> Layout {
    Layout::from_size_align(HEADER + NR * size_of::<io_event>(), 4096).expect("small")
}

implement_word!(AtomicUsize, wait);

fn wait(_: u32) {
    yield_now();
}

/// std's own mutex is not compiled with the sanitizer, which therefore does not know it.
struct Lock(AtomicBool);

impl Lock {
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
    ring_lock: Lock,
    completion_lock: Lock,
    /// The live context. The program has it from here as soon as it is made.
    ring: AtomicPtr<u8>,
}

/// `struct aio_ring`, by its words.
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
            // Long enough for others to come between, if they could.
            yield_now();
            head.store(at as u32, Release);
            Some(events)
        })
    }

    /// io_destroy(2). What was in the ring is lost, and returned.
    fn destroy(&self, ctx: *mut u8) -> Vec<usize> {
        let lost = self.getevents(ctx, NR).expect("alive");
        self.ring_lock.with(|| {
            self.completion_lock
                .with(|| self.ring.store(null_mut(), Relaxed))
        });
        // What was completed between the two.
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

/// What `context/reap.rs` does at the ring.
struct AtRing<'a> {
    ctx: *mut u8,
    min_nr: u32,
    polls: bool,
    /// Without the exclusion nobody holds the gate.
    has_gate: bool,
    events: &'a mut [io_event; ROOM],
}

impl Look<usize> for AtRing<'_> {
    fn look(self, access: Access, may_move: impl FnOnce() -> bool) -> Option<usize> {
        let ring = unsafe { Ring::at(self.ctx.cast()) }.expect("a ring");
        if access == Access::Take {
            let there = ring.completions().expect("in order");
            if there.count > 0 && there.count >= self.min_nr {
                let count = there.count.min(ROOM as u32);
                let taken = unsafe {
                    {
                        let may_move = || may_move() || !self.has_gate;
                        there.take(count, self.events.as_mut_ptr(), may_move)
                    }
                };
                return taken.then_some(count as usize);
            }
        }
        (self.polls && ring.is_empty()).then_some(0)
    }
}

struct World<W> {
    slot: W,
    gate: W,
    unlisted: W,
    kernel: Kernel,
    /// How often each event was delivered or, in a ring that was destroyed, lost.
    seen: Vec<AtomicU8>,
    by_ring: AtomicUsize,
    by_kernel: AtomicUsize,
    completed: AtomicUsize,
    rings: AtomicUsize,
    over: AtomicBool,
    has_gate: bool,
}

impl<W: Word + Sync> World<W> {
    /// `word` makes the words; its argument says whether it is the gate.
    fn new(has_gate: bool, word: impl Fn(bool) -> W) -> World<W> {
        let world = World {
            slot: word(false),
            gate: word(true),
            unlisted: word(false),
            kernel: Kernel {
                ring_lock: Lock(AtomicBool::new(false)),
                completion_lock: Lock(AtomicBool::new(false)),
                ring: AtomicPtr::new(null_mut()),
            },
            seen: (0..EVENTS).map(|_| AtomicU8::new(0)).collect(),
            by_ring: AtomicUsize::new(0),
            by_kernel: AtomicUsize::new(0),
            completed: AtomicUsize::new(0),
            rings: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            has_gate,
        };
        world.set_up(thread_number(0));
        world
    }

    fn entry(&self) -> Entry<'_, W> {
        Entry {
            slot: &self.slot,
            gate: &self.gate,
        }
    }

    fn set_up(&self, thread: Thread) {
        let (entry, address) = (self.entry(), self.kernel.set_up().addr());
        // Threads of an earlier ring may hold the one entry there is; then it is not listed.
        let _ = entry.give_again(address, thread, true, &self.unlisted)
            || entry.give(address, thread, true, &self.unlisted);
        self.rings.fetch_add(1, Relaxed);
    }

    fn destroy(&self, thread: Thread) {
        let (ctx, entry) = (self.kernel.ring.load(Acquire), self.entry());
        let lost = match entry.belongs_to(ctx.addr()) {
            true => entry
                .destroy(ctx.addr(), thread, || self.kernel.destroy(ctx), |_| false)
                .unwrap_or_else(|stop| panic!("{stop:?}")),
            // Nobody reaps it in user space.
            false => self.kernel.destroy(ctx),
        };
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

    fn ask_kernel(&self, ctx: *mut u8, nr: usize) {
        let events = self.kernel.getevents(ctx, nr).unwrap_or_default();
        self.by_kernel.fetch_add(events.len(), Relaxed);
        events.into_iter().for_each(|event| self.account(event));
    }

    /// Leaves the ring to those who take from it in user space: while one is in the kernel, all go
    /// there.
    fn rest() {
        for _ in 0..50 {
            yield_now();
        }
    }

    /// io_getevents() of the library, with a handle that may be gone or not listed.
    fn reap(&self, thread: Thread, way: usize) {
        let ctx = self.kernel.ring.load(Acquire);
        if ctx.is_null() {
            return yield_now();
        }
        if !self.entry().belongs_to(ctx.addr()) {
            let counted = Counted::unlisted(&self.unlisted);
            if !self.entry().belongs_to(ctx.addr()) {
                self.ask_kernel(ctx, ROOM);
                counted.leave();
                return Self::rest();
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
        let (min_nr, polls) = match way % 16 {
            0..12 => (0, true),
            12 => (1, false),
            13 => (3, false),
            _ => (0, false),
        };
        let has_gate = self.has_gate;
        macro_rules! at_ring {
            () => {
                AtRing {
                    ctx,
                    min_nr,
                    polls,
                    has_gate,
                    events: &mut events,
                }
            };
        }
        // Some calls have a signal mask, and must go into the kernel.
        let may_take = way % 16 != 15;
        let (entry, address) = (self.entry(), ctx.addr());
        if may_take {
            match entry.reap_alone(address, thread, at_ring!()) {
                Alone::Answered(count) => return self.took(&events[..count]),
                Alone::Entered => {
                    self.ask_kernel(ctx, 1 + way % ROOM);
                    entry.counted().leave();
                    return Self::rest();
                }
                Alone::Not => {}
            }
        }
        let ring = at_ring!();
        match entry.reap(address, thread, may_take, polls, ring) {
            Ok(Reaped::Answered(count)) => self.took(&events[..count]),
            Ok(Reaped::Entered(counted)) => {
                self.ask_kernel(ctx, 1 + way % ROOM);
                counted.leave();
                Self::rest();
            }
            Err(_) => {}
        }
    }

    /// How many events were lost or doubled.
    fn run(&self, destroys: bool) -> usize {
        std::thread::scope(|scope| {
            for number in 1..=3 {
                scope.spawn(move || {
                    let mut seed = number;
                    while !self.over.load(Acquire) {
                        self.reap(thread_number(number), seed >> 16);
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
                        self.destroy(thread_number(4));
                        self.set_up(thread_number(4));
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
        self.destroy(thread_number(5));
        println!(
            "{} events from the ring, {} by the kernel, {} rings",
            self.by_ring.load(Relaxed),
            self.by_kernel.load(Relaxed),
            self.rings.load(Relaxed)
        );
        let wrong = self.seen.iter().filter(|seen| seen.load(Relaxed) != 1);
        wrong.count()
    }
}

fn thread_number(number: usize) -> Thread {
    Thread::with_pointer((number + 1) * 64)
}

#[test]
fn every_event_once() {
    let world = World::new(true, |_| AtomicUsize::new(0));
    assert_eq!(world.run(false), 0, "lost or doubled");
    assert_ne!(world.by_ring.load(Relaxed), 0);
    assert_ne!(world.by_kernel.load(Relaxed), 0);
}

#[test]
fn every_event_once_in_rings_that_come_and_go() {
    let world = World::new(true, |_| AtomicUsize::new(0));
    assert_eq!(world.run(true), 0, "lost or doubled");
    assert_ne!(world.by_ring.load(Relaxed), 0);
}

/// The fault that the others must find: by the count here, as a race elsewhere.
#[test]
#[cfg_attr(miri, ignore = "Miri ends at its race")]
fn without_the_gate_events_are_lost_or_doubled() {
    let world = World::new(false, |is_gate| NoGate::new(AtomicUsize::new, is_gate));
    assert_ne!(world.run(false), 0);
}
