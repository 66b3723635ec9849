//! Which addresses can be in user space.

#![forbid(unsafe_code)]

/// Whether an address can be in user space. The first page is never mapped (`vm.mmap_min_addr`).
/// On 64-bit machines, user space ends below 2^56, even with five-level page tables. On 32-bit
/// machines, it never includes the last two pages.
pub fn is_plausible<T>(address: *const T) -> bool {
    const FIRST: usize = 4096;
    #[cfg(target_pointer_width = "64")]
    const LAST: usize = (1 << 56) - 1;
    #[cfg(target_pointer_width = "32")]
    const LAST: usize = usize::MAX - 2 * 4096;
    (FIRST..=LAST).contains(&(address as usize))
}
