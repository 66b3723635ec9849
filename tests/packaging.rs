//! packaging/ agrees with the build. These checks take seconds; `make package-check` builds the
//! packages.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{has, ours, root, run, scratch, skip, text};

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The rest of the first line that begins with `start`.
fn after<'a>(text: &'a str, start: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap_or_else(|| panic!("no line starts with {start:?}"))
        .trim()
}

#[test]
fn all_packages_have_the_version_of_the_crate() {
    let version = env!("CARGO_PKG_VERSION");
    let debian = read("packaging/debian/changelog");
    let debian = debian.lines().next().expect("an entry");
    assert!(
        debian.starts_with(&format!("libaio-rs ({version}-")),
        "debian/changelog: {debian}"
    );
    let spec = read("packaging/rpm/libaio-rs.spec");
    assert_eq!(after(&spec, "Version:"), version, "spec");
    let (_, changes) = spec.split_once("%changelog\n").expect("a changelog");
    let newest = changes.lines().next().expect("an entry");
    let (_, newest) = newest.rsplit_once(' ').expect("a version at its end");
    let release = after(&spec, "Release:").trim_end_matches("%{?dist}");
    assert_eq!(newest, format!("{version}-{release}"), "%changelog");
    for file in ["packaging/alpine/APKBUILD", "packaging/arch/PKGBUILD"] {
        assert_eq!(after(&read(file), "pkgver="), version, "{file}");
    }
}

/// The date as `date` prints it with this format.
fn date(format: &str, date: &str) -> String {
    text(
        &run(Command::new("date")
            .env("LC_ALL", "C")
            .args(["--utc", "--date", date, format]))
        .stdout,
    )
    .trim()
    .to_string()
}

#[test]
fn all_change_logs_have_the_date_of_the_release() {
    let version = env!("CARGO_PKG_VERSION");
    let changes = read("CHANGELOG.md");
    let released = after(&changes, &format!("## [{version}] - "));
    assert_eq!(date("+%F", released), released, "CHANGELOG.md");
    let debian = read("packaging/debian/changelog");
    let (_, debian) = after(&debian, " -- ").split_once("  ").expect("a date");
    assert_eq!(date("+%F", debian), released, "debian/changelog");
    let spec = read("packaging/rpm/libaio-rs.spec");
    let (_, changes) = spec.split_once("%changelog\n").expect("a changelog");
    let newest = date("+* %a %b %d %Y ", released);
    assert!(changes.starts_with(&newest), "%changelog: not {newest}");
}

#[test]
fn all_packages_replace_the_same_libaio() {
    let libaio = read("pkgconfig/libaio.pc");
    let libaio = after(&libaio, "Version:");
    let spec = read("packaging/rpm/libaio-rs.spec");
    assert_eq!(after(&spec, "%global libaio_version"), libaio, "spec");
    for file in ["packaging/alpine/APKBUILD", "packaging/arch/PKGBUILD"] {
        assert_eq!(after(&read(file), "_libaiover="), libaio, "{file}");
    }
    let rules = read("packaging/debian/rules");
    let debian = after(&rules, "libaio_version =");
    assert!(debian.starts_with(&format!("{libaio}-")), "{debian}");
}

#[test]
fn all_packages_are_built_with_a_rust_that_is_new_enough() {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    for (file, needs) in [
        ("packaging/debian/control", vec!["cargo (>= ", "rustc (>= "]),
        ("packaging/debian/control", vec!["cargo-web (>= "]),
        ("packaging/debian/control", vec!["rustc-web (>= "]),
        (
            "packaging/rpm/libaio-rs.spec",
            vec!["cargo >= ", "rust >= "],
        ),
        ("packaging/alpine/APKBUILD", vec!["rust>="]),
        ("packaging/arch/PKGBUILD", vec!["cargo>="]),
    ] {
        let text = read(file);
        for need in needs {
            let (_, version) = text
                .split_once(need)
                .unwrap_or_else(|| panic!("{file}: {need}"));
            let number = |c: char| !c.is_ascii_digit() && c != '.';
            let version = version.split(number).next();
            assert_eq!(version, Some(oldest), "{file}: {need}");
        }
    }
}

