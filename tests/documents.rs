//! The documents: the commands in them are run here, and their links must lead somewhere.
//!
//! A fenced block of a Markdown file is checked by its language.
//!
//! * `console`: lines that begin with `$ ` are commands (a `\`, a `|` or a `&&` at their end
//!   continues them), the lines after each are its output. All commands of a file run one after
//!   the other in one shell, in a copy of the checkout, and each must succeed. Its output must be
//!   what the file shows, where `...` stands for any lines and `[..]` for any part of a line.
//! * `ini`, `dockerfile`, `c`: checked by systemd, the shell and the compiler.
//! * `text`: a diagram, or the output of other programs. Not checked.
//!
//! Comments before a block change that:
//!
//! * `<!-- example output -->`: the lines shown must come in this order, but figures and dates may
//!   differ, and other lines may come between.
//! * `<!-- first: COMMAND -->`: run before the block; the reader does not see it.
//! * `<!-- save as: FILE -->`: the block is written to a file, for commands after it.
//! * `<!-- not run: REASON -->`: only the shell's grammar is checked. `NOT RUN` lines name them.
//!
//! The table of docs/testing.md must have a row for each check of the Makefile and each test file.
//!
//! The shell is root in namespaces of its own. It can write to /usr, /etc and /var, but only in
//! temporary layers, and its processes end with it. So `sudo make install` and `ldconfig` run as
//! they are written.

mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use snapbox::IntoData;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{attempt, cc, has, ours, report, root, run, scratch, skip, text};

/// The programs that the commands of a document need, apart from a C compiler and make.
const NEEDS: [(&str, &[&str]); 3] = [
    ("README.md", &["fio", "pkg-config"]),
    ("docs/switching.md", &["fio", "ldd"]),
    ("docs/troubleshooting.md", &["fio", "strace"]),
];

/// Written by `make bench`, which takes long and measures correctly only on a quiet machine.
const WRITTEN_BY_BENCH: &str = "docs/benchmarks.svg";

/// The page whose table lists all checks; commands write their results to it.
const TESTING_PAGE: &str = "docs/testing.md";

/// The target in that table that always writes to a page of its own.
const WRITES_ITS_OWN_PAGE: &str = "bench";

/// What a comment before a block may begin with.
const MARKS: [&str; 4] = ["example output", "first: ", "save as: ", "not run: "];

/// Every Markdown file, by its path in the checkout.
fn documents() -> Vec<String> {
    fn walk(directory: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).expect("the checkout can be read") {
            let path = entry.expect("the checkout can be read").path();
            let name = path.file_name().expect("below it").to_string_lossy();
            let skipped = ["target", "build", "vendor"].contains(&&*name);
            if path.is_dir() && !path.is_symlink() && !skipped && !name.starts_with('.') {
                walk(&path, found);
            } else if name.ends_with(".md") {
                let path = path.strip_prefix(root()).expect("below it");
                found.push(path.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), &mut found);
    found.sort();
    found
}

fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).expect("documents are text")
}

struct Block {
    line: usize,
    language: String,
    text: String,
    /// The comments before it.
    marks: Vec<String>,
}

impl Block {
    fn mark(&self, word: &str) -> Option<&str> {
        self.marks.iter().find_map(|mark| mark.strip_prefix(word))
    }
}

fn blocks(document: &str) -> Vec<Block> {
    let markdown = read(document);
    let mut blocks: Vec<Block> = Vec::new();
    let mut marks = Vec::new();
    let mut inside = false;
    for (event, range) in Parser::new(&markdown).into_offset_iter() {
        match event {
            Event::Html(html) => {
                let comment = html.trim().strip_prefix("<!--");
                let comment = comment.and_then(|comment| comment.strip_suffix("-->"));
                marks.extend(comment.map(|comment| comment.trim().to_string()));
            }
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => (),
            Event::Start(Tag::CodeBlock(kind)) => {
                for mark in &marks {
                    let known = MARKS.iter().any(|word| mark.starts_with(word));
                    assert!(known, "{document}: a comment before a block: {mark}");
                }
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => "indented".to_string(),
                };
                blocks.push(Block {
                    line: markdown[..range.start].lines().count() + 1,
                    language,
                    text: String::new(),
                    marks: std::mem::take(&mut marks),
                });
                inside = true;
            }
            Event::Text(part) if inside => {
                blocks
                    .last_mut()
                    .expect("inside of one")
                    .text
                    .push_str(&part);
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            _ => marks.clear(),
        }
    }
    blocks
}

