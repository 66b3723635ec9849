//! What the tests share: the two libraries, the C compiler, and the words for a skip.

#![allow(dead_code)] // each test file uses its part

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// An installed libaio: ours, or the one that the system came with.
pub struct Installation {
    pub include: PathBuf,
    pub shared: PathBuf,
    pub archive: PathBuf,
}

impl Installation {
    pub fn libdir(&self) -> &Path {
        self.shared.parent().expect("a library is in a directory")
    }
}

/// A machine that a script has fetched: its compiler, its library and Debian's. See
/// scripts/shared/differential.sh.
pub struct Foreign {
    /// The prefix of its compiler's name.
    pub compiler: String,
    ours: Installation,
    original: Installation,
    /// If Debian has no libaio for this machine, the original is that of another machine.
    pub has_original: bool,
}

pub fn foreign() -> Option<&'static Foreign> {
    static FOREIGN: OnceLock<Option<Foreign>> = OnceLock::new();
    FOREIGN
        .get_or_init(|| {
            let compiler = std::env::var("LIBAIO_RS_COMPILER").ok()?;
            let directory = |name: &str| {
                let path = std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set"));
                PathBuf::from(path)
            };
            Some(Foreign {
                compiler,
                ours: built(&directory("LIBAIO_RS_OURS")),
                original: unpacked(&directory("LIBAIO_RS_ORIGINAL")),
                has_original: std::env::var_os("LIBAIO_RS_NO_ORIGINAL").is_none(),
            })
        })
        .as_ref()
}

/// The library that `make` has built in a directory.
fn built(directory: &Path) -> Installation {
    let shared = directory.join("libaio.so.1.0.2");
    let archive = directory.join("libaio.a");
    install("ours", root().join("include"), &shared, archive)
}

/// A libaio that was unpacked below a directory.
fn unpacked(directory: &Path) -> Installation {
    let find = |name: &str| {
        let found = run(Command::new("find").arg(directory).args(["-name", name]));
        let found = text(&found.stdout).lines().next().map(PathBuf::from);
        found.unwrap_or_else(|| panic!("no {name} in {}", directory.display()))
    };
    let (shared, archive) = (find("libaio.so.1"), find("libaio.a"));
    install("original", directory.join("usr/include"), &shared, archive)
}

/// Copies the shared library to a directory, with the names that the linker and the loader use.
fn install(name: &str, include: PathBuf, shared: &Path, archive: PathBuf) -> Installation {
    // One place for each test program and machine, since they may run at the same time.
    let machine = std::env::var("LIBAIO_RS_MACHINE").unwrap_or(target().to_string());
    let name = format!("{}-{machine}-{name}", env!("CARGO_CRATE_NAME"));
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("the target directory is writable");
    let installed = place.join("libaio.so.1");
    std::fs::copy(shared, &installed).unwrap_or_else(|error| panic!("{shared:?}: {error}"));
    std::os::unix::fs::symlink("libaio.so.1", place.join("libaio.so")).expect("it is empty");
    Installation {
        include,
        shared: installed,
        archive,
    }
}

/// The machine of the library, by Rust's name.
pub fn target() -> &'static str {
    static TARGET: OnceLock<String> = OnceLock::new();
    TARGET.get_or_init(|| {
        let host = env!("LIBAIO_RS_TARGET").to_string();
        std::env::var("LIBAIO_RS_FOREIGN_TARGET").unwrap_or(host)
    })
}

/// The first part of that name: the CPU.
pub fn architecture() -> &'static str {
    target().split('-').next().expect("there is a first part")
}

pub fn has_64_bits() -> bool {
    let wide = architecture().contains("64") || architecture() == "s390x";
    wide && !target().ends_with("x32")
}

/// The contents of the CPU's file in src/sys/arch, found as build.rs finds it.
fn cpu_file() -> String {
    let cpu = match architecture() {
        "i586" | "i686" => "x86",
        "armv7" => "arm",
        "riscv64gc" => "riscv64",
        "powerpc64le" => "powerpc64",
        "mips64el" => "mips64",
        other => other,
    };
    let read = |file: &str| {
        let path = root().join("src/sys/arch").join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    };
    let table = read("mod.rs");
    let mut rows = table
        .lines()
        .filter(|line| line.contains(&format!("\"{cpu}\"")));
    let file = rows.find_map(|line| line.trim().strip_suffix(';')?.split_once(" => "));
    read(&format!("{}.rs", file.expect("a row for each CPU").1))
}

