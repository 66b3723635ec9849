//! QEMU's image tools with `aio=native`: their block layer sets up contexts and submits through the
//! library, waits for completions on an eventfd, and takes them from the mapped ring by itself.

use crate::run::{missing, program, scratch, text, Finished, Running};
use crate::served::{Proof, Served, Via};
use crate::{Outcome, Scenario};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

const fn scenario(name: &'static str, run: fn() -> Outcome) -> Scenario {
    Scenario {
        name,
        missing: || missing(&["qemu-img", "qemu-io"]),
        run,
    }
}

pub const SCENARIOS: &[Scenario] = &[
    scenario("qemu::bench_read", bench_read),
    scenario("qemu::bench_write", bench_write),
    scenario("qemu::convert_there_and_back", convert_there_and_back),
    scenario("qemu::io_patterns", io_patterns),
];

const SIZE: usize = 48 << 20;
const BENCH: &[&str] = &["bench", "-n", "-i", "native", "-t", "none", "-f", "raw"];

/// Without an AIO context these tools use threads instead, and say so on stderr.
fn qemu(dir: &Path, tool: &str, via: Via, proof: Proof, options: &[&str]) -> Outcome<Finished> {
    let mut command = program(tool);
    command.args(options);
    let finished = Running::start(command, dir, Served::new(via, proof)?)?.finish()?;
    match text(&dir.join("stderr")).contains("falling back to thread pool") {
        true => Err(format!("{tool} {options:?} did not use native AIO").into()),
        false => Ok(finished),
    }
}

/// Random data, which a tool can get only by reading it.
fn random_image(file: &Path) -> Outcome<Vec<u8>> {
    let mut data = vec![0; SIZE];
    File::open("/dev/urandom")?.read_exact(&mut data)?;
    fs::write(file, &data)?;
    Ok(data)
}

fn bench_read() -> Outcome {
    let dir = scratch()?;
    let data = random_image(&dir.path().join("image"))?;
    let options = [BENCH, &["-c", "100000", "-d", "64", "-s", "4096", "image"]].concat();
    qemu(dir.path(), "qemu-img", Via::Preload, Proof::Ring, &options)?.success()?;
    same(&fs::read(dir.path().join("image"))?, &data)
}

/// Enough requests to write the whole image six times, so every byte must have the pattern.
fn bench_write() -> Outcome {
    let dir = scratch()?;
    random_image(&dir.path().join("image"))?;
    let requests = (6 * SIZE / 4096).to_string();
    let how = ["-w", "--pattern=90", "--flush-interval=512", "-d", "32"];
    let what = ["-s", "4096", "-c", &requests, "image"];
    let options = [BENCH, &how, &what].concat();
    let via = Via::LibraryPath;
    qemu(dir.path(), "qemu-img", via, Proof::Ring, &options)?.success()?;
    same(&fs::read(dir.path().join("image"))?, &vec![90; SIZE])
}

fn native(format: &str, file: &str) -> String {
    format!(
        "driver={format},file.driver=file,file.aio=native,file.cache.direct=on,file.filename={file}"
    )
}

/// Converts raw to qcow2 and back to raw, which must give the same data. `-r` slows a conversion
/// down to a second, so that the test sees the process use the library.
fn convert_there_and_back() -> Outcome {
    let dir = scratch()?;
    let dir = dir.path();
    let img = |via, proof, options: &[&str]| qemu(dir, "qemu-img", via, proof, options);
    let size = SIZE.to_string();
    let source = random_image(&dir.join("source.raw"))?;

    let steps = [
        (Via::LibraryPath, ["raw", "source.raw"], ["qcow2", "disk"]),
        (Via::Preload, ["qcow2", "disk"], ["raw", "back.raw"]),
    ];
    for (via, from, to) in steps {
        let create = ["create", "-q", "-f", to[0], to[1], &size];
        img(via, Proof::Loader, &create)?.success()?;
        let (from, target) = (native(from[0], from[1]), native(to[0], to[1]));
        let convert = ["convert", "-n", "-W", "-m", "16", "-r", "40M"];
        let images = ["--image-opts", "--target-image-opts", &from, &target];
        let options = [&convert[..], &images].concat();
        img(via, Proof::Ring, &options)?.success()?;
    }
    let back = dir.join("back.raw");
    same(&fs::read(&back)?, &source)?;

    let (disk, raw) = (native("qcow2", "disk"), native("raw", "back.raw"));
    let check = ["check", "--image-opts", &disk];
    img(Via::Preload, Proof::Loader, &check)?.success()?;
    let compare = ["compare", "--image-opts", &raw, &disk];
    img(Via::LibraryPath, Proof::Loader, &compare)?.success()?;
    // The comparison must be able to fail.
    let file = OpenOptions::new().write(true).open(back)?;
    file.write_all_at(&[!source[SIZE / 2]], SIZE as u64 / 2)?;
    img(Via::LibraryPath, Proof::Loader, &compare)?.failure_saying("Content mismatch")
}

/// Writes several patterns at once, and then reads each back. If a pattern is wrong, qemu-io says
/// so, but its exit status is 0.
fn io_patterns() -> Outcome {
    let dir = scratch()?;
    random_image(&dir.path().join("image"))?;
    let qemu_io = |commands: &[String]| {
        let mut options = vec!["-n", "-i", "native", "-f", "raw"];
        options.extend(commands.iter().flat_map(|command| ["-c", command]));
        // The pause gives the test time to see the process use the library.
        options.extend(["-c", "sleep 500", "image"]);
        let dir = dir.path();
        let finished = qemu(dir, "qemu-io", Via::LibraryPath, Proof::Ring, &options)?;
        finished.success()
    };
    let each = |what: &str, first: usize| -> Vec<String> {
        let command = |n| format!("{what} -P {} {}k 36k", first + n, n * 36);
        let flush = std::iter::once("aio_flush".to_string());
        (0..100).map(command).chain(flush).collect()
    };
    let said = qemu_io(&[each("aio_write", 1), each("aio_read", 1)].concat())?;
    let done = said.matches("36 KiB, 1 ops").count();
    let failed: Vec<&str> = said.lines().filter(|l| l.contains("failed")).collect();
    if !failed.is_empty() || done != 200 {
        return Err(format!("{done} of 200 requests done; {failed:#?}").into());
    }
    match qemu_io(&each("aio_read", 2))?.contains("Pattern verification failed") {
        true => Ok(()),
        false => Err("qemu-io did not notice wrong patterns".into()),
    }
}

/// Says where two images differ, instead of printing them.
fn same(found: &[u8], expected: &[u8]) -> Outcome {
    if found.len() != expected.len() {
        return Err(format!("{} bytes, not {}", found.len(), expected.len()).into());
    }
    match found.iter().zip(expected).position(|(a, b)| a != b) {
        Some(at) => Err(format!("the images differ at byte {at}").into()),
        None => Ok(()),
    }
}
