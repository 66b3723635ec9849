//! System calls, one function for each, and the code that depends on the CPU (`arch`).

pub mod aio;
pub mod arch;
pub mod files;
pub mod futex;
pub mod memory;
pub mod pgetevents;
pub mod probe;
pub mod restartable;
pub mod signals;
mod syscall;
pub mod user_memory;
#[cfg(reaps_in_user_space)]
pub mod valgrind;
