//! All interleavings of the events of a context that the library serves, by loom:
//! src/engine/events.rs itself, over loom's atomics, with a model of futex(2) and of the ring.
//!
//! The ring is in loom's cells, which fail when two threads touch them at once or without ordering
//! between them. A thread that sleeps and is never woken is a deadlock, which loom reports.

#[path = "../src/engine/events.rs"]
mod events;

use events::{Events, Word};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A word and the threads that sleep on it.
struct Futex {
    word: AtomicU32,
    sleepers: Mutex<()>,
    woken: Condvar,
    fault: Fault,
}

/// What is broken on purpose.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The lock does not exclude.
    NoLock,
    /// Waiters are not woken.
    NoWake,
    /// A thread goes to sleep although the word has changed.
    BlindSleep,
}

impl Futex {
    fn new(fault: Fault) -> Futex {
        Futex {
            word: AtomicU32::new(0),
            sleepers: Mutex::new(()),
            woken: Condvar::new(),
            fault,
        }
    }
}

impl Word for Futex {
    fn load(&self, order: Ordering) -> u32 {
        self.word.load(order)
    }
    fn store(&self, value: u32, order: Ordering) {
        self.word.store(value, order)
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.word.swap(value, order)
    }
    fn add(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_add(value, order)
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
        self.word.compare_exchange(old, new, success, failure)
    }
    /// As the kernel does it: the word is compared under the lock that wakers take.
    fn sleep(&self, value: u32) {
        let sleepers = self.sleepers.lock().unwrap();
        if self.fault == Fault::BlindSleep || self.word.load(Ordering::Relaxed) == value {
            drop(self.woken.wait(sleepers).unwrap());
        }
    }
    fn wake_one(&self) {
        let _sleepers = self.sleepers.lock().unwrap();
        self.woken.notify_one();
    }
    fn wake_all(&self) {
        let _sleepers = self.sleepers.lock().unwrap();
        if self.fault != Fault::NoWake {
            self.woken.notify_all();
        }
    }
}

/// A context: its words, and how many events it has had and given.
struct Context {
    lock: Futex,
    reserved: Futex,
    needed: Futex,
    changed: Futex,
    /// What the lock protects.
    put: UnsafeCell<u32>,
    taken: UnsafeCell<u32>,
    /// What a thread may look at without it, as at a ring's head and tail.
    unread: AtomicU32,
}

impl Context {
    fn new(fault: Fault) -> Arc<Context> {
        let context = Context {
            lock: Futex::new(match fault {
                Fault::NoLock => fault,
                _ => Fault::None,
            }),
            reserved: Futex::new(Fault::None),
            needed: Futex::new(Fault::None),
            changed: Futex::new(match fault {
                Fault::NoLock => Fault::None,
                other => other,
            }),
            put: UnsafeCell::new(0),
            taken: UnsafeCell::new(0),
            unread: AtomicU32::new(0),
        };
        context.events().start();
        Arc::new(context)
    }

    fn events(&self) -> Events<'_, Futex> {
        Events {
            lock: &self.lock,
            reserved: &self.reserved,
            needed: &self.needed,
            changed: &self.changed,
        }
    }

    fn unread(&self) -> u32 {
        self.unread.load(Ordering::Acquire)
    }

    /// A request: false if there is no room.
    fn submit(&self, capacity: u32) -> bool {
        if !self.events().reserve(capacity, || self.unread()) {
            return false;
        }
        self.events().append(|| {
            // SAFETY: loom sees to it that no other thread is here.
            self.put.with_mut(|put| unsafe { *put += 1 });
            let unread = self.unread.load(Ordering::Relaxed) + 1;
            assert!(unread <= capacity, "more than there is room for");
            self.unread.store(unread, Ordering::Release);
            unread
        });
        true
    }

    /// Takes up to `most` events.
    fn take(&self, most: u32) -> u32 {
        self.events().take(|| {
            let unread = self.unread.load(Ordering::Relaxed);
            let count = unread.min(most);
            // SAFETY: loom sees to it that no other thread is here.
            self.taken.with_mut(|taken| unsafe { *taken += count });
            self.unread.store(unread - count, Ordering::Release);
            count
        })
    }

    /// Takes `needed` events, and waits for them.
    fn wait(&self, needed: u32) {
        let mut taken = self.take(needed);
        while taken < needed {
            if let Some(value) = self.events().expect(needed - taken, || self.unread()) {
                self.changed.sleep(value);
            }
            taken += self.take(needed - taken);
        }
    }
}

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

/// Two threads submit, a third waits for both events.
fn a_waiter_and_two_submitters(fault: Fault) {
    model(move || {
        let context = Context::new(fault);
        let submitters: Vec<_> = (0..2)
            .map(|_| {
                let context = Arc::clone(&context);
                thread::spawn(move || assert!(context.submit(2)))
            })
            .collect();
        context.wait(2);
        for submitter in submitters {
            submitter.join().unwrap();
        }
    });
}

#[test]
fn every_waiter_is_woken() {
    a_waiter_and_two_submitters(Fault::None);
}

#[test]
#[should_panic]
fn without_the_lock_that_fails() {
    a_waiter_and_two_submitters(Fault::NoLock);
}

#[test]
#[should_panic]
fn without_wake_ups_that_fails() {
    a_waiter_and_two_submitters(Fault::NoWake);
}

#[test]
#[should_panic]
fn without_the_comparison_before_the_sleep_that_fails() {
    a_waiter_and_two_submitters(Fault::BlindSleep);
}

/// Two waiters that need one event each, and take no more.
#[test]
fn two_waiters() {
    model(|| {
        let context = Context::new(Fault::None);
        let waiter = {
            let context = Arc::clone(&context);
            thread::spawn(move || context.wait(1))
        };
        let submitter = {
            let context = Arc::clone(&context);
            thread::spawn(move || {
                assert!(context.submit(2));
                assert!(context.submit(2));
            })
        };
        context.wait(1);
        waiter.join().unwrap();
        submitter.join().unwrap();
    });
}

/// A waiter that came in before the context was closed, and says later that it waits.
#[test]
fn a_closed_context_lets_nobody_wait() {
    model(|| {
        let context = Context::new(Fault::None);
        let waiter = {
            let context = Arc::clone(&context);
            thread::spawn(move || {
                if let Some(value) = context.events().expect(1, || context.unread()) {
                    context.changed.sleep(value);
                }
            })
        };
        context.events().close();
        waiter.join().unwrap();
    });
}

/// Room for one: of two requests at once one may be refused, never none too few.
#[test]
fn no_more_requests_than_room() {
    model(|| {
        let context = Context::new(Fault::None);
        let other = {
            let context = Arc::clone(&context);
            thread::spawn(move || context.submit(1))
        };
        let mine = context.submit(1);
        let others = other.join().unwrap();
        let accepted = mine as u32 + others as u32;
        assert!(accepted <= 1);
        assert_eq!(context.take(2), accepted);
        assert!(context.submit(1), "the room came back");
    });
}
