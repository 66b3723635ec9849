//! Real programs, unmodified, over our library instead of the system's: fio, sysbench, QEMU's tools
//! and MariaDB. Each checks its data in its own way; the tests also check the data.
//!
//! Plain `cargo test` leaves these out. `LIBAIO_RS_PROGRAMS=1` or `-- --include-ignored` runs them.

mod fio;
mod mariadb;
mod qemu;
mod run;
mod served;
#[path = "../support/mod.rs"]
mod support;
mod sysbench;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::ExitCode;

type Outcome<T = ()> = Result<T, Failed>;

type Runner = Box<dyn FnOnce() -> Result<Completion, Failed> + Send>;

/// One program, used in one way.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// Why it cannot run on this machine, if it cannot.
    missing: fn() -> Option<String>,
    run: fn() -> Outcome,
}

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // The time limits assume that the programs do not compete for the disk.
    args.test_threads.get_or_insert(1);
    let enabled = std::env::var_os("LIBAIO_RS_PROGRAMS").is_some_and(|value| value == "1");

    let scenarios = [
        fio::SCENARIOS,
        sysbench::SCENARIOS,
        qemu::SCENARIOS,
        mariadb::SCENARIOS,
    ];
    let trials = scenarios
        .concat()
        .into_iter()
        .map(|scenario| trial(scenario, &args, enabled))
        .collect();
    libtest_mimic::run(&args, trials).exit_code()
}

/// A program that is not installed is reported as ignored, never as passed, and named on a line of
/// its own so that a log shows it.
fn trial(scenario: Scenario, args: &Arguments, enabled: bool) -> Trial {
    let name = scenario.name;
    let named = |runner: Runner| Trial::ignorable_test(name, runner).with_ignored_flag(!enabled);
    let selected = named(Box::new(|| Ok(Completion::Completed)));
    if args.list || args.is_filtered_out(&selected) || args.is_ignored(&selected) {
        return selected;
    }
    match (scenario.missing)() {
        Some(reason) => {
            println!("SKIP programs::{name}: {reason}");
            named(Box::new(|| Ok(Completion::ignored_with(reason))))
        }
        None => named(Box::new(move || {
            // If the library has to be built first, that does not count as the program's time.
            served::libdir();
            run::start_clock();
            (scenario.run)().map(|()| Completion::Completed)
        })),
    }
}
