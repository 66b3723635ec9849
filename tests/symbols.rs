//! The shared library's and the archive's symbols, and what else a distribution checks of them.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{attempt, cargo_build, cargo_built, has, original, ours, report, run, skip, text};

/// Written out here once more, and not taken from the sources: a change there is a change of ABI.
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
    #[cfg(target_pointer_width = "32")]
    "io_getevents_time64@@LIBAIO_0.6",
    #[cfg(target_pointer_width = "32")]
    "io_pgetevents_time64@@LIBAIO_0.6",
];

const VERSIONS: &[&str] = &["LIBAIO_0.1", "LIBAIO_0.4", "LIBAIO_0.5", "LIBAIO_0.6"];

/// What src/settings.rs and src/sys/restartable use of a C library, if there is one.
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

/// `name@version` of every defined dynamic symbol, but for the absolute ones with which GNU ld
/// marks the versions themselves.
fn dynamic_symbols(file: &Path) -> BTreeSet<String> {
    readelf("--dyn-syms", file)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() == 8 && fields[0] != "Num:" && fields[6] != "UND")
        .filter(|fields| !(fields[6] == "ABS" && VERSIONS.contains(&fields[7])))
        .map(|fields| fields[7].to_string())
        .collect()
}

/// Both ways to a shared library, with every linker that is here. rustc is told not to bring its
/// own, so that `-fuse-ld` decides for it as it does for the C compiler.
fn every_shared_library() -> Vec<(String, PathBuf)> {
    let mut libraries = vec![
        ("make".to_string(), ours().shared.clone()),
        ("cargo build".to_string(), cargo_built().to_path_buf()),
    ];
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

/// rustc brings a linker of its own since 1.90, and has the option against it since then.
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
    run(Command::new("sh")
        .current_dir(support::root())
        .args(["-c", &recipe]));
}

#[test]
fn every_shared_library_exports_exactly_the_list() {
    let expected: BTreeSet<String> = EXPORTS.iter().map(|name| name.to_string()).collect();
    for (how, library) in every_shared_library() {
        assert_eq!(dynamic_symbols(&library), expected, "{how}");
        let versions = readelf("--version-info", &library);
        let defined: Vec<&str> = versions
            .lines()
            .filter(|line| line.contains("Flags: none"))
            .filter_map(|line| line.split("Name: ").nth(1))
            .map(str::trim)
            .collect();
        assert_eq!(defined, VERSIONS, "{how}");
        check_dynamic_section(&how, &library);
        check_segments(&how, &library);
    }
}

fn check_dynamic_section(how: &str, library: &Path) {
    let dynamic = readelf("--dynamic", library);
    assert!(dynamic.contains("[libaio.so.1]"), "{how}: {dynamic}");
    assert!(dynamic.contains("BIND_NOW"), "{how}: {dynamic}");
    let libc_is_needed = !cfg!(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    ));
    for tag in [
        "TEXTREL", "(INIT)", "(FINI", "(PREINIT", "RPATH", "RUNPATH", "libgcc", "NEEDED",
    ] {
        if tag == "NEEDED" && libc_is_needed {
            continue;
        }
        assert!(!dynamic.contains(tag), "{how} has {tag}: {dynamic}");
    }
    // One constructor: `when_loaded` in src/context/registry.rs.
    let constructors = dynamic.lines().find(|line| line.contains("(INIT_ARRAYSZ)"));
    let size = constructors.and_then(|line| line.split_whitespace().nth(2));
    let expected = Some(if cfg!(target_pointer_width = "64") {
        "8"
    } else {
        "4"
    });
    assert_eq!(size, expected, "{how}: {dynamic}");
    // For the environment, if the program has them. Linkers add relative ones of their own.
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

fn check_segments(how: &str, library: &Path) {
    let segments = readelf("--segments", library);
    let flags = |line: &str| line.contains("RWE");
    assert!(!segments.lines().any(flags), "{how}: {segments}");
    assert!(segments.contains("GNU_RELRO"), "{how}: {segments}");
    assert!(segments.contains("GNU_STACK"), "{how}: {segments}");
    assert!(!segments.contains("TLS"), "{how}: {segments}");
}

#[test]
fn the_stripped_library_is_a_page_larger_than_debians_at_most() {
    let place = support::scratch();
    let stripped = place.path().join("libaio.so");
    run(Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(&ours().shared));
    let size = stripped.metadata().expect("strip made it").len();
    // Rust 1.85 makes 27 bytes of code more than fill two pages.
    let pages = if rustc_minor() >= 90 { 1 } else { 2 };
    assert!(size <= 14_184 + pages * 4096, "{size} bytes");
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

#[test]
fn the_archive_is_one_object_with_the_api_alone() {
    let archive = &ours().archive;
    let members = text(&run(Command::new("ar").arg("t").arg(archive)).stdout);
    assert_eq!(members, "libaio.o\n");
    let symbols = text(&run(Command::new("nm").arg("-g").arg(archive)).stdout);
    let mut found = BTreeSet::new();
    for line in symbols.lines().filter(|line| line.contains(' ')) {
        let (kind, name) = line.rsplit_once(' ').expect("a line with a space");
        // From whichever C library the program is linked with; a weak one does not bring its object.
        if FROM_LIBC.contains(&name) {
            let expected = if name == "getauxval" { 'U' } else { 'w' };
            assert!(kind.ends_with(expected), "{line}");
            continue;
        }
        assert!(kind.ends_with('W'), "not a weak definition: {line}");
        found.insert(name.to_string());
    }
    let expected: BTreeSet<String> = EXPORTS
        .iter()
        .filter(|export| export.contains("@@"))
        .map(|export| export.split('@').next().expect("a name").to_string())
        .collect();
    assert_eq!(found, expected);
}
