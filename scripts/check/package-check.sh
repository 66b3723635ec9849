#!/bin/bash
# make package-check: builds the Debian, RPM and Arch packages and checks them with the
# distributions' own tools. Takes about two minutes, and at most ten for each build. As root on
# Debian it installs those tools, and nothing else.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/package-source.sh
unset MAKEFLAGS MFLAGS MAKELEVEL TARGET

bring_tools lintian=lintian rpmlint=rpmlint shellcheck=shellcheck makepkg=makepkg \
	pacman=pacman-package-manager bsdtar=libarchive-tools fakeroot=fakeroot \
	pkg-config=pkg-config readelf=binutils

CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
export CARGO_HOME RUSTUP_HOME
# Not below /tmp, which may be on another file system than the checkout.
mkdir -p build
work=$(mktemp -d "$PWD/build/package-check.XXXXXX")
. scripts/shared/steps.sh

# says PATTERN COMMAND...: fails unless the command succeeds and prints a line that matches.
says() {
	local pattern=$1
	shift
	"$@" > "$work/said" 2>&1 || { cat "$work/said"; return 1; }
	grep -qxE -- "$pattern" "$work/said" || { cat "$work/said"; return 1; }
}

build() {
	echo "building: $*"
	timeout 600 "$@" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
}

# The files in a package, without directories and without the documentation in every package.
files_in() {
	(cd "$1" && find usr ! -type d ! -path 'usr/share/doc/*' ! -path 'usr/share/licenses/*' \
		! -path 'usr/share/lintian/*' | sed -e 's|^|/|' -e 's/\.gz$//' | sort)
}

# Fails if a file contains the path of the build or of cargo's crates.
no_paths_in() {
	test -n "$(ls "$1")" && ! grep -rlF -e "$PWD" -e "$CARGO_HOME" "$1"
}

# debug_information FILE DIRECTORY: fails unless the debug information in FILE describes this
# project's sources, below DIRECTORY.
debug_information() {
	readelf --debug-dump=info "$1" > "$work/dwarf" 2> /dev/null
	readelf --debug-dump=decodedline "$1" > "$work/lines" 2> /dev/null
	grep -qE "DW_AT_comp_dir.*: $2\$" "$work/dwarf" &&
		grep -q 'src/context/lock.rs' "$work/lines" &&
		grep -qE 'DW_AT_linkage_name.*io_submit|DW_AT_name.*: io_submit$' "$work/dwarf"
}

# The excluded warnings are about variables and functions that abuild and makepkg use, and about an
# unchecked cd, which makepkg checks.
step "APKBUILD" shellcheck -s sh -e SC2034,SC2154,SC3043 packaging/alpine/APKBUILD
step "PKGBUILD" shellcheck -s bash -e SC2034,SC2154,SC2164 packaging/arch/PKGBUILD

build make --no-print-directory install prefix=/usr "DESTDIR=$work/stage"
files_in "$work/stage" > "$work/installed"

# ---- Debian

build scripts/package/deb.sh
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
architecture=$(dpkg-architecture -qDEB_HOST_ARCH)
deb=("$PWD"/build/deb/libaio1-rs_*_"$architecture".deb
	"$PWD"/build/deb/libaio-rs-dev_*_"$architecture".deb)
