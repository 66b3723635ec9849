//! A way in which a program gets a library: how it is built, and how it is run.

use crate::support::{
    architecture, attempt, cargo_built, cc, cxx, musl_gcc, reaps, refuse, report, Installation,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Linking {
    /// Compiled with the library's header, linked with -laio.
    Linked,
    /// Compiled with the library's header, linked with libaio.a.
    Static,
    /// Built for the original, and ours preloaded.
    Preloaded,
    /// Built for the original, with the library of plain `cargo build` preloaded.
    PreloadedFromCargo,
    /// Built for the original, and started in a directory that contains the library.
    Beside,
}

#[derive(Clone, Debug)]
pub enum Compiler {
    /// This machine's, with its C library.
    Here,
    /// For musl.
    Musl,
    /// Another machine's, with the directory of its C library and loader if they are not installed.
    Foreign(Option<PathBuf>),
}

/// The environment of a program: variables, and refused system calls.
#[derive(Debug)]
pub struct Environment {
    /// The end of the way's name.
    pub suffix: &'static str,
    variables: &'static [(&'static str, &'static str)],
    /// What tests/refuse.c refuses. It never does over the original.
    refusal: Option<&'static str>,
    /// Its words, of `program::WORDS`.
    words: &'static [&'static str],
    /// The names of the ways that have it; all if empty.
    ways: &'static [&'static str],
}

/// Each row makes another way of each way that it names. The first row is the original's
/// environment. Machines that a script has fetched have no row with a filter: emulators support
/// none.
pub static ENVIRONMENTS: &[Environment] = &[
    Environment {
        suffix: "",
        variables: &[],
        refusal: None,
        words: &[],
        ways: &[],
    },
    Environment {
        suffix: "_auto",
        variables: AUTO,
        refusal: None,
        words: &["auto"],
        ways: &["linked"],
    },
    // Rung 2, or with two processors rung 3 from 63 requests on.
    Environment {
        suffix: "_auto_limit_1",
        variables: AUTO,
        refusal: Some("limit=1"),
        words: &["auto", "short-ring"],
        ways: REFUSED,
    },
    // Rung 4, for each of its reasons.
    Environment {
        suffix: "_auto_enosys",
        variables: AUTO,
        refusal: Some("enosys"),
        words: &["auto", "inline"],
        ways: REFUSED,
    },
    Environment {
        suffix: "_auto_eperm",
        variables: AUTO,
        refusal: Some("eperm"),
        words: &["auto", "inline"],
        ways: REFUSED,
    },
    Environment {
        suffix: "_auto_limit_0",
        variables: AUTO,
        refusal: Some("limit=0"),
        words: &["auto", "inline"],
        ways: REFUSED,
    },
    Environment {
        suffix: "_inline_kill",
        variables: &[("LIBAIO_RS_ENGINE", "inline")],
        refusal: Some("kill"),
        words: &["inline"],
        ways: REFUSED,
    },
    // For a booted machine with 64 processors. There, contexts for 1 and for 256 requests have the
    // same ring, and so do those for 1023 and 1024.
    Environment {
        suffix: "_ring_of_1",
        variables: AUTO,
        refusal: Some("limit=1"),
        words: &["auto", "ring-of-1"],
        ways: &["booted"],
    },
    Environment {
        suffix: "_ring_of_1023",
        variables: AUTO,
        refusal: Some("limit=1023"),
        words: &["auto", "ring-of-1023"],
        ways: &["booted"],
    },
    // For machines that a script has fetched: tests/refuse.c filters only this machine's calls.
    Environment {
        suffix: "_inline",
        variables: &[("LIBAIO_RS_ENGINE", "inline")],
        refusal: None,
        words: &["inline"],
        ways: &["foreign"],
    },
];

const AUTO: &[(&str, &str)] = &[("LIBAIO_RS_ENGINE", "auto")];
/// One way for each C library: the others are tested without a refusal.
const REFUSED: &[&str] = &["linked", "musl_linked"];

#[derive(Clone, Debug)]
pub struct Way {
    pub name: String,
    pub linking: Linking,
    pub compiler: Compiler,
    /// Whether times have 64 bits on a machine where the C library also has 32-bit ones.
    pub time64: bool,
    pub environment: &'static Environment,
}

impl Way {
    /// All ways of this machine.
    pub fn here(has_musl: bool) -> Vec<Way> {
        let mut ways = Vec::new();
        for environment in ENVIRONMENTS {
            for (name, compiler, linking) in [
                ("linked", Compiler::Here, Linking::Linked),
                ("static", Compiler::Here, Linking::Static),
                ("preloaded", Compiler::Here, Linking::Preloaded),
                (
                    "preloaded_from_cargo",
                    Compiler::Here,
                    Linking::PreloadedFromCargo,
                ),
                // The same file that glibc programs use.
                ("musl_linked", Compiler::Musl, Linking::Linked),
                ("musl_static", Compiler::Musl, Linking::Static),
            ] {
                if !environment.ways.is_empty() && !environment.ways.contains(&name) {
                    continue;
                }
                ways.push(Way {
                    name: format!("{name}{}", environment.suffix),
                    linking,
                    compiler,
                    time64: false,
                    environment,
                });
            }
        }
        ways.retain(|way| has_musl || !way.is_musl());
        ways
    }

