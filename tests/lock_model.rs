//! All interleavings of the lock's protocol, explored by loom. It runs src/context/lock.rs and
//! entry.rs over loom's atomics, with a model of the kernel and of the ring.
//!
//! Data that only one thread may access at a time is in loom's cells: the head, the mapping, and
//! each event's slot, which a completion may overwrite once the head has passed it. A test fails if
//! two threads access a cell at once or without ordering.
//!
//! A restartable section is code that runs while its thread holds a mutex. `membarrier(2)` locks
//! and unlocks the mutex of every thread: afterwards each section has either committed or begins
//! later. (A section that the kernel aborts and restarts is one that begins later.)

// The library uses all of it.
#[allow(dead_code)]
#[path = "../src/context/entry.rs"]
mod entry;
#[allow(dead_code)]
#[path = "../src/context/lock.rs"]
mod lock;
#[path = "support/model.rs"]
mod model;
#[path = "support/no_lock.rs"]
mod no_lock;
#[path = "../src/sys/restartable/section.rs"]
mod restartable;
/// The path by which lock.rs names `Section`.
mod sys {
    pub(crate) use super::restartable;
}

use entry::Entry;
use lock::{Call, Lock, Owner, Reader, Refused, Word};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use model::model;
use no_lock::{Checked, NoLock};
use restartable::Section;

const RING: usize = 0x7000;
const OTHER_RING: usize = 0x9000;
/// Slots of the ring. One stays free, so a third completion waits for the first to be taken.
const NR: usize = 3;
/// The most threads that loom can run.
const THREADS: usize = 5;

loom::lazy_static! {
    /// A thread holds its own while it is in a section.
    static ref SECTIONS: [Mutex<()>; THREADS] = [(); THREADS].map(Mutex::new);
}

/// loom's word.
impl Word for AtomicUsize {
    /// The thread's number.
    type Area = usize;
    const PATIENCE: u32 = 0;
    fn load(&self, order: Ordering) -> usize {
        AtomicUsize::load(self, order)
    }
    fn store(&self, value: usize, order: Ordering) {
        AtomicUsize::store(self, value, order)
    }
    fn compare_exchange(
        &self,
        old: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        AtomicUsize::compare_exchange(self, old, new, success, failure)
    }
    fn store_if(&self, area: usize, owned: usize, value: usize) -> Section {
        let _section = SECTIONS[area].lock().unwrap();
        if self.load(Ordering::Relaxed) != owned {
            return Section::NotOwner;
        }
        // A plain store in the library, which overwrites the word as this thread left it. Here it
        // must be a swap: loom would not order a store after the exchange that it overwrites.
        self.swap(value, Ordering::Release);
        Section::Done
    }
    fn can_restart_others() -> bool {
        true
    }
    fn restart_others() -> bool {
        for section in SECTIONS.iter() {
            drop(section.lock().unwrap());
        }
        true
    }
    fn wait(_: u32) -> bool {
        thread::yield_now();
        true
    }
}

impl Checked for AtomicUsize {
    fn holds(&self, owned: usize) -> bool {
        self.load(Ordering::Relaxed) == owned
    }
}

/// A word whose kernel claims to restart sections, and does not.
struct NoBarrier(AtomicUsize);
/// A word whose kernel cannot restart sections, and says so.
struct Refusing(AtomicUsize);
/// A word whose kernel says that it can restart sections, but fails.
struct Failing(AtomicUsize);
/// A word whose `store_if` sections, which release the lock, are always aborted.
struct Aborting(AtomicUsize);

macro_rules! like_loom {
    ($name:ident, $patience:literal, $can:literal, $restart:expr, $wait:expr, $store_if:expr) => {
        impl Word for $name {
            type Area = usize;
            const PATIENCE: u32 = $patience;
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
                $store_if(&self.0, area, owned, value)
            }
            fn can_restart_others() -> bool {
                $can
            }
            fn restart_others() -> bool {
                $restart()
            }
            fn wait(turn: u32) -> bool {
                $wait(turn)
            }
        }
        impl Checked for $name {
            fn holds(&self, owned: usize) -> bool {
                self.0.holds(owned)
            }
        }
    };
}
like_loom!(
    NoBarrier,
    0,
    true,
    || true,
    AtomicUsize::wait,
    Word::store_if
);
like_loom!(
    Refusing,
    0,
    false,
    || false,
    |turn| turn < 2,
    Word::store_if
);
like_loom!(Failing, 0, true, || false, |turn| turn < 1, Word::store_if);
like_loom!(
    Aborting,
    0,
    true,
    AtomicUsize::restart_others,
    AtomicUsize::wait,
    |_, _, _, _| Section::Aborted
);

