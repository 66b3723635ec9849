//! Runs the programs and collects what they say.

use crate::support::{cc, has, ours, root, run, scratch, skip, text, Installation};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One row: what each way took, round by round.
pub struct Row {
    pub name: String,
    /// The way's name, and a figure for each round.
    pub ways: Vec<(String, Vec<f64>)>,
}

impl Row {
    pub fn way(&self, name: &str) -> Option<&[f64]> {
        let found = self.ways.iter().find(|(way, _)| way == name);
        found.map(|(_, figures)| figures.as_slice())
    }

    fn add(rows: &mut Vec<Row>, name: &str, way: &str, figure: f64) {
        let at = rows.iter().position(|row| row.name == name);
        let at = at.unwrap_or_else(|| {
            rows.push(Row {
                name: name.to_string(),
                ways: Vec::new(),
            });
            rows.len() - 1
        });
        let ways = &mut rows[at].ways;
        match ways.iter_mut().find(|(known, _)| known == way) {
            Some((_, figures)) => figures.push(figure),
            None => ways.push((way.to_string(), vec![figure])),
        }
    }
}

fn program(name: &str, place: &Path, libraries: &[&str]) -> PathBuf {
    let program = place.join(name);
    run(cc()
        .args(["-std=gnu11", "-O2", "-pthread", "-I"])
        .arg(&ours().include)
        .arg("-o")
        .arg(&program)
        .arg(root().join(format!("benches/compare/{name}.c")))
        .arg("-L")
        .arg(ours().libdir())
        .args(libraries));
    program
}

/// compare.c: nanoseconds.
pub fn micro(original: &Installation, place: &Path, rounds: u32) -> Vec<Row> {
    let tmpfs = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
    let output = run(
        Command::new(program("compare", place, &["-luring", "-ldl"]))
            .arg(&original.shared)
            .arg(&ours().shared)
            .arg(place)
            .arg(tmpfs.path())
            .arg(rounds.to_string()),
    );
    let mut rows = Vec::new();
    for line in text(&output.stdout).lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let figure = fields[2].parse().expect("compare prints numbers");
        Row::add(&mut rows, fields[0], fields[1], figure);
    }
    rows
}

/// calls.c under callgrind: instructions in user space for one call, which do not drift.
pub fn instructions(original: &Installation, place: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    if !has("valgrind") {
        skip("instruction counts", "valgrind is not installed");
        return rows;
    }
    let program = program("calls", place, &["-laio"]);
    for (name, what) in [
        ("io_submit of 1", "submit"),
        ("io_submit of 1, io_getevents of 1 that is there", "both"),
        ("io_getevents that must wait", "wait"),
        ("io_getevents, poll of an empty ring", "poll"),
    ] {
        for (way, library) in [("original", original), ("ours", ours())] {
            let count = |calls: u32| callgrind(&program, library, what, calls);
            let per_call = (count(1100) - count(100)) / 1000.0;
            Row::add(&mut rows, name, way, per_call);
        }
    }
    rows
}

fn callgrind(program: &Path, library: &Installation, what: &str, calls: u32) -> f64 {
    let output = run(Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([what, &calls.to_string()])
        .env("LD_LIBRARY_PATH", library.libdir()));
    let said = text(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split("Collected :").nth(1));
    collected
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or_else(|| panic!("callgrind did not count: {said}"))
}

/// fio, preloaded with each library in turn: operations in a second, and nanoseconds of processor
/// time for one, which say what was saved where the disk sets the pace.
pub fn fio(original: &Installation, place: &Path, rounds: u32) -> (Vec<Row>, Vec<Row>) {
    let (mut rows, mut cpu) = (Vec::new(), Vec::new());
    if !has("fio") {
        skip("fio", "not installed");
        return (rows, cpu);
    }
    let file = place.join("fio.data");
    for direct in [1, 0] {
        for pattern in ["randread", "randwrite"] {
            for depth in [1, 32, 128] {
                let kind = if direct == 1 { "O_DIRECT" } else { "cached" };
                let name = format!("fio {pattern}, {kind}, depth {depth}");
                for round in 0..=rounds {
                    let mut libraries = [("original", original), ("ours", ours())];
                    libraries.rotate_left(round as usize % 2);
                    for (way, library) in libraries {
                        let (operations, time) = one_fio(library, &file, pattern, direct, depth);
                        if round > 0 {
                            Row::add(&mut rows, &name, way, operations);
                            Row::add(&mut cpu, &name, way, time);
                        }
                    }
                }
            }
        }
    }
    (rows, cpu)
}

fn one_fio(
    library: &Installation,
    file: &Path,
    pattern: &str,
    direct: u32,
    depth: u32,
) -> (f64, f64) {
    let place = scratch();
    let output = run(Command::new("fio")
        .current_dir(place.path())
        .args(["--minimal", "--name=bench", "--ioengine=libaio", "--bs=4k"])
        .args(["--size=64m", "--time_based", "--runtime=1", "--norandommap"])
        .args(["--randrepeat=1", "--invalidate=0", "--group_reporting"])
        .arg(format!("--filename={}", file.display()))
        .arg(format!("--rw={pattern}"))
        .arg(format!("--direct={direct}"))
        .arg(format!("--iodepth={depth}"))
        .env("LD_PRELOAD", &library.shared));
    let said = text(&output.stdout);
    let fields: Vec<&str> = said.trim().split(';').collect();
    let field = |number: usize| -> f64 {
        fields
            .get(number - 1)
            .and_then(|field| field.trim_end_matches('%').parse().ok())
            .unwrap_or_else(|| panic!("fio said: {said}"))
    };
    // Terse version 3 of fio(1): the 8th field is the reads' IOPS, the 49th the writes', the 88th and
    // the 89th the shares of time in the program and in the kernel.
    let operations = field(if pattern == "randread" { 8 } else { 49 });
    let busy = (field(88) + field(89)) / 100.0;
    (operations, busy * 1e9 / operations)
}
