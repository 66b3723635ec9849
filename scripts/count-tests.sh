#!/bin/sh
# count-tests.sh COMMAND...: runs it and ends with one line, how many tests passed, failed and were
# skipped.
set -u

log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ "$@" 2>&1; echo "exit status $?"; } | tee "$log"

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
		exit (failed != 0 || passed == 0)
	}' "$log"
