//! A read or write: its arguments, the system call for it, and calls that transfer nothing, which
//! tell what the file supports.

use crate::errno::Errno;
use crate::sys::files::{self, Direction, Transferred, NO_OFFSET};
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libc::iovec;

/// `MAX_RW_COUNT` in the kernel, with pages of 4 KiB.
pub const MAX_RW_COUNT: usize = 0x7fff_f000;

// The `RWF_` flags in `linux/fs.h`.
pub const HIPRI: c_int = 0x01;
pub const DSYNC: c_int = 0x02;
pub const SYNC: c_int = 0x04;
pub const NOWAIT: c_int = 0x08;
pub const APPEND: c_int = 0x10;
pub const NOAPPEND: c_int = 0x20;
/// Has an effect only on pipes and sockets.
pub const NOSIGNAL: c_int = 0x100;

/// Whether the kernel is known to support [`NOAPPEND`] (since Linux 6.9).
static KERNEL_HAS_NOAPPEND: AtomicBool = AtomicBool::new(false);

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
    /// Makes the system call. RWF_HIPRI is removed, because kernel AIO does not poll for
    /// completion.
    ///
    /// # Safety
    /// As `request::submit`.
    #[inline(never)]
    pub unsafe fn transfer(&self, offset: i64, extra_flags: c_int) -> Transferred {
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
    pub fn transfer_nothing(&self, fd: c_int, offset: i64) -> Transferred {
        let none = core::ptr::null::<iovec>();
        // SAFETY: an empty vector refers to no memory.
        unsafe { files::transfer(files::PREADV2, self.direction, fd, none, 0, offset, 0) }
    }

    /// Whether the file has `read_iter` or `write_iter`. None if that cannot be found out, which is
    /// so before Linux 6.9.
    #[inline(never)]
    pub fn has_iterator(&self) -> Option<bool> {
        match self.test_flags(0) {
            Err(Errno::EINVAL) => {
                KERNEL_HAS_NOAPPEND.store(true, Relaxed);
                Some(true)
            }
            Err(Errno::EOPNOTSUPP) if KERNEL_HAS_NOAPPEND.load(Relaxed) => Some(false),
            _ => None,
        }
    }

    /// Requests a transfer of one byte with RWF_APPEND and RWF_NOAPPEND. The kernel never accepts
    /// both, so it does not call the file's operation. It returns EINVAL if the file accepts flags
    /// and the kernel supports these and `extra_flags`, otherwise EOPNOTSUPP.
    #[inline(never)]
    pub fn test_flags(&self, extra_flags: c_int) -> Transferred {
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

    /// Whether the file supports RWF_NOWAIT (`FMODE_NOWAIT`). If so, EOPNOTSUPP came from the
    /// file's operation.
    pub fn supports_nowait(&self) -> bool {
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
}