fn call_of(thread: usize) -> Call {
    Call::at(thread * 4096)
}

/// The part of `struct aio_ring` that matters, and the kernel's own state.
struct Ring {
    mapped: UnsafeCell<bool>,
    head: UnsafeCell<usize>,
    tail: AtomicUsize,
    slots: [UnsafeCell<u32>; NR],
    /// The kernel's lock, and whether the context is alive.
    kernel: Mutex<bool>,
    /// The head as the completer sees it. The kernel reads the head itself, with acquire. The model
    /// cannot, since the head is in a cell: a thread that has moved the head stores it here.
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

    /// Takes events, as the kernel does, and an owner's second section. No other thread may access
    /// the head meanwhile.
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

    /// An owner's two sections: one reads head and tail, one copies the events and stores the head.
    fn take_as_owner<W: Word<Area = usize> + Checked>(
        &self,
        owner: &Owner<'_, W>,
        at_most: usize,
    ) -> Result<Vec<u32>, Section> {
        let (word, owned, area) = owner.condition();
        let begin_section = || {
            let section = SECTIONS[area].lock().unwrap();
            if !word.holds(owned) {
                return Err(Section::NotOwner);
            }
            assert!(self.mapped.with(|mapped| unsafe { *mapped }), "page fault");
            Ok(section)
        };
        let section = begin_section()?;
        let head = self.head.with(|head| unsafe { *head });
        let tail = self.tail.load(Ordering::Acquire);
        drop(section);
        if head == tail {
            return Ok(Vec::new());
        }
        let section = begin_section()?;
        let events = self.take(at_most);
        drop(section);
        Ok(events)
    }

    /// io_getevents(2). No events if the context is destroyed.
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
    lock: W,
    unlisted: W,
    ring: Ring,
}

impl World<AtomicUsize> {
    fn new() -> Arc<Self> {
        Self::with_ring(|_| AtomicUsize::new(0))
    }

    /// With a ring that is not listed yet.
    fn without_ring() -> Arc<Self> {
        Arc::new(World::of(|_| AtomicUsize::new(0)))
    }
}

fn without_lock() -> Arc<World<NoLock<AtomicUsize>>> {
    World::with_ring(|is_lock| NoLock::new(AtomicUsize::new, is_lock))
}

