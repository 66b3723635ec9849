//! Putting our library under a program, and the proof that the program really used it.

use crate::Outcome;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the library under test is: a directory with `libaio.so.1` in it. LIBAIO_RS_LIBDIR names
/// another one, to see these tests fail over a library that is broken.
pub fn libdir() -> PathBuf {
    match std::env::var_os("LIBAIO_RS_LIBDIR") {
        Some(dir) => PathBuf::from(dir),
        None => crate::support::ours().libdir().to_path_buf(),
    }
}

/// Which libaio a program gets, and how it comes to have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Via {
    LibraryPath,
    Preload,
    /// The machine's own library: for checking afterwards what was written over ours.
    System,
}

/// What shows that a program used the library.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proof {
    /// A process seen with the library and the ring of an AIO context mapped: it called io_setup.
    Ring,
    /// The loader's own trace, for a program that may be gone before anyone can look at it.
    Loader,
    /// None: a program that has no use for the library.
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

    /// The loader finds the library by the name `libaio.so.1`, so this does not use `self.ours`,
    /// where symbolic links are resolved and the name may be another.
    pub fn substitute(&self, command: &mut Command, trace: &Path) -> Outcome {
        let dir = libdir().canonicalize()?;
        // cargo sets LD_LIBRARY_PATH for the tests it runs; the programs must not see that.
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

    /// Looks at processes that are running: is one of them proof enough? An error if one has a
    /// libaio that it should not have.
    pub fn seen_in(&self, processes: &[u32]) -> Outcome<bool> {
        let mut seen = false;
        for pid in processes {
            // A process that has just ended has no maps: that is no error, and no proof.
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

    /// Looks at what the loader wrote, `trace.PID`, once the program is done.
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
