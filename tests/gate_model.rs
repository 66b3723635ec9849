//! All interleavings of the gate's protocol, by loom: src/context/gate.rs itself, over loom's
//! atomics, with a model of the kernel and of the ring.
//!
//! What only one thread may touch at a time (the head, the mapping) is in loom's cells, which fail
//! when two threads touch them at once or without ordering between them; so is each event's slot,
//! which a completion may overwrite once it is behind the head.

// The library uses all of it.
#[allow(dead_code)]
#[path = "../src/context/gate.rs"]
mod gate;
#[path = "support/no_gate.rs"]
mod no_gate;

use gate::{implement_word, Access, Alone, Counted, Entry, Look, Reaped, Stop, Thread, Word};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use no_gate::NoGate;
use std::time::{Duration, Instant};

const RING: usize = 0x7000;
const OTHER_RING: usize = 0x9000;
/// Slots of the ring. One stays free, so a third completion waits for the first to be taken.
const NR: usize = 3;

implement_word!(AtomicUsize, yield_now);

fn yield_now(_: u32) {
    thread::yield_now();
}

fn without_gate() -> Arc<World<NoGate<AtomicUsize>>> {
    let mut world = World::of(|is_gate| NoGate::new(AtomicUsize::new, is_gate));
    world.has_gate = false;
    assert!(world.give(RING, 9));
    Arc::new(world)
}

fn thread_number(number: usize) -> Thread {
    Thread::with_pointer(number * 64)
}

/// The part of `struct aio_ring` that matters, and the kernel's own state.
struct Ring {
    mapped: UnsafeCell<bool>,
    head: UnsafeCell<usize>,
    tail: AtomicUsize,
    slots: [UnsafeCell<u32>; NR],
    /// The kernel's lock, and whether the context is alive.
    kernel: Mutex<bool>,
    /// What the completer knows of the head: the kernel reads it with an acquire, which the model
    /// cannot, because the head is in a cell. Stored by whoever moves the head, after the fact.
    seen_head: AtomicUsize,
}

impl Ring {
    fn new() -> Ring {
        Ring {
            mapped: UnsafeCell::new(true),
            head: UnsafeCell::new(0),
            tail: AtomicUsize::new(0),
            slots: [(); NR].map(|()| UnsafeCell::new(0)),
            kernel: Mutex::new(true),
            seen_head: AtomicUsize::new(0),
        }
    }

    /// aio_complete(): the event, then the tail. False if there is no room.
    fn complete(&self, event: u32) -> bool {
        let tail = self.tail.load(Ordering::Relaxed);
        if (tail + 1) % NR == self.seen_head.load(Ordering::Acquire) {
            return false;
        }
        self.slots[tail].with_mut(|slot| unsafe { *slot = event });
        self.tail.store((tail + 1) % NR, Ordering::Release);
        true
    }

    /// What both kinds of reapers do. The head must be theirs alone.
    fn take(&self, at_most: usize) -> Vec<u32> {
        let mut head = self.head.with_mut(|head| unsafe { *head });
        let tail = self.tail.load(Ordering::Acquire);
        let mut events = Vec::new();
        while head != tail && events.len() < at_most {
            events.push(self.slots[head].with(|slot| unsafe { *slot }));
            head = (head + 1) % NR;
        }
        self.head.with_mut(|at| unsafe { *at = head });
        self.seen_head.store(head, Ordering::Release);
        events
    }

    /// io_getevents(2): none if the context is dead.
    fn kernel_reap(&self, at_most: usize) -> Vec<u32> {
        let alive = self.kernel.lock().unwrap();
        if *alive {
            self.take(at_most)
        } else {
            Vec::new()
        }
    }

    /// io_destroy(2).
    fn kernel_destroy(&self) {
        let mut alive = self.kernel.lock().unwrap();
        *alive = false;
        drop(alive);
        self.mapped.with_mut(|mapped| unsafe { *mapped = false });
    }
}

struct World<W> {
    slot: W,
    gate: W,
    unlisted: W,
    ring: Ring,
    /// Without the exclusion nobody holds the gate.
    has_gate: bool,
}

impl World<AtomicUsize> {
    fn new() -> Arc<Self> {
        let world = World::of(|_| AtomicUsize::new(0));
        assert!(world.give(RING, 9));
        Arc::new(world)
    }

    /// Its ring is not listed yet.
    fn without_ring() -> Arc<Self> {
        Arc::new(World::of(|_| AtomicUsize::new(0)))
    }
}

