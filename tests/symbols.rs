//! The symbols of the shared library and of the archive, and what else distributions check.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{
    architecture, attempt, cargo_build, cargo_built, cc, foreign, has, has_64_bits, needs_libc,
    original, ours, report, root, run, skip, text,
};

/// Written out here instead of taken from the sources, where a change would be a change of the ABI.
const EXPORTS: &[&str] = &[
    "io_queue_init@@LIBAIO_0.1",
    "io_queue_run@@LIBAIO_0.1",
    "io_queue_release@@LIBAIO_0.1",
    "io_submit@@LIBAIO_0.1",
    "io_cancel@LIBAIO_0.1",
    "io_getevents@LIBAIO_0.1",
    "io_queue_wait@LIBAIO_0.1",
    "io_setup@@LIBAIO_0.4",
    "io_destroy@@LIBAIO_0.4",
    "io_cancel@@LIBAIO_0.4",
    "io_getevents@@LIBAIO_0.4",
    "io_queue_wait@@LIBAIO_0.4",
    "io_pgetevents@@LIBAIO_0.5",
];

/// Also exported on 32-bit machines. Debian 12's libaio does not have these yet.
const EXPORTS_OF_32_BITS: &[&str] = &[
    "io_getevents_time64@@LIBAIO_0.6",
    "io_pgetevents_time64@@LIBAIO_0.6",
];

fn exports() -> BTreeSet<String> {
    let more = match has_64_bits() {
        true => &[],
        false => EXPORTS_OF_32_BITS,
    };
    let all = EXPORTS.iter().chain(more);
    all.map(|name| name.to_string()).collect()
}

const VERSIONS: &[&str] = &["LIBAIO_0.1", "LIBAIO_0.4", "LIBAIO_0.5", "LIBAIO_0.6"];

/// Symbols of the C library that src/settings.rs and src/sys/restartable use if it is present.
const FROM_LIBC: &[&str] = &[
    "getauxval",
    "__environ",
    "environ",
    "gnu_get_libc_version",
    "__rseq_offset",
    "__rseq_size",
];

fn readelf(option: &str, file: &Path) -> String {
    text(&run(Command::new("readelf").args(["-W", option]).arg(file)).stdout)
}

/// The words of a symbol's line, without the notes in brackets that some machines have.
fn words(line: &str) -> Vec<String> {
    let plain = match (line.find('['), line.find(']')) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &line[..from], &line[to + 1..]),
        _ => line.to_string(),
    };
    plain.split_whitespace().map(str::to_string).collect()
}

/// `name@version` of every defined dynamic symbol, without the absolute symbols that GNU ld adds
/// for the versions themselves.
fn dynamic_symbols(file: &Path) -> BTreeSet<String> {
    readelf("--dyn-syms", file)
        .lines()
        .map(words)
        .filter(|fields| fields.len() == 8 && fields[0] != "Num:" && fields[6] != "UND")
        .filter(|fields| fields[3] != "SECTION")
        .filter(|fields| !(fields[6] == "ABS" && VERSIONS.contains(&&fields[7][..])))
        .map(|fields| fields[7].to_string())
        .collect()
}

/// The shared library as `make` and as `cargo build` link it, with every linker that is installed.
/// rustc must not use its own linker, so that `-fuse-ld` has the same effect as with the C
/// compiler.
fn every_shared_library() -> Vec<(String, PathBuf)> {
    let mut libraries = vec![("make".to_string(), ours().shared.clone())];
    if foreign().is_some() {
        return libraries;
    }
    libraries.push(("cargo build".to_string(), cargo_built().to_path_buf()));
    for linker in ["bfd", "gold", "lld"] {
        if !has(format!("ld.{linker}")) {
            skip(&format!("symbols with ld.{linker}"), "not installed");
            continue;
        }
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("make-{linker}.so"));
        link_as_the_makefile_does(linker, &place);
        libraries.push((format!("make with ld.{linker}"), place));
        let fuse = format!("link-arg=-fuse-ld={linker}");
        let mut flags = vec!["-C", &fuse];
        if cfg!(target_arch = "x86_64") && rustc_minor() >= 90 {
            flags.extend(["-C", "linker-features=-lld"]);
        }
        libraries.push((
            format!("cargo build with ld.{linker}"),
            cargo_build(linker, &flags),
        ));
    }
    libraries
}

