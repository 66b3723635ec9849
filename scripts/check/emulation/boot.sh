#!/bin/sh
# boot.sh PLACE: boots an emulated machine. Its only process, init.c, runs the programs that
# PLACE/files/list names, below PLACE/files, from an ext4 disk. Leaves their output in PLACE/results
# and the console in PLACE/console. Fails if the machine does not shut down by itself within 20
# minutes. tests/differential calls it; emulation-check.sh and kernel-check.sh choose the machine.
set -eu
cd "$(dirname "$0")/../../.."
work=$1
compiler=$LIBAIO_RS_COMPILER emulators=$LIBAIO_RS_EMULATORS kernel=$LIBAIO_RS_KERNEL
image=$(find "$kernel" -type f -name 'vmlinuz*')
PATH=$PATH:/usr/sbin:/sbin:$emulators/bin

# Prints a module's file after the files of the modules it depends on. The package has no
# modules.dep.
module() {
	file=$(find "$kernel" -name "$1.ko" -o -name "$1.ko.xz")
	case $file in
	'') return 0 ;; # built in
	*.xz)
		xz -dc "$file" > "$work/modules/$1.ko"
		file=$work/modules/$1.ko
		;;
	esac
	# Not to /dev/stdout, which LLVM's objcopy would replace with a regular file.
	"$compiler-objcopy" -O binary -j .modinfo "$file" "$work/modinfo"
	for needed in $(< "$work/modinfo" tr '\0' '\n' | sed -n 's/^depends=//p' | tr , ' '); do
		(module "$needed")
		(module "$(echo "$needed" | tr _ -)")
	done
	echo "$file"
}

# Contains the modules for the disk, and the system's libraries that the programs need.
make_initramfs() {
	mkdir -p "$work/root/modules" "$work/root/dev" "$work/root/proc" "$work/root/sys" \
		"$work/root/disk" "$work/root/tmp" "$work/modules"
	for name in virtio_mmio virtio_pci virtio_blk crc32c_generic ext4 loop fuse; do
		module "$name"
	done | awk '!seen[$0]++' | while read -r file; do
		cp "$file" "$work/root/modules"
		echo "/modules/$(basename "$file")"
	done > "$work/list"
	mv "$work/list" "$work/root/modules/list"
	for file in $(libraries); do
		cp -L --parents "$file" "$work/root"
	done
	"$compiler-gcc" -static -s -O2 -Wall -Wextra -Werror -o "$work/root/init" \
		scripts/check/emulation/init.c
	(cd "$work/root" && find . | cpio --quiet -o -H newc) > "$work/initramfs"
}

# Prints the libraries that the programs need. Programs for another machine are static and need
# none. Cancelling a thread loads libgcc at run time; ldd finds it because other programs are linked
# with it.
libraries() {
	case $LIBAIO_RS_FOREIGN_TARGET in x86_64-*) ;; *) return 0 ;; esac
	for program in "$work"/files/ours/*; do
		ldd "$program"
	done | grep -o ' /[^ ]*\|^[[:space:]]*/[^ ]*' | tr -d '[:blank:]' | grep -v "^$work" | sort -u
}

# With a file system in a file, for c-tests/full.c: there is no mke2fs on the machine.
make_disk() {
	truncate -s 1M "$work/files/work/small.ext4"
	mke2fs -q -t ext4 -b 4096 -O ^has_journal -N 16 "$work/files/work/small.ext4"
	truncate -s 512M "$work/disk"
	mke2fs -q -t ext4 -d "$work/files" "$work/disk"
}

# emulate SECONDS EMULATOR OPTION...: boots the machine and waits until it switches off.
emulate() {
	limit=$1 emulator=$2
	shift 2
	LD_LIBRARY_PATH=$emulators/usr/lib/x86_64-linux-gnu:$emulators/lib/x86_64-linux-gnu \
		timeout "$limit" "$emulators/usr/bin/$emulator" "$@" -smp "${LIBAIO_RS_CPUS:-2}" \
		-m 1024 -nographic -nodefaults \
		-serial stdio -no-reboot -kernel "$image" -initrd "$work/initramfs" \
		-drive "file=$work/disk,format=raw,if=none,id=disk" < /dev/null > "$work/console" 2>&1
}

# amd64 SECONDS WORD...: WORD... goes onto the kernel's command line. Two CPUs are online, however
# many are possible.
amd64() {
	seconds=$1
	shift
	emulate "$seconds" qemu-system-x86_64 -M q35 -L "$emulators/usr/share/qemu" \
		-L "$emulators/usr/share/seabios" -device virtio-blk-pci,drive=disk -accel "$accelerator" \
		-append "console=ttyS0 panic=-1 quiet maxcpus=2 $*"
}

# Uses KVM if a trial machine boots and switches off with it: a /dev/kvm may exist but not work.
choose_accelerator() {
	accelerator=kvm
	if ! [ -w /dev/kvm ] || ! amd64 30 probe || ! grep -q 'init: done' "$work/console"; then
		accelerator=tcg,thread=multi
	fi
	echo "accelerator: ${accelerator%%,*}"
}

run_machine() {
	case $LIBAIO_RS_FOREIGN_TARGET in
	x86_64-*)
		choose_accelerator
		amd64 1200
		;;
	aarch64-*)
		emulate 1200 qemu-system-aarch64 -M virt -cpu cortex-a72 \
			-append 'console=ttyAMA0 panic=-1 quiet' -device virtio-blk-device,drive=disk
		;;
	s390x-*)
		emulate 1200 qemu-system-s390x -M s390-ccw-virtio \
			-append 'console=ttysclp0 panic=-1 quiet' -device virtio-blk-ccw,drive=disk
		;;
	loongarch64-*)
		# Debian's kernel needs the firmware's tables to find its disk.
		emulate 1200 newer-loongarch64 -M virt -cpu la464 -bios "$LIBAIO_RS_FIRMWARE" \
			-append 'console=ttyS0 panic=-1 quiet' -device virtio-blk-pci,drive=disk
		;;
	esac
}

make_initramfs
make_disk
run_machine
mkdir "$work/results"
debugfs -R "rdump ours original $work/results" "$work/disk" 2> /dev/null