/// Machines on which the library makes system calls through libc.
pub fn needs_libc() -> bool {
    cpu_file().contains("through_libc")
}

/// Machines on which build.rs sets cfg(reaps_in_user_space).
pub fn reaps() -> bool {
    cpu_file().contains("pub const REAPS: bool = true;") && has_64_bits()
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Our library from `make install`, as a packager gets it. Cargo may only use crates that it has
/// already fetched, so this also tests that the build works offline.
pub fn ours() -> &'static Installation {
    if let Some(foreign) = foreign() {
        return &foreign.ours;
    }
    static OURS: OnceLock<Installation> = OnceLock::new();
    OURS.get_or_init(|| {
        // One place for each test program, since they may run at the same time.
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME"));
        let _ = std::fs::remove_dir_all(&place);
        run(make("install").arg(format!("DESTDIR={}", place.display())));
        let prefix = place.join("usr");
        Installation {
            include: prefix.join("include"),
            shared: prefix.join("lib/libaio.so.1"),
            archive: prefix.join("lib/libaio.a"),
        }
    })
}

/// Runs `make` with this machine's compiler and cargo, one at a time.
pub fn make(target: &str) -> Command {
    let build = root().join("build");
    std::fs::create_dir_all(&build).expect("the checkout is writable");
    let mut make = Command::new("flock");
    make.arg(build.join(".lock"))
        .args(["make", "--no-print-directory", "-C"])
        .arg(root())
        .args([target, "prefix=/usr"])
        .arg(format!("CARGO={}", env!("CARGO")))
        .env("CARGO_NET_OFFLINE", "true")
        // Cargo's variables describe this build, not the one that `make` starts.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("MAKEFLAGS");
    make
}

/// Copies a checkout or an unpacked release, without what was built.
pub fn copy_sources(to: &Path) {
    std::fs::create_dir_all(to).expect("scratch is writable");
    for entry in std::fs::read_dir(root()).expect("the checkout is readable") {
        let entry = entry.expect("the checkout is readable");
        match entry.file_name().to_str() {
            Some("build" | "target" | ".git") => {}
            // The crates of a release, which are only read.
            Some("vendor") => std::os::unix::fs::symlink(entry.path(), to.join("vendor"))
                .expect("scratch is writable"),
            _ => {
                run(Command::new("cp").arg("-R").arg(entry.path()).arg(to));
            }
        }
    }
}

/// The library of plain `cargo build --release`, with rustc's default linker.
pub fn cargo_built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| cargo_build("plain", &[]))
}

/// The same with more flags for rustc. It is a copy, since the next build replaces the file.
pub fn cargo_build(name: &str, flags: &[&str]) -> PathBuf {
    cargo_build_with(name, flags, &[])
}

/// The same with variables in the environment.
pub fn cargo_build_with(name: &str, flags: &[&str], environment: &[(&str, &str)]) -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().expect("it is target/tmp");
    run(Command::new(env!("CARGO"))
        .current_dir(root())
        .envs(environment.iter().copied())
        .args(["rustc", "--release", "--offline", "--lib", "--target-dir"])
        .arg(target)
        .arg("--")
        .args(flags));
    let copy = temporary.join(format!("{}-{name}.so", env!("CARGO_CRATE_NAME")));
    std::fs::copy(target.join("release/libaio.so"), &copy).expect("cargo made it");
    copy
}

/// The original, if it is installed.
pub fn original() -> Option<&'static Installation> {
    if let Some(foreign) = foreign() {
        return Some(&foreign.original);
    }
    static ORIGINAL: OnceLock<Option<Installation>> = OnceLock::new();
    ORIGINAL
        .get_or_init(|| {
            let shared = find_library("libaio.so.1")?;
            let archive = find_library("libaio.a")?;
            let include = PathBuf::from("/usr/include");
            include.join("libaio.h").exists().then_some(Installation {
                include,
                shared,
                archive,
            })
        })
        .as_ref()
}

