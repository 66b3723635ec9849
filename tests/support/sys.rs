//! The parts of the library's `sys` that the tests of the lock compile, under the same names.

#[path = "../../src/sys/arch/mod.rs"]
pub mod arch;
#[path = "../../src/sys/probe.rs"]
pub mod probe;
#[path = "../../src/sys/restartable/mod.rs"]
pub mod restartable;
#[path = "../../src/sys/syscall.rs"]
pub mod syscall;
