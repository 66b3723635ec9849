#!/bin/sh
# make emulation-check: the programs in c-tests/ on arm64 and on s390x, which is big-endian, with
# Debian's kernel of that machine on an emulated one (user-mode emulation has no kernel AIO). Each
# is linked statically with this library and with Debian's libaio of that machine, and must print
# the same. With arguments: these machines only (arm64, s390x). Bounded to 20 minutes for each.
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
		emulate 1200 qemu-system-aarch64 -M virt -cpu cortex-a72 \
			-append 'console=ttyAMA0 panic=-1 quiet' -device virtio-blk-device,drive=disk
		;;
	s390x)
		emulate 1200 qemu-system-s390x -M s390-ccw-virtio \
			-append 'console=ttysclp0 panic=-1 quiet' -device virtio-blk-ccw,drive=disk
		;;
	esac
}

status=0
[ $# -gt 0 ] || set -- arm64 s390x
for chosen; do
	bring_machine "$(machines | awk -v debian="$chosen" '$4 == debian { print $1 }')"
	build_library
	bring_kernel "$debian" "$cross/kernel/$debian" "linux-image-$debian"
	make_initramfs
	archive=$(find "$cross/libaio/$debian" -name libaio.a)
	# They say nothing here, or ask for symbols that a static library does not have.
	set -- layout_probe which old_abi
	# Completions are taken from the ring on the machines that build.rs names only.
	if [ "$debian" = s390x ]; then
		set -- "$@" no_system_call
	fi
	build_programs "$@"
	make_disk
	if run_machine; then
		compare
		conclude "$debian" || status=1
	else
		status=1
	fi
done
exit $status
