//! What the environment may change.
//!
//! `LIBAIO_RS_REAP` is for programs that `lock.rs` cannot protect from themselves: those that mix
//! this library's calls with raw `io_getevents` system calls, at the same time, on the same
//! context. `LIBAIO_RS_ENGINE` says what to do where the kernel refuses a context.
//!
//! The environment is read when the library is loaded, and never again: later it may not be read
//! beside a `setenv()` in another thread, nor in a signal handler.

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

// The shared library needs no C library and is not linked with one. A weak reference is 0 where the
// program has none, or none with such a function. In the archive a weak one would not bring a
// function into a static program; the start files bring `__environ`.
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

/// What a C library has of all this.
#[repr(C)]
struct OfLibc {
    getauxval: Option<extern "C" fn(c_ulong) -> c_ulong>,
    /// Two names of one variable.
    environ: [Option<&'static AtomicPtr<*const c_char>>; 2],
    /// Only asked whether it is there.
    gnu_get_libc_version: Option<extern "C" fn() -> *const c_char>,
}

extern "C" {
    #[link_name = "libaio_rs_of_libc"]
    static OF_LIBC: OfLibc;
}

fn of_libc() -> &'static OfLibc {
    // SAFETY: the words above, which the dynamic linker has written before any of our code runs,
    // and nobody writes again.
    unsafe { &OF_LIBC }
}

/// Whether completions may be taken from a ring in user space.
///
/// # Safety
/// To be called by constructors, while nobody changes the environment. `given` is the third
/// argument of our own constructor, whatever it is, or null.
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

/// What `LIBAIO_RS_ENGINE` says.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    /// Kernel AIO serves every context.
    Kernel,
    /// What it refuses is served otherwise.
    Auto,
    /// Kernel AIO is never called.
    InLine,
}

/// A [`Mode`]. Not atomic: io_submit() then compares it in memory, in one instruction.
static MODE: WrittenAtLoad = WrittenAtLoad(UnsafeCell::new(Mode::Kernel as u8));

/// A byte that constructors write, and no one afterwards.
struct WrittenAtLoad(UnsafeCell<u8>);

// SAFETY: constructors of one program run one after another, and other threads call this library
// only after it has been loaded.
unsafe impl Sync for WrittenAtLoad {}

impl WrittenAtLoad {
    #[inline(always)]
    fn get(&self) -> u8 {
        // SAFETY: nothing writes it any more; see `Sync` above.
        unsafe { *self.0.get() }
    }
}

/// Reads which engine is to serve contexts.
///
/// # Safety
/// As [`may_reap_in_user_space`].
pub unsafe fn read_engine(given: Environment) -> Mode {
    // SAFETY: the same contract.
    let mode = match unsafe { variable(ENGINE, given) } {
        Some(value) if is(value, AUTO) => Mode::Auto,
        Some(value) if is(value, INLINE) => Mode::InLine,
        _ => Mode::Kernel,
    };
    // SAFETY: a constructor, alone.
    unsafe { *MODE.0.get() = mode as u8 };
    mode
}

/// Whether no context is served but by the kernel.
#[inline(always)]
pub fn is_kernel_only() -> bool {
    MODE.get() == Mode::Kernel as u8
}

/// Which engine serves contexts.
pub fn engine() -> Mode {
    const AUTO: u8 = Mode::Auto as u8;
    const INLINE: u8 = Mode::InLine as u8;
    match MODE.get() {
        AUTO => Mode::Auto,
        INLINE => Mode::InLine,
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

/// The value of a variable, whose name is given with the `=`. Programs that run with more
/// privileges than their user have none.
///
/// # Safety
/// See above.
#[inline(never)]
unsafe fn variable(name: &[u8], given: Environment) -> Option<*const c_char> {
    let mut entry = environment(given);
    if entry.is_null() {
        return None;
    }
    loop {
        // SAFETY: strings up to a null pointer, which nobody changes now.
        let string = unsafe { entry.read() };
        if string.is_null() {
            return None;
        }
        // SAFETY: as above; and what follows the name is in the string, at least its end.
        unsafe {
            if begins_with(string, name) {
                return is_trusted().then_some(string.add(name.len()));
            }
            entry = entry.add(1);
        }
    }
}

/// The C library's variable; before it is set what the constructor was given, where that is the
/// environment: glibc runs this library's constructor before its own if it was loaded first, and
/// gives it to all of them. musl, which has its variable set, gives them nothing, so there `given`
/// is what the register happened to hold. That there is glibc's function alone does not tell them
/// apart: programs for glibc that run with musl (gcompat) have it too.
fn environment(given: Environment) -> Environment {
    let of_libc = of_libc();
    for variable in of_libc.environ.iter().flatten() {
        let its = variable.load(Ordering::Relaxed);
        if !its.is_null() {
            return its;
        }
    }
    match of_libc.gnu_get_libc_version {
        Some(_) => given,
        None => core::ptr::null(),
    }
}

/// Whether the one who started the program may say how it works: only if the kernel says so.
fn is_trusted() -> bool {
    let getauxval = of_libc().getauxval;
    getauxval.is_some_and(|getauxval| getauxval(libc::AT_SECURE) == 0)
}

/// Whether a value is this string.
#[inline(never)]
fn is(value: *const c_char, string: &CStr) -> bool {
    // SAFETY: it is a string.
    unsafe { begins_with(value, string.to_bytes_with_nul()) }
}

/// Whether a string begins with these bytes. Reads up to the first difference.
///
/// # Safety
/// It is a string.
unsafe fn begins_with(string: *const c_char, bytes: &[u8]) -> bool {
    let mut bytes = bytes.iter().enumerate();
    // SAFETY: what comes before was equal, and not the end unless `bytes` ends there too.
    bytes.all(|(i, &byte)| unsafe { string.add(i).read() } as u8 == byte)
}
