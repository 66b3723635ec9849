//! The manual pages: every function has one, formatters accept them without a warning, their
//! examples compile, run and print what the page says, and they list the errors that the source
//! documents.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{attempt, cc, has, ours, report, root, run, scratch, skip, text};

/// The pages by name and section, such as `io_setup.3`.
fn pages() -> BTreeMap<String, String> {
    std::fs::read_dir(root().join("man"))
        .expect("the checkout has them")
        .map(|entry| {
            let path = entry.expect("the checkout can be read").path();
            let name = path.file_name().expect("a file").to_string_lossy();
            let page = std::fs::read_to_string(&path).expect("a text");
            (name.into_owned(), page)
        })
        .collect()
}

/// The target of a page that is only a link, such as `.so man3/io_submit.3`.
fn link(page: &str) -> Option<&str> {
    page.strip_prefix(".so man3/").map(str::trim_end)
}

/// The lines of one section.
fn section<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let heading = format!(".Sh {name}");
    page.lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with(".Sh "))
        .collect()
}

/// Functions that a program gets from the header itself, without the library.
fn inline_functions() -> BTreeSet<String> {
    let header =
        std::fs::read_to_string(root().join("include/libaio.h")).expect("it is checked in");
    header
        .lines()
        .filter_map(|line| line.strip_prefix("static inline "))
        .filter_map(|line| line.split_once(' ')?.1.split_once('('))
        .map(|(name, _)| name.to_string())
        .filter(|name| name.starts_with("io_"))
        .collect()
}

/// Functions that the library exports.
fn exported_functions() -> BTreeSet<String> {
    let symbols = run(Command::new("nm")
        .args(["-D", "--defined-only", "--format=just-symbols"])
        .arg(&ours().shared));
    text(&symbols.stdout)
        .lines()
        .filter_map(|line| line.split('@').next())
        .filter(|name| name.starts_with("io_"))
        .map(str::to_string)
        .collect()
}

#[test]
fn every_function_has_a_page() {
    let pages = pages();
    let (exported, inline) = (exported_functions(), inline_functions());
    assert!(exported.len() >= 10 && inline.len() >= 14, "too few");
    let functions: BTreeSet<_> = exported
        .union(&inline)
        .map(|name| format!("{name}.3"))
        .collect();
    let mut expected = functions.clone();
    expected.insert("libaio.7".to_string());
    let found: BTreeSet<_> = pages.keys().cloned().collect();
    assert_eq!(found, expected);
    for (file, page) in &pages {
        let (name, number) = file.split_once('.').expect("a section");
        let page = match link(page) {
            Some(target) => {
                let target = pages
                    .get(target)
                    .unwrap_or_else(|| panic!("{file}: {target}"));
                assert_eq!(link(target), None, "{file} leads to another link");
                target
            }
            None => {
                let title = format!("\n.Dt {} {number}\n", name.to_uppercase());
                assert!(page.contains(&title), "{file} has another title");
                page
            }
        };
        let names = section(page, "NAME");
        let named = |line: &&str| line.trim_end_matches(" ,") == format!(".Nm {name}");
        assert!(names.iter().any(named), "{file}: not in {names:?}");
        if number == "3" {
            for name in [
                "SYNOPSIS",
                "DESCRIPTION",
                "RETURN VALUES",
                "EXAMPLES",
                "ERRORS",
                "SAFETY",
            ] {
                assert!(!section(page, name).is_empty(), "{file} has no {name}");
            }
            let declared = section(page, "SYNOPSIS").join("\n");
            assert!(
                declared.contains(&format!(" {name}")),
                "{file} does not declare it"
            );
        }
    }
}

/// Every page that a page refers to is one of ours or in the list. The test cannot check that the
/// pages in the list exist, because the machine may not have them.
#[test]
fn references_lead_somewhere() {
    let pages = pages();
    let others = [
        "aio.7",
        "chattr.1",
        "epoll.7",
        "eventfd.2",
        "fdatasync.2",
        "fork.2",
        "fsync.2",
        "futex.2",
        "dlmopen.3",
        "dlopen.3",
        "getauxval.3",
        "io_cancel.2",
        "io_destroy.2",
        "io_getevents.2",
        "io_setup.2",
        "io_submit.2",
        "ioprio_set.2",
        "ldconfig.8",
        "longjmp.3",
        "madvise.2",
        "clone.2",
        "membarrier.2",
        "poll.2",
        "ppoll.2",
        "pread.2",
        "preadv.2",
        "preadv2.2",
        "pwrite.2",
        "statx.2",
    ];
    let mut referred = BTreeSet::new();
    for (file, page) in &pages {
        for line in page.lines() {
            let words: Vec<_> = line.split(' ').collect();
            if let Some(at) = words.iter().position(|word| word.ends_with("Xr")) {
                let target = format!("{}.{}", words[at + 1], words[at + 2]);
                let known = pages.contains_key(&target) || others.contains(&&*target);
                assert!(known, "{file} refers to {target}");
                referred.insert(target);
            }
        }
    }
    for other in others {
        assert!(
            referred.contains(other),
            "nothing refers to {other} any more"
        );
    }
}

