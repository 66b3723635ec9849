//! Restartable sections (rseq(2), the kernel's `kernel/rseq.c`): short pieces of code that the
//! kernel restarts if it interrupts them. If the thread is preempted, migrated or gets a signal
//! inside a section, it continues at the section's abort address. The section has then had no
//! effect, because its last instruction, the commit, was not executed.
//!
//! Each section here first checks that the lock word still names this call. Together with
//! [`restart_others`], this lets one thread take the lock from another without its cooperation:
//! change the word, then restart every section in progress. After that, the former owner's section
//! either has committed or will find that the word has changed.
//!
//! The kernel reads an area for each thread, `struct rseq`, which glibc 2.35 and later register. A
//! thread can have only one, so the library registers none. If the C library does not either, or
//! `arch` has no sections for the CPU, [`Area::of_this_thread`] is None.

mod section;

use super::arch;
#[cfg(reaps_in_user_space)]
use super::syscall::pointer;
use super::syscall::{call, long};
pub use arch::stack_pointer;
use core::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use libc::c_long;
pub use section::Section;

/// Converts the number that the assembly returns.
#[inline(always)]
fn outcome(number: u32) -> Section {
    match number {
        0 => Section::Done,
        1 => Section::Aborted,
        _ => Section::NotOwner,
    }
}

/// The location of a thread's `struct rseq`. The fields used here are `cpu_id`, four bytes at
/// offset 4, and `rseq_cs`, the address of the current section's descriptor, eight bytes at offset
/// 8.
#[derive(Clone, Copy)]
pub struct Area(isize);

impl Area {
    /// The area, if the kernel uses it.
    ///
    /// # Safety
    /// The thread must have an area at this distance from its thread pointer.
    #[inline(always)]
    unsafe fn at(offset: isize) -> Option<Area> {
        let area = arch::rseq_area(offset);
        // The kernel stores the CPU's number there. It is negative if registration failed.
        // SAFETY: the caller's promise.
        (unsafe { arch::cpu_id(area) } >= 0).then_some(Area(area))
    }

    /// Whether threads of this process may own locks.
    #[inline(always)]
    pub fn are_used() -> bool {
        OFFSET.load(Relaxed) != 0
    }

    /// This thread's area. A thread without one must not own a lock.
    #[inline(always)]
    pub fn of_this_thread() -> Option<Area> {
        // Relaxed: `enable` stores it before `main`.
        let offset = OFFSET.load(Relaxed);
        if offset == 0 {
            return None;
        }
        // SAFETY: the C library guarantees that each of its threads has an area there.
        unsafe { Area::at(offset) }
    }
}

/// The area's distance from the thread pointer, or 0: no thread may own a lock.
static OFFSET: AtomicIsize = AtomicIsize::new(0);

#[cfg(reaps_in_user_space)]
// The C library's symbols. Weak, because older C libraries do not have them.
core::arch::global_asm!(
    ".weak __rseq_offset",
    ".weak __rseq_size",
    ".pushsection .data.rel.ro.libaio_rs,\"aw\"",
    ".balign 8",
    ".globl libaio_rs_rseq",
    ".hidden libaio_rs_rseq",
    "libaio_rs_rseq: .quad __rseq_offset, __rseq_size",
    ".popsection",
);

#[cfg(reaps_in_user_space)]
#[repr(C)]
struct Registered {
    offset: Option<&'static isize>,
    size: Option<&'static u32>,
}

#[cfg(reaps_in_user_space)]
extern "C" {
    #[link_name = "libaio_rs_rseq"]
    static REGISTERED: Registered;
}

/// Allows threads to own locks, if `may`, if the C library has registered this thread's area, and
/// if the kernel can restart sections (`MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ`, since Linux 5.10).
#[cfg(reaps_in_user_space)]
pub fn enable(may: bool) {
    let offset = if may { registered_offset() } else { None };
    OFFSET.store(offset.unwrap_or(0), Relaxed);
}

#[cfg(reaps_in_user_space)]
fn registered_offset() -> Option<isize> {
    // SAFETY: the two words above. The dynamic linker writes them before any of our code runs; each
    // is 0 or the address of the C library's constant.
    let registered = unsafe { &REGISTERED };
    let (&offset, &size) = (registered.offset?, registered.size?);
    let is_broken = arch::BROKEN_KERNELS.is_some_and(|kernels| kernels.contains(&kernel_version()));
    // SAFETY: if the size is not 0, the C library guarantees that threads have areas.
    let can =
        !is_broken && size != 0 && unsafe { Area::at(offset) }.is_some() && can_restart_others();
    (can && membarrier(REGISTER_PRIVATE_EXPEDITED_RSEQ) == 0).then_some(offset)
}

