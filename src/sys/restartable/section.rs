//! How a section ended.

/// How a section ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// It committed.
    Done,
    /// The kernel aborted it: it had no effect, and can be tried again.
    Aborted,
    /// The lock word does not hold this call any more: it had no effect.
    NotOwner,
}
