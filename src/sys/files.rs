//! The system calls that carry out a request in the calling thread, and those that tell what kind
//! of file it is for. Descriptors and pointers may be anything: the kernel checks them.

use super::arch::Register;
use super::syscall::{call, long, pointer};
use crate::errno::{from_kernel, Errno};
use core::ffi::{c_int, CStr};
use core::mem::MaybeUninit;
use libc::c_long;

/// A number of bytes, up to 0x7ffff000 (`MAX_RW_COUNT`), or an error.
pub type Transferred = core::result::Result<c_long, Errno>;

/// In the place of an offset: where a pipe, socket or terminal is.
pub const STREAM: i64 = -1;

#[derive(Clone, Copy, PartialEq)]
pub enum Direction {
    Read,
    Write,
}

fn transferred(answer: isize) -> Transferred {
    from_kernel(answer)?;
    Ok(answer as c_long)
}

/// The calls that read, and the calls that write.
#[derive(Clone, Copy)]
pub struct Calls(c_long, c_long);

/// preadv2(2) and pwritev2(2).
pub const WITH_FLAGS: Calls = Calls(libc::SYS_preadv2, libc::SYS_pwritev2);
/// For where a sandbox or the kernel has only the older calls. The flags are ignored.
pub const AT_OFFSET: Calls = Calls(libc::SYS_preadv, libc::SYS_pwritev);
/// The same, at [`STREAM`] alone.
pub const AT_STREAM: Calls = Calls(libc::SYS_readv, libc::SYS_writev);
/// pread(2) and pwrite(2), which take an address and a length in the place of a vector. For
/// machines whose registers hold an offset.
pub const OF_ONE_PART: Calls = Calls(libc::SYS_pread64, libc::SYS_pwrite64);

/// Makes one of the calls. Each takes the same arguments, or the first ones of them.
///
/// # Safety
/// The memory that the vector names may be read or written.
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
    unsafe { make(number, fd, vector.cast(), count, at, flags) }
}

/// # Safety
/// As [`transfer`].
#[inline(never)]
unsafe fn make(
    number: c_long,
    fd: c_int,
    vector: *const u8,
    count: u32,
    at: i64,
    flags: c_int,
) -> Transferred {
    // SAFETY: the caller's promise. On 64-bit machines the fifth is shifted out, or ignored.
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
    // SAFETY: no memory is involved.
    transferred(unsafe { call!(number, long(fd as _)) })
}

/// The status flags of an open file (`F_GETFL`). `EBADF` for one opened with O_PATH, as the calls
/// that need a file say.
#[inline(never)]
pub fn status_flags(fd: c_int) -> core::result::Result<c_int, Errno> {
    // SAFETY: no memory is involved.
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

/// What statx(2) says: the file's type (`S_IFMT`, 0 for eventfds and their like) and size. The size
/// is the last one known here: servers of network file systems and of FUSE are not asked.
#[inline(never)]
pub fn kind_and_size(fd: c_int) -> Option<(u32, u64)> {
    let mut status = MaybeUninit::<libc::statx>::uninit();
    // SAFETY: the kernel reads the empty path and writes the structure.
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
    // SAFETY: the kernel has written it.
    let status = unsafe { status.assume_init_ref() };
    Some((u32::from(status.stx_mode) & libc::S_IFMT, status.stx_size))
}

/// Which file system a file is in (`f_type` of statfs(2)), or 0.
pub fn file_system(fd: c_int) -> u32 {
    // The first word is the type; the rest is of no interest.
    let mut status = MaybeUninit::<[libc::c_ulong; 32]>::uninit();
    // SAFETY: the kernel writes its structure, which is smaller.
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
    // s390x has 32 bits here; the others a long.
    let is_low_first = cfg!(any(target_endian = "little", target_arch = "s390x"));
    // SAFETY: the kernel has written it.
    unsafe { *first.add(!is_low_first as usize * (cfg!(target_pointer_width = "64") as usize)) }
}

/// `TCGETS` in `asm/ioctls.h`; the C library of PowerPC has a number of its own.
const TCGETS: c_long = if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64")) {
    0x402c_7413
} else {
    libc::TCGETS as c_long
};

/// Whether a file is a terminal from which a read returns although nothing has been typed: it is
/// not read by lines, and MIN is 0 (`termios(3)`).
#[inline(never)]
pub fn is_terminal_without_min(fd: c_int) -> bool {
    let mut mode = MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: the kernel writes its structure, which begins in the same way and is not larger.
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

/// Adds one to an eventfd.
pub fn add_one(fd: c_int) {
    let one = 1_u64;
    // SAFETY: the kernel reads the local.
    unsafe {
        call!(libc::SYS_write, long(fd as _), pointer(&one), long(8));
    }
}

/// What a write of 8 bytes from an address that nobody has comes to: `EFAULT` from an eventfd.
pub fn write_of_nothing(fd: c_int) -> Transferred {
    // SAFETY: the kernel cannot read there.
    transferred(unsafe {
        call!(
            libc::SYS_write,
            long(fd as _),
            pointer(1 as *const u8),
            long(8)
        )
    })
}

/// The first bytes of what a symbolic link says (`readlinkat(2)`), into `text`. How many; None if
/// there is no such link. The path ends with a zero.
#[inline(never)]
pub fn link(path: *const u8, text: &mut [u8]) -> Option<usize> {
    // SAFETY: the kernel reads the path and writes as many bytes as there is room for.
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

/// The first bytes of a file, in `text`; none if it cannot be read.
#[inline(never)]
pub fn beginning<'a>(path: &CStr, text: &'a mut [u8]) -> &'a [u8] {
    // SAFETY: the kernel reads the path, and writes as many bytes as there is room for; the
    // descriptor is our own.
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
    // SAFETY: no memory is involved.
    let answer = unsafe { call!(libc::SYS_ioprio_get, long(WHO_PROCESS), long(0)) };
    answer.max(0) as c_int
}

/// Sets it (`ioprio_set(2)`), with the checks that the kernel makes of a request's.
pub fn set_priority(priority: c_int) -> crate::errno::Result {
    // SAFETY: no memory is involved.
    from_kernel(unsafe {
        call!(
            libc::SYS_ioprio_set,
            long(WHO_PROCESS),
            long(0),
            long(priority as _)
        )
    })
}

/// `IOPRIO_WHO_PROCESS` in `linux/ioprio.h`; with 0, the calling thread.
const WHO_PROCESS: c_long = 1;
