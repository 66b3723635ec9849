#!/bin/sh
# make check: runs `make lint` and then all tests, including those with real programs. The last
# lines are one for lint, one for each test file, and one with the total counts.
set -u
cd "$(dirname "$0")/../.." || exit
scripts/shared/setup-tests.sh

# Plain `cargo test` ignores the tests with real programs.
LIBAIO_RS_PROGRAMS=1
export LIBAIO_RS_PROGRAMS
# The tests run even if lint.sh fails; count-tests.sh counts its failures.
exec scripts/shared/count-tests.sh sh -c 'scripts/check/lint.sh; exec "$@"' sh \
	"${CARGO:-cargo}" test --no-fail-fast -- --include-ignored
