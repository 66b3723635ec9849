# shellcheck shell=sh
# Sourced by the scripts that run the programs in c-tests/ on an emulated machine, with one of
# Debian's kernels, an ext4 disk and scripts/emulation/init.c as its only process. Each program is
# there twice, over this library in /disk/ours and over Debian's in /disk/original, and must print
# the same. Needs scripts/debian-packages.sh, and in $compiler the prefix of the machine's compiler.

# Where everything is unpacked; set by whoever sources this.
: "${cross:?}"

# bring_emulator DIRECTORY PACKAGE...: QEMU in $emulators, and the tools for disks; makes $work,
# which is removed in the end.
bring_emulator() {
	PATH=$PATH:/usr/sbin:/sbin
	for tool in mke2fs debugfs xz; do
		command -v "$tool" > /dev/null || { echo "needs $tool" >&2; exit 1; }
	done
	emulators=$1
	shift
	bring_programs "$emulators" "$@" cpio
	PATH=$PATH:$emulators/bin
	work=$(mktemp -d "$cross/emulation.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# bring_kernel ARCHITECTURE DIRECTORY META-PACKAGE: the kernel that the package stands for. Sets
# $kernel, the directory, and $image. One that is there already is used as it is.
bring_kernel() {
	kernel=$2
	if [ ! -e "$kernel/.brought" ]; then
		with_state "$1" "$1" apt-get update > "$work/log" 2>&1 || true
		name=$(needs "$1" "$3" | grep '^linux-image-[0-9]' | head -n 1)
		# Newer releases have the kernel and its modules in packages of their own.
		# shellcheck disable=SC2046 # no, one or two words
		bring_foreign "$1" "$kernel" "${name:?no kernel in $3}" \
			$(needs "$1" "$name" | grep -E '^linux-(binary|modules)-')
	fi
	image=$(find "$kernel" -type f -name 'vmlinuz*')
}

# The names of what a package depends on.
needs() {
	with_state "$1" "$1" apt-cache depends "$2" | sed -n 's/^ *Depends: //p'
}

# Prints a module's file after those that it depends on. The package has no modules.dep.
module() {
	file=$(find "$kernel" -name "$1.ko" -o -name "$1.ko.xz")
	case $file in
	'') return 0 ;; # built in
	*.xz)
		xz -dc "$file" > "$work/modules/$1.ko"
		file=$work/modules/$1.ko
		;;
	esac
	# Into a file: LLVM's objcopy would put one in the place of /dev/stdout.
	"${compiler:?}-objcopy" -O binary -j .modinfo "$file" "$work/modinfo"
	for needed in $(< "$work/modinfo" tr '\0' '\n' | sed -n 's/^depends=//p' | tr , ' '); do
		(module "$needed")
		(module "$(echo "$needed" | tr _ -)")
	done
	echo "$file"
}

# make_initramfs FILE...: with the modules for the disk, and these files of the system.
make_initramfs() {
	rm -rf "$work/root" "$work/modules"
	mkdir -p "$work/root/modules" "$work/root/dev" "$work/root/proc" "$work/root/disk" \
		"$work/root/tmp" "$work/modules"
	for name in virtio_mmio virtio_pci virtio_blk crc32c_generic ext4; do
		module "$name"
	done | awk '!seen[$0]++' | while read -r file; do
		cp "$file" "$work/root/modules"
		echo "/modules/$(basename "$file")"
	done > "$work/list"
	mv "$work/list" "$work/root/modules/list"
	for file; do
		cp -L --parents "$file" "$work/root"
	done
	"$compiler-gcc" -static -s -O2 -Wall -Wextra -Werror -o "$work/root/init" scripts/emulation/init.c
	(cd "$work/root" && find . | cpio --quiet -o -H newc) > "$work/initramfs"
}

# build_programs SKIPPED...: builds every program but these, by the caller's function build SOURCE
# NAME COMMAND..., into $work/files/ours and $work/files/original. Their names go to $work/programs,
# what is to be run to $work/files/list.
build_programs() {
	rm -rf "$work/files" "$work/programs"
	mkdir -p "$work/files/ours" "$work/files/original" "$work/files/work"
	for source in c-tests/*.c c-tests/*.cc; do
		name=$(basename "${source%.*}")
		case " $* " in *" $name "*) continue ;; esac
		case $source in
		*.cc) driver=g++ standard=gnu++17 ;;
		*) driver=gcc standard=gnu11 ;;
		esac
		build "$source" "$name" "$compiler-$driver" -std=$standard -O2 -Wall -Wextra -Werror -pthread
		echo "$name" >> "$work/programs"
		echo "ours/$name"
		[ "$name" = no_system_call ] || echo "original/$name" # which does not live to say anything
	done > "$work/list"
	mv "$work/list" "$work/files/list"
}

# The files, on an ext4 disk.
make_disk() {
	rm -f "$work/disk"
	truncate -s 512M "$work/disk"
	mke2fs -q -t ext4 -d "$work/files" "$work/disk"
}

# emulate SECONDS EMULATOR OPTION...: the whole life of the machine; its console in $work/console.
emulate() {
	limit=$1 emulator=$2
	shift 2
	LD_LIBRARY_PATH=$emulators/usr/lib/x86_64-linux-gnu:$emulators/lib/x86_64-linux-gnu \
		timeout "$limit" "$emulators/usr/bin/$emulator" "$@" -smp 2 -m 1024 -nographic -nodefaults \
		-serial stdio -no-reboot -kernel "$image" -initrd "$work/initramfs" \
		-drive "file=$work/disk,format=raw,if=none,id=disk" < /dev/null > "$work/console" 2>&1 ||
		{ echo "emulator: status $?"; tail -n 20 "$work/console"; return 1; }
}

# Judges every program by what is on the disk: sets $passed, $failed and $skipped.
compare() {
	passed=0 failed=0 skipped=0
	rm -rf "$work/results"
	mkdir "$work/results"
	debugfs -R "rdump ours original $work/results" "$work/disk" 2> /dev/null
	while read -r program; do
		ours=$work/results/ours/$program theirs=$work/results/original/$program
		if [ -e "c-tests/$program.expected" ]; then
			expect_deaths || continue
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
	skipped=$((skipped + rows))
	running=$(tr -d '\r' < "$work/console" | sed -n 's/.*init: Linux //p')
}

# Puts what the .expected file says in the place of what the original printed, if that is the same
# but for the lines in which the original died, of which there must be some.
expect_deaths() {
	expected=c-tests/$program.expected
	if [ -e "$theirs.out" ] && ! {
		grep -q 'killed by signal' "$theirs.out" &&
			! diff "$expected" "$theirs.out" | grep '^>' | grep -v 'killed by signal'
	}; then
		failed=$((failed + 1))
		echo "FAILED $program: the original does not die, or answers otherwise"
		return 1
	fi
	cp "$expected" "$theirs.out"
	echo 0 > "$theirs.status"
}

# conclude WHAT: the last line of one machine; whether all is well.
conclude() {
	echo "$1, Linux ${running:-?}: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
