//! The types of `libaio.h`, with the layout of the kernel's types in `linux/aio_abi.h`. Every
//! pointer and `unsigned long` occupies 64 bits. On 32-bit machines, padding makes it the low half
//! of the kernel's 64-bit field.

#![allow(non_camel_case_types)]
#![allow(missing_docs)] // padding needs no documentation

use libc::{c_int, c_long, c_longlong, c_short, c_uint, c_ulong, c_void, iovec, sockaddr};

/// What a handle points to. Opaque to programs.
pub struct io_context;

/// The handle of a context, which holds requests in flight and their completions.
///
/// It must be 0 (NULL) before io_setup() sets it. A context belongs to the process that created it:
/// after fork(), the child cannot use it.
pub type io_context_t = *mut io_context;

/// What a request does: the values of aio_lio_opcode in struct iocb.
#[repr(C)]
pub enum io_iocb_cmd {
    /// pread(2): u.c.nbytes bytes at u.c.offset into u.c.buf.
    IO_CMD_PREAD = 0,
    /// pwrite(2): u.c.nbytes bytes from u.c.buf to u.c.offset.
    IO_CMD_PWRITE = 1,
    /// fsync(2).
    IO_CMD_FSYNC = 2,
    /// fdatasync(2).
    IO_CMD_FDSYNC = 3,
    /// One-shot poll(2) for u.poll.events; since Linux 4.19.
    IO_CMD_POLL = 5,
    /// Refused by every kernel with -EINVAL.
    IO_CMD_NOOP = 6,
    /// preadv(2): u.v.nr buffers, described by the vector u.v.vec, at u.v.offset.
    IO_CMD_PREADV = 7,
    /// pwritev(2): the same for a write.
    IO_CMD_PWRITEV = 8,
}
pub type io_iocb_cmd_t = io_iocb_cmd;

/// The request of an IO_CMD_POLL. The res of its event is the mask of the poll events that
/// occurred, or a negated error number.
#[repr(C)]
pub struct io_iocb_poll {
    #[cfg(target_endian = "big")]
    pub __pad1: c_uint,
    pub events: c_int,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    #[cfg(all(target_endian = "little", target_pointer_width = "64"))]
    pub __pad1: c_int,
}

/// Part of the ABI, used by no opcode.
#[repr(C)]
pub struct io_iocb_sockaddr {
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    pub addr: *mut sockaddr,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad2: c_uint,
    pub len: c_ulong,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad2: c_uint,
}

/// The request of a read or write. The res of its event is the number of bytes transferred, or a
/// negated error number.
#[repr(C)]
pub struct io_iocb_common {
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    pub buf: *mut c_void,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad2: c_uint,
    pub nbytes: c_ulong,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad2: c_uint,
    pub offset: c_longlong,
    /// Must be 0.
    pub __pad3: c_longlong,
    /// Which other fields are used.
    ///   IOCB_FLAG_RESFD   resfd, see io_set_eventfd(); since Linux 2.6.22
    ///   IOCB_FLAG_IOPRIO  aio_reqprio, for reads and writes; since Linux 4.18
    pub flags: c_uint,
    /// An eventfd, used if flags has IOCB_FLAG_RESFD.
    pub resfd: c_uint,
}

/// The request of a vectored read or write: other names for the same fields.
#[repr(C)]
pub struct io_iocb_vector {
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    pub vec: *const iovec,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad2: c_uint,
    pub nr: c_ulong,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad2: c_uint,
    pub offset: c_longlong,
}

/// The part of a request that depends on its opcode.
#[repr(C)]
pub union io_iocb_request {
    pub c: core::mem::ManuallyDrop<io_iocb_common>,
    pub v: core::mem::ManuallyDrop<io_iocb_vector>,
    pub poll: core::mem::ManuallyDrop<io_iocb_poll>,
    pub saddr: core::mem::ManuallyDrop<io_iocb_sockaddr>,
}

