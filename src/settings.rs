//! What the environment may change. There is one setting, for the programs that `gate.rs` cannot
//! protect from themselves: those that mix this library's calls with raw `io_getevents` system
//! calls, at the same time, on the same context.

use core::ffi::{c_char, CStr};

/// `LIBAIO_RS_REAP=kernel`: never take completions from a ring in user space.
const REAP: &CStr = c"LIBAIO_RS_REAP";
const KERNEL: &CStr = c"kernel";

type Getenv = unsafe extern "C" fn(*const c_char) -> *const c_char;

// The shared library needs no C library and is not linked with one, but every program has one with
// this function (glibc since 2.17, musl since 1.1.11). A weak reference is 0 where there is none.
// In the archive a weak one would not bring it into a static program.
#[cfg(feature = "versioned")]
core::arch::global_asm!(".weak secure_getenv");
core::arch::global_asm!(
    ".pushsection .data.rel.ro.libaio_rs,\"aw\"",
    ".balign 8",
    ".globl libaio_rs_secure_getenv",
    ".hidden libaio_rs_secure_getenv",
    "libaio_rs_secure_getenv: .quad secure_getenv",
    ".popsection",
);
extern "C" {
    #[link_name = "libaio_rs_secure_getenv"]
    static SECURE_GETENV: Option<Getenv>;
}

/// Whether completions may be taken from the ring. Ask once: the answer may change with the
/// program's environment. A program that runs with more privileges than its user has none.
pub fn may_reap_in_user_space() -> bool {
    // SAFETY: the word above, which the dynamic linker has written before any of our code runs.
    let Some(secure_getenv) = (unsafe { SECURE_GETENV }) else {
        return true;
    };
    // SAFETY: the C library's function. As any use of the environment it must not run beside a
    // setenv() in another thread; programs call io_setup() for the first time early.
    let value = unsafe { secure_getenv(REAP.as_ptr()) };
    // SAFETY: NULL or a string of the environment; read up to its end or the first difference.
    let is_kernel = !value.is_null()
        && KERNEL
            .to_bytes_with_nul()
            .iter()
            .enumerate()
            .all(|(i, &byte)| unsafe { value.add(i).read() } as u8 == byte);
    !is_kernel
}
