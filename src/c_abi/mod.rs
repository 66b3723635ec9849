//! The C surface: what `libaio.h` declares and `libaio.so.1` exports. Each function checks what
//! only it can check, hands the call on, and turns the answer into C's form.
//!
//! Pointers that the functions take are of two kinds, and every function's documentation says
//! which is which:
//!
//! * *checked by the kernel*: may be anything. If it is NULL or unreadable (unwritable, where
//!   something is written), the answer is `-EFAULT`, and a handle that is no context gives
//!   `-EINVAL`.
//! * *read here*: must be NULL or readable, as with the original. An address that no program can
//!   map is left to the kernel, which answers `-EFAULT`.

#[cfg(feature = "versioned")]
mod exports;
pub mod functions;
#[cfg(target_pointer_width = "32")]
mod time64;
pub mod types;
#[cfg(feature = "versioned")]
mod version_0_1;

/// Whether an address could be a program's memory. The first page is never mapped
/// (`vm.mmap_min_addr`), user space ends below 2^56 on every 64-bit Linux with five-level page
/// tables or fewer, and on 32-bit machines the last two pages are never the program's.
pub(crate) fn is_plausible<T>(address: *const T) -> bool {
    const FIRST: usize = 4096;
    #[cfg(target_pointer_width = "64")]
    const LAST: usize = (1 << 56) - 1;
    #[cfg(target_pointer_width = "32")]
    const LAST: usize = usize::MAX - 2 * 4096;
    (FIRST..=LAST).contains(&(address as usize))
}
