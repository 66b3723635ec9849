#!/bin/sh
# record.sh NAME COMMAND...: runs the command and writes its result into the row of `make NAME` in
# docs/testing.md. `make NAME RECORD=1` calls it. A command that succeeds must print at least one
# line with counts ("N passed, N failed, N skipped"); otherwise the result is "nothing passed".
set -u
cd "$(dirname "$0")/../.." || exit
name=$1
shift
page=docs/testing.md
version=$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q;}' Cargo.toml)
# A make that the command runs must not record.
unset RECORD MAKEFLAGS MFLAGS MAKELEVEL

# rows FILE: prints the page after replacing the rows in FILE, and reports rows that the page does
# not have. A row in FILE is: key, time, result, when and where, separated by tabs. The key is the
# first code in the second cell. If $all is set, rows of test files that are not in FILE become "not
# run".
rows() {
	awk -v all="${all-}" -v page="$page" '
		FNR == NR {
			split($0, cell, "\t")
			rest[cell[1]] = cell[2] " | " cell[3] " | " cell[4]
			next
		}
		/^<!-- recorded: begin -->/ { inside = 1 }
		/^<!-- recorded: end -->/ { inside = 0 }
		{
			line = $0
			gsub(/\\\|/, "\001", line)
			count = split(line, cell, "|")
			key = ""
			if (inside && count == 7 && match(cell[3], /`[^`]+`/))
				key = substr(cell[3], RSTART + 1, RLENGTH - 2)
			if (all && key ~ /^tests\// && !(key in rest))
				rest[key] = " | **not run** | "
			if (!(key in rest)) { print; next }
			found[key] = 1
			line = "|" cell[2] "|" cell[3] "|"
			gsub("\001", "\\|", line)
			print line " " rest[key] " |"
		}
		END {
			for (key in rest) if (!(key in found)) {
				print "record: " page " has no row for " key > "/dev/stderr"
				missing = 1
			}
			exit missing
		}' "$1" "$page"
}

# Prints the commit, and whether files differ from it, except those in which commands write results.
tree() {
	if [ ! -e .git ]; then
		echo "release $version"
	elif commit=$(git rev-parse --short HEAD 2> /dev/null) &&
		changes=$(git status --porcelain -- . ":!$page" ':!docs/benchmarks.*' 2> /dev/null); then
		echo "$commit${changes:+ and changes}"
	else
		echo "unknown commit"
	fi
}

machine() {
	system=$(. /etc/os-release 2> /dev/null && echo "${PRETTY_NAME-}")
	rust=$("${RUSTC:-rustc}" --version 2> /dev/null | cut -d ' ' -f 1,2)
	echo "$(uname -m), $(getconf _NPROCESSORS_ONLN) processors," \
		"Linux $(uname -r)${system:+, $system}${rust:+, $rust}"
}

mkdir -p build
work=$(mktemp -d "$PWD/build/record.XXXXXX") || exit
trap 'rm -rf "$work"' EXIT
trap 'echo "record: interrupted; nothing is recorded" >&2; exit 130' INT
trap 'echo "record: ended; nothing is recorded" >&2; exit 143' TERM

# Fail now if the page has no row, and not after the command has run for an hour.
printf 'make %s\t\t\t\n' "$name" > "$work/rows"
rows "$work/rows" > /dev/null || exit

before=$(tree)
began=$(date +%s)
{
	status=0
	"$@" 2>&1 || status=$?
	echo "$status" > "$work/status"
} | tee "$work/log"
took=$(($(date +%s) - began))
status=$(cat "$work/status") || exit
after=$(tree)
if [ "$before" != "$after" ]; then
	before="$before, then $after"
fi
on="$(date -u +%F), $before; $(machine)"

# Results are lines that begin with the name of the command, and lines with counts. The lines of
# single test files go into their own rows; check-long keeps those that contain more than counts.
awk -v name="$name" -v status="$status" -v took="$took" -v on="$on" '
	function escaped(text) {
		gsub(/[\\`*_|<>]/, "\\\\&", text)
		gsub(/\t/, " ", text)
		return text
	}
	# The sum of the numbers before each occurrence of a word.
	function number(text, word,    sum) {
		sum = 0
		while (match(text, "[0-9]+ " word)) {
			sum += substr(text, RSTART)
			text = substr(text, RSTART + RLENGTH)
		}
		return sum
	}
	function verdict(status, passed, failed, skipped) {
		if (status != 0)
			return "**failed**, status " status
		if (failed > 0)
			return "**failed**"
		if (passed > 0)
			return skipped > 0 ? "**in part**" : "ok"
		return skipped > 0 ? "**skipped**" : "**nothing passed**"
	}
	function duration(seconds) {
		if (seconds < 120)
			return int(seconds + 0.5) " s"
		return int(seconds / 60 + 0.5) " min"
	}
	function add(line) { result = result (result == "" ? "" : "<br>") escaped(line) }
	{ gsub(/\033\[[0-9;]*m/, ""); sub(/\r$/, "") }
	/^tests\/[a-z_\/]+\.rs: [0-9]+ passed, [0-9]+ failed, / {
		if (name == "check") {
			file = $1
			sub(/:$/, "", file)
			text = $0
			sub(/^[^ ]* /, "", text)
			seconds = text
			sub(/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped, /, "", seconds)
			died = seconds ~ /^died/
			sub(/ skipped, (died|[0-9.]+ s)/, died ? " skipped, and died" : " skipped", text)
			passed = number(text, "passed")
			failed = number(text, "failed")
			printf "%s\t%s\t%s: %s\t\n", file, died ? "" : duration(seconds + 0),
				verdict(0, passed, failed, number(text, "skipped")), escaped(text)
		} else if (/; /)
			add($0)
		next
	}
	index($0, name ": ") == 1 || /[0-9]+ passed, [0-9]+ failed/ || /^(stress|accelerator): / {
		all_passed += number($0, "passed") + number($0, "comparisons")
		all_passed += number($0, "files are the same")
		all_failed += number($0, "failed") + number($0, "differ")
		all_skipped += number($0, "skipped")
		add($0)
		next
	}
	/^FAILED / || /SKIPPED / || /^test .* \.\.\. FAILED$/ {
		if (/SKIPPED /) {
			all_skipped++
			sub(/.*SKIPPED (TEST )?/, "SKIPPED ")
		}
		if (sub(/^test /, "FAILED "))
			sub(/ \.\.\. FAILED$/, "")
		if (++others <= 6)
			add($0)
	}
	END {
		if (others > 6)
			add("and " others - 6 " more that failed or were skipped")
		if (result == "")
			result = "it says nothing"
		found = verdict(status, all_passed, all_failed, all_skipped)
		printf "make %s\t%s\t%s: %s\t%s\n", name, duration(took), found, result, on
		exit found ~ /nothing/
	}' "$work/log" > "$work/rows" || {
	echo "record: the command succeeded, and does not say that anything passed" >&2
	status=1
}

# Takes a lock because another command may write to the page, and renames a new file because a test
# may read it.
exec 9> build/.record.lock
flock 9 || exit
cp -p "$page" "$work/page"
all=
[ "$name" != check ] || all=1
rows "$work/rows" > "$work/page" || status=1
mv "$work/page" "$page" || exit
echo "record: make $name is in $page"
exit "$status"
