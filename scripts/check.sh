#!/bin/sh
# make check: every test there is, real programs included; then one line for each test file, and one
# with the counts.
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
# What a test has measured is on lines with "RESULT", and how far a model came on one with "MODEL".
awk '
	# The last test file is over. One that dies has no result line.
	function conclude() {
		if (file == "")
			return
		if (took == "")
			f++
		# What it skipped, and what would have been taken off its passes.
		if (p < 0)
			p = 0
		passed += p; failed += f; skipped += s
		if (all + cut > 0)
			notes = sprintf("; %d models run through, %d cut short", all, cut) notes
		if (p + f + s > 0)
			lines = lines sprintf("%s: %d passed, %d failed, %d skipped, %s%s\n", file, p, f, s,
				took == "" ? "died" : took " s", notes)
		file = took = notes = ""
		p = f = s = all = cut = 0
	}
	{ gsub(/\033\[[0-9;]*m/, "") }
	/^ *Running .*\(.*\)$/ { conclude(); file = $2 == "unittests" ? $3 : $2 }
	/^test result: / {
		took = $NF
		sub(/s$/, "", took)
		for (i = 1; i < NF; i++) {
			if ($(i + 1) == "passed;") p += $i
			if ($(i + 1) == "failed;") f += $i
			if ($(i + 1) == "ignored;") s += $i } }
	/SKIPPED TEST / { p--; s++ }
	/^SKIP / && !/^SKIP programs::/ { s++ }
	/RESULT / { text = $0; sub(/.*RESULT /, "", text); notes = notes "; " text }
	/MODEL all / { all++ }
	/MODEL not all / { cut++ }
	/^exit status / { status = $3 }
	END {
		conclude()
		# A build that fails has no result at all.
		if (status != 0 && failed == 0) failed = 1
		printf "%s%d passed, %d failed, %d skipped\n", lines, passed, failed, skipped
		exit failed != 0
	}' "$log"
