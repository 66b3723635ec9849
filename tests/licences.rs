//! The bill of materials says what is in the library and in the release. Licences are judged by
//! cargo-deny, in `make licences`; a test here checks the crates that cargo-deny does not see.

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use support::{has, root, run, skip, text};

/// The output of `scripts/release/sbom.sh` through a filter of jq, by lines.
fn ask(kind: &str, filter: &str) -> BTreeSet<String> {
    let script = "scripts/release/sbom.sh \"$1\" | jq -r \"$2\"";
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
    // No procedural macros, and no crates that only the build needs.
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

/// Cargo.lock names crates that no feature of ours brings in; the release has them in vendor/. They
/// are in no build, so cargo-deny ignores them.
#[test]
fn crates_that_no_build_uses_are_available_under_mit() {
    if !jq_is_here() {
        return;
    }
    let tree = run(Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--all-features", "--target=all"])
        .args(["--edges=normal,build,dev", "--prefix=none", "--format={p}"])
        .current_dir(root()));
    let used: BTreeSet<String> = text(&tree.stdout)
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let licences = ask(
        "source",
        ".components[] | .name + \" v\" + .version + \": \" + .licenses[0].expression",
    );
    let unused: Vec<_> = licences
        .iter()
        .map(|line| line.split_once(": ").expect("written so above"))
        .filter(|(name, _)| !used.contains(*name))
        .collect();
    // More would mean that the two commands write names in different ways.
    assert!(unused.len() < 10, "{unused:?}");
    for (name, licence) in unused {
        assert!(
            licence.split(" OR ").any(|one| one == "MIT"),
            "{name}: {licence}"
        );
    }
}

/// Cargo reads the manifests of all vendored crates, whatever it builds, and an old cargo fails at
/// a manifest that is too new for it.
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
