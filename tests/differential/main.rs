//! The contract: a program prints the same over the original library and over ours.
//!
//! Each program in c-tests/ is built against the original's header and library and run over it; its
//! standard output is the expected output. Then it is built and run over our library in each way in
//! which a program can get a library, and must print the same, byte for byte. Standard error is not
//! compared.
//!
//! The first lines of a program name the ways in which it runs (program.rs). By default these are
//! the ways of this machine (way.rs). A script can select another machine in the environment
//! (machine.rs), which it may have to boot (boot.rs).
//!
//! In some ways, LIBAIO_RS_ENGINE is set, and a filter refuses system calls (refusals.rs). The
//! lines that a program prints differently there are in a list (differences.rs).
//!
//! A line that starts with "SKIP " says what a program could not do here; `make check` counts it.

mod boot;
mod differences;
mod machine;
mod program;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
mod way;

use boot::{Boot, LockTest};
use libtest_mimic::{Arguments, Failed, Trial};
use machine::{Answers, Machine, Over};
use program::{Measure, Program};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};
use support::{attempt, original, ours, result, run, scratch, skip, text};
use way::Way;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let Some(original) = original() else {
        skip("differential tests", "the original is not installed");
        return ExitCode::SUCCESS;
    };
    let machine = Machine::from_environment(original);
    let machine = machine.unwrap_or_else(|| Machine::here(original));
    let machine: &'static Machine = Box::leak(Box::new(machine));
    let mut trials = vec![
        Trial::test("the_two_libraries_differ", || two_libraries(machine)),
        Trial::test("programs_say_where_they_run", || {
            Ok(program::wrong_heads_are_refused()?)
        }),
        Trial::test("listed_differences_are_some", || {
            differences::wrong_lists_are_refused()?;
            Ok(differences::belong_to_programs(&program::all())?)
        }),
    ];
    if machine.is_here {
        trials.extend(refusals::trials(machine));
    }
    if let Some(way) = machine.ways.iter().find(|way| way.is_musl()) {
        trials.push(Trial::test("musl_programs_are_musls", || {
            musl_programs(machine, way)
        }));
    }
    for program in program::all() {
        let program: &'static Program = Box::leak(Box::new(program));
        let measure = Arc::new(OnceLock::new());
        for way in &machine.ways {
            if !machine.runs(program, way) {
                continue;
            }
            let measure = Arc::clone(&measure);
            let name = format!("{}::{}", program.name, way.name);
            trials.push(Trial::test(name, move || {
                let here = format!("{}{}", program.name, way.environment.suffix);
                if machine.incomparable.contains(&program.name)
                    || machine.incomparable.contains(&here)
                {
                    skip(&program.name, "this machine's original answers otherwise");
                    return Ok(());
                }
                let measure = measure.get_or_init(|| expectation(machine, program));
                judge(machine, program, way, measure)
            }));
        }
    }
    if let Some(boot) = &machine.boot {
        for test in boot::lock_tests(machine) {
            let name = format!("{}::{}", test.name, machine.oracle.name);
            trials.push(Trial::test(name, || lock_test(machine, boot, test)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(boot) = &machine.boot {
        boot.remove();
    }
    conclusion.exit_code()
}

/// The expected output of a program.
fn expectation(machine: &Machine, program: &Program) -> Result<String, String> {
    let theirs = || machine.answers(program, Over::Original, &machine.oracle);
    let written = || {
        let expected = std::fs::read_to_string(program.expected());
        expected.map_err(|error| error.to_string())
    };
    match program.measure {
        Measure::Original => Ok(theirs()?.printed),
        Measure::Expected => written(),
        Measure::ExpectedWhereTheOriginalDies => {
            let expected = written()?;
            same_but_for_deaths(&theirs()?.printed, &expected)?;
            Ok(expected)
        }
        Measure::Library => {
            let file = machine.file(Over::Original, &machine.oracle);
            names_only(&theirs()?.printed, file.as_deref())?;
            Ok(String::new())
        }
        Measure::Elsewhere => unreachable!("it runs in no way"),
    }
}

fn judge(
    machine: &Machine,
    program: &Program,
    way: &Way,
    expected: &Result<String, String>,
) -> Result<(), Failed> {
    let mut expected = expected.as_ref().map_err(Failed::from)?.clone();
    for file in way
        .words()
        .iter()
        .filter_map(|word| program.differences(word))
    {
        expected = differences::apply(&file, &expected)?;
    }
    let Answers { printed, can_run } = machine.answers(program, Over::Ours, way)?;
    for line in printed.lines().filter(|line| line.starts_with("SKIP ")) {
        println!("{line} ({}::{})", program.name, way.name);
    }
    if program.measure == Measure::Library {
        let file = machine.file(Over::Ours, way);
        return Ok(names_only(&printed, file.as_deref())?);
    }
    if printed != expected {
        return Err(difference(&expected, &printed).into());
    }
    if !can_run {
        skip(&program.name, "the program says that it cannot run here");
    }
    Ok(())
}

fn difference(expected: &str, found: &str) -> String {
    let place = scratch();
    let (theirs, mine) = (place.path().join("expected"), place.path().join("ours"));
    std::fs::write(&theirs, expected).expect("scratch is writable");
    std::fs::write(&mine, found).expect("scratch is writable");
    text(&attempt(Command::new("diff").arg("-u").arg(theirs).arg(mine)).stdout)
}

/// Where the original crashes, ours must print the line of the .expected file. All other lines of
/// this file must be printed over both.
fn same_but_for_deaths(theirs: &str, expected: &str) -> Result<(), String> {
    let dies = |line: &str| line.contains("killed by signal");
    if !theirs.lines().any(dies) {
        return Err(format!("the original does not crash:\n{theirs}"));
    }
    let (mut left, mut dead) = (expected.lines().peekable(), false);
    for found in theirs.lines() {
        if dies(found) {
            dead = true;
            left.next();
            continue;
        }
        // A child that crashes does not print its remaining lines.
        while dead && left.peek().is_some_and(|expected| *expected != found) {
            left.next();
        }
        match left.next() {
            Some(expected) if expected == found => dead = false,
            expected => {
                return Err(format!(
                    "the original prints \"{found}\", not {expected:?}:\n{theirs}"
                ))
            }
        }
    }
    if !dead && left.next().is_some() {
        return Err(format!("the original prints fewer lines:\n{theirs}"));
    }
    Ok(())
}

/// For each library and way, a program finds out which file it uses. Otherwise all the tests here
/// could compare the original with itself.
fn names_only(printed: &str, file: Option<&Path>) -> Result<(), String> {
    let Some(file) = file else {
        let is_static = printed.contains("static") && !printed.contains("libaio.so");
        return is_static
            .then_some(())
            .ok_or_else(|| format!("not the archive:\n{printed}"));
    };
    let file = file.to_str().ok_or("not UTF-8")?;
    let by_it = |line: &str| line.ends_with(&format!(": {file}"));
    if printed.lines().count() == 9 && printed.lines().all(by_it) {
        Ok(())
    } else {
        Err(format!("not served by {file} alone:\n{printed}"))
    }
}

/// The two libraries are not the same file under two names.
fn two_libraries(machine: &Machine) -> Result<(), Failed> {
    let (theirs, ours) = (machine.original, ours());
    for (theirs, ours) in [
        (&theirs.shared, &ours.shared),
        (&theirs.archive, &ours.archive),
    ] {
        if std::fs::read(theirs)? == std::fs::read(ours)? {
            return Err(format!("{} is {}", theirs.display(), ours.display()).into());
        }
    }
    Ok(())
}

/// musl's own loader runs musl programs.
fn musl_programs(machine: &Machine, way: &Way) -> Result<(), Failed> {
    let place = scratch();
    let program = place.path().join("program");
    let source = support::root().join("c-tests/which.c");
    way.compile(&source, ours(), machine.original, &program)?;
    let segments = run(Command::new("readelf").args(["-Wl"]).arg(&program));
    if !text(&segments.stdout).contains("ld-musl") {
        return Err("musl's loader does not run the program".into());
    }
    Ok(())
}

/// No completion is lost or doubled on the booted machine, unless the test must find that. A test
/// that was skipped there does not pass.
fn lock_test(machine: &Machine, boot: &Boot, test: &LockTest) -> Result<(), Failed> {
    let printed = boot.ended(machine, test.name, "", Over::Ours, |status, printed| {
        let is_well = status == Some(test.status) && !printed.contains("SKIPPED TEST");
        is_well.then_some(printed)
    })?;
    // The last line of Rust's test harness.
    let summary = printed
        .lines()
        .find_map(|line| line.strip_prefix("test result: ok. ")?.split(';').next());
    if summary == Some("0 passed") {
        return Err(format!("no test was run: {printed}").into());
    }
    result(&format!("{}: {}", test.name, summary.unwrap_or(&printed)));
    Ok(())
}
