//! Checks whether the program's memory can be read and written, with system calls that return
//! `EFAULT` for a bad address. An access by this library would kill the program instead.

use super::arch::KERNEL_SIGSET_SIZE;
use super::files::Direction;
use super::syscall::{call, long, pointer};
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The unit of the checks. Pages may be larger than this, but not smaller.
const PAGE: usize = 4096;
const PAGE_MASK: usize = !(PAGE - 1);

/// The results of the last checks in one call of the library, which need not be repeated.
pub struct Checked {
    /// The last file that was found to have `read_iter` or `write_iter`, by the direction.
    pub iter_file: (c_int, Direction),
    /// The page of a local variable.
    stack: usize,
    /// The page that was last found to be readable.
    readable: usize,
    /// The page that was last found to be readable and writable.
    writable: usize,
}

impl Checked {
    /// At first, only the page of a local variable is known to be accessible.
    #[inline(never)]
    pub fn new() -> Checked {
        let local = 0_u8;
        let stack = core::ptr::addr_of!(local) as usize & PAGE_MASK;
        Checked {
            iter_file: (-1, Direction::Read),
            stack,
            readable: stack,
            writable: stack,
        }
    }

    /// Whether a value is in the page that was last found to be writable. Makes no system call.
    #[inline(always)]
    pub fn is_known_writable<T>(&self, value: *const T) -> bool {
        lies_in(self.writable, value)
    }

    /// Whether a value is in a page that was last found to be readable or writable. Makes no system
    /// call.
    #[inline(always)]
    pub fn is_known_readable<T>(&self, value: *const T) -> bool {
        lies_in(self.readable, value) || lies_in(self.writable, value)
    }

    /// Checks with one system call whether a word can be read and written, if the kernel allows
    /// that. The word keeps its value.
    #[inline]
    pub fn check_word<T>(&mut self, word: *mut T) {
        if SENDFILE_WRITES_BACK.load(Relaxed) && sendfile_offset(word.cast()) == -EBADF {
            self.writable = word as usize & PAGE_MASK;
        }
    }

    /// Whether `length` bytes, at least one, can be read.
    #[inline(never)]
    pub fn is_readable<T>(&mut self, address: *const T, length: usize) -> bool {
        self.each_page(address as usize, length, |known, page, at| {
            page == known.stack || page == known.readable || page == known.writable || {
                known.readable = page;
                kernel_can_read(at)
            }
        })
    }

    /// Whether `length` bytes, at least one, can be written. The check changes the bytes, so the
    /// caller must be about to write them.
    #[inline(never)]
    pub fn is_writable<T>(&mut self, address: *mut T, length: usize) -> bool {
        self.each_page(address as usize, length, |known, page, at| {
            page == known.stack || page == known.writable || {
                known.writable = page;
                kernel_can_write(at)
            }
        })
    }

    /// Whether a word can be written that other threads may read. The check does not change it.
    pub fn is_word_writable<T>(&mut self, address: *mut T) -> bool {
        match address as usize % 4 {
            0 => super::futex::add_zero(address.cast()).is_ok(),
            // The check changes an unaligned word, until the caller writes it.
            _ => self.is_writable(address, core::mem::size_of::<T>()),
        }
    }

    /// Calls `check` for each page of a range, with the page and the first address in it. False if
    /// a check fails; the known pages are then forgotten.
    fn each_page(
        &mut self,
        address: usize,
        length: usize,
        mut check: impl FnMut(&mut Checked, usize, usize) -> bool,
    ) -> bool {
        let Some(last) = address.checked_add(length - 1) else {
            return false;
        };
        let mut page = address & PAGE_MASK;
        loop {
            if !check(self, page, address.max(page)) {
                (self.readable, self.writable) = (self.stack, self.stack);
                return false;
            }
            if page == last & PAGE_MASK {
                return true;
            }
            page += PAGE;
        }
    }
}

/// Whether all bytes of a value are in a page.
fn lies_in<T>(page: usize, value: *const T) -> bool {
    (value as usize).wrapping_sub(page) <= PAGE - core::mem::size_of::<T>()
}

const EBADF: isize = libc::EBADF as isize;
const EFAULT: isize = libc::EFAULT as isize;

/// Whether sendfile(2) writes the offset back after an error, as Linux does. Some emulators do not.
static SENDFILE_WRITES_BACK: AtomicBool = AtomicBool::new(false);

/// Must be called when the library is loaded, if the environment allows it to serve contexts.
pub fn prepare() {
    static CONSTANT: u64 = 0;
    SENDFILE_WRITES_BACK.store(
        sendfile_offset(core::ptr::addr_of!(CONSTANT).cast()) == -EFAULT,
        Relaxed,
    );
}

/// Makes a sendfile(2) call with bad descriptors. The kernel reads the offset, and writes it back
/// unchanged after the error: `EBADF` if it can, otherwise `EFAULT`.
#[inline(never)]
fn sendfile_offset(offset: *const u8) -> isize {
    // SAFETY: the kernel checks the address, and the value does not change.
    unsafe {
        call!(
            libc::SYS_sendfile,
            long(-1),
            long(-1),
            pointer(offset),
            long(0),
            long(0)
        ) as isize
    }
}

/// Whether the kernel can read a page. rt_sigprocmask(2) reads a mask before it refuses an invalid
/// `how`.
fn kernel_can_read(address: usize) -> bool {
    // The whole mask must be in the page.
    let at = address.min((address & PAGE_MASK) + PAGE - KERNEL_SIGSET_SIZE);
    // SAFETY: the kernel checks the address, and changes nothing.
    let answer = unsafe {
        call!(
            libc::SYS_rt_sigprocmask,
            long(-1),
            pointer(at as *const u8),
            pointer(core::ptr::null::<u8>()),
            long(KERNEL_SIGSET_SIZE as _),
            long(0)
        )
    };
    answer != -EFAULT
}

/// Whether the kernel can write a page. getcpu(2) writes four bytes; they are in the page because
/// the caller's data is aligned.
fn kernel_can_write(address: usize) -> bool {
    // SAFETY: the kernel checks the address, and the caller is about to write there.
    let answer = unsafe {
        call!(
            libc::SYS_getcpu,
            pointer(address as *const u8),
            pointer(core::ptr::null::<u8>()),
            pointer(core::ptr::null::<u8>())
        )
    };
    answer != -EFAULT
}
