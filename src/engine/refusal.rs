//! Whether an error refuses a request, or is the result in its event.
//!
//! Kernel AIO refuses a request if a check fails, and returns errors of the file in an event. The
//! system calls return both kinds of error in the same way. Therefore after an error, which is
//! rare, further calls find out which kind it was.

use super::transfer::{Transfer, APPEND, DSYNC, HIPRI, MAX_RW_COUNT, NOAPPEND, NOWAIT, SYNC};
use crate::address::is_user_address;
use crate::errno::{into_event, Errno};
use crate::sys::files::{self, Direction, Transferred, NO_OFFSET};
use crate::sys::user_memory::Checked;
use core::ffi::c_int;
use libc::{c_long, iovec};

/// `UIO_MAXIOV`.
const UIO_MAXIOV: u32 = 1024;
/// Flags that the kernel accepts for every file.
const FLAGS_OF_EVERY_FILE: c_int = HIPRI | DSYNC | SYNC | APPEND;

/// The error with which a request is refused, and whether room for its event is still reserved.
pub enum Refused {
    WithRoom(Errno),
    WithoutRoom(Errno),
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Refused {
        Refused::WithRoom(error)
    }
}

impl Transfer {
    /// Converts the result of a transfer to the `res` of an event, or, if kernel AIO would have
    /// refused the request, to the error.
    ///
    /// # Safety
    /// As `request::submit`.
    #[inline(never)]
    pub unsafe fn res_or_refusal(
        &self,
        result: Transferred,
        checked: &mut Checked,
    ) -> Result<c_long, Errno> {
        let Err(error) = result else {
            return Ok(into_event(result));
        };
        let is_refusal = match error {
            Errno::EBADF => {
                let status = files::status_flags(self.fd)?;
                if let Some(error) = self.unknown_flags() {
                    return Err(error);
                }
                self.is_closed_to(status)
            }
            // rw_verify_area() returns it for security modules, before the file's operation.
            Errno::EACCES => self.test_flags(0) == result,
            // The file cannot be read or written at all. This is checked before the vector.
            Errno::EINVAL if self.transfer_nothing(self.fd, NO_OFFSET) == result => true,
            // SAFETY: the caller's promise.
            Errno::EINVAL if unsafe { self.is_malformed(checked) } => {
                // Kernel AIO checks the mode first; before Linux 6.9, preadv2(2) did not.
                return Err(match self.is_closed_to(files::status_flags(self.fd)?) {
                    true => Errno::EBADF,
                    false => error,
                });
            }
            // SAFETY: the caller's promise.
            Errno::EFAULT => unsafe { self.has_bad_address(checked) },
            Errno::EPERM => self.flags & NOAPPEND != 0,
            // A directory, or a file without `read_iter` or `write_iter`.
            Errno::EISDIR | Errno::EOPNOTSUPP
                if error == Errno::EISDIR || self.flags & !FLAGS_OF_EVERY_FILE == 0 =>
            {
                match self.has_iterator() {
                    Some(true) => false,
                    _ => return Err(Errno::EINVAL),
                }
            }
            Errno::EOPNOTSUPP => self.flags & NOWAIT == 0 || !self.supports_nowait(),
            _ => false,
        };
        match is_refusal {
            true => Err(error),
            false => Ok(into_event(result)),
        }
    }

    /// The error of the first check that fails, of those that kernel AIO makes before it checks the
    /// offset.
    ///
    /// # Safety
    /// As `request::submit`.
    #[inline(never)]
    pub unsafe fn first_failed_check(&self, checked: &mut Checked) -> Option<Errno> {
        let status = match files::status_flags(self.fd) {
            Ok(status) => status,
            Err(error) => return Some(error),
        };
        if let Some(error) = self.unknown_flags() {
            return Some(error);
        }
        if self.is_closed_to(status) {
            return Some(Errno::EBADF);
        }
        if self.has_iterator() == Some(false) {
            return Some(Errno::EINVAL);
        }
        // SAFETY: the caller's promise.
        unsafe { self.has_bad_address(checked) }.then_some(Errno::EFAULT)
    }

    /// Whether a file with these status flags was opened only for the other direction.
    fn is_closed_to(&self, status: c_int) -> bool {
        let refused_mode = match self.direction {
            Direction::Read => libc::O_WRONLY,
            Direction::Write => libc::O_RDONLY,
        };
        status & libc::O_ACCMODE == refused_mode
    }

    /// The error for flags that no kernel supports. Kernel AIO checks them before the file's mode.
    #[inline(never)]
    fn unknown_flags(&self) -> Option<Errno> {
        const ALL: c_int = 0x1ff;
        (self.flags & !ALL != 0 && files::status_flags(self.fd).is_ok())
            .then_some(Errno::EOPNOTSUPP)
    }

    /// The addresses and lengths in the vector, if it can be read.
    ///
    /// # Safety
    /// As `request::submit`.
    unsafe fn segments(
        &self,
        checked: &mut Checked,
    ) -> Option<impl Iterator<Item = (usize, usize)> + '_> {
        let count = self.count.min(UIO_MAXIOV) as usize;
        let length = count * core::mem::size_of::<iovec>();
        let is_readable =
            !self.has_vector || count == 0 || checked.is_readable(self.vector, length);
        is_readable.then(|| {
            (0..count).map(|i| {
                // SAFETY: it is readable. It may be unaligned, in a packed structure.
                let segment = unsafe { self.vector.wrapping_add(i).read_unaligned() };
                (segment.iov_base as usize, segment.iov_len)
            })
        })
    }

    /// Whether the vector, the flags or the offset cause `EINVAL`, not the file.
    ///
    /// # Safety
    /// As `request::submit`.
    #[inline(never)]
    unsafe fn is_malformed(&self, checked: &mut Checked) -> bool {
        if self.count > UIO_MAXIOV || self.flags & APPEND != 0 && self.flags & NOAPPEND != 0 {
            return true;
        }
        // SAFETY: the caller's promise.
        let Some(segments) = (unsafe { self.segments(checked) }) else {
            return true;
        };
        let mut total = 0_usize;
        for (_, length) in segments {
            if length as isize <= -1 {
                return true;
            }
            total = (total + length).min(MAX_RW_COUNT);
        }
        self.offset.checked_add(total as i64).is_none()
    }

    /// Whether the kernel returns `EFAULT` before it transfers anything: the vector cannot be read,
    /// or refers to memory outside of user space.
    ///
    /// # Safety
    /// As `request::submit`.
    #[inline(never)]
    unsafe fn has_bad_address(&self, checked: &mut Checked) -> bool {
        // SAFETY: the caller's promise.
        let Some(mut segments) = (unsafe { self.segments(checked) }) else {
            return true;
        };
        // There, every address is one of user space: the kernel's are in a space of their own.
        if cfg!(any(target_arch = "s390x", target_arch = "sparc64")) {
            return false;
        }
        segments.any(|(base, length)| {
            let last = base.wrapping_add(length.saturating_sub(1));
            length > 0 && (last < base || last >= 4096 && !is_user_address(last as *const u8))
        })
    }
}
