//! A thread's reference to a context. It keeps the library's ring of the context mapped, and the
//! thread uses the ring through it.
//!
//! The thread's signals are blocked as long as it holds the reference, so that no handler can leave
//! by a jump, and io_destroy() can wait until all references are gone.

use super::context_table::Entry;
use crate::abi::{io_context_t, io_event};
use crate::aio_ring::LibraryRing;
use crate::errno::{Errno, Result};
use crate::sys::futex;
use crate::sys::signals::{self, Mask};
use core::cell::Cell;

/// A counted reference to a context.
pub struct ContextRef {
    entry: &'static Entry,
    ctx: io_context_t,
    generation: u32,
    /// The mask to restore.
    mask: Option<Mask>,
    /// Whether `users` counts this reference. False after [`FileWait::Destroyed`].
    is_counted: Cell<bool>,
}

/// How [`ContextRef::wait_for_file`] ended.
pub enum FileWait {
    Ready,
    Interrupted,
    /// Other requests have reserved all room for events.
    Full,
    /// The context was destroyed.
    Destroyed,
}

impl ContextRef {
    /// Blocks signals and gets a reference. None if the context was destroyed.
    #[inline(never)]
    pub fn get(entry: &'static Entry, ctx: io_context_t) -> Option<ContextRef> {
        let mut context = ContextRef {
            entry,
            ctx,
            generation: 0,
            mask: signals::block(),
            is_counted: Cell::new(false),
        };
        if !context.add_user() {
            context.restore_signals();
            return None;
        }
        context.generation = entry.generation();
        Some(context)
    }

    /// The same, but None if the handle belongs to a later context.
    #[inline(never)]
    pub fn get_same_generation(
        entry: &'static Entry,
        ctx: io_context_t,
        generation: u32,
    ) -> Option<ContextRef> {
        let context = ContextRef::get(entry, ctx)?;
        if context.generation != generation {
            context.put();
            return None;
        }
        Some(context)
    }

    /// Counts this reference. False, and not counted, if the context was destroyed.
    #[inline(never)]
    fn add_user(&self) -> bool {
        let exists = self.entry.add_user(self.ctx);
        self.is_counted.set(exists);
        exists
    }

    fn remove_user(&self) {
        if self.is_counted.replace(false) {
            self.entry.remove_user();
        }
    }

    fn restore_signals(&self) {
        if let Some(mask) = &self.mask {
            signals::restore(mask);
        }
    }

    /// Releases the reference, and restores the signal mask.
    #[inline(never)]
    pub fn put(self) {
        self.remove_user();
        self.restore_signals();
    }

    fn ring(&self) -> LibraryRing<'_> {
        // SAFETY: this thread holds a reference.
        unsafe { self.entry.ring() }
    }

    /// The most requests that one io_submit() processes.
    pub fn nr_events(&self) -> u32 {
        self.entry.nr_events()
    }

    /// Whether this library serves the context alone.
    pub fn is_inline(&self) -> bool {
        self.entry.is_inline(self.ctx)
    }

    /// Reserves room for an event. `EAGAIN` if there is none.
    #[inline(never)]
    pub fn reserve(&self) -> Result {
        let capacity = self.entry.capacity();
        let ring = self.ring();
        match self.entry.queue().reserve(capacity, || ring.unread()) {
            true => Ok(0),
            false => Err(Errno::EAGAIN),
        }
    }

    /// Frees the reserved room.
    pub fn unreserve(&self) {
        self.entry.queue().unreserve();
    }

    /// Adds an event, for which room was reserved.
    #[inline(never)]
    pub fn append(&self, event: io_event) {
        let ring = self.ring();
        self.entry.queue().append(|| {
            // SAFETY: this thread holds the lock, and has reserved room.
            let unread = unsafe { ring.append(event) };
            self.entry.set_library_events(unread);
            unread
        });
    }

    /// Takes up to `count` events. Returns how many.
    ///
    /// # Safety
    /// `events` must be writable, with room for `count`.
    pub unsafe fn take(&self, events: *mut io_event, count: u32) -> u32 {
        let ring = self.ring();
        self.entry.queue().take(|| {
            // SAFETY: this thread holds the lock of `event_queue.rs`. If the context is in the
            // registry, it is also a reader of the lock of `context/lock.rs`, so that lock has no
            // owner.
            let taken = unsafe { ring.take(events, count) };
            self.entry.set_library_events(ring.unread());
            taken
        })
    }

    /// The number of unread events in the library's ring.
    pub fn unread(&self) -> u32 {
        self.ring().unread()
    }

    /// Waits until a file is ready, by ppoll(2) with the program's signal mask. During the wait,
    /// this thread holds no reference and, unless `keeps_room`, no room for the request's event. So
    /// a handler may leave by a jump.
    #[inline(never)]
    pub fn wait_for_file(&self, fd: i32, events: i16, keeps_room: bool) -> FileWait {
        let Some(mask) = &self.mask else {
            return FileWait::Ready; // signals are not blocked: the transfer waits
        };
        if !keeps_room {
            self.unreserve();
        }
        self.remove_user();
        // SAFETY: `mask` is valid.
        let answer = unsafe { futex::poll(Some((fd, events)), None, mask) };
        if !self.add_user() || self.entry.generation() != self.generation {
            self.remove_user();
            return FileWait::Destroyed;
        }
        if !keeps_room && self.reserve().is_err() {
            return FileWait::Full;
        }
        match answer {
            Err(Errno::EINTR) => FileWait::Interrupted,
            _ => FileWait::Ready,
        }
    }
}

/// Sleeps until `needed` events, at least one, may be unread, or until `deadline` (a time of
/// [`futex::now`]). `EINVAL` if the context was destroyed, `EINTR` if a signal handler ran.
pub fn sleep(
    entry: &'static Entry,
    ctx: io_context_t,
    generation: u32,
    needed: u32,
    deadline: i64,
) -> Result {
    let Some(context) = ContextRef::get_same_generation(entry, ctx, generation) else {
        return Err(Errno::EINVAL);
    };
    let ring = context.ring();
    let value = entry.queue().prepare_to_wait(needed, || ring.unread());
    context.put();
    match value {
        // The word is in the table, which is never unmapped.
        Some(value) => futex::wait(entry.queue().changed, value, deadline),
        None => Ok(0),
    }
}