#[test]
fn debians_symbols_file_has_exactly_the_exports() {
    let library = &ours().shared;
    let table = text(
        &run(Command::new("readelf")
            .args(["-W", "--dyn-syms"])
            .arg(library))
        .stdout,
    );
    // The versions themselves are added below: dpkg-gensymbols wants their symbols, which some
    // linkers do not write.
    let mut exported: BTreeSet<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() == 8 && fields[0] != "Num:" && fields[6] != "UND")
        .map(|fields| fields[7].replace("@@", "@"))
        .filter(|name| name.contains('@'))
        .collect();
    for version in ["0.1", "0.4", "0.5", "0.6"] {
        exported.insert(format!("LIBAIO_{version}@LIBAIO_{version}"));
    }
    let file = read("packaging/debian/libaio1-rs.symbols");
    let mut lines = file.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("libaio.so.1 libaio1 #MINVER#"));
    let listed: Vec<String> = lines
        .filter_map(|line| line.strip_prefix(' '))
        .filter_map(|line| match line.strip_prefix("(arch-bits=32)") {
            Some(rest) => cfg!(target_pointer_width = "32").then_some(rest),
            None => Some(line),
        })
        .map(|line| line.split(' ').next().expect("a symbol").to_string())
        .collect();
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(unique.len(), listed.len(), "{listed:?}");
    assert_eq!(unique, exported);
}

/// Every file and link below a directory.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut rest = vec![directory.to_path_buf()];
    while let Some(next) = rest.pop() {
        for entry in fs::read_dir(next).expect("the directory is ours") {
            let path = entry.expect("no other process is here").path();
            if path.is_dir() && !path.is_symlink() {
                rest.push(path);
            } else {
                found.insert(path.strip_prefix(directory).expect("below it").into());
            }
        }
    }
    found
}

/// What `make install` installs, and the licences.
fn packaged_files() -> BTreeSet<PathBuf> {
    let stage = ours().libdir().ancestors().nth(2).expect("usr/lib");
    let mut expected = files(stage);
    assert!(expected.contains(Path::new("usr/share/man/man7/libaio.7")));
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        expected.insert(Path::new("usr/share/licenses/libaio-rs").join(licence));
    }
    expected
}

/// Runs the functions of an APKBUILD or PKGBUILD in this tree, where everything is built already.
fn run_functions(file: &str) -> BTreeSet<PathBuf> {
    let expected = packaged_files();
    let place = scratch();
    let source = place.path().join("src");
    let package = place.path().join("pkg");
    fs::create_dir(&source).expect("the directory is ours");
    let tree = source.join(concat!("libaio-rs-", env!("CARGO_PKG_VERSION")));
    symlink(root(), &tree).expect("the directory is ours");
    // abuild starts them in the unpacked release, makepkg above it.
    let (shell, start) = match file.ends_with("APKBUILD") {
        true => ("sh", &tree),
        false => ("bash", &source),
    };
    for function in ["build", "check", "package"] {
        run(Command::new("flock")
            .arg(root().join("build/.lock"))
            .args([shell, "-euc", ". \"$0\"; \"$1\""])
            .arg(root().join(file))
            .arg(function)
            .current_dir(start)
            .env("startdir", place.path())
            .env("srcdir", &source)
            .env("builddir", &tree)
            .env("pkgdir", &package)
            // Nothing may be built again.
            .env("MAKEFLAGS", "CARGO=false OBJCOPY=false AR=false"));
    }
    let found = files(&package);
    assert_eq!(found, expected, "{file}");
    found
}

#[test]
fn alpines_functions_package_what_is_installed() {
    run_functions("packaging/alpine/APKBUILD");
}

#[test]
fn archs_functions_package_what_is_installed() {
    if !has("bash") {
        return skip("PKGBUILD", "bash is not installed");
    }
    run_functions("packaging/arch/PKGBUILD");
}