struct Step {
    line: usize,
    command: String,
    output: String,
    /// Whether figures and other lines may differ.
    is_example: bool,
}

/// The commands of a console block, each with its output.
fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let is_example = block.mark("example output").is_some();
    let hidden = block
        .marks
        .iter()
        .filter_map(|mark| mark.strip_prefix("first: "));
    steps.extend(hidden.map(|command| Step {
        line: block.line,
        command: command.to_string(),
        output: "...\n".to_string(),
        is_example: false,
    }));
    let mut continued = false;
    for (at, line) in block.text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                line: block.line + 1 + at,
                command: command.to_string(),
                output: String::new(),
                is_example,
            });
        } else {
            let step = steps
                .last_mut()
                .expect("a console block begins with a command");
            let part = if continued {
                &mut step.command
            } else {
                &mut step.output
            };
            if continued {
                part.push('\n');
            }
            part.push_str(line);
            if !continued {
                part.push('\n');
            }
        }
        let command = &steps.last().expect("just added").command;
        let open = ["\\", "|", "&&", "||"]
            .iter()
            .any(|end| command.ends_with(end));
        continued = open && (continued || line.starts_with("$ "));
    }
    steps
}

/// The lines with `#` for every figure and name of a day or month, and one space for any blanks.
fn without_figures(output: &str) -> Vec<String> {
    let names = [
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let lines = output.split(['\n', '\r']).map(|line| {
        let mut rest = String::new();
        let mut word = String::new();
        for character in line.chars().chain([' ']) {
            if character.is_ascii_alphanumeric() || character == '.' {
                word.push(character);
                continue;
            }
            let varies = word.contains(|c: char| c.is_ascii_digit()) || names.contains(&&*word);
            rest.push_str(if varies { "#" } else { &word });
            word.clear();
            rest.push(character);
        }
        rest.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    lines.collect()
}

fn compare(step: &Step, printed: &str) -> Result<(), String> {
    if !step.is_example {
        let with_end = |output: &str| format!("{}\n", output.trim_end()).into_data();
        return snapbox::Assert::new()
            .try_eq(None, with_end(printed), with_end(&step.output))
            .map_err(|difference| difference.to_string());
    }
    let printed_lines = without_figures(printed);
    let mut left = printed_lines.iter();
    for shown in without_figures(step.output.trim_end()) {
        if !left.any(|line| *line == shown) {
            return Err(format!("nothing like \"{shown}\" in:\n{printed}"));
        }
    }
    Ok(())
}

/// Copies the checkout as a reader has it after `make`, without the files of tests and other
/// builds.
fn copy_checkout(to: &Path) {
    ours();
    let mut copy = Command::new("cp");
    copy.args(["-a", "-t"]).arg(to);
    for entry in std::fs::read_dir(root()).expect("the checkout can be read") {
        let name = entry.expect("the checkout can be read").file_name();
        let name = name.to_string_lossy();
        if !["target", "build", "vendor"].contains(&&*name) && !name.starts_with('.') {
            copy.arg(root().join(&*name));
        }
    }
    run(&mut copy);
    std::fs::create_dir(to.join("build")).expect("scratch is writable");
    run(Command::new("cp")
        .args(["-a", "-t"])
        .arg(to.join("build"))
        .args(
            [
                "shared.o",
                "static.o",
                "libaio.o",
                "libaio.a",
                "libaio.so.1.0.2",
            ]
            .map(|file| root().join("build").join(file)),
        ));
}

/// Puts layers over the directories that installing writes to; they end with the namespace. $1 is a
/// scratch directory with the copy of the checkout in it.
const SET_UP_NAMESPACE: &str = r#"set -e
mkdir "$1/layers" "$1/tmp"
mount -t tmpfs tmpfs "$1/layers"
mount --bind "$1/checkout" /mnt
for directory in usr etc var; do
	mkdir -p "$1/layers/$directory/upper" "$1/layers/$directory/work"
	layer=$1/layers/$directory
	mount -t overlay overlay /$directory \
		-o "lowerdir=/$directory,upperdir=$layer/upper,workdir=$layer/work"
done
PATH=$PATH:/usr/sbin:/sbin
cd /mnt
mount --bind "$1/tmp" /tmp
set +e
sudo() { "$@"; }
exec < /dev/null
"#;

/// Stands around each command's status, after its output; no document prints this byte.
const MARK: char = '\u{1}';

/// Runs a script in the reader's shell. None if namespaces are not available.
fn shell(script: &str) -> Option<String> {
    let place = scratch();
    let checkout = place.path().join("checkout");
    std::fs::create_dir(&checkout).expect("scratch is writable");
    copy_checkout(&checkout);
    let file = place.path().join("script");
    let is_root = text(&run(Command::new("id").arg("-u")).stdout).trim() == "0";
    let mut unshare = Command::new("timeout");
    unshare.args(["--kill-after=10", "300", "unshare"]);
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !is_root {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.arg("bash").arg(&file).arg(place.path());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO") || name.starts_with("LD_") || name.starts_with("MAKE") {
            unshare.env_remove(name);
        }
    }
    unshare.env("LC_ALL", "C").env("HOME", "/mnt");

    std::fs::write(&file, SET_UP_NAMESPACE).expect("scratch is writable");
    if !attempt(&mut unshare).status.success() {
        return None;
    }
    for made in ["layers", "tmp"] {
        std::fs::remove_dir_all(place.path().join(made)).expect("only this test is there");
    }
    std::fs::write(&file, format!("{SET_UP_NAMESPACE}exec 2>&1\n{script}"))
        .expect("scratch is writable");
    let output = attempt(&mut unshare);
    assert!(output.status.success(), "{}", report(&unshare, &output));
    Some(text(&output.stdout))
}

fn run_document(document: &str) -> Result<(), Failed> {
    let mut steps_of_all = Vec::new();
    for block in blocks(document) {
        if let Some(file) = block.mark("save as: ") {
            let command = format!("cat > {file} <<'END'\n{}END", block.text);
            let (line, output) = (block.line, String::new());
            steps_of_all.push(Step {
                line,
                command,
                output,
                is_example: false,
            });
        }
        if block.language != "console" {
            continue;
        }
        let steps = steps(&block);
        if let Some(reason) = block.mark("not run: ") {
            let place = format!("{document}:{}", block.line);
            check_grammar(&place, &steps)?;
            let _ = writeln!(std::io::stdout(), "NOT RUN {place}: {reason}");
            continue;
        }
        steps_of_all.extend(steps);
    }
    if steps_of_all.is_empty() {
        return Ok(());
    }
    let needs = NEEDS.iter().find(|(name, _)| *name == document);
    let needs = needs.map_or(&[][..], |(_, needs)| needs);
    if let Some(missing) = needs.iter().find(|program| !has(program)) {
        skip(document, &format!("{missing} is not installed"));
        return Ok(());
    }
    let mut script = String::new();
    for step in &steps_of_all {
        let _ = writeln!(script, "{}\nprintf '{MARK}%d{MARK}' $?", step.command);
    }
    script.push_str("exit 0\n");
    let Some(printed) = shell(&script) else {
        skip(
            document,
            "no namespaces: not root, and user namespaces are not allowed",
        );
        return Ok(());
    };
    let mut parts = printed.split(MARK);
    for step in &steps_of_all {
        let fail = |why: String| {
            let place = format!("{document}:{}", step.line);
            Failed::from(format!("{place}: $ {}\n{why}", step.command))
        };
        let (Some(output), Some(status)) = (parts.next(), parts.next()) else {
            return Err(fail(format!("it did not finish: {printed}")));
        };
        if status != "0" {
            return Err(fail(format!("status {status}: {output}")));
        }
        compare(step, output).map_err(fail)?;
    }
    Ok(())
}

/// Checks the grammar of the commands without running them.
fn check_grammar(place: &str, steps: &[Step]) -> Result<(), Failed> {
    let script: Vec<_> = steps.iter().map(|step| step.command.as_str()).collect();
    let mut shell = Command::new("bash");
    shell.args(["-n", "-c"]).arg(script.join("\n"));
    let output = attempt(&mut shell);
    if !output.status.success() || !output.stderr.is_empty() {
        return Err(format!("{place}: {}", report(&shell, &output)).into());
    }
    Ok(())
}

/// Checks the blocks that are not commands.
fn check_other_blocks(document: &str) -> Result<(), Failed> {
    for block in blocks(document) {
        let place = format!("{document}:{}", block.line);
        match &*block.language {
            "console" | "text" => Ok(()),
            "ini" => check_unit(&place, &block.text),
            "dockerfile" => check_dockerfile(&place, &block.text),
            "c" => compile(&place, &block.text),
            other => Err(format!("{place}: no check for a block in \"{other}\"").into()),
        }?;
    }
    Ok(())
}

/// Has systemd check a drop-in of a unit: it reports settings that it does not know. The first line
/// of the block is the file's name.
fn check_unit(place: &str, unit: &str) -> Result<(), Failed> {
    if !has("systemd-analyze") {
        skip(place, "systemd-analyze is not installed");
        return Ok(());
    }
    let file = unit
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# /etc/systemd/system/"));
    let file = file.ok_or(format!("{place}: no file name in the first line"))?;
    let directory = scratch();
    let drop_in = directory.path().join(file);
    let (of, _) = file
        .split_once(".d/")
        .ok_or(format!("{place}: {file} is not a drop-in"))?;
    std::fs::create_dir_all(drop_in.parent().expect("it has one")).expect("scratch is writable");
    std::fs::write(&drop_in, unit).expect("scratch is writable");
    let main = directory.path().join(of);
    std::fs::write(&main, "[Service]\nExecStart=/bin/true\n").expect("scratch is writable");
    let mut verify = Command::new("systemd-analyze");
    verify
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(&main);
    let output = attempt(&mut verify);
    // Other units of this machine may have faults too.
    let said = text(&output.stderr);
    match said
        .lines()
        .find(|line| line.contains(file) || line.contains(of))
    {
        Some(line) => Err(format!("{place}: {line}").into()),
        None => Ok(()),
    }
}

/// Checks the names of the instructions, and the shell's grammar after RUN. No tool can check more
/// without a container engine.
fn check_dockerfile(place: &str, file: &str) -> Result<(), Failed> {
    for line in file
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (instruction, rest) = line.split_once(' ').ok_or(format!("{place}: {line}"))?;
        match instruction {
            "RUN" => {
                let command = rest.to_string();
                let step = Step {
                    line: 0,
                    command,
                    output: String::new(),
                    is_example: false,
                };
                check_grammar(place, &[step])?;
            }
            "FROM" | "COPY" | "ENV" => (),
            other => return Err(format!("{place}: {other}?").into()),
        }
    }
    Ok(())
}

fn compile(place: &str, code: &str) -> Result<(), Failed> {
    let directory = scratch();
    let source = directory.path().join("block.c");
    std::fs::write(&source, code).expect("scratch is writable");
    let mut compile = cc();
    compile
        .args(["-Wall", "-Wextra", "-Werror", "-c", "-o"])
        .arg(directory.path().join("block.o"))
        .arg("-I")
        .arg(&ours().include)
        .arg(&source);
    let output = attempt(&mut compile);
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{place}: {}", report(&compile, &output)).into()),
    }
}

