//! Which addresses are worth reading.

#![forbid(unsafe_code)]

/// Whether an address could be a program's memory. The first page is never mapped
/// (`vm.mmap_min_addr`), user space ends below 2^56 on every 64-bit Linux with five-level page
/// tables or fewer, and on 32-bit machines the last two pages are never the program's.
pub fn is_plausible<T>(address: *const T) -> bool {
    const FIRST: usize = 4096;
    #[cfg(target_pointer_width = "64")]
    const LAST: usize = (1 << 56) - 1;
    #[cfg(target_pointer_width = "32")]
    const LAST: usize = usize::MAX - 2 * 4096;
    (FIRST..=LAST).contains(&(address as usize))
}
