//! A MariaDB server of our own: its own data directory and socket, no network.

use crate::run::{program, scratch, tail, text, Guard, Running};
use crate::served::{Proof, Served, Via};
use crate::Outcome;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// The server is linked with libaio and io_uring, and would choose io_uring.
pub const LIBAIO: &str = "--innodb-linux-aio=aio";

/// The smallest buffer pool that the server accepts, so that it reads and writes pages all the
/// time.
const INNODB: &[&str] = &[
    LIBAIO,
    "--innodb-flush-method=O_DIRECT",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=6M",
    "--innodb-log-file-size=16M",
    "--innodb-io-capacity=4000",
    "--innodb-io-capacity-max=8000",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
];

/// A socket's path must be short, so the server and its clients run in the data directory.
const SOCKET: &str = "--socket=server.sock";

/// A data directory, on which servers are started one after the other.
pub struct Installation {
    dir: TempDir,
}

impl Installation {
    pub fn new() -> Outcome<Installation> {
        let installation = Installation { dir: scratch()? };
        let data = installation.data();
        fs::create_dir(&data)?;
        let mut install = program("mariadb-install-db");
        install
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--skip-name-resolve"])
            .arg(format!("--datadir={}", data.display()))
            .args(owner())
            .args(INNODB);
        let served = Served::new(Via::LibraryPath, Proof::Ring)?;
        let log = installation.logs("install")?;
        Running::start(install, &log, served)?.finish()?.success()?;
        Ok(installation)
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A directory for one program's output.
    fn logs(&self, name: &str) -> Outcome<PathBuf> {
        let dir = self.dir.path().join(name);
        fs::create_dir(&dir)?;
        Ok(dir)
    }

    /// Starts a server and waits until it is ready. `name` is for its logs.
    pub fn serve(&self, name: &str, via: Via) -> Outcome<Server> {
        let logs = self.logs(name)?;
        let log = logs.join("stderr");
        let mut command = program("mariadbd");
        command
            .arg("--no-defaults")
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--tmpdir={}", logs.display()))
            .args([SOCKET, "--skip-networking", "--pid-file=server.pid"])
            .args(owner())
            .args(INNODB);
        let mut running = Running::start(command, &logs, Served::new(via, Proof::Ring)?)?;
        running.prove()?;
        while !text(&log).contains("ready for connections") {
            if running.step()?.is_some() {
                return Err(running.report("ended before it was ready"));
            }
        }
        let mut server = Server {
            running,
            data: self.data(),
            log,
        };
        let native = server.query("SHOW VARIABLES LIKE 'innodb_use_native_aio'")?;
        if !native.ends_with("\tON\n") || !server.said("InnoDB: Using Linux native AIO") {
            return Err(server.running.report("does not use native AIO"));
        }
        Ok(server)
    }

    /// InnoDB's own check of the checksum of every page, while no server runs.
    pub fn check_pages(&self, name: &str, table: &str) -> Outcome {
        let logs = self.logs(name)?;
        let mut command = program("innochecksum");
        command.arg(self.data().join(table));
        let served = Served::new(Via::System, Proof::NotNeeded)?;
        Running::start(command, &logs, served)?
            .finish()?
            .success()?;
        Ok(())
    }
}

/// The server refuses to run as root without this option.
fn owner() -> Option<&'static str> {
    // SAFETY: always allowed, cannot fail.
    (unsafe { libc::geteuid() } == 0).then_some("--user=root")
}

pub struct Server {
    running: Running,
    data: PathBuf,
    log: PathBuf,
}

impl Server {
    pub fn said(&self, what: &str) -> bool {
        text(&self.log).contains(what)
    }

    /// Runs statements one after the other. Returns the rows as lines with tabs.
    pub fn query(&mut self, statements: &str) -> Outcome<String> {
        let errors = self.data.join("query.err");
        let answers = self.data.join("query.out");
        let mut client = client(&self.data, &errors)?;
        client.args(["--quick", "--execute", statements]);
        client.stdout(File::create(&answers)?);
        let mut client = Guard(client.spawn()?);
        // The server's time limit applies to this too.
        while client.0.try_wait()?.is_none() {
            if self.running.step()?.is_some() {
                return Err(self.running.report("ended during a query"));
            }
        }
        match client.0.wait()?.success() {
            true => Ok(text(&answers)),
            false => Err(format!("{statements}: {}", tail(&errors)).into()),
        }
    }

    /// A client that reads statements from a pipe and writes answers to another.
    pub fn connect(&self, name: &str) -> Outcome<Guard> {
        let mut client = client(&self.data, &self.data.join(format!("{name}.err")))?;
        client.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Guard(client.spawn()?))
    }

    pub fn report(&self, what: &str) -> libtest_mimic::Failed {
        self.running.report(what)
    }

    /// kill -9, whatever is under way.
    pub fn kill(mut self) {
        self.running.guard.kill();
    }

    pub fn shut_down(mut self) -> Outcome {
        self.running.guard.terminate();
        let log = self.log.clone();
        self.running.finish()?.success()?;
        match text(&log).contains("Shutdown complete") {
            true => Ok(()),
            false => Err(format!("no clean shutdown:\n{}", tail(&log)).into()),
        }
    }
}

fn client(data: &Path, errors: &Path) -> Outcome<Command> {
    let mut command = program("mariadb");
    command
        .args(["--no-defaults", "--user=root", SOCKET])
        .args(["--batch", "--skip-column-names", "--unbuffered"])
        .current_dir(data)
        .stderr(File::create(errors)?);
    Ok(command)
}

/// Why this server cannot be made to use libaio, if it cannot.
pub fn cannot_choose_libaio() -> Option<String> {
    let help = program("mariadbd")
        .args(["--no-defaults", "--verbose", "--help"])
        .args(owner())
        .output();
    let known = help.is_ok_and(|help| {
        let help = String::from_utf8_lossy(&help.stdout);
        help.contains("innodb-linux-aio")
    });
    (!known).then(|| format!("this mariadbd has no option {LIBAIO}"))
}

/// Waits until `done` returns true, or until the time is over. Returns whether it is done.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let tick = Duration::from_millis(20);
    let mut left = limit;
    while !done() && !left.is_zero() {
        sleep(tick);
        left = left.saturating_sub(tick);
    }
    done()
}
