//! How many interleavings loom tries, and for how long.

use std::io::Write as _;
use std::time::{Duration, Instant};

/// Tries all interleavings with a number of preemptions, until the time is over. If LIBAIO_RS_LONG
/// is set, it allows one preemption more, and more time. Prints whether it has tried all.
pub fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let long = std::env::var_os("LIBAIO_RS_LONG").is_some();
    let time = Duration::from_secs(if long { 120 } else { 8 });
    let preemptions = preemptions + long as usize;
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.max_duration = Some(time);
    let begin = Instant::now();
    builder.check(body);
    let elapsed = begin.elapsed();
    let all = if elapsed < time { "all" } else { "not all" };
    // Directly to the terminal: `make check` counts these lines.
    let _ = writeln!(
        std::io::stdout(),
        "MODEL {all} interleavings with {preemptions} preemptions in {} s: {}",
        elapsed.as_secs(),
        std::thread::current().name().unwrap_or("?")
    );
}
