//! Which of the program's memory can be read and written: answered by the kernel, which reports a
//! bad address as `EFAULT` where an access by this library would kill the program.

use super::arch::KERNEL_SIGSET_SIZE;
use super::files::Direction;
use super::syscall::{call, long, pointer};
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Smaller pages than any kernel has are as good as its own here.
const PAGE: usize = 4096;
const PAGE_MASK: usize = !(PAGE - 1);

/// What one call has asked about last, and need not ask about again: pages, and a file.
pub struct Proven {
    /// The file that was read by `read_iter`, or written by `write_iter`.
    pub file: (c_int, Direction),
    stack: usize,
    readable: usize,
    writable: usize,
}

impl Proven {
    /// Knows one page: that of a local variable.
    #[inline(never)]
    pub fn new() -> Proven {
        let local = 0_u8;
        let stack = core::ptr::addr_of!(local) as usize & PAGE_MASK;
        Proven {
            file: (-1, Direction::Read),
            stack,
            readable: stack,
            writable: stack,
        }
    }

    /// Whether a value lies in the page that could be written last.
    #[inline(always)]
    pub fn can_write<T>(&self, value: *const T) -> bool {
        lies_in(self.writable, value)
    }

    /// Whether a value lies in one of the pages that could be read or written last.
    #[inline(always)]
    pub fn can_read<T>(&self, value: *const T) -> bool {
        lies_in(self.readable, value) || lies_in(self.writable, value)
    }

    /// Finds out with one call whether a word can be read and written, if the kernel has such a
    /// call. The word keeps its value.
    #[inline]
    pub fn prove<T>(&mut self, word: *mut T) {
        if WRITES_BACK.load(Relaxed) && write_back(word.cast()) == -EBADF {
            self.writable = word as usize & PAGE_MASK;
        }
    }

    /// Whether `length` bytes, at least one, can be read.
    #[inline(never)]
    pub fn is_readable<T>(&mut self, address: *const T, length: usize) -> bool {
        self.each_page(address as usize, length, |known, page, at| {
            page == known.stack || page == known.readable || page == known.writable || {
                known.readable = page;
                can_read(at)
            }
        })
    }

    /// Whether `length` bytes, at least one, can be written. The bytes must be ones that are going
    /// to be written: asking changes them.
    #[inline(never)]
    pub fn is_writable<T>(&mut self, address: *mut T, length: usize) -> bool {
        self.each_page(address as usize, length, |known, page, at| {
            page == known.stack || page == known.writable || {
                known.writable = page;
                can_write(at)
            }
        })
    }

    /// The same for one word that other threads may read meanwhile: asking leaves it as it is.
    pub fn is_word_writable<T>(&mut self, address: *mut T) -> bool {
        match address as usize % 4 {
            0 => super::futex::add_zero(address.cast()).is_ok(),
            // Only an unaligned one is changed for a moment.
            _ => self.is_writable(address, core::mem::size_of::<T>()),
        }
    }

    fn each_page(
        &mut self,
        address: usize,
        length: usize,
        mut holds: impl FnMut(&mut Proven, usize, usize) -> bool,
    ) -> bool {
        let Some(last) = address.checked_add(length - 1) else {
            return false;
        };
        let mut page = address & PAGE_MASK;
        loop {
            if !holds(self, page, address.max(page)) {
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

fn lies_in<T>(page: usize, value: *const T) -> bool {
    (value as usize).wrapping_sub(page) <= PAGE - core::mem::size_of::<T>()
}

const EBADF: isize = libc::EBADF as isize;
const EFAULT: isize = libc::EFAULT as isize;

/// Whether [`write_back`] does what it says: emulators leave the offset alone after an error.
static WRITES_BACK: AtomicBool = AtomicBool::new(false);

/// To be called when the library is loaded, if it may come to serve contexts.
pub fn prepare() {
    static CONSTANT: u64 = 0;
    WRITES_BACK.store(
        write_back(core::ptr::addr_of!(CONSTANT).cast()) == -EFAULT,
        Relaxed,
    );
}

/// By sendfile(2) without files, which reads the offset, and writes it back after any error.
#[inline(never)]
fn write_back(offset: *const u8) -> isize {
    // SAFETY: the value stays the same.
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

/// By rt_sigprocmask(2), which reads a mask before it refuses the unknown `how`.
fn can_read(address: usize) -> bool {
    // All of the mask has to lie in the page.
    let at = address.min((address & PAGE_MASK) + PAGE - KERNEL_SIGSET_SIZE);
    // SAFETY: changes nothing.
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

/// By getcpu(2), which writes four bytes. Only the alignment of the caller's data keeps those in
/// the page.
fn can_write(address: usize) -> bool {
    // SAFETY: the caller is going to write there.
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
