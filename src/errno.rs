//! The error type: a kernel error number, which C functions return negated.

#![forbid(unsafe_code)]

use libc::c_int;

/// A kernel error number, 1 to 4095 (`MAX_ERRNO` in the kernel's `err.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(c_int);

/// The result of a call: a count or 0, or the kernel's error.
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

/// Converts the result of a system call, where -4095 to -1 are errors. Counts of kernel AIO are
/// `long`s, but fit into an `int`, because they never exceed the size of a ring.
pub fn from_kernel(answer: isize) -> Result {
    if (-4095..0).contains(&answer) {
        Err(Errno(-(answer as c_int)))
    } else {
        Ok(answer as c_int)
    }
}

/// Converts to what libaio's functions return: an error number is negated.
pub fn into_c(result: Result) -> c_int {
    match result {
        Ok(answer) => answer,
        Err(Errno(number)) => -number,
    }
}

/// Converts to the `res` of an event.
pub fn into_event(result: core::result::Result<libc::c_long, Errno>) -> libc::c_long {
    match result {
        Ok(count) => count,
        Err(Errno(number)) => -libc::c_long::from(number),
    }
}
