#!/bin/sh
# What cargo runs in place of rustc for this crate, when `make` builds it. RUSTFLAGS of every kind
# come after cargo's own arguments, and of two values the last one counts: so what must not be
# changed comes after them.

# Cargo asks rustc about the target first. An old rustc would refuse the pinned flags there, before
# cargo compares its version; and only cargo knows which rustc it runs.
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
