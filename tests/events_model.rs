//! loom tries all interleavings of threads that use the events of a context which the library
//! serves: src/engine/event_queue.rs itself over loom's atomics, with a model of futex(2) and the
//! ring.
//!
//! The ring's slots are loom's cells, which fail if two threads access one at the same time or
//! without ordering. A thread that sleeps and is never woken is a deadlock, which loom reports.

#[path = "../src/engine/event_queue.rs"]
mod event_queue;
#[path = "support/model.rs"]
mod model;

use event_queue::{EventQueue, Word};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use model::model;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::rc::Rc;

/// What is broken on purpose.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The lock does not exclude.
    NoLock,
    /// A thread that takes the lock does not see what the previous owner wrote.
    NoAcquire,
    /// A thread that releases the lock does not publish what it wrote.
    NoRelease,
    /// A thread that releases the lock does not wake the next one.
    NoWakeForLock,
    /// Waiters are not woken.
    NoWake,
    /// Only one waiter is woken.
    OneWoken,
    /// A thread goes to sleep although the word has changed.
    BlindSleep,
    /// A waiter does not look at the ring again after it has announced that it waits.
    NoSecondLook,
    /// The context is not marked as being destroyed.
    NoMark,
    /// The number of outstanding requests is not limited.
    NoLimit,
    /// A thread that needs room reads the ring before it has the lock.
    EarlyLook,
    /// A thread that takes without the lock moves the head before it has read the slots.
    EarlyHead,
}

/// `CLOSED` in event_queue.rs.
const MARK: u32 = u32::MAX - 1;

/// A word and the threads that sleep on it.
struct Futex {
    word: AtomicU32,
    sleepers: Mutex<()>,
    woken: Condvar,
    fault: Fault,
}

impl Futex {
    /// `fault` if it concerns this word.
    fn new(fault: Fault, about: &[Fault]) -> Futex {
        Futex {
            word: AtomicU32::new(0),
            sleepers: Mutex::new(()),
            woken: Condvar::new(),
            fault: if about.contains(&fault) {
                fault
            } else {
                Fault::None
            },
        }
    }

    fn weakened(&self, order: Ordering) -> Ordering {
        match (self.fault, order) {
            (Fault::NoAcquire, Ordering::Acquire) => Ordering::Relaxed,
            (Fault::NoRelease, Ordering::Release) => Ordering::Relaxed,
            _ => order,
        }
    }
}

impl Word for Futex {
    fn load(&self, order: Ordering) -> u32 {
        self.word.load(order)
    }
    fn store(&self, value: u32, order: Ordering) {
        if self.fault == Fault::NoMark && value == MARK {
            return;
        }
        self.word.store(value, order)
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.word.swap(value, self.weakened(order))
    }
    fn add(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_add(value, order)
    }
    fn add_below(&self, limit: u32) -> bool {
        let limit = match self.fault {
            Fault::NoLimit => u32::MAX,
            _ => limit,
        };
        let more = |value| (value < limit).then_some(value + 1);
        let order = Ordering::Relaxed;
        self.word.fetch_update(order, order, more).is_ok()
    }
    fn compare_exchange(
        &self,
        old: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        if self.fault == Fault::NoLock {
            return Ok(old);
        }
        let success = self.weakened(success);
        self.word.compare_exchange(old, new, success, failure)
    }
    /// As in the kernel, the word is compared under the lock that wakers take.
    fn sleep(&self, value: u32) {
        let sleepers = self.sleepers.lock().unwrap();
        if self.fault == Fault::BlindSleep || self.word.load(Ordering::Relaxed) == value {
            drop(self.woken.wait(sleepers).unwrap());
        }
    }
    fn wake_one(&self) {
        let _sleepers = self.sleepers.lock().unwrap();
        if self.fault != Fault::NoWakeForLock {
            self.woken.notify_one();
        }
    }
    fn wake_all(&self) {
        let _sleepers = self.sleepers.lock().unwrap();
        match self.fault {
            Fault::NoWake => {}
            Fault::OneWoken => self.woken.notify_one(),
            _ => self.woken.notify_all(),
        }
    }
}

/// A ring, used as `LibraryRing` in src/aio_ring.rs uses it, over loom's words. One slot always
/// stays free.
struct Ring {
    head: AtomicU32,
    tail: AtomicU32,
    slots: Vec<UnsafeCell<u32>>,
}

impl Ring {
    fn unread(&self) -> u32 {
        let nr = self.slots.len() as u32;
        let head = self.head.load(Ordering::Acquire);
        (self.tail.load(Ordering::Acquire) + nr - head) % nr
    }

