#!/bin/sh
# make licences: cargo-deny, built from its own Cargo.lock into build/tools, checks the licence and
# the source of every crate in ours. It does not ask for security advisories, which are of the day
# and need a network: `build/tools/bin/cargo-deny check advisories` does.
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