/// Copies the pages to where they are when installed, so that a link finds its target.
fn installed(place: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (file, page) in pages() {
        let number = file.rsplit('.').next().expect("a section");
        let directory = place.join(format!("man{number}"));
        std::fs::create_dir_all(&directory).expect("scratch is writable");
        std::fs::write(directory.join(&file), page).expect("scratch is writable");
        files.push(PathBuf::from(format!("man{number}/{file}")));
    }
    files
}

#[test]
fn mandoc_reports_nothing() {
    if !has("mandoc") {
        return skip("mandoc -T lint", "mandoc is not installed");
    }
    let place = scratch();
    let mut linted = 0;
    for file in installed(place.path()) {
        let page = std::fs::read_to_string(place.path().join(&file)).expect("just written");
        // mandoc would warn of a link, since it works only in the right directory. `make install`
        // installs symbolic links instead.
        if link(&page).is_some() {
            continue;
        }
        linted += 1;
        let mut lint = Command::new("mandoc");
        lint.args(["-T", "lint"])
            .arg(&file)
            .current_dir(place.path());
        let output = attempt(&mut lint);
        let complaints: Vec<_> = [text(&output.stdout), text(&output.stderr)]
            .concat()
            .lines()
            // mandoc looks for the pages that are referred to on this machine, which need not have
            // them. references_lead_somewhere() checks references.
            .filter(|line| {
                !line.contains("referenced manual not found")
                    && !line.contains("outdated mandoc.db lacks")
            })
            .map(str::to_string)
            .collect();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
    assert_eq!(linted, 16, "pages that are not links");
}

/// Formats the pages as man(1) does, with all warnings. The output must have the page's name in it.
#[test]
fn groff_formats_them_without_a_warning() {
    if !has("groff") {
        return skip("groff", "not installed");
    }
    let place = scratch();
    for file in installed(place.path()) {
        let mut format = Command::new("groff");
        format
            .args(["-mandoc", "-Tutf8", "-P-cbou", "-ww", "-b", "-rLL=78n"])
            .arg(&file)
            .current_dir(place.path());
        let output = run(&mut format);
        assert!(output.stderr.is_empty(), "{}", report(&format, &output));
        let name = file.file_stem().expect("a name").to_string_lossy();
        assert!(text(&output.stdout).contains(&*name), "{}", file.display());
    }
}

/// The literal blocks of EXAMPLES: a program, and, after "It prints:", its output.
fn example(file: &str, page: &str) -> (String, String) {
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    let lines = section(page, "EXAMPLES");
    for line in &lines {
        match *line {
            ".Bd -literal" => {
                inside = true;
                blocks.push(String::new());
            }
            ".Ed" => inside = false,
            line if inside => {
                let line = line.replace("\\e", "\x00");
                assert!(!line.contains('\\'), "{file}: an escape: {line}");
                let block = blocks.last_mut().expect("inside of one");
                block.push_str(&line.replace('\x00', "\\"));
                block.push('\n');
            }
            _ => (),
        }
    }
    assert!(
        lines.contains(&"It prints:"),
        "{file} does not say what it prints"
    );
    let [program, output] = blocks
        .try_into()
        .unwrap_or_else(|_| panic!("{file}: not two"));
    (program, output)
}

#[test]
fn examples_compile_and_print_what_the_page_says() {
    let place = scratch();
    let program = place.path().join("example");
    let source = place.path().join("example.c");
    let mut tried = 0;
    for (file, page) in pages() {
        if link(&page).is_some() || file.ends_with(".7") {
            continue;
        }
        let (code, output) = example(&file, &page);
        std::fs::write(&source, code).expect("scratch is writable");
        for library in [&ours().shared, &ours().archive] {
            run(cc()
                .args(["-Wall", "-Wextra", "-Werror", "-o"])
                .arg(&program)
                .arg("-I")
                .arg(&ours().include)
                .arg(&source)
                .arg(library));
            let printed = run(Command::new("timeout")
                .arg("20")
                .arg(&program)
                .current_dir(place.path())
                .env("LD_LIBRARY_PATH", ours().libdir()));
            assert_eq!(text(&printed.stdout), output, "{file}");
            assert_eq!(text(&printed.stderr), "", "{file}");
        }
        tried += 1;
    }
    assert_eq!(tried, 15);
    // They clean up after themselves.
    let left = std::fs::read_dir(place.path())
        .expect("scratch is ours")
        .count();
    assert_eq!(left, 2, "the source and the program");
}

/// A function's own errors, and the function whose errors it returns too.
#[derive(Debug, Default)]
struct Errors {
    own: BTreeSet<String>,
    and_of: Option<String>,
}

fn all_errors(of: &BTreeMap<String, Errors>, name: &str) -> BTreeSet<String> {
    let Some(errors) = of.get(name) else {
        panic!("nothing is said about {name}");
    };
    let mut all = errors.own.clone();
    if let Some(other) = &errors.and_of {
        all.extend(all_errors(of, other));
    }
    all
}

/// The names in the tags of RETURN VALUES and ERRORS, which is how the pages list them.
fn errors_of_page(page: &str) -> Errors {
    let mut errors = Errors::default();
    let lines = [section(page, "RETURN VALUES"), section(page, "ERRORS")].concat();
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with(".It ") {
            let names = line.split([' ', ',']).filter(|word| is_error(word));
            errors.own.extend(names.map(str::to_string));
        }
        if *line == "Those of" {
            let reference: Vec<_> = lines[at + 1].split(' ').collect();
            errors.and_of = Some(reference[1].to_string());
        }
    }
    errors
}

