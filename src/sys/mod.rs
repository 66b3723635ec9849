//! System calls, one function each, and what the CPU needs for them.

pub mod aio;
pub mod arch;
pub mod memory;
pub mod pgetevents;
pub mod restartable;
mod syscall;
#[cfg(reaps_in_user_space)]
pub mod valgrind;
