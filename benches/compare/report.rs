//! The table and the plot.

use crate::measure::{Row, OPERATIONS};
use crate::support::{root, run, scratch, text};
use std::fmt::Write;
use std::process::Command;

/// Quartiles and median.
struct Spread {
    low: f64,
    middle: f64,
    high: f64,
}

fn spread(mut figures: Vec<f64>) -> Spread {
    figures.sort_by(f64::total_cmp);
    let at = |part: f64| figures[((figures.len() - 1) as f64 * part).round() as usize];
    Spread {
        low: at(0.25),
        middle: at(0.5),
        high: at(0.75),
    }
}

/// The ratios within each round, because the machine's speed changes between rounds.
fn ratios(row: &Row, way: &str, against: &str) -> Option<Spread> {
    let (figures, base) = (row.way(way)?, row.way(against)?);
    let ratios = figures.iter().zip(base).map(|(figure, base)| figure / base);
    Some(spread(ratios.collect()))
}

/// Rungs 3 and 4 compared with kernel AIO: times or fio's operations per second, and processor
/// times.
pub struct Engines {
    pub micro: (Vec<Row>, Vec<Row>),
    pub fio: (Vec<Row>, Vec<Row>),
}

/// A table for each kind of rows that were run.
pub fn table(
    micro: &[Row],
    tails: &[Row],
    instructions: &[Row],
    (fio, cpu): (&[Row], &[Row]),
    engines: &Engines,
) -> String {
    let mut out = format!("{}\n", machine());
    if !micro.is_empty() {
        times(&mut out, micro);
    }
    if micro.iter().any(is_single_call) {
        single_calls(&mut out, micro);
    }
    if !tails.is_empty() {
        beside_others(&mut out, tails);
    }
    if !instructions.is_empty() {
        counts(&mut out, instructions);
    }
    if !fio.is_empty() {
        programs(&mut out, fio, cpu);
    }
    let (times, cpu) = &engines.micro;
    if !times.is_empty() {
        servers(&mut out, times, cpu);
    }
    let (fio, cpu) = &engines.fio;
    if !fio.is_empty() {
        programs_over_servers(&mut out, fio, cpu);
    }
    out
}

fn times(out: &mut String, micro: &[Row]) {
    out.push_str(
        "\nTime, as a multiple of the original's in the same round: the median, and the \
         quartiles.\n\n\
         | | original, ns | **ours** | by hand | io_uring | pread |\n|---|---:|---|---|---|---|\n",
    );
    for row in micro {
        let original = spread(row.way("original").unwrap_or_default().to_vec());
        let _ = write!(out, "| {} | {:.1} |", row.name, original.middle);
        for way in ["ours", "hand", "io_uring", "pread"] {
            match ratios(row, way, "original") {
                Some(s) => {
                    let _ = write!(out, " {:.3} ({:.3}–{:.3}) |", s.middle, s.low, s.high);
                }
                None => out.push_str(" |"),
            }
        }
        out.push('\n');
    }
}

fn is_single_call(row: &Row) -> bool {
    row.name.contains("per call")
}

fn single_calls(out: &mut String, micro: &[Row]) {
    out.push_str(
        "\nSingle calls, in nanoseconds (median). *Beside a thread that waits*: another thread \
         waits in the kernel for an event of the same context. *2 threads at once*: two threads \
         poll one context; the figure is the mean of the two, and 2,000 divided by it is the \
         number of million polls in a second.\n\n",
    );
    out.push_str("| | original | **ours** | by hand |\n|---|---:|---:|---:|\n");
    for row in micro.iter().filter(|row| is_single_call(row)) {
        let _ = write!(out, "| {} |", row.name);
        for way in ["original", "ours", "hand"] {
            let figures = row.way(way).unwrap_or_default().to_vec();
            let _ = write!(out, " {:.1} |", spread(figures).middle);
        }
        out.push('\n');
    }
}

