//! The C surface: what `libaio.h` declares and `libaio.so.1` exports. Each function checks what
//! only it can check, hands the call on, and turns the answer into C's form.
//!
//! Pointers that the functions take are of two kinds, and every function's documentation says
//! which is which:
//!
//! * *checked by the kernel*: may be anything. If it is NULL or unreadable (unwritable, where
//!   something is written), the answer is `-EFAULT`, and a handle that is no context gives
//!   `-EINVAL`.
//! * *read here*: must be NULL or readable, as with the original. An address that no program can
//!   map is left to the kernel, which answers `-EFAULT`.

#[cfg(feature = "versioned")]
mod exports;
pub mod functions;
#[cfg(target_pointer_width = "32")]
mod time64;
#[cfg(feature = "versioned")]
mod version_0_1;
