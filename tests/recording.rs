//! scripts/shared/record.sh writes a command's result to its row of docs/testing.md, and never
//! writes a failure or a skip as a pass. scripts/shared/count-tests.sh counts the results of tests.
//! Both run in a small tree of their own, with commands that only print.

mod support;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use support::{attempt, has, report, root, run, scratch, skip, text};
use tempfile::TempDir;

const PAGE: &str = "docs/testing.md";

/// The page of the tree. Its second row has a cell with a bar in it.
const ROWS: [&str; 6] = [
    "| all | `make check` | 9 s | old | old |",
    "| a \\| b | `tests/one.rs`, with `tests/one.c` | 9 s | old | |",
    "| two | `tests/programs/main.rs` | 9 s | old | |",
    "| three | `tests/three.rs` | 9 s | old | |",
    "| first | `make first-check` | 9 s | old | old |",
    "| second | `make second-check` | 9 s | old | old |",
];

/// A row outside of the markers, which no command may write.
const OUTSIDE: &str = "| first | `make first-check` | 9 s | old | old |\n";

fn tree() -> TempDir {
    let tree = scratch();
    let page = format!(
        "{OUTSIDE}<!-- recorded: begin -->\n\n{}\n\n<!-- recorded: end -->\n{OUTSIDE}",
        ROWS.join("\n")
    );
    for directory in ["docs", "scripts/check", "scripts/shared"] {
        std::fs::create_dir_all(tree.path().join(directory)).expect("scratch is writable");
    }
    for script in [
        "scripts/shared/record.sh",
        "scripts/check/check.sh",
        "scripts/shared/count-tests.sh",
    ] {
        install(&root().join(script), &tree.path().join(script));
    }
    write(tree.path(), PAGE, &page);
    write(tree.path(), "Cargo.toml", "version = \"1.2.3\"\n");
    write(tree.path(), ".gitignore", "/build/\n");
    program(tree.path(), "scripts/shared/setup-tests.sh", "");
    program(tree.path(), "scripts/check/lint.sh", "");
    tree
}

fn write(tree: &Path, file: &str, text: &str) {
    std::fs::write(tree.join(file), text).expect("scratch is writable");
}

fn program(tree: &Path, file: &str, script: &str) {
    let text = format!("{file}.text");
    write(tree, &text, &format!("#!/bin/sh\n{script}\n"));
    install(&tree.join(text), &tree.join(file));
}

/// Copies in another process: a program that another test starts could inherit a file that this
/// process has open for writing, and such a file cannot be executed.
fn install(from: &Path, to: &Path) {
    run(Command::new("install")
        .args(["-m", "755"])
        .arg(from)
        .arg(to));
}

/// `scripts/shared/record.sh NAME`, with a shell command.
fn recorder(tree: &Path, name: &str, script: &str) -> Command {
    let mut command = Command::new(tree.join("scripts/shared/record.sh"));
    command.args([name, "sh", "-c", script]);
    command.env_remove("MAKEFLAGS").env("RECORD", "1");
    command
}

fn record(tree: &Path, name: &str, script: &str) -> Output {
    attempt(&mut recorder(tree, name, script))
}

fn page(tree: &Path) -> String {
    std::fs::read_to_string(tree.join(PAGE)).expect("the page exists")
}

/// The cells of the row with these first words.
fn cells(tree: &Path, words: &str) -> Vec<String> {
    let page = page(tree);
    let (_, rows) = page
        .split_once("<!-- recorded: begin -->")
        .expect("the page still has its markers");
    let row = rows
        .lines()
        .find(|row| row.starts_with(&format!("| {words} |")));
    let row = row.unwrap_or_else(|| panic!("no row {words} in {page}"));
    let row = row.replace("\\|", "\u{1}");
    let cells = row.split('|').map(|cell| cell.trim().to_string());
    let cells: Vec<_> = cells.collect();
    cells[1..cells.len() - 1].to_vec()
}

fn result(tree: &Path, words: &str) -> String {
    cells(tree, words)[3].clone()
}

