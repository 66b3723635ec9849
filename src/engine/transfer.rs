//! A read or write, carried out with preadv2(2) or pwritev2(2) in the place of the file's
//! `read_iter` or `write_iter`, which the kernel's AIO calls (`aio_read`, `aio_write` in
//! `fs/aio.c`).
//!
//! Those calls check the same things, but report one number for all of them. After an error, which
//! is rare, it is found out whether the kernel's io_submit() would have refused the request or
//! given it an event.

use super::request::Refused;
use super::served::{Inside, Wait};
use crate::address::is_plausible;
use crate::errno::{into_event, Errno};
use crate::sys::files::{self, Direction, Transferred, STREAM};
use crate::sys::user_memory::Proven;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libc::{c_long, iovec, POLLIN, POLLOUT};

/// `MAX_RW_COUNT` in the kernel, with pages of 4 KiB.
pub const MOST: usize = 0x7fff_f000;
/// `UIO_MAXIOV`.
const MOST_PARTS: u32 = 1024;

// `RWF_` flags in `linux/fs.h`.
const HIPRI: c_int = 0x01;
const DSYNC: c_int = 0x02;
const SYNC: c_int = 0x04;
const NOWAIT: c_int = 0x08;
const APPEND: c_int = 0x10;
const NOAPPEND: c_int = 0x20;
/// Has an effect on pipes and sockets alone.
const NOSIGNAL: c_int = 0x100;
/// Flags that the kernel accepts for every file.
const FOR_EVERY_FILE: c_int = HIPRI | DSYNC | SYNC | APPEND;

/// Whether the kernel has been seen to know [`NOAPPEND`] (since Linux 6.9).
static KNOWS_NOAPPEND: AtomicBool = AtomicBool::new(false);
/// Whether it has been seen not to know [`NOSIGNAL`] (since Linux 6.18).
static LACKS_NOSIGNAL: AtomicBool = AtomicBool::new(false);

/// A request to read or write.
pub struct Transfer {
    pub direction: Direction,
    pub fd: c_int,
    pub vector: *const iovec,
    pub count: u32,
    /// Whether the vector is the program's.
    pub has_vector: bool,
    /// Whether it is for no byte at all.
    pub is_nothing: bool,
    pub offset: i64,
    pub flags: c_int,
}

impl Transfer {
    /// # Safety
    /// As `request::submit`.
    pub unsafe fn carry_out(
        &self,
        inside: &Inside,
        proven: &mut Proven,
    ) -> Result<c_long, Refused> {
        if self.offset < 0 {
            // SAFETY: the caller's promise.
            return Err(unsafe { self.refusal(proven) }
                .unwrap_or(Errno::EINVAL)
                .into());
        }
        // The calls do not get to the file for nothing; the kernel's io_submit() does.
        if self.is_nothing && self.has_iterator() == Some(false) {
            return Err(Errno::EINVAL.into());
        }
        // SAFETY: the caller's promise.
        let result = match unsafe { self.simple(proven) } {
            Some(result) => result,
            // SAFETY: the caller's promise.
            None => unsafe { self.careful(proven) },
        };
        if result.is_ok() {
            return Ok(into_event(result));
        }
        // The file's word may be that of a server.
        if result == Err(Errno::ESPIPE) && self.of_nothing(self.fd, 0) == result {
            // SAFETY: the caller's promise.
            return unsafe { self.stream(inside, proven) };
        }
        // SAFETY: the caller's promise.
        Ok(unsafe { self.judge(result, proven) }?)
    }

    /// Makes the simple call, if the last request of this io_submit() was for the same file and
    /// found that the kernel's AIO serves it. If another thread replaces the descriptor by that of
    /// an odd file at this very moment, that file is read or written instead of refused.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(always)]
    unsafe fn simple(&self, proven: &mut Proven) -> Option<Transferred> {
        let is_simple = cfg!(target_pointer_width = "64")
            && proven.file == (self.fd, self.direction)
            && !self.has_vector
            && !self.is_nothing
            && self.flags & !HIPRI == 0;
        is_simple.then(|| {
            // SAFETY: the vector is our own; and the caller's promise.
            unsafe {
                let part = &*self.vector;
                files::transfer(
                    files::OF_ONE_PART,
                    self.direction,
                    self.fd,
                    part.iov_base,
                    part.iov_len as u32, // `MOST` at most
                    self.offset,
                    0,
                )
            }
        })
    }

