//! A machine that a script boots once. It runs every program over both libraries, in a directory
//! for each, and the tests read the output afterwards. See scripts/check/emulation/boot.sh.

use crate::machine::{Answers, Machine, Over};
use crate::program::{self, Measure, Program};
use crate::support::{attempt, launcher, ours, reaps, report, result, root, text};
use crate::way::{Linking, Way};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// A test that runs in addition to the programs, over our library.
pub struct LockTest {
    pub name: &'static str,
    arguments: &'static str,
    /// The exit status if it passes.
    pub status: i32,
    /// Whether a script has built it, in LIBAIO_RS_LOCK_TESTS.
    is_built: bool,
}

const LOCK_TESTS: [LockTest; 3] = [
    LockTest {
        name: "stress",
        arguments: "10 50000",
        status: 0,
        is_built: false,
    },
    LockTest {
        name: "stress_without_lock",
        arguments: "20 0 steady",
        status: 1,
        is_built: true,
    },
    LockTest {
        name: "lock_threads",
        arguments: "--nocapture --test-threads=1 restartable",
        status: 0,
        is_built: true,
    },
];

/// The tests for a machine; none unless all programs run there and the library reaps in user space.
pub fn lock_tests(machine: &Machine) -> impl Iterator<Item = &'static LockTest> {
    let has_built = std::env::var_os("LIBAIO_RS_LOCK_TESTS").is_some();
    let tests = LOCK_TESTS.iter();
    let some = reaps() && machine.is_for_all();
    tests.filter(move |test| some && (has_built || !test.is_built))
}

pub struct Boot {
    script: String,
    life: OnceLock<Result<Life, String>>,
}

/// What remains after the machine has stopped.
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

    /// The path of the shared library on the machine, in the directory of its programs.
    pub fn library(over: Over) -> PathBuf {
        Path::new("/disk").join(directory(over)).join("libaio.so.1")
    }

    /// The output of a program. The first call boots the machine.
    pub fn answers(
        &self,
        machine: &Machine,
        name: &str,
        over: Over,
        way: &Way,
    ) -> Result<Answers, String> {
        let suffix = match over {
            Over::Original => "",
            Over::Ours => way.environment.suffix,
        };
        self.ended(machine, name, suffix, over, Answers::new)
    }

    /// The same, if `judge` accepts the status and the output.
    pub fn ended<T>(
        &self,
        machine: &Machine,
        name: &str,
        suffix: &str,
        over: Over,
        judge: impl FnOnce(Option<i32>, String) -> Option<T>,
    ) -> Result<T, String> {
        let life = self.life.get_or_init(|| self.live(machine)).as_ref()?;
        if let Some(error) = life.not_built.get(&(name.to_string(), over)) {
            return Err(error.clone());
        }
        let results = life.place.path().join("results").join(directory(over));
        let read = |what: &str| {
            let file = results.join(format!("{name}{suffix}.{what}"));
            let bytes = std::fs::read(file).unwrap_or_default();
            text(&bytes)
        };
        let status = read("status");
        judge(status.trim().parse().ok(), read("out")).ok_or_else(|| {
            format!(
                "{}/{name}{suffix}: status {status}\n{}{}",
                directory(over),
                read("out"),
                life.said_by(&format!("{}/{name}{suffix}", directory(over)))
            )
        })
    }

    /// Removes the results. Needed because a static, which the trials share, is never dropped.
    pub fn remove(&self) {
        if let Some(Ok(life)) = self.life.get() {
            let place = life.place.path();
            std::fs::remove_dir_all(place)
                .unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        }
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
    /// A program's standard error, which is on the console and is not compared.
    fn said_by(&self, name: &str) -> String {
        let lines = self.console.lines();
        lines
            .skip_while(|line| {
                let said = line.split_once("init: ").map(|(_, said)| said);
                said.and_then(|said| said.split(' ').next()) != Some(name)
            })
            .skip(1)
            .take_while(|line| !line.contains("init: "))
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

/// The lines with which init.c runs a program over our library, one for each environment.
fn lines<'a>(machine: &'a Machine, program: &'a Program) -> impl Iterator<Item = String> + 'a {
    let ways = machine.ways.iter().filter(|way| program.runs(&way.words()));
    ways.map(|way| {
        let name = format!("{}/{}", directory(Over::Ours), program.name);
        let launch = way.launch("/disk/refuse", &format!("/disk/{name}"));
        match way.environment.suffix {
            "" => format!("{name}\n"),
            suffix => format!("{name}{suffix} = {launch}\n"),
        }
    })
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
    for program in program::all() {
        if !machine.runs(&program, way) || machine.incomparable.contains(&program.name) {
            continue;
        }
        for over in [Over::Ours, Over::Original] {
            // It would be killed before it prints anything.
            if over == Over::Original && program.measure == Measure::Expected {
                continue;
            }
            let name = format!("{}/{}", directory(over), program.name);
            let file = files.join(&name);
            let built = if way.linking == Linking::Beside && over == Over::Original {
                // The same file also runs over our library.
                let the_other = files.join(directory(Over::Ours)).join(&program.name);
                std::fs::copy(the_other, &file)
                    .map(drop)
                    .map_err(|error| error.to_string())
            } else {
                let library = machine.library(over);
                way.compile(&program.source, library, machine.original, &file)
            };
            match built {
                Ok(()) if over == Over::Original => list.push_str(&format!("{name}\n")),
                Ok(()) => list.extend(lines(machine, &program)),
                Err(error) => {
                    not_built.insert((program.name.clone(), over), error);
                }
            }
        }
    }
    for test in lock_tests(machine) {
        let file = files.join(directory(Over::Ours)).join(test.name);
        let built =
            if let (true, Ok(place)) = (test.is_built, std::env::var("LIBAIO_RS_LOCK_TESTS")) {
                let copied = std::fs::copy(Path::new(&place).join(test.name), &file);
                copied.map(drop).map_err(|error| error.to_string())
            } else {
                let stress = root().join("tests/stress.c");
                way.compile(&stress, ours(), machine.original, &file)
            };
        match built {
            Ok(()) => list.push_str(&format!("ours/{} {}\n", test.name, test.arguments)),
            Err(error) => {
                not_built.insert((test.name.to_string(), Over::Ours), error);
            }
        }
    }
    if way.linking == Linking::Beside {
        for over in [Over::Ours, Over::Original] {
            let place = files.join(directory(over)).join("libaio.so.1");
            std::fs::copy(&machine.library(over).shared, place)?;
        }
    }
    if machine.ways.iter().any(|way| way.is_refused()) {
        std::fs::copy(launcher(), files.join("refuse"))?;
    }
    std::fs::write(files.join("list"), list)?;
    Ok(not_built)
}
