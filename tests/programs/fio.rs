//! fio's libaio engine. fio writes checksummed blocks in random order and reads every one of them
//! back, so if a completion is mistaken for another one, a block has the wrong content.

use crate::run::{missing, program, scratch, text, Running};
use crate::served::{Proof, Served, Via};
use crate::{Outcome, Scenario};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

const SIZE: u64 = 24 << 20;

const fn scenario(name: &'static str, run: fn() -> Outcome) -> Scenario {
    Scenario {
        name,
        missing: || missing(&["fio"]),
        run,
    }
}

pub const SCENARIOS: &[Scenario] = &[
    scenario("fio::direct_depth_1", || {
        verified(Via::LibraryPath, 1, &["--direct=1", "--iodepth=1"])
    }),
    scenario("fio::buffered_depth_1_fdatasync", || {
        let options = ["--direct=0", "--iodepth=1", "--fdatasync=64"];
        verified(Via::Preload, 1, &options)
    }),
    scenario("fio::direct_depth_32_batched_priorities", || {
        let priorities = ["--cmdprio_percentage=50", "--cmdprio_class=2"];
        let options = [&["--direct=1"], BATCHED, &priorities].concat();
        verified(Via::Preload, 1, &options)
    }),
    scenario("fio::buffered_depth_32_batched", || {
        verified(Via::LibraryPath, 1, &[&["--direct=0"], BATCHED].concat())
    }),
    scenario("fio::direct_4_threads_userspace_reap", || {
        let options = ["--direct=1", "--thread", "--userspace_reap=1"];
        verified(Via::LibraryPath, 4, &[&options, BATCHED].concat())
    }),
    scenario("fio::direct_4_threads_mixed_sizes", || {
        let options = ["--direct=1", "--thread", "--bsrange=4k-64k"];
        verified(Via::Preload, 4, &[&options, BATCHED].concat())
    }),
    scenario("fio::direct_4_processes", || {
        verified(Via::LibraryPath, 4, &[&["--direct=1"], BATCHED].concat())
    }),
    scenario("fio::buffered_4_processes_userspace_reap", || {
        let options = ["--direct=0", "--userspace_reap=1", "--iodepth=32"];
        verified(Via::Preload, 4, &options)
    }),
    scenario("fio::notices_a_changed_byte", notices_a_changed_byte),
];

/// io_submit gets 8 requests at a time, io_getevents returns 4 to 32 completions.
const BATCHED: &[&str] = &[
    "--iodepth=32",
    "--iodepth_batch_submit=8",
    "--iodepth_batch_complete_min=4",
    "--iodepth_batch_complete_max=32",
];

fn fio(options: &[&str]) -> Command {
    let mut command = program("fio");
    command
        .args(["--name=job", "--ioengine=libaio", "--rw=randwrite"])
        .args(["--bs=4k", "--verify=crc32c", "--verify_fatal=1"])
        .args(["--output-format=json", "--output=report.json"])
        .arg(format!("--size={SIZE}"))
        .args(options);
    command
}

/// Each of `jobs` threads or processes writes all of its own file and reads all of it back.
fn verified(via: Via, jobs: u64, options: &[&str]) -> Outcome {
    let dir = scratch()?;
    let mut command = fio(options);
    command.arg(format!("--numjobs={jobs}"));
    let served = Served::new(via, Proof::Ring)?;
    Running::start(command, dir.path(), served)?
        .finish()?
        .success()?;
    check_report(dir.path(), jobs, 2 * SIZE * jobs)
}

/// Checks fio's report: no error in any job, and exactly the expected number of bytes.
fn check_report(dir: &Path, jobs: u64, bytes: u64) -> Outcome {
    let report = text(&dir.join("report.json"));
    let errors = numbers(&report, "error");
    let moved: u64 = numbers(&report, "io_bytes").iter().sum();
    if errors != vec![0; jobs as usize] || moved != bytes {
        return Err(format!("{jobs} jobs: errors {errors:?}, {moved} of {bytes} bytes").into());
    }
    Ok(())
}

/// The numbers called `key`, anywhere in fio's JSON, which has one value on a line.
fn numbers(json: &str, key: &str) -> Vec<u64> {
    let start = format!("\"{key}\" : ");
    json.lines()
        .filter_map(|line| line.trim().strip_prefix(&start))
        .filter_map(|value| value.trim_end_matches(',').parse().ok())
        .collect()
}

/// The scenarios above prove something only if fio's check can fail: it must fail once one byte of
/// the file has changed, and not before.
fn notices_a_changed_byte() -> Outcome {
    let dir = scratch()?;
    let run = |options: &[&str]| {
        let command = fio(&[&["--direct=1"], BATCHED, options].concat());
        let served = Served::new(Via::LibraryPath, Proof::Loader)?;
        Running::start(command, dir.path(), served)?.finish()
    };
    run(&["--do_verify=0"])?.success()?;
    check_report(dir.path(), 1, SIZE)?;
    run(&["--verify_only"])?.success()?;
    // fio also counts the writes that it omits here.
    check_report(dir.path(), 1, 2 * SIZE)?;

    let file = dir.path().join("job.0.0");
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    let (mut byte, at) = ([0], SIZE / 2 + 2000);
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 1], at)?;
    run(&["--verify_only"])?.failure_saying("crc32c: verify failed")
}
