#!/bin/sh
# make lint: checks how the files are written. Each step prints "ok", "FAILED" or, if its tool is
# missing, "SKIPPED"; the last line has the counts. As root on Debian it first installs the tools,
# except those that are part of Rust.
set -u
cd "$(dirname "$0")/../.." || exit
scripts/shared/setup-tests.sh lint
cargo=${CARGO:-cargo}
work=$(mktemp -d)
. scripts/shared/steps.sh

# lint NAME TOOL COMMAND...: runs a step if TOOL exists. TOOL must understand --version.
lint() {
	# shellcheck disable=SC2086 # "cargo clippy" is two words
	if $2 --version > /dev/null 2>&1; then
		name=$1
		shift 2
		step "$name" "$@"
	else
		skip "$1" "there is no $2"
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

# One of the two excluded files is generated, the other is input of the generator.
c_code() {
	files \( -name '*.c' -o -name '*.cc' -o -name '*.h' \) ! -path ./include/libaio.h \
		! -path ./src/c_abi/inline.h | xargs clang-format --dry-run -Werror
}

line_lengths() {
	files | LC_ALL=C xargs awk -f scripts/check/line-lengths.awk
}

lint "formatting of Rust" "$cargo fmt" "$cargo" fmt --check
lint "formatting of C" clang-format c_code
lint "clippy" "$cargo clippy" "$cargo" clippy --quiet --locked --all-targets -- -D warnings
lint "rustdoc" "$cargo" documentation
lint "shellcheck" shellcheck shell_scripts
lint "codespell" codespell codespell
lint "line lengths" true line_lengths

conclude lint
