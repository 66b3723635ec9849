//! `make bench`: compares the original, this library, a ring reader written by hand, io_uring and
//! pread; calls while other threads use the context; the instructions of single calls; fio over
//! both libraries; and rungs 3 and 4. Writes the tables in docs/benchmarks.md and the plot.
//!
//! LIBAIO_RS_BENCH_ROUNDS=n changes the number of rounds (default 101). LIBAIO_RS_BENCH_ROWS=text
//! runs only the rows whose names contain the text, and writes nothing.

#[path = "../../tests/support/mod.rs"]
mod support;

mod measure;
mod report;

use measure::Plan;
use std::process::ExitCode;
use support::{original, skip};

fn main() -> ExitCode {
    let Some(original) = original() else {
        skip("the benchmark", "the original is not installed");
        return ExitCode::FAILURE;
    };
    let rounds = std::env::var("LIBAIO_RS_BENCH_ROUNDS").ok();
    let rows = std::env::var("LIBAIO_RS_BENCH_ROWS").ok();
    let is_whole = rounds.is_none() && rows.is_none();
    let plan = Plan {
        original,
        rounds: rounds.as_deref().map_or(101, |rounds| {
            rounds.parse().expect("LIBAIO_RS_BENCH_ROUNDS is a number")
        }),
        engine_rounds: if rounds.is_none() { 9 } else { 1 },
        tail_runs: if rounds.is_none() { 5 } else { 1 },
        fio_rounds: if rounds.is_none() { 9 } else { 1 },
        rows,
    };
    let place = support::scratch();
    let micro = measure::micro(&plan, place.path());
    let tails = measure::tails(&plan, place.path());
    let instructions = measure::instructions(&plan, place.path());
    let (fio, cpu) = measure::fio(&plan, place.path());
    let engines = report::Engines {
        micro: measure::engines(&plan, place.path()),
        fio: measure::fio_engines(&plan, place.path()),
    };
    let text = report::table(&micro, &tails, &instructions, (&fio, &cpu), &engines);
    println!("{text}");
    if is_whole {
        report::write(&text, &micro, &fio);
    }
    ExitCode::SUCCESS
}
