#!/bin/sh
# make kernel-check: runs the programs in c-tests/ and the stress test on the amd64 kernels of
# Debian 11, 12, 13 and sid, in an emulated machine. tests/differential builds each program once,
# for Debian's libaio1, runs it over Debian's file and over this library's, and compares what they
# print. Arguments, if any, are the only releases to check: bullseye, bookworm, trixie, sid.
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
