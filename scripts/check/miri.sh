#!/bin/sh
# make miri: tests/lock_threads.rs under Miri, a part of nightly Rust that few have installed
# (rustup +nightly component add miri). It runs the test with 16 schedules of its threads.
set -eu
cd "$(dirname "$0")/../.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "SKIPPED TEST miri: there is no 'cargo +nightly miri' here"
    exit 0
fi
# Nothing is isolated from the test: it reads no clock and no file, but its directory is found so.
MIRIFLAGS="-Zmiri-many-seeds=0..16 -Zmiri-disable-isolation" \
    cargo +nightly miri test --locked --target-dir build/miri --test lock_threads
echo "miri: 1 test program passed, 0 failed, with 16 schedules"
