//! `make bench`: the original, this library, a ring reader written by hand, io_uring and pread side
//! by side; the instructions of single calls; and fio over both libraries. Writes the table in
//! docs/benchmarks.md and the plot beside it.
//!
//! LIBAIO_RS_BENCH_ROUNDS=n makes it shorter (default 101). Nothing is written then.

#[path = "../../tests/support/mod.rs"]
mod support;

mod measure;
mod report;

use std::process::ExitCode;
use support::{original, skip};

fn main() -> ExitCode {
    let Some(original) = original() else {
        skip("the benchmark", "the original is not installed");
        return ExitCode::FAILURE;
    };
    let rounds = std::env::var("LIBAIO_RS_BENCH_ROUNDS").ok();
    let count = rounds.as_deref().map_or(101, |rounds| {
        rounds.parse().expect("LIBAIO_RS_BENCH_ROUNDS is a number")
    });
    let place = support::scratch();
    let micro = measure::micro(original, place.path(), count);
    let instructions = measure::instructions(original, place.path());
    let fio_rounds = if rounds.is_some() { 1 } else { 9 };
    let (fio, cpu) = measure::fio(original, place.path(), fio_rounds);
    let text = report::table(&micro, &instructions, &fio, &cpu);
    println!("{text}");
    if rounds.is_none() {
        report::write(&text, &micro, &fio);
    }
    ExitCode::SUCCESS
}