impl<W: Word<Area = usize> + Checked + 'static> World<W> {
    /// `word` creates a word; its argument says whether it is the lock.
    fn of(word: impl Fn(bool) -> W) -> World<W> {
        World {
            slot: word(false),
            lock: word(true),
            unlisted: word(false),
            ring: Ring::new(),
        }
    }

    fn with_ring(word: impl Fn(bool) -> W) -> Arc<World<W>> {
        let world = World::of(word);
        assert!(world.bind(RING));
        Arc::new(world)
    }

    fn bind(&self, address: usize) -> bool {
        self.entry().bind(address, &self.unlisted)
    }

    fn rebind(&self, address: usize, number: usize) -> bool {
        self.entry()
            .rebind(address, call_of(number), &self.unlisted)
    }

    fn entry(&self) -> Entry<'_, W> {
        Entry {
            slot: &self.slot,
            lock: Lock(&self.lock),
        }
    }

    /// io_getevents() of the library for one event; falls back to the kernel.
    fn reap(&self, number: usize) -> Vec<u32> {
        let (entry, call) = (self.entry(), call_of(number));
        let mut owner = entry.lock.try_own(call, number);
        for _ in 0..2 {
            let Some(own) = owner else {
                match entry.lock.own(call, number) {
                    Ok(own) => owner = Some(own),
                    Err(_) => break,
                }
                continue;
            };
            let taken = match entry.is_live(RING) {
                true => self.ring.take_as_owner(&own, 1),
                false => Ok(Vec::new()),
            };
            match taken {
                Ok(events) if !events.is_empty() => {
                    own.release();
                    return events;
                }
                Ok(_) => {
                    if let Some(reader) = own.into_reader() {
                        return match entry.confirm(RING, reader) {
                            Some(reader) => self.reap_as(reader),
                            None => Vec::new(),
                        };
                    }
                }
                Err(_) => {}
            }
            owner = None;
        }
        self.reap_in_kernel(number)
    }

    /// A call that becomes the owner and never returns: a jump leaves it, or its thread ends.
    fn own_and_vanish(&self, number: usize) -> Vec<u32> {
        if let Ok(owner) = self.entry().lock.own(call_of(number), number) {
            drop(owner);
        }
        Vec::new()
    }

    /// The same after the call has taken an event.
    fn take_and_vanish(&self, number: usize) -> Vec<u32> {
        let (entry, call) = (self.entry(), call_of(number));
        if let Ok(owner) = entry.lock.own(call, number) {
            if entry.is_live(RING) {
                return self.ring.take_as_owner(&owner, 1).unwrap_or_default();
            }
        }
        Vec::new()
    }

    /// A call that replaces the owner's name in the lock by its own, and is left by a jump before
    /// the kernel has restarted the owner's section.
    fn take_over_and_vanish(&self, number: usize) -> Vec<u32> {
        let word = self.lock.load(Ordering::Relaxed);
        let name_bits = usize::MAX << 11;
        if word & name_bits != 0 {
            // As `Lock::take_over` does. It is the name of this thread's next call, too.
            let name = OURS | (number * 4096) >> 3 << 11;
            let _ = self
                .lock
                .compare_exchange(word, name, Ordering::Acquire, Ordering::Relaxed);
        }
        Vec::new()
    }

    fn reap_as(&self, reader: Reader<'_, W>) -> Vec<u32> {
        let events = self.ring.kernel_reap(1);
        reader.leave();
        events
    }

    /// A reap with a handle that may not be listed.
    fn reap_listed_or_not(&self, number: usize) -> Vec<u32> {
        let is_listed = || self.entry().belongs_to(RING) && self.entry().lock.is_ours();
        if is_listed() {
            return self.reap(number);
        }
        let counted = Reader::unlisted(&self.unlisted);
        let listed = is_listed();
        let events = match listed {
            true => Vec::new(),
            false => self.ring.kernel_reap(1),
        };
        counted.leave();
        match listed {
            true => self.reap(number),
            false => events,
        }
    }

    /// A call that must enter the kernel.
    fn reap_in_kernel(&self, number: usize) -> Vec<u32> {
        match self.entry().enter(RING, call_of(number)) {
            Ok(Some(reader)) => self.reap_as(reader),
            _ => Vec::new(),
        }
    }

    /// io_destroy() of the library.
    fn destroy(&self, number: usize) {
        let entry = self.entry();
        entry.retire(RING);
        let entered = entry.enter(RING, call_of(number));
        self.ring.kernel_destroy();
        if let Ok(Some(reader)) = entered {
            reader.leave();
        }
    }

    fn destroys(&self, number: usize) -> Vec<u32> {
        self.destroy(number);
        Vec::new()
    }

    /// Destroys the ring and makes a new one at the same address.
    fn renew(&self, number: usize) -> Vec<u32> {
        self.destroy(number);
        *self.ring.kernel.lock().unwrap() = true;
        self.ring
            .mapped
            .with_mut(|mapped| unsafe { *mapped = true });
        assert!(self.rebind(RING, number));
        Vec::new()
    }
}

type Reaper<W> = fn(&World<W>, usize) -> Vec<u32>;

/// Runs each reaper in a thread of its own, completes events meanwhile, and returns those that were
/// taken. Panics if one was taken twice or, from a ring that is still alive, not at all.
fn run<W: Word<Area = usize> + Checked + Send + Sync + 'static>(
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
fn two_reapers_beside_a_destroyer() {
    model(1, || {
        let world = World::new();
        run(&world, 1, &[World::reap, World::reap, World::destroys]);
    });
}

#[test]
fn all_kinds_of_calls_at_once() {
    model(0, || {
        let world = World::new();
        run(
            &world,
            2,
            &[
                World::reap,
                World::reap,
                World::reap_in_kernel,
                World::destroys,
            ],
        );
    });
}

