#!/bin/sh
# make emulation-check: the programs in c-tests/ on arm64 and on s390x, which is big-endian, with
# Debian's kernel of that machine on an emulated one (user-mode emulation has no kernel AIO). Each
# is linked statically with this library and with Debian's libaio of that machine, and must print
# the same. With arguments: these machines only (arm64, s390x). Bounded to 20 minutes for each.
set -eu
cd "$(dirname "$0")/.."
. scripts/cross-machines.sh

for tool in mke2fs debugfs cpio; do
	PATH=$PATH:/usr/sbin:/sbin command -v "$tool" > /dev/null || { echo "needs $tool" >&2; exit 1; }
done
PATH=$PATH:/usr/sbin:/sbin
bring_rust
bring_programs "$cross/qemu" qemu-system-arm qemu-system-misc
work=$(mktemp -d "$cross/emulation.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Debian's kernel for $debian, in $kernel, and its version.
bring_kernel() {
	name=$(with_state "$debian" "$debian" apt-cache depends "linux-image-$debian" |
		sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
	kernel=$cross/kernel/$debian
	bring_foreign "$debian" "$kernel" "${name:?no kernel for $debian}"
	version=${name#linux-image-}
}

# Prints a module's file after those that it depends on. The package has no modules.dep.
module() {
	file=$(find "$kernel/lib/modules" -name "$1.ko")
	[ -n "$file" ] || return 0 # built in
	for needed in $("$compiler-objcopy" -O binary -j .modinfo "$file" /dev/stdout |
		tr '\0' '\n' | sed -n 's/^depends=//p' | tr , ' '); do
		(module "$needed")
		(module "$(echo "$needed" | tr _ -)")
	done
	echo "$file"
}

make_initramfs() {
	rm -rf "$work/root"
	mkdir -p "$work/root/modules" "$work/root/dev" "$work/root/proc" "$work/root/disk" "$work/root/tmp"
	for name in virtio_mmio virtio_blk crc32c_generic ext4; do
		module "$name"
	done | awk '!seen[$0]++' | while read -r file; do
		cp "$file" "$work/root/modules"
		echo "/modules/$(basename "$file")"
	done > "$work/list"
	mv "$work/list" "$work/root/modules/list"
	"$compiler-gcc" -static -s -O2 -Wall -Wextra -Werror -o "$work/root/init" scripts/emulation/init.c
	(cd "$work/root" && find . | cpio --quiet -o -H newc) > "$work/initramfs"
}

# Every program twice, and a list of them, on an ext4 disk.
make_disk() {
	rm -rf "$work/files"
	mkdir -p "$work/files/ours" "$work/files/original" "$work/files/work"
	archive=$(find "$cross/libaio/$debian" -name libaio.a)
	for source in c-tests/*.c c-tests/*.cc; do
		name=$(basename "${source%.*}")
		case $name in
		# They say nothing here, or ask for symbols that a static library does not have.
		layout_probe | which | old_abi) continue ;;
		# Completions are taken from the ring on 64-bit machines that build.rs names only.
		no_system_call) [ "$debian" != s390x ] || continue ;;
		esac
		case $source in
		*.cc) driver=g++ standard=gnu++17 ;;
		*) driver=gcc standard=gnu11 ;;
		esac
		set -- -static -s -std=$standard -O2 -Wall -Wextra -Werror -pthread -DSTATIC "$source"
		"$compiler-$driver" -I include "$@" -o "$work/files/ours/$name" "build/$target/libaio.a" -ldl
		echo "ours/$name"
		[ ! -e "c-tests/$name.expected" ] || continue # the original does not live to say it
		"$compiler-$driver" -I "$cross/libaio/$debian/usr/include" "$@" \
			-o "$work/files/original/$name" "$archive" -ldl
		echo "original/$name"
	done > "$work/list"
	mv "$work/list" "$work/files/list"
	rm -f "$work/disk"
	truncate -s 512M "$work/disk"
	mke2fs -q -t ext4 -d "$work/files" "$work/disk"
}

emulate() {
	case $debian in
	arm64)
		set -- qemu-system-aarch64 -M virt -cpu cortex-a72 \
			-append 'console=ttyAMA0 panic=-1 quiet' -device virtio-blk-device,drive=disk
		;;
	s390x)
		set -- qemu-system-s390x -M s390-ccw-virtio \
			-append 'console=ttysclp0 panic=-1 quiet' -device virtio-blk-ccw,drive=disk
		;;
	esac
	emulator=$1
	shift
	LD_LIBRARY_PATH=$cross/qemu/usr/lib/x86_64-linux-gnu timeout 1200 \
		"$cross/qemu/usr/bin/$emulator" "$@" -smp 2 -m 1024 -nographic -nodefaults -serial stdio \
		-no-reboot -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initramfs" \
		-drive "file=$work/disk,format=raw,if=none,id=disk" < /dev/null > "$work/console" 2>&1 ||
		{ echo "emulator: status $?"; tail -n 20 "$work/console"; return 1; }
}

compare() {
	passed=0 failed=0 skipped=0
	rm -rf "$work/results"
	mkdir "$work/results"
	debugfs -R "rdump ours original $work/results" "$work/disk" 2> /dev/null
	sed -n 's|^ours/||p' "$work/files/list" > "$work/programs"
	while read -r program; do
		ours=$work/results/ours/$program theirs=$work/results/original/$program
		if [ -e "c-tests/$program.expected" ]; then
			cp "c-tests/$program.expected" "$theirs.out"
			echo 0 > "$theirs.status"
		fi
		if [ "$(cat "$ours.status")" = 77 ] && [ "$(cat "$theirs.status")" = 77 ]; then
			skipped=$((skipped + 1))
			echo "SKIPPED TEST $program: it says that it cannot run here"
		elif [ "$(cat "$ours.status")" = 0 ] && [ "$(cat "$theirs.status")" = 0 ] &&
			[ -s "$ours.out" ] && diff -u "$theirs.out" "$ours.out"; then
			passed=$((passed + 1))
			grep '^SKIP ' "$ours.out" || true
		else
			failed=$((failed + 1))
			echo "FAILED $program: status $(cat "$ours.status"), the original's $(cat "$theirs.status")"
		fi
	done < "$work/programs"
	rows=$(cat "$work"/results/ours/*.out | grep -c '^SKIP ') || true
	echo "$debian, Linux $version: $passed passed, $failed failed, $((skipped + rows)) skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

status=0
[ $# -gt 0 ] || set -- arm64 s390x
for chosen; do
	bring_machine "$(machines | awk -v debian="$chosen" '$4 == debian { print $1 }')"
	build_library
	bring_kernel
	make_initramfs
	make_disk
	if emulate; then
		compare || status=1
	else
		status=1
	fi
done
exit $status
