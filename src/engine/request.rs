//! One request, carried out by the thread that submits it: the checks of `io_submit_one` in the
//! kernel's `fs/aio.c`, in its order, and then the work.

use super::served::Inside;
use super::transfer::Transfer;
use crate::abi::{io_event, io_iocb_cmd, io_iocb_common, iocb};
use crate::address::is_plausible;
use crate::errno::{into_event, Errno};
use crate::sys::files::{self, Direction};
use crate::sys::futex;
use crate::sys::user_memory::Proven;
use core::ffi::c_int;
use core::mem::size_of;
use core::ptr::addr_of_mut;
use libc::{c_long, c_uint, POLLOUT};

/// What a request comes to: the `res` of its event, or why it was not accepted.
pub type Outcome = Result<c_long, Errno>;

/// `IOCB_FLAG_RESFD` and `IOCB_FLAG_IOPRIO` in `linux/aio_abi.h`.
const RESFD: c_uint = 1;
const IOPRIO: c_uint = 2;

/// Carries a request out and adds its event, or says why not.
///
/// # Safety
/// `at` may be anything. The memory that the request names may be read or written.
#[inline(never)]
pub unsafe fn submit(inside: &Inside, at: *mut iocb, proven: &mut Proven) -> Result<(), Errno> {
    if !is_plausible(at) {
        return Err(Errno::EFAULT);
    }
    if !proven.can_write(at) {
        // The word that is written if nothing is wrong.
        // SAFETY: only the field's address is made.
        proven.prove(unsafe { addr_of_mut!((*at).key) });
        if !proven.can_write(at) && !proven.is_readable(at, size_of::<iocb>()) {
            return Err(Errno::EFAULT);
        }
    }
    // SAFETY: readable. Programs may keep requests in packed structures.
    let request = unsafe { at.read_unaligned() };
    // SAFETY: every request has these fields, whatever they mean for its opcode.
    let common: &io_iocb_common = unsafe { &request.u.c };
    // The field that must be 0, and a length that has a sign.
    if common.__pad3 != 0 || (common.nbytes as c_long) < 0 {
        return Err(Errno::EINVAL);
    }
    inside.reserve()?;
    let serves = inside.is_whole() || can_be_late(&request, common);
    let outcome = if serves {
        // SAFETY: the caller's promise.
        unsafe { carry_out(inside, at, &request, common, proven) }
    } else {
        Err(Refused::Now(Errno::EAGAIN))
    };
    match outcome {
        Ok(res) => {
            inside.append(event(request.data, at, res));
            if common.flags & RESFD != 0 {
                signal(common.resfd as c_int);
            }
            Ok(())
        }
        Err(Refused::Now(error)) => {
            inside.give_back();
            Err(error)
        }
        Err(Refused::WithoutRoom(error)) => Err(error),
    }
}

/// Whether a request may be served by this library although its context is the kernel's: not if the
/// program may look for its event in the kernel's ring, as those with eventfds do, nor a poll,
/// which would not be finished at once.
fn can_be_late(request: &iocb, common: &io_iocb_common) -> bool {
    common.flags & RESFD == 0 && request.aio_lio_opcode != io_iocb_cmd::IO_CMD_POLL as i16
}

/// Why a request was not accepted: and whether the room for its event is still reserved.
pub enum Refused {
    Now(Errno),
    WithoutRoom(Errno),
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Refused {
        Refused::Now(error)
    }
}

