//! The settings in the environment.
//!
//! `LIBAIO_RS_REAP` is for programs that `lock.rs` cannot protect: those that use this library and
//! raw `io_getevents` system calls on the same context at the same time. `LIBAIO_RS_ENGINE` sets
//! what happens when the kernel refuses a context.
//!
//! The environment is read only when the library is loaded. Later reads would race with `setenv()`
//! in another thread, and are not safe in a signal handler.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_ulong, CStr};
use core::sync::atomic::{AtomicPtr, Ordering};

/// `LIBAIO_RS_REAP=kernel`: never take completions from a ring in user space.
#[cfg(reaps_in_user_space)]
const REAP: &[u8] = b"LIBAIO_RS_REAP=";
#[cfg(reaps_in_user_space)]
const KERNEL: &CStr = c"kernel";
/// `LIBAIO_RS_ENGINE=auto`, `=inline`; anything else is `=kernel`.
const ENGINE: &[u8] = b"LIBAIO_RS_ENGINE=";
const AUTO: &CStr = c"auto";
const INLINE: &CStr = c"inline";

/// Strings of the form `NAME=value`, up to a null pointer.
pub type Environment = *const *const c_char;

// The shared library is not linked with a C library. A weak reference is 0 if the program's C
// library does not define the symbol, or if the program has none. In the archive, getauxval is a
// strong reference, because a weak one does not pull its object file into a static program;
// `__environ` is there anyway, because the start files use it.
#[cfg(feature = "versioned")]
core::arch::global_asm!(".weak getauxval");
core::arch::global_asm!(
    ".weak __environ",
    ".weak environ",
    ".weak gnu_get_libc_version",
    ".pushsection .data.rel.ro.libaio_rs,\"aw\"",
    ".balign 8",
    ".globl libaio_rs_of_libc",
    ".hidden libaio_rs_of_libc",
    "libaio_rs_of_libc:",
);
#[cfg(target_pointer_width = "64")]
core::arch::global_asm!(
    ".8byte getauxval, __environ, environ, gnu_get_libc_version",
    ".popsection",
);
#[cfg(target_pointer_width = "32")]
core::arch::global_asm!(
    ".4byte getauxval, __environ, environ, gnu_get_libc_version",
    ".popsection",
);

/// The addresses of the C library's symbols.
#[repr(C)]
struct OfLibc {
    getauxval: Option<extern "C" fn(c_ulong) -> c_ulong>,
    /// Two names of one variable.
    environ: [Option<&'static AtomicPtr<*const c_char>>; 2],
    /// Never called: only its existence matters.
    gnu_get_libc_version: Option<extern "C" fn() -> *const c_char>,
}

extern "C" {
    #[link_name = "libaio_rs_of_libc"]
    static OF_LIBC: OfLibc;
}

fn of_libc() -> &'static OfLibc {
    // SAFETY: the words above. The dynamic linker writes them before any of our code runs, and
    // nothing writes them afterwards.
    unsafe { &OF_LIBC }
}

/// Whether completions may be taken from a ring in user space.
///
/// # Safety
/// Must be called by a constructor, while no thread changes the environment. `given` must be the
/// third argument of this library's constructor, or null.
#[cfg(reaps_in_user_space)]
pub unsafe fn may_reap_in_user_space(given: Environment) -> bool {
    // SAFETY: the same contract.
    let value = unsafe { variable(REAP, given) };
    !value.is_some_and(|value| is(value, KERNEL))
}

/// Fault injection: disables the locks, so that tests/stress.rs can prove it would notice. Needs
/// both the cfg and the variable, so one left set by accident cannot build an unsafe library.
pub const WITHOUT_LOCK: bool = cfg!(without_exclusion);
const _: () = assert!(
    !WITHOUT_LOCK || option_env!("LIBAIO_RS_WITHOUT_EXCLUSION").is_some(),
    "--cfg without_exclusion is for tests/stress.rs alone"
);

/// The value of `LIBAIO_RS_ENGINE`.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    /// Kernel AIO serves every context.
    Kernel,
    /// Kernel AIO serves what it can, the library what the kernel refuses.
    Auto,
    /// Kernel AIO is never called.
    Inline,
}

/// A [`Mode`]. Not atomic, so that io_submit() compares it in memory, in one instruction.
static MODE: WrittenAtLoad = WrittenAtLoad(UnsafeCell::new(Mode::Kernel as u8));

/// A byte that only constructors write.
struct WrittenAtLoad(UnsafeCell<u8>);

