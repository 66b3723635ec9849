//! Distributions' build systems set cargo's profile and rustc's flags for all packages. With these
//! settings `make` builds the same library as without, and obeys flags that do no harm. Plain
//! `cargo build` also builds a correct library, or says why it does not.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{attempt, cc, copy_sources, has, report, root, run, scratch, skip, text};
use tempfile::TempDir;

/// What c-tests/smoke.c prints at its end.
const ANSWER: &str = "read back: libaio\nio_destroy = 0\n";

type Environment<'a> = &'a [(&'a str, &'a str)];

/// Each has broken `make` or changed the library. They are set one by one, so that none hides
/// another.
const CHANGES_NOTHING: &[Environment] = &[
    // Alpine's abuild.
    &[
        ("CARGO_PROFILE_RELEASE_LTO", "true"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
        ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ],
    // Buildroot.
    &[
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
        ("CARGO_PROFILE_RELEASE_LTO", "false"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2"),
        ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ],
    &[("CARGO_PROFILE_RELEASE_LTO", "thin")],
    &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")],
    &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")],
    &[("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")],
    &[("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true")],
    &[("CARGO_PROFILE_RELEASE_PANIC", "unwind")],
    &[("CARGO_PROFILE_RELEASE_INCREMENTAL", "true")],
    &[("CARGO_INCREMENTAL", "1")],
    &[("RUSTFLAGS", "-Ccodegen-units=16")],
    &[("RUSTFLAGS", "-C opt-level=s -C panic=unwind")],
    &[("RUSTFLAGS", "-Cdebug-assertions -Coverflow-checks")],
    &[("RUSTFLAGS", "-Crelocation-model=static")],
    &[("RUSTFLAGS", "-Cforce-unwind-tables=no")],
    &[("CARGO_ENCODED_RUSTFLAGS", "-C\u{1f}codegen-units=16")],
    &[("CARGO_BUILD_RUSTFLAGS", "-Ccodegen-units=16")],
];

/// Build scripts become bitcode, which needs rustc's own linker.
const BITCODE: Environment = &[("RUSTFLAGS", "-Clinker-plugin-lto")];

/// A copy of the sources, and the library that `make` builds from it without any setting.
struct Copy {
    place: TempDir,
    plain: Vec<u8>,
}

impl Copy {
    fn new() -> Copy {
        let place = scratch();
        copy_sources(&place.path().join("sources"));
        let mut copy = Copy {
            place,
            plain: Vec::new(),
        };
        copy.build(&[]);
        copy.plain = copy.stripped();
        copy
    }

    fn sources(&self) -> PathBuf {
        self.place.path().join("sources")
    }

    fn shared(&self) -> PathBuf {
        self.sources().join("build/libaio.so.1.0.2")
    }

    /// Builds the shared library with `make`, and runs a program over it.
    #[track_caller]
    fn build(&self, environment: Environment) {
        self.make(environment, "build/libaio.so.1.0.2");
        smoke(self.place.path(), &self.shared());
    }

    #[track_caller]
    fn make(&self, environment: Environment, target: &str) {
        let build = self.sources().join("build");
        // Otherwise cargo would find nothing to do where a setting changes nothing.
        let fingerprints = build.join("cargo/release/.fingerprint");
        for directory in [&build, &fingerprints] {
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.expect("no other process is here").path();
                let name = path.file_name().expect("a name").to_string_lossy();
                if path.is_file() {
                    fs::remove_file(&path).expect("the copy is ours");
                } else if name.starts_with("libaio-rs-") {
                    fs::remove_dir_all(&path).expect("the copy is ours");
                }
            }
        }
        run(self.bare_make(target).envs(environment.iter().copied()));
    }

    fn bare_make(&self, target: &str) -> Command {
        let mut make = bare("make");
        make.args(["--no-print-directory", target])
            .arg(format!("CARGO={}", env!("CARGO")))
            .current_dir(self.sources());
        make
    }

    /// The library without the names of local symbols, which contain a hash of some flags.
    fn stripped(&self) -> Vec<u8> {
        let stripped = self.place.path().join("stripped.so");
        run(Command::new("strip")
            .arg("-o")
            .arg(&stripped)
            .arg(self.shared()));
        fs::read(&stripped).expect("strip made it")
    }

    #[track_caller]
    fn assert_changed_nothing(&self, what: &str) {
        assert!(self.stripped() == self.plain, "{what}: another library");
    }
}

/// A command that inherits none of the settings that are tested here.
fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let is_flags = name.ends_with("RUSTFLAGS") || name.ends_with("WRAPPER");
        if name.starts_with("CARGO_PROFILE_") || name.starts_with("MAKE") || is_flags {
            command.env_remove(&*name);
        }
    }
    command
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_INCREMENTAL")
        .env("CARGO_NET_OFFLINE", "true");
    command
}