    pub fn is_musl(&self) -> bool {
        matches!(self.compiler, Compiler::Musl)
    }

    fn is_static(&self) -> bool {
        self.linking == Linking::Static
    }

    /// Its words, of `program::WORDS`.
    pub fn words(&self) -> Vec<&'static str> {
        // musl registers no area for restartable sections.
        let reaps = reaps() && !self.is_musl();
        let is_preloaded = matches!(
            self.linking,
            Linking::Preloaded | Linking::PreloadedFromCargo
        );
        let is_inline = self.environment.words.contains(&"inline");
        let mut words = vec![cpu(), if self.is_musl() { "musl" } else { "glibc" }];
        for (holds, word) in [
            (self.is_static(), "static"),
            (is_preloaded, "preloaded"),
            (self.time64, "time64"),
            (!reaps, "reap-kernel"),
            (cpu() == "i386" && is_inline, "inline-i386"),
        ] {
            if holds {
                words.push(word);
            }
        }
        words.extend(self.environment.words);
        words
    }

    /// Builds the program of a source file, in its own directory.
    pub fn compile(
        &self,
        source: &Path,
        library: &Installation,
        original: &Installation,
        program: &Path,
    ) -> Result<(), String> {
        let built_for = match self.linking {
            Linking::Linked | Linking::Static => library,
            _ => original,
        };
        let is_cpp = source.extension() == Some(OsStr::new("cc"));
        let mut compile = match (self.is_musl(), is_cpp) {
            (true, _) => musl_gcc(program.parent().expect("in a directory")),
            (false, true) => cxx(),
            (false, false) => cc(),
        };
        compile
            .arg(if is_cpp { "-std=gnu++17" } else { "-std=gnu11" })
            .args(["-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
            .arg(&built_for.include)
            .arg("-o")
            .arg(program)
            .arg(source);
        if self.time64 {
            compile.args(["-D_TIME_BITS=64", "-D_FILE_OFFSET_BITS=64"]);
        }
        if self.is_static() && !matches!(self.compiler, Compiler::Here) {
            compile.arg("-static");
        }
        if self.is_static() {
            compile.arg("-DSTATIC").arg(&library.archive);
        } else {
            compile.arg("-L").arg(built_for.libdir()).arg("-laio");
        }
        if self.linking == Linking::Beside {
            compile.arg("-Wl,-rpath,$ORIGIN");
        }
        if let Compiler::Foreign(Some(libraries)) = &self.compiler {
            let libraries = libraries.display();
            compile
                .arg(format!("-Wl,--dynamic-linker={libraries}/ld-linux.so.2"))
                .arg(format!("-Wl,-rpath,{libraries}"));
        }
        let output = attempt(compile.arg("-ldl"));
        if output.status.success() {
            Ok(())
        } else {
            Err(report(&compile, &output))
        }
    }

    /// Whether system calls are refused.
    pub fn is_refused(&self) -> bool {
        self.environment.refusal.is_some()
    }

    /// The words that start a program in this environment, for scripts/check/emulation/init.c.
    pub fn launch(&self, launcher: &str, program: &str) -> String {
        let variables = self.environment.variables.iter();
        let variables = variables.map(|(name, value)| format!("{name}={value} "));
        let launcher = self
            .environment
            .refusal
            .map(|what| format!("{launcher} {what} "));
        variables.collect::<String>() + &launcher.unwrap_or_default() + program
    }

    /// Runs the program over a library.
    pub fn command(&self, program: &Path, library: &Installation) -> Command {
        let mut command = match self.environment.refusal {
            Some(what) => refuse(what, program),
            None => Command::new(program),
        };
        command.envs(self.environment.variables.iter().copied());
        match self.linking {
            Linking::Linked => command.env("LD_LIBRARY_PATH", library.libdir()),
            Linking::Preloaded => command.env("LD_PRELOAD", &library.shared),
            Linking::PreloadedFromCargo => command.env("LD_PRELOAD", cargo_built()),
            Linking::Static | Linking::Beside => &mut command,
        };
        command
    }

    /// The path of the library; none if it is linked statically.
    pub fn file(&self, library: &Installation) -> Option<PathBuf> {
        let file = match self.linking {
            Linking::Static => return None,
            Linking::PreloadedFromCargo => cargo_built(),
            _ => &library.shared,
        };
        Some(file.canonicalize().unwrap_or_else(|_| file.to_path_buf()))
    }
}

/// Debian's name of the machine.
fn cpu() -> &'static str {
    match architecture() {
        "x86_64" => "amd64",
        "i586" | "i686" => "i386",
        "aarch64" => "arm64",
        other => other,
    }
}