impl<W: Word + 'static> World<W> {
    /// `word` makes the words; its argument says whether it is the gate.
    fn of(word: impl Fn(bool) -> W) -> World<W> {
        World {
            slot: word(false),
            gate: word(true),
            unlisted: word(false),
            ring: Ring::new(),
            has_gate: true,
        }
    }

    fn give(&self, address: usize, number: usize) -> bool {
        self.entry()
            .give(address, thread_number(number), true, &self.unlisted)
    }

    fn give_again(&self, address: usize, number: usize) -> bool {
        self.entry()
            .give_again(address, thread_number(number), true, &self.unlisted)
    }

    fn entry(&self) -> Entry<'_, W> {
        Entry {
            slot: &self.slot,
            gate: &self.gate,
        }
    }

    /// io_getevents() of the library, by one event; falls back to the kernel.
    fn reap(&self, number: usize) -> Vec<u32> {
        let look = || AtRing {
            ring: &self.ring,
            polls: false,
            is_held: self.has_gate,
        };
        let (entry, thread) = (self.entry(), thread_number(number));
        match entry.reap_alone(RING, thread, look()) {
            Alone::Answered(events) => return events,
            Alone::Entered => {
                let events = self.ring.kernel_reap(1);
                self.entry().counted().leave();
                return events;
            }
            Alone::Not => {}
        }
        match entry.reap(RING, thread, true, false, look()) {
            Ok(Reaped::Answered(events)) => events,
            Ok(Reaped::Entered(counted)) => {
                let events = self.ring.kernel_reap(1);
                counted.leave();
                events
            }
            Err(Stop::Destroyed) => Vec::new(),
            Err(Stop::Interrupted) => panic!("no signal handler here"),
        }
    }

    /// The same with a handle that may not be listed.
    fn reap_what_is_found(&self, number: usize) -> Vec<u32> {
        if self.entry().belongs_to(RING) {
            return self.reap(number);
        }
        let counted = Counted::unlisted(&self.unlisted);
        let is_listed = self.entry().belongs_to(RING);
        let events = match is_listed {
            true => Vec::new(),
            false => self.ring.kernel_reap(1),
        };
        counted.leave();
        match is_listed {
            true => self.reap(number),
            false => events,
        }
    }

    /// A poll: with a thread in the kernel it may only look.
    fn poll(&self, number: usize) {
        let look = AtRing {
            ring: &self.ring,
            polls: true,
            is_held: self.has_gate,
        };
        let reaped = self
            .entry()
            .reap(RING, thread_number(number), false, true, look);
        if let Ok(Reaped::Entered(counted)) = reaped {
            counted.leave();
        }
    }

    /// A call that must go into the kernel.
    fn reap_in_kernel(&self, number: usize) -> Vec<u32> {
        match self.entry().enter(RING, thread_number(number)) {
            Ok(counted) => {
                let events = self.ring.kernel_reap(1);
                counted.leave();
                events
            }
            Err(_) => Vec::new(),
        }
    }

    fn destroy(&self, number: usize) {
        let destroyed = self.entry().destroy(
            RING,
            thread_number(number),
            || self.ring.kernel_destroy(),
            |()| false,
        );
        assert!(destroyed.is_ok());
    }
    /// Destroys the ring and makes a new one at the same address.
    fn renew(&self, number: usize) -> Vec<u32> {
        self.destroy(number);
        *self.ring.kernel.lock().unwrap() = true;
        self.ring
            .mapped
            .with_mut(|mapped| unsafe { *mapped = true });
        assert!(self.give_again(RING, number));
        Vec::new()
    }
}

#[derive(Clone, Copy)]
struct AtRing<'a> {
    ring: &'a Ring,
    polls: bool,
    is_held: bool,
}

impl Look<Vec<u32>> for AtRing<'_> {
    fn look(self, access: Access, may_move: impl FnOnce() -> bool) -> Option<Vec<u32>> {
        assert!(self.ring.mapped.with(|mapped| unsafe { *mapped }), "fault");
        if self.polls || access == Access::Look {
            // With an atomic head a look beside the kernel is no race; here it must not touch it.
            return None;
        }
        assert_eq!(may_move(), self.is_held);
        let events = self.ring.take(1);
        (!events.is_empty()).then_some(events)
    }
}

/// In the long form with one preemption more, as far as that goes in two minutes.
fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    const LONG: Duration = Duration::from_secs(120);
    let long = std::env::var_os("LIBAIO_RS_LONG").is_some();
    let preemptions = preemptions + long as usize;
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.max_duration = long.then_some(LONG);
    let begin = Instant::now();
    builder.check(body);
    if long {
        let all = begin.elapsed() < LONG;
        println!(
            "{} interleavings with {preemptions} preemptions in {} s",
            if all { "all" } else { "not all" },
            begin.elapsed().as_secs()
        );
    }
}

type Reaper<W> = fn(&World<W>, usize) -> Vec<u32>;

