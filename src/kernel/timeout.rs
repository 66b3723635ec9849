//! The two forms of a timeout, and the system calls that take them.

#[cfg(target_pointer_width = "32")]
use super::pgetevents::{io_getevents_time64, io_pgetevents_time64};
use super::{io_getevents, io_pgetevents};
use crate::c_abi::types::{io_context_t, io_event};
use crate::errno::Result;
use libc::{c_long, sigset_t};

/// `struct timespec` of the first system calls: two `long`s of the kernel. It is not the libc
/// crate's type, which on 32-bit machines follows the C library to 64-bit times.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct timespec {
    pub tv_sec: KernelLong,
    pub tv_nsec: KernelLong,
}

/// The x32 ABI has 32-bit pointers and the 64-bit kernel's `long`.
#[cfg(target_arch = "x86_64")]
type KernelLong = i64;
#[cfg(not(target_arch = "x86_64"))]
type KernelLong = libc::c_long;

/// `struct timespec` of a 32-bit program built with `_TIME_BITS=64`: `tv_nsec` is still a 32-bit
/// `long`, and padded.
#[cfg(target_pointer_width = "32")]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct timespec64 {
    pub tv_sec: i64,
    #[cfg(target_endian = "big")]
    pad: u32,
    pub tv_nsec: i32,
    #[cfg(target_endian = "little")]
    pad: u32,
}

#[cfg(target_pointer_width = "32")]
impl timespec64 {
    /// For kernels that know only the old form. A time that it cannot say becomes the longest it
    /// can, 68 years.
    pub fn in_old_form(self) -> timespec {
        timespec {
            tv_sec: self.tv_sec.clamp(-1, i32::MAX as i64) as KernelLong,
            tv_nsec: self.tv_nsec as KernelLong,
        }
    }
}

/// A timeout of either form.
pub trait Timeout: Copy {
    /// Whether it says not to wait.
    fn is_zero(self) -> bool;

    /// The system call for this form of the timeout: `io_getevents(2)`, or `io_pgetevents(2)` if
    /// there is a mask, which may be NULL.
    ///
    /// # Safety
    /// The kernel checks the pointers; the caller lets `events` be written. `timeout` must be
    /// readable where the kernel finds it so.
    unsafe fn getevents(
        ctx: io_context_t,
        min_nr: c_long,
        nr: c_long,
        events: *mut io_event,
        timeout: *const Self,
        mask: Option<*const sigset_t>,
    ) -> Result;
}

impl Timeout for timespec {
    #[inline(always)]
    fn is_zero(self) -> bool {
        self.tv_sec == 0 && self.tv_nsec == 0
    }

    #[inline(always)]
    unsafe fn getevents(
        ctx: io_context_t,
        min_nr: c_long,
        nr: c_long,
        events: *mut io_event,
        timeout: *const Self,
        mask: Option<*const sigset_t>,
    ) -> Result {
        // SAFETY: the same contract.
        unsafe {
            match mask {
                None => io_getevents(ctx, min_nr, nr, events, timeout),
                Some(mask) => io_pgetevents(ctx, min_nr, nr, events, timeout, mask),
            }
        }
    }
}

#[cfg(target_pointer_width = "32")]
impl Timeout for timespec64 {
    #[inline(always)]
    fn is_zero(self) -> bool {
        self.tv_sec == 0 && self.tv_nsec == 0
    }

    #[inline(always)]
    unsafe fn getevents(
        ctx: io_context_t,
        min_nr: c_long,
        nr: c_long,
        events: *mut io_event,
        timeout: *const Self,
        mask: Option<*const sigset_t>,
    ) -> Result {
        // SAFETY: the same contract.
        unsafe {
            match mask {
                None => io_getevents_time64(ctx, min_nr, nr, events, timeout),
                Some(mask) => io_pgetevents_time64(ctx, min_nr, nr, events, timeout, mask),
            }
        }
    }
}
