//! 32-bit ARM.

pub use super::no_sections::*;
pub use super::through_libc::*;
use libc::c_long;

pub const REAPS: bool = false;
pub const LARGEST_PAGE: usize = 65536;
pub const KERNEL_SIGSET_SIZE: usize = 8;
pub const SYS_IO_PGETEVENTS: c_long = 399;
