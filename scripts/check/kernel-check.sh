#!/bin/sh
# make kernel-check: the programs in c-tests/ and the stress test on other kernels, on an emulated
# machine: those of Debian 11, 12, 13 and the newest, for amd64. Each program is built once for
# Debian's libaio1, and must print the same over Debian's file and over this library's:
# tests/differential. With arguments: these releases only (bullseye, bookworm, trixie, sid).
set -eu
cd "$(dirname "$0")/../.."
cross=$PWD/build/cross
packages=$cross/packages
mkdir -p "$packages"
. scripts/shared/differential.sh
. scripts/shared/debian-packages.sh
. scripts/shared/emulated-machine.sh

require_debian
bring_emulator "$cross/qemu-x86" qemu-system-x86
bring_foreign amd64 "$cross/libaio/amd64" libaio1 libaio-dev
status=0
[ $# -gt 0 ] || set -- bullseye bookworm trixie sid
for release; do
	from_release "$release" bring_kernel amd64 "$cross/kernel/amd64-$release" \
		linux-image-cloud-amd64
	differential "$release" x86_64-unknown-linux-gnu x86_64-linux-gnu "$PWD/build" \
		"$cross/libaio/amd64" beside || status=1
done
exit $status
