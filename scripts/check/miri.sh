#!/bin/sh
# make miri: runs tests/lock_threads.rs under Miri with 16 schedules of its threads. Miri is a
# component of nightly Rust (rustup +nightly component add miri).
set -eu
cd "$(dirname "$0")/../.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "SKIPPED TEST miri: there is no 'cargo +nightly miri' here"
    exit 0
fi
# The test reads no clock and no file, but without isolation it would not find its directory.
MIRIFLAGS="-Zmiri-many-seeds=0..16 -Zmiri-disable-isolation" \
    cargo +nightly miri test --locked --target-dir build/miri --test lock_threads
echo "miri: 1 test program passed, 0 failed, with 16 schedules"
