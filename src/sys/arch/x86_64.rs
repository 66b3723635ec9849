//! x86-64, and its form with 32-bit pointers (x32), whose system calls take 64-bit arguments.

use core::arch::asm;
use libc::c_long;

pub const REAPS: bool = true;
pub const BROKEN_KERNELS: Option<core::ops::Range<u64>> = None;
pub const LARGEST_PAGE: usize = 4096;
pub const KERNEL_SIGSET_SIZE: usize = 8;
/// x32 system calls have an extra bit in their numbers.
pub const SYS_IO_PGETEVENTS: c_long = 333
    + if cfg!(target_pointer_width = "32") {
        0x4000_0000
    } else {
        0
    };

/// The type of a register that passes an argument.
pub type Register = i64;

macro_rules! instruction {
    ($number:ident, $answer:ident, $($argument:ident $register:tt),+) => {
        core::arch::asm!(
            "syscall",
            inlateout("rax") $number as Register => $answer,
            $(in($register) $argument,)+
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags)
        )
    };
}
with_instruction! {
    syscall1(a "rdi");
    syscall2(a "rdi", b "rsi");
    syscall3(a "rdi", b "rsi", c "rdx");
    syscall5(a "rdi", b "rsi", c "rdx", d "r10", e "r8");
    syscall6(a "rdi", b "rsi", c "rdx", d "r10", e "r8", f "r9");
}

/// The thread's `struct rseq`, as an offset from the base of the segment register FS.
#[inline(always)]
pub fn rseq_area(offset: isize) -> isize {
    offset
}

/// The field `cpu_id` of the area.
///
/// # Safety
/// The thread must have such an area.
#[inline(always)]
pub unsafe fn cpu_id(area: isize) -> i32 {
    let cpu: i32;
    // SAFETY: reads a field of the area, which lives as long as its thread.
    unsafe {
        asm!("mov {:e}, fs:[{} + 4]", out(reg) cpu, in(reg) area,
            options(nostack, preserves_flags, readonly));
    }
    cpu
}

/// The stack pointer of the function that this is inlined into.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe {
        asm!("mov {}, rsp", out(reg) pointer, options(nostack, preserves_flags, nomem));
    }
    pointer
}

// The code around each section. The descriptor is `struct rseq_cs`: version, flags, start, length
// to the end of the commit, abort address. The kernel requires the signature that glibc registered
// in the four bytes before the abort address; here it is the displacement of an instruction (ud1)
// that is never executed. The end clears `rseq_cs`, because unloading the library unmaps the
// descriptor.
//
// Labels: 2 start, 3 after the commit, 4 not the owner, 5 end, 6 descriptor, 7 abort.
macro_rules! begin {
    () => {
        concat!(
            ".pushsection .data.rel.ro.libaio_rs,\"aw\"\n",
            ".balign 32\n",
            "6: .long 0, 0\n",
            ".quad 2f, 3f - 2f, 7f\n",
            ".popsection\n",
            "mov {section:e}, 1\n",
            "lea {scratch}, [rip + 6b]\n",
            "mov fs:[{area} + 8], {scratch}\n",
            "2: cmp [{lock}], {owned}\n",
            "jne 4f"
        )
    };
}
macro_rules! end {
    () => {
        concat!(
            "3: xor {section:e}, {section:e}\n",
            "jmp 5f\n",
            ".byte 0x0f, 0xb9, 0x3d\n",
            ".long 0x53053053\n",
            "7: jmp 5f\n",
            "4: mov {section:e}, 2\n",
            "5: mov qword ptr fs:[{area} + 8], 0"
        )
    };
}

