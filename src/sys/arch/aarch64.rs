//! arm64.

use core::arch::asm;
use libc::c_long;

pub const REAPS: bool = true;
/// Linux 6.19 to 7.0.13 claims to restart sections on arm64, but does not (commit 411c1cf43039,
/// "arm64/entry: Fix arm64-specific rseq brokenness").
pub const BROKEN_KERNELS: Option<core::ops::Range<u64>> =
    Some((6 << 32 | 19 << 16)..(7 << 32 | 14));
pub const LARGEST_PAGE: usize = 65536;
pub const KERNEL_SIGSET_SIZE: usize = 8;
pub const SYS_IO_PGETEVENTS: c_long = 292;

/// The type of a register that passes an argument.
pub type Register = isize;

// The first argument and the result share a register.
macro_rules! instruction {
    (
        $number:ident, $answer:ident, $first:ident $first_register:tt
        $(, $argument:ident $register:tt)*
    ) => {
        core::arch::asm!(
            "svc 0",
            in("x8") $number,
            inlateout($first_register) $first => $answer,
            $(in($register) $argument,)*
            options(nostack, preserves_flags)
        )
    };
}
with_instruction! {
    syscall1(a "x0");
    syscall2(a "x0", b "x1");
    syscall3(a "x0", b "x1", c "x2");
    syscall5(a "x0", b "x1", c "x2", d "x3", e "x4");
    syscall6(a "x0", b "x1", c "x2", d "x3", e "x4", f "x5");
}

/// The address of the thread's `struct rseq`.
#[inline(always)]
pub fn rseq_area(offset: isize) -> isize {
    let pointer: isize;
    // SAFETY: reads a register.
    unsafe {
        asm!("mrs {}, tpidr_el0", out(reg) pointer,
            options(nostack, preserves_flags, nomem));
    }
    pointer + offset
}

/// The field `cpu_id` of the area.
///
/// # Safety
/// The thread must have such an area.
#[inline(always)]
pub unsafe fn cpu_id(area: isize) -> i32 {
    // SAFETY: the caller's promise; the kernel writes it.
    unsafe { (area as *const i32).add(1).read_volatile() }
}

/// The stack pointer of the function that this is inlined into.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe {
        asm!("mov {}, sp", out(reg) pointer, options(nostack, preserves_flags, nomem));
    }
    pointer
}

// The code around each section. The descriptor is `struct rseq_cs`: version, flags, start, length
// to the end of the commit, abort address. The kernel requires the signature that glibc registered
// in the four bytes before the abort address; here it is an instruction (brk) that is never
// executed. The end clears `rseq_cs`, because unloading the library unmaps the descriptor.
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
            "mov {section:w}, #1\n",
            "adrp {scratch}, 6b\n",
            "add {scratch}, {scratch}, :lo12:6b\n",
            "str {scratch}, [{area}, #8]\n",
            "2: ldr {scratch}, [{lock}]\n",
            "cmp {scratch}, {owned}\n",
            "b.ne 4f"
        )
    };
}
macro_rules! end {
    () => {
        concat!(
            "3: mov {section:w}, #0\n",
            "b 5f\n",
            ".inst 0xd428bc00\n",
            "7: b 5f\n",
            "4: mov {section:w}, #2\n",
            "5: str xzr, [{area}, #8]"
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
    // SAFETY: the caller's promise. The second word (tail) is loaded with acquire: events are read
    // after it. Pairs with the write barrier in the kernel's aio_complete().
    unsafe {
        asm!(
            begin!(),
            "add {b}, {from}, #8",
            "ldar {b}, [{b}]",
            "ldr {a}, [{from}]",
            "ldp {c}, {d}, [{from}, #16]",
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
    // SAFETY: the caller's promise. The store is a release: the blocks have been read when `value`
    // can be seen.
    unsafe {
        asm!(
            begin!(),
            "8: ldp {x:q}, {y:q}, [{from}], #32",
            "stp {x:q}, {y:q}, [{to}], #32",
            "subs {count}, {count}, #1",
            "b.ne 8b",
            "mov {from}, {from_start}",
            "mov {count}, {more}",
            "mov {more}, #0",
            "cbnz {count}, 8b",
            "stlr {value:w}, [{word}]",
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
            x = out(vreg) _,
            y = out(vreg) _,
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
    // SAFETY: the caller's promise. The store is a release.
    unsafe {
        asm!(
            begin!(),
            "stlr {value}, [{lock}]",
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
pub fn probe_setup(handle: usize, asked: i32, granted: i32, rung: i32, error: i32) {
    // SAFETY: a nop, and a note in another section of the file.
    unsafe {
        asm!(
            crate::sys::probe::note!("8@x0 -4@x1 -4@x2 -4@x3 -4@x4"),
            in("x0") handle,
            in("x1") asked,
            in("x2") granted,
            in("x3") rung,
            in("x4") error,
            options(nomem, nostack, preserves_flags)
        );
    }
}
