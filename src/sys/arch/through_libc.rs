//! System calls through libc's `syscall`, which keep `errno` unchanged.

/// The type of a register that passes an argument.
pub type Register = isize;

macro_rules! with_libc {
    ($($name:ident($($argument:ident),+);)+) => {$(
        #[inline(always)]
        pub unsafe fn $name(number: libc::c_long, $($argument: Register),+) -> isize {
            // SAFETY: the caller keeps the system call's contract. __errno_location returns a valid
            // pointer to this thread's errno.
            unsafe {
                let errno = libc::__errno_location();
                let saved = *errno;
                let answer = libc::syscall(number, $($argument),+) as isize;
                if answer != -1 {
                    return answer;
                }
                let error = *errno;
                *errno = saved;
                -(error as isize)
            }
        }
    )+};
}
with_libc! {
    syscall1(a);
    syscall2(a, b);
    syscall3(a, b, c);
    syscall5(a, b, c, d, e);
    syscall6(a, b, c, d, e, f);
}

/// Maps anonymous memory. Uses libc's function, because the system call has other arguments or
/// another name on some of these machines.
pub unsafe fn mmap(length: usize, protection: libc::c_int, flags: libc::c_int) -> isize {
    // SAFETY: a new mapping, at an address that the kernel chooses; and as above.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        let address = libc::mmap(core::ptr::null_mut(), length, protection, flags, -1, 0);
        if address != libc::MAP_FAILED {
            return address as isize;
        }
        let error = *errno;
        *errno = saved;
        -(error as isize)
    }
}
