#!/bin/sh
# make deb: builds Debian source and binary packages in build/deb, from a copy of the tree, because
# dpkg-buildpackage writes into the parent directory. As root on Debian it installs the tools it
# needs except Rust; any new enough Rust in PATH can be used.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/package-source.sh
unset MAKEFLAGS MFLAGS MAKELEVEL TARGET

bring_tools dh=debhelper dpkg-buildpackage=dpkg-dev make=make cc=gcc g++=g++ xz=xz-utils

out=$PWD/build/deb
tree=$out/libaio-rs-$version
rm -rf "$out"
mkdir -p "$out"
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l packaging/debian/changelog -S Timestamp)
export SOURCE_DATE_EPOCH
source_tarball "$out"
mv "$out/libaio-rs-$version.tar.xz" "$out/libaio-rs_$version.orig.tar.xz"
tar -C "$out" -xf "$out/libaio-rs_$version.orig.tar.xz"
cp -R packaging/debian "$tree/debian"
chmod -R u=rwX,go=rX "$tree/debian"
cd "$tree"

# The build dependencies include Debian's cargo and rustc. If they are not installed, a rustc in
# PATH that is new enough is used. All other build dependencies must be installed.
set --
if ! dpkg-checkbuilddeps 2> "$out/dependencies"; then
	others=$(sed -n '/^Build-Depends:/,/^$/ { s/^Build-Depends://; /cargo\|rustc/d; p }' \
		debian/control)
	dpkg-checkbuilddeps -d "$others"
	oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
	found=$(rustc --version 2> /dev/null | cut -d ' ' -f 2) || true
	if ! dpkg --compare-versions "${found:-0}" ge "$oldest"; then
		cat "$out/dependencies" >&2
		exit 1
	fi
	echo "building with rustc $found, which is not Debian's"
	set -- -d
fi
rm "$out/dependencies"

# debhelper sets HOME to an empty directory, in which cargo would not find its crates, nor rustup
# its compilers.
CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
export CARGO_HOME RUSTUP_HOME
dpkg-buildpackage --no-sign "$@"
cd "$out"
rm -rf "$tree"
ls -l "$out"
