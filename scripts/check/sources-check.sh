#!/bin/sh
# make sources-check: in a disposable Debian 12, builds Debian's source packages that use libaio,
# unchanged, with libaio-rs-dev instead of libaio-dev, installs the results, and checks that they
# work over this library. Arguments, if any, are the only source packages to build. The packages of
# this project are those that `make deb` built, or those in the directory $PACKAGES. Takes at most
# an hour.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/disposable-root.sh
. scripts/shared/programs.sh

library=/usr/lib/x86_64-linux-gnu/libaio.so.1.0.2
all='thin-provisioning-tools multipath-tools fio lvm2 blktrace sysbench stressapptest'
# Releases to try in this order: a mirror may lack some files of a version.
releases='bookworm trixie sid'

# bring_source NAME: unpacks the source package into $source, a directory in the root, and sets
# $version.
bring_source() {
	source=/root/src/$1
	mkdir -p "$root$source"
	for release in $releases; do
		if in_root env -C "$source" apt-get source -q --download-only "$1/$release" &&
			in_root env -C "$source" sh -c 'dpkg-source -x --no-copy ./*.dsc unpacked'; then
			break
		fi
		# If only the .dsc is missing: the signed package list contains the same information.
		if describe_source "$1" "$release" &&
			in_root env -C "$source" sh -c \
				'dpkg-source --no-check -x --no-copy ./*.dsc unpacked'; then
			break
		fi
		rm -rf "${root:?}$source"
		mkdir "$root$source"
	done
	source=$source/unpacked
	[ -d "$root$source" ] || return 1
	version=$(in_root dpkg-parsechangelog -l "$source/debian/changelog" -S Version)
}

# describe_source NAME RELEASE: writes the .dsc from the package list. All other files must exist
# and have the checksums in it.
describe_source() {
	version=$(in_root apt-get source -q --print-uris "$1/$2" 2> /dev/null |
		sed -n "s|.* $1_\([^ ]*\)\.dsc .*|\1|p")
	in_root apt-cache showsrc --only-source "$1" | awk -v RS= -v version="$version" '
		index($0, "\nVersion: " version "\n") || index($0, ":" version "\n") { print; exit }' |
		sed -e 's/^Package:/Source:/' -e '/\.dsc$/d' -e '/^\(Directory\|Priority\|Section\):/d' \
			> "$root$source/$1_$version.dsc"
	sed -n '/^Checksums-Sha256:/,/^[^ ]/ s/^ //p' "$root$source/$1_$version.dsc" > "$work/files"
	[ -s "$work/files" ] && while read -r sum _ file; do
		echo "$sum  $file"
	done < "$work/files" | (cd "$root$source" && sha256sum --check --quiet)
}

# The build dependencies can be installed, and the only libaio among them is ours.
build_dependencies_are_met() {
	in_root env -C "$source" apt-get build-dep -y -q -P nodoc,nocheck,noudeb ./ || return 1
	in_root env -C "$source" dpkg-checkbuilddeps -P nodoc,nocheck,noudeb || return 1
	# shellcheck disable=SC2016 # dpkg-query's variables
	found=$(in_root dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'libaio*' |
		sed -n 's/^installed //p' | tr '\n' ' ')
	echo "installed of libaio: $found"
	[ "$found" = 'libaio-rs-dev libaio1-rs ' ]
}

builds() {
	in_root env -C "$source" "DEB_BUILD_OPTIONS=nocheck nodoc noautodbgsym parallel=2" \
		DEB_BUILD_PROFILES='nodoc nocheck noudeb' timeout 1800 dpkg-buildpackage -B -uc -us
}

# Prints the dependencies on libaio in a list of dependencies.
depends_on() {
	tr , '\n' | sed 's/^ *//' | grep '^libaio' || true
}

