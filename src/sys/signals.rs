//! Signals that wait while a call is in the middle of something.

use super::arch::KERNEL_SIGSET_SIZE;
use super::syscall::{call, long, pointer};
use core::mem::MaybeUninit;

/// A signal mask as the kernel has it: 64 signals, 128 on MIPS.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Mask([u64; 2]);

const ALL: Mask = Mask([u64::MAX; 2]);

/// Blocks every signal in this thread (`rt_sigprocmask(2)`; SIGKILL and SIGSTOP cannot be), and
/// returns the mask to restore. None if a sandbox refuses.
#[inline(never)]
pub fn block() -> Option<Mask> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the kernel reads one mask and writes the other.
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
    // SAFETY: the kernel has written as much of it as it reads in `restore`.
    (answer == 0).then(|| unsafe { before.assume_init() })
}

/// Puts a mask back. Signals that arrived meanwhile are delivered before this returns.
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
