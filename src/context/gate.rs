//! The exclusion between this library, which moves a ring's head in user space, and the kernel's
//! `io_getevents`, which moves the same head under a lock that only the kernel sees and stores it
//! plainly (`aio_read_events_ring` in `fs/aio.c`). Whoever moves it without the other's knowledge
//! loses events or delivers them twice.
//!
//! An [`Entry`] stands for one ring and has two words. The *slot* says whose ring: its address, or
//! the address marked as gone once `io_destroy` has begun. The *gate* says who is at the ring:
//!
//! ```text
//!   holder: the thread that reads the ring in user space │ ours │ threads in the kernel's call
//! ```
//!
//! * A reap takes the gate: holder 0 → itself. With no thread in the kernel it may take events;
//!   with some there it may only look.
//! * A thread that goes into the kernel adds itself to the count, which it can only while there is
//!   no holder, and takes itself off afterwards. If it never comes back (it left by `longjmp`, or
//!   was killed), the count stays, and the ring is the kernel's from then on.
//! * `io_destroy` marks the slot, then goes into the kernel as any other thread. A reap looks at
//!   the slot again once it has the gate, so whoever holds it reads a ring that is still mapped.
//! * A signal handler that interrupted its own thread's reap sees that thread as the holder. It
//!   must not wait, and gets [`Stop::Interrupted`].
//! * A forked child has the slots but not the gates, which its first look finds not to be *ours*:
//!   the kernel knows nothing of its parent's contexts either. See `listed.rs`.
//!
//! Generic over its atomics: tests/gate_model.rs runs this file through all interleavings.

use core::sync::atomic::compiler_fence;
use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

/// A word of the protocol: an atomic, and a way to wait for another thread to change it.
pub trait Word {
    fn load(&self, order: Ordering) -> usize;
    fn store(&self, value: usize, order: Ordering);
    fn compare_exchange(
        &self,
        old: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize>;
    /// Lets a holder get on; `turn` counts from 0. Holders take tens of nanoseconds, unless they
    /// are preempted.
    fn wait(turn: u32);
}

/// Implements [`Word`] by an atomic's own methods, which have the same names, and a function that
/// waits.
macro_rules! implement_word {
    ($atomic:ty, $wait:path) => {
        impl Word for $atomic {
            #[inline(always)]
            fn load(&self, order: Ordering) -> usize {
                <$atomic>::load(self, order)
            }
            #[inline(always)]
            fn store(&self, value: usize, order: Ordering) {
                <$atomic>::store(self, value, order)
            }
            #[inline(always)]
            fn compare_exchange(
                &self,
                old: usize,
                new: usize,
                success: Ordering,
                failure: Ordering,
            ) -> Result<usize, usize> {
                <$atomic>::compare_exchange(self, old, new, success, failure)
            }
            fn wait(turn: u32) {
                $wait(turn)
            }
        }
    };
}
pub(crate) use implement_word;

/// How many threads are inside the kernel's call. Once at its highest value it stays there.
const COUNT: usize = (1 << 10) - 1;
/// This process may use the gate.
const OURS: usize = 1 << 10;
const HOLDER_SHIFT: u32 = 11;
const HOLDER: usize = usize::MAX << HOLDER_SHIFT;

/// In a slot: the ring is being destroyed, or has been. Rings begin on a page, so the bit is free.
const GONE: usize = 1;

/// Everybody passes. Only for tests/stress.rs, which must find what goes wrong then. It takes a flag
/// for rustc and a variable in the environment, so that neither, left behind, makes such a library.
const WITHOUT_EXCLUSION: bool = cfg!(without_exclusion);
const _: () = assert!(
    !WITHOUT_EXCLUSION || option_env!("LIBAIO_RS_WITHOUT_EXCLUSION").is_some(),
    "--cfg without_exclusion is for tests/stress.rs alone"
);

/// Who calls: a number that no other running thread has, but a signal handler shares with the
/// code that it interrupted.
#[derive(Clone, Copy)]
pub struct Thread(usize);

impl Thread {
    /// From the thread pointer, which is aligned to 8 bytes at least. One that is 0 belongs to a
    /// thread without thread-local storage; all of those count as one, which costs them only an
    /// `EINTR` where they meet.
    #[inline(always)]
    pub fn with_pointer(pointer: usize) -> Thread {
        let holder = (pointer >> 3) << HOLDER_SHIFT;
        Thread(if holder == 0 { HOLDER } else { holder })
    }
}

/// What a reap may do with the ring in front of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nobody else is there: it may take events.
    Take,
    /// A thread is in the kernel's call: it may look.
    Look,
}