/// Reads four words, if `lock` holds `owned`.
///
/// # Safety
/// `lock` must be readable; `from` must be readable as long as `lock` holds `owned`.
#[inline(always)]
pub unsafe fn read_words(
    area: isize,
    lock: *const usize,
    owned: usize,
    from: *const u64,
) -> (u32, [u64; 4]) {
    let (section, a, b, c, d): (u32, u64, u64, u64, u64);
    // SAFETY: the caller's promise. Loads are not reordered on this CPU: the second word (tail)
    // is read before any later load of an event.
    unsafe {
        asm!(
            begin!(),
            "mov {a}, [{from}]",
            "mov {b}, [{from} + 8]",
            "mov {c}, [{from} + 16]",
            "mov {d}, [{from} + 24]",
            end!(),
            section = out(reg) section,
            scratch = out(reg) _,
            area = in(reg) area,
            lock = in(reg) lock,
            owned = in(reg) owned,
            from = in(reg) from,
            a = out(reg) a,
            b = out(reg) b,
            c = out(reg) c,
            d = out(reg) d,
            options(nostack)
        );
    }
    (section, [a, b, c, d])
}

/// Copies `count` blocks of 32 bytes from `from` and then `more` from `from_start`, and stores
/// `value` to `word`, if `lock` holds `owned`.
///
/// # Safety
/// `lock` must be readable. As long as it holds `owned`, the sources must be readable and `word`
/// writable. `to` must have room. `count` must not be 0.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // one instruction sequence, one register each
pub unsafe fn copy_and_store(
    area: isize,
    lock: *const usize,
    owned: usize,
    from: *const u8,
    count: usize,
    from_start: *const u8,
    more: usize,
    to: *mut u8,
    word: *mut u32,
    value: u32,
) -> u32 {
    let section: u32;
    // SAFETY: the caller's promise. Stores are not reordered with earlier loads on this CPU, so
    // the blocks have been read when `value` can be seen.
    unsafe {
        asm!(
            begin!(),
            "8: movups {x}, [{from}]",
            "movups {y}, [{from} + 16]",
            "movups [{to}], {x}",
            "movups [{to} + 16], {y}",
            "add {from}, 32",
            "add {to}, 32",
            "dec {count}",
            "jnz 8b",
            "mov {from}, {from_start}",
            "mov {count}, {more}",
            "xor {more:e}, {more:e}",
            "test {count}, {count}",
            "jnz 8b",
            "mov [{word}], {value:e}",
            end!(),
            section = out(reg) section,
            scratch = out(reg) _,
            area = in(reg) area,
            lock = in(reg) lock,
            owned = in(reg) owned,
            from = inout(reg) from => _,
            count = inout(reg) count => _,
            from_start = in(reg) from_start,
            more = inout(reg) more => _,
            to = inout(reg) to => _,
            word = in(reg) word,
            value = in(reg) value,
            x = out(xmm_reg) _,
            y = out(xmm_reg) _,
            options(nostack)
        );
    }
    section
}

/// Stores `value` to `lock`, if it holds `owned`.
///
/// # Safety
/// `lock` must be a lock word, which other threads change only by atomic compare-and-exchange.
#[inline(always)]
pub unsafe fn store(area: isize, lock: *mut usize, owned: usize, value: usize) -> u32 {
    let section: u32;
    // SAFETY: the caller's promise. On this CPU a plain store is a release.
    unsafe {
        asm!(
            begin!(),
            "mov [{lock}], {value}",
            end!(),
            section = out(reg) section,
            scratch = out(reg) _,
            area = in(reg) area,
            lock = in(reg) lock,
            owned = in(reg) owned,
            value = in(reg) value,
            options(nostack)
        );
    }
    section
}

/// The probe of `sys/probe.rs`.
#[cfg(target_pointer_width = "64")]
pub fn probe_setup(handle: usize, asked: i32, granted: i32, rung: i32, error: i32) {
    // SAFETY: a nop, and a note in another section of the file.
    unsafe {
        asm!(
            crate::sys::probe::note!("8@%rdi -4@%esi -4@%edx -4@%ecx -4@%r8d"),
            in("rdi") handle,
            in("esi") asked,
            in("edx") granted,
            in("ecx") rung,
            in("r8d") error,
            options(nomem, nostack, preserves_flags)
        );
    }
}
#[cfg(not(target_pointer_width = "64"))]
pub fn probe_setup(_: usize, _: i32, _: i32, _: i32, _: i32) {}
