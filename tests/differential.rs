//! The contract: a program prints the same over the original library and over ours.
//!
//! Every program in c-tests/ is built against the original's header and library and run over it;
//! its standard output is the expectation. Then it is built and run over ours in each way in which
//! a program can come to it, and must print the same, byte for byte. Standard error is free.
//!
//! A line that starts with "SKIP " says what a program could not do here; `make check` counts it.

mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};
use support::{
    attempt, cargo_built, cc, cxx, has, musl_gcc, original, ours, report, root, run, scratch, skip,
    text, Installation,
};

/// Programs for another test: they print where they are, or what only ours can answer.
const NOT_HERE: &[&str] = &[
    "layout_probe",
    "which",
    "crashes_original",
    "crashes_in_child",
    "no_system_call",
];

/// Programs in whose calls the original dies; each has a `.expected` file.
const CRASHES: [&str; 2] = ["crashes_original", "crashes_in_child"];

/// Programs about symbols that a static library does not have.
const DYNAMIC_ONLY: &[&str] = &["old_abi"];

/// Programs that cannot be built with musl, and why.
const NOT_WITH_MUSL: &[(&str, &str)] = &[
    (
        "old_abi",
        "musl has no dlvsym(): a musl program cannot ask for a symbol's version",
    ),
    ("unwind", "there is no C++ library for musl here"),
];

/// How a program comes to the library.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Compiled with the library's header, linked with -laio.
    Linked,
    /// Compiled with the library's header, linked with libaio.a.
    Static,
    /// Built for the original, and ours preloaded.
    Preloaded,
    /// Built for the original, and what plain `cargo build` makes preloaded.
    PreloadedFromCargo,
    /// A musl program, linked with -laio: the very file that serves glibc programs.
    MuslLinked,
    /// A static musl program, linked with libaio.a.
    MuslStatic,
}

const WAYS: [(Way, &str); 6] = [
    (Way::Linked, "linked"),
    (Way::Static, "static"),
    (Way::Preloaded, "preloaded"),
    (Way::PreloadedFromCargo, "preloaded_from_cargo"),
    (Way::MuslLinked, "musl_linked"),
    (Way::MuslStatic, "musl_static"),
];

impl Way {
    fn is_static(self) -> bool {
        matches!(self, Way::Static | Way::MuslStatic)
    }

