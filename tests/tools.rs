//! The scripts in tools/ report every request of tests/tools.c, with the right result, over the
//! original and over this library. Order and latencies are not compared.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use support::{attempt, compile, has, original, ours, report, root, run, scratch, skip, text};

/// Builds the program in `place` with the library that it then runs over.
fn build(place: &Path, library: &Path) {
    compile("tools.c", &place.join("program"), library);
}

/// Why tracing is impossible on this machine; None if it is possible.
fn obstacle() -> Option<&'static str> {
    if !cfg!(all(target_pointer_width = "64", target_endian = "little")) {
        return Some("for 64-bit, little-endian machines");
    }
    if !has("bpftrace") {
        return Some("bpftrace is not installed");
    }
    // BEGIN is a probe on bpftrace itself.
    let mut nothing = Command::new("bpftrace");
    nothing.args(["-e", "BEGIN { exit(); }"]);
    (!attempt(&mut nothing).status.success()).then_some("BPF is not permitted")
}

/// Runs the program under a script. Returns what both print.
fn trace(script: &str, place: &Path, library: &Path) -> (Command, Output) {
    let mut trace = Command::new("timeout");
    trace
        .args(["--kill-after=5", "120"])
        .arg(root().join("tools/aio-trace"))
        .args([script, "-l"])
        .arg(library)
        .arg("-c")
        .arg(format!(
            "/usr/bin/env LD_PRELOAD={} ./program file",
            library.display()
        ))
        .current_dir(place)
        .env_remove("LIBAIO_RS_REAP");
    let output = attempt(&mut trace);
    (trace, output)
}

/// The lines that the program prints about its requests, sorted.
fn printed_by_program(output: &str) -> Vec<String> {
    let mut lines: Vec<_> = output
        .lines()
        .filter(|line| {
            line.starts_with("pread ") || line.starts_with("pwrite ") || line.starts_with("fsync ")
        })
        .map(str::to_string)
        .collect();
    lines.sort();
    let count = |op| lines.iter().filter(|line| line.starts_with(op)).count();
    assert_eq!(
        (count("pread"), count("pwrite"), count("fsync")),
        (116, 50, 1),
        "{output}"
    );
    lines
}

/// A total that a script prints at the end.
fn total(name: &str, output: &str) -> String {
    let line = output.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.strip_prefix(": "))
        .unwrap_or("nothing")
        .to_string()
}

#[track_caller]
fn all_requests_are_counted(said: &str, output: &str) {
    for (name, expected) in [
        ("@submitted", "168"),
        ("@reaped", "167"),
        ("@reaped_but_submitted_unseen", "0"),
        ("@not_recorded_for_lack_of_room", "0"),
    ] {
        assert_eq!(total(name, output), expected, "{name}: {said}");
    }
}

/// The lines of aio-requests in the form in which the program prints them, sorted.
fn requests(said: &str, output: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut threads = Vec::new();
    let mut table = output.lines().skip_while(|line| !line.starts_with("PID "));
    table.next().unwrap_or_else(|| panic!("no table: {said}"));
    for line in table {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [pid, tid, "program", op, fd, offset, bytes, latency, res, "file"] = columns[..] else {
            continue;
        };
        for number in [pid, tid, latency] {
            assert!(number.parse::<u64>().is_ok(), "{line}: {said}");
        }
        threads.push(tid.to_string());
        lines.push(format!("{op} {fd} {offset} {bytes} {res}"));
    }
    threads.sort();
    threads.dedup();
    assert_eq!(threads.len(), 2, "threads that reap: {said}");
    lines.sort();
    lines
}

fn each_request_is_reported(library: &Path) {
    let place = scratch();
    build(place.path(), library);
    let (command, output) = trace("requests", place.path(), library);
    let said = report(&command, &output);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("WARNING"), "{said}");
    let output = text(&output.stdout);
    assert_eq!(
        requests(&said, &output),
        printed_by_program(&output),
        "{said}"
    );
    all_requests_are_counted(&said, &output);
}

type Rows = BTreeMap<String, u64>;