/// The anchors of a document's headings.
fn anchors(document: &Path) -> Vec<String> {
    let markdown = std::fs::read_to_string(document).expect("the document exists");
    let mut anchors = Vec::new();
    let mut heading: Option<String> = None;
    for event in Parser::new(&markdown) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let words = heading.take().expect("it began").to_lowercase();
                let kept = words
                    .chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                anchors.push(kept.collect::<String>().replace(' ', "-"));
            }
            _ => (),
        }
    }
    anchors
}

fn check_links(document: &str) -> Result<(), Failed> {
    let markdown = read(document);
    let here = root().join(document);
    for event in Parser::new(&markdown) {
        let (Event::Start(Tag::Link { dest_url, .. }) | Event::Start(Tag::Image { dest_url, .. })) =
            event
        else {
            continue;
        };
        if dest_url.contains("://") {
            continue;
        }
        let (path, anchor) = dest_url.split_once('#').unwrap_or((&dest_url, ""));
        let target: PathBuf = match path {
            "" => here.clone(),
            path => here.parent().expect("in a directory").join(path),
        };
        if !target.exists() {
            if target.ends_with(WRITTEN_BY_BENCH) {
                skip(
                    &format!("the link to {WRITTEN_BY_BENCH}"),
                    "make bench was not run",
                );
                continue;
            }
            return Err(format!("{document}: no {dest_url}").into());
        }
        if !anchor.is_empty() && !anchors(&target).iter().any(|found| found == anchor) {
            return Err(format!("{document}: no heading for {dest_url}").into());
        }
    }
    Ok(())
}

