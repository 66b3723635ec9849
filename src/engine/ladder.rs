//! Who serves a new context: the kernel, if it does; what comes after that is a ladder.
//!
//! 1. The kernel's context, as asked for.
//! 2. After EAGAIN, the same ring for a smaller count. The kernel charges the count that was asked
//!    for to `fs.aio-max-nr`, but builds a ring for at least four requests for each possible CPU,
//!    in whole pages. Two contexts with the same number of slots differ in nothing but that count.
//! 3. A smaller ring, `short_ring.rs`.
//! 4. No ring of the kernel's, `in_line.rs`.
//!
//! Programs that create contexts through this library and then take events by the raw system call
//! never get the last two, because that call does not see what this library serves.

use super::in_line::{check_count, InLine};
use super::{machine, served, short_ring};
use super::{Engine, KernelAio};
use crate::abi::io_context_t;
use crate::aio_ring::{self, Ring};
use crate::errno::Errno;
use crate::settings::Mode;
use crate::sys::{files, probe};
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libc::c_int;

/// Which rung serves a new context.
#[derive(Clone, Copy, PartialEq)]
pub enum Rung {
    AsAsked = 1,
    SmallerCount,
    ShortRing,
    InLine,
}

/// Programs that create contexts through the library, and take events by the raw system call.
const TAKE_BY_THEMSELVES: [&[u8]; 2] = [b"mariadbd", b"mariadb-backup"];

/// Makes a context, and says which rung serves it.
///
/// # Safety
/// As [`Engine::set_up`].
pub unsafe fn set_up(
    mode: Mode,
    maxevents: c_int,
    ctxp: *mut io_context_t,
) -> core::result::Result<Rung, Errno> {
    let mut granted = maxevents;
    let mut first = None;
    // SAFETY: the same contract.
    let answer = unsafe { climb(mode, maxevents, ctxp, &mut granted, &mut first) };
    let (rung, error, handle) = match answer {
        // SAFETY: it was just written.
        Ok(rung) => (rung as c_int, first, unsafe { handle_at(ctxp) } as usize),
        Err(error) => (0, Some(error), 0),
    };
    let number = error.map_or(0, |error| crate::errno::into_c(Err(error)));
    probe::setup(handle, maxevents, granted, rung, number);
    answer
}

/// # Safety
/// The caller has just written there.
pub unsafe fn handle_at(ctxp: *mut io_context_t) -> io_context_t {
    // A sandbox may answer 0 without making the call; then the address was never looked at.
    if !crate::address::is_plausible(ctxp) {
        return core::ptr::null_mut();
    }
    // SAFETY: the caller's promise.
    unsafe { ctxp.read_unaligned() }
}

/// # Safety
/// As [`Engine::set_up`].
unsafe fn climb(
    mode: Mode,
    maxevents: c_int,
    ctxp: *mut io_context_t,
    granted: &mut c_int,
    first: &mut Option<Errno>,
) -> core::result::Result<Rung, Errno> {
    if mode != Mode::InLine {
        // SAFETY: the same contract.
        let error = match unsafe { KernelAio.set_up(maxevents, ctxp) } {
            Ok(_) => {
                // SAFETY: the kernel has just written there.
                forget(mode, unsafe { handle_at(ctxp) });
                return Ok(Rung::AsAsked);
            }
            Err(error) if mode == Mode::Kernel => return Err(error),
            Err(error) => error,
        };
        *first = Some(error);
        match error {
            Errno::EAGAIN => {
                // A sandbox may say so before the arguments are checked; the last rung does that.
                // SAFETY: the same contract.
                let rung = check_count(maxevents)
                    .ok()
                    .and_then(|asked| unsafe { smaller(asked, ctxp, granted) });
                if let Some(rung) = rung {
                    return Ok(rung);
                }
            }
            Errno::EPERM | Errno::ENOSYS => {}
            _ => return Err(error),
        }
    }
    if takes_by_itself() {
        return Err(first.unwrap_or(Errno::ENOSYS));
    }
    *granted = 0;
    // SAFETY: the same contract.
    unsafe { InLine(None).set_up(maxevents, ctxp) }.map(|_| Rung::InLine)
}

/// The second and third rung, after EAGAIN.
///
/// # Safety
/// As [`Engine::set_up`]; the kernel has read `*ctxp`, and found 0.
unsafe fn smaller(asked: u32, ctxp: *mut io_context_t, granted: &mut c_int) -> Option<Rung> {
    let mut count = least_with_ring_of(asked);
    let mut most = None;
    loop {
        // The first is what the kernel has just refused, if none is less.
        if count < asked {
            // SAFETY: the same contract.
            match unsafe { KernelAio.set_up(count as c_int, ctxp) } {
                // SAFETY: the kernel has just written there.
                Ok(_) => return unsafe { settle(asked, count, ctxp, granted) },
                Err(Errno::EAGAIN) => {}
                Err(_) => return None,
            }
        }
        if count <= 1 {
            return None;
        }
        // What the limit leaves; if another process takes that first, half as much, and so on.
        let left = most.unwrap_or_else(left_of_limit).min(count - 1).max(1);
        count = least_with_ring_of(left);
        most = Some(count / 2);
    }
}

