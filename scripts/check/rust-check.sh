#!/bin/sh
# make rust-check: builds and tests the release with the Rust versions in Debian's archive: Debian
# 11's rustc-web, the oldest version that Cargo.toml allows; Debian 12's two versions of rustc-web;
# and Debian 12's rustc, which is too old, so that the build must refuse it. Packages are unpacked
# below build/cross and not installed. Only the release's crates are used. Takes at most two hours.
set -eu
cd "$(dirname "$0")/../.."
scripts/release/dist.sh
. scripts/shared/cross-machines.sh
version=$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
work=$(mktemp -d "$cross/rust-check.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

# with_rust VERSION COMMAND...: runs the command in the release with the Rust in $cross/rust-VERSION
# and an empty home directory.
with_rust() {
	root=$cross/rust-$1
	shift
	(
		PATH=$root/usr/bin:$PATH
		LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
		HOME=$work/home CARGO_HOME=$work/home/cargo CARGO_NET_OFFLINE=true
		export PATH LD_LIBRARY_PATH HOME CARGO_HOME CARGO_NET_OFFLINE
		unset CARGO
		cd "$work/libaio-rs-$version"
		"$@"
	)
}

unpack_release() {
	rm -rf "${work:?}/libaio-rs-$version" "${work:?}/home"
	mkdir "$work"/home
	tar -xf "build/libaio-rs-$version.tar.xz" -C "$work"
}

# check VERSION: builds the release and runs the tests of the header, which compile every crate that
# generates it, of the symbols with all linkers, and of the hardening.
check() {
	unpack_release
	log=build/rust-check-$1.log
	if with_rust "$1" make CARGO=cargo > "$log" 2>&1 &&
		with_rust "$1" timeout 40m cargo test --frozen --test header --test symbols \
			--test hardening >> "$log" 2>&1; then
		awk -v rust="$(with_rust "$1" rustc --version)" '/^test result: / { passed += $4 }
			/SKIPPED TEST / { passed--; skipped++ }
			END { printf "rust-check: %s builds: %d passed, 0 failed, %d skipped\n",
					rust, passed, skipped
				exit passed == 0 }' "$log" || failed=$((failed + 1))
	else
		tail -n 40 "$log"
		echo "FAILED: Rust $1"
		failed=$((failed + 1))
	fi
}

bring_oldest_rust "$oldest"
check "$oldest"
bring_web_rust 1.85
check 1.85
bring_web_rust 1.96
check 1.96

# The version that is too old must be refused, with the reason.
bring_programs "$cross/rust-1.63" "rustc=1.63.*" cargo \
	"libstd-rust-dev=1.63.*" "libstd-rust-1.63=1.63.*"
unpack_release
log=build/rust-check-1.63.log
if with_rust 1.63 make CARGO=cargo > "$log" 2>&1; then
	echo "FAILED: Rust 1.63 builds, but Cargo.toml requires $oldest"
	failed=$((failed + 1))
elif reason=$(grep -o "libaio-rs needs rustc $oldest or newer.*" "$log"); then
	echo "rust-check: $(with_rust 1.63 rustc --version) is refused: $reason"
else
	tail -n 40 "$log"
	echo "FAILED: Rust 1.63 does not say that $oldest is needed"
	failed=$((failed + 1))
fi
[ "$failed" = 0 ]
