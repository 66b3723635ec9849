# shellcheck shell=sh
# Sourced by scripts that count the steps they check. Prints one line for each step: "ok", "FAILED"
# after what the command said, or "SKIPPED". Removes the directory $work when the script ends.

: "${work:?}"
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

# step NAME COMMAND...: the step passes if the command succeeds.
step() {
	name=$1
	shift
	if "$@" > "$work/log" 2>&1; then
		passed=$((passed + 1))
		echo "ok      $name"
	else
		failed=$((failed + 1))
		cat "$work/log"
		echo "FAILED  $name"
	fi
}

# skip NAME REASON
skip() {
	skipped=$((skipped + 1))
	echo "SKIPPED $1: $2"
}

# conclude NAME: the line with the counts. Fails if a step failed.
conclude() {
	echo "$1: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}