/// Why a call does not pass the gate.
#[derive(Debug)]
pub enum Stop {
    /// The entry is another ring's by now, so this call's ring was destroyed while it was made.
    Destroyed,
    /// The gate is held by the code that this thread's signal handler interrupted.
    Interrupted,
}

/// What a reap does at the ring while it holds the gate.
pub trait Look<R> {
    /// The ring is mapped. Its head may be moved if access is to [`Access::Take`], and
    /// `may_move`, asked right before, still says so: it does not in a child that a signal handler
    /// forked off in the middle of this. The head is shared with the parent, who is about to move
    /// it too.
    fn look(self, access: Access, may_move: impl FnOnce() -> bool) -> Option<R>;
}

/// How a reap passes the gate.
pub enum Reaped<'a, R, W> {
    /// The ring gave the answer.
    Answered(R),
    /// The kernel must be asked.
    Entered(Counted<'a, W>),
}

/// How a reap passes the gate that does not wait for anything.
pub enum Alone<R> {
    /// The ring gave the answer.
    Answered(R),
    /// It did not, and this thread is counted among those in the kernel: see [`Entry::counted`].
    Entered,
    /// Another thread is there, or it is another ring's gate, or not ours. Nothing was done.
    Not,
}

/// This thread is counted among those in the kernel. It makes its system call, and then leaves.
#[must_use]
pub struct Counted<'a, W>(&'a W);

/// One ring's two words.
pub struct Entry<'a, W> {
    pub slot: &'a W,
    pub gate: &'a W,
}

impl<W> Clone for Entry<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<W> Copy for Entry<'_, W> {}

impl<'a, W: Word> Entry<'a, W> {
    /// Whether the entry is that of the ring at `address`, be it gone or not.
    #[inline(always)]
    pub fn belongs_to(&self, address: usize) -> bool {
        // Acquire pairs with the release in `hand_over`: then its gate is seen as ours.
        self.slot.load(Acquire) & !GONE == address
    }

    /// Whether the ring is there, for whoever holds the gate; for others, as far as is known.
    #[inline(always)]
    pub fn is_live(&self, address: usize) -> bool {
        // Acquire pairs with the release in `hand_over`: what is read of a new ring at the same
        // address is read after it was made.
        self.slot.load(Acquire) == address
    }

    /// Whether this process may use the gate. If it may not, the kernel serves the ring, and
    /// nobody reaps in user space.
    #[inline(always)]
    pub fn is_ours(&self) -> bool {
        self.gate.load(Relaxed) & OURS != 0
    }

    /// The usual case of [`Entry::reap`] in a few instructions: nobody else is at the gate.
    #[inline(always)]
    pub fn reap_alone<R>(&self, address: usize, thread: Thread, ring: impl Look<R>) -> Alone<R> {
        // Acquire: as in `reap`. The load keeps those who cannot have it from taking the word away
        // from those who do.
        if WITHOUT_EXCLUSION
            || self.gate.load(Relaxed) != OURS
            || self
                .gate
                .compare_exchange(OURS, OURS | thread.0, Acquire, Relaxed)
                .is_err()
        {
            return Alone::Not;
        }
        let mut answer = Alone::Not;
        if self.is_live(address) {
            answer = match ring.look(Access::Take, || self.is_held(thread)) {
                Some(answer) => Alone::Answered(answer),
                None => Alone::Entered,
            };
        }
        let into_kernel = matches!(answer, Alone::Entered);
        self.let_go(thread, Access::Take, into_kernel);
        answer
    }