/// The longest calls of a thread that shares its context. See tails.c.
fn beside_others(out: &mut String, tails: &[Row]) {
    let runs = tails.iter().flat_map(|row| &row.ways);
    let runs = runs.map(|(_, figures)| figures.len()).max();
    let _ = write!(
        out,
        "\nTails: how long single calls of a thread take while other threads use the same \
         context. The two libraries run alternately, {} times each; the table has the median of \
         the runs and the worst run. The longest call of a run is one sample. Time during which \
         the thread waited for a processor is subtracted.\n\n\
         - *poll*: `io_getevents` with {{0, 0}} on an empty ring; *take*: `io_getevents` of one \
         ready completion of a read of `/dev/zero`.\n\
         - *beside SCHED_IDLE*, *beside nice 19*: the measured thread has a processor of its \
         own. Another thread, of the named priority, makes the same calls on a processor that \
         it shares with a busy thread. For takes, the other thread submits 64 reads at a time, \
         and the busy thread sleeps 0.1 ms after every 10 ms, so that it interrupts the other \
         thread often and for 10 ms at a time; few interruptions hit a take. Runs of 3 s.\n\
         - *SCHED_FIFO*: the measured thread makes one call per millisecond, on the same \
         processor as an ordinary thread that makes such calls without pause (for takes, 64 \
         reads at a time). Runs of 1 s.\n\
         - *worker*: a thread submits one read at a time and reaps it with `min_nr` 1, while \
         two other threads poll without pause. An operation is complete when any of the threads \
         has reaped it. *Polls*: with a timeout of 0. *Waits*: with a timeout of 1 µs, which \
         the timer extends to about 60 µs. The worker sleeps that long whenever a poller reaps \
         the completion, so more operations in this row mean that pollers reaped fewer of them, \
         not that anything is faster; 0 would mean that the worker starves. Runs of 0.5 s.\n\n",
        runs.unwrap_or(0)
    );
    out.push_str("| | original | worst run | **ours** | worst run |\n|---|---:|---:|---:|---:|\n");
    let (operations, times): (Vec<&Row>, Vec<&Row>) =
        tails.iter().partition(|row| row.name.ends_with(OPERATIONS));
    for row in times {
        let _ = write!(out, "| {} |", row.name);
        for way in ["original", "ours"] {
            match row.way(way) {
                Some(figures) => {
                    let worst = figures.iter().copied().fold(0.0, f64::max);
                    let middle = spread(figures.to_vec()).middle;
                    let _ = write!(out, " {} | {} |", duration(middle), duration(worst));
                }
                None => out.push_str(" | |"),
            }
        }
        out.push('\n');
    }
    if operations.is_empty() {
        return;
    }
    out.push_str("\nOperations of the worker per second:\n\n");
    out.push_str("| | original | worst run | **ours** | worst run |\n|---|---:|---:|---:|---:|\n");
    for row in operations {
        let _ = write!(out, "| {} |", row.name);
        for way in ["original", "ours"] {
            let figures = row.way(way).unwrap_or_default();
            let worst = figures.iter().copied().fold(f64::INFINITY, f64::min);
            let middle = spread(figures.to_vec()).middle;
            let _ = write!(out, " {middle:.0} | {worst:.0} |");
        }
        out.push('\n');
    }
}

