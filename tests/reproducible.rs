//! Two builds of the same sources, which have as little else as possible in common, install the
//! same bytes. `make reproducible-check` compares two builds of the packages and of the release.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{copy_sources, has, run, scratch, skip, text};

/// Everything installed: its mode, and its bytes.
type Installed = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// Builds as the user nobody, who may still read the compiler in root's home.
const ANOTHER_USER: &[&str] = &[
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
];
/// Builds in another year; the files are older still. Rust's tools would hang under faketime.
const ANOTHER_TIME: &str = "FAKETIME_DONT_FAKE_MONOTONIC=1 faketime 2031-05-06 ";

#[test]
fn two_builds_are_the_same_to_the_last_bit() {
    let place = scratch();
    let here = place.path().join("here");
    let elsewhere = place.path().join("a/longer/way/to/another/place");
    copy_sources(&here);
    copy_sources(&elsewhere);
    run(Command::new("find")
        .arg(&elsewhere)
        .args(["-type", "f"])
        .args(["-exec", "touch", "-d", "2001-02-03 04:05:06", "{}", "+"]));
    let home = place.path().join("home");
    copy_crates(&home);

    let mut wrapper = Vec::new();
    if root_user() && has(ANOTHER_USER[0]) {
        wrapper.extend(ANOTHER_USER);
        run(Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(&elsewhere)
            .arg(&home));
    } else {
        skip("the same build by another user", "not root, or no setpriv");
    }
    let mut later = ANOTHER_TIME;
    if !has("faketime") {
        skip(
            "the same build in another year",
            "faketime is not installed",
        );
        later = "";
    }

    for (debug, flags) in [("0", "-O2"), ("2", "-O2 -g")] {
        let mut first = make(&here, "022", &[], debug, flags);
        first.env("TZ", "UTC").env("LC_ALL", "C");
        let mut second = make(&elsewhere, "077", &wrapper, debug, flags);
        second
            .env("TZ", "Asia/Kathmandu")
            .env("LC_ALL", "de_DE.UTF-8")
            .env("SOURCE_DATE_EPOCH", "981173106")
            .args(
                [
                    ("CC", "cc"),
                    ("AR", "ar"),
                    ("OBJCOPY", "objcopy"),
                    ("INSTALL", "install"),
                ]
                .map(|(variable, tool)| format!("{variable}={later}{tool}")),
            )
            .env("HOME", &home)
            .env("CARGO_HOME", home.join("cargo"));
        run(&mut first);
        run(&mut second);
        let (first, second) = (installed(&here), installed(&elsewhere));
        for name in ["libaio.so.1.0.2", "libaio.a", "libaio.h", "libaio.pc"] {
            let count = first.keys().filter(|path| path.ends_with(name)).count();
            assert_eq!(count, 1, "{name} is not installed");
        }
        let names = |installed: &Installed| installed.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&first), names(&second));
        for (path, (mode, bytes)) in &first {
            let (other_mode, other_bytes) = &second[path];
            assert_eq!(mode, other_mode, "{}", path.display());
            assert!(
                bytes == other_bytes,
                "{} differs, debug={debug}",
                path.display()
            );
            let where_built = place.path().to_str().expect("a plain name").as_bytes();
            assert!(
                !bytes
                    .windows(where_built.len())
                    .any(|part| part == where_built),
                "{} says where it was built, debug={debug}",
                path.display()
            );
        }
        let library = &first[Path::new("usr/lib/libaio.so.1.0.2")].1;
        let has_debug = library.windows(11).any(|part| part == b".debug_info");
        assert_eq!(has_debug, debug == "2", "debug information was asked for");
    }
}

fn root_user() -> bool {
    text(&run(Command::new("id").arg("-u")).stdout).trim() == "0"
}

/// Copies the crates that cargo has fetched already into another home.
fn copy_crates(home: &Path) {
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").expect("a home")).join(".cargo"),
        PathBuf::from,
    );
    let registry = home.join("cargo/registry");
    std::fs::create_dir_all(&registry).expect("scratch is writable");
    for part in ["index", "cache"] {
        let part = cargo_home.join("registry").join(part);
        if part.exists() {
            run(Command::new("cp").arg("-R").arg(part).arg(&registry));
        }
    }
}

/// `make clean` and `make install` in a directory.
fn make(directory: &Path, umask: &str, wrapper: &[&str], debug: &str, flags: &str) -> Command {
    // The compiler itself: rustup would look for its settings in the home directory.
    let sysroot = text(&run(Command::new("rustc").args(["--print", "sysroot"])).stdout);
    let compiler = Path::new(sysroot.trim()).join("bin/rustc");
    let mut make = Command::new("sh");
    make.args([
        "-c",
        "umask \"$1\"; shift; make clean && exec \"$@\"",
        "sh",
        umask,
    ])
    .args(wrapper)
    .args(["make", "--no-print-directory", "install", "prefix=/usr"])
    .arg(format!(
        "DESTDIR={}",
        directory.join("build/stage").display()
    ))
    .arg(format!("CARGO={}", env!("CARGO")))
    .arg(format!("CFLAGS={flags}"))
    .current_dir(directory)
    .env("RUSTC", compiler)
    .env("CARGO_PROFILE_RELEASE_DEBUG", debug)
    .env("CARGO_NET_OFFLINE", "true")
    .env_remove("CARGO_TARGET_DIR")
    .env_remove("MAKEFLAGS");
    make
}

fn installed(directory: &Path) -> Installed {
    fn walk(top: &Path, directory: &Path, found: &mut Installed) {
        for entry in std::fs::read_dir(directory).expect("make installed it") {
            let path = entry.expect("make installed it").path();
            let metadata = path.symlink_metadata().expect("make installed it");
            let bytes = if metadata.is_symlink() {
                let target = std::fs::read_link(&path).expect("a link");
                target.into_os_string().into_encoded_bytes()
            } else if metadata.is_dir() {
                walk(top, &path, found);
                Vec::new()
            } else {
                std::fs::read(&path).expect("root, or its owner, reads it")
            };
            let name = path.strip_prefix(top).expect("below it").to_path_buf();
            found.insert(name, (metadata.permissions().mode(), bytes));
        }
    }
    let mut found = Installed::new();
    let stage = directory.join("build/stage");
    walk(&stage, &stage, &mut found);
    found
}
