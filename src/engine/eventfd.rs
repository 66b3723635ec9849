//! The eventfd of a request, to which its completion adds 1.

use crate::errno::Errno;
use crate::sys::files;
use crate::sys::futex;
use core::ffi::c_int;
use libc::POLLOUT;

/// The target of an eventfd's link in `/proc`.
const EVENTFD: &[u8] = b"anon_inode:[eventfd]";

/// Checks that a descriptor is open and an eventfd. `eventfd_ctx_fdget` in the kernel.
#[inline(never)]
pub fn check(fd: c_int) -> Result<(), Errno> {
    files::status_flags(fd)?;
    match is_eventfd(fd) {
        true => Ok(()),
        false => Err(Errno::EINVAL),
    }
}

/// Adds 1 to an eventfd, like `eventfd_signal`. Does nothing if the descriptor is no longer an
/// eventfd, or at its highest value, at which a write would block.
#[inline(never)]
pub fn signal(fd: c_int) {
    // SAFETY: there is no mask.
    let has_room = || unsafe { futex::poll(Some((fd, POLLOUT)), Some(0), core::ptr::null()) };
    if is_eventfd(fd) && has_room() == Ok(1) {
        files::add_to_eventfd(fd);
    }
}

/// Whether a file is an eventfd, by its link in `/proc`. There is no other reliable way without
/// side effects.
#[inline(never)]
fn is_eventfd(fd: c_int) -> bool {
    let mut text = [0_u8; 32];
    match files::read_link(path_of(fd).as_ptr(), &mut text) {
        Some(length) => text.iter().take(length).eq(EVENTFD), // not ==, which calls libc's memcmp()
        // Without /proc: an anonymous inode that accepts a write of 8 bytes, and fails only because
        // the address is bad. This may also be another kind of file.
        None => {
            matches!(files::type_and_size(fd), Some((0, _)))
                && files::write_from_bad_address(fd) == Err(Errno::EFAULT)
        }
    }
}

/// `/proc/thread-self/fd/` and the number. Extra slashes fill the space; the last byte is 0.
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