/// A poll reads the ring without the lock. It must find it empty only after the take.
#[test]
fn a_poll_beside_a_take() {
    model(3, || {
        let world = World::new();
        assert!(world.ring.complete(1));
        let reaper = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.reap(1))
        };
        let head = world.ring.seen_head.load(Ordering::Acquire);
        let empty = head == world.ring.tail.load(Ordering::Acquire);
        let taken = reaper.join().unwrap();
        assert!(!empty || taken == [1]);
        assert!(world.entry().is_live(RING));
    });
}

/// A ring is destroyed, and its entry bound to another ring, while a call for it is under way.
#[test]
fn an_entry_that_changes_its_ring() {
    model(1, || {
        let world = World::new();
        run(
            &world,
            1,
            &[World::reap, World::reap_in_kernel, |world, number| {
                world.destroy(number);
                let bound = world.bind(OTHER_RING);
                // Not while a reader is counted. Once bound, calls for the first ring are refused.
                assert!(!bound || world.entry().is_live(OTHER_RING));
                Vec::new()
            }],
        );
    });
}

/// An entry is bound to another ring, and the first ring's address comes back in another entry,
/// which does not count the threads that still use the old handle: none of them may be in the
/// kernel by then.
#[test]
fn no_reader_is_left_for_a_ring_that_lost_its_entry() {
    model(3, || {
        let world = World::new();
        let inside = Arc::new(AtomicUsize::new(0));
        let reaper = {
            let (world, inside) = (Arc::clone(&world), Arc::clone(&inside));
            thread::spawn(move || {
                if let Ok(Some(reader)) = world.entry().enter(RING, call_of(1)) {
                    inside.fetch_add(1, Ordering::AcqRel);
                    inside.fetch_sub(1, Ordering::AcqRel);
                    reader.leave();
                }
            })
        };
        world.destroy(2);
        if world.bind(OTHER_RING) {
            // A reader that is counted from now on is refused before it enters the kernel.
            assert_eq!(inside.fetch_add(0, Ordering::AcqRel), 0);
        }
        reaper.join().unwrap();
    });
}

/// A new ring at the address of one that is being destroyed gets the same entry, which still counts
/// the threads that are in the kernel for the old ring.
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

/// The same while a thread reaps in user space with that address.
#[test]
fn the_same_address_again_beside_a_reaper() {
    model(2, || {
        let world = World::new();
        run(&world, 1, &[World::reap, World::renew]);
    });
}

/// The kernel stores a handle before it is listed, and other threads may use it at once.
#[test]
fn a_handle_used_before_it_is_listed() {
    fn bind(world: &World<AtomicUsize>, _: usize) -> Vec<u32> {
        assert!(world.bind(RING));
        Vec::new()
    }
    let reap = World::reap_listed_or_not;
    model(2, move || _ = run(&World::without_ring(), 1, &[reap, bind]));
    model(0, move || {
        _ = run(&World::without_ring(), 1, &[reap, reap, bind])
    });
}

/// The same in a forked child: its slots are the parent's, its locks are zero, and its own ring
/// gets the address of a ring of its parent.
#[test]
fn a_parents_handle_used_before_it_is_the_childs() {
    fn rebind(world: &World<AtomicUsize>, number: usize) -> Vec<u32> {
        assert!(world.rebind(RING, number));
        Vec::new()
    }
    fn of_the_parent() -> Arc<World<AtomicUsize>> {
        let world = World::without_ring();
        world.slot.store(RING, Ordering::Relaxed);
        world
    }
    let reap = World::reap_listed_or_not;
    model(2, move || _ = run(&of_the_parent(), 1, &[reap, rebind]));
    model(0, move || {
        _ = run(&of_the_parent(), 1, &[reap, reap, rebind])
    });
}

/// Two threads set up a ring each, and both find the entry free. `slot` and `word` are the first
/// values of the entry's slot and lock.
fn two_rings_for_one_entry(slot: usize, word: usize) {
    model(3, move || {
        let words = Arc::new([slot, word, 0].map(AtomicUsize::new));
        let threads: Vec<_> = [RING, OTHER_RING]
            .into_iter()
            .enumerate()
            .map(|(number, address)| {
                let words = Arc::clone(&words);
                thread::spawn(move || {
                    let entry = Entry {
                        slot: &words[0],
                        lock: Lock(&words[1]),
                    };
                    let bound = entry.bind(address, &words[2]);
                    if bound {
                        // Calls may use it at once, and must find it as it was bound.
                        assert!(entry.belongs_to(address) && entry.lock.is_ours());
                        let reader = entry.enter(address, call_of(number + 1));
                        let reader = reader.expect("no owner").expect("its own ring");
                        reader.leave();
                        assert!(entry.is_live(address));
                    }
                    bound
                })
            })
            .collect();
        let bound = threads.into_iter().map(|thread| thread.join().unwrap());
        // Each may see the other's ring and give up: then neither is listed.
        assert!(bound.filter(|&bound| bound).count() <= 1);
    });
}

