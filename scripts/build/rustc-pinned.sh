#!/bin/sh
# When `make` builds this crate, cargo runs this script instead of rustc. It appends the options in
# $PINNED: cargo puts RUSTFLAGS of every kind after its own options, and of two values for one
# option rustc uses the last.

# Cargo's first call asks rustc about the target. An old rustc would refuse the pinned options
# there, before cargo checks its version. The check is here because only cargo knows which rustc it
# runs.
case " $* " in
*' --print=cfg '*)
	oldest=$(sed -n 's/^rust-version = "1\.\(.*\)"$/\1/p' "$(dirname "$0")/../../Cargo.toml")
	version=$("$1" --version)
	minor=${version#rustc 1.}
	if [ "${minor%%.*}" -lt "$oldest" ]; then
		echo "libaio-rs needs rustc 1.$oldest or newer; this is ${version%% (*}" >&2
		exit 1
	fi
	;;
esac
# shellcheck disable=SC2086 # several words
exec "$@" $PINNED