    fn append(&self, event: u32) -> u32 {
        let tail = self.tail.load(Ordering::Relaxed);
        // SAFETY: loom checks that no other thread uses this slot.
        self.slots[tail as usize].with_mut(|slot| unsafe { *slot = event });
        let after = (tail + 1) % self.slots.len() as u32;
        assert_ne!(
            after,
            self.head.load(Ordering::Relaxed),
            "more than there is room for"
        );
        self.tail.store(after, Ordering::Release);
        self.unread()
    }

    fn take(&self, most: u32, fault: Fault) -> Vec<u32> {
        let nr = self.slots.len() as u32;
        let head = self.head.load(Ordering::Acquire);
        let count = self.unread().min(most);
        let move_head = || {
            self.head.store((head + count) % nr, Ordering::Release);
        };
        if fault == Fault::EarlyHead {
            move_head();
        }
        let read = |i| {
            // SAFETY: loom checks that no other thread writes this slot.
            self.slots[((head + i) % nr) as usize].with(|slot| unsafe { *slot })
        };
        let events = (0..count).map(read).collect();
        if fault != Fault::EarlyHead {
            move_head();
        }
        events
    }
}

struct Context {
    fault: Fault,
    lock: Futex,
    outstanding: Futex,
    added: Futex,
    needed: Futex,
    changed: Futex,
    ring: Ring,
    is_closed: AtomicBool,
}

/// A context that is not dropped after a deadlock. loom has no current thread then, so dropping
/// loom's objects would panic again.
struct Left(ManuallyDrop<Context>);