/// The test in Debian's packages passes over their files: programs linked with the library run,
/// also under Debian 13's name for it, and both names load one library.
#[test]
fn debians_own_test_passes() {
    for program in ["pkg-config", "readelf"] {
        if !has(program) {
            return skip(
                "debian/tests/build-and-run",
                &format!("{program} is not installed"),
            );
        }
    }
    let place = scratch();
    let library = place.path().join("lib");
    fs::create_dir(&library).expect("the directory is ours");
    for file in ["libaio.so.1.0.2", "libaio.a"] {
        fs::copy(ours().libdir().join(file), library.join(file)).expect("it is installed");
    }
    symlink("libaio.so.1.0.2", library.join("libaio.so")).expect("the directory is ours");
    symlink("libaio.so.1.0.2", library.join("libaio.so.1")).expect("the directory is ours");
    // As in debian/rules.
    symlink("libaio.so.1.0.2", library.join("libaio.so.1t64")).expect("the directory is ours");
    assert!(read("packaging/debian/rules").contains("ln -s libaio.so.1.0.2 "));
    let output = run(
        Command::new(root().join("packaging/debian/tests/build-and-run"))
            .current_dir(root())
            .env("AUTOPKGTEST_TMP", place.path())
            .env("CPPFLAGS", format!("-I{}", ours().include.display()))
            .env("LDFLAGS", format!("-L{}", library.display()))
            .env("LD_LIBRARY_PATH", &library)
            .env("PKG_CONFIG_PATH", ours().libdir().join("pkgconfig")),
    );
    let said = text(&output.stdout);
    assert!(
        said.contains(&format!("{}/libaio.so.1\n", library.display())),
        "{said}"
    );
}

/// The licence of a crate as debian/copyright writes it.
fn in_debians_words(licence: &str) -> BTreeSet<String> {
    let licence = licence.replace('/', " OR ");
    let choices: Vec<String> = match licence.strip_prefix("(MIT OR Apache-2.0) AND ") {
        Some(more) => ["Expat", "Apache-2.0"]
            .map(|choice| format!("{choice} and {more}"))
            .into(),
        None => licence.split(" OR ").map(str::to_string).collect(),
    };
    choices
        .iter()
        .map(|choice| match choice.as_str() {
            "MIT" => "Expat".to_string(),
            "LGPL-2.1-or-later" => "LGPL-2.1+".to_string(),
            other => other.replace(" WITH ", "-with-"),
        })
        .collect()
}

#[test]
fn debians_copyright_has_the_licence_of_every_crate() {
    let copyright = read("packaging/debian/copyright");
    let mut licences = BTreeMap::new();
    let mut texts = BTreeSet::new();
    for paragraph in copyright.split("\n\n") {
        let Some((before, licence)) = paragraph.split_once("License: ") else {
            continue;
        };
        let licence = licence.lines().next().expect("a name").to_string();
        match before.strip_prefix("Files:") {
            Some(files) => {
                let files = files.split("Copyright:").next().expect("files");
                for pattern in files.split_whitespace() {
                    licences.insert(pattern.to_string(), licence.clone());
                }
            }
            None => drop(texts.insert(licence)),
        }
    }
    for licence in licences.values() {
        for part in licence
            .split(" or ")
            .flat_map(|choice| choice.split(" and "))
        {
            assert!(texts.contains(part), "no text of {part}");
        }
    }

    // If a crate has two versions, the name of one directory has the version in it.
    let pattern_of = |name: &str| {
        let pattern = [format!("vendor/{name}/*"), format!("vendor/{name}*/*")]
            .into_iter()
            .find(|pattern| licences.contains_key(pattern));
        pattern.unwrap_or_else(|| "vendor/*".to_string())
    };
    let crates = crates_of_the_build();
    assert!(crates.len() > 50, "{crates:?}");
    for (name, licence) in &crates {
        let listed = licences[&pattern_of(name)].split(" or ");
        let listed: BTreeSet<String> = listed.map(str::to_string).collect();
        assert_eq!(&in_debians_words(licence), &listed, "{name}");
    }
    // vendor/ has all crates of the lock file, whether a feature needs them or not.
    let locked = read("Cargo.lock");
    let mut used: BTreeSet<String> = locked
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .map(pattern_of)
        .collect();
    used.insert("*".to_string());
    let all: BTreeSet<String> = licences.keys().cloned().collect();
    assert_eq!(used, all, "patterns for crates that are not vendored");
}

/// Names and licences, as cargo lists them.
fn crates_of_the_build() -> Vec<(String, String)> {
    let output = run(Command::new(env!("CARGO")).current_dir(root()).args([
        "tree",
        "--locked",
        "--edges=all",
        "--target=all",
        "--no-dedupe",
        "--prefix=none",
        "--format={p}\t{l}",
    ]));
    let lines: BTreeSet<String> = text(&output.stdout).lines().map(str::to_string).collect();
    lines
        .iter()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(package, licence)| {
            let (name, _) = package.split_once(' ')?;
            (name != env!("CARGO_PKG_NAME")).then(|| (name.to_string(), licence.to_string()))
        })
        .collect()
}
