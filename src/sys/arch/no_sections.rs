//! For CPUs without restartable sections: no thread has an area, so none owns a lock, and none of
//! these sections is run.

/// The outcome "not the owner".
const NOT_OWNER: u32 = 2;

pub fn stack_pointer() -> usize {
    0
}

pub fn rseq_area(offset: isize) -> isize {
    offset
}

/// The value in a thread whose registration failed.
pub unsafe fn cpu_id(_: isize) -> i32 {
    -1
}

pub unsafe fn read_words(_: isize, _: *const usize, _: usize, _: *const u64) -> (u32, [u64; 4]) {
    (NOT_OWNER, [0; 4])
}

#[allow(clippy::too_many_arguments)]
pub unsafe fn copy_and_store(
    _: isize,
    _: *const usize,
    _: usize,
    _: *const u8,
    _: usize,
    _: *const u8,
    _: usize,
    _: *mut u8,
    _: *mut u32,
    _: u32,
) -> u32 {
    NOT_OWNER
}

pub unsafe fn store(_: isize, _: *mut usize, _: usize, _: usize) -> u32 {
    NOT_OWNER
}

/// No probe.
pub fn probe_setup(_: usize, _: i32, _: i32, _: i32, _: i32) {}
