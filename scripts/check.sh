#!/bin/sh
# make check: every test there is, real programs included, and one line with the counts.
set -u
cd "$(dirname "$0")/.." || exit
scripts/setup-tests.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The programs' tests are marked as ignored for plain `cargo test`.
{ LIBAIO_RS_PROGRAMS=1 "${CARGO:-cargo}" test --no-fail-fast -- --include-ignored 2>&1
	echo "exit status $?"; } | tee "$log"

# Each test program closes with "test result: …. P passed; F failed; I ignored; …". A test that
# could not run says "SKIPPED TEST", and the test harness counts it as passed; a row of a C program
# that could not run says "SKIP". A program that is not installed is ignored, and so counted already.
awk '
	/^test result: / { for (i = 1; i < NF; i++) {
		if ($(i + 1) == "passed;") passed += $i
		if ($(i + 1) == "failed;") failed += $i
		if ($(i + 1) == "ignored;") skipped += $i } }
	/SKIPPED TEST / { passed--; skipped++ }
	/^SKIP / && !/^SKIP programs::/ { skipped++ }
	/^exit status / { status = $3 }
	END {
		# A build that fails, or a test program that dies, has no result line.
		if (status != 0 && failed == 0) failed = 1
		printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
		exit failed != 0
	}' "$log"
