#!/bin/sh
# make check: `make lint`, then all tests, real programs included. It ends with one line for lint,
# one for each test file, and one with the counts of everything.
set -u
cd "$(dirname "$0")/../.." || exit
scripts/shared/setup-tests.sh

# The programs' tests are marked as ignored for plain `cargo test`.
LIBAIO_RS_PROGRAMS=1
export LIBAIO_RS_PROGRAMS
# lint.sh says what failed, and count-tests.sh counts it: the tests run all the same.
exec scripts/shared/count-tests.sh sh -c 'scripts/check/lint.sh; exec "$@"' sh \
	"${CARGO:-cargo}" test --no-fail-fast -- --include-ignored