/// What docs/testing.md has rows for, between its markers: the first code in the second cell,
/// where scripts/shared/record.sh looks for it.
fn rows_of_table() -> Vec<String> {
    let table = results_table();
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'));
    let keys = rows.map(|row| {
        let row = row.replace("\\|", "\u{1}");
        let cells: Vec<_> = row.split('|').collect();
        assert_eq!(cells.len(), 7, "{TESTING_PAGE}: five cells in {row}");
        let key = cells[2].split('`').nth(1);
        key.unwrap_or_else(|| panic!("{TESTING_PAGE}: no code in the second cell of {row}"))
            .to_string()
    });
    keys.collect()
}

fn results_table() -> String {
    let page = read(TESTING_PAGE);
    let inside = page
        .split_once("<!-- recorded: begin -->")
        .and_then(|(_, rest)| rest.split_once("<!-- recorded: end -->"));
    inside.expect("the page has its markers").0.to_string()
}

/// Names of the Makefile's targets: all, and those that record their result.
struct Targets {
    all: Vec<String>,
    recorded: Vec<String>,
}

fn targets() -> Targets {
    let makefile = read("Makefile").replace("\\\n", " ");
    let (mut all, mut recorded) = (Vec::new(), Vec::new());
    let mut current: Vec<String> = Vec::new();
    for line in makefile.lines() {
        if line.starts_with('\t') {
            if line.contains("$(record)") {
                recorded.append(&mut current.clone());
            }
            continue;
        }
        let Some((names, rest)) = line.split_once(':') else {
            continue;
        };
        if !rest.starts_with('=') && !names.starts_with(['#', '.', '$', ' ']) {
            current = names.split_whitespace().map(str::to_string).collect();
            all.extend(current.clone());
        }
    }
    Targets { all, recorded }
}

