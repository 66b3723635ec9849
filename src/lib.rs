//! libaio-rs: `libaio.so.1`, the library for Linux kernel AIO, in Rust.
//!
//! The path of a request. The modules are in the same order, from the top down; each imports only
//! from those below it.
//!
//! ```text
//!   struct iocb                     C program                     struct io_event
//!        │                                                              ▲
//!        ▼                                                              │
//!   c_abi        what C sees: the functions, their versions         c_abi
//!   context      which engine serves a handle; are ready          context ◀── copied by the owner
//!        │       events copied here? (getevents, registry,              ▲     of the ring's lock
//!        │       entry, lock)                                           │         │
//!   engine       the five operations: set up, submit, wait,      engine │         │
//!        │       cancel, destroy (kernel_aio)                           │     aio_ring
//!   sys          system calls, restartable sections, the CPU       sys  │         │
//!        ▼                                                              │         │
//!   io_submit(2) ───── the kernel ─────▶ the completion ring ─▶ io_getevents(2)   │
//!                                                └────────────────────────────────┘
//! ```
//!
//! The lowest modules are the types that the program, the kernel and this library share (`abi`,
//! `timeout`), which addresses are in user space (`address`), the error type (`errno`) and the
//! settings (`settings`).
//!
//! Every call returns a number at or above 0, or a negated error number. It does not change the C
//! library's `errno`. Nothing here allocates, prints, starts a thread or installs a signal handler.

#![no_std]
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![deny(unsafe_code)]

// `cargo test` ignores `panic = "abort"`, and unwinding needs std's panic runtime. No other build
// may contain std.
#[cfg(not(panic = "abort"))]
extern crate std;

#[allow(unsafe_code)] // memory shared with the kernel
mod aio_ring;
#[allow(unsafe_code)] // the C calling convention: raw pointers in, raw pointers out
pub mod c_abi;
#[allow(unsafe_code)] // passes the program's pointers on, and reads its timeouts
mod context;
#[allow(unsafe_code)] // passes the program's pointers on, and carries out requests
mod engine;
#[allow(unsafe_code)] // system calls, assembly
mod sys;

pub mod abi;
mod address;
mod errno;
#[allow(unsafe_code)] // reads the environment
mod settings;
mod timeout;

/// rustc requires a panic handler. No code path reaches it: a call to one of core's panic functions
/// would leave `rust_eh_personality` undefined, and `-z defs` makes that a link error.
#[cfg(all(not(test), panic = "abort"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
