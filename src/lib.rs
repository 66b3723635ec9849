//! libaio-rs: the library over Linux kernel AIO, `libaio.so.1`, in Rust.
//!
//! The way of a request, which is also the order of the modules:
//!
//! ```text
//!  C program ── struct iocb ──▶ c_abi ──▶ context ──▶ kernel ──▶ io_submit(2)
//!                               types,    who serves  system calls,      │
//!                               exports   a handle    completion ring    ▼
//!  C program ◀─ struct io_event ─ c_abi ◀─ context ◀─ kernel ◀── io_getevents(2)
//! ```
//!
//! Every call answers with a number at or above 0, or with a negated error number; the C
//! library's `errno` is never touched. Nothing here allocates, prints, starts a thread or installs a
//! signal handler.

#![no_std]
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(unsafe_code)]

// `cargo test` builds with unwinding whatever the profile says, and then only std can supply the
// panic machinery. No other build may contain std.
#[cfg(not(panic = "abort"))]
extern crate std;

#[allow(unsafe_code)] // the C calling convention: raw pointers in, raw pointers out
pub mod c_abi;
#[allow(unsafe_code)] // passes the program's pointers on
mod context;
mod errno;
#[allow(unsafe_code)] // system calls, and memory shared with the kernel
mod kernel;
#[cfg(reaps_in_user_space)]
#[allow(unsafe_code)] // reads the environment
mod settings;

/// A final link artefact must have a panic handler. No code path reaches it: the shared library
/// is linked with `-z defs`, and a call to any of core's panic functions would leave
/// `rust_eh_personality` undefined there.
#[cfg(all(not(test), panic = "abort"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
