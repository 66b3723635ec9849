#!/bin/sh
# make licences: checks the licence and source of every crate in Cargo.lock with cargo-deny, which
# is built into build/tools. Security advisories are not checked, because they change from day to
# day and need a network: run `build/tools/bin/cargo-deny check advisories`.
set -eu
cd "$(dirname "$0")/../.."
version=0.20.2
cargo=${CARGO:-cargo}
tools=$PWD/build/tools
"$tools/bin/cargo-deny" --version 2> /dev/null | grep -qF "$version" ||
	"$cargo" install --quiet --locked --debug --target-dir "$tools/target" --root "$tools" \
		--version "$version" cargo-deny
"$tools/bin/cargo-deny" --locked check licenses bans sources
says=$("$tools/bin/cargo-deny" --version)
echo "licences: 3 passed, 0 failed (licences, bans, sources), by $says"
