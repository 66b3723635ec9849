//! Three threads take from one context, and interrupt each other in the middle: every completion
//! comes once. If one of the three is a child of clone(CLONE_VM) with its parent's thread pointer,
//! no call is refused; how many completions come twice or are lost is printed for docs/testing.md.
//! Each run takes 3 seconds, or a minute with LIBAIO_RS_LONG=1.

mod support;

use std::path::Path;
use std::process::Command;
use support::{attempt, compile, original, ours, report, result, scratch, skip, text};

const TWICE_OR_LOST: i32 = 3;

/// Runs tests/shared_thread_pointer.c, which must end with one of these exit statuses.
#[track_caller]
fn run_takers(library: &Path, arguments: &[&str], expected: &[i32]) {
    let place = scratch();
    let program = place.path().join("program");
    compile("shared_thread_pointer.c", &program, library);
    let seconds = match std::env::var_os("LIBAIO_RS_LONG") {
        Some(_) => "60",
        None => "3",
    };
    let mut command = Command::new(&program);
    command
        .arg(seconds)
        .args(arguments)
        .env("LD_PRELOAD", library);
    let output = attempt(&mut command);
    if expected.contains(&TWICE_OR_LOST) {
        result(&format!(
            "beside a child {arguments:?}: {}",
            text(&output.stdout)
        ));
    }
    let ended = output.status.code();
    assert!(
        ended.is_some_and(|code| expected.contains(&code)),
        "{}",
        report(&command, &output)
    );
}

#[test]
fn threads_get_every_completion_once() {
    run_takers(&ours().shared, &["thread"], &[0]);
    run_takers(&ours().shared, &["thread", "present"], &[0]);
}

#[test]
fn a_child_with_its_parents_thread_pointer_is_served() {
    run_takers(&ours().shared, &[], &[0, TWICE_OR_LOST]);
    run_takers(&ours().shared, &["present"], &[0, TWICE_OR_LOST]);
}

#[test]
fn the_original_gives_every_completion_once() {
    let Some(original) = original() else {
        return skip("takes over the original", "it is not installed");
    };
    run_takers(&original.shared, &["thread"], &[0]);
    run_takers(&original.shared, &[], &[0]);
}
