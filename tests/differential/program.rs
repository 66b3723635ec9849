//! What a C program says of itself: each begins with lines `/* runs: WHERE: WHY */`.

use crate::support::root;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What a program may be kept away from; `Way::words` says what a way is.
pub const WORDS: &[&str] = &[
    "static",
    "preloaded",
    "glibc",
    "musl",
    "time64",
    // The kernel takes all completions: see README.md in c-tests/.
    "reap-kernel",
    // LIBAIO_RS_ENGINE=auto: a refused io_setup is not the end.
    "auto",
    // A context may have a smaller ring than was asked for.
    "short-ring",
    // A context for 256 requests is granted only as one for 1, with the same ring; the same for
    // 1024 and 1023. On a machine with 64 processors.
    "ring-of-1",
    "ring-of-1023",
    // No context is the kernel's: every request is carried out inside io_submit.
    "inline",
    // Both, on a 64-bit kernel.
    "inline-i386",
    "amd64",
    "i386",
    "arm64",
    "s390x",
];

/// What decides whether a program's answers are right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// They are the original's.
    Original,
    /// They are those of the `.expected` file, and the original's where it does not die.
    ExpectedWhereTheOriginalDies,
    /// They are those of the `.expected` file. The original is not asked.
    Expected,
    /// They name the library that is asked for.
    Library,
    /// Another test runs it.
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
            return Err(format!("{}: has it an .expected file?", program.name));
        }
        Ok(program)
    }

    /// Whether it runs in a way that is described by these words.
    pub fn runs(&self, words: &[&str]) -> bool {
        self.measure != Measure::Elsewhere && !self.not.iter().any(|not| words.contains(&&not[..]))
    }

    pub fn expected(&self) -> PathBuf {
        self.source.with_extension("expected")
    }

    /// What it prints differently in ways of a word, if that is anything.
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

/// The lines at the top. A program without one, or with one that nobody understands, is an error.
fn heads(text: &str) -> Result<(Measure, Vec<String>), String> {
    let mut measures = Vec::new();
    let (mut not, mut everywhere) = (Vec::new(), false);
    for line in text.lines() {
        let Some(head) = line.strip_prefix("/* runs: ") else {
            break;
        };
        let head = head.strip_suffix(" */").ok_or("one line each")?;
        if head == "everywhere" {
            everywhere = true;
            continue;
        }
        let (place, why) = head.split_once(": ").ok_or("does not say why")?;
        if why.is_empty() {
            return Err("does not say why".to_string());
        }
        match place.split_once(' ') {
            Some(("not", word)) if WORDS.contains(&word) => not.push(word.to_string()),
            Some(("against", ".expected")) => measures.push(Measure::ExpectedWhereTheOriginalDies),
            Some(("without", "the original")) => measures.push(Measure::Expected),
            Some(("to", "name the library")) => measures.push(Measure::Library),
            Some(("only", test)) if is_a_test(test) => measures.push(Measure::Elsewhere),
            _ => return Err(format!("runs \"{place}\"?")),
        }
    }
    let says_more = !measures.is_empty() || !not.is_empty();
    if everywhere == says_more || measures.len() > 1 {
        return Err("says too little or too much about where it runs".to_string());
    }
    Ok((measures.pop().unwrap_or(Measure::Original), not))
}

fn is_a_test(place: &str) -> bool {
    place
        .strip_prefix("in ")
        .is_some_and(|file| file.starts_with("tests/") && root().join(file).exists())
}

/// All that are in c-tests/, in the order of their names.
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

/// What the lines may not say.
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
