//! The properties of the machine that determine the size of a ring.

#![forbid(unsafe_code)]

use crate::sys::files;
use core::sync::atomic::{AtomicU32, Ordering};

pub use crate::settings::page_size;

/// The number of possible CPUs (`num_possible_cpus()` in the kernel), or 1 if it cannot be read.
#[inline(never)]
pub fn cpus() -> u32 {
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
    let text = files::beginning(c"/sys/devices/system/cpu/possible", &mut text);
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
