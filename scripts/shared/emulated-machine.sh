# shellcheck shell=sh
# Sourced by the scripts that run tests/differential on an emulated machine: fetches QEMU and one of
# Debian's kernels, which scripts/check/emulation/boot.sh then boots. Source debian-packages.sh
# first.

# The directory into which everything is unpacked, and that of the downloads. The sourcing script
# sets both.
: "${cross:?}" "${packages:?}"
export LIBAIO_RS_BOOT="$PWD/scripts/check/emulation/boot.sh"

# bring_emulator DIRECTORY PACKAGE...: unpacks QEMU and cpio, and requires the tools for disks.
bring_emulator() {
	for tool in mke2fs debugfs xz; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$tool" > /dev/null ||
			{ echo "needs $tool" >&2; exit 1; }
	done
	export LIBAIO_RS_EMULATORS="$1"
	shift
	bring_programs "$LIBAIO_RS_EMULATORS" "$@" cpio
}

# bring_kernel ARCHITECTURE DIRECTORY META-PACKAGE: unpacks the kernel that the meta-package depends
# on, unless the directory already contains one.
bring_kernel() {
	export LIBAIO_RS_KERNEL="$2"
	if [ ! -e "$2/.brought" ]; then
		mkdir -p "$packages/$1"
		with_state "$1" "$1" apt-get update > "$packages/$1/log" 2>&1 || true
		name=$(needs "$1" "$3" | grep '^linux-image-[0-9]' | head -n 1)
		# In newer releases the kernel and its modules are separate packages.
		# shellcheck disable=SC2046 # no, one or two words
		bring_foreign "$1" "$2" "${name:?no kernel in $3}" \
			$(needs "$1" "$name" | grep -E '^linux-(binary|modules)-')
	fi
}

# needs ARCHITECTURE PACKAGE: prints the names of the packages it depends on.
needs() {
	with_state "$1" "$1" apt-cache depends "$2" | sed -n 's/^ *Depends: //p'
}
