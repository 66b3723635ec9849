#!/bin/sh
# make sbom: the bill of materials of the built library on standard output, as CycloneDX JSON: this
# crate, the crates that are compiled into it, and Rust's core library. With the argument "source":
# of the release tarball, that is, of every crate in Cargo.lock; scope "excluded" is for those that
# only build or test. The same every time: no serial number, and the time of SOURCE_DATE_EPOCH, if
# it is set.
set -eu
cd "$(dirname "$0")/../.."
kind=${1:-library}
cargo=${CARGO:-cargo}
time=
[ -z "${SOURCE_DATE_EPOCH:-}" ] || time=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
rust=$("${RUSTC:-rustc}" --version | cut -d ' ' -f 2)
features="--no-default-features --features versioned"
[ "$kind" = library ] || rust='' features=--all-features

# shellcheck disable=SC2086 # several words
"$cargo" metadata --quiet --format-version 1 --locked $features |
	jq --rawfile lock Cargo.lock --arg kind "$kind" --arg time "$time" --arg rust "$rust" \
		-f scripts/release/sbom.jq
