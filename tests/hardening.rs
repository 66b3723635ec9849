//! What distributions demand of a shared library, checked in the file that `make` builds. The
//! checks must find each fault in a library that is linked carelessly.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use support::{architecture, cc, ours, run, scratch, text};

fn readelf(option: &str, file: &Path) -> String {
    text(&run(Command::new("readelf").args(["-W", option]).arg(file)).stdout)
}

/// The marks that an object needs for the processor to protect its indirect jumps.
fn marks() -> &'static [&'static str] {
    match architecture() {
        "x86_64" => &["IBT", "SHSTK"],
        "aarch64" => &["BTI", "PAC"],
        _ => &[],
    }
}

fn missing_marks(file: &Path, faults: &mut BTreeSet<String>) {
    let notes = readelf("--notes", file);
    let properties: String = notes
        .lines()
        .filter(|line| line.contains("feature"))
        .collect();
    let found: BTreeSet<&str> = properties
        .split_once("feature: ")
        .map_or(BTreeSet::new(), |(_, found)| found.split(", ").collect());
    let marks: BTreeSet<&str> = marks().iter().copied().collect();
    faults.extend(marks.difference(&found).map(|mark| format!("no {mark}")));
    faults.extend(found.difference(&marks).map(|mark| format!("also {mark}")));
}

/// All faults that a distribution would report.
fn faults(library: &Path) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let mut fault = |present: bool, what: &str| {
        if present {
            faults.insert(what.to_string());
        }
    };
    let dynamic = readelf("--dynamic", library);
    fault(!dynamic.contains("BIND_NOW"), "lazy binding");
    fault(dynamic.contains("TEXTREL"), "text relocations");
    fault(
        dynamic.contains("(RPATH)") || dynamic.contains("(RUNPATH)"),
        "a path to search",
    );
    let segments = readelf("--segments", library);
    let segment = |name: &str| segments.lines().find(|line| line.contains(name));
    fault(segment("GNU_RELRO").is_none(), "no RELRO");
    // The stack is executable unless this header says otherwise.
    let stack = segment("GNU_STACK");
    fault(
        stack.map_or(true, |line| line.contains("RWE")),
        "an executable stack",
    );
    let load = segments.lines().filter(|line| line.contains(" LOAD "));
    fault(
        load.clone().count() == 0
            // On SPARC, calls of other libraries go through code that the loader writes.
            || !architecture().starts_with("sparc")
                && load.clone().any(|line| line.contains("RWE")),
        "memory to write and execute",
    );
    missing_marks(library, &mut faults);
    faults
}

/// Tests for any machine; `make cross-check` runs them for each.
mod on_every_machine {
    use super::*;

    #[test]
    fn the_shared_library_has_no_fault() {
        assert_eq!(faults(&ours().shared), BTreeSet::new());
    }

    #[test]
    fn the_archive_keeps_its_users_marks() {
        let mut faults = BTreeSet::new();
        missing_marks(&ours().archive, &mut faults);
        assert_eq!(faults, BTreeSet::new());
        // Without this note a linker makes the program's stack executable.
        let sections = readelf("--sections", &ours().archive);
        assert!(sections.contains(".note.GNU-stack"), "{sections}");
    }
}

/// The mark alone proves nothing: every function that a program can call must begin with the
/// instruction that permits a jump to it.
#[test]
#[cfg(target_arch = "x86_64")]
fn every_export_begins_with_endbr64() {
    let code = text(
        &run(Command::new("objdump")
            .args(["-d", "--no-show-raw-insn"])
            .arg(&ours().shared))
        .stdout,
    );
    let symbols = readelf("--dyn-syms", &ours().shared);
    let mut checked = 0;
    for line in symbols.lines().filter(|line| line.contains(" FUNC ")) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let address = fields[1].trim_start_matches('0');
        let first = code
            .lines()
            .find_map(|line| line.trim().strip_prefix(&format!("{address}:")));
        if fields[6] != "UND" {
            assert_eq!(first.map(str::trim), Some("endbr64"), "{line}");
            checked += 1;
        }
    }
    assert_eq!(checked, 13, "{symbols}");
}

/// The same object file, linked badly.
#[test]
#[cfg(target_arch = "x86_64")]
fn each_fault_is_found() {
    ours();
    let (root, place) = (support::root(), scratch());
    let unmarked = place.path().join("unmarked.s");
    std::fs::write(
        &unmarked,
        ".text\n.quad io_setup_of_the_program\n.section .both,\"awx\"\n.quad 0\n",
    )
    .expect("scratch is writable");
    let library = place.path().join("libaio.so");
    let careless = "-Wl,-z,lazy,-z,norelro,-z,execstack,-z,notext,-rpath,/tmp,--no-warnings";
    run(cc()
        .args(["-shared", "-nostdlib", "-fuse-ld=bfd", careless, "-o"])
        .arg(&library)
        .arg(format!(
            "-Wl,--version-script={}",
            root.join("libaio.map").display()
        ))
        .arg(&unmarked)
        .arg(root.join("build/shared.o")));
    let expected = [
        "a path to search",
        "an executable stack",
        "lazy binding",
        "memory to write and execute",
        "no IBT",
        "no RELRO",
        "no SHSTK",
        "text relocations",
    ];
    assert_eq!(faults(&library), expected.map(str::to_string).into());
}