/// Runs a program over the library. It is linked once, with the first library.
#[track_caller]
fn smoke(place: &Path, library: &Path) {
    let program = place.join("smoke");
    if !program.exists() {
        run(compile_smoke(&program).arg(library));
    }
    let link = place.join("libaio.so.1");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(library, &link).expect("scratch is writable");
    let output = run(Command::new(&program)
        .current_dir(place)
        .env("LD_LIBRARY_PATH", place));
    assert!(text(&output.stdout).ends_with(ANSWER), "{output:?}");
}

fn compile_smoke(program: &Path) -> Command {
    let mut compile = cc();
    compile
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join("c-tests/smoke.c"))
        .arg("-o")
        .arg(program);
    compile
}

fn exports(library: &Path) -> BTreeSet<String> {
    let symbols = run(Command::new("nm")
        .args(["-D", "--defined-only", "--format=just-symbols"])
        .arg(library));
    text(&symbols.stdout)
        .lines()
        .filter(|name| name.starts_with("io_"))
        .map(str::to_string)
        .collect()
}

#[test]
fn settings_that_would_break_it_change_nothing() {
    let copy = Copy::new();
    for environment in CHANGES_NOTHING {
        copy.build(environment);
        copy.assert_changed_nothing(&format!("{environment:?}"));
    }
    // Whether anything can be built with this flag, such as a build script.
    let program = copy.place.path().join("hello");
    let mut hello = bare("rustc");
    hello.args(["-Clinker-plugin-lto", "-o"]).arg(&program);
    fs::write(program.with_extension("rs"), "fn main() {}").expect("scratch is writable");
    if attempt(hello.arg(program.with_extension("rs")))
        .status
        .success()
    {
        copy.build(BITCODE);
        copy.assert_changed_nothing("bitcode");
    } else {
        skip("-Clinker-plugin-lto", "the linker does not read bitcode");
    }

    // Cargo's configuration, which cargo reads in every directory above.
    let configuration = copy.place.path().join(".cargo");
    fs::create_dir(&configuration).expect("scratch is writable");
    fs::write(
        configuration.join("config.toml"),
        "[build]\nrustflags = [\"-Ccodegen-units=16\", \"-Coverflow-checks\"]\nincremental = true\n\
         [profile.release]\nlto = \"fat\"\ndebug-assertions = true\n\
         [profile.release.package.libaio-rs]\nopt-level = 0\ncodegen-units = 8\n",
    )
    .expect("scratch is writable");
    copy.build(&[]);
    copy.assert_changed_nothing("config.toml");

    // The archive is made in the same way.
    copy.make(CHANGES_NOTHING[0], "build/libaio.a");
    let program = copy.place.path().join("static");
    run(compile_smoke(&program).arg(copy.sources().join("build/libaio.a")));
    let output = run(Command::new(&program).current_dir(copy.place.path()));
    assert!(text(&output.stdout).ends_with(ANSWER), "{output:?}");
}

#[test]
fn harmless_flags_are_obeyed() {
    let copy = Copy::new();
    let sections = || text(&run(Command::new("readelf").arg("-SW").arg(copy.shared())).stdout);
    let strings = || text(&fs::read(copy.shared()).expect("make made it"));
    assert!(!sections().contains(".debug_info"));

    // Fedora's, which its macros set, and those of Debian's cargo wrapper.
    let flags = "-Copt-level=3 -Cdebuginfo=2 -Ccodegen-units=1 -Cstrip=none \
                 -Cforce-frame-pointers=yes -Clink-arg=-Wl,-z,relro -Clink-arg=-Wl,-z,now \
                 --cap-lints=warn";
    copy.build(&[("RUSTFLAGS", flags)]);
    assert!(sections().contains(".debug_info"));
    assert!(strings().contains("/usr/src/libaio-rs-"));
    assert!(copy.stripped() != copy.plain, "no frame pointers");
    let remapped = format!(
        "-C debuginfo=2 --cap-lints warn -C linker=cc \
         --remap-path-prefix {}=/usr/share/registry",
        copy.sources().display()
    );
    copy.build(&[("RUSTFLAGS", &remapped)]);
    assert!(sections().contains(".debug_info"));
    assert!(strings().contains("/usr/share/registry"));

    for environment in [
        &[("CARGO_PROFILE_RELEASE_DEBUG", "2")][..],
        &[
            ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
            ("CARGO_PROFILE_RELEASE_SPLIT_DEBUGINFO", "packed"),
        ],
        &[
            ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
            ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
        ],
    ] {
        copy.build(environment);
        assert!(sections().contains(".debug_info"), "{environment:?}");
    }
    if cfg!(target_arch = "x86_64") {
        // As Arch and others offer it; the library uses no instruction of v2.
        copy.build(&[("RUSTFLAGS", "-C target-cpu=x86-64-v2")]);
        copy.build(&[("RUSTFLAGS", "-Cno-redzone")]);
        assert!(copy.stripped() != copy.plain, "a red zone");
    }
    copy.build(&[("RUSTC_WRAPPER", "/usr/bin/env")]);
    copy.assert_changed_nothing("RUSTC_WRAPPER");
}

