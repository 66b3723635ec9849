#!/bin/sh
# make emulation-check: runs the programs in c-tests/ on arm64, s390x, which is big-endian, and
# loong64. QEMU emulates the whole machine, with Debian's kernel, because user-mode emulation has no
# kernel AIO. tests/differential links each program statically with this library and with Debian's
# libaio, and compares what they print. Arguments, if any, are the only machines to check.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/differential.sh
. scripts/shared/cross-machines.sh
. scripts/shared/emulated-machine.sh

bring_rust
bring_emulator "$cross/qemu" qemu-system-arm qemu-system-misc

# The kernel, and for loong64 a newer QEMU, because Debian 12's lacks some instructions.
bring_what_runs_it() {
	# Without kernel AIO the library is compared with newer kernels: since Linux 6.8, a thread that
	# waits for two events leaves the first in the ring until the second arrives, and FUSE asks its
	# server for other things.
	LIBAIO_RS_INCOMPARABLE='stale_handles_inline fuse_inline'
	if [ "$debian" = loong64 ]; then
		from_release trixie bring_programs "$cross/qemu-newer" qemu-system-misc
		from_release trixie bring_foreign amd64 "$cross/efi/loong64" qemu-efi-loongarch64
		run_newer "$cross/qemu-newer" qemu-system-loongarch64 \
			"$cross/qemu/usr/bin/newer-loongarch64"
		LIBAIO_RS_FIRMWARE=$cross/efi/loong64/usr/share/qemu-efi-loongarch64/QEMU_EFI.fd
		# Its libaio is newer than the one compared elsewhere: io_getevents calls io_pgetevents(2),
		# which goes on waiting after a stop signal, and reads the timeout before the kernel can
		# refuse the call.
		LIBAIO_RS_INCOMPARABLE='stop_signals error_precedence'
		export LIBAIO_RS_FIRMWARE
		set -- from_release sid
	fi
	export LIBAIO_RS_INCOMPARABLE
	"$@" bring_kernel "$debian" "$cross/kernel/$debian" "linux-image-$debian"
}

# For machines on which the library reaps in user space, builds two more programs in
# build/$target/lock: the lock's test, with the machine's restartable sections, and the stress test
# over a library without the lock.
build_lock_tests() {
	unset LIBAIO_RS_LOCK_TESTS
	grep -q 'REAPS: bool = true' "$(cpu_file)" || return 0
	export LIBAIO_RS_LOCK_TESTS="$PWD/build/$target/lock"
	mkdir -p "$LIBAIO_RS_LOCK_TESTS"
	LIBAIO_RS_WITHOUT_EXCLUSION=1 RUSTFLAGS='--cfg without_exclusion' \
		MAKEFLAGS="B=build/$target/without_exclusion" build_library
	"$compiler-gcc" -std=gnu11 -O2 -Wall -Wextra -Werror -pthread -static -I include \
		tests/stress.c -o "$LIBAIO_RS_LOCK_TESTS/stress_without_lock" \
		"build/$target/without_exclusion/libaio.a"
	bring_foreign "$debian" "$cross/std/$debian" libstd-rust-web-dev
	CARGO_PROFILE_DEV_PANIC=unwind RUSTFLAGS="--sysroot=$cross/std/$debian/usr" \
		cargo build --quiet --locked -p libc --target "$target" --target-dir "build/$target/libc"
	LIBAIO_RS_EMULATED=1 rustc --edition 2021 --test -O --target "$target" \
		--sysroot "$cross/std/$debian/usr" -C "linker=$compiler-gcc" -C target-feature=+crt-static \
		--cfg reaps_in_user_space \
		--extern "libc=$(echo "build/$target/libc/$target"/debug/deps/liblibc-*.rlib)" \
		-o "$LIBAIO_RS_LOCK_TESTS/lock_threads" tests/lock_threads.rs
}

status=0
[ $# -gt 0 ] || set -- arm64 s390x loong64
for chosen; do
	bring_machine "$(machines | awk -v debian="$chosen" '$4 == debian { print $1 }')"
	build_library
	build_lock_tests
	bring_what_runs_it
	differential "$debian" "$target" "$cross/bin/$compiler" "$PWD/build/$target" \
		"$cross/libaio/$debian" static static_inline || status=1
done
exit $status
