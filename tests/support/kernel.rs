//! The parts of src/kernel that the tests of the lock use.

#[path = "../../src/kernel/restartable/mod.rs"]
pub mod restartable;
#[path = "../../src/kernel/ring.rs"]
pub mod ring;
#[path = "../../src/kernel/syscall.rs"]
pub mod syscall;
