//! Where there are no sections for the CPU: no thread has an area, so none owns a lock, and none of
//! these functions is called.

use super::{Area, Section};

impl Area {
    pub(super) fn at(offset: isize) -> Area {
        Area(offset)
    }

    /// As in a thread that could not be registered.
    pub(super) fn cpu_id(self) -> i32 {
        -1
    }
}

/// Names no call, for no call owns a lock.
pub fn stack_pointer() -> usize {
    0
}

pub unsafe fn read_words(_: Area, _: *const usize, _: usize, _: *const u64) -> (Section, [u64; 4]) {
    (Section::NotOwner, [0; 4])
}

#[allow(clippy::too_many_arguments)]
pub unsafe fn copy_and_store(
    _: Area,
    _: *const usize,
    _: usize,
    _: *const u8,
    _: usize,
    _: *const u8,
    _: usize,
    _: *mut u8,
    _: *mut u32,
    _: u32,
) -> Section {
    Section::NotOwner
}

pub unsafe fn store(_: Area, _: *mut usize, _: usize, _: usize) -> Section {
    Section::NotOwner
}
