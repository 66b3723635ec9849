#!/bin/sh
# make dist-check: builds and installs the release, and runs `make check` in it, without a network.
# The release is unpacked outside of any checkout, with an empty CARGO_HOME, in a network namespace
# that has only a loopback interface. Takes as long as `make check`, and at most an hour. Run `make
# check` first, which installs the Debian packages that the tests use.
set -eu
cd "$(dirname "$0")/../.."
scripts/release/dist.sh
version=$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)
archive=$PWD/build/libaio-rs-$version.tar.xz
# The real cargo and rustc: rustup's wrappers find them only through the home directory.
cargo=$(command -v "${CARGO:-cargo}")
sysroot=$(rustc --print sysroot)
[ ! -x "$sysroot/bin/cargo" ] || cargo=$sysroot/bin/cargo

# Not below the checkout, because cargo would find its settings there; and not on tmpfs, which has
# no O_DIRECT.
work=$(mktemp -d -p "${LIBAIO_RS_TMPDIR:-/var/tmp}" libaio-rs.XXXXXX)
trap 'rm -rf "$work"' EXIT
tar -xf "$archive" -C "$work"
mkdir "$work/home"
cat > "$work/run.sh" <<'EOF'
set -eu
ip link set lo up
if ip -o link | grep -v ' lo: '; then
	echo "dist-check: there is a network"
	exit 1
fi
cd "$1"
make
make install "DESTDIR=$HOME/stage" prefix=/usr
test -s "$HOME/stage/usr/lib/libaio.so.1"
make sbom
timeout 60m make check
EOF
user=
[ "$(id -u)" = 0 ] || user=-r
# shellcheck disable=SC2086 # nothing, or one word
env -u MAKEFLAGS -u MFLAGS -u CARGO_TARGET_DIR HOME="$work/home" CARGO_HOME="$work/home/cargo" \
	CARGO="$cargo" PATH="$sysroot/bin:$PATH" \
	unshare $user -n sh "$work/run.sh" "$work/libaio-rs-$version" > build/dist-check.log 2>&1 ||
	{ tail -n 60 build/dist-check.log; exit 1; }
grep -E '^(FAILED|SKIP)' build/dist-check.log || true
grep -E '^[0-9]+ passed, ' build/dist-check.log
