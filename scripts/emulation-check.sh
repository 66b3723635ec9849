#!/bin/sh
# make emulation-check: the programs in c-tests/ on arm64, on s390x, which is big-endian, and on loong64, with
# Debian's kernel of that machine on an emulated one (user-mode emulation has no kernel AIO). Each
# is linked statically with this library and with Debian's libaio of that machine, and must print
# the same. With arguments: these machines only (arm64, s390x, loong64). Bounded to 20 minutes for each.
set -eu
cd "$(dirname "$0")/.."
. scripts/cross-machines.sh
. scripts/emulated-machine.sh

bring_rust
bring_emulator "$cross/qemu" qemu-system-arm qemu-system-misc

# build SOURCE NAME COMMAND...: both programs.
build() {
	source=$1 name=$2
	shift 2
	set -- "$@" -static -s -DSTATIC "$source"
	"$@" -I include -o "$work/files/ours/$name" "build/$target/libaio.a" -ldl
	"$@" -I "$cross/libaio/$debian/usr/include" -o "$work/files/original/$name" "$archive" -ldl
}

run_machine() {
	case $debian in
	arm64)
		emulate 1200 qemu-system-aarch64 -M virt -cpu cortex-a72 -accel tcg,thread=multi \
			-append 'console=ttyAMA0 panic=-1 quiet' -device virtio-blk-device,drive=disk
		;;
	s390x)
		emulate 1200 qemu-system-s390x -M s390-ccw-virtio \
			-append 'console=ttysclp0 panic=-1 quiet' -device virtio-blk-ccw,drive=disk
		;;
	loong64)
		# Debian's kernel finds its disk by the firmware's tables.
		emulate 1200 newer-loongarch64 -M virt -cpu la464 \
			-bios "$cross/efi/loong64/usr/share/qemu-efi-loongarch64/QEMU_EFI.fd" \
			-append 'console=ttyS0 panic=-1 quiet' -device virtio-blk-pci,drive=disk
		;;
	esac
}

# The kernel, and for loong64 a newer QEMU, since Debian 12's does not have all its instructions.
bring_what_runs_it() {
	if [ "$debian" = loong64 ]; then
		from_release trixie bring_programs "$cross/qemu-newer" qemu-system-misc
		from_release trixie bring_foreign amd64 "$cross/efi/loong64" qemu-efi-loongarch64
		run_newer "$cross/qemu-newer" qemu-system-loongarch64 "$emulators/usr/bin/newer-loongarch64"
		set -- from_release sid
	fi
	"$@" bring_kernel "$debian" "$cross/kernel/$debian" "linux-image-$debian"
}

# Where completions are taken from the ring: the test of the lock with the library's own sections, and
# the stress test, once over a library without the lock, for which it must fail.
build_lock_tests() {
	set -- "$compiler-gcc" -std=gnu11 -O2 -Wall -Wextra -Werror -pthread -static -I include tests/stress.c
	"$@" -o "$work/files/ours/stress" "build/$target/libaio.a"
	LIBAIO_RS_WITHOUT_EXCLUSION=1 RUSTFLAGS='--cfg without_exclusion' MAKEFLAGS="B=$work/unlocked" \
		build_library
	"$@" -o "$work/files/ours/stress_without_lock" "$work/unlocked/libaio.a"
	bring_foreign "$debian" "$cross/std/$debian" libstd-rust-web-dev
	CARGO_PROFILE_DEV_PANIC=unwind RUSTFLAGS="--sysroot=$cross/std/$debian/usr" \
		cargo build --quiet --locked -p libc --target "$target" --target-dir "$work/libc"
	LIBAIO_RS_EMULATED=1 rustc --edition 2021 --test -O --target "$target" \
		--sysroot "$cross/std/$debian/usr" -C "linker=$compiler-gcc" -C target-feature=+crt-static \
		--cfg reaps_in_user_space --extern "libc=$(echo "$work/libc/$target"/debug/deps/liblibc-*.rlib)" \
		-o "$work/files/ours/lock_threads" tests/lock_threads.rs
	cat >> "$work/files/list" <<-'EOF'
		ours/stress 10 50000
		ours/stress_without_lock 10 0 steady
		ours/lock_threads --nocapture --test-threads=1 restartable
	EOF
}

judge_lock_tests() {
	echo "stress: $(cat "$work/results/ours/stress.out")"
	echo "without the lock: $(cat "$work/results/ours/stress_without_lock.out")"
	if ! grep '^test result: ok. [1-9]' "$work/results/ours/lock_threads.out"; then
		failed=$((failed + 1))
		echo "FAILED lock_threads: no test was run"
	fi
	for expected in stress=0 stress_without_lock=1 lock_threads=0; do
		test=${expected%=*}
		if [ "$(cat "$work/results/ours/$test.status")" != "${expected#*=}" ] ||
			grep '^SKIPPED' "$work/results/ours/$test.out"; then
			failed=$((failed + 1))
			echo "FAILED $test: status $(cat "$work/results/ours/$test.status")"
		fi
	done
}

status=0
[ $# -gt 0 ] || set -- arm64 s390x loong64
for chosen; do
	bring_machine "$(machines | awk -v debian="$chosen" '$4 == debian { print $1 }')"
	build_library
	bring_what_runs_it
	make_initramfs
	archive=$(find "$cross/libaio/$debian" -name libaio.a)
	# They say nothing here, or ask for symbols that a static library does not have.
	set -- layout_probe which old_abi
	if grep -q 'REAPS: bool = true' "$(cpu_file)"; then
		reaps=true
	else
		reaps=false
		set -- "$@" no_system_call
	fi
	# loong64's libaio is newer than the original: there io_getevents calls io_pgetevents(2), which
	# goes on waiting after a stop signal, and reads the timeout before the kernel can refuse it.
	incomparable=0
	if [ "$debian" = loong64 ]; then
		set -- "$@" stopped wrong_twice
		incomparable=2
		echo "SKIPPED TEST stopped, wrong_twice: loong64's libaio is newer and answers otherwise"
	fi
	build_programs "$@"
	if "$reaps"; then build_lock_tests; fi
	make_disk
	if run_machine; then
		compare
		skipped=$((skipped + incomparable))
		if "$reaps"; then judge_lock_tests; fi
		conclude "$debian" || status=1
	else
		status=1
	fi
done
exit $status
