//! Where programs run: this machine, or another one for which a script has fetched the libraries
//! and emulator.

use crate::boot::Boot;
use crate::program::Program;
use crate::support::{attempt, has, ours, report, scratch, skip, text, Installation};
use crate::way::{Compiler, Linking, Way, ENVIRONMENTS};
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Over {
    Original,
    Ours,
}

/// A program's output, or that it cannot run here.
#[derive(Clone)]
pub struct Answers {
    pub printed: String,
    pub can_run: bool,
}

impl Answers {
    /// Decides by the exit status: 77 means that it cannot run here.
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
    /// This machine, not one that a script has fetched.
    pub is_here: bool,
    pub original: &'static Installation,
    pub ways: Vec<Way>,
    /// The way in which programs run over the original.
    pub oracle: Way,
    /// If a script boots the machine once for all programs.
    pub boot: Option<Boot>,
    /// Names of programs for which the machine's original prints something else.
    pub incomparable: Vec<String>,
    /// Names of the only programs that run there; None for all.
    only: Option<Vec<String>>,
}

impl Machine {
    pub fn here(original: &'static Installation) -> Machine {
        let has_musl = has("musl-gcc");
        if !has_musl {
            skip("differential tests over musl", "musl-gcc is not installed");
        }
        let ways = Way::here(has_musl);
        Machine {
            is_here: true,
            original,
            oracle: ways[0].clone(),
            ways,
            boot: None,
            incomparable: Vec::new(),
            only: None,
        }
    }

    /// The machine that a script describes in the environment: scripts/shared/differential.sh.
    pub fn from_environment(original: &'static Installation) -> Option<Machine> {
        let optional = |name: &str| std::env::var(format!("LIBAIO_RS_{name}")).ok();
        let words = |text: String| text.split_whitespace().map(String::from).collect();
        let needed =
            |name: &str| optional(name).unwrap_or_else(|| panic!("LIBAIO_RS_{name} is not set"));
        let name = optional("MACHINE")?;
        let compiler = Compiler::Foreign(optional("LIBRARIES").map(PathBuf::from));
        let boot = optional("BOOT").map(Boot::new);
        let mut ways = Vec::new();
        for name_of_way in needed("WAYS").split_whitespace() {
            let environment = ENVIRONMENTS
                .iter()
                .rfind(|environment| name_of_way.ends_with(environment.suffix))
                .expect("the first has no suffix");
            let way = name_of_way
                .strip_suffix(environment.suffix)
                .unwrap_or(name_of_way);
            let linking = match way.strip_suffix("_time64").unwrap_or(way) {
                "linked" => Linking::Linked,
                "static" => Linking::Static,
                "preloaded" => Linking::Preloaded,
                "beside" => Linking::Beside,
                _ => panic!("LIBAIO_RS_WAYS: there is no way {way}"),
            };
            ways.push(Way {
                name: format!("{name}_{name_of_way}"),
                linking,
                compiler: compiler.clone(),
                time64: way.ends_with("_time64"),
                environment,
            });
        }
        let is_built_alike = |way: &Way| way.linking == ways[0].linking && !way.time64;
        assert!(
            boot.is_none() || ways.iter().all(is_built_alike),
            "the programs of a booted machine are built in one way"
        );
        Some(Machine {
            is_here: false,
            original,
            oracle: ways.first().expect("LIBAIO_RS_WAYS has a way").clone(),
            ways,
            boot,
            incomparable: words(optional("INCOMPARABLE").unwrap_or_default()),
            only: optional("ONLY").map(words),
        })
    }

    pub fn library(&self, over: Over) -> &'static Installation {
        match over {
            Over::Original => self.original,
            Over::Ours => ours(),
        }
    }

    /// Whether all programs run there.
    pub fn is_for_all(&self) -> bool {
        self.only.is_none()
    }

    /// Whether a program runs there in a way.
    pub fn runs(&self, program: &Program, way: &Way) -> bool {
        let has = |only: &Vec<String>| only.contains(&program.name);
        program.runs(&way.words()) && self.only.as_ref().map_or(true, has)
    }

    /// The program's output.
    pub fn answers(&self, program: &Program, over: Over, way: &Way) -> Result<Answers, String> {
        if let Some(boot) = &self.boot {
            return boot.answers(self, &program.name, over, way);
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

    /// The path of the library's file, as the program sees it.
    pub fn file(&self, over: Over, way: &Way) -> Option<PathBuf> {
        match way.linking {
            Linking::Beside => Some(Boot::library(over)),
            _ => way.file(self.library(over)),
        }
    }
}
