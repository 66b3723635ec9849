//! The completion ring, as far as the library reads it: `struct aio_ring` in `fs/aio.c`, which
//! the kernel maps into the process at the address that is the context's handle.

use crate::c_abi::types::io_context_t;
use core::sync::atomic::{AtomicU32, Ordering};

const MAGIC: u32 = 0xa10a_10a1;
const HEADER_LENGTH: u32 = 32;

/// The header of a ring. Programs that reap for themselves write `head` from any thread, and the
/// kernel writes `tail` from interrupts, so both are atomics here; the rest is set once.
#[repr(C)]
struct Header {
    id: u32,
    /// How many events the ring holds; one slot always stays free.
    nr: u32,
    head: AtomicU32,
    tail: AtomicU32,
    magic: u32,
    compat_features: u32,
    incompat_features: u32,
    header_length: u32,
}

const _: () = assert!(core::mem::size_of::<Header>() == HEADER_LENGTH as usize);

/// A ring whose header can be read.
#[derive(Clone, Copy)]
pub struct Ring(*const Header);

impl Ring {
    /// The ring at a handle.
    ///
    /// # Safety
    /// The handle must be the address of a live context's ring, and stay so while the `Ring` is
    /// used.
    pub unsafe fn at(ctx: io_context_t) -> Ring {
        Ring(ctx.cast())
    }

    /// Whether the layout is the only one there has ever been, so that head and tail mean what
    /// they are called.
    pub fn has_known_layout(self) -> bool {
        // SAFETY: `at` was promised a live ring.
        let header = unsafe { &*self.0 };
        header.magic == MAGIC
            && header.incompat_features == 0
            && header.header_length == HEADER_LENGTH
    }

    /// Whether no completion waits to be taken.
    pub fn is_empty(self) -> bool {
        // SAFETY: `at` was promised a live ring.
        let header = unsafe { &*self.0 };
        // Acquire pairs with the write barrier in aio_complete(), which stores the event first
        // and the tail after it: whoever learns of a completion here sees what it completed.
        header.head.load(Ordering::Relaxed) == header.tail.load(Ordering::Acquire)
    }
}