/// The commands that `make` would run for a target.
fn would_run(target: &str, record: &str) -> Result<String, Failed> {
    let mut make = Command::new("make");
    make.current_dir(root())
        .args(["-n", target, record])
        .env_remove("MAKEFLAGS")
        .env_remove("RECORD");
    let output = attempt(&mut make);
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(report(&make, &output).into()),
    }
}

/// Every command in the table is a target that writes its row with RECORD=1, and only then.
fn rows_are_of_targets() -> Result<(), Failed> {
    let known = targets().all;
    let rows = rows_of_table();
    for row in &rows {
        let Some(target) = row.strip_prefix("make ") else {
            continue;
        };
        if !known.iter().any(|name| name == target) {
            return Err(
                format!("{TESTING_PAGE}: make {target} is not a target of the Makefile").into(),
            );
        }
        let recorder = format!("scripts/shared/record.sh {target} ");
        let asked = would_run(target, "RECORD=1")?;
        if !asked.contains(&recorder) && target != WRITES_ITS_OWN_PAGE {
            return Err(format!("make {target} RECORD=1 does not record: {asked}").into());
        }
        let not_asked = would_run(target, "RECORD=")?;
        if not_asked.contains("record.sh") {
            return Err(format!("make {target} records without RECORD=1: {not_asked}").into());
        }
    }
    let made = rows.iter().filter(|row| row.starts_with("make ")).count();
    match made {
        0..=9 => Err(format!("{TESTING_PAGE}: only {made} rows of commands").into()),
        _ => Ok(()),
    }
}