/// The path at which the compiler finds a library.
fn find_library(name: &str) -> Option<PathBuf> {
    let output = run(cc().arg(format!("-print-file-name={name}")));
    let path = PathBuf::from(text(&output.stdout).trim());
    path.is_absolute().then_some(path)
}

/// The C compiler that the `cc` crate chooses, without the crate's options.
pub fn cc() -> Command {
    driver(false)
}

/// And the C++ compiler.
pub fn cxx() -> Command {
    driver(true)
}

fn driver(cpp: bool) -> Command {
    if let Some(foreign) = foreign() {
        let name = if cpp { "g++" } else { "gcc" };
        return Command::new(format!("{}-{name}", foreign.compiler));
    }
    let tool = cc::Build::new()
        .cargo_metadata(false)
        .cargo_warnings(false)
        .cpp(cpp)
        .opt_level(2)
        .host(env!("LIBAIO_RS_TARGET"))
        .target(env!("LIBAIO_RS_TARGET"))
        .get_compiler();
    Command::new(tool.path())
}

/// The compiler for musl programs. Debian's musl lacks the kernel's headers, which are the same for
/// every C library. Links in `place` add the system's, but no other headers.
pub fn musl_gcc(place: &Path) -> Command {
    let found = run(cc().arg("-print-multiarch"));
    let multiarch = Path::new("/usr/include").join(text(&found.stdout).trim());
    let headers = place.join("kernel-headers");
    std::fs::create_dir(&headers).expect("the place is writable");
    for (name, directory) in [
        ("linux", "/usr/include/linux".into()),
        ("asm-generic", "/usr/include/asm-generic".into()),
        ("asm", multiarch.join("asm")),
    ] {
        std::os::unix::fs::symlink(directory, headers.join(name)).expect("the place is writable");
    }
    let mut compiler = Command::new("musl-gcc");
    compiler.arg("-idirafter").arg(headers);
    compiler
}

/// For C programs of the tests. A warning is an error.
const STRICT_C: [&str; 5] = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];

/// A command that runs `program` under tests/refuse.c, which refuses system calls of kernel AIO as
/// `what` says. The launcher is static, so variables for the loader affect only the program.
pub fn refuse(what: &str, program: &Path) -> Command {
    let mut command = Command::new(launcher());
    command.arg(what).arg(program);
    command
}

/// Builds tests/refuse.c.
pub fn launcher() -> &'static Path {
    static LAUNCHER: OnceLock<PathBuf> = OnceLock::new();
    LAUNCHER.get_or_init(|| {
        let name = format!("{}-{}-refuse", env!("CARGO_CRATE_NAME"), target());
        let launcher = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        run(cc()
            .args(STRICT_C)
            .args(["-static", "-o"])
            .arg(&launcher)
            .arg(root().join("tests/refuse.c")));
        launcher
    })
}

/// A directory for one test, on the file system of the checkout (tmpfs has no O_DIRECT).
pub fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target directory is writable")
}

/// Runs a command that must succeed.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = attempt(command);
    assert!(output.status.success(), "{}", report(command, &output));
    output
}

/// Runs a command that may fail.
#[track_caller]
pub fn attempt(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub fn report(command: &Command, output: &Output) -> String {
    format!(
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Builds a C program of tests/ against a library.
pub fn compile(source: &str, program: &Path, library: &Path) {
    run(cc()
        .args(STRICT_C)
        .args(["-pthread", "-I"])
        .arg(&ours().include)
        .arg("-o")
        .arg(program)
        .arg(root().join("tests").join(source))
        .arg(library));
}

/// Whether a program can be started.
pub fn has(program: impl AsRef<OsStr>) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Prints what a test has measured, for docs/testing.md, directly to the terminal as `skip` does.
pub fn result(measured: &str) {
    let _ = writeln!(std::io::stdout(), "RESULT {}", measured.trim_end());
}

/// Prints that a test did not run. It writes directly to the terminal, since the test harness
/// captures the output of passing tests. `make check` counts these lines as skips, not as passes.
pub fn skip(what: &str, why: &str) {
    let _ = writeln!(std::io::stdout(), "SKIPPED TEST {what}: {why}");
}