/// Since 1.90, rustc has a linker of its own, and an option to disable it.
fn rustc_minor() -> u32 {
    let version = text(&run(Command::new("rustc").arg("--version")).stdout);
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok());
    minor.expect("rustc prints its version")
}

fn link_as_the_makefile_does(linker: &str, place: &Path) {
    ours();
    let recipe = text(
        &run(support::make("--always-make")
            .args(["--dry-run", "build/libaio.so.1.0.2"])
            .arg(format!("LDFLAGS=-fuse-ld={linker}")))
        .stdout,
    );
    let start = recipe.find("-shared").expect("the recipe links");
    let start = recipe[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let recipe = recipe[start..].replace(
        "-o build/libaio.so.1.0.2",
        &format!("-o '{}'", place.display()),
    );
    run(Command::new("sh").current_dir(root()).args(["-c", &recipe]));
}

fn check_dynamic_section(how: &str, library: &Path) {
    let dynamic = readelf("--dynamic", library);
    assert!(dynamic.contains("[libaio.so.1]"), "{how}: {dynamic}");
    assert!(dynamic.contains("BIND_NOW"), "{how}: {dynamic}");
    let libc_is_needed = needs_libc();
    for tag in [
        "TEXTREL", "(INIT)", "(FINI", "(PREINIT", "RPATH", "RUNPATH", "libgcc",
    ] {
        assert!(!dynamic.contains(tag), "{how} has {tag}: {dynamic}");
    }
    // It needs no other library than libc, by the name that libc has on the machine.
    let mut expected = match (libc_is_needed, original()) {
        (false, _) => BTreeSet::new(),
        (true, Some(original)) => needed(&original.shared),
        (true, None) => needed(library),
    };
    expected.retain(|file| file.starts_with("libc.so"));
    assert_eq!(needed(library), expected, "{how}");
    // One constructor: `when_loaded` in src/context/registry.rs.
    let constructors = dynamic.lines().find(|line| line.contains("(INIT_ARRAYSZ)"));
    let size = constructors.and_then(|line| line.split_whitespace().nth(2));
    let expected = Some(if has_64_bits() { "8" } else { "4" });
    assert_eq!(size, expected, "{how}: {dynamic}");
    // Relocations name only optional symbols. Linkers add relative ones of their own.
    let is_optional = |line: &str| {
        FROM_LIBC
            .iter()
            .any(|name| line.ends_with(&format!(" {name}")))
    };
    let relocations = readelf("--relocs", library);
    let names_others = relocations
        .lines()
        .filter(|line| line.contains("R_") && !line.contains("_RELATIVE"))
        .filter(|line| !is_optional(line.trim_end().trim_end_matches(" + 0")));
    assert!(
        libc_is_needed || names_others.count() == 0,
        "{how}: {relocations}"
    );
    let undefined = readelf("--dyn-syms", library);
    let undefined = undefined.lines().filter(|line| line.contains(" UND "));
    for line in undefined.skip(1) {
        let optional = line.contains(" WEAK ") && is_optional(line);
        assert!(libc_is_needed || optional, "{how}: {line}");
    }
}

fn needed(library: &Path) -> BTreeSet<String> {
    let dynamic = readelf("--dynamic", library);
    let lines = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let files = lines.filter_map(|line| line.rsplit_once('['));
    files.map(|(_, file)| file.to_string()).collect()
}

fn check_segments(how: &str, library: &Path) {
    let segments = readelf("--segments", library);
    // Except on SPARC, where calls of other libraries go through code that the loader writes.
    let mut flags = segments.lines().filter(|line| line.contains("RWE"));
    let is_sparc = architecture().starts_with("sparc");
    assert!(is_sparc || flags.next().is_none(), "{how}: {segments}");
    assert!(segments.contains("GNU_RELRO"), "{how}: {segments}");
    assert!(segments.contains("GNU_STACK"), "{how}: {segments}");
    assert!(!segments.contains("TLS"), "{how}: {segments}");
}

#[test]
fn the_stripped_library_is_smaller_than_40_kib() {
    let place = support::scratch();
    let stripped = place.path().join("libaio.so");
    run(Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(&ours().shared));
    let size = stripped.metadata().expect("strip made it").len();
    assert!(size < 40 * 1024, "{size} bytes");
}

#[test]
fn abidiff_finds_nothing_missing() {
    let Some(original) = original() else {
        return skip("abidiff", "the original is not installed");
    };
    if !has("abidiff") {
        return skip("abidiff", "not installed");
    }
    let mut abidiff = Command::new("abidiff");
    abidiff
        .arg("--no-added-syms")
        .arg(&original.shared)
        .arg(&ours().shared);
    let output = attempt(&mut abidiff);
    assert!(output.status.success(), "{}", report(&abidiff, &output));
}

/// Tests for any machine; `make cross-check` runs them for each.
mod on_every_machine {
    use super::*;

    #[test]
    fn every_shared_library_exports_exactly_the_list() {
        let expected = exports();
        for (how, library) in every_shared_library() {
            assert_eq!(dynamic_symbols(&library), expected, "{how}");
            let versions = readelf("--version-info", &library);
            // The versions that are needed of the C library are printed in another form.
            let defined: Vec<&str> = versions
                .lines()
                .filter(|line| line.contains("Flags: none") && line.contains("Cnt: "))
                .filter_map(|line| line.split("Name: ").nth(1))
                .map(str::trim)
                .collect();
            assert_eq!(defined, VERSIONS, "{how}");
            check_dynamic_section(&how, &library);
            check_segments(&how, &library);
        }
    }

    #[test]
    fn the_archive_is_one_object_with_the_api_alone() {
        let archive = &ours().archive;
        let members = text(&run(Command::new("ar").arg("t").arg(archive)).stdout);
        assert_eq!(members, "libaio.o\n");
        let symbols = text(&run(Command::new("nm").arg("-g").arg(archive)).stdout);
        let mut found = BTreeSet::new();
        for line in symbols.lines().filter(|line| line.contains(' ')) {
            let (kind, name) = line.rsplit_once(' ').expect("a line with a space");
            // The C library that the program is linked with defines these. A weak reference does
            // not pull an object out of an archive.
            if FROM_LIBC.contains(&name) {
                let expected = if name == "getauxval" { 'U' } else { 'w' };
                assert!(kind.ends_with(expected), "{line}");
                continue;
            }
            if needs_libc() && kind.ends_with('U') {
                continue;
            }
            assert!(kind.ends_with('W'), "not a weak definition: {line}");
            found.insert(name.to_string());
        }
        let expected: BTreeSet<String> = exports()
            .iter()
            .filter(|export| export.contains("@@"))
            .map(|export| export.split('@').next().expect("a name").to_string())
            .collect();
        assert_eq!(found, expected);
    }

    /// Class, byte order, machine and flags.
    #[test]
    fn the_file_header_is_the_originals() {
        let (Some(original), true) = (original(), has_original()) else {
            return skip("the kind of file", "the original is not there");
        };
        let kind = |file: &Path| {
            let header = readelf("--file-header", file);
            let lines = header.lines().map(str::trim);
            let kind = |line: &&str| {
                ["Class:", "Data:", "OS/ABI:", "Machine:", "Flags:"]
                    .iter()
                    .any(|field| line.starts_with(field))
            };
            lines.filter(kind).map(str::to_string).collect::<Vec<_>>()
        };
        let found = kind(&ours().shared);
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(found, kind(&original.shared));
    }

    #[test]
    fn it_has_exactly_the_originals_symbols() {
        let Some(original) = original() else {
            return skip("the original's symbols", "the original is not installed");
        };
        let mut expected = dynamic_symbols(&original.shared);
        if !has_64_bits() {
            expected.extend(EXPORTS_OF_32_BITS.iter().map(|name| name.to_string()));
        }
        assert_eq!(dynamic_symbols(&ours().shared), expected);
    }

    /// A program links with the shared library and with the archive.
    #[test]
    fn programs_link() {
        let place = support::scratch();
        for forms in [
            vec![ours().shared.as_os_str(), "-Wl,--no-undefined".as_ref()],
            vec!["-static".as_ref(), ours().archive.as_os_str()],
        ] {
            run(cc()
                .args(["-O2", "-Wall", "-Wextra", "-Werror", "-I"])
                .arg(&ours().include)
                .arg("-o")
                .arg(place.path().join("program"))
                .arg(root().join("c-tests/smoke.c"))
                .args(forms));
        }
    }
}

/// Whether the original is of the same machine.
fn has_original() -> bool {
    foreign().map_or(true, |foreign| foreign.has_original)
}