/// What to make of a context for `count` requests where `asked` were asked for.
///
/// # Safety
/// It was just made.
unsafe fn settle(
    asked: u32,
    count: u32,
    ctxp: *mut io_context_t,
    granted: &mut c_int,
) -> Option<Rung> {
    *granted = count as c_int;
    // SAFETY: the kernel has just written there, and made the ring.
    let ctx = unsafe { handle_at(ctxp) };
    if ctx.is_null() {
        return Some(Rung::SmallerCount); // a sandbox that answers 0 to anything
    }
    forget(Mode::Auto, ctx);
    // SAFETY: the same contract.
    if unsafe { Ring::of_kernel(ctx) }.slots() >= slots(asked) {
        return Some(Rung::SmallerCount);
    }
    // SAFETY: the same contract.
    if !takes_by_itself() && unsafe { short_ring::adopt(ctx, asked) }.is_ok() {
        return Some(Rung::ShortRing);
    }
    // SAFETY: nobody knows of it. The program's variable is as it was.
    unsafe {
        let _ = KernelAio.destroy(ctx);
        ctxp.write_unaligned(core::ptr::null_mut());
    }
    None
}

/// Forgets a context that the program destroyed by the system call, after this library had come to
/// serve it: the kernel has just given its address to another.
#[inline(never)]
fn forget(mode: Mode, ctx: io_context_t) {
    if mode != Mode::Kernel {
        if let Some(entry) = served::find(ctx) {
            served::remove(entry, ctx);
        }
    }
}

#[inline(never)]
fn slots(maxevents: u32) -> u32 {
    aio_ring::size_for(maxevents, machine::cpus(), machine::page_size()).1
}

/// The least number for which the kernel builds the same ring.
#[inline(never)]
fn least_with_ring_of(asked: u32) -> u32 {
    let needed = slots(asked);
    let (mut low, mut high) = (1, asked.max(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match slots(middle) >= needed {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    low
}

/// What the limit leaves at this moment, or no limit if it cannot be read.
fn left_of_limit() -> u32 {
    match (
        number(c"/proc/sys/fs/aio-max-nr"),
        number(c"/proc/sys/fs/aio-nr"),
    ) {
        (Some(most), Some(used)) => most.saturating_sub(used),
        _ => u32::MAX,
    }
}

/// The number in a file.
#[inline(never)]
fn number(path: &CStr) -> Option<u32> {
    let mut text = [0_u8; 16];
    let mut number = None;
    for byte in files::beginning(path, &mut text) {
        if !byte.is_ascii_digit() {
            break;
        }
        let digit = u32::from(byte - b'0');
        number = Some(number.unwrap_or(0_u32).wrapping_mul(10).wrapping_add(digit));
    }
    number
}

/// Reads what the ladder needs to know, while the program has not begun to restrict itself: the
/// first two rungs then make no call but io_setup().
pub fn prepare() {
    machine::cpus();
    TAKES_BY_ITSELF.store(read_whether_it_takes_by_itself(), Relaxed);
}

fn takes_by_itself() -> bool {
    TAKES_BY_ITSELF.load(Relaxed)
}

static TAKES_BY_ITSELF: AtomicBool = AtomicBool::new(false);

/// Whether the program is one of [`TAKE_BY_THEMSELVES`]: by the file that it was started from.
fn read_whether_it_takes_by_itself() -> bool {
    let mut path = [0_u8; 256];
    // The last byte stays 0.
    let room = &mut path[..255];
    files::link(c"/proc/self/exe".as_ptr().cast(), room);
    TAKE_BY_THEMSELVES.iter().any(|name| is_named(&path, name))
}

/// Whether the last part of a path, which ends with a zero, is this name. What a file that was
/// replaced meanwhile is called has a space behind its name.
#[inline(never)]
fn is_named(path: &[u8; 256], name: &[u8]) -> bool {
    // How much of the name has been found, if what came before was a slash.
    let mut found = None;
    for &byte in path {
        found = match found {
            Some(count) if name.get(count) == Some(&byte) => Some(count + 1),
            Some(count) if count == name.len() && matches!(byte, 0 | b' ') => return true,
            _ if byte == b'/' => Some(0),
            _ if byte == 0 => return false,
            _ => None,
        };
    }
    false
}
