//! The parts of the library that the tests of the lock use, where it looks for them.

#[path = "../../src/sys/arch/mod.rs"]
pub mod arch;
#[path = "../../src/sys/probe.rs"]
pub mod probe;
#[path = "../../src/sys/restartable/mod.rs"]
pub mod restartable;
#[path = "../../src/sys/syscall.rs"]
pub mod syscall;