// SAFETY: the constructors of a program run one after another, and other threads call this library
// only after it has been loaded.
unsafe impl Sync for WrittenAtLoad {}

impl WrittenAtLoad {
    #[inline(always)]
    fn get(&self) -> u8 {
        // SAFETY: only constructors write it, and no read runs at the same time; see `Sync`.
        unsafe { *self.0.get() }
    }
}

/// Reads `LIBAIO_RS_ENGINE`.
///
/// # Safety
/// As [`may_reap_in_user_space`].
pub unsafe fn read_engine(given: Environment) -> Mode {
    // SAFETY: the same contract.
    let mode = match unsafe { variable(ENGINE, given) } {
        Some(value) if is(value, AUTO) => Mode::Auto,
        Some(value) if is(value, INLINE) => Mode::Inline,
        _ => Mode::Kernel,
    };
    // SAFETY: a constructor calls this, and nothing reads the byte at the same time.
    unsafe { *MODE.0.get() = mode as u8 };
    mode
}

/// Whether the kernel serves every context.
#[inline(always)]
pub fn is_kernel_only() -> bool {
    MODE.get() == Mode::Kernel as u8
}

/// Which engines may serve contexts.
pub fn engine() -> Mode {
    const AUTO: u8 = Mode::Auto as u8;
    const INLINE: u8 = Mode::Inline as u8;
    match MODE.get() {
        AUTO => Mode::Auto,
        INLINE => Mode::Inline,
        _ => Mode::Kernel,
    }
}

/// The size of a page in bytes.
#[inline(never)]
pub fn page_size() -> usize {
    let getauxval = of_libc().getauxval;
    match getauxval.map_or(0, |getauxval| getauxval(libc::AT_PAGESZ) as usize) {
        0 => 4096,
        size => size,
    }
}

/// The value of a variable; `name` ends with `=`. None in programs that run with more privileges
/// than their user.
///
/// # Safety
/// As [`may_reap_in_user_space`].
#[inline(never)]
unsafe fn variable(name: &[u8], given: Environment) -> Option<*const c_char> {
    let mut entry = environment(given);
    if entry.is_null() {
        return None;
    }
    loop {
        // SAFETY: an array of strings that ends with a null pointer, which no thread changes now.
        let string = unsafe { entry.read() };
        if string.is_null() {
            return None;
        }
        // SAFETY: as above. If the string begins with `name`, the byte after that is part of it.
        unsafe {
            if begins_with(string, name) {
                return is_trusted().then_some(string.add(name.len()));
            }
            entry = entry.add(1);
        }
    }
}

/// The C library's `__environ`, or, if that is not set yet, the constructor's third argument.
///
/// glibc passes the environment to every constructor. It may run this library's constructor before
/// the one that sets `__environ`. musl passes no arguments, so there `given` is whatever the
/// register holds, but musl sets `__environ` first. Therefore `given` is used only if `__environ`
/// is null. gnu_get_libc_version alone does not prove that this is glibc: gcompat, which runs glibc
/// programs on musl, has it too.
fn environment(given: Environment) -> Environment {
    let of_libc = of_libc();
    for variable in of_libc.environ.iter().flatten() {
        let strings = variable.load(Ordering::Relaxed);
        if !strings.is_null() {
            return strings;
        }
    }
    match of_libc.gnu_get_libc_version {
        Some(_) => given,
        None => core::ptr::null(),
    }
}

/// Whether the environment may be trusted: `AT_SECURE` is 0, so the program has no more privileges
/// than its user.
fn is_trusted() -> bool {
    let getauxval = of_libc().getauxval;
    getauxval.is_some_and(|getauxval| getauxval(libc::AT_SECURE) == 0)
}

/// Whether a value is this string.
#[inline(never)]
fn is(value: *const c_char, string: &CStr) -> bool {
    // SAFETY: `value` points into a string of the environment.
    unsafe { begins_with(value, string.to_bytes_with_nul()) }
}

/// Whether a string begins with these bytes. Reads up to the first difference.
///
/// # Safety
/// `string` must end with a zero byte.
unsafe fn begins_with(string: *const c_char, bytes: &[u8]) -> bool {
    let mut bytes = bytes.iter().enumerate();
    // SAFETY: all earlier bytes were equal to those of `bytes`, so none was the string's zero byte,
    // unless `bytes` ends with it.
    bytes.all(|(i, &byte)| unsafe { string.add(i).read() } as u8 == byte)
}
