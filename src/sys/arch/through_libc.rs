//! System calls through libc's `syscall`, with `errno` put back as it was.

/// What an argument is passed in.
pub type Register = isize;

macro_rules! with_libc {
    ($($name:ident($($argument:ident),+);)+) => {$(
        #[inline(always)]
        pub unsafe fn $name(number: libc::c_long, $($argument: Register),+) -> isize {
            // SAFETY: the system call's contract, which the caller keeps; __errno_location is
            // the calling thread's own and always valid.
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

/// Anonymous memory. By libc's function, because the system call takes its arguments otherwise on
/// some of these machines, and has another name on others.
pub unsafe fn mmap(length: usize, protection: libc::c_int, flags: libc::c_int) -> isize {
    // SAFETY: the call's contract, which the caller keeps; and as above.
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