/// An old rustc would otherwise only complain of flags that it does not know.
#[test]
fn an_old_rustc_is_refused_by_its_version() {
    let copy = Copy::new();
    let rustc = copy.place.path().join("rustc");
    let make_with = |version: &str| {
        let script = format!(
            "#!/bin/sh\n[ $1 != --version ] || exec echo 'rustc {version}'\nexec rustc \"$@\"\n"
        );
        fs::write(&rustc, script).expect("scratch is writable");
        fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let _ = fs::remove_file(copy.sources().join("build/shared.o"));
        let mut make = copy.bare_make("build/shared.o");
        let output = attempt(make.env("RUSTC", &rustc));
        (make, output)
    };
    let (make, output) = make_with("1.77.2 (25ef9e3d8 2024-04-09)");
    let reason = "  libaio-rs needs rustc 1.78 or newer; this is rustc 1.77.2";
    assert!(
        !output.status.success() && text(&output.stderr).lines().any(|line| line == reason),
        "{}",
        report(&make, &output)
    );
    // The oldest that Cargo.toml promises.
    let (make, output) = make_with("1.78.0");
    assert!(output.status.success(), "{}", report(&make, &output));
}

/// `make` fixes settings on cargo's command line; plain `cargo build` cannot.
#[test]
fn plain_cargo_builds_a_correct_library_or_says_why_not() {
    let place = scratch();
    let library = place.path().join("target/release/libaio.so");
    let build = |environment: Environment| -> (Command, Output) {
        let mut cargo = bare(env!("CARGO"));
        cargo
            .args(["build", "--release", "--offline", "--lib"])
            // Without the crates that generate the header.
            .args(["--no-default-features", "--features=versioned"])
            .arg("--target-dir")
            .arg(place.path().join("target"))
            .current_dir(root())
            .envs(environment.iter().copied());
        let output = attempt(&mut cargo);
        (cargo, output)
    };
    let builds = |environment: Environment| {
        let (cargo, output) = build(environment);
        assert!(output.status.success(), "{}", report(&cargo, &output));
        smoke(place.path(), &library);
        exports(&library)
    };
    let expected = builds(&[]);
    assert!(expected.len() >= 13, "{expected:?}");
    assert!(expected
        .iter()
        .all(|name| name.contains("@LIBAIO_0.") || name.contains("@@LIBAIO_0.")));
    for environment in [
        &[("CARGO_PROFILE_RELEASE_LTO", "true")][..],
        &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")],
        &[("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "2")],
        &[("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")],
        &[("CARGO_PROFILE_RELEASE_PANIC", "unwind")],
        &[("RUSTFLAGS", "-Ccodegen-units=256")],
    ] {
        assert_eq!(builds(environment), expected, "{environment:?}");
    }

    let mut linkers = vec![String::new()];
    for linker in ["bfd", "gold", "lld"] {
        if has(format!("ld.{linker}")) {
            linkers.push(format!("-Clink-arg=-fuse-ld={linker}"));
        } else {
            skip(&format!("panics with ld.{linker}"), "not installed");
        }
    }
    let refuses = |environment: Environment| {
        let (cargo, output) = build(environment);
        let reason = "this_profile_has_checks_that_panic__see_Building_in_README_md";
        assert!(
            !output.status.success() && text(&output.stderr).contains(reason),
            "{}",
            report(&cargo, &output)
        );
    };
    refuses(&[("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")]);
    refuses(&[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")]);
    for linker in &linkers {
        let checks = ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
        refuses(&[("RUSTFLAGS", linker), checks]);
    }
}
