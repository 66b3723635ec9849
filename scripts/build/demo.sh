#!/bin/sh
# make demo: builds the library, installs it into build/demo, copies a file with it, and preloads it
# into a program that was linked with another libaio. All its files are in build/demo.
set -eu
cd "$(dirname "$0")/../.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# A relative path, because LD_PRELOAD splits at spaces and the checkout's path may contain some.
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

say "2. Compile examples/aiocp.c with the flags in libaio.pc, and copy a file with it"
if command -v pkg-config > /dev/null; then
	flags=$(PKG_CONFIG_PATH=$stage/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage \
		pkg-config --cflags --libs libaio)
else
	# Without pkg-config, read the file as pkg-config would.
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

say "3. Run a program with the library preloaded"
# fio if it is installed or can be installed, otherwise aiocp again.
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
# LD_DEBUG makes the loader write which file it loaded.
LD_DEBUG=files LD_DEBUG_OUTPUT=$stage/fio.loader LD_PRELOAD=$library "$@" > "$stage/fio.out"
grep -E 'IOPS=|READ:|WRITE:|err=|checksum' "$stage/fio.out"
cat "$stage"/fio.loader.* | grep -h 'calling init: .*libaio' |
	sed 's/.*calling init: /loaded:   /' | sort -u
