#!/bin/sh
# count-tests.sh COMMAND...: runs cargo test, then prints one line for each test file and one line
# with the counts. If the command also runs scripts/check/lint.sh, lint gets a line and is counted.
# If COUNT_AS is set, prints only the line with the counts, after that name.
set -u

log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ "$@" 2>&1; echo "exit status $?"; } | tee "$log"

# Each test file ends with "test result: …. P passed; F failed; I ignored; …". A test that could not
# run prints "SKIPPED TEST", but the test harness counts it as passed. A part of a C program that
# could not run prints "SKIP". The test of a program that is not installed is counted as ignored.
# Lines with "RESULT" have measurements; lines with "MODEL" say whether a model was run completely.
awk -v name="${COUNT_AS-}" '
	# Ends the current test file. A file that dies has no result line.
	function conclude() {
		if (file == "")
			return
		if (took == "")
			f++
		# Tests skipped in a file that died: there are no passes to subtract them from.
		if (p < 0)
			p = 0
		passed += p; failed += f; skipped += s
		if (all + cut > 0)
			notes = sprintf("; %d models run through, %d cut short", all, cut) notes
		if (name != "")
			all_notes = all_notes notes
		else if (p + f + s > 0)
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
	/^lint: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ {
		passed += $2; failed += $4; skipped += $6; lines = lines $0 "\n" }
	/SKIPPED TEST / { p--; s++ }
	/^SKIP / && !/^SKIP programs::/ { s++ }
	/RESULT / { text = $0; sub(/.*RESULT /, "", text); notes = notes "; " text }
	/MODEL all / { all++ }
	/MODEL not all / { cut++ }
	/^exit status / { status = $3 }
	END {
		conclude()
		# A build that fails prints no result.
		if (status != 0 && failed == 0) failed = 1
		printf "%s%s%d passed, %d failed, %d skipped%s\n", lines, name == "" ? "" : name ": ",
			passed, failed, skipped, all_notes
		exit (failed != 0)
	}' "$log"
