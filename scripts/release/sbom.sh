#!/bin/sh
# make sbom: writes the bill of materials of the built library to standard output, as CycloneDX
# JSON: this crate, the crates that are compiled into it, and Rust's core library. With the argument
# "source", writes that of the release archive: every crate in Cargo.lock, with the scope "excluded"
# for crates that are only used to build or test. The output is the same every time: it has no
# serial number, and a time only if SOURCE_DATE_EPOCH is set.
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
