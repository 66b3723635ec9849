//! c-tests/checked_reads.c is clean under Valgrind's tools, which see what system calls write, but
//! not what the kernel writes to a ring. When the program itself takes completions from the ring,
//! each tool must complain: so each would notice if the library did.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use support::{attempt, cc, has, ours, report, root, run, scratch, skip, text};

const COMPLAINED: i32 = 99;

fn build(place: &Path, library: &Path) {
    run(cc()
        .args(["-std=gnu11", "-g", "-O2", "-pthread", "-I"])
        .arg(&ours().include)
        .arg("-o")
        .arg(place.join("program"))
        .arg(root().join("c-tests/checked_reads.c"))
        .arg(library));
}

fn run_under(tool: &str, place: &Path, arguments: &[&str]) -> (Command, Output) {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .arg(format!("--tool={tool}"))
        .arg(format!("--error-exitcode={COMPLAINED}"))
        .arg("-q")
        .arg(place.join("program"))
        .args(arguments)
        .current_dir(place)
        .env("LD_LIBRARY_PATH", ours().libdir())
        .env_remove("LIBAIO_RS_REAP");
    let output = attempt(&mut valgrind);
    let answers = text(&output.stdout);
    assert_eq!(
        answers,
        "120 reads, 0 wrong\nio_destroy(ctx) = 0\n",
        "{}",
        report(&valgrind, &output)
    );
    (valgrind, output)
}

#[track_caller]
fn complains_only_of_reads_of_the_ring(tool: &str) {
    if !cfg!(target_arch = "x86_64") {
        return skip(tool, "the library detects Valgrind only on x86-64");
    }
    if !has("valgrind") {
        return skip(tool, "valgrind is not installed");
    }
    let place = scratch();
    for library in [&ours().archive, &ours().shared] {
        build(place.path(), library);
        let (valgrind, output) = run_under(tool, place.path(), &[]);
        let clean = output.status.success() && output.stderr.is_empty();
        assert!(clean, "{}", report(&valgrind, &output));
    }
    let (valgrind, output) = run_under(tool, place.path(), &["by-hand"]);
    let complained = output.status.code() == Some(COMPLAINED);
    assert!(complained, "{}", report(&valgrind, &output));
}

#[test]
fn memcheck() {
    complains_only_of_reads_of_the_ring("memcheck");
}

#[test]
fn helgrind() {
    complains_only_of_reads_of_the_ring("helgrind");
}

#[test]
fn drd() {
    complains_only_of_reads_of_the_ring("drd");
}
