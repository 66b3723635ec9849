//! The C programs. Each begins with lines `/* runs: WHERE: WHY */`.

use crate::support::root;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The words that can follow `not` in such a line. `Way::words` returns the words of a way.
pub const WORDS: &[&str] = &[
    "static",
    "preloaded",
    "glibc",
    "musl",
    "time64",
    // The kernel delivers all completions: see c-tests/README.md.
    "reap-kernel",
    // LIBAIO_RS_ENGINE=auto: the library serves contexts that the kernel refuses.
    "auto",
    // A context may get a smaller ring than requested: rung 3.
    "short-ring",
    // With 64 processors: the kernel grants only 1 of 256 requests, or 1023 of 1024, but the ring
    // is the same.
    "ring-of-1",
    "ring-of-1023",
    // No context is the kernel's: every request is carried out inside io_submit.
    "inline",
    // A 32-bit program and `inline`, on a 64-bit kernel.
    "inline-i386",
    "amd64",
    "i386",
    "arm64",
    "s390x",
];

/// What a program's output is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The original's output.
    Original,
    /// The `.expected` file, and the original's output where it does not crash.
    ExpectedWhereTheOriginalDies,
    /// The `.expected` file. The program does not run over the original.
    Expected,
    /// The path of the library.
    Library,
    /// Nothing here: another test runs the program.
    Elsewhere,
}

#[derive(Clone, Debug)]
pub struct Program {
    pub source: PathBuf,
    pub name: String,
    pub measure: Measure,
    not: Vec<String>,
}

impl Program {
    pub fn read(source: &Path) -> Result<Program, String> {
        let name = source.file_stem().and_then(OsStr::to_str);
        let name = name.ok_or("not UTF-8")?.to_string();
        let text = std::fs::read_to_string(source).map_err(|error| error.to_string())?;
        let (measure, not) = heads(&text).map_err(|error| format!("{name}: {error}"))?;
        let source = source.to_path_buf();
        let program = Program {
            source,
            name,
            measure,
            not,
        };
        if program.expects() != program.expected().exists() {
            return Err(format!(
                "{}: an .expected file and a `runs:` line that uses it belong together",
                program.name
            ));
        }
        Ok(program)
    }

    /// Whether it runs in a way that has these words.
    pub fn runs(&self, words: &[&str]) -> bool {
        self.measure != Measure::Elsewhere && !self.not.iter().any(|not| words.contains(&&not[..]))
    }

    pub fn expected(&self) -> PathBuf {
        self.source.with_extension("expected")
    }

    /// The file that lists what it prints differently in ways that have a word, if there is one.
    pub fn differences(&self, word: &str) -> Option<PathBuf> {
        let file = self.source.with_extension(format!("{word}.differences"));
        file.exists().then_some(file)
    }

    fn expects(&self) -> bool {
        matches!(
            self.measure,
            Measure::Expected | Measure::ExpectedWhereTheOriginalDies
        )
    }
}

/// Parses the lines at the top. A program without one, or with an unknown one, is an error.
fn heads(text: &str) -> Result<(Measure, Vec<String>), String> {
    let mut measures = Vec::new();
    let (mut not, mut everywhere) = (Vec::new(), false);
    for line in text.lines() {
        let Some(head) = line.strip_prefix("/* runs: ") else {
            break;
        };
        let head = head
            .strip_suffix(" */")
            .ok_or("a `runs:` comment has one line")?;
        if head == "everywhere" {
            everywhere = true;
            continue;
        }
        let (place, why) = head
            .split_once(": ")
            .ok_or("a `runs:` line has no reason")?;
        if why.is_empty() {
            return Err("a `runs:` line has no reason".to_string());
        }
        match place.split_once(' ') {
            Some(("not", word)) if WORDS.contains(&word) => not.push(word.to_string()),
            Some(("against", ".expected")) => measures.push(Measure::ExpectedWhereTheOriginalDies),
            Some(("without", "the original")) => measures.push(Measure::Expected),
            Some(("to", "name the library")) => measures.push(Measure::Library),
            Some(("only", test)) if is_a_test(test) => measures.push(Measure::Elsewhere),
            _ => return Err(format!("unknown: runs \"{place}\"")),
        }
    }
    let says_more = !measures.is_empty() || !not.is_empty();
    if everywhere == says_more || measures.len() > 1 {
        return Err("the `runs:` lines are missing or contradict each other".to_string());
    }
    Ok((measures.pop().unwrap_or(Measure::Original), not))
}

fn is_a_test(place: &str) -> bool {
    place
        .strip_prefix("in ")
        .is_some_and(|file| file.starts_with("tests/") && root().join(file).exists())
}

/// All programs in c-tests/, in the order of their names.
pub fn all() -> Vec<Program> {
    let mut sources: Vec<PathBuf> = std::fs::read_dir(root().join("c-tests"))
        .expect("c-tests is part of the checkout")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| matches!(path.extension().and_then(OsStr::to_str), Some("c" | "cc")))
        .collect();
    sources.sort();
    let read = |source: &PathBuf| Program::read(source).unwrap_or_else(|error| panic!("{error}"));
    sources.iter().map(read).collect()
}

/// Invalid first lines are errors.
pub fn wrong_heads_are_refused() -> Result<(), String> {
    for wrong in [
        "",
        "/* Reads. */\n/* runs: everywhere */",
        "/* runs: everywhere */\n/* runs: not static: no */",
        "/* runs: not static */",
        "/* runs: not statics: no such way */",
        "/* runs: nowhere: who knows */",
        "/* runs: only in tests/no_such_file.rs: gone */",
        "/* runs: to name the library: yes */\n/* runs: without the original: no */",
        "/* runs: everywhere",
    ] {
        if let Ok(heads) = heads(wrong) {
            return Err(format!("{wrong}: {heads:?}"));
        }
    }
    Ok(())
}
