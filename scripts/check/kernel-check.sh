#!/bin/sh
# make kernel-check: runs the programs in c-tests/ and the stress test on the amd64 kernels of
# Debian 11, 12, 13 and sid, in an emulated machine. tests/differential builds each program once,
# for Debian's libaio1, runs it over Debian's file and over this library's, and compares what they
# print. The machine trixie-64 has 64 possible CPUs; a filter refuses contexts there, so that they
# get the same ring for a smaller count. Arguments, if any, are the only machines to check:
# bullseye, bookworm, trixie, sid, trixie-64.
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
# The programs that depend on how a context was made.
on_contexts='capacity eventfd fork getevents many_contexts queue_run raw_contexts ring ring_length
	room setup smaller_count submit threads'
status=0
[ $# -gt 0 ] || set -- bullseye bookworm trixie sid trixie-64
for machine; do
	release=${machine%-64}
	ways=beside
	unset LIBAIO_RS_CPUS LIBAIO_RS_ONLY
	if [ "$machine" != "$release" ]; then
		export LIBAIO_RS_CPUS=64 LIBAIO_RS_ONLY="$on_contexts"
		ways="beside beside_ring_of_1 beside_ring_of_1023"
	fi
	from_release "$release" bring_kernel amd64 "$cross/kernel/amd64-$release" \
		linux-image-cloud-amd64
	# shellcheck disable=SC2086 # several words
	differential "$machine" x86_64-unknown-linux-gnu x86_64-linux-gnu "$PWD/build" \
		"$cross/libaio/amd64" $ways || status=1
done
exit $status
