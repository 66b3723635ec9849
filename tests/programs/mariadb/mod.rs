//! MariaDB with InnoDB's native AIO over our library: parallel writers, a kill -9 in the middle,
//! and recovery. Then every row that the server acknowledged must be there as it was written.

mod server;

use crate::run::missing;
use crate::served::Via;
use crate::{Outcome, Scenario};
use server::{cannot_choose_libaio, wait_until, Installation, Server};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "mariadb::acknowledged_rows_survive_a_kill",
    missing: || {
        let programs = ["mariadbd", "mariadb", "mariadb-install-db", "innochecksum"];
        missing(&programs).or_else(cannot_choose_libaio)
    },
    run: acknowledged_rows_survive_a_kill,
}];

const WRITERS: usize = 8;
const PAYLOAD: usize = 4000;
/// Some ten times the buffer pool.
const ENOUGH: u32 = 15_000;
const WRITING: Duration = Duration::from_secs(12);

/// The index on the random payload makes the server read and write pages all over the table.
const TABLE: &str = "CREATE DATABASE bank; CREATE TABLE bank.ledger (
    writer INT, number INT, payload VARCHAR(4000) CHARACTER SET latin1 NOT NULL,
    PRIMARY KEY (writer, number), KEY (payload(64))) ENGINE=InnoDB";

fn acknowledged_rows_survive_a_kill() -> Outcome {
    let installation = Installation::new()?;

    let mut server = installation.serve("first", Via::Preload)?;
    server.query(TABLE)?;
    let acknowledged = write_until_killed(server)?;

    let mut server = installation.serve("recovery", Via::LibraryPath)?;
    if !server.said("InnoDB: Starting crash recovery") {
        return Err("the server was killed, and had nothing to recover from".into());
    }
    check(&mut server, &acknowledged)?;
    server.shut_down()?;
    installation.check_pages("pages", "bank/ledger.ibd")?;

    // The system's library must read the same from the files that were written over ours.
    let mut server = installation.serve("system", Via::System)?;
    check(&mut server, &acknowledged)?;
    server.shut_down()
}

/// Lets all writers write at the same time, kills the server when there are enough rows, and
/// returns for each writer the number of the last row that the server acknowledged.
fn write_until_killed(server: Server) -> Outcome<Vec<u32>> {
    let last: Arc<Vec<AtomicU32>> = Arc::new((0..WRITERS).map(|_| AtomicU32::new(0)).collect());
    let mut clients = Vec::new();
    let mut threads = Vec::new();
    for writer in 0..WRITERS {
        let mut client = server.connect(&format!("writer{writer}"))?;
        let (to, from) = (client.0.stdin.take(), client.0.stdout.take());
        let (to, from) = to.zip(from).ok_or("a client without pipes")?;
        let last = Arc::clone(&last);
        clients.push(client);
        threads.push(thread::spawn(move || {
            write_rows(writer, to, from, &last[writer]);
        }));
    }
    let numbers = || -> Vec<u32> { last.iter().map(|n| n.load(Ordering::SeqCst)).collect() };

    let stopped = |threads: &[thread::JoinHandle<()>]| threads.iter().any(|t| t.is_finished());
    wait_until(WRITING, || {
        numbers().iter().sum::<u32>() >= ENOUGH || stopped(&threads)
    });
    if stopped(&threads) {
        return Err(server.report("did not serve all its writers until the kill"));
    }
    server.kill();
    wait_until(Duration::from_secs(5), || {
        threads.iter().all(|t| t.is_finished())
    });
    // Ends clients that have not noticed yet, and so their threads.
    drop(clients);
    for thread in threads {
        thread.join().map_err(|_| "a writer panicked")?;
    }

    let numbers = numbers();
    match numbers.iter().any(|&number| number < 100) {
        true => Err(format!("too few rows to prove anything: {numbers:?}").into()),
        false => Ok(numbers),
    }
}

/// Writes rows 1, 2, 3… in one transaction each, until the server is gone. A row counts as
/// acknowledged once the server has answered a query that came after the COMMIT.
fn write_rows(writer: usize, mut to: ChildStdin, from: ChildStdout, last: &AtomicU32) {
    let mut answers = BufReader::new(from).lines();
    for number in 1.. {
        let payload = payload(writer, number);
        let sent = writeln!(
            to,
            "BEGIN; INSERT INTO bank.ledger VALUES ({writer}, {number}, '{payload}'); COMMIT; \
             SELECT {number};"
        );
        match answers.next() {
            Some(Ok(answer)) if sent.is_ok() && answer == number.to_string() => {
                last.store(number, Ordering::SeqCst);
            }
            _ => return,
        }
    }
}

/// A row's payload, which is computed from its key and unique (xorshift, as hexadecimal digits).
fn payload(writer: usize, number: u32) -> String {
    let mut state = (writer as u64 + 1) << 32 | u64::from(number);
    let mut text = String::with_capacity(PAYLOAD);
    while text.len() < PAYLOAD {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{state:016x}"));
    }
    text
}

/// Every acknowledged row must be there and correct, without a gap. Each writer may have one row
/// more, which was under way when the server was killed.
fn check(server: &mut Server, acknowledged: &[u32]) -> Outcome {
    let rows = server.query("SELECT * FROM bank.ledger ORDER BY writer, number")?;
    let mut rows = rows.lines().peekable();
    for (writer, &acknowledged) in acknowledged.iter().enumerate() {
        let mut number = 0;
        let prefix = format!("{writer}\t");
        while let Some(row) = rows.next_if(|row| row.starts_with(&prefix)) {
            number += 1;
            if row != format!("{prefix}{number}\t{}", payload(writer, number)) {
                let start: String = row.chars().take(40).collect();
                return Err(format!("row {number} of writer {writer} is {start}…").into());
            }
        }
        if number < acknowledged || number > acknowledged + 1 {
            let both = format!("{number} rows, acknowledged {acknowledged}");
            return Err(format!("writer {writer}: {both}").into());
        }
    }
    if let Some(row) = rows.next() {
        return Err(format!("a row that no writer wrote: {row}").into());
    }
    let checked = server.query("CHECK TABLE bank.ledger EXTENDED")?;
    match checked.ends_with("\tstatus\tOK\n") && checked.lines().count() == 1 {
        true => Ok(()),
        false => Err(format!("CHECK TABLE: {checked}").into()),
    }
}
