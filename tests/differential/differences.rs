//! What a program prints differently in the ways that have a word: c-tests/NAME.WORD.differences.
//! The list is applied to the expected output, so every other line must be the original's.
//!
//! Each entry begins with the reason, in lines that start with `# `. The other lines are as in
//! `diff -u`: ` ` marks a common line that shows the place, `-` a line of the original's, and `+` a
//! line of ours that replaces it.

use crate::program::{Program, WORDS};
use crate::support::root;
use std::path::Path;

#[derive(Debug, Default)]
struct Entry {
    theirs: Vec<String>,
    ours: Vec<String>,
}

/// The entries, in the order of the output.
fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut is_why = false;
    for line in text.lines() {
        if let Some(why) = line.strip_prefix('#') {
            if !why.starts_with(' ') || why.trim().is_empty() {
                return Err(format!("\"{line}\" contains no reason"));
            }
            if !is_why {
                entries.push(Entry::default());
            }
            is_why = true;
            continue;
        }
        is_why = false;
        let entry = entries.last_mut().ok_or("the first entry has no reason")?;
        let (theirs, ours) = match line.as_bytes().first() {
            Some(b' ') => (true, true),
            Some(b'-') => (true, false),
            Some(b'+') => (false, true),
            _ => return Err(format!("\"{line}\" begins with none of `#`, ` `, `-`, `+`")),
        };
        if theirs {
            entry.theirs.push(line[1..].to_string());
        }
        if ours {
            entry.ours.push(line[1..].to_string());
        }
    }
    if entries.is_empty() {
        return Err("lists nothing".to_string());
    }
    for entry in &entries {
        if entry.theirs.is_empty() {
            return Err(format!("{entry:?} has no line of the original's"));
        }
        if entry.theirs == entry.ours {
            return Err(format!("{entry:?} is no difference"));
        }
    }
    Ok(entries)
}

/// Applies each entry at the first place after the previous entry that has its lines.
fn applied(entries: &[Entry], printed: &str) -> Result<String, String> {
    let mut left: Vec<&str> = printed.lines().collect();
    let mut text = String::new();
    let mut say = |line: &str| text.extend([line, "\n"]);
    for entry in entries {
        let length = entry.theirs.len();
        let place = left.windows(length).position(|lines| lines == entry.theirs);
        let place = place.ok_or_else(|| {
            let theirs = entry.theirs.join("\n");
            format!("the original does not print:\n{theirs}\n\nIt prints:\n{printed}")
        })?;
        left.drain(..place).for_each(&mut say);
        left.drain(..length);
        entry.ours.iter().for_each(|line| say(line));
    }
    left.into_iter().for_each(say);
    Ok(text)
}

/// The expected output: `printed` with the differences applied.
pub fn apply(list: &Path, printed: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(list).map_err(|error| error.to_string())?;
    parse(&text)
        .and_then(|entries| applied(&entries, printed))
        .map_err(|error| format!("{}: {error}", list.display()))
}

/// Every list must be one that some way reads. Otherwise no test would check it.
pub fn belong_to_programs(programs: &[Program]) -> Result<(), String> {
    for file in std::fs::read_dir(root().join("c-tests")).map_err(|error| error.to_string())? {
        let file = file.map_err(|error| error.to_string())?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.ok_or("not UTF-8")?;
        let Some(stem) = name.strip_suffix(".differences") else {
            continue;
        };
        let (program, word) = stem
            .split_once('.')
            .ok_or(format!("{name}: the name lacks a word"))?;
        let is_read = |its: &&Program| its.name == program && its.runs(&[word]);
        if !WORDS.contains(&word) || !programs.iter().any(|its| is_read(&its)) {
            return Err(format!("{name}: no program runs in ways with this word"));
        }
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        parse(&text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// Lists with the result of applying each; None if the list is invalid.
pub fn wrong_lists_are_refused() -> Result<(), String> {
    for wrong in [
        "",
        "-a\n+b",
        "#\n-a\n+b",
        "# Why.\n-a\n+a",
        "# Why.\n a",
        "# Why.\n+b",
        "# Why.\n-a\n\n+b",
        "# Why.\na",
        "# Why.\n-a\n+b\n# And?",
    ] {
        if let Ok(entries) = parse(wrong) {
            return Err(format!("{wrong}: {entries:?}"));
        }
    }
    let printed = "a\nb\na\nb\nc\n";
    for (list, expected) in [
        ("# Why.\n-a\n+x", Some("x\nb\na\nb\nc\n")),
        (
            "# Why.\n-a\n+x\n# And.\n-a\n+y\n+z",
            Some("x\nb\ny\nz\nb\nc\n"),
        ),
        ("# Why.\n b\n-c", Some("a\nb\na\nb\n")),
        ("# Why,\n# in two lines.\n-b\n-c\n+x", Some("a\nb\na\nx\n")),
        ("# Why.\n-c\n+x\n# No such line follows.\n-a\n+y", None),
        ("# Why.\n-a\n-c\n+x", None),
        ("# Why.\n-d\n+x", None),
    ] {
        let found = parse(list)
            .and_then(|entries| applied(&entries, printed))
            .ok();
        if found.as_deref() != expected {
            return Err(format!("{list}: {found:?}"));
        }
    }
    Ok(())
}