/// # Safety
/// As [`submit`].
unsafe fn carry_out(
    inside: &Inside,
    at: *mut iocb,
    request: &iocb,
    common: &io_iocb_common,
    proven: &mut Proven,
) -> Result<c_long, Refused> {
    let fd = request.aio_fildes;
    // A bad descriptor comes before everything below. The calls for it say so too, but for these.
    if common.flags & (RESFD | IOPRIO) != 0 || request.key != 0 {
        files::status_flags(fd)?;
    }
    if common.flags & RESFD != 0 {
        check_eventfd(common.resfd as c_int)?;
    }
    // SAFETY: only the field's address is made.
    let key = unsafe { addr_of_mut!((*at).key) };
    if !proven.can_write(key) && !proven.is_writable(key, size_of::<c_uint>()) {
        files::status_flags(fd)?;
        return Err(Errno::EFAULT.into());
    }
    // SAFETY: writable.
    unsafe { key.write_unaligned(0) };

    const PREAD: i16 = io_iocb_cmd::IO_CMD_PREAD as i16;
    const PWRITE: i16 = io_iocb_cmd::IO_CMD_PWRITE as i16;
    const PREADV: i16 = io_iocb_cmd::IO_CMD_PREADV as i16;
    const PWRITEV: i16 = io_iocb_cmd::IO_CMD_PWRITEV as i16;
    const FSYNC: i16 = io_iocb_cmd::IO_CMD_FSYNC as i16;
    const FDSYNC: i16 = io_iocb_cmd::IO_CMD_FDSYNC as i16;
    let (direction, has_vector) = match request.aio_lio_opcode {
        PREAD => (Direction::Read, false),
        PREADV => (Direction::Read, true),
        PWRITE => (Direction::Write, false),
        PWRITEV => (Direction::Write, true),
        opcode @ (FSYNC | FDSYNC) => return Ok(sync(fd, request, common, opcode == FDSYNC)?),
        _ => {
            files::status_flags(fd)?;
            return Err(Errno::EINVAL.into());
        }
    };
    let single = libc::iovec {
        iov_base: common.buf,
        iov_len: (common.nbytes as usize).min(super::transfer::MOST),
    };
    let transfer = Transfer {
        direction,
        fd,
        vector: match has_vector {
            true => common.buf.cast(),
            false => &single,
        },
        // The kernel takes the low 32 bits.
        count: if has_vector { common.nbytes as u32 } else { 1 },
        has_vector,
        is_nothing: common.nbytes == 0,
        offset: common.offset,
        flags: request.aio_rw_flags as c_int,
    };
    if common.flags & IOPRIO == 0 {
        // SAFETY: the caller's promise.
        return unsafe { transfer.carry_out(inside, proven) };
    }
    let before = files::priority();
    files::set_priority(request.aio_reqprio as u16 as c_int)?;
    // SAFETY: the caller's promise.
    let outcome = unsafe { transfer.carry_out(inside, proven) };
    let _ = files::set_priority(before);
    outcome
}

/// `aio_fsync` in `fs/aio.c`.
#[inline(never)]
fn sync(fd: c_int, request: &iocb, common: &io_iocb_common, data_only: bool) -> Outcome {
    let is_plain = common.buf.is_null()
        && common.offset == 0
        && common.nbytes == 0
        && request.aio_rw_flags == 0;
    if !is_plain {
        files::status_flags(fd)?;
        return Err(Errno::EINVAL);
    }
    match files::sync(fd, data_only) {
        // Not open; or a file that has no such operation, unless a server says so.
        Err(Errno::EBADF) => files::status_flags(fd).map(|_| into_event(Err(Errno::EBADF))),
        Err(Errno::EINVAL) if files::file_system(fd) != FUSE => Err(Errno::EINVAL),
        result => Ok(into_event(result)),
    }
}

/// `FUSE_SUPER_MAGIC` in `linux/magic.h`.
const FUSE: u32 = 0x6573_5546;

/// What `/proc` calls an eventfd.
const EVENTFD: &[u8] = b"anon_inode:[eventfd]";

/// `eventfd_ctx_fdget`: open, and an eventfd.
#[inline(never)]
fn check_eventfd(fd: c_int) -> Result<(), Errno> {
    files::status_flags(fd)?;
    match is_eventfd(fd) {
        true => Ok(()),
        false => Err(Errno::EINVAL),
    }
}

/// By its name in /proc. Nothing else tells it from all other files without side effects.
#[inline(never)]
fn is_eventfd(fd: c_int) -> bool {
    let mut text = [0_u8; 32];
    match files::link(path_of(fd).as_ptr(), &mut text) {
        Some(length) => text.iter().take(length).eq(EVENTFD), // not ==, which calls libc's memcmp()
        // No /proc. A file without a type that would take 8 bytes if it could read them; some
        // device's file could be like that.
        None => {
            matches!(files::kind_and_size(fd), Some((0, _)))
                && files::write_of_nothing(fd) == Err(Errno::EFAULT)
        }
    }
}

/// `/proc/thread-self/fd`, as many slashes as there is room for, the number, and a zero.
#[inline(never)]
fn path_of(fd: c_int) -> [u8; 40] {
    let mut path = *b"/proc/thread-self/fd///////////////////\0";
    let mut rest = fd.unsigned_abs();
    for place in path.iter_mut().rev().skip(1) {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    path
}

/// Adds 1, as `eventfd_signal` does, if the file is still an eventfd and has not reached its
/// highest value, at which a write would block.
#[inline(never)]
fn signal(fd: c_int) {
    // SAFETY: no mask.
    let has_room = || unsafe { futex::poll(Some((fd, POLLOUT)), Some(0), core::ptr::null()) };
    if is_eventfd(fd) && has_room() == Ok(1) {
        files::add_one(fd);
    }
}

/// An event as the kernel writes it: every field has 64 bits.
fn event(data: *mut libc::c_void, obj: *mut iocb, res: c_long) -> io_event {
    // SAFETY: a structure of integers and pointers.
    let mut event: io_event = unsafe { core::mem::zeroed() };
    event.data = data;
    event.obj = obj;
    event.res = res as libc::c_ulong;
    #[cfg(target_pointer_width = "32")]
    {
        event.__pad3 = (res >> 31) as c_uint;
    }
    event
}
