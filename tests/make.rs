//! `make help` lists every target, the workflows name only targets that exist, and
//! docs/variables.md lists every variable.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{root, run, text};

const TABLE: &str = "docs/variables.md";

/// Names that tests/reaping.rs sets to see that the library ignores them.
const IGNORED_ON_PURPOSE: [&str; 2] = ["LIBAIO_RS_REA", "LIBAIO_RS_REAPS"];

fn read(file: impl AsRef<Path>) -> String {
    let file = root().join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The files below these files and directories, by their paths in the checkout.
fn files(places: &[&str]) -> Vec<PathBuf> {
    let mut rest: Vec<_> = places.iter().map(PathBuf::from).collect();
    let mut found = Vec::new();
    while let Some(next) = rest.pop() {
        let path = root().join(&next);
        if !path.is_dir() {
            found.push(next);
            continue;
        }
        for entry in path.read_dir().expect("the checkout can be read") {
            rest.push(next.join(entry.expect("the checkout can be read").file_name()));
        }
    }
    found
}

/// The Makefile's targets that are not files.
fn targets() -> BTreeSet<String> {
    let makefile = read("Makefile").replace("\\\n", " ");
    let list = makefile
        .lines()
        .find_map(|line| line.strip_prefix(".PHONY: "));
    let names = list.expect("the Makefile has .PHONY").split_whitespace();
    names.map(str::to_string).collect()
}

#[test]
fn help_lists_every_target() {
    let help = run(Command::new("make")
        .args(["--no-print-directory", "help"])
        .current_dir(root())
        .env_remove("MAKEFLAGS"));
    let mut listed = Vec::new();
    for line in text(&help.stdout).lines() {
        assert!(line.chars().count() <= 100, "{line}");
        if let Some(line) = line.strip_prefix("  make ") {
            let (target, what) = line.split_once(' ').expect("a target and what it does");
            assert!(!what.trim().is_empty(), "{line}");
            listed.push(target.to_string());
        }
    }
    let unique: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "{listed:?}");
    assert_eq!(unique, targets());
}

/// The targets that a workflow names: in `run: make TARGET`, and in its matrix as `make: TARGET`,
/// `make: [TARGET, …]` or a list below `make:`.
fn named_by(workflow: &str) -> Vec<String> {
    let mut named = Vec::new();
    let mut in_list = false;
    for line in workflow.lines() {
        let line = line.trim();
        let item = line.strip_prefix("- ");
        in_list &= item.is_some_and(|item| !item.contains(':'));
        let line = item.unwrap_or(line);
        if in_list {
            named.push(line.to_string());
        } else if let Some(targets) = line.strip_prefix("make:") {
            in_list = targets.is_empty();
            let targets = targets.trim().trim_matches(['[', ']']);
            named.extend(targets.split(',').map(|target| target.trim().to_string()));
        } else if let Some(command) = line.strip_prefix("run: ") {
            assert!(!command.starts_with(['|', '>']), "one command a step");
            if let Some(targets) = command.strip_prefix("make ") {
                let targets = targets.replace("${{ matrix.make }}", "");
                named.extend(targets.split_whitespace().map(str::to_string));
            }
        }
    }
    named.retain(|target| !target.is_empty());
    named
}

#[test]
fn workflows_name_only_targets() {
    let known = targets();
    let mut all = BTreeSet::new();
    for file in files(&[".github/workflows"]) {
        let workflow = read(&file);
        let named = named_by(&workflow);
        assert!(!named.is_empty(), "{}", file.display());
        for target in named {
            assert!(known.contains(&target), "{}: {target}", file.display());
            all.insert(target);
        }
    }
    // Some workflow runs every check.
    let of_the_makefile = known.iter().filter(|name| name.ends_with("-check"));
    for check in of_the_makefile.chain(["check", "lint", "tsan"].map(str::to_string).iter()) {
        assert!(all.contains(check), "no workflow runs make {check}");
    }
}

#[test]
fn targets_are_found_in_workflows() {
    let workflow = "make: [a, b-check]\n  - make: c\nmake:\n  - d\n  - e\n- run: make f\n\
                    - run: make ${{ matrix.make }}\n- run: apt-get install make\n- uses: g\n";
    assert_eq!(named_by(workflow), ["a", "b-check", "c", "d", "e", "f"]);
}

/// The names in the first cells of the table's rows.
fn in_table() -> BTreeSet<String> {
    let page = read(TABLE);
    let mut names = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).expect("it begins with a bar");
        for name in cell.split('`').skip(1).step_by(2) {
            assert!(names.insert(name.to_string()), "{TABLE}: {name} twice");
        }
    }
    names
}

/// The words in a text that begin with `start` and continue with capitals, digits and `_`.
fn words(text: &str, start: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.match_indices(start)
        .map(|(at, _)| {
            let rest = &text[at..];
            let name = &rest[start.len()..];
            let end = name.find(|c| !is_part(c)).unwrap_or(name.len());
            rest[..start.len() + end].to_string()
        })
        .collect()
}

#[test]
fn every_variable_is_in_the_table() {
    let known = in_table();
    let mut needed = BTreeSet::new();
    let sources = ["Makefile", "build.rs", "scripts", "src", "tests", "benches"];
    let mut sources_text = String::new();
    for file in files(&sources) {
        // This file names variables only to compare them.
        if file != Path::new("tests/make.rs") {
            sources_text.push_str(&read(&file));
        }
    }
    for name in words(&sources_text, "LIBAIO_RS_") {
        // format!("LIBAIO_RS_{name}") has no name.
        if name != "LIBAIO_RS_" && !IGNORED_ON_PURPOSE.contains(&&*name) {
            needed.insert(name);
        }
    }
    assert!(needed.len() > 20, "{needed:?}");
    // Variables that the Makefile lets others set.
    let makefile = read("Makefile");
    let defaults = makefile.lines().filter_map(|line| line.split_once("?="));
    needed.extend(defaults.map(|(name, _)| name.trim().to_string()));
    // Variables that scripts read. Names of one letter are left of formats such as ${Version}, and
    // the names below belong to the shell, the loader and others.
    for file in files(&["scripts"]) {
        let names = words(&read(file), "${");
        let names = names.iter().map(|name| name["${".len()..].to_string());
        needed.extend(names.filter(|name| name.len() > 1));
    }
    for other in ["LD_LIBRARY_PATH", "MAKE", "PRETTY_NAME", "PWD"] {
        needed.remove(other);
    }
    let missing: Vec<_> = needed.difference(&known).collect();
    assert!(missing.is_empty(), "{TABLE} lacks {missing:?}");

    // No row may name a variable that is gone.
    let gone: Vec<_> = known
        .iter()
        .filter(|name| !sources_text.contains(&***name))
        .collect();
    assert!(gone.is_empty(), "{TABLE}: nothing reads {gone:?}");
}
