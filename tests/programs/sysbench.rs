//! sysbench's file test in its asynchronous mode, which uses libaio, with checksums in the blocks.
//!
//! A thread of sysbench has one buffer for all of its requests. With O_DIRECT and more than one
//! request at a time they overwrite each other's data, so there its checksums cannot be used.

use crate::run::{missing, program, scratch, Finished, Running};
use crate::served::{Proof, Served, Via};
use crate::{Outcome, Scenario};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

const fn scenario(name: &'static str, run: fn() -> Outcome) -> Scenario {
    Scenario {
        name,
        missing: || missing(&["sysbench"]),
        run,
    }
}

pub const SCENARIOS: &[Scenario] = &[
    scenario("sysbench::buffered_validated", || {
        validated(Via::Preload, &["--file-async-backlog=64"])
    }),
    scenario("sysbench::direct_validated", || {
        let options = ["--file-extra-flags=direct", "--file-async-backlog=1"];
        validated(Via::LibraryPath, &options)
    }),
    scenario("sysbench::direct_deep_backlog", direct_deep_backlog),
];

/// 4 files, together 2048 blocks.
const FILES: &[&str] = &[
    "--file-num=4",
    "--file-total-size=32M",
    "--file-block-size=16384",
    "--file-io-mode=async",
    "--threads=4",
];
const RANDOM: &[&str] = &["--file-test-mode=rndrw", "--file-fsync-freq=50", "--time=3"];
/// Each block of each file, once.
const ALL: &[&str] = &["--file-test-mode=seqrd", "--time=0", "--events=2048"];

fn sysbench(dir: &Path, via: Via, proof: Proof, options: &[&[&str]]) -> Outcome<Finished> {
    let mut command = program("sysbench");
    command.arg("fileio").args(FILES).args(options.concat());
    Running::start(command, dir, Served::new(via, proof)?)?.finish()
}

fn validated(via: Via, options: &[&str]) -> Outcome {
    let dir = scratch()?;
    let dir = dir.path();
    let options = [options, &["--validate=on"]].concat();
    let run = |proof, command, mode| sysbench(dir, via, proof, &[&options, mode, &[command]]);

    run(Proof::Loader, "prepare", &[])?.success()?;
    finished_cleanly(run(Proof::Ring, "run", RANDOM)?)?;
    finished_cleanly(run(Proof::Loader, "run", ALL)?)?;

    // The checks prove something only if they can fail: they must, once a block is wrong.
    let file = OpenOptions::new()
        .write(true)
        .open(dir.join("test_file.2"))?;
    file.write_all_at(b"not what was written", 16384 * 100 + 5000)?;
    run(Proof::Loader, "run", ALL)?.failure_saying("Checksum mismatch")?;

    run(Proof::Loader, "cleanup", &[])?.success()?;
    match dir.join("test_file.0").exists() {
        true => Err("sysbench left its files behind".into()),
        false => Ok(()),
    }
}

/// Many requests at a time from each of 4 threads: all must complete.
fn direct_deep_backlog() -> Outcome {
    let dir = scratch()?;
    let options = ["--file-extra-flags=direct", "--file-async-backlog=128"];
    let run = |proof, mode| sysbench(dir.path(), Via::Preload, proof, &[&options, mode]);
    run(Proof::Loader, &["prepare"])?.success()?;
    finished_cleanly(run(Proof::Ring, &[RANDOM, &["run"]].concat())?)
}

/// sysbench's exit status does not show every failure of a request.
fn finished_cleanly(finished: Finished) -> Outcome {
    let said = finished.success()?;
    let events = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("total number of events:"))
        .and_then(|count| count.trim().parse::<u64>().ok());
    if said.contains("FATAL") || events.unwrap_or(0) < 2000 {
        return Err(format!("sysbench reports a failure or too few events:\n{said}").into());
    }
    Ok(())
}