/// A request. It may be reused as soon as io_submit() returns, because the kernel has copied it.
/// The buffer that it points to belongs to the kernel until the request's event has been reaped.
#[repr(C)]
pub struct iocb {
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    /// Copied to the event, unchanged.
    pub data: *mut c_void,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    #[cfg(target_endian = "big")]
    pub aio_rw_flags: c_uint,
    /// Set to 0 by io_submit(); io_cancel() requires that it is still 0.
    pub key: c_uint,
    /// Flags of a read or write, as for preadv2(2) and pwritev2(2). The field and the first four
    /// flags require Linux 4.13.
    ///   RWF_HIPRI      no effect: the kernel does not poll for AIO completions
    ///   RWF_DSYNC      the write is on the disk when it completes, as with O_DSYNC
    ///   RWF_SYNC       the write is on the disk when it completes, as with O_SYNC
    ///   RWF_NOWAIT     completes with -EAGAIN instead of waiting
    ///   RWF_APPEND     writes at the end of the file, whatever u.c.offset is; since Linux 4.16
    ///   RWF_NOAPPEND   writes at u.c.offset even if the file has O_APPEND; since Linux 6.9
    ///   RWF_ATOMIC     writes everything or nothing, if device and file can; since Linux 6.11
    ///   RWF_DONTCACHE  does not leave the data in the page cache; since Linux 6.14
    ///   RWF_NOSIGNAL   no SIGPIPE if a pipe or socket has no reader; since Linux 6.18
    #[cfg(target_endian = "little")]
    pub aio_rw_flags: c_uint,
    /// One of enum io_iocb_cmd.
    pub aio_lio_opcode: c_short,
    /// An I/O priority (ioprio_set(2)), used if u.c.flags has IOCB_FLAG_IOPRIO.
    pub aio_reqprio: c_short,
    /// The file descriptor.
    pub aio_fildes: c_int,
    pub u: io_iocb_request,
}

/// A completion.
#[repr(C)]
pub struct io_event {
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    /// The request's data.
    pub data: *mut c_void,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad1: c_uint,
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad2: c_uint,
    /// The address from which the request was submitted.
    pub obj: *mut iocb,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad2: c_uint,
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad3: c_uint,
    /// The result: a number of bytes, a poll mask, 0, or a negated error number (cast it to long).
    pub res: c_ulong,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad3: c_uint,
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __pad4: c_uint,
    /// A second result; 0 for every opcode on file systems and block devices.
    pub res2: c_ulong,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __pad4: c_uint,
}

/// A signal mask and its size in bytes, as the system call io_pgetevents(2) expects them. Programs
/// that call io_pgetevents() of this library do not need it.
#[repr(C)]
pub struct io_sigset {
    pub ss: c_ulong,
    pub ss_len: c_ulong,
}

/// The same, as a 32-bit program passes it to a 64-bit kernel.
#[repr(C)]
pub struct io_sigset_compat {
    #[cfg(all(target_endian = "big", target_pointer_width = "32"))]
    pub __ss_pad: c_uint,
    pub ss: c_ulong,
    #[cfg(all(target_endian = "little", target_pointer_width = "32"))]
    pub __ss_pad: c_uint,
    pub ss_len: c_ulong,
}

/// A callback. io_queue_run() passes it the context and the event's obj, res and res2.
pub type io_callback_t =
    Option<unsafe extern "C" fn(ctx: io_context_t, iocb: *mut iocb, res: c_long, res2: c_long)>;

// The kernel's layout (struct iocb and struct io_event in aio_abi.h) is the same on every machine:
// each field is 64 bits wide, or the half of such a field that the byte order determines.
const _: () = {
    use core::mem::{offset_of, size_of};
    /// The offset of a pointer or a `long` in its 64 bits.
    const LOW: usize = if cfg!(all(target_endian = "big", target_pointer_width = "32")) {
        4
    } else {
        0
    };
    /// The offset of `aio_key`, or of a poll's events, in its 64 bits.
    const KEY: usize = if cfg!(target_endian = "big") { 4 } else { 0 };

    assert!(size_of::<iocb>() == 64);
    assert!(offset_of!(iocb, data) == LOW);
    assert!(offset_of!(iocb, key) == 8 + KEY);
    assert!(offset_of!(iocb, aio_rw_flags) == 12 - KEY);
    assert!(offset_of!(iocb, aio_lio_opcode) == 16);
    assert!(offset_of!(iocb, aio_reqprio) == 18);
    assert!(offset_of!(iocb, aio_fildes) == 20);
    assert!(offset_of!(iocb, u) == 24);

    assert!(offset_of!(io_iocb_common, buf) == LOW);
    assert!(offset_of!(io_iocb_common, nbytes) == 8 + LOW);
    assert!(offset_of!(io_iocb_common, offset) == 16);
    assert!(offset_of!(io_iocb_common, flags) == 32);
    assert!(offset_of!(io_iocb_common, resfd) == 36);
    assert!(offset_of!(io_iocb_vector, vec) == LOW);
    assert!(offset_of!(io_iocb_vector, offset) == 16);
    assert!(offset_of!(io_iocb_poll, events) == KEY);

    assert!(size_of::<io_event>() == 32);
    assert!(offset_of!(io_event, data) == LOW);
    assert!(offset_of!(io_event, obj) == 8 + LOW);
    assert!(offset_of!(io_event, res) == 16 + LOW);
    assert!(offset_of!(io_event, res2) == 24 + LOW);
};
