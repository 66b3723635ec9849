#!/bin/sh
# make check: every test there is, real programs included; then one line for each test file, and one
# with the counts.
set -u
cd "$(dirname "$0")/.." || exit
scripts/setup-tests.sh

# The programs' tests are marked as ignored for plain `cargo test`.
LIBAIO_RS_PROGRAMS=1
export LIBAIO_RS_PROGRAMS
exec scripts/count-tests.sh "${CARGO:-cargo}" test --no-fail-fast -- --include-ignored