/// The histograms of a map: their keys without the process, and the rows with a count above 0.
fn histograms(map: &str, output: &str) -> Vec<(String, Rows)> {
    let mut found: Vec<(String, Rows)> = Vec::new();
    let mut inside = false;
    for line in output.lines() {
        if let Some(line) = line.strip_prefix('@') {
            let key = line.strip_prefix(map).and_then(|key| key.strip_prefix('['));
            let key = key.and_then(|key| key.trim_end().strip_suffix("]:"));
            inside = key.is_some();
            if let Some((_, key)) = key.and_then(|key| key.split_once(", ")) {
                found.push((key.to_string(), Rows::new()));
            }
        } else if let (true, Some((row, _))) = (inside, line.split_once('|')) {
            let (range, count) = row.trim().rsplit_once(' ').expect("a range and a count");
            let count = count.parse().expect("a count");
            let rows = &mut found.last_mut().expect("a histogram began").1;
            if count > 0 {
                rows.insert(range.trim().to_string(), count);
            }
        }
    }
    found
}

fn depths_and_latencies_are_counted(library: &Path) {
    let place = scratch();
    build(place.path(), library);
    let (command, output) = trace("latency", place.path(), library);
    let said = report(&command, &output);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("WARNING"), "{said}");
    let output = text(&output.stdout);
    let lines = printed_by_program(&output);
    let fd = lines[0].split(' ').nth(1).expect("the file's number");
    all_requests_are_counted(&said, &output);

    let latencies = histograms("latency_us", &output);
    let mut counts: Vec<_> = latencies
        .iter()
        .map(|(key, rows)| (key.clone(), rows.values().sum()))
        .collect();
    counts.sort();
    let expected: [(String, u64); 3] = [("fsync", 1), ("pread", 116), ("pwrite", 50)]
        .map(|(op, count)| (format!("{op}, {fd}, file"), count));
    assert_eq!(counts, expected, "{said}");

    // 15 submissions by the thread that reads, 13 of the chains, 10 writes, one fsync.
    let depths = histograms("depth", &output);
    let samples: u64 = depths.iter().flat_map(|(_, rows)| rows.values()).sum();
    assert_eq!(samples, 39, "{said}");
    // One thread submits and reaps the reads, so each depth is known: twelve times 8, 4, 1, 1. The
    // chains, whose depth is always 3, may have a context at the same address.
    let reader = [("[1]", 2), ("[4, 8)", 1), ("[8, 16)", 12)];
    let mut reader: Rows = reader.map(|(row, count)| (row.to_string(), count)).into();
    let alone = depths.iter().any(|(_, rows)| *rows == reader);
    reader.insert("[2, 4)".to_string(), 13);
    let with_chains = depths.iter().any(|(_, rows)| *rows == reader);
    assert!(alone || with_chains, "{said}");
}

#[track_caller]
fn over_both(what: &str, check: fn(&Path)) {
    if let Some(why) = obstacle() {
        return skip(what, why);
    }
    check(&ours().shared);
    match original() {
        Some(original) => check(&original.shared),
        None => skip(&format!("{what} over the original"), "it is not installed"),
    }
}

#[test]
fn aio_requests() {
    over_both("aio-requests", each_request_is_reported);
}

#[test]
fn aio_latency() {
    over_both("aio-latency", depths_and_latencies_are_counted);
}

/// bpftrace finds functions by their names without a version, and in a stripped library the first
/// io_getevents may be the old one. Then aio-trace must refuse to run.
#[test]
fn a_stripped_library_is_traced_correctly_or_refused() {
    if let Some(why) = obstacle() {
        return skip("aio-trace with a stripped library", why);
    }
    let place = scratch();
    let stripped = place.path().join("libaio.so.1");
    run(Command::new("strip")
        .arg("--strip-unneeded")
        .arg("-o")
        .arg(&stripped)
        .arg(&ours().shared));
    build(place.path(), &stripped);
    let (command, output) = trace("requests", place.path(), &stripped);
    let said = report(&command, &output);
    if output.status.success() {
        let output = text(&output.stdout);
        // Calls of the old version are not seen in it: every third of the first 13 rounds.
        let seen = requests(&said, &output);
        assert!(
            seen.iter()
                .all(|line| printed_by_program(&output).contains(line)),
            "{said}"
        );
    } else {
        assert!(
            said.contains("bpftrace cannot find today's io_getevents"),
            "{said}"
        );
    }
}
