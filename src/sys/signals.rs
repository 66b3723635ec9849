//! Blocking signals while a call must not be interrupted by a handler.

use super::arch::KERNEL_SIGSET_SIZE;
use super::syscall::{call, long, pointer};
use core::mem::MaybeUninit;

/// The kernel's signal mask: 64 signals, on MIPS 128.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Mask([u64; 2]);

const ALL: Mask = Mask([u64::MAX; 2]);

/// Blocks all signals in this thread (`rt_sigprocmask(2)`; the kernel ignores SIGKILL and SIGSTOP).
/// Returns the mask to restore, or None if a sandbox refuses the call.
#[inline(never)]
pub fn block() -> Option<Mask> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the kernel reads `ALL` and writes `before`.
    let answer = unsafe {
        call!(
            libc::SYS_rt_sigprocmask,
            long(libc::SIG_SETMASK as _),
            pointer(&ALL),
            pointer::<Mask>(before.as_mut_ptr()),
            long(KERNEL_SIGSET_SIZE as _),
            long(0)
        )
    };
    // SAFETY: the kernel has written the KERNEL_SIGSET_SIZE bytes that `restore` makes it read; the
    // library reads none of them.
    (answer == 0).then(|| unsafe { before.assume_init() })
}

/// Restores a mask. Signals that arrived in the meantime are delivered before this returns.
#[inline(never)]
pub fn restore(mask: &Mask) {
    // SAFETY: the kernel reads the mask.
    unsafe {
        call!(
            libc::SYS_rt_sigprocmask,
            long(libc::SIG_SETMASK as _),
            pointer(mask),
            pointer(core::ptr::null::<Mask>()),
            long(KERNEL_SIGSET_SIZE as _),
            long(0)
        );
    }
}
