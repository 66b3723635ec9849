#!/bin/sh
# make autopkgtest-check: Debian's autopkgtest installs the packages in a disposable Debian 12 and a
# disposable Debian 13, with what packaging/debian/tests/control asks for, and runs the tests there.
# With arguments: these releases only. The packages are those of `make deb`, or those in the
# directory $PACKAGES. Bounded to 10 minutes for each release.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/disposable-root.sh

inside() {
	stage=$1
	enter_root "$1" "$2"
	quiet apt_install autopkgtest build-essential
	mkdir "$root/root/packages"
	cp "$PACKAGES"/*.deb "$PACKAGES"/*.dsc "$PACKAGES"/*.tar.* "$root/root/packages"
	# The system is disposable, so the tests may run in it: the "null" server isolates nothing.
	status=0
	in_root sh -c 'cd /root && autopkgtest --no-built-binaries --summary-file=summary \
		packages/*.deb packages/*.dsc -- null' > "$work/log" 2>&1 || status=$?
	summary=$root/root/summary
	[ -s "$summary" ] || { tail -n 40 "$work/log"; exit 1; }
	# 2: a test was skipped. The loop below counts each test.
	case $status in 0 | 2) ;; *) tail -n 60 "$work/log" ;; esac
	while read -r name result reason; do
		case $result in
		PASS) check "autopkgtest $name" true ;;
		SKIP) skip "autopkgtest $name: $reason" ;;
		*) check "autopkgtest $name: $result $reason" false ;;
		esac
	done < "$summary"
}

enter_if_inside "$@"
in_each_release 600 "$@"