# Every package with a file linked with libaio depends on libaio, in a version that our package
# provides. If Debian has the same version of the package, its dependency is the same.
dependencies_are_right() {
	using=0
	for package in "$root$source"/../*.deb; do
		rm -rf "$work/contents"
		dpkg-deb -x "$package" "$work/contents"
		needs=$(find "$work/contents" -type f -exec readelf -d {} + 2> /dev/null |
			grep -c 'NEEDED.*\[libaio.so.1\]') || true
		depends=$(dpkg-deb -f "$package" Pre-Depends Depends | sed 's/^[A-Za-z-]*: //' | depends_on)
		built=$(dpkg-deb -f "$package" Package)
		[ "$needs" -gt 0 ] || [ -n "$depends" ] || continue
		using=$((using + 1))
		theirs=$(in_root apt-cache show "$built=$(dpkg-deb -f "$package" Version)" 2> /dev/null |
			sed -n 's/^\(Pre-\)\?Depends: //p' | depends_on | sort -u)
		echo "$built: $needs files with libaio, depends on ${depends:-nothing};" \
			"Debian's: ${theirs:-none}"
		[ "$needs" -gt 0 ] || return 1
		echo "$depends" | grep -qE '^libaio1 \(>= 0\.3\.(9|93|112|113-6~)\)$' || return 1
		[ -z "$theirs" ] || [ "$theirs" = "$depends" ] || return 1
	done
	[ "$using" -gt 0 ]
}

# installs PACKAGE...: installs packages that were just built; our own packages stay unchanged.
installs() {
	for built; do
		package=$(basename "$(echo "$root$source/../${built}"_*.deb)")
		set -- "$@" "$(dirname "$source")/$package"
		shift
	done
	# shellcheck disable=SC2016 # dpkg-query's variables
	apt_install --reinstall --allow-downgrades "$@" || return 1
	for package; do
		# The installed files are those of this package, not of Debian's build of the same version.
		dpkg-deb --fsys-tarfile "$root$package" | tar -xf - -O > "$work/packed"
		dpkg-deb --fsys-tarfile "$root$package" | tar -tf - | grep '[^/]$' | while read -r file; do
			[ -L "$root/$file" ] || [ ! -f "$root/$file" ] || cat "$root/$file"
		done > "$work/installed"
		cmp "$work/packed" "$work/installed" || return 1
	done
	in_root dpkg -V libaio1-rs libaio-rs-dev
}

# --- One function for each source package: what its programs must do.

works_fio() {
	check "writes, reads and verifies" fio_verifies
}

works_sysbench() {
	check "writes, reads and validates" sysbench_validates
}

works_blktrace() {
	check "btreplay replays a trace" replays
}

# Writes a trace of 200 reads at different places, so that no kernel with blktrace is needed:
# records of linux/blktrace_api.h, version 7, each of a queued request. The trace is named after the
# device, because btreplay's option to map names makes it crash at its end, also with Debian's
# libaio.
replays() {
	trace_name=${disk#/dev/}
	perl -e 'for (0 .. 199) {
		print pack "LLQQLLLLLSS",
			0x65617407, $_ + 1, $_ * 100000, $_ * 37 % 1000 * 64, 4096, 0x110001,
			1, 0x700000, 0, 0, 0 }' > "$root/srv/$trace_name.blktrace.0"
	offline btrecord "$trace_name" || return 1
	# btreplay has a race, which makes it hang once in seven runs with Debian's libaio too: its
	# reaping thread sleeps after all requests are done, and is never woken. So retry.
	for try in 1 2 3 4 5; do
		(LIMIT=20 && traced btreplay btreplay -N "$trace_name") && break
		[ "$try" -lt 5 ] || return 1
	done
	requests=$(awk '/io_submit/ && / = [0-9]+$/ { n += $NF } END { print n + 0 }' \
		"$root/tmp/btreplay.trace")
	echo "$requests requests"
	[ "$requests" = 200 ] && served btreplay "$library"
}

works_stressapptest() {
	check "its disk test passes" stressapptest_passes
}

works_lvm2() {
	lvm_configure
	check "makes a physical volume" lvm_does pvcreate --yes "$disk" "$disk2"
	check "makes a volume group" lvm_does vgcreate group "$disk" "$disk2"
	check "makes logical volumes" lvm_makes_volumes
	check "reads them back" lvm_reads_back
	check "removes everything" lvm_removes
	check "its own tests of its cache and of its I/O engine pass" lvm_unit_tests
}

lvm_does() {
	lvm_command traced lvm -- "$@" || return 1
	served lvm "$library"
}

lvm_unit_tests() {
	tree=$source/debian/build/build_deb
	in_root make -s -j2 -C "$tree" unit-test LIB_VERSION_DM=1.02.1 || return 1
	traced unit env "LD_LIBRARY_PATH=$tree/libdm/ioctl:$tree/daemons/dmeventd" \
		"$tree/test/unit/unit-test" run /base/device/bcache \
		> "$work/unit.log" 2>&1 || { cat "$work/unit.log"; return 1; }
	tail -n 60 "$work/unit.log"
	grep -qE '^([0-9]+)/\1 tests passed$' "$work/unit.log" || return 1
	grep -q /io-engine/ "$work/unit.log" && served unit "$library"
}

# The directio checker reads a block of a device from time to time without waiting for it. Its test
# expects the result within a tenth of a millisecond, so it reads a file without blocks.
works_multipath_tools() {
	quiet apt_install libcmocka-dev
	check "its own test of the directio checker passes" directio_test
}

directio_test() {
	truncate -s 1M "$root/srv/directio.disk"
	in_root make -s -j2 -C "$source/debian/build-deb/tests" directio-test \
		DIO_TEST_DEV=/srv/directio.disk || return 1
	traced directio env -C "$source/debian/build-deb/tests" \
		LD_LIBRARY_PATH=../libmultipath:../libmpathutil:../libmpathcmd \
			./directio-test > "$work/unit.log" 2>&1 ||
		{ cat "$work/unit.log"; return 1; }
	tail -n 60 "$work/unit.log"
	! grep -q FAILED "$work/unit.log" || return 1
	grep -q PASSED "$work/unit.log" && served directio "$library"
}

# Writes the metadata of a thin pool to a file and reads it back.
works_thin_provisioning_tools() {
	check "thin_check and thin_dump read what thin_restore writes" thin_round_trip
}

thin_round_trip() {
	{
		echo '<superblock uuid="" time="1" transaction="1" data_block_size="128"'
		echo ' nr_data_blocks="20000">'
		for device in 0 1 2; do
			echo "<device dev_id=\"$device\" mapped_blocks=\"3000\" transaction=\"0\""
			echo " creation_time=\"0\" snap_time=\"1\">"
			for block in $(seq 0 2999); do
				echo "<single_mapping origin_block=\"$((block * 2))\"" \
					"data_block=\"$((device * 6000 +
					(block * 7) % 3000 * 2))\" time=\"0\"/>"
			done
			echo '</device>'
		done
		echo '</superblock>'
	} > "$root/srv/thin.xml"
	truncate -s 4M "$root/srv/thin.metadata"
	traced thin_restore thin_restore -i thin.xml -o thin.metadata || return 1
	served thin_restore "$library" || return 1
	traced thin_check thin_check thin.metadata || return 1
	served thin_check "$library" || return 1
	traced thin_dump thin_dump thin.metadata -o thin.dump || return 1
	served thin_dump "$library" || return 1
	for file in thin.xml thin.dump; do
		sed -n 's/^ *\(<single_mapping.*>\) *$/\1/p' "$root/srv/$file" > "$work/$file"
	done
	[ "$(wc -l < "$work/thin.xml")" = 9000 ] && same "$work/thin.xml" "$work/thin.dump"
}

inside() {
	work=$1 disk=$2 disk2=$3
	shift 3
	enter_root bookworm "$work"
	make_devices "$disk" "$disk2"
	for release in $releases; do
		[ "$release" = bookworm ] || echo "deb-src $(archive Debian) $release main"
	done >> "$root/etc/apt/sources.list"
	quiet in_root apt-get update
	mkdir "$root/root/ours"
	cp "$PACKAGES"/libaio1-rs_*_amd64.deb "$PACKAGES"/libaio-rs-dev_*_amd64.deb "$root/root/ours"
	quiet apt_install build-essential strace procps
	stage='libaio-rs-dev'
	check "apt installs it" in_root sh -c 'apt-get install -y -q /root/ours/*.deb'
	dpkg-deb --fsys-tarfile "$root"/root/ours/libaio1-rs_*.deb |
		tar -xO ".$library" > "$work/expected.so"
	check "the library is the one in the package" cmp "$work/expected.so" "$root$library"

	for name; do
		stage=$name visit=1
		if ! bring_source "$name" > "$work/log" 2>&1; then
			# The mirror's fault, so it is skipped.
			grep -E '^(E|Err|W):' "$work/log" | sed 's/^/        /' | tail -n 3
			skip "the archive does not have all of its source"
			continue
		fi
		stage="$name $version"
		check "its build dependencies are met by libaio-rs-dev" build_dependencies_are_met
		check "builds" builds
		check "its dependency on libaio is right" dependencies_are_right
		case $name in
		lvm2) check "installs" installs lvm2 dmsetup libdevmapper1.02.1 \
			libdevmapper-event1.02.1 dmeventd liblvm2cmd2.03 ;;
		multipath-tools) check "installs" installs multipath-tools kpartx ;;
		*) check "installs" installs "$name" ;;
		esac
		"works_$(echo "$name" | tr - _)"
	done
}

enter_if_inside "$@"
require_root_on_debian
find_packages
export PACKAGES
begin
# shellcheck disable=SC2086 # one word each
[ $# -gt 0 ] || set -- $all
make_root bookworm
make_loops 64M 64M
# shellcheck disable=SC2086 # one word each
confined 3600 "$work" $loops "$@"
uname -sr
conclude
