# shellcheck shell=sh
# Sourced by the scripts that fetch or boot a machine for the tests. Source it before anything that
# changes PATH.

# cargo runs with these: the user's own Rust, not the one that is unpacked for other machines.
tests_path=$PATH tests_libraries=${LD_LIBRARY_PATH-}

# on_foreign AS TARGET COMPILER OURS ORIGINAL ARGUMENT...: runs cargo test with these arguments over
# the library of another machine. AS begins the line with the counts, TARGET is Rust's name of the
# machine, COMPILER the prefix of its compiler's name, OURS the directory of the built library, and
# ORIGINAL the directory in which Debian's is unpacked.
on_foreign() {
	as=$1
	export LIBAIO_RS_FOREIGN_TARGET="$2" LIBAIO_RS_COMPILER="$3" LIBAIO_RS_OURS="$4"
	export LIBAIO_RS_ORIGINAL="$5"
	shift 5
	COUNT_AS=$as PATH=$tests_path LD_LIBRARY_PATH=$tests_libraries \
		scripts/shared/count-tests.sh "${CARGO:-cargo}" test --no-fail-fast "$@"
}

# differential NAME TARGET COMPILER OURS ORIGINAL WAY...: runs tests/differential for another
# machine. NAME becomes part of the names of its tests. The environment has LIBAIO_RS_LIBRARIES, the
# directory of the machine's C library, if its programs run on this machine, or else LIBAIO_RS_BOOT,
# a command that runs them on the other.
differential() {
	export LIBAIO_RS_MACHINE="$1"
	on=$2 prefix=$3 ours=$4 original=$5
	shift 5
	LIBAIO_RS_WAYS=$*
	export LIBAIO_RS_WAYS
	on_foreign "$LIBAIO_RS_MACHINE" "$on" "$prefix" "$ours" "$original" --test differential
}
