#!/bin/sh
# make i386-check: the programs in c-tests/ as 32-bit x86 programs, which a 64-bit kernel runs
# through its compatibility layer. Over this library, in each way in which a program can come to
# it, they must print what they print over Debian's i386 libaio. Everything it needs is unpacked
# below build/cross.
set -eu
cd "$(dirname "$0")/.."
. scripts/cross-machines.sh

bring_rust
bring_machine i686-unknown-linux-gnu
build_library
ours=$PWD/build/$target
original=$(dirname "$(find "$cross/libaio/i386" -name 'libaio.so.1')")
# The 32-bit C library and its loader are not installed either.
libraries=$cross/gcc/$libc/usr/$compiler/lib
unset LD_LIBRARY_PATH

# On the file system of the checkout: tmpfs has no O_DIRECT.
work=$(mktemp -d "$cross/i386.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/ours"
cp "$ours/libaio.so.1.0.2" "$work/ours/libaio.so.1"
ln -s libaio.so.1 "$work/ours/libaio.so"
passed=0 failed=0 skipped=0

# build HEADER-DIRECTORY OPTION...
build() {
	header=$1
	shift
	case $source in
	*.cc) set -- "$compiler-g++" -std=gnu++17 "$@" ;;
	*) set -- "$compiler-gcc" -std=gnu11 "$@" ;;
	esac
	program=$1
	shift
	# The libraries come last on the command line.
	"$program" -O2 -Wall -Wextra -Werror -pthread -I "$header" -o "$work/program" "$source" "$@" \
		"-Wl,--dynamic-linker=$libraries/ld-linux.so.2" "-Wl,-rpath,$libraries" -ldl
}

# answers FILE [NAME=VALUE]: what the program prints; 77 is its status if it cannot run here.
answers() {
	file=$1
	shift
	status=0
	(cd "$work" && env "$@" ./program) > "$file" 2> "$work/errors" || status=$?
	case $status in
	0) [ -s "$file" ] ;;
	77) echo "cannot run here" >> "$file" ;;
	*)
		echo "status $status" >> "$work/errors"
		return 1
		;;
	esac
}

# check WAY COMMAND...: the program that COMMAND builds prints the same; RUN is its environment.
check() {
	way=$1
	shift
	if "$@" > "$work/errors" 2>&1 && answers "$work/found" ${run:+"$run"} &&
		diff -u "$work/expected" "$work/found"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED $name::$way"
		cat "$work/errors"
	fi
}

for source in c-tests/*.c c-tests/*.cc; do
	name=$(basename "${source%.*}")
	run=
	case $name in
	# The first is of another test; the second says where it is; the third needs a machine on which
	# completions are taken from the ring.
	layout_probe | which | no_system_call) continue ;;
	# Without the part about an address that a 32-bit program cannot name.
	crashes_*)
		awk '/^- / { part = $0 }
			part !~ /^- no such address/' \
			"c-tests/$name.expected" > "$work/expected"
		;;
	*)
		if ! build "$cross/libaio/i386/usr/include" "-L$original" -laio > "$work/errors" 2>&1 ||
			! answers "$work/expected" "LD_LIBRARY_PATH=$original"; then
			failed=$((failed + 1))
			echo "FAILED $name over the original"
			cat "$work/errors"
			continue
		fi
		skips=$(grep -c -e '^SKIP ' -e '^cannot run here$' "$work/expected") || true
		skipped=$((skipped + skips))
		run=LD_PRELOAD=$work/ours/libaio.so.1
		check preloaded :
		;;
	esac
	# Nothing to a static program.
	run=LD_LIBRARY_PATH=$work/ours
	check linked build include "-L$work/ours" -laio
	# Functions of LIBAIO_0.1 are not in an archive, and are older than 64-bit times.
	[ "$name" != old_abi ] || continue
	check static build include -static -DSTATIC "$ours/libaio.a"
	# There is one system call with 64-bit times, and it does not do what this program asks about.
	[ "$name" != stopped ] || continue
	check linked_time64 build include -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64 "-L$work/ours" -laio
	check static_time64 build include -static -DSTATIC -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64 \
		"$ours/libaio.a"
done

# Which file served them, once: otherwise the original could be compared with itself.
source=c-tests/which.c
build include "-L$work/ours" -laio
answers "$work/found" "LD_LIBRARY_PATH=$work/ours"
[ "$(grep -c "$work/ours/libaio.so.1" "$work/found")" = 9 ] || { cat "$work/found"; exit 1; }
echo "i386-check: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
