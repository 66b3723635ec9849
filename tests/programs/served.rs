//! Runs a program over our library, and proves that the program really used it.

use crate::Outcome;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory with the `libaio.so.1` under test. LIBAIO_RS_LIBDIR names another one, to see
/// these tests fail over a broken library.
pub fn libdir() -> PathBuf {
    match std::env::var_os("LIBAIO_RS_LIBDIR") {
        Some(dir) => PathBuf::from(dir),
        None => crate::support::ours().libdir().to_path_buf(),
    }
}

/// Which libaio a program gets, and how it gets it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Via {
    LibraryPath,
    Preload,
    /// The machine's own library, to check afterwards what was written over ours.
    System,
}

/// What shows that a program used the library.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proof {
    /// A process has the library and the ring of an AIO context mapped: it has called io_setup.
    Ring,
    /// The loader's own trace, for a program that may end before the test sees its mappings.
    Loader,
    /// No proof: the program does not use the library.
    NotNeeded,
}

pub struct Served {
    ours: PathBuf,
    via: Via,
    proof: Proof,
}

impl Served {
    pub fn new(via: Via, proof: Proof) -> Outcome<Served> {
        let file = libdir().join("libaio.so.1");
        let ours = file
            .canonicalize()
            .map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Served { ours, via, proof })
    }

    /// Makes the loader use the library. The loader needs the name `libaio.so.1`; in `self.ours`
    /// symbolic links are resolved, so that name may differ.
    pub fn substitute(&self, command: &mut Command, trace: &Path) -> Outcome {
        let dir = libdir().canonicalize()?;
        // cargo sets LD_LIBRARY_PATH for tests; the programs must not see it.
        for variable in ["LD_LIBRARY_PATH", "LD_PRELOAD"] {
            command.env_remove(variable);
        }
        match self.via {
            Via::LibraryPath => command.env("LD_LIBRARY_PATH", dir),
            Via::Preload => command.env("LD_PRELOAD", dir.join("libaio.so.1")),
            Via::System => command,
        };
        if self.proof == Proof::Loader {
            command.env("LD_DEBUG", "files");
            command.env("LD_DEBUG_OUTPUT", trace);
        }
        Ok(())
    }

    /// Whether the mappings of one of these processes prove that it uses the library. An error if
    /// one has a libaio that it must not have.
    pub fn seen_in(&self, processes: &[u32]) -> Outcome<bool> {
        let mut seen = false;
        for pid in processes {
            // A process that has just ended has no mappings: that is no error and no proof.
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
            let files = || maps.lines().filter_map(|l| l.find('/').map(|at| &l[at..]));
            let mut expected = false;
            for file in files().filter(|file| is_libaio(file)) {
                self.require(file, *pid)?;
                expected = true;
            }
            seen |= expected && files().any(|file| file.starts_with("/[aio]"));
        }
        Ok(seen && self.proof == Proof::Ring)
    }

    /// The same by what the loader has written to `trace.PID`, once the program has ended.
    pub fn seen_in_trace(&self, trace: &Path) -> Outcome<bool> {
        let (Some(dir), Some(stem)) = (trace.parent(), trace.file_name()) else {
            return Ok(false);
        };
        let mut seen = false;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.file_stem() != Some(stem) {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let loaded = text
                .lines()
                .filter_map(|line| line.split("calling init: ").nth(1));
            for file in loaded.filter(|file| is_libaio(file)) {
                let file = Path::new(file).canonicalize()?;
                self.require(&file.to_string_lossy(), 0)?;
                seen = true;
            }
            fs::remove_file(path)?;
        }
        Ok(self.proof == Proof::NotNeeded || seen && self.proof == Proof::Loader)
    }

    fn require(&self, file: &str, pid: u32) -> Outcome {
        let is_ours = Path::new(file) == self.ours;
        if is_ours == (self.via != Via::System) {
            return Ok(());
        }
        let ours = self.ours.display();
        Err(format!(
            "process {pid} has {file}; ours is {ours}, via {:?}",
            self.via
        )
        .into())
    }
}

fn is_libaio(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.starts_with("libaio.so")
}