    /// This thread, which [`Alone::Entered`] has left counted.
    pub fn counted(&self) -> Counted<'a, W> {
        Counted(self.gate)
    }

    /// Passes the gate: to the ring, and into the kernel if that does not answer.
    ///
    /// `may_take` and `may_look` say whether `ring` would do anything with the one access or the
    /// other.
    #[inline(always)]
    pub fn reap<R>(
        &self,
        address: usize,
        thread: Thread,
        may_take: bool,
        may_look: bool,
        ring: impl Look<R>,
    ) -> Result<Reaped<'a, R, W>, Stop> {
        if WITHOUT_EXCLUSION {
            let answer = ring.look(Access::Take, || true).map(Reaped::Answered);
            return Ok(answer.unwrap_or(Reaped::Entered(Counted(self.gate))));
        }
        let mut turn = 0;
        let access = loop {
            let word = self.gate.load(Relaxed);
            let access = if word & COUNT == 0 {
                Access::Take
            } else {
                Access::Look
            };
            if !(may_look || may_take && access == Access::Take) {
                return self.enter(address, thread).map(Reaped::Entered);
            }
            if word & HOLDER != 0 {
                if word & HOLDER == thread.0 {
                    return Err(Stop::Interrupted);
                }
                W::wait(turn);
                turn += 1;
                continue;
            }
            // Acquire pairs with the release in `let_go`, so that this holder sees where the last
            // one left the head; with the one in `leave`, for where the kernel left it; and with
            // the one in `enter`, for the mark that a destroyer sets before it enters.
            let held = word | thread.0;
            if self
                .gate
                .compare_exchange(word, held, Acquire, Relaxed)
                .is_ok()
            {
                break access;
            }
        };
        if self.is_live(address) {
            if let Some(answer) = ring.look(access, || self.is_held(thread)) {
                self.let_go(thread, access, false);
                return Ok(Reaped::Answered(answer));
            }
        }
        // On into the kernel, without letting anybody between who could take the events that this
        // call has found to be too few.
        self.let_go(thread, access, true);
        self.entered(address).map(Reaped::Entered)
    }

    #[inline(always)]
    fn is_held(&self, thread: Thread) -> bool {
        // Not sooner than what comes before it: a signal handler may have forked meanwhile.
        compiler_fence(SeqCst);
        self.gate.load(Relaxed) & HOLDER == thread.0
    }

    /// Adds this thread to those in the kernel, after waiting for a reap in progress.
    #[inline(never)]
    pub fn enter(self, address: usize, thread: Thread) -> Result<Counted<'a, W>, Stop> {
        if WITHOUT_EXCLUSION {
            return Ok(Counted(self.gate));
        }
        let mut turn = 0;
        loop {
            let word = self.gate.load(Relaxed);
            if word & HOLDER == thread.0 {
                return Err(Stop::Interrupted);
            }
            if word & HOLDER != 0 {
                W::wait(turn);
                turn += 1;
                continue;
            }
            let entered = word + (word & COUNT != COUNT) as usize;
            // Acquire pairs with the release in `let_go`: the last reap is over. Release publishes
            // a destroyer's mark to the next holder.
            if self
                .gate
                .compare_exchange(word, entered, AcqRel, Relaxed)
                .is_ok()
            {
                return self.entered(address);
            }
        }
    }

    /// A thread counted at another ring's gate must not go into the kernel for this one.
    #[inline(always)]
    fn entered(self, address: usize) -> Result<Counted<'a, W>, Stop> {
        let counted = Counted(self.gate);
        if self.belongs_to(address) {
            return Ok(counted);
        }
        counted.leave();
        Err(Stop::Destroyed)
    }

    /// Makes the system call that destroys the ring, which is marked as gone before. `failed` tells
    /// from the answer that the ring is still there.
    pub fn destroy<R>(
        &self,
        address: usize,
        thread: Thread,
        ask_kernel: impl FnOnce() -> R,
        failed: impl FnOnce(&R) -> bool,
    ) -> Result<R, Stop> {
        let marked = self
            .slot
            .compare_exchange(address, address | GONE, Relaxed, Relaxed)
            .is_ok();
        let answer = self.enter(address, thread).map(|counted| {
            let answer = ask_kernel();
            counted.leave();
            answer
        });
        let still_there = match &answer {
            Ok(answer) => failed(answer),
            Err(Stop::Destroyed) => false,
            Err(Stop::Interrupted) => true,
        };
        if marked && still_there {
            let _ = self
                .slot
                .compare_exchange(address | GONE, address, Relaxed, Relaxed);
        }
        answer
    }

    /// Marks the ring as gone, for an entry whose gate is not ours.
    pub fn mark_gone(&self, address: usize) {
        let _ = self
            .slot
            .compare_exchange(address, address | GONE, Relaxed, Relaxed);
    }

    /// Gives the entry to a ring that the kernel has just made at `address`, if it had that
    /// address before. Whether it had.
    ///
    /// Threads still in the kernel for the earlier ring stay counted: they may have this very
    /// address in their hands, which is why an entry keeps it until it is needed.
    pub fn give_again(&self, address: usize, thread: Thread, ours: bool, unlisted: &W) -> bool {
        let found = self.slot.load(Relaxed);
        found & !GONE == address && self.hand_over(found, address, thread, ours, unlisted, true)
    }

    /// Gives the entry to a ring that the kernel has just made at `address`, if it is free: never
    /// used, or of a ring that is gone and has no thread at its gate. Whether it was.
    pub fn give(&self, address: usize, thread: Thread, ours: bool, unlisted: &W) -> bool {
        let found = self.slot.load(Relaxed);
        (found == 0 || found & GONE != 0)
            && self.hand_over(found, address, thread, ours, unlisted, false)
    }

    /// Changes the slot from what was found in it, with the gate held: two threads that found the
    /// same come one after the other, and whoever enters afterwards sees the new address (acquire
    /// in `enter`), and that it is not its own. Whether the entry is the ring's.
    ///
    /// Handles are known before they are listed, since the kernel writes them to the program's
    /// memory: a thread may be in the kernel already, counted among the `unlisted`. Then this gate
    /// stays as if that thread never left it.
    fn hand_over(
        &self,
        found: usize,
        address: usize,
        thread: Thread,
        ours: bool,
        unlisted: &W,
        again: bool,
    ) -> bool {
        let mut turn = 0;
        loop {
            let word = self.gate.load(Relaxed);
            if word & HOLDER == thread.0 {
                // A signal handler inside of its own thread's reap: the ring stays marked as gone,
                // and so the kernel's.
                return again;
            }
            if word & HOLDER != 0 && again {
                W::wait(turn);
                turn += 1;
                continue;
            }
            if word & (HOLDER | COUNT) != 0 && !again {
                return false;
            }
            // Ours before the slot says so: whoever finds the ring finds its gate.
            let held = word | thread.0 | if ours { OURS } else { 0 };
            if self
                .gate
                .compare_exchange(word, held, Acquire, Relaxed)
                .is_ok()
            {
                break;
            }
        }
        // Release pairs with the acquire in `belongs_to` and `is_live`.
        let given = self
            .slot
            .compare_exchange(found, address, Release, Relaxed)
            .is_ok();
        // Acquire and release pair with those in `Counted::unlisted`: either that thread comes
        // first and is seen here, or it finds the slot. Hence a write even where nothing changes.
        let is_known = given && unlisted.compare_exchange(0, 0, AcqRel, Relaxed).is_err();
        self.let_go(thread, Access::Look, is_known);
        given
    }

    /// Gives the gate up, and leaves this thread counted in the kernel if `into_kernel`.
    #[inline(always)]
    fn let_go(&self, thread: Thread, access: Access, into_kernel: bool) {
        // Release: the head that this holder stored, and its reads of the ring, come before
        // whatever the next holder, the kernel's callers or a destroyer do. Pairs with the
        // acquires in `reap` and `enter`.
        match access {
            // No thread is in the kernel and none can enter, so nobody else changes the word. (In
            // a child forked by a signal handler meanwhile it is new, and must stay so.)
            Access::Take if self.is_held(thread) => {
                self.gate.store(OURS | into_kernel as usize, Release)
            }
            Access::Take => {}
            Access::Look => {
                let mut word = self.gate.load(Relaxed);
                while word & HOLDER == thread.0 {
                    let entered = (into_kernel && word & COUNT != COUNT) as usize;
                    let free = (word & !HOLDER) + entered;
                    match self.gate.compare_exchange(word, free, Release, Relaxed) {
                        Ok(_) => return,
                        Err(now) => word = now,
                    }
                }
            }
        }
    }
}

impl<'a, W: Word> Counted<'a, W> {
    /// Counts this thread among those in the kernel for rings that have no entry. It looks for the
    /// entry once more then: see `hand_over`.
    pub fn unlisted(count: &'a W) -> Self {
        let mut word = count.load(Relaxed);
        while word & COUNT != COUNT {
            match count.compare_exchange(word, word + 1, AcqRel, Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        Counted(count)
    }

    /// Takes this thread off again.
    pub fn leave(self) {
        let mut word = self.0.load(Relaxed);
        // At its highest the count has lost count. At 0 this is a child forked meanwhile, whose
        // gate is new.
        while word & COUNT != COUNT && word & COUNT != 0 {
            // Release: the kernel has stored the head. Pairs with the acquire in `reap`.
            match self.0.compare_exchange(word, word - 1, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }
}
