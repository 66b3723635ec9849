#!/bin/sh
# make emulation-check: the programs in c-tests/ on arm64 and on s390x, which is big-endian, with
# Debian's kernel of that machine on an emulated one (user-mode emulation has no kernel AIO). Each
# is linked statically with this library and with Debian's libaio of that machine, and must print
# the same: tests/differential. With arguments: these machines only (arm64, s390x).
set -eu
cd "$(dirname "$0")/.."
. scripts/differential.sh
. scripts/cross-machines.sh
. scripts/emulated-machine.sh

bring_rust
bring_emulator "$cross/qemu" qemu-system-arm qemu-system-misc
status=0
[ $# -gt 0 ] || set -- arm64 s390x
for chosen; do
	bring_machine "$(machines | awk -v debian="$chosen" '$4 == debian { print $1 }')"
	build_library
	bring_kernel "$debian" "$cross/kernel/$debian" "linux-image-$debian"
	differential "$debian" "$target" "$cross/bin/$compiler" "$PWD/build/$target" \
		"$cross/libaio/$debian" static || status=1
done
exit $status
