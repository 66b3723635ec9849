#!/bin/sh
# make kernel-check: the programs in c-tests/ and the stress test on other kernels, on an emulated
# machine: those of Debian 11, 12, 13 and the newest, for amd64. Each program is built once for
# Debian's libaio1, and must print the same over Debian's file and over this library's. With
# arguments: these releases only (bullseye, bookworm, trixie, sid). Bounded to 20 minutes for each.
set -eu
cd "$(dirname "$0")/.."
cross=$PWD/build/cross
packages=$cross/packages
mkdir -p "$packages"
. scripts/debian-packages.sh
. scripts/emulated-machine.sh

require_debian
bring_emulator "$cross/qemu-x86" qemu-system-x86
bring_foreign amd64 "$cross/libaio/amd64" libaio1 libaio-dev
original=$(find "$cross/libaio/amd64" -name 'libaio.so.1')
compiler=x86_64-linux-gnu

# build SOURCE NAME COMMAND...: one program, in two places, each beside the library that serves it.
build() {
	source=$1 name=$2
	shift 2
	# shellcheck disable=SC2016 # the dynamic linker's variable
	"$@" -s -I "$cross/libaio/amd64/usr/include" -o "$work/files/ours/$name" "$source" \
		-L "$(dirname "$original")" -laio -ldl '-Wl,-rpath,$ORIGIN'
	cp "$work/files/ours/$name" "$work/files/original/$name"
}

build_files() {
	# The header is another test's; for which file serves a program, see below.
	build_programs layout_probe which
	build c-tests/which.c which "$compiler-gcc" -O2
	build tests/stress.c stress "$compiler-gcc" -std=gnu11 -O2 -pthread
	printf '%s\n' ours/which original/which 'ours/stress 10 50000' >> "$work/files/list"
	cp build/libaio.so.1.0.2 "$work/files/ours/libaio.so.1"
	cp -L "$original" "$work/files/original/libaio.so.1"
	# What the programs need besides. Threads that are cancelled ask for libgcc at run time.
	for program in "$work"/files/ours/*; do
		ldd "$program"
	done | grep -o ' /[^ ]*\|^[[:space:]]*/[^ ]*' | tr -d '[:blank:]' | grep -v "^$work" |
		sort -u > "$work/libraries"
}

run_machine() {
	seconds=$1
	shift
	emulate "$seconds" qemu-system-x86_64 -M q35 -L "$emulators/usr/share/qemu" \
		-L "$emulators/usr/share/seabios" -device virtio-blk-pci,drive=disk "$@"
}

# KVM, if a machine lives to its end with it: there may be a /dev/kvm that is of no use.
choose_accelerator() {
	accelerator=tcg,thread=multi
	[ -w /dev/kvm ] || return 0
	if run_machine 30 -accel kvm -append 'console=ttyS0 panic=-1 quiet probe' > "$work/log" 2>&1 &&
		grep -q 'init: done' "$work/console"; then
		accelerator=kvm
	fi
}

# Which file served them: otherwise the original could be compared with itself. And the stress test.
judge_others() {
	for library in ours original; do
		if [ "$(grep -c "/disk/$library/libaio.so.1" "$work/results/$library/which.out")" != 9 ]; then
			failed=$((failed + 1))
			echo "FAILED which: not served by /disk/$library/libaio.so.1"
			cat "$work/results/$library/which.out"
		fi
	done
	if [ "$(cat "$work/results/ours/stress.status")" = 0 ]; then
		echo "stress: $(cat "$work/results/ours/stress.out")"
	else
		failed=$((failed + 1))
		echo "FAILED stress: status $(cat "$work/results/ours/stress.status")"
	fi
}

result=0
accelerator=
build_files
[ $# -gt 0 ] || set -- bullseye bookworm trixie sid
for release; do
	from_release "$release" bring_kernel amd64 "$cross/kernel/amd64-$release" linux-image-cloud-amd64
	# shellcheck disable=SC2046 # one word each
	make_initramfs $(cat "$work/libraries")
	make_disk
	[ -n "$accelerator" ] || choose_accelerator
	if run_machine 1200 -accel "$accelerator" -append 'console=ttyS0 panic=-1 quiet'; then
		compare
		judge_others
		# Programs write to it what they do not compare: why one failed.
		[ "$failed" = 0 ] || grep -v '^init: o' "$work/console"
		conclude "$release" || result=1
	else
		result=1
	fi
done
echo "accelerator: ${accelerator%%,*}"
exit $result
