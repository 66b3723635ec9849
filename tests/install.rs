//! `make install` as a packager calls it.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use support::{cc, has, make, ours, root, run, scratch, skip, text};

/// Every file below a directory, with its mode, or where it points if it is a link.
fn listing(directory: &Path) -> BTreeMap<String, String> {
    fn walk(top: &Path, directory: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(directory).expect("the directory is ours") {
            let path = entry.expect("no other process is here").path();
            let metadata = path.symlink_metadata().expect("no other process is here");
            let name = path.strip_prefix(top).expect("below it");
            if metadata.is_dir() {
                walk(top, &path, found);
                continue;
            }
            let what = if metadata.is_symlink() {
                let target = std::fs::read_link(&path).expect("a link");
                format!("-> {}", target.display())
            } else {
                format!("{:o}", metadata.permissions().mode() & 0o7777)
            };
            found.insert(name.display().to_string(), what);
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, &mut found);
    found
}

/// The pages in man/. A page that only names another is installed as a link to it.
fn manual_pages() -> BTreeMap<String, String> {
    let pages = std::fs::read_dir(root().join("man")).expect("man/ is there");
    let pages: BTreeMap<String, String> = pages
        .map(|entry| {
            let path = entry.expect("no other process is here").path();
            let name = path.file_name().expect("a file").to_str().expect("ASCII");
            let (_, section) = name.rsplit_once('.').expect("a section");
            let page = std::fs::read_to_string(&path).expect("a manual page");
            let what = match page.strip_prefix(&format!(".so man{section}/")) {
                Some(other) => format!("-> {}", other.trim()),
                None => "644".to_string(),
            };
            (format!("usr/share/man/man{section}/{name}"), what)
        })
        .collect();
    for (page, what) in &pages {
        if let Some(other) = what.strip_prefix("-> ") {
            let (directory, _) = page.rsplit_once('/').expect("it is in a directory");
            assert_eq!(pages[&format!("{directory}/{other}")], "644", "{page}");
        }
    }
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

/// `make install` when everything is built: it must need no tool that builds.
fn install(place: &Path, arguments: &[&str]) {
    ours();
    let broken = ["CARGO=false", "CC=false", "OBJCOPY=false", "AR=false"];
    run(make("install")
        .arg(format!("DESTDIR={}", place.display()))
        .args(broken)
        .args(arguments));
}

#[test]
fn installs_exactly_these_files_and_removes_them() {
    let place = scratch();
    let directories = ["libdir=/usr/lib/here", "includedir=/usr/include/there"];
    install(place.path(), &directories);
    let mut expected: BTreeMap<String, String> = [
        ("usr/include/there/libaio.h", "644"),
        ("usr/lib/here/libaio.a", "644"),
        ("usr/lib/here/libaio.so", "-> libaio.so.1.0.2"),
        ("usr/lib/here/libaio.so.1", "-> libaio.so.1.0.2"),
        ("usr/lib/here/libaio.so.1.0.2", "755"),
        ("usr/lib/here/pkgconfig/libaio.pc", "644"),
    ]
    .map(|(name, what)| (name.to_string(), what.to_string()))
    .into();
    expected.extend(manual_pages());
    assert_eq!(listing(place.path()), expected);
    // Once more, over the installed files.
    install(place.path(), &directories);
    assert_eq!(listing(place.path()), expected);
    run(make("uninstall")
        .arg(format!("DESTDIR={}", place.path().display()))
        .args(directories));
    assert_eq!(listing(place.path()), BTreeMap::new());
}

#[test]
fn builds_nothing_that_is_up_to_date() {
    ours();
    // -q: only say whether anything would be done.
    run(make("all").arg("-q"));
}

#[test]
fn pkg_config_finds_the_library() {
    if !has("pkg-config") {
        return skip("pkg-config", "not installed");
    }
    let place = scratch();
    install(place.path(), &[]);
    let ask = |arguments: &[&str]| {
        let output = run(Command::new("pkg-config")
            .args(arguments)
            .arg("libaio")
            .env("PKG_CONFIG_PATH", place.path().join("usr/lib/pkgconfig"))
            .env("PKG_CONFIG_SYSROOT_DIR", place.path()));
        text(&output.stdout).trim().to_string()
    };
    assert_eq!(ask(&["--modversion"]), "0.3.113");
    ask(&["--exists", "--atleast-version=0.3.111"]);
    let flags = ask(&["--cflags", "--libs"]);
    assert!(flags.contains("-laio"), "{flags}");
    let program = place.path().join("smoke");
    run(cc()
        .arg(root().join("c-tests/smoke.c"))
        .args(flags.split_whitespace())
        .arg("-o")
        .arg(&program));
    run(Command::new(&program)
        .current_dir(place.path())
        .env("LD_LIBRARY_PATH", place.path().join("usr/lib")));
}
