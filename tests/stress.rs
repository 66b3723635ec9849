//! No completion lost, none delivered twice: tests/stress.c over this library, for some seconds, or
//! with LIBAIO_RS_LONG=1 for ten million requests. And over a library without the exclusion, where
//! it must find that out.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use support::{attempt, cargo_build_with, compile, original, ours, report, scratch, text};

/// Builds and runs it, with the library at a path.
fn stress(library: &Path, arguments: &[&str]) -> (Command, Output) {
    let place = scratch();
    let program = place.path().join("stress");
    compile("stress.c", &program, library);
    let mut command = Command::new(&program);
    command
        .current_dir(place.path())
        .args(arguments)
        .env("LD_PRELOAD", library);
    let output = attempt(&mut command);
    print!("{}", text(&output.stdout));
    (command, output)
}

#[track_caller]
fn passes(library: &Path, arguments: &[&str]) -> String {
    let (command, output) = stress(library, arguments);
    assert!(output.status.success(), "{}", report(&command, &output));
    text(&output.stdout)
}

#[test]
fn every_completion_once() {
    let arguments = match std::env::var_os("LIBAIO_RS_LONG") {
        Some(_) => ["1", "10000000"],
        None => ["5", "100000"],
    };
    support::result(&passes(&ours().shared, &arguments));
}

/// The test asks nothing that the original cannot do, but for waiting for a context that another
/// thread destroys: it reads the ring before it looks at the timeout, and does not survive that.
#[test]
fn the_original_passes_too() {
    let Some(original) = original() else {
        return support::skip("stress of the original", "it is not installed");
    };
    passes(&original.shared, &["1", "10000", "steady"]);
    passes(&original.shared, &["3", "10000", "apart"]);
}

fn without_exclusion() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let flags = ["--cfg", "without_exclusion"];
        let meant = [("LIBAIO_RS_WITHOUT_EXCLUSION", "1")];
        cargo_build_with("without_exclusion", &flags, &meant)
    })
}

#[test]
fn without_the_exclusion_it_finds_doubled_completions() {
    let (command, output) = stress(without_exclusion(), &["10", "0", "steady"]);
    let printed = report(&command, &output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
}

#[test]
fn without_the_exclusion_it_finds_rings_that_go_away() {
    let (command, output) = stress(without_exclusion(), &["10", "0"]);
    assert!(!output.status.success(), "{}", report(&command, &output));
}
