//! The bill of materials says what is in the library and in the release, and no crate has a licence
//! that deny.toml does not allow. `make licences` lets cargo-deny have the last word.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use support::{has, root, run, skip, text};

/// `scripts/sbom.sh`, asked by a filter of jq: a line for each answer.
fn ask(kind: &str, filter: &str) -> BTreeSet<String> {
    let script = "scripts/sbom.sh \"$1\" | jq -r \"$2\"";
    let output = run(Command::new("bash")
        .args(["-o", "pipefail", "-c", script, "bash", kind, filter])
        .current_dir(root())
        .env("CARGO", env!("CARGO"))
        .env("SOURCE_DATE_EPOCH", "981173106"));
    text(&output.stdout).lines().map(str::to_string).collect()
}

fn set<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.map(str::to_string).into()
}

fn jq_is_here() -> bool {
    if !has("jq") {
        skip("the bill of materials", "jq is not installed");
    }
    has("jq")
}

/// `name version` of every crate in Cargo.lock, and its checksum if it has one.
fn locked() -> BTreeSet<String> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("it is checked in");
    let crates = lock.split("[[package]]").skip(1).map(|block| {
        let value = |key: &str| {
            let prefix = format!("{key} = \"");
            let line = block.lines().find_map(|line| line.strip_prefix(&prefix));
            line.map_or("", |value| value.trim_end_matches('"'))
        };
        let words = [value("name"), value("version"), value("checksum")];
        words.join(" ").trim_end().to_string()
    });
    crates.collect()
}

#[test]
fn the_library_is_this_crate_and_libc_and_core() {
    if !jq_is_here() {
        return;
    }
    let head = ask(
        "library",
        ".bomFormat, .specVersion, .metadata.timestamp, (.metadata.component | .type, .name)",
    );
    let expected = [
        "CycloneDX",
        "1.5",
        "2001-02-03T04:05:06Z",
        "library",
        "libaio-rs",
    ];
    assert_eq!(head, set(expected));
    assert_eq!(
        ask("library", ".components[] | .name + \" \" + .scope"),
        set(["core required", "libc required"])
    );
    // No macros, and nothing that only builds.
    let tree = run(Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges=normal,build", "--prefix=none"])
        .args(["--no-default-features", "--features=versioned"])
        .current_dir(root()));
    let tree = text(&tree.stdout);
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    assert_eq!(names.collect::<Vec<_>>(), ["libaio-rs", "libc"]);
}

#[test]
fn the_release_lists_every_crate_of_the_lock() {
    if !jq_is_here() {
        return;
    }
    let everything = ".metadata.component, .components[] \
        | [.name, .version, .hashes[].content] | join(\\\" \\\")";
    let everything = everything.replace("\\\"", "\"");
    assert_eq!(ask("source", &everything), locked());
    let required = ".components[] | select(.scope == \"required\") | .name";
    assert_eq!(ask("source", required), set(["libc"]));
    // Each has a licence and a name that other tools know, and each reference leads somewhere.
    let incomplete = ".metadata.component, .components[] \
        | select((.licenses[0].expression | length) == 0 or (.purl | startswith(\"pkg:\") | not)) \
        | .name";
    assert_eq!(ask("source", incomplete), set([]));
    let dangling = "[.metadata.component, .components[] | .[\"bom-ref\"]] as $known \
        | .dependencies[] | .ref, .dependsOn[] | select(IN($known[]) | not)";
    assert_eq!(ask("source", dangling), set([]));
}

/// Of a choice one licence must be allowed, of a conjunction every one.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let expression = expression.trim();
    // The only brackets that crates use are around a choice.
    expression.split(" AND ").all(|choice| {
        let choice = choice.trim().trim_matches(['(', ')']);
        choice
            .split(" OR ")
            .any(|licence| allowed.contains(licence.trim()))
    })
}

#[test]
fn every_licence_is_allowed() {
    let file = Path::new(root()).join("deny.toml");
    let deny = std::fs::read_to_string(file).expect("it is checked in");
    let list = deny
        .split("allow = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next());
    let allowed: BTreeSet<String> = list
        .expect("deny.toml allows something")
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_string)
        .collect();
    assert!(is_allowed("GPL-3.0-only OR MIT", &allowed));
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed));
    assert!(!is_allowed("MIT AND GPL-3.0-only", &allowed));
    assert!(!is_allowed("LGPL-2.1-or-later", &allowed));
    if !jq_is_here() {
        return;
    }
    let licences = ask(
        "source",
        ".components[] | .name + \": \" + .licenses[0].expression",
    );
    assert!(licences.len() > 50, "{licences:?}");
    for line in licences {
        let (_, expression) = line.split_once(": ").expect("written so above");
        assert!(is_allowed(expression, &allowed), "{line}");
    }
}

/// Cargo reads the manifests of all vendored crates, whatever it builds, and an old one stops at
/// one that is too new.
#[test]
fn the_oldest_rust_can_read_every_crate() {
    if !has("jq") {
        return skip("the crates' Rust versions", "jq is not installed");
    }
    let filter = "cargo metadata --format-version 1 --locked | jq -r \
        '.packages[] | [.name, .edition, .rust_version // \"1.0\"] | join(\" \")'";
    let output = run(Command::new("bash")
        .args(["-o", "pipefail", "-c", filter])
        .current_dir(root()));
    let number = |version: &str| {
        let mut parts = version.split('.').map(|part| part.parse::<u32>());
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
            _ => panic!("{version}"),
        }
    };
    let oldest = number(env!("CARGO_PKG_RUST_VERSION"));
    let crates = text(&output.stdout);
    assert!(crates.lines().count() > 50, "{crates}");
    for line in crates.lines() {
        let [_, edition, version] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        assert!(number(version) <= oldest && edition < "2024", "{line}");
    }
}
