//! No completion is lost or delivered twice: tests/stress.c over this library, for some seconds, or
//! for ten million requests if LIBAIO_RS_LONG is set. Over a library whose lock is disabled, it
//! must fail.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use support::{attempt, cargo_build_with, compile, original, ours, refuse, report, scratch, text};

/// The environment: the value of LIBAIO_RS_ENGINE, and what tests/refuse.c refuses.
#[derive(Clone, Copy)]
struct Server {
    engine: &'static str,
    refusal: Option<&'static str>,
}

const KERNEL: Server = Server {
    engine: "kernel",
    refusal: None,
};
/// Rung 3: rings that have room for some of the requests.
const SHORT_RING: Server = Server {
    engine: "auto",
    refusal: Some("limit=1"),
};
const IN_LINE: Server = Server {
    engine: "inline",
    refusal: Some("kill"),
};

/// Builds the program and runs it over a library.
fn stress(server: Server, library: &Path, arguments: &[&str]) -> (Command, Output) {
    let place = scratch();
    let program = place.path().join("stress");
    compile("stress.c", &program, library);
    let mut command = match server.refusal {
        Some(refusal) => refuse(refusal, &program),
        None => Command::new(&program),
    };
    command
        .current_dir(place.path())
        .args(arguments)
        .env("LIBAIO_RS_ENGINE", server.engine)
        .env("LD_PRELOAD", library);
    let output = attempt(&mut command);
    print!("{}", text(&output.stdout));
    (command, output)
}

#[track_caller]
fn passes(server: Server, library: &Path, arguments: &[&str]) -> String {
    let (command, output) = stress(server, library, arguments);
    assert!(output.status.success(), "{}", report(&command, &output));
    text(&output.stdout)
}

/// Runs it for some seconds, or for ten million requests.
fn every_completion_once_by(server: Server, more: &[&str]) -> String {
    let arguments: &[&str] = match std::env::var_os("LIBAIO_RS_LONG") {
        Some(_) => &["1", "10000000"],
        None => &["3", "50000"],
    };
    passes(server, &ours().shared, &[arguments, more].concat())
}

#[test]
fn every_completion_once() {
    let printed = every_completion_once_by(KERNEL, &[]);
    support::result(&printed);
    assert_eq!(count(&printed, " beyond the ring"), 0);
}

/// Asserts that more requests were outstanding than the kernel's ring has room for.
#[test]
fn every_completion_once_from_short_rings() {
    let printed = every_completion_once_by(SHORT_RING, &[]);
    support::result(&format!("short rings: {printed}"));
    assert_ne!(count(&printed, " beyond the ring"), 0);
}

#[test]
fn every_completion_once_without_the_kernel() {
    let printed = every_completion_once_by(IN_LINE, &["no-polls"]);
    // Whether a ring gets full depends on the schedule; c-tests/room.c and capacity.c fill it.
    support::result(&format!("in line: {printed}"));
}

/// The number that precedes `words` in the output.
fn count(printed: &str, words: &str) -> u64 {
    let before = printed.split(words).next().expect("at least one part");
    let number = before.rsplit(' ').next().expect("at least one part");
    number
        .parse()
        .unwrap_or_else(|_| panic!("no number of{words}: {printed}"))
}

/// The original passes the test too, unless a thread waits for a context that another thread
/// destroys: the original reads the ring in every call, and crashes.
#[test]
fn the_original_passes_too() {
    let Some(original) = original() else {
        return support::skip("stress of the original", "it is not installed");
    };
    passes(KERNEL, &original.shared, &["1", "10000", "steady"]);
    passes(KERNEL, &original.shared, &["3", "10000", "apart"]);
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
    let (command, output) = stress(KERNEL, without_exclusion(), &["10", "0", "steady"]);
    let printed = report(&command, &output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
}

#[test]
fn without_the_exclusion_it_finds_rings_that_go_away() {
    let (command, output) = stress(KERNEL, without_exclusion(), &["10", "0"]);
    assert!(!output.status.success(), "{}", report(&command, &output));
}

#[test]
fn without_the_exclusion_it_finds_faults_beside_short_rings() {
    let (command, output) = stress(SHORT_RING, without_exclusion(), &["30", "0", "steady"]);
    let printed = report(&command, &output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
}

#[test]
fn without_the_exclusion_it_finds_faults_without_the_kernel() {
    let (command, output) = stress(
        IN_LINE,
        without_exclusion(),
        &["30", "0", "steady", "no-polls"],
    );
    let printed = report(&command, &output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
}
