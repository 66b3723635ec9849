//! MIPS, 32-bit and 64-bit. It has 128 signals; other CPUs have 64. Programs with 32-bit pointers
//! on 64-bit registers (n32) are not supported, because their system calls have other numbers.

pub use super::no_sections::*;
pub use super::through_libc::*;
use libc::c_long;

pub const REAPS: bool = false;
pub const LARGEST_PAGE: usize = 65536;
pub const KERNEL_SIGSET_SIZE: usize = 16;
pub const SYS_IO_PGETEVENTS: c_long = if cfg!(target_arch = "mips") {
    4368
} else {
    5328
};
