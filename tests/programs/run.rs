//! Runs a program under a time limit, and leaves no process and no file behind.

use crate::served::Served;
use crate::Outcome;
use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a scenario may take: all of its programs together.
const LIMIT: Duration = Duration::from_secs(60);

thread_local! {
    static DEADLINE: Cell<Instant> = Cell::new(Instant::now() + LIMIT);
}

/// Starts the clock for a scenario, which runs on this thread.
pub fn start_clock() {
    DEADLINE.set(Instant::now() + LIMIT);
}

/// What is missing for a scenario that needs these programs.
pub fn missing(programs: &[&str]) -> Option<String> {
    let absent: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|name| find(name).is_none())
        .collect();
    if !absent.is_empty() {
        return Some(format!("not installed: {}", absent.join(", ")));
    }
    let no_place = || "no directory on a file system with O_DIRECT".to_string();
    place().is_none().then(no_place)
}

/// `PATH` often does not have the directories of servers.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// A command that runs in its own process group, and that the kernel kills if this test is killed.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(find(name).unwrap_or_else(|| name.into()));
    command.process_group(0).stdin(Stdio::null());
    // SAFETY: prctl is a plain system call, which a child may make between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    command
}

/// A new directory, removed when dropped, where O_DIRECT works.
pub fn scratch() -> Outcome<TempDir> {
    let place = place().ok_or("no file system with O_DIRECT")?;
    Ok(tempfile::Builder::new()
        .prefix("programs-")
        .tempdir_in(place)?)
}

fn place() -> Option<PathBuf> {
    let chosen = std::env::var_os("TMPDIR").map(PathBuf::from);
    let ours = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut places = chosen.into_iter().chain([ours, "/var/tmp".into()]);
    places.find(|dir| on_a_disk(dir).unwrap_or(false))
}

/// tmpfs accepts O_DIRECT on recent kernels, but does nothing asynchronously.
fn on_a_disk(dir: &Path) -> io::Result<bool> {
    let probe = tempfile::Builder::new().prefix("probe-").tempdir_in(dir)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .custom_flags(libc::O_DIRECT)
        .open(probe.path().join("probe"))?;
    let mut about = std::mem::MaybeUninit::<libc::statfs>::uninit();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: the descriptor is open, and fstatfs fills the structure when it returns 0.
    let kind = unsafe {
        if libc::fstatfs(fd, about.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        about.assume_init().f_type
    };
    Ok(kind != libc::TMPFS_MAGIC)
}

/// A process. When this value is dropped, the process and its descendants are killed.
pub struct Guard(pub Child);

impl Guard {
    /// The process and all its descendants (fio's workers leave the process group).
    fn tree(&self) -> Vec<u32> {
        let mut found = vec![self.0.id()];
        let mut next = 0;
        while let Some(pid) = found.get(next) {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter();
            for task in tasks.flatten().flatten() {
                let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                found.extend(
                    text.split_whitespace()
                        .filter_map(|p| p.parse::<u32>().ok()),
                );
            }
            next += 1;
        }
        found
    }

    pub fn kill(&mut self) {
        // Once it has been waited for, its process ID may belong to another process.
        if let Ok(None) = self.0.try_wait() {
            for pid in self.tree() {
                // SAFETY: kill is a plain system call; these are our child and its descendants.
                unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
            }
            let _ = self.0.wait();
        }
    }

    pub fn terminate(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // SAFETY: as above; not waited for yet, so the process ID is still our child's.
            unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGTERM) };
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running program, whose output goes to files in its directory.
pub struct Running {
    pub guard: Guard,
    name: String,
    served: Served,
    proven: bool,
    dir: PathBuf,
}

impl Running {
    /// Starts `command` in `dir`, over the library that `served` describes.
    pub fn start(mut command: Command, dir: &Path, served: Served) -> Outcome<Running> {
        served.substitute(&mut command, &dir.join("loader"))?;
        command.current_dir(dir);
        command.stdout(File::create(dir.join("stdout"))?);
        command.stderr(File::create(dir.join("stderr"))?);
        let name = format!("{command:?}");
        let child = command.spawn().map_err(|e| format!("{name}: {e}"))?;
        Ok(Running {
            guard: Guard(child),
            name,
            served,
            proven: false,
            dir: dir.to_path_buf(),
        })
    }

    /// Waits until the running program has been seen to use the library.
    pub fn prove(&mut self) -> Outcome {
        while !self.proven {
            if self.step()?.is_some() {
                return Err(self.report("ended before it was seen using the library"));
            }
        }
        Ok(())
    }

    /// Waits for the end. A program that was not seen to use the library has failed, whatever its
    /// exit status.
    pub fn finish(mut self) -> Outcome<Finished> {
        let status = loop {
            if let Some(status) = self.step()? {
                break status;
            }
        };
        if !self.proven && !self.served.seen_in_trace(&self.dir.join("loader"))? {
            return Err(self.report(&format!("{status}, and was not seen using the library")));
        }
        let stdout = text(&self.dir.join("stdout"));
        let report = self.report(&status.to_string());
        Ok(Finished {
            status,
            stdout,
            report,
        })
    }

    /// Checks on the program once. Returns its exit status if it has ended.
    pub fn step(&mut self) -> Outcome<Option<ExitStatus>> {
        if let Some(status) = self.guard.0.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > DEADLINE.get() {
            return Err(self.report("took too long"));
        }
        if !self.proven {
            self.proven = self.served.seen_in(&self.guard.tree())?;
        }
        sleep(Duration::from_millis(if self.proven { 10 } else { 2 }));
        Ok(None)
    }

    /// A failure with the last lines of the program's output.
    pub fn report(&self, what: &str) -> libtest_mimic::Failed {
        let [out, err] = ["stdout", "stderr"].map(|name| tail(&self.dir.join(name)));
        format!("{}: {what}\n{out}{err}", self.name).into()
    }
}

pub struct Finished {
    status: ExitStatus,
    stdout: String,
    report: libtest_mimic::Failed,
}

impl Finished {
    /// What it wrote to stdout, if it succeeded.
    pub fn success(self) -> Outcome<String> {
        match self.status.success() {
            true => Ok(self.stdout),
            false => Err(self.report),
        }
    }

    /// The program must have failed with an exit status and with this text in its output.
    pub fn failure_saying(self, what: &str) -> Outcome {
        let said = self.report.message().unwrap_or_default().contains(what);
        match self.status.code() {
            Some(code) if code != 0 && said => Ok(()),
            _ => Err(format!(
                "expected to fail with {what:?}: {:?}",
                self.report.message()
            )
            .into()),
        }
    }
}

pub fn text(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

/// The last lines of a file: enough to see why a program failed.
pub fn tail(file: &Path) -> String {
    let text = text(file);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(30)..];
    last.iter().map(|line| format!("    {line}\n")).collect()
}
