//! Carries out one request in the thread that submits it: first the checks of `io_submit_one` in
//! the kernel's `fs/aio.c`, in the same order, then the operation.

use super::context_ref::ContextRef;
use super::refusal::Refused;
use super::transfer::{Transfer, MAX_RW_COUNT};
use super::{eventfd, read_write};
use crate::abi::{io_event, io_iocb_cmd, io_iocb_common, iocb};
use crate::address::is_user_address;
use crate::errno::{into_event, Errno};
use crate::sys::files::{self, Direction};
use crate::sys::user_memory::Checked;
use core::ffi::c_int;
use core::mem::size_of;
use core::ptr::addr_of_mut;
use libc::{c_long, c_uint};

/// The `res` of a request's event, or the error with which io_submit() refuses the request.
pub type Outcome = Result<c_long, Errno>;

/// `IOCB_FLAG_RESFD` and `IOCB_FLAG_IOPRIO` in `linux/aio_abi.h`.
const RESFD: c_uint = 1;
const IOPRIO: c_uint = 2;

/// Carries out a request and adds its event, or returns the error with which it is refused.
///
/// # Safety
/// `at` may have any value. The memory that the request refers to may be read or written.
#[inline(never)]
pub unsafe fn submit(
    context: &ContextRef,
    at: *mut iocb,
    checked: &mut Checked,
) -> Result<(), Errno> {
    if !is_user_address(at) {
        return Err(Errno::EFAULT);
    }
    if !checked.is_known_writable(at) {
        // The key is written later, so check whether it is writable. Its page is then readable,
        // too.
        // SAFETY: this computes only the field's address.
        checked.check_word(unsafe { addr_of_mut!((*at).key) });
        if !checked.is_known_writable(at) && !checked.is_readable(at, size_of::<iocb>()) {
            return Err(Errno::EFAULT);
        }
    }
    // SAFETY: it is readable. It may be unaligned, in a packed structure.
    let request = unsafe { at.read_unaligned() };
    // SAFETY: all bytes are initialised, and every value is valid for these fields.
    let common: &io_iocb_common = unsafe { &request.u.c };
    // The reserved field must be 0, and the length must not be negative.
    if common.__pad3 != 0 || (common.nbytes as c_long) < 0 {
        return Err(Errno::EINVAL);
    }
    context.reserve()?;
    let may_run = context.is_inline() || may_run_on_short_ring(&request, common);
    let outcome = if may_run {
        // SAFETY: the caller's promise.
        unsafe { carry_out(context, at, &request, common, checked) }
    } else {
        Err(Refused::WithRoom(Errno::EAGAIN))
    };
    match outcome {
        Ok(res) => {
            context.append(event(request.data, at, res));
            if common.flags & RESFD != 0 {
                eventfd::signal(common.resfd as c_int);
            }
            Ok(())
        }
        Err(Refused::WithRoom(error)) => {
            context.unreserve();
            Err(error)
        }
        Err(Refused::WithoutRoom(error)) => Err(error),
    }
}

/// Whether this library may carry out a request if the context is a short ring. Not with an
/// eventfd, because such programs may look for the event in the kernel's ring, and not a poll,
/// which would not complete at once.
fn may_run_on_short_ring(request: &iocb, common: &io_iocb_common) -> bool {
    common.flags & RESFD == 0 && request.aio_lio_opcode != io_iocb_cmd::IO_CMD_POLL as i16
}

/// Makes the checks after those of `submit`, and the operation.
///
/// # Safety
/// As [`submit`].
unsafe fn carry_out(
    context: &ContextRef,
    at: *mut iocb,
    request: &iocb,
    common: &io_iocb_common,
    checked: &mut Checked,
) -> Result<c_long, Refused> {
    let fd = request.aio_fildes;
    // The kernel checks the descriptor first. The read or write below reports a bad one, so check
    // here only if another check could fail before that.
    if common.flags & (RESFD | IOPRIO) != 0 || request.key != 0 {
        files::status_flags(fd)?;
    }
    if common.flags & RESFD != 0 {
        eventfd::check(common.resfd as c_int)?;
    }
    // SAFETY: this computes only the field's address.
    let key = unsafe { addr_of_mut!((*at).key) };
    if !checked.is_known_writable(key) && !checked.is_writable(key, size_of::<c_uint>()) {
        files::status_flags(fd)?;
        return Err(Errno::EFAULT.into());
    }
    // SAFETY: it is writable.
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
        iov_len: (common.nbytes as usize).min(MAX_RW_COUNT),
    };
    let transfer = Transfer {
        direction,
        fd,
        vector: match has_vector {
            true => common.buf.cast(),
            false => &single,
        },
        // The kernel uses the low 32 bits.
        count: if has_vector { common.nbytes as u32 } else { 1 },
        has_vector,
        is_empty: common.nbytes == 0,
        offset: common.offset,
        flags: request.aio_rw_flags as c_int,
    };
    if common.flags & IOPRIO == 0 {
        // SAFETY: the caller's promise.
        return unsafe { read_write::carry_out(&transfer, context, checked) };
    }
    let before = files::priority();
    files::set_priority(request.aio_reqprio as u16 as c_int)?;
    // SAFETY: the caller's promise.
    let outcome = unsafe { read_write::carry_out(&transfer, context, checked) };
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
        // EBADF: refused if the descriptor is not open. EINVAL: refused because the file has no
        // such operation; but FUSE may return the error of its server.
        Err(Errno::EBADF) => files::status_flags(fd).map(|_| into_event(Err(Errno::EBADF))),
        Err(Errno::EINVAL) if files::file_system_type(fd) != FUSE => Err(Errno::EINVAL),
        result => Ok(into_event(result)),
    }
}

/// `FUSE_SUPER_MAGIC` in `linux/magic.h`.
const FUSE: u32 = 0x6573_5546;

/// An event as the kernel writes it, with 64 bits in each field.
fn event(data: *mut libc::c_void, obj: *mut iocb, res: c_long) -> io_event {
    // SAFETY: the fields are integers and pointers, for which 0 is valid.
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
