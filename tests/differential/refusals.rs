//! tests/refuse.c refuses what it is told to, in programs of every kind. If it did not, the ways
//! with a refusal would test nothing. The programs use the original, which returns every error.
//! musl programs, for which there is no original, use our library without LIBAIO_RS_ENGINE.

use crate::machine::Machine;
use crate::support::{attempt, ours, refuse, report, root, scratch, text, Installation};
use crate::way::{Linking, Way};
use libtest_mimic::{Failed, Trial};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// The exit status that a shell reports for SIGSYS.
const SIGSYS: i32 = 31;

const OTHERS: [&str; 5] = [
    "io_destroy",
    "io_submit",
    "io_cancel",
    "io_getevents",
    "io_pgetevents",
];
/// One call through the library, one as a system call.
const SETUPS: [&str; 2] = ["io_setup", "io_setup(2)"];

/// What c-tests/answers.c prints, or that the system call killed it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Says(&'static str),
    Dies,
}
use Answer::{Dies, Says};

pub fn trials(machine: &'static Machine) -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("refusals_leave_the_program_its_environment", environment),
        Trial::test("refusals_unknown_are_refused", unknown_refusals),
    ];
    // Not `preloaded`: the program and the library would be the same as in `linked`.
    for way in machine.ways.iter().filter(|way| {
        let is_plain = std::ptr::eq(way.environment, &crate::way::ENVIRONMENTS[0]);
        is_plain && matches!(way.linking, Linking::Linked | Linking::Static)
    }) {
        let name = format!("refusals_refuse::{}", way.name);
        trials.push(Trial::test(name, || refusals(machine, way)));
    }
    trials
}

fn refusals(machine: &Machine, way: &Way) -> Result<(), Failed> {
    let place = scratch();
    let program = place.path().join("answers");
    let source = root().join("c-tests/answers.c");
    let library = if way.is_musl() {
        ours()
    } else {
        machine.original
    };
    way.compile(&source, library, machine.original, &program)?;
    let ask = |what: &str, call: &str, count: &str, expected: Answer| {
        let mut command = refuse(what, &program);
        command.args([call, count]).current_dir(place.path());
        command.env("LD_LIBRARY_PATH", library.libdir());
        answers(&mut command, call, expected)
    };
    for (what, answer) in [
        ("enosys", Says("-38 ENOSYS")),
        ("eperm", Says("-1 EPERM")),
        ("kill", Dies),
    ] {
        for call in SETUPS.iter().chain(&OTHERS) {
            ask(what, call, "1", answer)?;
        }
    }
    let (works, invalid, again) = (Says("0"), Says("-22 EINVAL"), Says("-11 EAGAIN"));
    for (limit, count, answer) in [
        ("limit=0", "0", invalid),
        ("limit=0", "1", again),
        ("limit=1", "1", works),
        ("limit=1", "2", again),
        ("limit=100", "100", works),
        ("limit=100", "101", again),
        ("limit=100", "-1", again),
        ("limit=4294967295", "100", works),
        ("limit=4294967295", "-1", invalid),
    ] {
        for call in SETUPS {
            ask(limit, call, count, answer)?;
        }
    }
    for call in OTHERS {
        ask("limit=0", call, "1", invalid)?;
    }
    of_32_bits(&program, library, ask)
}

/// The same calls, as a 32-bit program makes them.
fn of_32_bits(
    program: &Path,
    library: &Installation,
    ask: impl Fn(&str, &str, &str, Answer) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let call = "io_setup(2), 32 bits";
    let mut unrefused = Command::new(program);
    unrefused.env("LD_LIBRARY_PATH", library.libdir());
    if answers(unrefused.arg(call), call, Says("0")).is_err() {
        println!("SKIP {call}: this kernel has none");
        return Ok(());
    }
    ask("enosys", call, "1", Says("-38 ENOSYS"))?;
    ask("eperm", call, "1", Says("-1 EPERM"))?;
    ask("kill", call, "1", Dies)?;
    ask("limit=3", call, "3", Says("0"))?;
    ask("limit=3", call, "4", Says("-11 EAGAIN"))?;
    ask("limit=3", call, "-1", Says("-11 EAGAIN"))
}

fn answers(command: &mut Command, call: &str, expected: Answer) -> Result<(), Failed> {
    let output = attempt(command);
    let printed = text(&output.stdout);
    let is_right = match expected {
        Says(answer) => output.status.success() && printed == format!("{call} = {answer}\n"),
        Dies => output.status.signal() == Some(SIGSYS) && printed.is_empty(),
    };
    if is_right {
        return Ok(());
    }
    Err(format!("not {expected:?}: {}", report(command, &output)).into())
}

/// The loader's variables affect only the program. Its arguments and its status are passed on.
fn environment() -> Result<(), Failed> {
    let mut command = refuse("enosys", Path::new("/bin/sh"));
    command.args([
        "-c",
        "echo \"$LD_PRELOAD $LD_LIBRARY_PATH $1\"; exit 7",
        "sh",
        "a b",
    ]);
    command
        .env("LD_PRELOAD", "/no/such/file.so")
        .env("LD_LIBRARY_PATH", "/no/such");
    let output = attempt(&mut command);
    // Only the shell's loader complains.
    let complaints = text(&output.stderr).matches("/no/such/file.so").count();
    let printed = text(&output.stdout);
    if output.status.code() == Some(7)
        && printed == "/no/such/file.so /no/such a b\n"
        && complaints == 1
    {
        return Ok(());
    }
    Err(report(&command, &output).into())
}

fn unknown_refusals() -> Result<(), Failed> {
    for what in ["", "nothing", "limit", "limit=", "limit=x", "limit=1x"] {
        let mut command = refuse(what, Path::new("/bin/true"));
        let output = attempt(&mut command);
        if output.status.code() != Some(125) {
            return Err(report(&command, &output).into());
        }
    }
    Ok(())
}