    fn is_musl(self) -> bool {
        matches!(self, Way::MuslLinked | Way::MuslStatic)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let Some(original) = original() else {
        skip("differential tests", "the original is not installed");
        return ExitCode::SUCCESS;
    };
    let has_musl = has("musl-gcc");
    if !has_musl {
        skip("differential tests over musl", "musl-gcc is not installed");
    }
    let mut trials = vec![Trial::test("the_two_libraries_differ", || {
        two_libraries(original)
    })];
    for name in CRASHES {
        let test = format!("answers_where_the_original_crashes::{name}");
        trials.push(Trial::test(test, move || crashes(name, has_musl)));
    }
    if has_musl {
        trials.push(Trial::test("musl_programs_run_over_ours", musl_programs));
    }
    for source in sources() {
        let name = source.file_stem().and_then(OsStr::to_str).expect("UTF-8");
        let expectation = Arc::new(OnceLock::new());
        for (way, way_name) in WAYS {
            let excluded = way.is_static() && DYNAMIC_ONLY.contains(&name)
                || way.is_musl() && NOT_WITH_MUSL.iter().any(|(program, _)| *program == name)
                || way.is_musl() && !has_musl;
            if excluded {
                continue;
            }
            let (source, expectation) = (source.clone(), Arc::clone(&expectation));
            trials.push(Trial::test(format!("{name}::{way_name}"), move || {
                let expected = expectation.get_or_init(|| answers(&source, original, Way::Linked));
                compare(&source, expected, way)
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn sources() -> Vec<PathBuf> {
    let mut sources: Vec<PathBuf> = std::fs::read_dir(root().join("c-tests"))
        .expect("c-tests is part of the checkout")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| matches!(path.extension().and_then(OsStr::to_str), Some("c" | "cc")))
        .filter(|path| {
            let name = path.file_stem().and_then(OsStr::to_str);
            !NOT_HERE.contains(&name.expect("UTF-8"))
        })
        .collect();
    sources.sort();
    sources
}

fn compare(source: &Path, expected: &Result<String, String>, way: Way) -> Result<(), Failed> {
    let expected = expected.as_ref().map_err(Failed::from)?;
    let found = answers(source, ours(), way)?;
    if found == *expected {
        return Ok(());
    }
    let place = scratch();
    let (theirs, mine) = (place.path().join("original"), place.path().join("ours"));
    std::fs::write(&theirs, expected)?;
    std::fs::write(&mine, &found)?;
    let diff = attempt(Command::new("diff").arg("-u").arg(theirs).arg(mine));
    Err(text(&diff.stdout).into())
}

/// What the program prints over a library.
fn answers(source: &Path, library: &Installation, way: Way) -> Result<String, String> {
    let place = scratch();
    let mut program = build(source, library, way, place.path())?;
    let output = attempt(program.current_dir(place.path()));
    let printed = text(&output.stdout);
    let name = source.file_stem().unwrap_or_default().to_string_lossy();
    for line in printed.lines().filter(|line| line.starts_with("SKIP ")) {
        println!("{line} ({name})");
    }
    match output.status.code() {
        Some(0) if !printed.is_empty() => Ok(printed),
        Some(77) => {
            skip(&name, "the program says that it cannot run here");
            Ok("cannot run here".to_string())
        }
        _ => Err(report(&program, &output)),
    }
}

/// Compiles a program; what is returned runs it over the library.
fn build(source: &Path, library: &Installation, way: Way, place: &Path) -> Result<Command, String> {
    let is_cpp = source.extension() == Some(OsStr::new("cc"));
    let built_for = match way {
        Way::Linked | Way::Static | Way::MuslLinked | Way::MuslStatic => library,
        Way::Preloaded | Way::PreloadedFromCargo => original().expect("checked in main"),
    };
    let program = place.join("program");
    let mut compile = match (way.is_musl(), is_cpp) {
        (true, _) => musl_gcc(place),
        (false, true) => cxx(),
        (false, false) => cc(),
    };
    compile
        .arg(if is_cpp { "-std=gnu++17" } else { "-std=gnu11" })
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
        .arg(&built_for.include)
        .arg("-o")
        .arg(&program)
        .arg(source);
    if way == Way::MuslStatic {
        compile.arg("-static");
    }
    if way.is_static() {
        compile.arg("-DSTATIC").arg(&library.archive).arg("-ldl");
    } else {
        compile
            .arg("-L")
            .arg(built_for.libdir())
            .args(["-laio", "-ldl"]);
    }
    let output = attempt(&mut compile);
    if !output.status.success() {
        return Err(report(&compile, &output));
    }
    let mut command = Command::new(program);
    match way {
        Way::Linked | Way::MuslLinked => command.env("LD_LIBRARY_PATH", library.libdir()),
        Way::Static | Way::MuslStatic => &mut command,
        Way::Preloaded => command.env("LD_PRELOAD", &library.shared),
        Way::PreloadedFromCargo => command.env("LD_PRELOAD", cargo_built()),
    };
    Ok(command)
}

/// Which file serves a program is asked from inside of it, for each library and way: otherwise all
/// the tests here could compare the original with itself.
fn two_libraries(original: &Installation) -> Result<(), Failed> {
    let which = root().join("c-tests/which.c");
    let real = |path: &Path| path.canonicalize().expect("it exists");
    let served_by = |library: &Installation, way| answers(&which, library, way);
    let cases = [
        (served_by(original, Way::Linked)?, real(&original.shared)),
        (served_by(ours(), Way::Linked)?, real(&ours().shared)),
        (served_by(ours(), Way::Preloaded)?, real(&ours().shared)),
        (
            served_by(ours(), Way::PreloadedFromCargo)?,
            real(cargo_built()),
        ),
    ];
    for (printed, file) in &cases {
        let files: Vec<&str> = printed
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
            .collect();
        let file = file.to_str().ok_or("not UTF-8")?;
        let file_name = real(Path::new(file));
        let only_this = files.iter().all(|found| Path::new(found) == file_name);
        if files.is_empty() || !only_this {
            return Err(format!("not served by {file} alone:\n{printed}").into());
        }
    }
    let is_static = served_by(ours(), Way::Static)?;
    if !is_static.contains("static") || is_static.contains("libaio.so") {
        return Err(format!("not the archive:\n{is_static}").into());
    }
    if std::fs::read(&original.shared)? == std::fs::read(&ours().shared)? {
        return Err("the two libraries are one file".into());
    }
    Ok(())
}

/// Musl programs are musl programs, and run over the same two files as the others.
fn musl_programs() -> Result<(), Failed> {
    let which = root().join("c-tests/which.c");
    let printed = answers(&which, ours(), Way::MuslLinked)?;
    let file = ours().shared.canonicalize()?;
    let file = file.to_str().ok_or("not UTF-8")?;
    if printed.lines().count() < 9 || !printed.lines().all(|line| line.ends_with(file)) {
        return Err(format!("not served by {file} alone:\n{printed}").into());
    }
    let place = scratch();
    build(&which, ours(), Way::MuslLinked, place.path())?;
    let program = place.path().join("program");
    let segments = run(Command::new("readelf").args(["-Wl"]).arg(&program));
    if !text(&segments.stdout).contains("ld-musl") {
        return Err("musl's loader does not run the program".into());
    }
    let is_static = answers(&which, ours(), Way::MuslStatic)?;
    if !is_static.contains("static") || is_static.contains("libaio.so") {
        return Err(format!("not the archive:\n{is_static}").into());
    }
    Ok(())
}

/// Where the original dies, ours gives the answer in the .expected file; everywhere else both do.
fn crashes(name: &str, has_musl: bool) -> Result<(), Failed> {
    let source = root().join("c-tests").join(name).with_extension("c");
    let expected = std::fs::read_to_string(source.with_extension("expected"))?;
    let library = original().expect("checked in main");
    let theirs = answers(&source, library, Way::Linked)?;
    let dies = |line: &str| line.contains("killed by signal");
    if !theirs.lines().any(dies) {
        return Err(format!("the original does not crash:\n{theirs}").into());
    }
    for (found, expected) in theirs.lines().zip(expected.lines()) {
        if found != expected && !dies(found) {
            return Err(format!("the original says \"{found}\", not \"{expected}\"").into());
        }
    }
    let ways = WAYS.map(|(way, _)| way);
    for way in ways.into_iter().filter(|way| has_musl || !way.is_musl()) {
        compare(&source, &Ok(expected.clone()), way)?;
    }
    Ok(())
}