    /// Makes the call with a flag without effect: files that can only be read or written in another
    /// way, such as directories and most of /proc, refuse every flag.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn careful(&self, proven: &mut Proven) -> Transferred {
        let mut probe = match self.direction {
            Direction::Read => DSYNC,
            Direction::Write => NOSIGNAL,
        };
        if probe == NOSIGNAL && LACKS_NOSIGNAL.load(Relaxed) {
            probe = self.flag_for_write();
        }
        loop {
            // SAFETY: the caller's promise.
            let result = unsafe { self.attempt(self.offset, probe) };
            match result {
                // Such a file, or an older kernel. Not a server's answer: it has had the request.
                Err(Errno::EOPNOTSUPP)
                    if probe == NOSIGNAL
                        && self.up_to_the_flags(NOSIGNAL) != Err(Errno::EINVAL) =>
                {
                    probe = self.flag_for_write()
                }
                Ok(_) => {
                    if self.direction == Direction::Write && probe != NOSIGNAL {
                        LACKS_NOSIGNAL.store(true, Relaxed);
                    }
                    proven.file = (self.fd, self.direction);
                    return result;
                }
                _ => return result,
            }
        }
    }

    /// Makes the call. Nobody polls for the completion of a request, so RWF_HIPRI has no effect.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn attempt(&self, at: i64, more: c_int) -> Transferred {
        let (direction, fd, vector, count) = (self.direction, self.fd, self.vector, self.count);
        let flags = (self.flags & !HIPRI) | more;
        let make = |calls| {
            // SAFETY: the caller's promise.
            unsafe { files::transfer(calls, direction, fd, vector, count, at, flags) }
        };
        match make(files::WITH_FLAGS) {
            // An old kernel, or a sandbox that knows the older calls only; not the file.
            Err(error @ (Errno::ENOSYS | Errno::EPERM))
                if self.flags & !HIPRI == 0 && self.of_nothing(-1, STREAM) == Err(error) =>
            {
                make(match at {
                    STREAM => files::AT_STREAM,
                    _ => files::AT_OFFSET,
                })
            }
            result => result,
        }
    }

    /// The call for no byte, which ends before a file's operation.
    #[inline(never)]
    fn of_nothing(&self, fd: c_int, at: i64) -> Transferred {
        let none = core::ptr::null::<iovec>();
        // SAFETY: no memory is named.
        unsafe { files::transfer(files::WITH_FLAGS, self.direction, fd, none, 0, at, 0) }
    }

    /// Whether the file has `read_iter` or `write_iter`, for the calls above. None if that cannot
    /// be known: before Linux 6.9.
    #[inline(never)]
    fn has_iterator(&self) -> Option<bool> {
        match self.up_to_the_flags(0) {
            Err(Errno::EINVAL) => {
                KNOWS_NOAPPEND.store(true, Relaxed);
                Some(true)
            }
            Err(Errno::EOPNOTSUPP) if KNOWS_NOAPPEND.load(Relaxed) => Some(false),
            _ => None,
        }
    }

    /// The call for one byte, which ends before the file's operation.
    #[inline(never)]
    fn up_to_the_flags(&self, more: c_int) -> Transferred {
        // Two flags that exclude each other: the kernel says so (EINVAL) only where it looks at
        // them.
        let byte = iovec {
            iov_base: core::ptr::addr_of!(self.flags) as *mut libc::c_void,
            iov_len: 1,
        };
        let flags = APPEND | NOAPPEND | more;
        // SAFETY: refused in any case; and one byte is readable there. Before Linux 6.9 the second
        // flag is unknown.
        unsafe {
            files::transfer(
                files::WITH_FLAGS,
                self.direction,
                self.fd,
                &byte,
                1,
                STREAM,
                flags,
            )
        }
    }

    /// The flag to write with: none, if the file is one that is written with `write_iter`, as files
    /// and block devices are; and otherwise one that makes the kernel refuse the others, and has no
    /// effect on those that have nothing to put on a disk.
    #[inline(never)]
    fn flag_for_write(&self) -> c_int {
        match files::kind_and_size(self.fd) {
            None | Some((libc::S_IFBLK, _)) => 0,
            Some((libc::S_IFREG, size))
                if size > 0
                    || self.has_iterator() == Some(true)
                    || !is_pseudo(files::file_system(self.fd)) =>
            {
                0
            }
            Some(_) => DSYNC,
        }
    }

    /// What the kernel's io_submit() would have made of the result: an event's `res`, or an error.
    /// The file itself may give any error, too: that is an event's.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn judge(&self, result: Transferred, proven: &mut Proven) -> Result<c_long, Errno> {
        let Err(error) = result else {
            return Ok(into_event(result));
        };
        let is_refusal = match error {
            Errno::EBADF => {
                let status = files::status_flags(self.fd)?;
                if let Some(error) = self.bad_flags() {
                    return Err(error);
                }
                self.is_closed_to(status)
            }
            // By rw_verify_area(), for security modules.
            Errno::EACCES => self.up_to_the_flags(0) == result,
            // SAFETY: the caller's promise.
            // Whether the file can be read or written at all comes before the vector.
            Errno::EINVAL if self.of_nothing(self.fd, STREAM) == result => true,
            // SAFETY: the caller's promise.
            Errno::EINVAL => unsafe { self.is_malformed(proven) },
            // SAFETY: the caller's promise.
            Errno::EFAULT => unsafe { self.is_out_of_user_space(proven) },
            Errno::EPERM => self.flags & NOAPPEND != 0,
            // A directory; no `read_iter`, `write_iter`.
            Errno::EISDIR | Errno::EOPNOTSUPP
                if error == Errno::EISDIR || self.flags & !FOR_EVERY_FILE == 0 =>
            {
                match self.has_iterator() {
                    Some(true) => false,
                    _ => return Err(Errno::EINVAL),
                }
            }
            Errno::EOPNOTSUPP => self.flags & NOWAIT == 0 || !self.knows_nowait(),
            _ => false,
        };
        match is_refusal {
            true => Err(error),
            false => Ok(into_event(result)),
        }
    }

    /// Which error comes first for a request that is refused because of its offset.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn refusal(&self, proven: &mut Proven) -> Option<Errno> {
        let status = match files::status_flags(self.fd) {
            Ok(status) => status,
            Err(error) => return Some(error),
        };
        if let Some(error) = self.bad_flags() {
            return Some(error);
        }
        if self.is_closed_to(status) {
            return Some(Errno::EBADF);
        }
        if self.has_iterator() == Some(false) {
            return Some(Errno::EINVAL);
        }
        // SAFETY: the caller's promise.
        unsafe { self.is_out_of_user_space(proven) }.then_some(Errno::EFAULT)
    }

    /// Whether a file with these status flags was opened for the other direction only.
    fn is_closed_to(&self, status: c_int) -> bool {
        let refused_mode = match self.direction {
            Direction::Read => libc::O_WRONLY,
            Direction::Write => libc::O_RDONLY,
        };
        status & libc::O_ACCMODE == refused_mode
    }

    /// Flags that no file has, which come before the file's mode.
    #[inline(never)]
    fn bad_flags(&self) -> Option<Errno> {
        const ANY: c_int = 0x1ff;
        (self.flags & !ANY != 0 && files::status_flags(self.fd).is_ok())
            .then_some(Errno::EOPNOTSUPP)
    }

    /// Whether the file takes RWF_NOWAIT (`FMODE_NOWAIT`), so that it was refused by an operation.
    fn knows_nowait(&self) -> bool {
        let mut byte = 0_u8;
        let one = iovec {
            iov_base: core::ptr::addr_of_mut!(byte).cast(),
            iov_len: 1,
        };
        // SAFETY: a read of one byte, without effect on a file with offsets.
        let answer = unsafe {
            files::transfer(
                files::WITH_FLAGS,
                Direction::Read,
                self.fd,
                &one,
                1,
                0,
                NOWAIT,
            )
        };
        match answer {
            // Of those without offsets, only sockets have operations that are not supported.
            Err(Errno::ESPIPE) => {
                matches!(files::kind_and_size(self.fd), Some((libc::S_IFSOCK, _)))
            }
            answer => answer != Err(Errno::EOPNOTSUPP),
        }
    }

    /// The parts of the vector, if they can be read.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    unsafe fn parts(
        &self,
        proven: &mut Proven,
    ) -> Option<impl Iterator<Item = (usize, usize)> + '_> {
        let count = self.count.min(MOST_PARTS) as usize;
        let length = count * core::mem::size_of::<iovec>();
        let is_readable = !self.has_vector || count == 0 || proven.is_readable(self.vector, length);
        is_readable.then(|| {
            (0..count).map(|i| {
                // SAFETY: readable; programs may keep it in packed structures.
                let part = unsafe { self.vector.wrapping_add(i).read_unaligned() };
                (part.iov_base as usize, part.iov_len)
            })
        })
    }

    /// `EINVAL` by the vector or the offset, not by the file.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn is_malformed(&self, proven: &mut Proven) -> bool {
        if self.count > MOST_PARTS || self.flags & APPEND != 0 && self.flags & NOAPPEND != 0 {
            return true;
        }
        // SAFETY: the caller's promise.
        let Some(parts) = (unsafe { self.parts(proven) }) else {
            return true;
        };
        let mut total = 0_usize;
        for (_, length) in parts {
            if length as isize <= -1 {
                return true;
            }
            total = (total + length).min(MOST);
        }
        self.offset.checked_add(total as i64).is_none()
    }

    /// `EFAULT` before anything is transferred: the vector cannot be read, or names memory that no
    /// program can have.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn is_out_of_user_space(&self, proven: &mut Proven) -> bool {
        // SAFETY: the caller's promise.
        let Some(mut parts) = (unsafe { self.parts(proven) }) else {
            return true;
        };
        parts.any(|(base, length)| {
            let last = base.wrapping_add(length.saturating_sub(1));
            length > 0 && (last < base || last >= 4096 && !is_plausible(last as *const u8))
        })
    }

    /// A pipe, socket, terminal and so on: it has no offsets, and may have to be waited for. The
    /// wait is ppoll(2)'s, with the program's signals: a handler ends it, as it ends the kernel's,
    /// whatever SA_RESTART says. The transfer itself does not wait.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`].
    #[inline(never)]
    unsafe fn stream(&self, inside: &Inside, proven: &mut Proven) -> Result<c_long, Refused> {
        if self.has_iterator() == Some(false) {
            return Err(Errno::EINVAL.into());
        }
        // FUSE has files that are not seekable, and whose server is told offsets all the same by
        // kernel AIO. No call does that; an error is better than another part of the file.
        if matches!(files::kind_and_size(self.fd), Some((libc::S_IFREG, _))) {
            return Ok(into_event(Err(Errno::ESPIPE)));
        }
        let does_not_wait =
            self.flags & NOWAIT != 0 || files::status_flags(self.fd)? & libc::O_NONBLOCK != 0;
        let events = match self.direction {
            Direction::Read => POLLIN,
            Direction::Write => POLLOUT,
        };
        let mut done = 0;
        // Without it the call itself waits, or not, as the program wants it.
        let mut flag = if does_not_wait { 0 } else { NOWAIT };
        loop {
            // SAFETY: the caller's promise.
            let result = unsafe { self.rest(done, flag) };
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
                        flag = 0; // the file waits by itself, once it is ready
                        if self.direction == Direction::Read
                            && files::is_terminal_without_min(self.fd)
                        {
                            continue;
                        }
                    }
                    match inside.wait_for_file(self.fd, events, is_partial) {
                        Wait::Ready => {}
                        Wait::Interrupted if is_partial => return Ok(done),
                        Wait::Interrupted => return Ok(into_event(Err(Errno::EINTR))),
                        Wait::Full => return Err(Refused::WithoutRoom(Errno::EAGAIN)),
                        Wait::Destroyed => return Err(Refused::WithoutRoom(Errno::EINVAL)),
                    }
                }
                Err(_) if is_partial => return Ok(done),
                // SAFETY: the caller's promise.
                result => return Ok(unsafe { self.judge(result, proven) }?),
            }
        }
    }

    /// Transfers what comes after the first `done` bytes: all of it, or the part that these end in.
    /// 0 bytes, if nothing comes after them.
    ///
    /// # Safety
    /// As [`Transfer::carry_out`]; after the first time, the kernel has read the vector.
    #[inline(never)]
    unsafe fn rest(&self, done: c_long, flag: c_int) -> Transferred {
        if done == 0 {
            // SAFETY: the caller's promise.
            return unsafe { self.attempt(STREAM, flag | DSYNC) };
        }
        let mut skip = done as usize;
        for i in 0..self.count as usize {
            // SAFETY: the kernel has read it.
            let mut part = unsafe { self.vector.wrapping_add(i).read_unaligned() };
            if skip < part.iov_len {
                part.iov_base = part.iov_base.cast::<u8>().wrapping_add(skip).cast();
                part.iov_len -= skip;
                let rest = Transfer {
                    vector: &part,
                    count: 1,
                    ..*self
                };
                // SAFETY: the caller's promise.
                return unsafe { rest.attempt(STREAM, flag | DSYNC) };
            }
            skip -= part.iov_len;
        }
        Ok(0)
    }
}

/// File systems whose files have no size and are read and written in other ways: proc, debugfs,
/// tracefs, securityfs (`linux/magic.h`).
fn is_pseudo(file_system: u32) -> bool {
    matches!(
        file_system,
        0x9fa0 | 0x6462_6720 | 0x7472_6163 | 0x7363_6673
    )
}