const OURS: usize = 1 << 10;

#[test]
fn two_rings_for_an_entry_never_used() {
    two_rings_for_one_entry(0, 0);
}

#[test]
fn two_rings_for_an_entry_whose_ring_is_retired() {
    two_rings_for_one_entry(0x5000 + 1, OURS);
}

/// An owner whose thread has ended, or that a jump has left, does not block other calls.
#[test]
fn an_owner_that_never_returns() {
    let others: [Reaper<AtomicUsize>; 3] = [World::reap, World::reap_in_kernel, World::destroys];
    for other in others {
        for vanishes in [World::own_and_vanish, World::take_and_vanish] {
            model(1, move || {
                let world = World::new();
                run(&world, 1, &[vanishes, other]);
            });
        }
    }
}

/// The next call at the same stack address finds its own name in the lock.
#[test]
fn a_call_at_the_stack_address_of_one_that_was_left() {
    model(1, || {
        let world = World::new();
        run(
            &world,
            2,
            &[
                |world, number| {
                    world.own_and_vanish(number);
                    let mut events = world.reap(number);
                    events.extend(world.take_and_vanish(number));
                    events.extend(world.reap_in_kernel(number));
                    events
                },
                World::reap,
            ],
        );
    });
}

/// A call that has taken the lock from an owner may lose it to a third call.
#[test]
fn a_lock_that_is_taken_over_twice() {
    model(1, || {
        let world = World::new();
        run(
            &world,
            2,
            &[World::reap, World::take_and_vanish, World::own_and_vanish],
        );
    });
}

/// A call that is left while it takes the lock over, before the owner's section was restarted, does
/// not block other calls.
#[test]
fn a_call_that_never_returns_while_it_takes_the_lock_over() {
    fn take_over_and_reap(world: &World<AtomicUsize>, number: usize) -> Vec<u32> {
        world.take_over_and_vanish(number);
        world.reap(number)
    }
    fn take_over_and_enter(world: &World<AtomicUsize>, number: usize) -> Vec<u32> {
        world.take_over_and_vanish(number);
        world.reap_in_kernel(number)
    }
    for then in [
        take_over_and_reap as Reaper<AtomicUsize>,
        take_over_and_enter,
    ] {
        model(2, move || _ = run(&World::new(), 2, &[World::reap, then]));
    }
}

/// The kernel says that it can restart sections, but fails: a call that has put its name into the
/// lock is refused, and so is its next attempt.
#[test]
fn a_kernel_that_fails_to_restart_sections() {
    model(2, || {
        let world = World::with_ring(|_| Failing(AtomicUsize::new(0)));
        run(&world, 2, &[World::reap, World::reap]);
    });
    model(1, || {
        let world = World::with_ring(|_| Failing(AtomicUsize::new(0)));
        drop(world.entry().lock.own(call_of(1), 1));
        for _ in 0..2 {
            let refused = world.entry().lock.own(call_of(2), 2);
            assert_eq!(refused.err(), Some(Refused::Owner));
            let refused = world.entry().lock.enter(call_of(2));
            assert!(matches!(refused, Err(Refused::Owner)));
        }
    });
}

/// The kernel no longer restarts sections: calls still return, and no call takes a lock over.
#[test]
fn a_kernel_that_refuses_to_restart_sections() {
    model(1, || {
        let world = World::with_ring(|_| Refusing(AtomicUsize::new(0)));
        run(
            &world,
            2,
            &[World::reap, World::take_and_vanish, World::reap_in_kernel],
        );
        if let Ok(owner) = world.entry().lock.own(call_of(7), 0) {
            drop(owner);
            let refused = world.entry().lock.enter(call_of(8));
            assert!(matches!(refused, Err(Refused::Owner)));
            let refused = world.entry().lock.own(call_of(8), 0);
            assert!(matches!(refused, Err(Refused::Owner)));
        }
    });
}

