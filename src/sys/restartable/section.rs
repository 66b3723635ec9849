//! The outcome of a restartable section.

/// The outcome of a restartable section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// It committed.
    Done,
    /// The kernel aborted it. It had no effect, and can be repeated.
    Aborted,
    /// The lock word no longer names this call. The section had no effect.
    NotOwner,
}