/// Starts a thread for each, completes events beside them, and returns what was taken, by whom.
fn run<W: Word + Send + Sync + 'static>(
    world: &Arc<World<W>>,
    events: u32,
    reapers: &[Reaper<W>],
) -> Vec<u32> {
    let threads: Vec<_> = reapers
        .iter()
        .enumerate()
        .map(|(number, &reaper)| {
            let world = Arc::clone(world);
            thread::spawn(move || reaper(&world, number + 1))
        })
        .collect();
    let mut completed = 0;
    for event in 1..=events {
        completed += world.ring.complete(event) as u32;
    }
    let mut taken: Vec<u32> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    taken.extend(world.ring.kernel_reap(NR));
    taken.sort();
    let once: Vec<u32> = (1..=completed).collect();
    if *world.ring.kernel.lock().unwrap() {
        assert_eq!(taken, once, "each completion once");
    } else {
        taken.dedup_by(|a, b| a == b && panic!("{a} twice"));
    }
    taken
}

#[test]
fn two_reapers_beside_a_kernel_reaper() {
    model(1, || {
        let world = World::new();
        run(
            &world,
            2,
            &[World::reap, World::reap, World::reap_in_kernel],
        );
    });
}

#[test]
fn the_last_slot_is_not_overwritten_before_it_is_read() {
    model(2, || {
        let world = World::new();
        // Three into a ring of two: the third waits until a slot has been read.
        run(&world, 3, &[World::reap, World::reap_in_kernel]);
    });
}

#[test]
fn a_reaper_that_polls_beside_the_kernel() {
    model(1, || {
        let world = World::new();
        run(
            &world,
            2,
            &[
                |world, number| {
                    world.poll(number);
                    world.reap(number)
                },
                World::reap_in_kernel,
                |world, number| {
                    world.poll(number);
                    Vec::new()
                },
            ],
        );
    });
}

#[test]
fn two_reapers_beside_a_destroyer() {
    model(1, || {
        let world = World::new();
        run(
            &world,
            1,
            &[World::reap, World::reap, |world, number| {
                world.destroy(number);
                Vec::new()
            }],
        );
    });
}

#[test]
fn everybody_at_once() {
    model(0, || {
        let world = World::new();
        run(
            &world,
            2,
            &[
                World::reap,
                World::reap,
                World::reap_in_kernel,
                |world, number| {
                    world.destroy(number);
                    Vec::new()
                },
            ],
        );
    });
}

/// A ring is destroyed, and its entry goes to another, while a call for it is on its way.
#[test]
fn an_entry_that_changes_its_ring() {
    model(1, || {
        let world = World::new();
        run(
            &world,
            1,
            &[World::reap, World::reap_in_kernel, |world, number| {
                world.destroy(number);
                let given = world.give(OTHER_RING, number);
                // Not while anybody is counted; and then calls for the first ring are turned away.
                assert!(!given || world.entry().is_live(OTHER_RING));
                Vec::new()
            }],
        );
    });
}

/// A new ring at the address of one that is being destroyed gets its entry, and the threads that
/// still are in the kernel for the old one are counted there.
#[test]
fn the_same_address_again() {
    model(2, || {
        let world = World::new();
        run(
            &world,
            1,
            &[World::reap_in_kernel, |world, number| {
                world.renew(number);
                world.reap(number)
            }],
        );
    });
}

/// The same, and a thread that reaps in user space has the address in its hands meanwhile.
#[test]
fn the_same_address_again_beside_a_reaper() {
    model(2, || {
        let world = World::new();
        run(&world, 1, &[World::reap, World::renew]);
    });
}

/// Handles are in the program's memory before they are listed, and other threads use them.
#[test]
fn a_handle_used_before_it_is_listed() {
    model(1, || {
        let world = World::without_ring();
        run(
            &world,
            1,
            &[
                World::reap_what_is_found,
                World::reap_what_is_found,
                |world, number| {
                    assert!(world.give(RING, number));
                    Vec::new()
                },
            ],
        );
    });
}

/// Two threads set up a ring each, and both find the entry free. `word` is what is in the gate then.
fn two_rings_for_one_entry(slot: usize, gate: usize) {
    model(3, move || {
        let words = Arc::new([slot, gate, 0].map(AtomicUsize::new));
        let threads: Vec<_> = [RING, OTHER_RING]
            .into_iter()
            .enumerate()
            .map(|(number, address)| {
                let words = Arc::clone(&words);
                thread::spawn(move || {
                    let entry = Entry {
                        slot: &words[0],
                        gate: &words[1],
                    };
                    let thread = thread_number(number + 1);
                    let given = entry.give(address, thread, true, &words[2]);
                    if given {
                        // Calls go to it at once, and must find it as it was given.
                        assert!(entry.belongs_to(address) && entry.is_ours());
                        let counted = entry.enter(address, thread);
                        assert_eq!(words[1].load(Ordering::Relaxed), OURS_AND_ONE);
                        counted.expect("nobody else is there").leave();
                        assert!(entry.is_live(address));
                    }
                    given
                })
            })
            .collect();
        let given = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(given.filter(|&given| given).count(), 1);
    });
}

