//! libaio-rs: the library over Linux kernel AIO, `libaio.so.1`, in Rust.
//!
//! The way of a request, which is also the order of the modules, from the top down. Each imports
//! only what stands below it.
//!
//! ```text
//!   struct iocb                     C program                     struct io_event
//!        │                                                              ▲
//!        ▼                                                              │
//!   c_abi        what C sees: the functions, their versions         c_abi
//!   context      which engine serves a handle; may the ring       context ◀── copied by the owner
//!        │       answer? (getevents, registry, entry, lock)             ▲     of the ring's lock
//!   engine       the five verbs: set up, submit, wait,           engine │         │
//!        │       cancel, destroy (kernel_aio)                           │     aio_ring
//!   sys          system calls, restartable sections, the CPU       sys  │         │
//!        ▼                                                              │         │
//!   io_submit(2) ───── the kernel ─────▶ the completion ring ─▶ io_getevents(2)   │
//!                                                └────────────────────────────────┘
//! ```
//!
//! At the bottom are the types that the program, the kernel and this library share (`abi`,
//! `timeout`), which addresses are worth reading (`address`), the one error type (`errno`) and the
//! one setting (`settings`).
//!
//! Every call answers with a number at or above 0, or with a negated error number; the C
//! library's `errno` is never touched. Nothing here allocates, prints, starts a thread or installs
//! a signal handler.

#![no_std]
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![deny(unsafe_code)]

// `cargo test` builds with unwinding whatever the profile says, and then only std can supply the
// panic machinery. No other build may contain std.
#[cfg(not(panic = "abort"))]
extern crate std;

#[allow(unsafe_code)] // memory shared with the kernel
mod aio_ring;
#[allow(unsafe_code)] // the C calling convention: raw pointers in, raw pointers out
pub mod c_abi;
#[allow(unsafe_code)] // passes the program's pointers on, and reads its timeouts
mod context;
#[allow(unsafe_code)] // passes the program's pointers on, and carries requests out
mod engine;
#[allow(unsafe_code)] // system calls, assembly
mod sys;

pub mod abi;
mod address;
mod errno;
#[allow(unsafe_code)] // reads the environment
mod settings;
mod timeout;

/// A final link artefact must have a panic handler. No code path reaches it: the shared library
/// is linked with `-z defs`, and a call to any of core's panic functions would leave
/// `rust_eh_personality` undefined there.
#[cfg(all(not(test), panic = "abort"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
