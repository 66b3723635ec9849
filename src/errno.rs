//! The one error type: a kernel error number, and its form in C, a negated return value.

#![forbid(unsafe_code)]

use libc::c_int;

/// An error number as the kernel gave it, 1 to 4095 (`MAX_ERRNO` in the kernel's `err.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(c_int);

/// What a call answers: a count or 0, or the kernel's error.
pub type Result = core::result::Result<c_int, Errno>;

macro_rules! numbers {
    ($($name:ident),+) => {
        #[allow(missing_docs)] // errno(3)
        impl Errno {
            $(pub const $name: Errno = Errno(libc::$name);)+
        }
    };
}
numbers!(
    EACCES, EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EISDIR, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM, ESPIPE
);

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

/// As a request's event has it.
pub fn into_event(result: core::result::Result<libc::c_long, Errno>) -> libc::c_long {
    match result {
        Ok(count) => count,
        Err(Errno(number)) => -libc::c_long::from(number),
    }
}
