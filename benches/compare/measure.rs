//! Runs the programs and collects their figures.

use crate::support::{
    attempt, cc, has, ours, refuse, report, root, run, scratch, skip, text, Installation,
};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rows to measure, and the number of rounds.
pub struct Plan {
    pub original: &'static Installation,
    pub rounds: u32,
    pub engine_rounds: u32,
    pub tail_runs: u32,
    pub fio_rounds: u32,
    /// Only rows whose names contain this.
    pub rows: Option<String>,
}

impl Plan {
    fn wants(&self, row: &str) -> bool {
        self.rows.as_deref().map_or(true, |part| row.contains(part))
    }

    /// Both libraries, in alternating order.
    fn libraries(&self, round: u32) -> [(&'static str, &'static Installation); 2] {
        let mut libraries = [("original", self.original), ("ours", ours())];
        libraries.rotate_left(round as usize % 2);
        libraries
    }
}

/// One row: the figures of each way, one per round.
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

    fn named<'a>(rows: &'a mut Vec<Row>, name: &str) -> &'a mut Row {
        let at = rows.iter().position(|row| row.name == name);
        let at = at.unwrap_or_else(|| {
            rows.push(Row {
                name: name.to_string(),
                ways: Vec::new(),
            });
            rows.len() - 1
        });
        &mut rows[at]
    }

    fn add(rows: &mut Vec<Row>, name: &str, way: &str, figure: f64) {
        let ways = &mut Row::named(rows, name).ways;
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
pub fn micro(plan: &Plan, place: &Path) -> Vec<Row> {
    let tmpfs = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
    let output = run(
        Command::new(program("compare", place, &["-luring", "-ldl"]))
            .arg(&plan.original.shared)
            .arg(&ours().shared)
            .arg(place)
            .arg(tmpfs.path())
            .arg(plan.rounds.to_string())
            .args(&plan.rows),
    );
    let mut rows = Vec::new();
    for line in text(&output.stdout).lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let figure = fields[2].parse().expect("compare prints numbers");
        Row::add(&mut rows, fields[0], fields[1], figure);
    }
    rows
}

/// The exit status of tails.c and calls.c if the system does not permit what they need.
const REFUSED: i32 = 77;

/// A row of tails.c.
struct Tail {
    name: &'static str,
    /// The program's arguments; the last is the length of a run in milliseconds.
    arguments: [&'static str; 3],
    /// Names of the figures that it prints.
    figures: &'static [&'static str],
}

/// Not a time.
pub const OPERATIONS: &str = "operations";

const fn tail(name: &'static str, arguments: [&'static str; 3]) -> Tail {
    Tail {
        name,
        arguments,
        figures: match arguments[0].as_bytes() {
            b"fifo" => &["90 %", "99 %", "longest"],
            b"worker" => &[OPERATIONS],
            _ => &["longest"],
        },
    }
}

const TAILS: [Tail; 8] = [
    tail("poll beside SCHED_IDLE", ["idle", "poll", "3000"]),
    tail("poll beside nice 19", ["nice", "poll", "3000"]),
    tail("take beside SCHED_IDLE", ["idle", "take", "3000"]),
    tail("take beside nice 19", ["nice", "take", "3000"]),
    tail("SCHED_FIFO poll", ["fifo", "poll", "1000"]),
    tail("SCHED_FIFO take", ["fifo", "take", "1000"]),
    tail("worker that polls", ["worker", "poll", "500"]),
    tail("worker that waits", ["worker", "wait", "500"]),
];

/// tails.c: nanoseconds, and operations in a second.
pub fn tails(plan: &Plan, place: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    if !std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
        skip("calls beside other threads", "they need two processors");
        return rows;
    }
    let program = program("tails", place, &["-ldl"]);
    for tail in TAILS.iter().filter(|tail| plan.wants(tail.name)) {
        for figure in tail.figures {
            Row::named(&mut rows, &format!("{}, {figure}", tail.name));
        }
        'runs: for round in 0..plan.tail_runs {
            for (way, library) in plan.libraries(round) {
                let mut command = Command::new(&program);
                command.arg(&library.shared).args(tail.arguments);
                let output = attempt(&mut command);
                if output.status.code() == Some(REFUSED) {
                    skip(tail.name, "the scheduling policy is for root");
                    break 'runs;
                }
                assert!(output.status.success(), "{}", report(&command, &output));
                for line in text(&output.stdout).lines() {
                    let (figure, value) = line.split_once('\t').expect("tails prints two fields");
                    let value = value.parse().expect("tails prints numbers");
                    Row::add(&mut rows, &format!("{}, {figure}", tail.name), way, value);
                }
            }
        }
    }
    rows
}

/// calls.c: the instructions of one call in user space, which do not drift, and how many of them
/// are system calls.
pub fn instructions(plan: &Plan, place: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let program = program("calls", place, &["-ldl"]);
    for (name, what) in [
        ("io_submit of 1", "submit"),
        ("io_getevents of 1 ready event", "reap"),
        ("io_getevents that must wait", "wait"),
        ("io_getevents, poll of an empty ring", "poll"),
    ] {
        if !plan.wants(name) {
            continue;
        }
        for (way, library) in plan.libraries(0) {
            let mut command = Command::new(&program);
            command.arg(&library.shared).arg(what);
            let output = attempt(&mut command);
            if output.status.code() == Some(REFUSED) {
                skip("instruction counts", "no single steps by ptrace here");
                return Vec::new();
            }
            assert!(output.status.success(), "{}", report(&command, &output));
            for figure in text(&output.stdout).split_whitespace() {
                let figure = figure.parse().expect("calls prints numbers");
                Row::add(&mut rows, name, way, figure);
            }
        }
    }
    rows
}

