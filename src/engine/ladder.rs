//! Chooses the engine of a new context. It tries these rungs in order:
//!
//! 1. The kernel's context, for the requested count.
//! 2. After EAGAIN, a kernel context for a smaller count with the same ring. The kernel charges the
//!    count to `fs.aio-max-nr`, but builds the ring for at least four requests per possible CPU, in
//!    whole pages. Contexts with the same number of slots differ only in the charge.
//! 3. A kernel context with a smaller ring, `short_ring.rs`.
//! 4. A context without the kernel, `inline.rs`.
//!
//! Programs that create contexts through this library but reap with the raw system call never get
//! rungs 3 and 4, because that call does not see the library's events.

use super::inline::{check_count, Inline};
use super::{context_table, ring_size, short_ring};
use super::{Engine, KernelAio};
use crate::abi::io_context_t;
use crate::aio_ring::Ring;
use crate::errno::Errno;
use crate::settings::Mode;
use crate::sys::{files, probe};
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libc::c_int;

/// The rung that a new context got.
#[derive(Clone, Copy, PartialEq)]
pub enum Rung {
    AsRequested = 1,
    SmallerCount,
    ShortRing,
    Inline,
}

/// The names of programs that create contexts through the library but reap with the raw system
/// call.
const RAW_REAPERS: [&[u8]; 2] = [b"mariadbd", b"mariadb-backup"];

/// Creates a context. Returns the rung that it got.
///
/// # Safety
/// As [`Engine::set_up`].
pub unsafe fn set_up(
    mode: Mode,
    maxevents: c_int,
    ctxp: *mut io_context_t,
) -> core::result::Result<Rung, Errno> {
    let mut granted = maxevents;
    let mut first_error = None;
    // SAFETY: the same contract.
    let answer = unsafe { try_rungs(mode, maxevents, ctxp, &mut granted, &mut first_error) };
    let (rung, error, handle) = match answer {
        // SAFETY: the handle has just been written there.
        Ok(rung) => (rung as c_int, first_error, unsafe { read_handle(ctxp) }
            as usize),
        Err(error) => (0, Some(error), 0),
    };
    let number = error.map_or(0, |error| crate::errno::into_c(Err(error)));
    probe::setup(handle, maxevents, granted, rung, number);
    answer
}

/// Reads the handle after a successful io_setup().
///
/// # Safety
/// The call must have written `*ctxp`, or `ctxp` must be invalid.
pub unsafe fn read_handle(ctxp: *mut io_context_t) -> io_context_t {
    // A sandbox may return 0 without making the call, so the kernel has not checked the address.
    if !crate::address::is_user_address(ctxp) {
        return core::ptr::null_mut();
    }
    // SAFETY: the caller's promise.
    unsafe { ctxp.read_unaligned() }
}

/// Tries the rungs in order. `granted` is set to the count that the kernel granted, `first_error`
/// to the kernel's first error.
///
/// # Safety
/// As [`Engine::set_up`].
unsafe fn try_rungs(
    mode: Mode,
    maxevents: c_int,
    ctxp: *mut io_context_t,
    granted: &mut c_int,
    first_error: &mut Option<Errno>,
) -> core::result::Result<Rung, Errno> {
    if mode != Mode::Inline {
        // SAFETY: the same contract.
        let error = match unsafe { KernelAio.set_up(maxevents, ctxp) } {
            Ok(_) => {
                // SAFETY: the kernel has just written there.
                remove_stale_entry(mode, unsafe { read_handle(ctxp) });
                return Ok(Rung::AsRequested);
            }
            Err(error) if mode == Mode::Kernel => return Err(error),
            Err(error) => error,
        };
        *first_error = Some(error);
        match error {
            Errno::EAGAIN => {
                // A sandbox may return EAGAIN without checking the count. If the count is invalid,
                // rung 4 returns the error.
                // SAFETY: the same contract.
                let rung = check_count(maxevents)
                    .ok()
                    .and_then(|requested| unsafe { try_smaller_counts(requested, ctxp, granted) });
                if let Some(rung) = rung {
                    return Ok(rung);
                }
            }
            Errno::EPERM | Errno::ENOSYS => {}
            _ => return Err(error),
        }
    }
    if is_raw_reaper() {
        return Err(first_error.unwrap_or(Errno::ENOSYS));
    }
    *granted = 0;
    // SAFETY: the same contract.
    unsafe { Inline(None).set_up(maxevents, ctxp) }.map(|_| Rung::Inline)
}

