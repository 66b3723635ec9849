//! The one error type: a kernel error number, and its form in C, a negated return value.

#![forbid(unsafe_code)]

use libc::c_int;

/// An error number as the kernel gave it, 1 to 4095 (`MAX_ERRNO` in the kernel's `err.h`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(c_int);

/// What a call answers: a count or 0, or the kernel's error.
pub type Result = core::result::Result<c_int, Errno>;

impl Errno {
    /// Invalid argument; also the answer for a handle that is no context.
    pub const EINVAL: Errno = Errno(libc::EINVAL);
    /// A signal arrived before any event.
    pub const EINTR: Errno = Errno(libc::EINTR);
    #[cfg(target_pointer_width = "32")]
    /// The kernel has no such system call.
    pub const ENOSYS: Errno = Errno(libc::ENOSYS);
}

/// From the kernel's convention, where -4095 to -1 are errors. The system calls of kernel AIO
/// return counts that came in as a C `long` but never exceed what a ring holds, so they fit.
pub fn from_kernel(answer: isize) -> Result {
    if (-4095..0).contains(&answer) {
        Err(Errno(-(answer as c_int)))
    } else {
        Ok(answer as c_int)
    }
}

/// To libaio's convention: the negated error number.
pub fn into_c(result: Result) -> c_int {
    match result {
        Ok(answer) => answer,
        Err(Errno(number)) => -number,
    }
}
