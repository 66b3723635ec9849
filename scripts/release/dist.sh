#!/bin/sh
# make dist: makes the release, build/libaio-rs-VERSION.tar.xz. It contains the last commit's files,
# all crates in Cargo.lock in vendor/, cargo's settings for them, and a bill of materials. It can be
# built and tested without a network (make dist-check). Two runs give the same bytes: files are
# sorted, belong to root, and have the time in SOURCE_DATE_EPOCH or else the time of the commit.
set -eu
cd "$(dirname "$0")/../.."
umask 022
version=$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)
name=libaio-rs-$version
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
[ -z "$(git status --porcelain)" ] ||
	echo "dist: the release is the last commit; uncommitted changes are not in it" >&2

mkdir -p build
work=$(mktemp -d "$PWD/build/dist.XXXXXX")
trap 'rm -rf "$work"' EXIT
git archive --prefix="$name/" HEAD | tar -x -C "$work"
(
	cd "$work/$name"
	mkdir .cargo
	"${CARGO:-cargo}" vendor --locked > .cargo/config.toml 2> ../log || { cat ../log >&2; exit 1; }
	scripts/release/sbom.sh source > libaio-rs.cdx.json
)

archive=build/$name.tar.xz
tar -C "$work" --sort=name --format=gnu --owner=root:0 --group=root:0 --mode=u+rw,go=rX \
	--mtime="@$SOURCE_DATE_EPOCH" -c "$name" | xz -6 -T1 > "$work/archive"
mv "$work/archive" "$archive"
echo "$archive: $(wc -c < "$archive") bytes, $(sha256sum < "$archive" | cut -d ' ' -f 1)"
