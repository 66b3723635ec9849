//! Carries out a read or write with preadv2(2) or pwritev2(2). Kernel AIO calls the file's
//! `read_iter` or `write_iter` instead (`aio_read`, `aio_write` in `fs/aio.c`).
//!
//! A *server* below is a FUSE daemon, or the server of a network file system. It can return any
//! error, and a request must not be sent to it twice.

use super::context_ref::{ContextRef, FileWait};
use super::refusal::Refused;
use super::transfer::{Transfer, DSYNC, HIPRI, NOSIGNAL, NOWAIT};
use crate::errno::{into_event, Errno};
use crate::sys::files::{self, Direction, Transferred, NO_OFFSET};
use crate::sys::user_memory::Checked;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libc::{c_long, POLLIN, POLLOUT};

/// Whether the kernel is known not to support [`NOSIGNAL`] (since Linux 6.18).
static KERNEL_LACKS_NOSIGNAL: AtomicBool = AtomicBool::new(false);

/// Carries out a read or write. Returns the `res` of the event, or why the request is refused.
///
/// # Safety
/// As `request::submit`.
pub unsafe fn carry_out(
    transfer: &Transfer,
    context: &ContextRef,
    checked: &mut Checked,
) -> Result<c_long, Refused> {
    if transfer.offset < 0 {
        // SAFETY: the caller's promise.
        return Err(unsafe { transfer.first_failed_check(checked) }
            .unwrap_or(Errno::EINVAL)
            .into());
    }
    // For 0 bytes, the system calls return before they check the file's operations; kernel AIO
    // does check them.
    if transfer.is_empty && transfer.has_iterator() == Some(false) {
        return Err(Errno::EINVAL.into());
    }
    // SAFETY: the caller's promise.
    let result = match unsafe { transfer.transfer_known_file(checked) } {
        Some(result) => result,
        // SAFETY: the caller's promise.
        None => unsafe { transfer.transfer_unknown_file(checked) },
    };
    if result.is_ok() {
        return Ok(into_event(result));
    }
    // A file without offsets, if ESPIPE comes from the kernel, not from a server, which a
    // transfer of 0 bytes never reaches.
    if result == Err(Errno::ESPIPE) && transfer.transfer_nothing(transfer.fd, 0) == result {
        // SAFETY: the caller's promise.
        return unsafe { transfer.transfer_stream(context, checked) };
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { transfer.res_or_refusal(result, checked) }?)
}

impl Transfer {
    /// Makes the fast call, if an earlier request of this io_submit() has shown that kernel AIO
    /// serves the file. If another thread replaces the descriptor now by that of a file that kernel
    /// AIO refuses, that file is read or written.
    ///
    /// # Safety
    /// As `request::submit`.
    #[inline(always)]
    unsafe fn transfer_known_file(&self, checked: &mut Checked) -> Option<Transferred> {
        let is_simple = cfg!(target_pointer_width = "64")
            && checked.iter_file == (self.fd, self.direction)
            && !self.has_vector
            && !self.is_empty
            && self.flags & !HIPRI == 0;
        is_simple.then(|| {
            // SAFETY: the vector is the caller's local variable; and the caller's promise.
            unsafe {
                let segment = &*self.vector;
                files::transfer(
                    files::PREAD,
                    self.direction,
                    self.fd,
                    segment.iov_base,
                    segment.iov_len as u32, // at most MAX_RW_COUNT
                    self.offset,
                    0,
                )
            }
        })
    }

    /// Makes the call with a flag that has no effect. Files without `read_iter` or `write_iter`,
    /// such as directories and most files of /proc, refuse every flag.
    ///
    /// # Safety
    /// As `request::submit`.
    #[inline(never)]
    unsafe fn transfer_unknown_file(&self, checked: &mut Checked) -> Transferred {
        let mut flag = match self.direction {
            Direction::Read => DSYNC,
            Direction::Write => NOSIGNAL,
        };
        if flag == NOSIGNAL && KERNEL_LACKS_NOSIGNAL.load(Relaxed) {
            flag = self.write_flag_without_nosignal();
        }
        loop {
            // SAFETY: the caller's promise.
            let result = unsafe { self.transfer(self.offset, flag) };
            match result {
                // Either such a file, or a kernel without the flag. If it is a server's error, the
                // server has received the request, so do not repeat it.
                Err(Errno::EOPNOTSUPP)
                    if flag == NOSIGNAL && self.test_flags(NOSIGNAL) != Err(Errno::EINVAL) =>
                {
                    flag = self.write_flag_without_nosignal()
                }
                Ok(_) => {
                    if self.direction == Direction::Write && flag != NOSIGNAL {
                        KERNEL_LACKS_NOSIGNAL.store(true, Relaxed);
                    }
                    checked.iter_file = (self.fd, self.direction);
                    return result;
                }
                _ => return result,
            }
        }
    }