/// engines.c: nanoseconds, and nanoseconds of processor time.
pub fn engines(plan: &Plan, place: &Path) -> (Vec<Row>, Vec<Row>) {
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    let tmpfs = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
    // Three files: the loader loads the same file only once.
    let copies = ["kernel", "auto", "inline"].map(|engine| {
        let copy = place.join(format!("libaio-{engine}.so"));
        std::fs::copy(&ours().shared, &copy).expect("scratch is writable");
        copy
    });
    let output = run(Command::new(program("engines", place, &["-ldl"]))
        .arg(&plan.original.shared)
        .args(&copies)
        .arg(place)
        .arg(tmpfs.path())
        .arg(plan.engine_rounds.to_string())
        .args(&plan.rows));
    for line in text(&output.stdout).lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        for (rows, field) in [(&mut times, fields[2]), (&mut cpu, fields[3])] {
            let figure = field.parse().expect("engines prints numbers");
            Row::add(rows, fields[0], fields[1], figure);
        }
    }
    (times, cpu)
}

/// What serves fio's contexts.
struct Server {
    name: &'static str,
    /// What tests/refuse.c refuses; None without a filter.
    refused: Option<&'static str>,
    /// The value of `LIBAIO_RS_ENGINE` for this library; None means the original.
    engine: Option<&'static str>,
}

/// A filter slows down every system call. Only rung 3 needs one. It is therefore compared with the
/// original under a filter with a very high limit.
const SERVERS: [Server; 4] = [
    Server {
        name: "original",
        refused: None,
        engine: None,
    },
    Server {
        name: "rung 4",
        refused: None,
        engine: Some("inline"),
    },
    Server {
        name: "filtered",
        refused: Some("limit=1000000"),
        engine: None,
    },
    Server {
        name: "rung 3",
        refused: Some("limit=62"),
        engine: Some("auto"),
    },
];

/// fio on each rung, as [`fio`].
pub fn fio_engines(plan: &Plan, place: &Path) -> (Vec<Row>, Vec<Row>) {
    let (mut rows, mut cpu) = (Vec::new(), Vec::new());
    if !has("fio") {
        skip("fio with engines", "fio is not installed");
        return (rows, cpu);
    }
    let file = place.join("fio.data");
    for direct in [0, 1] {
        for pattern in ["randread", "randwrite"] {
            for depth in [1, 64] {
                let kind = if direct == 1 { "O_DIRECT" } else { "cached" };
                let name = format!("engines: fio {pattern}, {kind}, depth {depth}");
                if !plan.wants(&name) {
                    continue;
                }
                // A context for 62 has the kernel's smallest ring: rung 2 serves it.
                let count = if depth > 62 { 4 } else { 2 };
                // The first round creates the file and fills the page cache.
                for round in 0..=plan.engine_rounds as usize {
                    for i in 0..count {
                        let server = &SERVERS[(i + round) % count];
                        let mut fio = match server.refused {
                            Some(what) => refuse(what, Path::new("fio")),
                            None => Command::new("fio"),
                        };
                        let library = match server.engine {
                            Some(engine) => {
                                fio.env("LIBAIO_RS_ENGINE", engine);
                                ours()
                            }
                            None => plan.original,
                        };
                        let length = if round > 0 { "250ms" } else { "50ms" };
                        let (operations, time) =
                            one_fio(&mut fio, library, &file, pattern, direct, depth, length);
                        let way = server.name;
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

/// fio with each library preloaded in turn: operations per second, and nanoseconds of processor
/// time for one. The latter show what is saved if the disk limits the operations.
pub fn fio(plan: &Plan, place: &Path) -> (Vec<Row>, Vec<Row>) {
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
                if !plan.wants(&name) {
                    continue;
                }
                for round in 0..=plan.fio_rounds {
                    for (way, library) in plan.libraries(round) {
                        let mut fio = Command::new("fio");
                        let (operations, time) =
                            one_fio(&mut fio, library, &file, pattern, direct, depth, "1");
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

#[allow(clippy::too_many_arguments)]
fn one_fio(
    fio: &mut Command,
    library: &Installation,
    file: &Path,
    pattern: &str,
    direct: u32,
    depth: u32,
    length: &str,
) -> (f64, f64) {
    let place = scratch();
    let output = run(fio
        .current_dir(place.path())
        .args(["--minimal", "--name=bench", "--ioengine=libaio", "--bs=4k"])
        .args(["--size=64m", "--time_based", "--norandommap"])
        .arg(format!("--runtime={length}"))
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
    // Terse version 3 of fio(1): the 8th field is the reads' IOPS, the 49th the writes', the 88th
    // and the 89th the shares of time in the program and in the kernel.
    let operations = field(if pattern == "randread" { 8 } else { 49 });
    let busy = (field(88) + field(89)) / 100.0;
    (operations, busy * 1e9 / operations)
}
