//! The contexts that this library set up and has not destroyed: a fixed table, so that neither
//! memory nor a lock is ever needed and it can be read from a signal handler.
//!
//! A handle belongs to one set of eight, a cache line, by its page number. A context that finds
//! its set full is not listed, which costs a poll of it one system call and nothing else.
//!
//! After `fork` the child has a copy of the table and the same rings mapped, so that its polls
//! answer as the original's do. After `vfork` it has the parent's own, as it should.

use crate::c_abi::types::io_context_t;
use core::sync::atomic::{AtomicUsize, Ordering};

const WAYS: usize = 8;
/// 512 sets list 4,096 contexts in 32 KiB of zero pages, of which only those in use are touched.
const SETS: usize = 512;

#[repr(align(64))]
struct Set([AtomicUsize; WAYS]);

// The constant is only the initial value of each slot.
#[allow(clippy::declare_interior_mutable_const)]
const EMPTY: Set = {
    const FREE: AtomicUsize = AtomicUsize::new(0);
    Set([FREE; WAYS])
};
static TABLE: [Set; SETS] = [EMPTY; SETS];

fn set_of(address: usize) -> &'static [AtomicUsize; WAYS] {
    // Rings are page-aligned and some pages long, so neighbours differ in the low page bits.
    let page = address >> 12;
    &TABLE[(page ^ (page >> 9)) % SETS].0
}

/// Lists a context that has just been set up; not NULL, which marks a free slot. Relaxed is enough throughout: a handle reaches
/// other threads through the program, and whoever misses an entry asks the kernel.
pub fn add(ctx: io_context_t) {
    let address = ctx as usize;
    for slot in set_of(address) {
        // NULL is in every set that has room. Any other handle is left over from a context that
        // was destroyed with the raw system call, whose address has now come back.
        if slot.load(Ordering::Relaxed) == address {
            return;
        }
    }
    for slot in set_of(address) {
        let taken = slot.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed);
        if taken.is_ok() {
            return;
        }
    }
}

/// Takes a context out; whether it was there.
pub fn remove(ctx: io_context_t) -> bool {
    let address = ctx as usize;
    address != 0
        && set_of(address).iter().any(|slot| {
            slot.compare_exchange(address, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        })
}

/// Whether a handle is listed. Handles are never 0, which marks a free slot.
pub fn contains(ctx: io_context_t) -> bool {
    let address = ctx as usize;
    address != 0
        && set_of(address)
            .iter()
            .any(|slot| slot.load(Ordering::Relaxed) == address)
}
