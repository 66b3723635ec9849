//! The USDT probe `libaio:setup`, for bpftrace, SystemTap and perf: a `nop` in io_setup(), and a
//! note with its address and the registers of its arguments.

use super::arch;

/// The `nop` and its note, in the layout of SystemTap's `sys/sdt.h`, version 3, on a 64-bit
/// machine. `$arguments` are in assembler notation.
#[allow(unused_macros)]
macro_rules! note {
    ($arguments:literal) => {
        concat!(
            "990: nop\n",
            ".pushsection .note.stapsdt,\"\",\"note\"\n",
            ".balign 4\n",
            ".4byte 992f-991f, 994f-993f, 3\n",
            "991: .asciz \"stapsdt\"\n",
            "992: .balign 4\n",
            "993: .8byte 990b, _.stapsdt.base, 0\n",
            ".asciz \"libaio\"\n",
            ".asciz \"setup\"\n",
            ".asciz \"",
            $arguments,
            "\"\n",
            "994: .balign 4\n",
            ".popsection\n",
            ".ifndef _.stapsdt.base\n",
            ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n",
            ".weak _.stapsdt.base\n",
            ".hidden _.stapsdt.base\n",
            "_.stapsdt.base: .space 1\n",
            ".size _.stapsdt.base, 1\n",
            ".popsection\n",
            ".endif",
        )
    };
}
#[allow(unused_imports)]
pub(super) use note;

/// Fires the probe. docs/engines.md explains its arguments.
#[inline(never)]
pub fn setup(handle: usize, asked: i32, granted: i32, rung: i32, error: i32) {
    arch::probe_setup(handle, asked, granted, rung, error);
}