step "lintian" lintian --fail-on error,warning --info build/deb/*.changes
for package in "${deb[@]}"; do
	dpkg-deb -x "$package" "$work/deb"
done
dpkg-deb -x build/deb/libaio1-rs-dbgsym_*.deb "$work/dbgsym"
{
	sed "s|^/usr/lib/|/usr/lib/$multiarch/|" "$work/installed"
	echo "/usr/lib/$multiarch/libaio.so.1t64"
} | sort > "$work/expected"
files_in "$work/deb" > "$work/found"
step "deb: files" diff "$work/expected" "$work/found"
step "deb: no paths of the build" no_paths_in "$work/deb"
step "dbgsym: no paths of the build" no_paths_in "$work/dbgsym"
step "dbgsym: our sources" debug_information "$(find "$work/dbgsym" -name '*.debug')" \
	"/usr/src/libaio-rs-$version"
id=$(readelf -n "$work/deb/usr/lib/$multiarch/libaio.so.1.0.2" | sed -n 's/.*Build ID: //p')
step "dbgsym: of this library" \
	test -e "$work/dbgsym/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug"

# The package's own test, with the unpacked package. Its programs are used below.
build_and_run() {
	mkdir "$work/programs"
	AUTOPKGTEST_TMP=$work/programs CPPFLAGS=-I$work/deb/usr/include \
		LDFLAGS=-L$work/deb/usr/lib/$multiarch LD_LIBRARY_PATH=$work/deb/usr/lib/$multiarch \
		PKG_CONFIG_PATH=$work/deb/usr/lib/$multiarch/pkgconfig packaging/debian/tests/build-and-run
}
step "deb: its own test" build_and_run

# The dependencies of a package that was built with libaio-rs-dev.
mkdir -p "$work/user/debian"
printf 'Source: user\n\nPackage: user\nArchitecture: any\n' > "$work/user/debian/control"
dpkg-deb -R "${deb[0]}" "$work/user/debian/libaio1-rs"
dependencies() {
	(cd "$work/user" && dpkg-shlibdeps -O -Sdebian/libaio1-rs "-e$work/programs/$1" 2> /dev/null)
}
step "deb: dependency of a program" says 'shlibs:Depends=libaio1 \(>= 0\.3\.93\), libc6 .*' \
	dependencies dynamic
step "deb: dependency of a program of Debian 13" \
	says 'shlibs:Depends=libaio1t64 \(>= 0\.3\.113\), libc6 .*' dependencies t64

# ---- RPM

build scripts/package/rpm.sh
step "rpmlint" rpmlint -c packaging/rpm/rpmlint.toml build/rpm/*.rpm packaging/rpm/libaio-rs.spec
mkdir "$work/rpm"
for package in "" -devel -static; do
	rpm2cpio build/rpm/libaio-rs"$package"-[0-9]*."$(uname -m)".rpm |
		(cd "$work/rpm" && cpio -idm --quiet)
done
mkdir "$work/debuginfo"
for package in -debuginfo -debugsource; do
	rpm2cpio build/rpm/libaio-rs"$package"-[0-9]*.rpm | (cd "$work/debuginfo" && cpio -idm --quiet)
done
libdir=$(rpm --eval '%{_libdir}')
sed "s|^/usr/lib/|$libdir/|" "$work/installed" | sort > "$work/expected"
files_in "$work/rpm" > "$work/found"
step "rpm: files" diff "$work/expected" "$work/found"
step "rpm: no paths of the build" no_paths_in "$work/rpm"
step "debuginfo: no paths of the build" no_paths_in "$work/debuginfo"
step "debuginfo: our sources" \
	debug_information "$(find "$work/debuginfo" -type f -name '*.debug')" \
	"/usr/src/debug/libaio-rs-$version-.*"
step "debugsource: has them" \
	test -n "$(find "$work/debuginfo/usr/src" -path '*/src/context/lock.rs')"
library=(build/rpm/libaio-rs-[0-9]*."$(uname -m)".rpm)
for provided in 'libaio = 0\.3\.113' 'libaio\.so\.1\(\)\(64bit\)' \
	'libaio\.so\.1\(LIBAIO_0\.'{1,4,5,6}'\)\(64bit\)'; do
	step "rpm: provides $provided" says "$provided" rpm -qp --provides "${library[0]}"
done

# ---- Arch

mkdir "$work/arch"
cp packaging/arch/PKGBUILD "$work/arch"
source_tarball "$work/arch"
# makepkg refuses to run as root, so it runs in a user namespace, as another user.
(cd "$work/arch" &&
	build unshare --user --map-user=1000 --map-group=1000 makepkg --nodeps --noconfirm)
mkdir "$work/unpacked"
bsdtar -xf "$(find "$work/arch" -maxdepth 1 -name '*.pkg.tar*')" -C "$work/unpacked"
files_in "$work/unpacked" > "$work/found"
step "arch: files" diff "$work/installed" "$work/found"
step "arch: no paths of the build" no_paths_in "$work/unpacked/usr"

# shellcheck disable=SC2016 # dpkg-query's variables
! command -v dpkg-query > /dev/null ||
	echo "package-check: by $(dpkg-query -W -f '${Package} ${Version}, ' \
	lintian rpmlint shellcheck makepkg rpm 2> /dev/null | sed 's/, $//')"
conclude package-check
