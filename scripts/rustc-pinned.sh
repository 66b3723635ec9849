#!/bin/sh
# What cargo runs in place of rustc for this crate, when `make` builds it. RUSTFLAGS of every kind
# come after cargo's own arguments, and of two values the last one counts: so what must not be
# changed comes after them.
# shellcheck disable=SC2086 # several words
exec "$@" $PINNED