    /// The flag for a write if the kernel does not support NOSIGNAL: none for a file that is known
    /// to have `write_iter`, such as regular files and block devices; otherwise DSYNC, which has no
    /// effect on files that are not stored on a disk.
    #[inline(never)]
    fn write_flag_without_nosignal(&self) -> c_int {
        match files::type_and_size(self.fd) {
            None | Some((libc::S_IFBLK, _)) => 0,
            Some((libc::S_IFREG, size))
                if size > 0
                    || self.has_iterator() == Some(true)
                    || !is_pseudo(files::file_system_type(self.fd)) =>
            {
                0
            }
            Some(_) => DSYNC,
        }
    }

    /// Transfers to or from a pipe, socket, terminal or other file without offsets, which may not
    /// be ready. This waits with ppoll(2) and the program's signal mask; like in kernel AIO, a
    /// signal handler ends the wait, even with SA_RESTART. The transfer itself does not wait.
    ///
    /// # Safety
    /// As `request::submit`.
    #[inline(never)]
    unsafe fn transfer_stream(
        &self,
        context: &ContextRef,
        checked: &mut Checked,
    ) -> Result<c_long, Refused> {
        if self.has_iterator() == Some(false) {
            return Err(Errno::EINVAL.into());
        }
        // Kernel AIO sends the offset to the server even of a FUSE file that is not seekable. No
        // system call does, so return an error instead of transferring another part of the file.
        if matches!(files::type_and_size(self.fd), Some((libc::S_IFREG, _))) {
            return Ok(into_event(Err(Errno::ESPIPE)));
        }
        let does_not_wait =
            self.flags & NOWAIT != 0 || files::status_flags(self.fd)? & libc::O_NONBLOCK != 0;
        let events = match self.direction {
            Direction::Read => POLLIN,
            Direction::Write => POLLOUT,
        };
        let mut done = 0;
        // NOWAIT if this function waits; 0 if the file does not wait, or must wait itself.
        let mut flag = if does_not_wait { 0 } else { NOWAIT };
        loop {
            // SAFETY: the caller's promise.
            let result = unsafe { self.transfer_rest(done, flag) };
            let is_partial = done > 0;
            match result {
                Ok(count) => {
                    done += count;
                    if count == 0 || flag == 0 || self.direction == Direction::Read {
                        return Ok(done);
                    }
                }
                Err(error @ (Errno::EAGAIN | Errno::EOPNOTSUPP | Errno::ENOSYS)) if flag != 0 => {
                    if error != Errno::EAGAIN {
                        flag = 0; // the file does not support NOWAIT
                        if self.direction == Direction::Read
                            && files::is_terminal_without_min(self.fd)
                        {
                            continue;
                        }
                    }
                    match context.wait_for_file(self.fd, events, is_partial) {
                        FileWait::Ready => {}
                        FileWait::Interrupted if is_partial => return Ok(done),
                        FileWait::Interrupted => return Ok(into_event(Err(Errno::EINTR))),
                        FileWait::Full => return Err(Refused::WithoutRoom(Errno::EAGAIN)),
                        FileWait::Destroyed => return Err(Refused::WithoutRoom(Errno::EINVAL)),
                    }
                }
                Err(_) if is_partial => return Ok(done),
                // SAFETY: the caller's promise.
                result => return Ok(unsafe { self.res_or_refusal(result, checked) }?),
            }
        }
    }

    /// Transfers what follows the first `done` bytes: everything if `done` is 0, otherwise the rest
    /// of the segment that contains the next byte. Returns 0 if nothing follows.
    ///
    /// # Safety
    /// As `request::submit`. If `done` is not 0, the kernel must have read the vector.
    #[inline(never)]
    unsafe fn transfer_rest(&self, done: c_long, flag: c_int) -> Transferred {
        if done == 0 {
            // SAFETY: the caller's promise.
            return unsafe { self.transfer(NO_OFFSET, flag | DSYNC) };
        }
        let mut skip = done as usize;
        for i in 0..self.count as usize {
            // SAFETY: the kernel has read the vector, so it is readable.
            let mut segment = unsafe { self.vector.wrapping_add(i).read_unaligned() };
            if skip < segment.iov_len {
                segment.iov_base = segment.iov_base.cast::<u8>().wrapping_add(skip).cast();
                segment.iov_len -= skip;
                let rest = Transfer {
                    vector: &segment,
                    count: 1,
                    ..*self
                };
                // SAFETY: the caller's promise.
                return unsafe { rest.transfer(NO_OFFSET, flag | DSYNC) };
            }
            skip -= segment.iov_len;
        }
        Ok(0)
    }
}

/// Whether a file system has files of size 0 without `read_iter` and `write_iter`: proc, debugfs,
/// tracefs, securityfs (`linux/magic.h`).
fn is_pseudo(file_system: u32) -> bool {
    matches!(
        file_system,
        0x9fa0 | 0x6462_6720 | 0x7472_6163 | 0x7363_6673
    )
}