/// Three digits, in the unit that fits.
fn duration(nanoseconds: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    let found = units.iter().find(|(unit, _)| nanoseconds >= *unit);
    let Some((unit, name)) = found else {
        return format!("{nanoseconds:.0} ns");
    };
    let value = nanoseconds / unit;
    let digits = match value {
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {name}")
}

fn counts(out: &mut String, instructions: &[Row]) {
    out.push_str(
        "\nUser-space instructions of one call, from the first one of the function to its return, \
         counted by single-stepping (calls.c), which restarts no section; and how many of them \
         are system calls:\n\n",
    );
    out.push_str("| | original | calls | **ours** | calls |\n|---|---:|---:|---:|---:|\n");
    for row in instructions {
        let _ = write!(out, "| {} |", row.name);
        for way in ["original", "ours"] {
            for figure in row.way(way).unwrap_or_default() {
                let _ = write!(out, " {figure:.0} |");
            }
        }
        out.push('\n');
    }
}

fn programs(out: &mut String, fio: &[Row], cpu: &[Row]) {
    out.push_str(
        "\nfio: operations per second, and processor time per operation, as multiples of the \
         original's:\n\n\
         | | original, IOPS | **ours** | original, ns | **ours** |\n|---|---:|---|---:|---|\n",
    );
    for (row, time) in fio.iter().zip(cpu) {
        let _ = write!(out, "| {} |", row.name);
        for row in [row, time] {
            let original = spread(row.way("original").unwrap_or_default().to_vec());
            if let Some(s) = ratios(row, "ours", "original") {
                let _ = write!(
                    out,
                    " {:.0} | {:.3} ({:.3}–{:.3}) |",
                    original.middle, s.middle, s.low, s.high
                );
            }
        }
        out.push('\n');
    }
}

fn name_of(row: &Row) -> &str {
    row.name.strip_prefix("engines: ").unwrap_or(&row.name)
}

fn is_of_contexts(row: &Row) -> bool {
    row.name.contains("made and destroyed")
}

/// Median and quartiles of a way's ratios to another's, or an empty cell.
fn cell(out: &mut String, row: &Row, way: &str, against: &str) {
    let _ = match ratios(row, way, against) {
        Some(s) => write!(out, " {:.3} ({:.3}–{:.3}) |", s.middle, s.low, s.high),
        None => write!(out, " |"),
    };
}

/// engines.c.
fn servers(out: &mut String, times: &[Row], cpu: &[Row]) {
    out.push_str(
        "\nRungs 3 and 4 ([engines.md](engines.md#the-four-rungs)), compared with kernel AIO over \
         the original and over this library. Nine rounds, 4 KiB per request. The program requests \
         a context for 256; on rung 3 the kernel grants 62, and the ring has room for 120. *No \
         room*: requests that never complete fill the ring of rung 3, so that the library carries \
         out the others.\n",
    );
    let kinds = [
        ("Time for a request", times),
        ("Processor time for a request", cpu),
    ];
    for (kind, rows) in kinds {
        let _ = write!(
            out,
            "\n{kind}, as a multiple of the original's in the same round:\n\n\
             | | original, ns | ours | **rung 3** | **rung 4** | pread, pwrite |\n\
             |---|---:|---|---|---|---|\n"
        );
        for row in rows.iter().filter(|row| !is_of_contexts(row)) {
            let original = spread(row.way("original").unwrap_or_default().to_vec());
            let _ = write!(out, "| {} | {:.1} |", name_of(row), original.middle);
            for way in ["kernel", "rung 3", "rung 4", "plain"] {
                cell(out, row, way, "original");
            }
            out.push('\n');
        }
    }
    let (times, cpu) = (
        times.iter().find(|row| is_of_contexts(row)),
        cpu.iter().find(|row| is_of_contexts(row)),
    );
    if let (Some(times), Some(cpu)) = (times, cpu) {
        out.push_str(
            "\nCreating and destroying a context:\n\n\
             | | original | ours | **rung 3** | **rung 4** |\n|---|---:|---:|---:|---:|\n",
        );
        for (kind, row) in [("time", times), ("processor time", cpu)] {
            let _ = write!(out, "| {kind} |");
            for way in ["original", "kernel", "rung 3", "rung 4"] {
                let middle = spread(row.way(way).unwrap_or_default().to_vec()).middle;
                let _ = write!(out, " {} |", duration(middle));
            }
            out.push('\n');
        }
    }
}

fn programs_over_servers(out: &mut String, fio: &[Row], cpu: &[Row]) {
    out.push_str(
        "\nfio on the same rungs: operations per second, and processor time per operation, as \
         multiples of the original's. Rung 3 needs a filter, which slows down every system call, \
         so it is compared with the original under a filter too. At depth 1 there is no rung 3: a \
         context for 62 requests or fewer gets rung 2.\n\n\
         | | original, IOPS | **rung 3** | **rung 4** | original, ns | **rung 3** | \
         **rung 4** |\n|---|---:|---|---|---:|---|---|\n",
    );
    for (row, time) in fio.iter().zip(cpu) {
        let _ = write!(out, "| {} |", name_of(row));
        for row in [row, time] {
            let original = spread(row.way("original").unwrap_or_default().to_vec());
            let _ = write!(out, " {:.0} |", original.middle);
            cell(out, row, "rung 3", "filtered");
            cell(out, row, "rung 4", "original");
        }
        out.push('\n');
    }
}

fn machine() -> String {
    let said = |program: &str, argument: &str| {
        let output = run(Command::new(program).arg(argument));
        text(&output.stdout).trim().to_string()
    };
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("a processor that does not say its name", |line| {
            line.trim_start_matches([' ', '\t', ':'])
        });
    format!(
        "{}, {} processors, Linux {} on {}; the original is {}. {}.",
        model,
        said("nproc", "--all"),
        said("uname", "-r"),
        said("uname", "-m"),
        original_version(),
        said("date", "-I"),
    )
}

fn original_version() -> String {
    for package in ["libaio1t64", "libaio1"] {
        let output = Command::new("dpkg-query")
            .args(["-W", "-f", "libaio ${Version}", package])
            .output();
        match output {
            Ok(output) if output.status.success() => return text(&output.stdout),
            _ => {}
        }
    }
    "libaio of an unknown version".to_string()
}

/// Between the markers of docs/benchmarks.md, whose words are written by hand.
pub fn write(table: &str, micro: &[Row], fio: &[Row]) {
    let page = root().join("docs/benchmarks.md");
    let old = std::fs::read_to_string(&page).expect("part of the checkout");
    let (begin, end) = ("<!-- make bench: begin -->\n", "<!-- make bench: end -->");
    let (head, rest) = old.split_once(begin).expect("the page has its marker");
    let (_, tail) = rest.split_once(end).expect("the page has both markers");
    let new = format!("{head}{begin}\n{table}\n{end}{tail}");
    std::fs::write(&page, new).expect("the checkout is writable");
    plot(micro, fio);
    println!("written to docs/benchmarks.md and docs/benchmarks.svg");
}

/// Time against the original's, by gnuplot.
fn plot(micro: &[Row], fio: &[Row]) {
    let place = scratch();
    let data = place.path().join("data");
    let mut lines = String::new();
    let mut count = 0;
    for row in micro.iter().filter(|row| !is_single_call(row)) {
        let _ = write!(lines, "{count}\t\"{}\"", row.name);
        for way in ["ours", "hand"] {
            let _ = match ratios(row, way, "original") {
                Some(s) => write!(lines, "\t{:.4}\t{:.4}\t{:.4}", s.middle, s.low, s.high),
                None => write!(lines, "\tNaN\tNaN\tNaN"),
            };
        }
        lines.push('\n');
        count += 1;
    }
    for row in fio {
        // As time for an operation, like the others.
        if let Some(s) = ratios(row, "original", "ours") {
            let _ = writeln!(
                lines,
                "{count}\t\"{}\"\t{:.4}\t{:.4}\t{:.4}\tNaN\tNaN\tNaN",
                row.name, s.middle, s.low, s.high
            );
            count += 1;
        }
    }
    std::fs::write(&data, lines).expect("scratch is writable");
    let script = format!(
        "set terminal svg noenhanced size 900,{height} font 'sans,12' background '#ffffff'\n\
         set output '{output}'\n\
         set title 'Time, as a multiple of libaio 0.3.113 (median and quartiles; shorter is \
         faster)'\n\
         set yrange [{count}-0.4:-0.6]\n\
         set xrange [0:1.3]\n\
         set grid xtics lc rgb '#dddddd'\n\
         set key outside bottom center horizontal\n\
         set arrow from 1,graph 0 to 1,graph 1 nohead lc rgb '#444444' dt 2\n\
         set lmargin 32\n\
         unset ytics\n\
         set for [i=0:0] ytics\n\
         plot '{data}' using (0):($1-0.16):(0):3:($1-0.31):($1-0.01):ytic(2) \
              with boxxyerror fs solid 0.9 noborder lc rgb '#1f77b4' title 'libaio-rs', \
              '' using 3:($1-0.16):4:5 with xerrorbars pt 0 lc rgb '#0b3c5d' notitle, \
              '' using (0):($1+0.16):(0):6:($1+0.01):($1+0.31) \
              with boxxyerror fs solid 0.6 noborder lc rgb '#bbbbbb' title 'ring read by hand', \
              '' using 6:($1+0.16):7:8 with xerrorbars pt 0 lc rgb '#777777' notitle\n",
        height = 120 + 26 * count,
        output = root().join("docs/benchmarks.svg").display(),
        data = data.display(),
    );
    let file = place.path().join("script");
    std::fs::write(&file, script).expect("scratch is writable");
    run(Command::new("gnuplot").arg(&file));
}