impl Drop for Left {
    fn drop(&mut self) {
        if !thread::panicking() {
            // SAFETY: this is the last use.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

impl Deref for Left {
    type Target = Context;
    fn deref(&self) -> &Context {
        &self.0
    }
}

impl Context {
    /// Creates a context for `capacity` events.
    fn with_room(capacity: u32, fault: Fault) -> Rc<Left> {
        use Fault::*;
        let context = Context {
            fault,
            lock: Futex::new(fault, &[NoLock, NoAcquire, NoRelease, NoWakeForLock]),
            outstanding: Futex::new(fault, &[NoLimit]),
            added: Futex::new(fault, &[]),
            needed: Futex::new(fault, &[NoMark]),
            changed: Futex::new(fault, &[NoWake, OneWoken, BlindSleep]),
            ring: Ring {
                head: AtomicU32::new(0),
                tail: AtomicU32::new(0),
                slots: (0..=capacity).map(|_| UnsafeCell::new(0)).collect(),
            },
            is_closed: AtomicBool::new(false),
        };
        context.queue().start();
        Rc::new(Left(ManuallyDrop::new(context)))
    }

    fn queue(&self) -> EventQueue<'_, Futex> {
        EventQueue {
            lock: &self.lock,
            outstanding: &self.outstanding,
            added: &self.added,
            needed: &self.needed,
            changed: &self.changed,
        }
    }

    /// Submits a request; false if there is no room.
    fn submit(&self, event: u32) -> bool {
        let capacity = self.ring.slots.len() as u32 - 1;
        let has_room = match self.fault {
            Fault::EarlyLook => {
                let unread = self.ring.unread();
                self.queue().reserve(capacity, || unread)
            }
            _ => self.queue().reserve(capacity, || self.ring.unread()),
        };
        if has_room {
            self.queue().append(|| self.ring.append(event));
        }
        has_room
    }

    fn take(&self, most: u32) -> Vec<u32> {
        self.queue().take(|| self.ring.take(most, Fault::None))
    }

    /// Takes without the lock, as the owner of the ring's entry does. Only one thread may do this.
    fn take_as_owner(&self, most: u32) -> Vec<u32> {
        self.ring.take(most, self.fault)
    }

    /// Sleeps until the ring may hold `needed` events.
    fn sleep(&self, needed: u32) {
        let value = match self.fault {
            Fault::NoSecondLook => self.queue().prepare_to_wait(needed, || 0),
            _ => self.queue().prepare_to_wait(needed, || self.ring.unread()),
        };
        if let Some(value) = value {
            self.changed.sleep(value);
        }
    }

    /// Waits for `needed` events and takes them; fewer if the context is destroyed.
    fn wait(&self, needed: u32) -> Vec<u32> {
        let mut taken = self.take(needed);
        while (taken.len() as u32) < needed && !self.is_closed.load(Ordering::Acquire) {
            self.sleep(needed - taken.len() as u32);
            taken.extend(self.take(needed - taken.len() as u32));
        }
        taken
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.queue().close();
    }
}

fn spawn<T: 'static>(
    context: &Rc<Left>,
    body: impl FnOnce(&Context) -> T + 'static,
) -> JoinHandle<T> {
    let context = Rc::clone(context);
    thread::spawn(move || body(&context))
}

/// Asserts that each of the events 1 to `events` was taken once.
#[track_caller]
fn assert_each_once(events: u32, taken: impl IntoIterator<Item = Vec<u32>>) {
    let mut taken: Vec<u32> = taken.into_iter().flatten().collect();
    taken.sort();
    assert_eq!(taken, (1..=events).collect::<Vec<_>>(), "each event once");
}

/// Two threads submit, a third waits for both events.
fn a_waiter_and_two_submitters(fault: Fault) {
    model(3, move || {
        let context = Context::with_room(2, fault);
        let submitters =
            [1, 2].map(|event| spawn(&context, move |context| assert!(context.submit(event))));
        let taken = context.wait(2);
        for submitter in submitters {
            submitter.join().unwrap();
        }
        assert_each_once(2, [taken]);
    });
}

#[test]
fn a_waiter_is_woken() {
    a_waiter_and_two_submitters(Fault::None);
}

#[test]
#[should_panic = "Causality violation"]
fn without_the_lock_submitters_collide() {
    a_waiter_and_two_submitters(Fault::NoLock);
}

#[test]
#[should_panic = "Causality violation"]
fn without_acquire_submitters_collide() {
    a_waiter_and_two_submitters(Fault::NoAcquire);
}

#[test]
#[should_panic = "Causality violation"]
fn without_release_submitters_collide() {
    a_waiter_and_two_submitters(Fault::NoRelease);
}

#[test]
#[should_panic = "deadlock"]
fn without_a_wake_up_for_the_lock_a_thread_sleeps_on() {
    a_waiter_and_two_submitters(Fault::NoWakeForLock);
}

#[test]
#[should_panic = "deadlock"]
fn without_a_wake_up_after_an_event_a_waiter_sleeps_on() {
    a_waiter_and_two_submitters(Fault::NoWake);
}

#[test]
#[should_panic = "deadlock"]
fn without_a_second_look_a_waiter_sleeps_on() {
    a_waiter_and_two_submitters(Fault::NoSecondLook);
}

#[test]
#[should_panic = "deadlock"]
fn without_the_comparison_before_the_sleep_a_waiter_sleeps_on() {
    a_waiter_and_two_submitters(Fault::BlindSleep);
}

/// Two waiters, each of which needs and takes a given number of events.
fn two_waiters(needed: [u32; 2], fault: Fault) {
    model(3, move || {
        let all = needed[0] + needed[1];
        let context = Context::with_room(all, fault);
        let waiters = needed.map(|needed| spawn(&context, move |context| context.wait(needed)));
        for event in 1..=all {
            assert!(context.submit(event));
        }
        assert_each_once(all, waiters.map(|waiter| waiter.join().unwrap()));
    });
}

#[test]
fn two_waiters_for_one_event_each() {
    two_waiters([1, 1], Fault::None);
}

/// The waiter that needs fewer events is woken first, and the other one later.
#[test]
fn two_waiters_that_need_different_numbers() {
    two_waiters([1, 2], Fault::None);
}

#[test]
#[should_panic = "deadlock"]
fn with_a_wake_up_for_one_the_other_waiter_sleeps_on() {
    two_waiters([1, 1], Fault::OneWoken);
}

/// The waiter that needs fewer events is woken although one that needs more began to wait later.
#[test]
fn a_waiter_beside_a_more_demanding_one() {
    model(3, || {
        let context = Context::with_room(2, Fault::None);
        let waiter = spawn(&context, |context| context.wait(1));
        let other = spawn(&context, |context| context.sleep(2));
        assert!(context.submit(1));
        assert_each_once(1, [waiter.join().unwrap()]);
        context.close();
        other.join().unwrap();
    });
}

/// The waiter that needs fewer events has left by a jump. The other one must still be woken.
#[test]
fn a_waiter_beside_one_that_left() {
    model(3, || {
        let context = Context::with_room(2, Fault::None);
        let left = spawn(&context, |context| {
            let _ = context.queue().prepare_to_wait(1, || context.ring.unread());
        });
        let waiter = spawn(&context, |context| context.wait(2));
        assert!(context.submit(1) && context.submit(2));
        left.join().unwrap();
        assert_each_once(2, [waiter.join().unwrap()]);
    });
}

/// One waiter begins before the context is closed, and announces only afterwards that it waits.
/// Another one waits meanwhile, and a number of events arrive.
fn a_closed_context(events: u32, fault: Fault) {
    model(3, move || {
        let context = Context::with_room(2, fault);
        let waiters = [
            spawn(&context, |context| context.wait(1)),
            spawn(&context, |context| {
                context.sleep(2);
                context.take(2)
            }),
        ];
        for event in 1..=events {
            assert!(context.submit(event));
        }
        context.close();
        let taken = waiters.map(|waiter| waiter.join().unwrap());
        let rest = context.take(2);
        assert_each_once(events, taken.into_iter().chain([rest]));
    });
}

#[test]
fn a_closed_context_lets_no_thread_wait() {
    a_closed_context(0, Fault::None);
    a_closed_context(1, Fault::None);
}

#[test]
#[should_panic = "deadlock"]
fn without_the_mark_a_late_waiter_sleeps_on() {
    a_closed_context(0, Fault::NoMark);
}

#[test]
#[should_panic = "deadlock"]
fn without_a_wake_up_when_it_is_closed_a_waiter_sleeps_on() {
    a_closed_context(0, Fault::NoWake);
}

#[test]
#[should_panic = "deadlock"]
fn with_one_woken_when_it_is_closed_the_other_waiter_sleeps_on() {
    a_closed_context(0, Fault::OneWoken);
}

/// With room for one, one of two concurrent requests is refused. The event frees the room.
fn as_many_requests_as_room(fault: Fault) {
    model(3, move || {
        let context = Context::with_room(1, fault);
        let other = spawn(&context, |context| context.submit(1));
        let mine = context.submit(1);
        let others = other.join().unwrap();
        assert_eq!(
            mine as u32 + others as u32,
            1,
            "as many as there is room for"
        );
        assert_eq!(context.take(2), [1]);
        assert!(context.submit(2), "the room came back");
        assert!(!context.submit(3));
        assert_eq!(context.take(2), [2]);
    });
}

#[test]
fn no_more_requests_than_room() {
    as_many_requests_as_room(Fault::None);
}

#[test]
#[should_panic = "more than there is room for"]
fn without_the_limit_there_are_more() {
    as_many_requests_as_room(Fault::NoLimit);
}

/// A request that is refused after it has reserved room frees it for another.
#[test]
fn room_that_is_given_back() {
    model(3, || {
        let context = Context::with_room(1, Fault::None);
        let refused = spawn(&context, |context| {
            let reserved = context.queue().reserve(1, || context.ring.unread());
            if reserved {
                context.queue().unreserve();
            }
        });
        let accepted = context.submit(1);
        refused.join().unwrap();
        assert!(accepted || context.submit(1), "the room came back");
        assert_eq!(context.take(2), [1]);
    });
}

/// The ring wraps and becomes full again while another thread looks for room.
fn a_ring_that_goes_round(fault: Fault) {
    model(3, move || {
        let context = Context::with_room(1, fault);
        assert!(context.submit(1));
        let other = spawn(&context, |context| context.submit(2));
        let mut taken = context.take(1);
        let mine = context.submit(3);
        taken.extend(context.take(1));
        let again = context.submit(4);
        let others = other.join().unwrap();
        taken.extend(context.take(1));
        let accepted = [true, others, mine, again];
        let all = (1..=4).zip(accepted).filter(|(_, accepted)| *accepted);
        let all: Vec<u32> = all.map(|(event, _)| event).collect();
        taken.sort();
        assert_eq!(taken, all, "each event once");
    });
}

#[test]
fn the_last_slot_is_not_overwritten() {
    a_ring_that_goes_round(Fault::None);
}

#[test]
#[should_panic = "more than there is room for"]
fn with_a_look_before_the_lock_the_last_slot_is_overwritten() {
    a_ring_that_goes_round(Fault::EarlyLook);
}

/// The owner of the ring's entry takes events without the lock, while another thread fills the
/// slots that it frees.
fn an_owner_beside_submitters(fault: Fault) {
    model(3, move || {
        let context = Context::with_room(2, fault);
        assert!(context.submit(1) && context.submit(2));
        let submitters =
            [3, 4].map(|event| spawn(&context, move |context| (event, context.submit(event))));
        let mut taken = context.take_as_owner(2);
        let mut submitted = vec![1, 2];
        for submitter in submitters {
            let (event, accepted) = submitter.join().unwrap();
            submitted.extend(accepted.then_some(event));
        }
        taken.extend(context.take_as_owner(2));
        taken.sort();
        assert_eq!(taken, submitted, "each event once");
    });
}

#[test]
fn a_slot_is_not_overwritten_before_its_owner_has_read_it() {
    an_owner_beside_submitters(Fault::None);
}

#[test]
#[should_panic = "Causality violation"]
fn with_an_early_head_a_slot_is_overwritten_before_it_is_read() {
    an_owner_beside_submitters(Fault::EarlyHead);
}
