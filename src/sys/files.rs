//! The system calls that carry out a request in the calling thread, and those that return the
//! properties of its file. Descriptors and pointers may have any value: the kernel checks them.

use super::arch::Register;
use super::syscall::{call, long, pointer};
use crate::errno::{from_kernel, Errno};
use core::ffi::{c_int, CStr};
use core::mem::MaybeUninit;
use libc::c_long;

/// A number of bytes, up to 0x7ffff000 (`MAX_RW_COUNT`), or an error.
pub type Transferred = core::result::Result<c_long, Errno>;

/// Instead of an offset, for pipes, sockets and terminals, which have none: the current position.
pub const NO_OFFSET: i64 = -1;

#[derive(Clone, Copy, PartialEq)]
pub enum Direction {
    Read,
    Write,
}

fn transferred(answer: isize) -> Transferred {
    from_kernel(answer)?;
    Ok(answer as c_long)
}

/// The numbers of a system call that reads, and of the one that writes.
#[derive(Clone, Copy)]
pub struct Calls(c_long, c_long);

/// preadv2(2) and pwritev2(2).
pub const PREADV2: Calls = Calls(libc::SYS_preadv2, libc::SYS_pwritev2);
/// preadv(2) and pwritev(2), if the kernel or a sandbox does not have the calls above. They ignore
/// the flags.
pub const PREADV: Calls = Calls(libc::SYS_preadv, libc::SYS_pwritev);
/// readv(2) and writev(2), for [`NO_OFFSET`]. They ignore the offset and the flags.
pub const READV: Calls = Calls(libc::SYS_readv, libc::SYS_writev);
/// pread(2) and pwrite(2), which take an address and a length instead of a vector. Only for
/// machines where an offset fits into one register.
pub const PREAD: Calls = Calls(libc::SYS_pread64, libc::SYS_pwrite64);

/// Makes one of the calls. All take these arguments, or the first of them.
///
/// # Safety
/// The memory that the vector refers to may be read or written.
#[inline(always)]
pub unsafe fn transfer<T>(
    Calls(read, write): Calls,
    direction: Direction,
    fd: c_int,
    vector: *const T,
    count: u32,
    at: i64,
    flags: c_int,
) -> Transferred {
    let number = match direction {
        Direction::Read => read,
        Direction::Write => write,
    };
    // SAFETY: the caller's promise.
    unsafe { transfer_call(number, fd, vector.cast(), count, at, flags) }
}

/// # Safety
/// As [`transfer`].
#[inline(never)]
unsafe fn transfer_call(
    number: c_long,
    fd: c_int,
    vector: *const u8,
    count: u32,
    at: i64,
    flags: c_int,
) -> Transferred {
    // The kernel takes the offset as two `unsigned long`s. On 64-bit machines it ignores the
    // second.
    // SAFETY: the caller's promise.
    transferred(unsafe {
        call!(
            number,
            long(fd as _),
            pointer(vector),
            long(count as _),
            at as Register,
            (at >> 32) as Register,
            long(flags as _)
        )
    })
}

/// fsync(2) or fdatasync(2).
pub fn sync(fd: c_int, data_only: bool) -> Transferred {
    let number = match data_only {
        true => libc::SYS_fdatasync,
        false => libc::SYS_fsync,
    };
    // SAFETY: the call accesses no memory.
    transferred(unsafe { call!(number, long(fd as _)) })
}

/// The status flags of an open file (`F_GETFL`). `EBADF` if it was opened with O_PATH, as from the
/// calls that read and write.
#[inline(never)]
pub fn status_flags(fd: c_int) -> core::result::Result<c_int, Errno> {
    // SAFETY: the call accesses no memory.
    let flags = from_kernel(unsafe {
        call!(
            libc::SYS_fcntl,
            long(fd as _),
            long(libc::F_GETFL as _),
            long(0)
        )
    })?;
    match flags & libc::O_PATH {
        0 => Ok(flags),
        _ => Err(Errno::EBADF),
    }
}

/// The file's type (`S_IFMT`; 0 for eventfds and other anonymous inodes) and size (`statx(2)`). The
/// size is the kernel's cached one: it does not ask the server of a network or FUSE file system.
#[inline(never)]
pub fn type_and_size(fd: c_int) -> Option<(u32, u64)> {
    let mut status = MaybeUninit::<libc::statx>::uninit();
    // SAFETY: the kernel reads the empty path and writes `status`.
    let answer = unsafe {
        call!(
            libc::SYS_statx,
            long(fd as _),
            pointer(c"".as_ptr()),
            long((libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC) as _),
            long((libc::STATX_TYPE | libc::STATX_SIZE) as _),
            pointer(status.as_mut_ptr())
        )
    };
    if answer != 0 {
        return None;
    }
    // SAFETY: the kernel has written `status`.
    let status = unsafe { status.assume_init_ref() };
    Some((u32::from(status.stx_mode) & libc::S_IFMT, status.stx_size))
}

