#!/bin/sh
# make cross-check: builds the library for every machine in scripts/cross-machines.sh with Debian's
# cross compilers and Debian's newest Rust, and compares it with Debian's libaio of that machine:
# kind of file, symbols, layout of the header. Then the C programs run on i386. With arguments: for
# these machines only, by their Rust names, and without that.
set -eu
cd "$(dirname "$0")/.."
. scripts/cross-machines.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
checked=0 failed=0

# fail WHAT: with the difference on standard output.
fail() {
	echo "FAILED $target: $1"
	failed=$((failed + 1))
}

same() {
	checked=$((checked + 1))
	diff -u "$2" "$3" || fail "$1"
}

# Class, byte order, machine and flags, as they stand in the ELF header.
kind_of() {
	readelf -h "$1" | grep -E '^ *(Class|Data|OS/ABI|Machine|Flags):'
}

# name@version of every defined dynamic symbol but those that mark the versions themselves.
symbols_of() {
	readelf -W --dyn-syms "$1" | sed 's/\[[^]]*\]//' | awk 'NF == 8 && $1 != "Num:" &&
		$4 != "SECTION" && $7 != "UND" && $7 != "ABS" { print $8 }' | sort
}

check_library() {
	ours=build/$target/libaio.so.1.0.2
	theirs=$(find "$cross/libaio/$debian" -type f -name 'libaio.so.1*')
	if [ "$debian" != - ]; then
		kind_of "$theirs" > "$work/theirs"
		kind_of "$ours" > "$work/ours"
		same "another kind of file" "$work/theirs" "$work/ours"
	fi
	{
		symbols_of "$theirs"
		case $(readelf -h "$ours") in
		# What a 32-bit machine has besides; Debian 12's libaio is older than that.
		*ELF32*) printf '%s\n' io_getevents_time64@@LIBAIO_0.6 io_pgetevents_time64@@LIBAIO_0.6 ;;
		esac
	} | sort -u > "$work/theirs"
	symbols_of "$ours" > "$work/ours"
	if [ "$(wc -l < "$work/ours")" -lt 13 ]; then
		fail "too few symbols"
	fi
	same "other symbols" "$work/theirs" "$work/ours"
	# Nothing but libc is needed, and that only where system calls go through it; and one constructor.
	readelf -W -d "$ours" | awk '/\(INIT_ARRAYSZ\)/ { print $2, $3; next } /\(INIT_ARRAY\)/ { next }
		/\(NEEDED\)|TEXTREL|RPATH|\(INIT|\(FINI|\(PREINIT/ { print $2, $NF }' > "$work/ours"
	{
		if grep -q through_libc "$(cpu_file)"; then
			echo "(NEEDED) [$(readelf -d "$theirs" | sed -n 's/.*NEEDED.*\[\(libc.so.[0-9.]*\)\]/\1/p')]"
		fi
		case $(readelf -h "$ours") in
		*ELF32*) echo "(INIT_ARRAYSZ) 4" ;;
		*) echo "(INIT_ARRAYSZ) 8" ;;
		esac
	} > "$work/theirs"
	same "other dependencies" "$work/theirs" "$work/ours"
}

# What the probe would print stands in its assembly as constants, so it need not run. The labels
# around a function are numbered by how many came before it.
probe() {
	"$compiler-gcc" -std=gnu11 -O2 -w -S -I "$1" -o - c-tests/layout_probe.c |
		grep -vE 'LF[BE][0-9]+'
}

check_layout() {
	probe "$cross/libaio/$debian/usr/include" > "$work/theirs"
	probe include > "$work/ours"
	same "another layout" "$work/theirs" "$work/ours"
	if [ "$(wc -l < "$work/ours")" -lt 200 ]; then
		fail "the layout probe says too little"
	fi
}

# The protection of jumps that the machine has must be noted, or the loader switches it off.
check_marks() {
	case $target in
	x86_64-*) echo 'x86 feature: IBT, SHSTK' ;;
	aarch64-*) echo 'AArch64 feature: BTI, PAC' ;;
	esac > "$work/theirs"
	readelf -W -n "$ours" | sed -n 's/.*Properties: //p' > "$work/ours"
	same "other marks" "$work/theirs" "$work/ours"
}

# A program linked with either form of the library.
check_linking() {
	for how in "-L build/$target -l:libaio.so.1.0.2 -Wl,--no-undefined" "-static build/$target/libaio.a"; do
		checked=$((checked + 1))
		# shellcheck disable=SC2086 # several words
		"$compiler-gcc" -O2 -Wall -Wextra -Werror -Iinclude -o "$work/program" c-tests/smoke.c $how ||
			fail "smoke.c does not link with $how"
	done
}

# What the archive takes from libc it must ask for: a weak reference is left at 0 in a static program,
# unless the start files bring what it names.
check_archive() {
	checked=$((checked + 1))
	brought='__environ|environ|gnu_get_libc_version|__rseq_offset|__rseq_size'
	if nm "build/$target/libaio.a" | grep ' [wv] ' | grep -vE " ($brought)\$"; then
		fail "weak references in the archive"
	fi
}

# The oldest Rust that Cargo.toml promises.
check_oldest_rust() {
	oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
	root=$cross/rust-$oldest
	bring_oldest_rust "$oldest"
	bring_machine x86_64-unknown-linux-gnu
	rm -rf "build/$target"
	if (
		PATH=$root/usr/bin:$PATH LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
		cargo --version
		build_library
	); then
		check_library
	else
		fail "does not build with Rust $oldest"
	fi
	# The newest builds it again.
	rm -rf "build/$target"
}

bring_rust
rustc --version
[ $# -gt 0 ] || check_oldest_rust
chosen=$#
# shellcheck disable=SC2046 # one word each
[ $# -gt 0 ] || set -- $(machines | cut -d ' ' -f 1)
for target; do
	bring_machine "$target"
	if build_library; then
		check_library
		check_marks
		check_layout
		check_linking
		check_archive
		echo "checked $target: $(wc -c < "build/$target/libaio.so.1.0.2") bytes"
	else
		fail "does not build"
	fi
done
echo "cross-check: $checked comparisons, $failed failed"
[ "$failed" = 0 ]
[ "$chosen" -gt 0 ] || scripts/i386-check.sh
