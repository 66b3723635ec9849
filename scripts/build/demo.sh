#!/bin/sh
# make demo: builds the library, stages it, copies a file with it, and runs a program that knows
# nothing of it. Everything it makes is in build/demo.
set -eu
cd "$(dirname "$0")/../.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# Relative to the checkout, so that it may stand anywhere: LD_PRELOAD splits at spaces.
stage=build/demo
rm -rf "$stage"
mkdir -p "$stage"
trap 'rm -f "$stage"/source "$stage"/target "$stage"/fio.*' EXIT

say "1. Build, and install into build/demo/usr"
"${MAKE:-make}" --no-print-directory install "DESTDIR=$stage" prefix=/usr \
	> "$stage/build.log" 2>&1 ||
	{ cat "$stage/build.log"; exit 1; }
# shellcheck disable=SC2010 # our own names
ls -l "$stage/usr/lib" "$stage/usr/include" | grep libaio
library=$stage/usr/lib/libaio.so.1

say "2. Compile examples/aiocp.c with what libaio.pc says, and copy a file with it"
if command -v pkg-config > /dev/null; then
	flags=$(PKG_CONFIG_PATH=$stage/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage \
		pkg-config --cflags --libs libaio)
else
	# A machine without pkg-config: read the file as it would.
	flags=$(sed -n -e 's/^Libs: //p' -e 's/^Cflags: //p' "$stage/usr/lib/pkgconfig/libaio.pc" |
		sed -e "s|\${libdir}|$stage/usr/lib|" -e "s|\${includedir}|$stage/usr/include|" |
		tr '\n' ' ')
fi
echo "cc -O2 examples/aiocp.c $flags"
# shellcheck disable=SC2086 # several words
"${CC:-cc}" -O2 -o "$stage/aiocp" examples/aiocp.c $flags
head -c 402654000 /dev/urandom > "$stage/source"
LD_LIBRARY_PATH=$stage/usr/lib "$stage/aiocp" "$stage/source" "$stage/target"
cmp "$stage/source" "$stage/target" && echo "cmp:      the files are the same"

say "3. A program that was linked to libaio long ago, with our library preloaded"
# fio, if it is here or can be had; else aiocp once more, which will do as a program.
if ! command -v fio > /dev/null && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
	echo "installing fio"
	{ apt-get update && apt-get install -y --no-install-recommends fio; } \
		> "$stage/apt.log" 2>&1 || true
fi
if command -v fio > /dev/null; then
	set -- fio --name=demo --ioengine=libaio --rw=randwrite --verify=crc32c --direct=1 \
		--bs=4k --iodepth=32 --size=32m --filename="$stage/fio.data" \
		--verify_state_save=0
else
	set -- "$stage/aiocp" "$stage/source" "$stage/target"
fi
echo "LD_PRELOAD=$library $*"
# The loader's own record of which file it took.
LD_DEBUG=files LD_DEBUG_OUTPUT=$stage/fio.loader LD_PRELOAD=$library "$@" > "$stage/fio.out"
grep -E 'IOPS=|READ:|WRITE:|err=|checksum' "$stage/fio.out"
cat "$stage"/fio.loader.* | grep -h 'calling init: .*libaio' |
	sed 's/.*calling init: /loaded:   /' | sort -u