#[test]
fn a_pass_is_written_into_its_row_and_nothing_else_changes() {
    let tree = tree();
    let output = record(
        tree.path(),
        "first-check",
        "echo other; echo 'first-check: 3 passed, 0 failed, 0 skipped'",
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let cells = cells(tree.path(), "first");
    assert_eq!(cells[1], "`make first-check`");
    assert!(cells[2].ends_with(" s") && cells[2] != "9 s", "{cells:?}");
    assert_eq!(cells[3], "ok: first-check: 3 passed, 0 failed, 0 skipped");
    // There is no git, as in an unpacked release.
    let today = text(&run(Command::new("date").args(["-u", "+%F"])).stdout);
    let begin = format!("{}, release 1.2.3; ", today.trim());
    assert!(cells[4].starts_with(&begin), "{cells:?}");
    assert!(cells[4].contains("processors, Linux "), "{cells:?}");

    let now = page(tree.path());
    let unchanged = ROWS.iter().filter(|row| now.contains(*row)).count();
    // The row outside of the markers is unchanged, in both places.
    assert_eq!(unchanged, ROWS.len(), "{now}");
    assert_eq!(now.matches(OUTSIDE).count(), 2, "{now}");
    assert_eq!(text(&output.stdout).matches("other\n").count(), 1);
}

#[test]
fn a_failure_is_written_as_one_and_returned() {
    let tree = tree();
    let said = "echo 'FAILED  the third'; echo 'first-check: 2 passed, 1 failed'";
    let output = record(tree.path(), "first-check", &format!("{said}; exit 3"));
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        result(tree.path(), "first"),
        "**failed**, status 3: FAILED  the third<br>first-check: 2 passed, 1 failed"
    );
    // An exit status that hides the failure.
    record(tree.path(), "first-check", said);
    assert!(result(tree.path(), "first").starts_with("**failed**: "));
    // Counts that hide the failure.
    let output = record(
        tree.path(),
        "first-check",
        "echo '2 passed, 0 failed, 0 skipped'; kill -9 $$",
    );
    assert_eq!(output.status.code(), Some(137));
    assert!(result(tree.path(), "first").starts_with("**failed**, status 137: "));
}

#[test]
fn a_skip_is_no_pass() {
    let tree = tree();
    for (said, expected) in [
        (
            "echo 'SKIPPED TEST tool: it is not here'",
            "**skipped**: SKIPPED tool: it is not here",
        ),
        (
            "echo 'first-check: 0 passed, 0 failed, 2 skipped'",
            "**skipped**: first-check: 0 passed, 0 failed, 2 skipped",
        ),
        (
            "echo 'first-check: 4 passed, 0 failed, 2 skipped'",
            "**in part**: first-check: 4 passed, 0 failed, 2 skipped",
        ),
        (
            "echo 'SKIPPED deb: no packages'; echo 'first-check: 4 passed, 0 failed'",
            "**in part**: SKIPPED deb: no packages<br>first-check: 4 passed, 0 failed",
        ),
    ] {
        let output = record(tree.path(), "first-check", said);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(result(tree.path(), "first"), expected);
    }
}

#[test]
fn a_command_that_counts_nothing_has_passed_nothing() {
    let tree = tree();
    for said in [
        "true",
        "echo all is well",
        "echo 'first-check: 0 passed, 0 failed, 0 skipped'",
    ] {
        let output = record(tree.path(), "first-check", said);
        assert!(!output.status.success());
        let result = result(tree.path(), "first");
        assert!(result.starts_with("**nothing passed**: "), "{result}");
    }
}

#[test]
fn output_cannot_break_the_table() {
    let tree = tree();
    let said = "first-check: 1 passed, 0 failed | `a` *b* <c> \\d";
    let script = format!("printf '%s\\n' '{said}'");
    record(tree.path(), "first-check", &script);
    let expected = "ok: first-check: 1 passed, 0 failed \u{1} \\`a\\` \\*b\\* \\<c\\> \\\\d";
    let cells = cells(tree.path(), "first");
    assert_eq!(cells.len(), 5, "{cells:?}");
    assert_eq!(cells[3], expected);
}

#[test]
fn many_failures_are_counted() {
    let tree = tree();
    let script =
        "for i in 1 2 3 4 5 6 7 8 9; do echo \"FAILED $i\"; done; echo '1 passed, 9 failed'; false";
    record(tree.path(), "first-check", script);
    let result = result(tree.path(), "first");
    assert!(result.contains("<br>FAILED 6<br>1 passed"), "{result}");
    assert!(result.ends_with("<br>and 3 more that failed or were skipped"));
}

#[test]
fn a_command_without_a_row_does_not_run() {
    let tree = tree();
    let before = page(tree.path());
    let output = record(tree.path(), "third-check", "touch ran");
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("no row for make third-check"));
    assert!(!tree.path().join("ran").exists());
    assert_eq!(page(tree.path()), before);
}

#[test]
fn an_interrupted_command_leaves_the_row() {
    let tree = tree();
    let before = page(tree.path());
    // As a terminal does: to the whole process group.
    let mut command = recorder(
        tree.path(),
        "first-check",
        "echo '5 passed, 0 failed'; kill -INT 0; sleep 60",
    );
    let output = attempt(command.process_group(0));
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("interrupted; nothing is recorded"));
    assert_eq!(page(tree.path()), before);
    let left = std::fs::read_dir(tree.path().join("build")).expect("record.sh created it");
    assert_eq!(left.count(), 0);
}