/// Rungs 2 and 3, after EAGAIN.
///
/// # Safety
/// As [`Engine::set_up`]; the kernel has read `*ctxp`, and found 0.
unsafe fn try_smaller_counts(
    requested: u32,
    ctxp: *mut io_context_t,
    granted: &mut c_int,
) -> Option<Rung> {
    let mut count = smallest_with_same_ring(requested);
    let mut most = None;
    loop {
        // If no smaller count has the same ring, the kernel has just refused this one.
        if count < requested {
            // SAFETY: the same contract.
            match unsafe { KernelAio.set_up(count as c_int, ctxp) } {
                // SAFETY: the kernel has just written there.
                Ok(_) => return unsafe { accept_smaller(requested, count, ctxp, granted) },
                Err(Errno::EAGAIN) => {}
                Err(_) => return None,
            }
        }
        if count <= 1 {
            return None;
        }
        // Next, what is left of the limit. If another process uses that up first, half of it, and
        // so on.
        let left = most.unwrap_or_else(left_of_limit).min(count - 1).max(1);
        count = smallest_with_same_ring(left);
        most = Some(count / 2);
    }
}

/// Decides whether a new kernel context, for `count` instead of `requested` requests, is rung 2 or
/// 3. None if the program cannot use it; the context is then destroyed.
///
/// # Safety
/// The kernel must have just created the context, and written its handle to `*ctxp`.
unsafe fn accept_smaller(
    requested: u32,
    count: u32,
    ctxp: *mut io_context_t,
    granted: &mut c_int,
) -> Option<Rung> {
    *granted = count as c_int;
    // SAFETY: the caller's promise.
    let ctx = unsafe { read_handle(ctxp) };
    if ctx.is_null() {
        return Some(Rung::SmallerCount); // a sandbox that returns 0 for any system call
    }
    remove_stale_entry(Mode::Auto, ctx);
    // SAFETY: the ring of the new context is mapped there.
    if unsafe { Ring::of_kernel(ctx) }.slots() >= slots(requested) {
        return Some(Rung::SmallerCount);
    }
    // SAFETY: the context is new.
    if !is_raw_reaper() && unsafe { short_ring::adopt(ctx, requested) }.is_ok() {
        return Some(Rung::ShortRing);
    }
    // SAFETY: no thread uses the context yet, and the kernel has just written `*ctxp`, which is set
    // back to 0.
    unsafe {
        let _ = KernelAio.destroy(ctx);
        ctxp.write_unaligned(core::ptr::null_mut());
    }
    None
}

/// Removes the entry of an earlier context at the same address, which the program destroyed with
/// the raw system call.
#[inline(never)]
fn remove_stale_entry(mode: Mode, ctx: io_context_t) {
    if mode != Mode::Kernel {
        if let Some(entry) = context_table::find(ctx) {
            context_table::remove(entry, ctx);
        }
    }
}

/// The number of slots in the kernel's ring for so many requests.
fn slots(maxevents: u32) -> u32 {
    ring_size::length_and_slots(maxevents).1
}

/// The smallest count for which the kernel builds the same ring.
#[inline(never)]
fn smallest_with_same_ring(count: u32) -> u32 {
    let needed = slots(count);
    let (mut low, mut high) = (1, count.max(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match slots(middle) >= needed {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    low
}

/// What is left of the system's limit; `u32::MAX` if that cannot be read.
fn left_of_limit() -> u32 {
    match (
        read_number(c"/proc/sys/fs/aio-max-nr"),
        read_number(c"/proc/sys/fs/aio-nr"),
    ) {
        (Some(most), Some(used)) => most.saturating_sub(used),
        _ => u32::MAX,
    }
}

/// The decimal number at the beginning of a file.
#[inline(never)]
fn read_number(path: &CStr) -> Option<u32> {
    let mut text = [0_u8; 16];
    let mut number = None;
    for byte in files::read_beginning(path, &mut text) {
        if !byte.is_ascii_digit() {
            break;
        }
        let digit = u32::from(byte - b'0');
        number = Some(number.unwrap_or(0_u32).wrapping_mul(10).wrapping_add(digit));
    }
    number
}

/// Reads what the ladder needs, before the program can load a filter of system calls. Rungs 1 and 2
/// then make no system call except io_setup(), unless they must read the limit.
pub fn prepare() {
    ring_size::prepare();
    IS_RAW_REAPER.store(executable_is_raw_reaper(), Relaxed);
}

fn is_raw_reaper() -> bool {
    IS_RAW_REAPER.load(Relaxed)
}

static IS_RAW_REAPER: AtomicBool = AtomicBool::new(false);

/// Whether the program's executable is one of [`RAW_REAPERS`].
fn executable_is_raw_reaper() -> bool {
    let mut path = [0_u8; 256];
    // The last byte stays 0.
    let room = &mut path[..255];
    files::read_link(c"/proc/self/exe".as_ptr().cast(), room);
    RAW_REAPERS.iter().any(|name| has_file_name(&path, name))
}

/// Whether the last component of a path, which ends with a zero byte, is this name. A space may
/// follow the name: if the file was replaced, `/proc` appends " (deleted)".
#[inline(never)]
fn has_file_name(path: &[u8; 256], name: &[u8]) -> bool {
    // The number of bytes of the name found so far, if they began after a slash.
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
