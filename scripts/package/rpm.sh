#!/bin/sh
# make rpm: builds source and binary RPM packages in build/rpm, with the Rust in PATH. As root on
# Debian it installs rpmbuild.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/package-source.sh
unset MAKEFLAGS MFLAGS MAKELEVEL TARGET

bring_tools rpmbuild=rpm debugedit=debugedit eu-strip=elfutils gdb-add-index=gdb make=make \
	cc=gcc xz=xz-utils

out=$PWD/build/rpm
rm -rf "$out"
mkdir -p "$out/SOURCES"
# The time of the newest changelog entry, as rpm computes it.
day=$(sed -n '/^%changelog/,$ s/^\* ... \(... [0-9]* [0-9]*\) .*/\1/p' \
	packaging/rpm/libaio-rs.spec | head -n 1)
SOURCE_DATE_EPOCH=$(date -u -d "$day 12:00" +%s)
export SOURCE_DATE_EPOCH
source_tarball "$out/SOURCES"
cp packaging/rpm/libaio-rs.spec "$out"
touch -d "@$SOURCE_DATE_EPOCH" "$out/libaio-rs.spec"

# On systems without RPM packages, the database of rpm is empty, so the build requirements are never
# met. There rpmbuild also lacks the settings that build debug packages.
set --
command -v dnf > /dev/null || command -v zypper > /dev/null ||
	set -- --nodeps --define '__brp_compress bash /usr/lib/rpm/brp-compress' \
		--load packaging/rpm/debug-packages.macros
# These settings make the packages independent of the time and the host of the build.
rpmbuild -ba "$@" --define "_topdir $out" --define '_build_id_links alldebug' \
	--define 'clamp_mtime_to_source_date_epoch 1' \
	--define 'use_source_date_epoch_as_buildtime 1' \
	--define '_buildhost localhost' --define "_tmppath $out/BUILD" \
	--define '_srcdefattr (-,root,root)' "$out/libaio-rs.spec"
find "$out/RPMS" "$out/SRPMS" -name '*.rpm' -exec mv {} "$out" \;
rm -rf "$out/BUILD" "$out/BUILDROOT" "$out/RPMS" "$out/SRPMS" "$out/SOURCES" "$out/SPECS" \
	"$out/libaio-rs.spec"
ls -l "$out"