/// Each command reads and writes the whole page.
#[test]
fn results_of_concurrent_commands_are_all_kept() {
    let tree = tree();
    let names: Vec<_> = (0..40).map(|number| format!("n{number}-check")).collect();
    let rows = names
        .iter()
        .map(|name| format!("| {name} | `make {name}` | | old | |\n"));
    let rows: String = rows.collect();
    let page = page(tree.path()).replace("| all |", &format!("{rows}| all |"));
    write(tree.path(), PAGE, &page);
    let running: Vec<_> = names
        .iter()
        .map(|name| {
            // All wait for the same file, and then go on together.
            let script =
                format!("until test -e go; do sleep 0.01; done; echo '{name}: 1 passed, 0 failed'");
            let mut command = recorder(tree.path(), name, &script);
            command.stdout(std::process::Stdio::null());
            command.spawn().expect("the shell can be started")
        })
        .collect();
    write(tree.path(), "go", "");
    for mut running in running {
        assert!(running.wait().expect("it is our child").success());
    }
    for name in names {
        let expected = format!("ok: {name}: 1 passed, 0 failed");
        assert_eq!(result(tree.path(), &name), expected);
    }
}

#[test]
fn a_command_inside_of_another_does_not_record_itself() {
    let tree = tree();
    let script = "echo \"2 passed, 0 failed, RECORD is '${RECORD-}${MAKEFLAGS-}'\"";
    let mut command = recorder(tree.path(), "first-check", script);
    run(command.env("MAKEFLAGS", " -- RECORD=1"));
    assert_eq!(
        result(tree.path(), "first"),
        "ok: 2 passed, 0 failed, RECORD is ''"
    );
}

#[test]
fn the_commit_is_the_one_that_was_checked() {
    if !has("git") {
        return skip("the commit of a record", "git is not installed");
    }
    let tree = tree();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(tree.path()).args(arguments);
        for (name, value) in [("NAME", "nobody"), ("EMAIL", "nobody@localhost")] {
            git.env(format!("GIT_AUTHOR_{name}"), value);
            git.env(format!("GIT_COMMITTER_{name}"), value);
        }
        run(&mut git);
    };
    let head = || {
        let mut git = Command::new("git");
        git.current_dir(tree.path())
            .args(["rev-parse", "--short", "HEAD"]);
        text(&run(&mut git).stdout).trim().to_string()
    };
    let recorded = |script: &str| {
        record(tree.path(), "first-check", script);
        let on = cells(tree.path(), "first")[4].clone();
        let (tested, _) = on.split_once("; ").expect("then the machine");
        tested.split_once(", ").expect("the date").1.to_string()
    };
    let pass = "echo '1 passed, 0 failed'";
    git(&["init"]);
    git(&["add", "-A"]);
    git(&["commit", "-m", "first"]);
    let first = head();
    assert_eq!(recorded(pass), first);
    // The page, which the last command wrote, does not count as a change.
    assert_eq!(recorded(pass), first);
    let while_it_ran = format!("echo >> Cargo.toml; {pass}");
    let changed = format!("{first} and changes");
    assert_eq!(recorded(&while_it_ran), format!("{first}, then {changed}"));
    assert_eq!(recorded(pass), changed);
    git(&["commit", "-a", "-m", "second"]);
    assert_ne!(head(), first);
    assert_eq!(recorded(pass), head());
}

/// What cargo and the test programs print.
const CARGO_PRINTS: &str = r#"cat <<'END'
   Compiling libaio-rs v0.1.0
     Running unittests src/lib.rs (target/debug/deps/aio-1)

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/one.rs (target/debug/deps/one-1)
SKIPPED TEST one: no tool
RESULT 10 completed, 0 twice
MODEL all interleavings with 2 preemptions in 1 s: a
MODEL not all interleavings with 3 preemptions in 8 s: b
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s

     Running tests/programs/main.rs (target/debug/deps/programs-1)
SKIP programs::x: not installed
SKIP a row of a C program
test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 130.00s
END
"#;

/// `make check RECORD=1`, with a cargo that prints this.
fn check(tree: &Path, cargo_prints: &str) -> Output {
    program(tree, "cargo", cargo_prints);
    let mut command = Command::new(tree.join("scripts/shared/record.sh"));
    command.args(["check", "scripts/check/check.sh"]);
    attempt(command.env("CARGO", tree.join("cargo")))
}

