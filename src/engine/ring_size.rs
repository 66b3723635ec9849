//! How large a ring is, and how many requests it has room for. Both depend on the number of CPUs,
//! the first also on the size of a page.

#![forbid(unsafe_code)]

use crate::aio_ring::{divide, BLOCK, HEADER_LENGTH};
use crate::settings::page_size;
use crate::sys::files;
use core::sync::atomic::{AtomicU32, Ordering};

/// The length in bytes of a ring for `maxevents` requests, and its number of slots, as in
/// `ioctx_alloc` and `aio_setup_ring` in `fs/aio.c`: the kernel plans for at least four requests
/// per possible CPU, doubles the number, and fills whole pages.
#[inline(never)]
pub fn length_and_slots(maxevents: u32) -> (usize, u32) {
    let events = maxevents.max(cpus().saturating_mul(4)) as usize * 2 + 2;
    // The size of a page is a power of two.
    let page = page_size();
    let bytes = (HEADER_LENGTH as usize + events * BLOCK + page - 1) & !(page - 1);
    (bytes, ((bytes - HEADER_LENGTH as usize) / BLOCK) as u32)
}

/// The number of requests that a ring with so many slots has room for. The kernel hands out slots
/// to CPUs in batches (`req_batch` in `fs/aio.c`), and never hands out a partial batch.
pub fn capacity(slots: u32) -> u32 {
    let usable = slots.saturating_sub(1);
    let (batch, _) = divide(usable, cpus().saturating_mul(4));
    match batch {
        0 => usable,
        _ => usable - divide(usable, batch).1,
    }
}

/// Reads the number of CPUs, before the program can load a filter of system calls.
pub fn prepare() {
    cpus();
}

/// The number of possible CPUs (`num_possible_cpus()` in the kernel), or 1 if it cannot be read.
#[inline(never)]
fn cpus() -> u32 {
    static CPUS: AtomicU32 = AtomicU32::new(0);
    match CPUS.load(Ordering::Relaxed) {
        0 => {
            let cpus = possible_cpus().max(1);
            CPUS.store(cpus, Ordering::Relaxed);
            cpus
        }
        cpus => cpus,
    }
}

/// Counts the CPUs in a list of ranges, such as `0-3,8`.
#[inline(never)]
fn possible_cpus() -> u32 {
    let mut text = [0_u8; 64];
    let text = files::read_beginning(c"/sys/devices/system/cpu/possible", &mut text);
    let (mut count, mut first, mut number) = (0, None, 0_u32);
    for byte in text {
        match byte {
            digit @ b'0'..=b'9' => {
                number = number
                    .wrapping_mul(10)
                    .wrapping_add(u32::from(digit - b'0'))
            }
            b'-' => (first, number) = (Some(number), 0),
            _ => {
                count += number.wrapping_sub(first.unwrap_or(number)).wrapping_add(1);
                (first, number) = (None, 0);
                if *byte != b',' {
                    break;
                }
            }
        }
    }
    count
}