/// The section that releases the lock is aborted: the lock is released all the same.
#[test]
fn releases_that_are_aborted() {
    model(1, || {
        let world = World::with_ring(|_| Aborting(AtomicUsize::new(0)));
        run(&world, 2, &[World::reap, World::reap_in_kernel]);
        assert_eq!(world.lock.load(Ordering::Relaxed), OURS);
    });
}

/// loom reports a fault by a panic.
#[test]
#[should_panic = "Causality violation"]
fn without_the_lock_reapers_collide() {
    model(2, || {
        let world = without_lock();
        run(&world, 1, &[World::reap, World::reap_in_kernel]);
    });
}

#[test]
#[should_panic = "Causality violation"]
fn without_the_lock_a_ring_is_unmapped_under_a_reaper() {
    model(2, || {
        let world = without_lock();
        run(&world, 0, &[World::reap, World::destroys]);
    });
}

/// The lock is taken from a thread in the middle of a section, and the section is not restarted.
#[test]
#[should_panic = "Causality violation"]
fn without_the_barrier_reapers_collide() {
    model(3, || {
        let world = World::with_ring(|_| NoBarrier(AtomicUsize::new(0)));
        run(&world, 2, &[World::reap, World::reap]);
    });
}

#[test]
#[should_panic = "Causality violation"]
fn without_the_barrier_a_ring_is_unmapped_under_a_reaper() {
    model(3, || {
        let world = World::with_ring(|_| NoBarrier(AtomicUsize::new(0)));
        run(&world, 1, &[World::reap, World::destroys]);
    });
}

/// No interleaving of threads: a signal handler runs between two sections of its own thread and
/// takes the lock, which the interrupted call must notice.
#[test]
fn a_signal_handler_in_the_middle_of_a_reap() {
    let handlers: [Reaper<AtomicUsize>; 4] = [
        World::reap,
        World::take_and_vanish,
        World::reap_in_kernel,
        World::destroys,
    ];
    for handler in handlers {
        model(1, move || {
            let world = World::new();
            assert!(world.ring.complete(1) && world.ring.complete(2));
            let owner = world.entry().lock.try_own(call_of(1), 1).expect("free");
            let taken = handler(&world, 2);
            let outer = world.ring.take_as_owner(&owner, 1);
            assert_eq!(outer, Err(Section::NotOwner));
            assert!(owner.into_reader().is_none());
            if *world.ring.kernel.lock().unwrap() {
                assert_eq!(taken, [1]);
                assert_eq!(world.reap(1), [2]);
            }
        });
    }
}

/// Likewise: the handler forks, and the child continues the reap. The child's locks are zero.
#[test]
fn a_child_forked_in_the_middle_of_a_reap() {
    model(1, || {
        let world = World::new();
        assert!(world.ring.complete(1));
        let owner = world.entry().lock.try_own(call_of(1), 1).expect("free");
        world.lock.store(0, Ordering::Relaxed);
        let taken = world.ring.take_as_owner(&owner, 1);
        assert_eq!(taken, Err(Section::NotOwner));
        assert!(owner.into_reader().is_none());
        assert!(!world.entry().lock.is_ours());
        let again = world.entry().lock.own(call_of(1), 1);
        assert_eq!(again.err(), Some(Refused::NotOurs));

        let world = World::new();
        let reader = world.entry().enter(RING, call_of(1)).unwrap().unwrap();
        world.lock.store(0, Ordering::Relaxed);
        reader.leave();
        assert_eq!(world.lock.load(Ordering::Relaxed), 0);
    });
}

/// Threads that never return from the kernel cost only speed, however many they are.
#[test]
fn threads_that_never_leave() {
    model(1, || {
        let world = World::new();
        for _ in 0..1100 {
            world
                .entry()
                .enter(RING, call_of(1))
                .unwrap()
                .unwrap()
                .leak();
        }
        assert!(world.ring.complete(1));
        assert_eq!(world.reap(2), [1], "by the kernel");
        assert!(world.entry().lock.is_ours());
        let full = world.lock.load(Ordering::Relaxed);
        let owner = world.entry().lock.own(call_of(2), 2);
        assert_eq!(owner.err(), Some(Refused::Readers));
        assert_eq!(world.lock.load(Ordering::Relaxed), full);
        world.destroy(3);
        assert!(!world.bind(OTHER_RING));
        assert!(world.rebind(RING, 3));
    });
}
