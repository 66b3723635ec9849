#!/bin/sh
# make piuparts-check: Debian's piuparts installs, replaces and purges the packages in a minimal
# Debian 12 and a minimal Debian 13, and compares all files of the system before and after. With
# arguments: these releases only. The packages are those of `make deb`, or those in the directory
# $PACKAGES. Bounded to 15 minutes for each release.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/disposable-root.sh

# piuparts WHAT-IT-MUST-SAY MINIMAL-SYSTEM ARGUMENT...: WHAT-IT-MUST-SAY is a line of its output,
# because it succeeds after leaving out a test that it cannot do.
piuparts() {
	must_say=$1 minimal=$2
	shift 2
	if in_root piuparts --distribution "$stage" --existing-chroot "$minimal" --keep-sources-list \
		--no-eatmydata --scriptsdir /etc/piuparts/scripts --fail-on-broken-symlinks "$@" \
		> "$work/piuparts.log" 2>&1; then
		grep -F "$must_say" "$work/piuparts.log" && return
	fi
	tail -n 40 "$work/piuparts.log"
	return 1
}

install_purge='PASS: Installation and purging test.'
upgrade='PASS: Installation, upgrade and purging tests.'

# A minimal system in the directory /srv/$1 of the root, with these packages installed.
minimal() {
	minimal=/srv/$1
	shift
	mkdir "$root$minimal"
	tar -C "$root$minimal" -xpf "$roots/$stage.tar"
	cp "$root/etc/apt/sources.list" "$root$minimal/etc/apt"
	cp "$root/etc/apt/apt.conf.d/disposable" "$root$minimal/etc/apt/apt.conf.d"
	cp /etc/resolv.conf "$root$minimal/etc"
	cp -R "$root/srv/packages" "$root$minimal/srv"
	[ $# -gt 0 ] || return 0
	echo "$repository" > "$root$minimal/etc/apt/sources.list.d/ours.list"
	quiet in_root chroot "$minimal" apt-get update
	quiet in_root chroot "$minimal" apt-get install -y "$@"
}

inside() {
	stage=$1
	case $1 in bookworm) debian=libaio1 ;; *) debian=libaio1t64 ;; esac
	enter_root "$1" "$2"
	quiet apt_install piuparts dpkg-dev
	# Our packages, as a repository that apt in the minimal systems can use.
	mkdir "$root/srv/packages" "$root/srv/debian"
	repository='deb [trusted=yes] file:/srv/packages ./'
	for package in libaio1-rs libaio-rs-dev; do
		cp "$PACKAGES/${package}"_*_amd64.deb "$root/srv/packages"
	done
	quiet in_root env -C /srv/packages sh -c 'dpkg-scanpackages . > Packages'
	quiet in_root env -C /srv/debian apt-get download "$debian" libaio-dev
	ours=$(cd "$root" && echo srv/packages/*.deb)
	theirs=$(cd "$root" && echo srv/debian/*.deb)
	minimal plain
	minimal with_debians "$debian" libaio-dev
	minimal with_ours libaio1-rs libaio-rs-dev

	# shellcheck disable=SC2086 # two words each
	{
		# libaio1-rs alone: piuparts does not see that what it conflicts with, it also provides, in
		# a version, and so cannot install what depends on it.
		check "libaio1-rs, installed, purged, installed again and purged, leaves nothing" piuparts \
			"$install_purge" /srv/plain --no-upgrade-test --install-purge-install \
			"$(cd "$root" && echo srv/packages/libaio1-rs_*.deb)"
		check "both, installed, removed, installed again and purged, leave nothing" piuparts \
			"$install_purge" /srv/plain --no-upgrade-test --install-remove-install $ours
		check "they replace $debian and libaio-dev, and leave nothing" piuparts \
			"$upgrade" /srv/plain --no-install-purge-test \
			--extra-old-packages "$debian,libaio-dev" $ours
		check "they replace $debian and libaio-dev, which then replace them" piuparts \
			"$install_purge" /srv/with_debians --no-upgrade-test $ours
		check "$debian and libaio-dev replace them, and then they replace those" piuparts \
			"$install_purge" /srv/with_ours --no-upgrade-test $theirs
	}
	# shellcheck disable=SC2016 # dpkg-query's variables
	echo "piuparts-check: $1 with $(in_root dpkg-query -W -f '${Package} ${Version}' piuparts)," \
		"$(cd "$root/srv/debian" && echo *.deb)"
}

enter_if_inside "$@"
in_each_release 900 "$@"
