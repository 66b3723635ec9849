//! The functions that `libaio.h` calls on 32-bit machines if the program is built with
//! `_TIME_BITS=64`. They take a 64-bit `struct timespec`.

use crate::abi::{io_context_t, io_event};
use crate::context::Wanted;
use crate::errno::into_c;
use crate::timeout::timespec64;
use libc::{c_int, c_long, sigset_t};

#[cfg(feature = "versioned")]
super::exports::versions_of_time64!();

/// `io_getevents()` with a 64-bit time.
#[no_mangle]
pub unsafe extern "C" fn io_getevents_time64(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *mut timespec64,
) -> c_int {
    let wanted = Wanted {
        ctx,
        min_nr,
        nr,
        events,
        timeout,
        mask: None,
    };
    // SAFETY: the timeout is readable, and events has room for nr.
    into_c(unsafe { wanted.getevents() })
}

/// `io_pgetevents()` with a 64-bit time.
#[no_mangle]
pub unsafe extern "C" fn io_pgetevents_time64(
    ctx: io_context_t,
    min_nr: c_long,
    nr: c_long,
    events: *mut io_event,
    timeout: *mut timespec64,
    sigmask: *mut sigset_t,
) -> c_int {
    let wanted = Wanted {
        ctx,
        min_nr,
        nr,
        events,
        timeout,
        mask: Some(sigmask),
    };
    // SAFETY: the timeout is readable, and events has room for nr.
    into_c(unsafe { wanted.getevents() })
}
