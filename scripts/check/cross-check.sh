#!/bin/sh
# make cross-check: builds the library for every machine in scripts/shared/cross-machines.sh with
# Debian's cross compilers and Debian's newest Rust, and runs the tests of symbols, hardening and
# header over it, which compare it with Debian's libaio of that machine. Then runs i386-check.
# Arguments, if any, are the Rust names of the only machines to check, without i386-check.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/differential.sh
. scripts/shared/cross-machines.sh

# check NAME: runs the tests over the library for $target; NAME begins the line with the counts.
check() {
	unset LIBAIO_RS_NO_ORIGINAL
	if [ "$debian" = - ]; then
		export LIBAIO_RS_NO_ORIGINAL=1
	fi
	case $libc in amd64) prefix=$compiler ;; *) prefix=$cross/bin/$compiler ;; esac
	on_foreign "$1" "$target" "$prefix" "$PWD/build/$target" "$cross/libaio/$debian" \
		--test symbols --test hardening --test header on_every_machine || failed="$failed $1"
}

# The oldest Rust that Cargo.toml allows.
check_oldest_rust() {
	oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
	root=$cross/rust-$oldest
	bring_oldest_rust "$oldest"
	bring_machine x86_64-unknown-linux-gnu
	forget
	if (
		PATH=$root/usr/bin:$PATH
		LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
		cargo --version
		build_library
	); then
		check "rust-$oldest"
	else
		failed="$failed rust-$oldest"
	fi
	# So that the newest Rust builds it again.
	forget
}

# Removes the build, and cargo's directory too: otherwise cargo would not write the objects again.
forget() {
	rm -rf "build/$target" "build/cargo/$target"
}

failed=
bring_rust
rustc --version
[ $# -gt 0 ] || check_oldest_rust
chosen=$#
# shellcheck disable=SC2046 # one word each
[ $# -gt 0 ] || set -- $(machines | cut -d ' ' -f 1)
for target; do
	bring_machine "$target"
	if build_library; then
		check "$target"
		echo "$target: $(wc -c < "build/$target/libaio.so.1.0.2") bytes"
	else
		failed="$failed $target"
	fi
done
echo "cross-check: failed:${failed:- none}"
[ -z "$failed" ]
[ "$chosen" -gt 0 ] ||
	exec env "PATH=$tests_path" "LD_LIBRARY_PATH=$tests_libraries" scripts/check/i386-check.sh