#[test]
fn check_writes_a_row_for_each_test_file() {
    let tree = tree();
    let output = check(tree.path(), CARGO_PRINTS);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result = |words| result(tree.path(), words);
    assert_eq!(
        result("all"),
        "**in part**: SKIPPED one: no tool<br>7 passed, 0 failed, 3 skipped"
    );
    assert_eq!(
        result("a \\| b"),
        "**in part**: 2 passed, 0 failed, 1 skipped; 1 models run through, 1 cut short; \
         10 completed, 0 twice"
    );
    assert_eq!(result("two"), "**in part**: 5 passed, 0 failed, 2 skipped");
    assert_eq!(cells(tree.path(), "two")[2], "2 min");
    // This test file is not in the run.
    assert_eq!(result("three"), "**not run**");
    assert_eq!(result("first"), "old");
}

/// Lint has a line of its own in the row of `make check`, and counts like a test.
#[test]
fn check_counts_lint() {
    let tree = tree();
    let lint = |says: &str| program(tree.path(), "scripts/check/lint.sh", says);
    lint("echo 'lint: 3 passed, 0 failed, 0 skipped'");
    let output = check(tree.path(), CARGO_PRINTS);
    assert!(output.status.success(), "{}", report_of(&output));
    assert_eq!(
        result(tree.path(), "all"),
        "**in part**: lint: 3 passed, 0 failed, 0 skipped<br>SKIPPED one: no tool<br>\
         lint: 3 passed, 0 failed, 0 skipped<br>10 passed, 0 failed, 3 skipped"
    );

    lint("echo 'SKIPPED b: no tool'; echo 'lint: 1 passed, 1 failed, 1 skipped'; false");
    let output = check(tree.path(), CARGO_PRINTS);
    assert!(!output.status.success(), "{}", report_of(&output));
    let all = result(tree.path(), "all");
    assert!(all.starts_with("**failed**, status 1: "), "{all}");
    assert!(all.ends_with("<br>8 passed, 1 failed, 4 skipped"), "{all}");
    // The tests ran although lint failed.
    assert_eq!(
        result(tree.path(), "two"),
        "**in part**: 5 passed, 0 failed, 2 skipped"
    );
}

#[test]
fn a_test_program_that_dies_is_a_failure() {
    let tree = tree();
    let dies = CARGO_PRINTS.replace("test result: ok. 3 passed", "killed; not a result: ok. 3");
    let output = check(tree.path(), &format!("{dies}exit 101"));
    assert!(!output.status.success());
    let died = result(tree.path(), "a \\| b");
    assert!(died.starts_with("**failed**: "), "{died}");
    assert!(died.contains(" skipped, and died"), "{died}");
    assert!(result(tree.path(), "all").starts_with("**failed**, status 1: "));
}

#[test]
fn a_failed_test_is_named() {
    let tree = tree();
    let fails = CARGO_PRINTS.replace(
        "test result: ok. 3 passed; 0 failed",
        "test that_one ... FAILED\ntest result: FAILED. 2 passed; 1 failed",
    );
    let output = check(tree.path(), &format!("{fails}exit 101"));
    assert!(!output.status.success(), "{}", text(&output.stdout));
    assert!(result(tree.path(), "a \\| b").starts_with("**failed**: 1 passed, 1 failed"));
    let all = result(tree.path(), "all");
    assert!(all.starts_with("**failed**, status 1: "), "{all}");
    assert!(
        all.contains("<br>FAILED that\\_one<br>6 passed, 1 failed, 3 skipped"),
        "{all}"
    );
}

#[test]
fn a_build_that_fails_leaves_no_pass() {
    let tree = tree();
    check(tree.path(), CARGO_PRINTS);
    let output = check(tree.path(), "echo 'error: could not compile'; exit 101");
    assert!(!output.status.success());
    assert_eq!(
        result(tree.path(), "all"),
        "**failed**, status 1: 0 passed, 1 failed, 0 skipped"
    );
    for words in ["a \\| b", "two", "three"] {
        assert_eq!(result(tree.path(), words), "**not run**");
    }
}

/// A test file without a row is reported, and the rows of the others are written.
#[test]
fn a_test_file_without_a_row_is_reported() {
    let tree = tree();
    let more = CARGO_PRINTS.replace("tests/programs/main.rs", "tests/more.rs");
    let output = check(tree.path(), &more);
    assert!(!output.status.success(), "{}", report_of(&output));
    assert!(
        text(&output.stderr).contains("no row for tests/more.rs"),
        "{}",
        report_of(&output)
    );
    assert!(result(tree.path(), "a \\| b").starts_with("**in part**: "));
}

fn report_of(output: &Output) -> String {
    report(&Command::new("record.sh"), output)
}