/// The kernel's version, from the release that `uname(2)` returns.
#[cfg(reaps_in_user_space)]
fn kernel_version() -> u64 {
    let mut names = core::mem::MaybeUninit::<libc::utsname>::uninit();
    // SAFETY: the kernel writes the structure.
    if unsafe { call!(libc::SYS_uname, pointer(names.as_mut_ptr())) } != 0 {
        return 0;
    }
    // SAFETY: the kernel has written it.
    let names = unsafe { names.assume_init_ref() };
    version_of(names.release.iter().map(|&byte| byte as u8))
}

/// The version at the beginning of a release string, such as 6.12.3: 16 bits for each number.
#[cfg(reaps_in_user_space)]
pub fn version_of(release: impl Iterator<Item = u8>) -> u64 {
    let mut version = 0;
    let mut number = 0;
    let mut parts = 0;
    for byte in release {
        match byte {
            digit @ b'0'..=b'9' => number = (number * 10 + u64::from(digit - b'0')) & 0xffff,
            end => {
                version = version << 16 | number;
                number = 0;
                parts += 1;
                if end != b'.' || parts == 3 {
                    break;
                }
            }
        }
    }
    version << (16 * (3 - parts))
}

/// Section: reads four words, the second with acquire, if `lock` holds `owned`.
///
/// # Safety
/// `lock` must be readable; `from` must be readable as long as `lock` holds `owned`.
#[inline(always)]
pub unsafe fn read_words(
    area: Area,
    lock: *const usize,
    owned: usize,
    from: *const u64,
) -> (Section, [u64; 4]) {
    // SAFETY: the same contract.
    let (section, words) = unsafe { arch::read_words(area.0, lock, owned, from) };
    (outcome(section), words)
}

/// Section: copies `count` blocks of 32 bytes from `from` and then `more` from `from_start`, and
/// stores `value` to `word`, with release, if `lock` holds `owned`.
///
/// # Safety
/// `lock` must be readable. As long as it holds `owned`, the sources must be readable and `word`
/// writable. `to` must have room. `count` must not be 0.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // one instruction sequence, one register each
pub unsafe fn copy_and_store(
    area: Area,
    lock: *const usize,
    owned: usize,
    from: *const u8,
    count: usize,
    from_start: *const u8,
    more: usize,
    to: *mut u8,
    word: *mut u32,
    value: u32,
) -> Section {
    // SAFETY: the same contract.
    outcome(unsafe {
        arch::copy_and_store(
            area.0, lock, owned, from, count, from_start, more, to, word, value,
        )
    })
}

/// Section: stores `value` to `lock`, with release, if it holds `owned`.
///
/// # Safety
/// `lock` must be a lock word, which other threads change only by atomic compare-and-exchange.
#[inline(always)]
pub unsafe fn store(area: Area, lock: *mut usize, owned: usize, value: usize) -> Section {
    // SAFETY: the same contract.
    outcome(unsafe { arch::store(area.0, lock, owned, value) })
}

/// Whether the kernel can restart sections. Checks for the command's bit, because some sandboxes
/// and emulators return 0 for any system call and do nothing.
pub fn can_restart_others() -> bool {
    let commands = membarrier(QUERY);
    let needed = PRIVATE_EXPEDITED_RSEQ as isize;
    commands >= 0 && commands & needed != 0
}

/// Restarts every section that another thread of this process is in. Also a memory barrier: earlier
/// stores of those threads are visible afterwards. False if the kernel refuses.
pub fn restart_others() -> bool {
    // A process that is restored from a checkpoint may have lost its registration.
    membarrier(PRIVATE_EXPEDITED_RSEQ) == 0
        || membarrier(REGISTER_PRIVATE_EXPEDITED_RSEQ) == 0
            && membarrier(PRIVATE_EXPEDITED_RSEQ) == 0
}

// `enum membarrier_cmd` in the kernel's `linux/membarrier.h`.
const QUERY: c_long = 0;
const PRIVATE_EXPEDITED_RSEQ: c_long = 1 << 7;
const REGISTER_PRIVATE_EXPEDITED_RSEQ: c_long = 1 << 8;

fn membarrier(command: c_long) -> isize {
    // SAFETY: the call reads and writes no memory of this process.
    unsafe { call!(libc::SYS_membarrier, long(command), long(0)) }
}