/// The type of a file's file system (`f_type` of statfs(2)), or 0.
pub fn file_system_type(fd: c_int) -> u32 {
    // Room for the kernel's structure, whose first word is the type.
    let mut status = MaybeUninit::<[libc::c_ulong; 32]>::uninit();
    // SAFETY: the kernel writes its structure, which is smaller than `status`.
    let answer = unsafe {
        call!(
            libc::SYS_fstatfs,
            long(fd as _),
            pointer(status.as_mut_ptr())
        )
    };
    if answer != 0 {
        return 0;
    }
    let first = status.as_ptr().cast::<libc::c_uint>();
    // The type is an unsigned int on s390x, and a long on the other machines. Its low half is read.
    let is_low_first = cfg!(any(target_endian = "little", target_arch = "s390x"));
    // SAFETY: the kernel has written the first word.
    unsafe { *first.add(!is_low_first as usize * (cfg!(target_pointer_width = "64") as usize)) }
}

/// `TCGETS` in `asm/ioctls.h`. On PowerPC, the C library has another number.
const TCGETS: c_long = if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64")) {
    0x402c_7413
} else {
    libc::TCGETS as c_long
};

/// Whether a file is a terminal in noncanonical mode with MIN 0 (`termios(3)`), so that a read may
/// return 0 bytes.
#[inline(never)]
pub fn is_terminal_without_min(fd: c_int) -> bool {
    let mut mode = MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: the kernel writes its structure, which is not larger and has the same first fields.
    let answer = unsafe {
        call!(
            libc::SYS_ioctl,
            long(fd as _),
            long(TCGETS),
            pointer(mode.as_mut_ptr())
        )
    };
    // SAFETY: zeros, or what the kernel has written.
    let mode = unsafe { mode.assume_init_ref() };
    answer == 0 && mode.c_lflag & libc::ICANON == 0 && mode.c_cc[libc::VMIN] == 0
}

/// Adds 1 to an eventfd.
pub fn add_to_eventfd(fd: c_int) {
    let one = 1_u64;
    // SAFETY: the kernel reads `one`.
    unsafe {
        call!(libc::SYS_write, long(fd as _), pointer(&one), long(8));
    }
}

/// Writes 8 bytes from an address that is never mapped. An eventfd returns `EFAULT`.
pub fn write_from_bad_address(fd: c_int) -> Transferred {
    // SAFETY: the kernel cannot read the address, so nothing is written.
    transferred(unsafe {
        call!(
            libc::SYS_write,
            long(fd as _),
            pointer(1 as *const u8),
            long(8)
        )
    })
}

/// Copies the beginning of a symbolic link's target to `text` (`readlinkat(2)`). Returns the number
/// of bytes, or None if there is no such link. The path must end with a zero byte.
#[inline(never)]
pub fn read_link(path: *const u8, text: &mut [u8]) -> Option<usize> {
    // SAFETY: the kernel reads the path, and writes at most the length of `text`.
    let answer = unsafe {
        call!(
            libc::SYS_readlinkat,
            long(libc::AT_FDCWD as _),
            pointer(path),
            pointer(text.as_mut_ptr()),
            long(text.len() as _),
            long(0)
        )
    };
    usize::try_from(answer).ok()
}

/// Reads the beginning of a file into `text`. Returns an empty slice if that fails.
#[inline(never)]
pub fn read_beginning<'a>(path: &CStr, text: &'a mut [u8]) -> &'a [u8] {
    // SAFETY: the kernel reads the path, and writes at most the length of `text`. No other code
    // uses the descriptor that is closed.
    unsafe {
        let fd = call!(
            libc::SYS_openat,
            long(libc::AT_FDCWD as _),
            pointer(path.as_ptr()),
            long((libc::O_RDONLY | libc::O_CLOEXEC) as _),
            long(0),
            long(0)
        );
        if fd < 0 {
            return &[];
        }
        let read = call!(
            libc::SYS_read,
            long(fd as _),
            pointer(text.as_mut_ptr()),
            long(text.len() as _)
        );
        call!(libc::SYS_close, long(fd as _));
        let length = usize::try_from(read).unwrap_or(0);
        text.get(..length).unwrap_or(&[])
    }
}

/// This thread's I/O priority (`ioprio_get(2)`).
pub fn priority() -> c_int {
    // SAFETY: the call accesses no memory.
    let answer = unsafe { call!(libc::SYS_ioprio_get, long(WHO_PROCESS), long(0)) };
    answer.max(0) as c_int
}

/// Sets this thread's I/O priority (`ioprio_set(2)`). The kernel makes the same checks as for a
/// request's priority.
pub fn set_priority(priority: c_int) -> crate::errno::Result {
    // SAFETY: the call accesses no memory.
    from_kernel(unsafe {
        call!(
            libc::SYS_ioprio_set,
            long(WHO_PROCESS),
            long(0),
            long(priority as _)
        )
    })
}

/// `IOPRIO_WHO_PROCESS` in `linux/ioprio.h`. With ID 0, it means the calling thread.
const WHO_PROCESS: c_long = 1;
