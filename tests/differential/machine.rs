//! Where programs run: this machine, or one for which a script has fetched what it takes.

use crate::boot::Boot;
use crate::program::Program;
use crate::support::{attempt, has, ours, report, root, run, scratch, skip, text, Installation};
use crate::way::{Compiler, Linking, Way};
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Over {
    Original,
    Ours,
}

/// What a program printed; only that it cannot run here, if it says so.
#[derive(Clone)]
pub struct Answers {
    pub printed: String,
    pub can_run: bool,
}

impl Answers {
    /// By the status with which it ended, 77 if it cannot run.
    pub fn new(status: Option<i32>, printed: String) -> Option<Answers> {
        match status {
            Some(0) if !printed.is_empty() => Some(Answers {
                printed,
                can_run: true,
            }),
            Some(77) => Some(Answers {
                printed: "cannot run here\n".to_string(),
                can_run: false,
            }),
            _ => None,
        }
    }
}

pub struct Machine {
    /// Empty for this one.
    pub name: String,
    pub original: &'static Installation,
    ours: Option<&'static Installation>,
    pub ways: Vec<Way>,
    /// The way in which the original is asked.
    pub oracle: Way,
    /// If its programs run all at once on a machine that is booted for them.
    pub boot: Option<Boot>,
}

impl Machine {
    pub fn here(original: &'static Installation) -> Machine {
        let has_musl = has("musl-gcc");
        if !has_musl {
            skip("differential tests over musl", "musl-gcc is not installed");
        }
        let ways = Way::here(has_musl);
        Machine {
            name: String::new(),
            original,
            ours: None,
            oracle: ways[0].clone(),
            ways,
            boot: None,
        }
    }

    /// The one that a script says: see scripts/differential.sh.
    pub fn from_environment() -> Option<Machine> {
        let optional = |name: &str| std::env::var(format!("LIBAIO_RS_{name}")).ok();
        let needed =
            |name: &str| optional(name).unwrap_or_else(|| panic!("LIBAIO_RS_{name} is not set"));
        let name = optional("MACHINE")?;
        let compiler = Compiler::Cross {
            prefix: needed("COMPILER"),
            libraries: optional("LIBRARIES").map(PathBuf::from),
        };
        let boot = optional("BOOT").map(Boot::new);
        let mut ways = Vec::new();
        for way in needed("WAYS").split_whitespace() {
            let linking = match way.strip_suffix("_time64").unwrap_or(way) {
                "linked" => Linking::Linked,
                "static" => Linking::Static,
                "preloaded" => Linking::Preloaded,
                "beside" => Linking::Beside,
                _ => panic!("LIBAIO_RS_WAYS: there is no way {way}"),
            };
            ways.push(Way {
                name: format!("{name}_{way}"),
                linking,
                compiler: compiler.clone(),
                cpu: needed("CPU"),
                time64: way.ends_with("_time64"),
                environment: &[],
            });
        }
        assert!(
            boot.is_none() || ways.len() == 1,
            "a booted machine has one way"
        );
        Some(Machine {
            original: unpacked(Path::new(&needed("ORIGINAL")), &format!("{name}-original")),
            ours: Some(built(Path::new(&needed("OURS")), &format!("{name}-ours"))),
            oracle: ways.first().expect("LIBAIO_RS_WAYS has a way").clone(),
            name,
            ways,
            boot,
        })
    }

    /// On this machine it is built when it is first asked for.
    pub fn ours(&self) -> &'static Installation {
        self.ours.unwrap_or_else(ours)
    }

    pub fn library(&self, over: Over) -> &'static Installation {
        match over {
            Over::Original => self.original,
            Over::Ours => self.ours(),
        }
    }

    /// What the program prints.
    pub fn answers(&self, program: &Program, over: Over, way: &Way) -> Result<Answers, String> {
        if let Some(boot) = &self.boot {
            return boot.answers(self, &program.name, over);
        }
        let place = scratch();
        let file = place.path().join("program");
        let library = self.library(over);
        way.compile(&program.source, library, self.original, &file)?;
        let mut command = way.command(&file, library);
        let output = attempt(command.current_dir(place.path()));
        Answers::new(output.status.code(), text(&output.stdout))
            .ok_or_else(|| report(&command, &output))
    }

    /// The file that serves a program, by its name where the program runs.
    pub fn file(&self, over: Over, way: &Way) -> Option<PathBuf> {
        match way.linking {
            Linking::Beside => Some(Boot::library(over)),
            _ => way.file(self.library(over)),
        }
    }
}

/// A libaio that was unpacked below a directory.
fn unpacked(root: &Path, place: &str) -> &'static Installation {
    let find = |name: &str| {
        let found = run(Command::new("find").arg(root).args(["-name", name]));
        let found = text(&found.stdout).lines().next().map(PathBuf::from);
        found.unwrap_or_else(|| panic!("no {name} in {}", root.display()))
    };
    let (shared, archive) = (find("libaio.so.1"), find("libaio.a"));
    install(root.join("usr/include"), &shared, archive, place)
}

/// What `make` has built in a directory.
fn built(directory: &Path, place: &str) -> &'static Installation {
    let (shared, archive) = (
        directory.join("libaio.so.1.0.2"),
        directory.join("libaio.a"),
    );
    install(root().join("include"), &shared, archive, place)
}

/// The shared library, under the two names by which programs are linked and started.
fn install(
    include: PathBuf,
    shared: &Path,
    archive: PathBuf,
    place: &str,
) -> &'static Installation {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(place);
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("the target directory is writable");
    let installed = place.join("libaio.so.1");
    std::fs::copy(shared, &installed).unwrap_or_else(|error| panic!("{shared:?}: {error}"));
    std::os::unix::fs::symlink("libaio.so.1", place.join("libaio.so")).expect("it is empty");
    Box::leak(Box::new(Installation {
        include,
        shared: installed,
        archive,
    }))
}
