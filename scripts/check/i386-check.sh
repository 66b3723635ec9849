#!/bin/sh
# make i386-check: runs tests/differential with 32-bit x86 programs, which a 64-bit kernel runs
# through its compatibility layer, over this library and Debian's libaio for i386. Everything it
# needs is unpacked below build/cross.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/differential.sh
. scripts/shared/cross-machines.sh

bring_rust
bring_machine i686-unknown-linux-gnu
build_library
# The 32-bit C library and its loader are not installed.
export LIBAIO_RS_LIBRARIES="$cross/gcc/$libc/usr/$compiler/lib"
differential i386 "$target" "$cross/bin/$compiler" "$PWD/build/$target" "$cross/libaio/i386" \
	linked static preloaded linked_time64 static_time64 linked_inline linked_time64_inline
