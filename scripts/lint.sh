#!/bin/sh
# make lint: checks how the files are written, not what they do. Each step prints "ok", "FAILED" or,
# if its tool is missing, "SKIPPED"; the last line has the counts. As root on Debian it installs
# the tools first, except those that come with Rust.
set -u
cd "$(dirname "$0")/.." || exit
scripts/setup-tests.sh lint
cargo=${CARGO:-cargo}
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME TOOL COMMAND...: runs the command. TOOL is what must understand --version.
step() {
	name=$1 tool=$2
	shift 2
	# shellcheck disable=SC2086 # "cargo clippy" is two words
	if ! $tool --version > /dev/null 2>&1; then
		skipped=$((skipped + 1))
		echo "SKIPPED $name: there is no $tool"
	elif "$@" > "$log" 2>&1; then
		passed=$((passed + 1))
		echo "ok      $name"
	else
		failed=$((failed + 1))
		cat "$log"
		echo "FAILED  $name"
	fi
}

# files FIND-EXPRESSION...: the project's own files, in a checkout and in an unpacked release.
files() {
	find . \( -name .git -o -path ./target -o -path ./build -o -path ./vendor \) -prune -o \
		-type f "$@" -print
}

documentation() {
	RUSTDOCFLAGS='-D warnings' "$cargo" doc --quiet --locked --no-deps --document-private-items
}

# Files named .sh, and files whose first line names a shell.
shell_scripts() {
	{
		files -name '*.sh'
		files ! -name '*.sh' | xargs awk \
			'FNR == 1 && /^#!.*[\/ ](ba|da)?sh( |$)/ { print FILENAME }'
	} | xargs shellcheck -x
}

# The two that are left out are generated, or written for the generator.
c_code() {
	files \( -name '*.c' -o -name '*.cc' -o -name '*.h' \) ! -path ./include/libaio.h \
		! -path ./src/c_abi/inline.h | xargs clang-format --dry-run -Werror
}

line_lengths() {
	files | LC_ALL=C xargs awk -f scripts/line-lengths.awk
}

step "formatting of Rust" "$cargo fmt" "$cargo" fmt --check
step "formatting of C" clang-format c_code
step "clippy" "$cargo clippy" "$cargo" clippy --quiet --locked --all-targets -- -D warnings
step "rustdoc" "$cargo" documentation
step "shellcheck" shellcheck shell_scripts
step "codespell" codespell codespell
step "line lengths" true line_lengths

echo "lint: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