/// The gate of an entry with one thread in the kernel.
const OURS_AND_ONE: usize = (1 << 10) + 1;

#[test]
fn two_rings_for_an_entry_never_used() {
    two_rings_for_one_entry(0, 0);
}

#[test]
fn two_rings_for_an_entry_whose_ring_is_gone() {
    two_rings_for_one_entry(0x5000 + 1, 1 << 10);
}

/// loom reports what it finds by a panic.
#[test]
#[should_panic = "Causality violation"]
fn without_the_gate_reapers_collide() {
    model(2, || {
        let world = without_gate();
        run(&world, 1, &[World::reap, World::reap_in_kernel]);
    });
}

#[test]
#[should_panic = "Causality violation"]
fn without_the_gate_a_ring_goes_away_under_a_reaper() {
    model(2, || {
        let world = without_gate();
        run(
            &world,
            0,
            &[World::reap, |world, number| {
                world.destroy(number);
                Vec::new()
            }],
        );
    });
}

/// Not a matter of interleavings: a signal handler runs inside of its own thread's reap.
#[test]
fn a_signal_handler_inside_of_a_reap() {
    struct Handler<'a>(&'a World<AtomicUsize>);
    impl Look<()> for Handler<'_> {
        fn look(self, _: Access, may_move: impl FnOnce() -> bool) -> Option<()> {
            let (entry, thread) = (self.0.entry(), thread_number(1));
            let look = AtRing {
                ring: &self.0.ring,
                polls: true,
                is_held: true,
            };
            let again = entry.reap_alone(RING, thread, look);
            assert!(matches!(again, Alone::Not));
            let again = entry.reap(RING, thread, true, true, look);
            assert!(matches!(again, Err(Stop::Interrupted)));
            assert!(matches!(entry.enter(RING, thread), Err(Stop::Interrupted)));
            let destroyed = entry.destroy(RING, thread, || panic!("under a reap"), |()| true);
            assert!(matches!(destroyed, Err(Stop::Interrupted)));
            assert!(!self.0.give(OTHER_RING, 1));
            assert!(entry.is_live(RING) && may_move());
            Some(())
        }
    }
    model(1, || {
        let world = World::new();
        let (entry, thread) = (world.entry(), thread_number(1));
        let reaped = entry.reap(RING, thread, true, true, Handler(&world));
        assert!(matches!(reaped, Ok(Reaped::Answered(()))));
        let reaped = entry.reap_alone(RING, thread, Handler(&world));
        assert!(matches!(reaped, Alone::Answered(())));
        assert!(world.ring.complete(1));
        assert_eq!(world.reap(2), [1]);
    });
}

/// Nor this: the handler forks, and the child goes on with the reap; its gates are wiped.
#[test]
fn a_child_forked_inside_of_a_reap() {
    struct Forked<'a>(&'a World<AtomicUsize>);
    impl Look<()> for Forked<'_> {
        fn look(self, _: Access, may_move: impl FnOnce() -> bool) -> Option<()> {
            self.0.gate.store(0, Ordering::Relaxed);
            assert!(!may_move());
            None
        }
    }
    model(1, || {
        let world = World::new();
        let thread = thread_number(1);
        match world.entry().reap(RING, thread, true, true, Forked(&world)) {
            Ok(Reaped::Entered(counted)) => counted.leave(),
            _ => panic!("the kernel must be asked"),
        }
        assert!(!world.entry().is_ours());
        assert_eq!(world.gate.load(Ordering::Relaxed), 0);

        let world = World::new();
        let (entry, forked) = (world.entry(), Forked(&world));
        assert!(matches!(
            entry.reap_alone(RING, thread, forked),
            Alone::Entered
        ));
        entry.counted().leave();
        assert_eq!(world.gate.load(Ordering::Relaxed), 0);
    });
}

/// A thread that never comes back from the kernel costs speed only, however many there are.
#[test]
fn threads_that_never_leave() {
    model(1, || {
        let world = World::new();
        for _ in 0..1100 {
            assert!(world.entry().enter(RING, thread_number(1)).is_ok());
        }
        assert!(world.ring.complete(1));
        assert_eq!(world.reap(2), [1], "by the kernel");
        let full = world.gate.load(Ordering::Relaxed);
        assert!(world.entry().is_ours());
        world.poll(2);
        assert_eq!(world.gate.load(Ordering::Relaxed), full);
        world.destroy(3);
        assert!(!world.give(OTHER_RING, 3));
        assert!(world.give_again(RING, 3));
    });
}
