//! The C interface: what `libaio.h` declares and `libaio.so.1` exports. Each function checks its
//! own arguments, passes the call to `context`, and converts the result into C's form.
//!
//! The documentation of every function uses two terms for pointer arguments:
//!
//! * *checked by the kernel*: any value is allowed. A pointer that is NULL or unreadable
//!   (unwritable, if the call writes through it) gives `-EFAULT`. A handle that is not a context
//!   gives `-EINVAL`.
//! * *read here*: must be NULL or readable, as with the original. An address outside of user space
//!   is passed to the kernel, which returns `-EFAULT`.

#[cfg(feature = "versioned")]
mod exports;
pub mod functions;
#[cfg(target_pointer_width = "32")]
mod time64;
#[cfg(feature = "versioned")]
mod version_0_1;