/// The names at the beginning of the lines of a documentation comment:
/// `///   -EAGAIN, -ENOMEM   why`.
fn errors_of_comment(comment: &[&str]) -> Errors {
    let mut errors = Errors::default();
    for line in comment {
        if let Some(listed) = line.strip_prefix("///   -") {
            let names = listed.split("   ").next().expect("a first part");
            let names = names.split(", ").map(|name| name.trim_start_matches('-'));
            let names: Vec<_> = names.map(str::to_string).collect();
            assert!(names.iter().all(|name| is_error(name)), "{line}");
            errors.own.extend(names);
        }
        if let Some(other) = line.strip_prefix("/// Returns as ") {
            let name = other.split('(').next().expect("a first part");
            errors.and_of = Some(name.to_string());
        }
    }
    errors
}

fn is_error(word: &str) -> bool {
    let capitals = word.bytes().all(|byte| byte.is_ascii_uppercase());
    word.starts_with('E') && word.len() > 3 && capitals
}

#[test]
fn errors_are_those_of_the_source() {
    let source =
        std::fs::read_to_string(root().join("src/c_abi/functions.rs")).expect("it is checked in");
    let mut documented = BTreeMap::new();
    let mut comment = Vec::new();
    for line in source.lines() {
        if line.starts_with("///") {
            comment.push(line);
        } else if let Some(function) = line.strip_prefix("pub unsafe extern \"C\" fn ") {
            let name = function.split('(').next().expect("a first part");
            documented.insert(name.to_string(), errors_of_comment(&comment));
            comment.clear();
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    for name in inline_functions() {
        // These also submit; the others cannot fail.
        let submits = ["io_poll", "io_fsync", "io_fdsync"].contains(&&*name);
        let and_of = submits.then(|| "io_submit".to_string());
        let own = BTreeSet::new();
        documented.insert(name, Errors { own, and_of });
    }
    let pages = pages();
    let of_pages: BTreeMap<_, _> = pages
        .iter()
        .filter_map(|(file, page)| {
            let name = file.strip_suffix(".3")?;
            let page = link(page).map_or(page, |target| &pages[target]);
            Some((name.to_string(), errors_of_page(page)))
        })
        .collect();
    assert!(documented.len() >= 24, "{documented:?}");
    for name in documented.keys() {
        assert_eq!(
            all_errors(&of_pages, name),
            all_errors(&documented, name),
            "{name}: the page, then the source"
        );
    }
    assert!(all_errors(&documented, "io_pgetevents").len() >= 4);
}
