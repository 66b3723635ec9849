//! Carries out a read or write with preadv2(2) or pwritev2(2). Kernel AIO calls the file's
//! `read_iter` or `write_iter` instead (`aio_read`, `aio_write` in `fs/aio.c`).
//!
//! Kernel AIO refuses a request if a check fails, and returns errors of the file in an event. The
//! system calls return both kinds of error in the same way. Therefore after an error, which is
//! rare, further calls find out which kind it was.
//!
//! A *server* below is a FUSE daemon, or the server of a network file system. It can return any
//! error, and a request must not be sent to it twice.

use super::context_ref::{ContextRef, FileWait};
use super::request::Refused;
use crate::address::is_user_address;
use crate::errno::{into_event, Errno};
use crate::sys::files::{self, Direction, Transferred, NO_OFFSET};
use crate::sys::user_memory::Checked;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libc::{c_long, iovec, POLLIN, POLLOUT};

/// `MAX_RW_COUNT` in the kernel, with pages of 4 KiB.
pub const MAX_RW_COUNT: usize = 0x7fff_f000;
/// `UIO_MAXIOV`.
const UIO_MAXIOV: u32 = 1024;

// The `RWF_` flags in `linux/fs.h`.
const HIPRI: c_int = 0x01;
const DSYNC: c_int = 0x02;
const SYNC: c_int = 0x04;
const NOWAIT: c_int = 0x08;
const APPEND: c_int = 0x10;
const NOAPPEND: c_int = 0x20;
/// Has an effect only on pipes and sockets.
const NOSIGNAL: c_int = 0x100;
/// Flags that the kernel accepts for every file.
const FLAGS_OF_EVERY_FILE: c_int = HIPRI | DSYNC | SYNC | APPEND;

/// Whether the kernel is known to support [`NOAPPEND`] (since Linux 6.9).
static KERNEL_HAS_NOAPPEND: AtomicBool = AtomicBool::new(false);
/// Whether the kernel is known not to support [`NOSIGNAL`] (since Linux 6.18).
static KERNEL_LACKS_NOSIGNAL: AtomicBool = AtomicBool::new(false);

/// A request to read or write.
pub struct Transfer {
    pub direction: Direction,
    pub fd: c_int,
    pub vector: *const iovec,
    pub count: u32,
    /// Whether the vector is in the program's memory.
    pub has_vector: bool,
    /// Whether `nbytes` is 0.
    pub is_empty: bool,
    pub offset: i64,
    pub flags: c_int,
}

impl Transfer {
    /// Makes the transfer. Returns the `res` of the event, or why the request is refused.
    ///
    /// # Safety
    /// As `request::submit`.
    pub unsafe fn carry_out(
        &self,
        context: &ContextRef,
        checked: &mut Checked,
    ) -> Result<c_long, Refused> {
        if self.offset < 0 {
            // SAFETY: the caller's promise.
            return Err(unsafe { self.first_failed_check(checked) }
                .unwrap_or(Errno::EINVAL)
                .into());
        }
        // For 0 bytes, the system calls return before they check the file's operations; kernel AIO
        // does check them.
        if self.is_empty && self.has_iterator() == Some(false) {
            return Err(Errno::EINVAL.into());
        }
        // SAFETY: the caller's promise.
        let result = match unsafe { self.transfer_known_file(checked) } {
            Some(result) => result,
            // SAFETY: the caller's promise.
            None => unsafe { self.transfer_unknown_file(checked) },
        };
        if result.is_ok() {
            return Ok(into_event(result));
        }
        // A file without offsets, if ESPIPE comes from the kernel, not from a server, which a
        // transfer of 0 bytes never reaches.
        if result == Err(Errno::ESPIPE) && self.transfer_nothing(self.fd, 0) == result {
            // SAFETY: the caller's promise.
            return unsafe { self.transfer_stream(context, checked) };
        }
        // SAFETY: the caller's promise.
        Ok(unsafe { self.res_or_refusal(result, checked) }?)
    }

    /// Makes the fast call, if an earlier request of this io_submit() has shown that kernel AIO
    /// serves the file. If another thread replaces the descriptor now by that of a file that kernel
    /// AIO refuses, that file is read or written.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
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
    /// As [`Transfer::carry_out`].
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

