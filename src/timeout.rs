//! The two forms of a timeout.

#![forbid(unsafe_code)]

/// `struct timespec` of the original system calls: two `long`s of the kernel. The libc crate's type
/// cannot be used, because on 32-bit machines it may have 64-bit times.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct timespec {
    pub tv_sec: KernelLong,
    pub tv_nsec: KernelLong,
}

/// The x32 ABI has 32-bit pointers, but the 64-bit kernel's `long`.
#[cfg(target_arch = "x86_64")]
type KernelLong = i64;
#[cfg(not(target_arch = "x86_64"))]
type KernelLong = libc::c_long;

/// `struct timespec` of a 32-bit program built with `_TIME_BITS=64`. `tv_nsec` is still a 32-bit
/// `long`, with padding.
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
    /// For kernels that support only 32-bit times. A longer time becomes the longest possible one,
    /// 68 years.
    pub fn to_32_bit(self) -> timespec {
        timespec {
            tv_sec: self.tv_sec.clamp(-1, i32::MAX as i64) as KernelLong,
            tv_nsec: self.tv_nsec as KernelLong,
        }
    }
}

/// A timeout of either form.
pub trait Timeout: Copy {
    /// Whether the timeout is zero: do not wait.
    fn is_zero(self) -> bool;
    /// Seconds and nanoseconds.
    fn parts(self) -> (i64, i64);
}

impl Timeout for timespec {
    #[inline(always)]
    fn is_zero(self) -> bool {
        self.tv_sec == 0 && self.tv_nsec == 0
    }

    #[allow(clippy::unnecessary_cast)] // needed on other machines
    fn parts(self) -> (i64, i64) {
        (self.tv_sec as i64, self.tv_nsec as i64)
    }
}

#[cfg(target_pointer_width = "32")]
impl Timeout for timespec64 {
    #[inline(always)]
    fn is_zero(self) -> bool {
        self.tv_sec == 0 && self.tv_nsec == 0
    }

    #[allow(clippy::unnecessary_cast)] // needed on other machines
    fn parts(self) -> (i64, i64) {
        (self.tv_sec as i64, self.tv_nsec as i64)
    }
}