/// Every check of the Makefile has one row.
fn checks_have_rows() -> Result<(), Failed> {
    let rows = rows_of_table();
    let Targets { all, recorded } = targets();
    let checks = all.iter().filter(|target| target.ends_with("-check"));
    let mut seen = 0;
    for target in checks.chain(&recorded) {
        let count = rows
            .iter()
            .filter(|row| row.strip_prefix("make ") == Some(target))
            .count();
        if count != 1 {
            return Err(format!("{TESTING_PAGE}: make {target} has {count} rows").into());
        }
        seen += 1;
    }
    match seen {
        0..=9 => Err(format!("only {seen} checks found in the Makefile").into()),
        _ => Ok(()),
    }
}

/// Every test program has one row, every other file in tests/ is named, and no row is of a file
/// that does not exist.
fn test_files_have_rows() -> Result<(), Failed> {
    let rows = rows_of_table();
    let table = results_table();
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(root().join("tests")).expect("the checkout can be read") {
        let path = entry.expect("the checkout can be read").path();
        let file = match path.is_dir() {
            true => path.join("main.rs"),
            false => path,
        };
        if !file.exists() {
            continue;
        }
        let name = file.strip_prefix(root()).expect("below it");
        let name = name.display().to_string();
        if !table.contains(&format!("[`{name}`](../{name})")) {
            return Err(format!("{TESTING_PAGE}: {name} is not in the table").into());
        }
        if name.ends_with(".rs") {
            programs.push(name);
        }
    }
    let mut of_files: Vec<_> = rows
        .into_iter()
        .filter(|row| !row.starts_with("make "))
        .collect();
    of_files.sort();
    programs.sort();
    match of_files == programs {
        true => Ok(()),
        false => {
            Err(format!("{TESTING_PAGE}: rows {of_files:?}, test programs {programs:?}").into())
        }
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for document in documents() {
        type Check = fn(&str) -> Result<(), Failed>;
        let checks: [(&str, Check); 3] = [
            ("commands", run_document),
            ("blocks", check_other_blocks),
            ("links", check_links),
        ];
        for (name, check) in checks {
            let document = document.clone();
            let name = format!("{document}: {name}");
            trials.push(Trial::test(name, move || check(&document)));
        }
    }
    type OfTable = fn() -> Result<(), Failed>;
    let of_table: [(&str, OfTable); 3] = [
        ("commands of the table", rows_are_of_targets),
        ("checks of the Makefile", checks_have_rows),
        ("test files", test_files_have_rows),
    ];
    for (name, check) in of_table {
        trials.push(Trial::test(format!("{TESTING_PAGE}: {name}"), check));
    }
    libtest_mimic::run(&arguments, trials).exit();
}