    /// Makes the system call. RWF_HIPRI is removed, because kernel AIO does not poll for
    /// completion.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn transfer(&self, offset: i64, extra_flags: c_int) -> Transferred {
        let (direction, fd, vector, count) = (self.direction, self.fd, self.vector, self.count);
        let flags = (self.flags & !HIPRI) | extra_flags;
        let make = |calls| {
            // SAFETY: the caller's promise.
            unsafe { files::transfer(calls, direction, fd, vector, count, offset, flags) }
        };
        match make(files::PREADV2) {
            // If a transfer without a file fails, too, the kernel or a sandbox has only the older
            // calls. Otherwise it is the file's error.
            Err(error @ (Errno::ENOSYS | Errno::EPERM))
                if self.flags & !HIPRI == 0
                    && self.transfer_nothing(-1, NO_OFFSET) == Err(error) =>
            {
                make(match offset {
                    NO_OFFSET => files::READV,
                    _ => files::PREADV,
                })
            }
            result => result,
        }
    }

    /// Transfers 0 bytes. The kernel checks the descriptor and its mode, but does not call the
    /// file's operation.
    #[inline(never)]
    fn transfer_nothing(&self, fd: c_int, offset: i64) -> Transferred {
        let none = core::ptr::null::<iovec>();
        // SAFETY: an empty vector refers to no memory.
        unsafe { files::transfer(files::PREADV2, self.direction, fd, none, 0, offset, 0) }
    }

    /// Whether the file has `read_iter` or `write_iter`. None if that cannot be found out, which is
    /// so before Linux 6.9.
    #[inline(never)]
    fn has_iterator(&self) -> Option<bool> {
        match self.test_flags(0) {
            Err(Errno::EINVAL) => {
                KERNEL_HAS_NOAPPEND.store(true, Relaxed);
                Some(true)
            }
            Err(Errno::EOPNOTSUPP) if KERNEL_HAS_NOAPPEND.load(Relaxed) => Some(false),
            _ => None,
        }
    }

    /// Makes a transfer of one byte that always fails before the file's operation is called,
    /// because its two flags exclude each other: EINVAL if the file accepts flags and the kernel
    /// supports all of them, EOPNOTSUPP if not.
    #[inline(never)]
    fn test_flags(&self, extra_flags: c_int) -> Transferred {
        let byte = iovec {
            iov_base: core::ptr::addr_of!(self.flags) as *mut libc::c_void,
            iov_len: 1,
        };
        let flags = APPEND | NOAPPEND | extra_flags;
        // SAFETY: the kernel refuses the flags, so it transfers nothing. Before Linux 6.9, it
        // refuses NOAPPEND as an unknown flag.
        unsafe {
            files::transfer(
                files::PREADV2,
                self.direction,
                self.fd,
                &byte,
                1,
                NO_OFFSET,
                flags,
            )
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

    /// Converts the result of a transfer to the `res` of an event, or, if kernel AIO would have
    /// refused the request, to the error.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn res_or_refusal(
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
            Errno::EINVAL => unsafe { self.is_malformed(checked) },
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
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn first_failed_check(&self, checked: &mut Checked) -> Option<Errno> {
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

    /// Whether the file supports RWF_NOWAIT (`FMODE_NOWAIT`). If so, EOPNOTSUPP came from the
    /// file's operation.
    fn supports_nowait(&self) -> bool {
        let mut byte = 0_u8;
        let one = iovec {
            iov_base: core::ptr::addr_of_mut!(byte).cast(),
            iov_len: 1,
        };
        // SAFETY: reads one byte into `byte`. A read at an offset does not change the file.
        let answer = unsafe {
            files::transfer(files::PREADV2, Direction::Read, self.fd, &one, 1, 0, NOWAIT)
        };
        match answer {
            // Of the files without offsets, only the operations of sockets return EOPNOTSUPP.
            Err(Errno::ESPIPE) => {
                matches!(files::type_and_size(self.fd), Some((libc::S_IFSOCK, _)))
            }
            answer => answer != Err(Errno::EOPNOTSUPP),
        }
    }

    /// The addresses and lengths in the vector, if it can be read.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
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
    /// As [`Transfer::carry_out`].
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
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn has_bad_address(&self, checked: &mut Checked) -> bool {
        // SAFETY: the caller's promise.
        let Some(mut segments) = (unsafe { self.segments(checked) }) else {
            return true;
        };
        segments.any(|(base, length)| {
            let last = base.wrapping_add(length.saturating_sub(1));
            length > 0 && (last < base || last >= 4096 && !is_user_address(last as *const u8))
        })
    }

    /// Transfers to or from a pipe, socket, terminal or other file without offsets, which may not
    /// be ready. This waits with ppoll(2) and the program's signal mask; like in kernel AIO, a
    /// signal handler ends the wait, even with SA_RESTART. The transfer itself does not wait.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
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
    /// As [`Transfer::carry_out`]. If `done` is not 0, the kernel must have read the vector.
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
