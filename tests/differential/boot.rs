//! A machine that a script boots once: every program is there over both libraries, in directories
//! of their names, and what each printed is read afterwards. See scripts/boot.sh.

use crate::machine::{Answers, Machine, Over};
use crate::program::{self, Measure};
use crate::support::{attempt, ours, report, result, root, text};
use crate::way::Linking;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// What is run besides the programs, over ours, where it is linked for it.
pub const STRESS: &str = "stress";

pub struct Boot {
    script: String,
    life: OnceLock<Result<Life, String>>,
}

/// What is left of a machine.
struct Life {
    place: TempDir,
    not_built: HashMap<(String, Over), String>,
    console: String,
}

fn directory(over: Over) -> &'static str {
    match over {
        Over::Original => "original",
        Over::Ours => "ours",
    }
}

impl Boot {
    pub fn new(script: String) -> Boot {
        Boot {
            script,
            life: OnceLock::new(),
        }
    }

    /// The shared library's name there, beside the programs.
    pub fn library(over: Over) -> PathBuf {
        Path::new("/disk").join(directory(over)).join("libaio.so.1")
    }

    /// What the program of that name printed. Whoever is first boots the machine.
    pub fn answers(&self, machine: &Machine, name: &str, over: Over) -> Result<Answers, String> {
        let life = self.life.get_or_init(|| self.live(machine)).as_ref()?;
        if let Some(error) = life.not_built.get(&(name.to_string(), over)) {
            return Err(error.clone());
        }
        let results = life.place.path().join("results").join(directory(over));
        let read = |what: &str| {
            let bytes = std::fs::read(results.join(format!("{name}.{what}"))).unwrap_or_default();
            text(&bytes)
        };
        let status = read("status");
        Answers::new(status.trim().parse().ok(), read("out")).ok_or_else(|| {
            format!(
                "{}/{name}: status {status}\n{}{}",
                directory(over),
                read("out"),
                life.said_by(&format!("{}/{name}", directory(over)))
            )
        })
    }

    fn live(&self, machine: &Machine) -> Result<Life, String> {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let place = place.map_err(|error| error.to_string())?;
        let not_built = fill(machine, &place.path().join("files"))
            .map_err(|error| format!("{}: {error}", place.path().display()))?;
        let mut boot = Command::new(&self.script);
        let output = attempt(boot.arg(place.path()));
        let console = std::fs::read(place.path().join("console")).unwrap_or_default();
        let console = text(&console).replace('\r', "");
        if !output.status.success() {
            return Err(format!("{}\n{console}", report(&boot, &output)));
        }
        print!("{}", text(&output.stdout));
        let running = console
            .lines()
            .find_map(|line| line.split_once("init: Linux "));
        let (_, version) = running.ok_or_else(|| format!("no Linux:\n{console}"))?;
        result(&format!("Linux {version}"));
        Ok(Life {
            place,
            not_built,
            console,
        })
    }
}

impl Life {
    /// What the console shows of a program: standard error, which nobody compares.
    fn said_by(&self, name: &str) -> String {
        let lines = self.console.lines();
        lines
            .skip_while(|line| !line.ends_with(&format!("init: {name}")))
            .skip(1)
            .take_while(|line| !line.contains("init: "))
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

/// Builds every program into the directory that the machine gets; returns which could not be.
fn fill(
    machine: &Machine,
    files: &Path,
) -> Result<HashMap<(String, Over), String>, std::io::Error> {
    let way = &machine.oracle;
    let mut not_built = HashMap::new();
    let mut list = String::new();
    for directory in ["ours", "original", "work"] {
        std::fs::create_dir_all(files.join(directory))?;
    }
    let programs = program::all().into_iter();
    for program in programs.filter(|program| program.runs(&way.words())) {
        for over in [Over::Ours, Over::Original] {
            // It would not live to say anything.
            if over == Over::Original && program.measure == Measure::Expected {
                continue;
            }
            let name = format!("{}/{}", directory(over), program.name);
            let file = files.join(&name);
            let built = if way.linking == Linking::Beside && over == Over::Original {
                // The very file that ours serves, too.
                let the_other = files.join(directory(Over::Ours)).join(&program.name);
                std::fs::copy(the_other, &file)
                    .map(drop)
                    .map_err(|error| error.to_string())
            } else {
                let library = machine.library(over);
                way.compile(&program.source, library, machine.original, &file)
            };
            match built {
                Ok(()) => list.push_str(&format!("{name}\n")),
                Err(error) => {
                    not_built.insert((program.name.clone(), over), error);
                }
            }
        }
    }
    if way.linking == Linking::Beside {
        let stress = root().join("tests/stress.c");
        let file = files.join(directory(Over::Ours)).join(STRESS);
        match way.compile(&stress, ours(), machine.original, &file) {
            Ok(()) => list.push_str("ours/stress 10 50000\n"),
            Err(error) => {
                not_built.insert((STRESS.to_string(), Over::Ours), error);
            }
        }
        for over in [Over::Ours, Over::Original] {
            let place = files.join(directory(over)).join("libaio.so.1");
            std::fs::copy(&machine.library(over).shared, place)?;
        }
    }
    std::fs::write(files.join("list"), list)?;
    Ok(not_built)
}
