# shellcheck shell=sh
# Sourced by the scripts that install packages, as root on Debian. Each script works in a Debian
# system of its own, a root below build/roots with its own mounts and processes, which is removed
# when the script ends, even if it fails or is interrupted. Packages come from the archive that the
# system's apt is configured to use.

roots=$PWD/build/roots
unset MAKEFLAGS MFLAGS MAKELEVEL

require_root_on_debian() {
	if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
		echo "$0: needs root, and Debian's archive" >&2
		exit 1
	fi
	bring_here debootstrap
}

# bring_here PROGRAM: installs the package of this name on this system, unless the program is there.
bring_here() {
	command -v "$1" > /dev/null ||
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			-o DPkg::Lock::Timeout=600 "$1" > /dev/null
}

# archive LABEL: prints the address of the archive ("Debian", or "Debian-Security" for the security
# team's) that the system uses.
archive() {
	# shellcheck disable=SC2016 # apt's variable
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Label: $1" | head -n 1
}

# Sets PACKAGES to the directory of the packages that `make deb` built, unless it is set.
find_packages() {
	PACKAGES=${PACKAGES:-$PWD/build/deb}
	for package in libaio1-rs libaio-rs-dev; do
		if ! ls "$PACKAGES/${package}_"*.deb > /dev/null 2>&1; then
			echo "$0: no $package in $PACKAGES; run make deb first" >&2
			exit 1
		fi
	done
}

# make_root SUITE: unpacks a root into $work/root. Keeps the result of debootstrap for the next
# time.
make_root() {
	suite=$1
	mkdir -p "$roots/archives/$suite/partial"
	if [ ! -e "$roots/$suite.tar" ]; then
		echo "debootstrap $suite"
		if ! debootstrap --variant=minbase "$suite" "$work/new" "$(archive Debian)" \
			> "$work/log" 2>&1
		then
			cat "$work/log" >&2
			return 1
		fi
		mv "$work/new/var/cache/apt/archives"/*.deb "$roots/archives/$suite"
		tar -C "$work/new" -cf "$roots/$suite.tar.new" .
		mv "$roots/$suite.tar.new" "$roots/$suite.tar"
		rm -rf "$work/new"
	fi
	mkdir "$work/root"
	tar -C "$work/root" -xpf "$roots/$suite.tar"
}

# confined SECONDS ARGUMENT...: runs this script again with the arguments --inside ARGUMENT..., as
# the first process of new namespaces. When that process ends, or its time is up, or this script
# ends, all processes it started end too, and their mounts disappear.
confined() {
	limit=$1
	shift
	status=0
	timeout --foreground --signal=KILL "$limit" setpriv --pdeathsig KILL \
		unshare --mount --pid --ipc --uts --fork --kill-child "$0" --inside "$@" < /dev/null &
	confined=$!
	wait "$confined" || status=$?
	confined=
	if [ "$status" != 0 ]; then
		echo "FAILED: ended with status $status; the limit is $limit seconds"
		echo "failed the whole" >> "$work/results"
	fi
}

# enter_if_inside ARGUMENT...: if `confined` has started this script, runs the function `inside`,
# which the sourcing script defines, and ends.
enter_if_inside() {
	[ "${1-}" = --inside ] || return 0
	shift
	inside "$@"
	exit
}

# in_each_release SECONDS [RELEASE...]: runs `inside RELEASE $work` in a root of each release of
# Debian, by default 12 and 13, with the packages in $PACKAGES, and prints the counts.
in_each_release() {
	seconds=$1
	shift
	require_root_on_debian
	find_packages
	export PACKAGES
	begin
	[ $# -gt 0 ] || set -- bookworm trixie
	for suite; do
		make_root "$suite"
		confined "$seconds" "$suite" "$work"
		rm -rf --one-file-system "$work/root"
	done
	uname -sr
	conclude
}

# Creates $work, which is removed at the end, and takes the lock, so that other scripts that use
# this file wait.
begin() {
	mkdir -p "$roots"
	exec 9> "$roots/lock"
	flock 9
	work=$(mktemp -d "$roots/root.XXXXXX")
	: > "$work/results"
	confined='' loops=''
	trap end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# make_loops SIZE...: creates block devices of these sizes and appends their names to $loops.
make_loops() {
	for size; do
		file=$(mktemp "$work/disk.XXXXXX")
		truncate -s "$size" "$file"
		loops="$loops $(losetup -f --show "$file")"
	done
}

end() {
	[ -z "$confined" ] || kill -KILL "$confined" 2> /dev/null || true
	for loop in $loops; do
		losetup -d "$loop" || true
	done
	# Processes that are ending may still write.
	for _ in 1 2 3 4 5; do
		rm -rf --one-file-system "$work" 2> /dev/null && break
		sleep 1
	done
}

# Prints the counts of each stage, whose name ends at the first comma, and the total counts.
conclude() {
	awk '
		function line(name) {
			return sprintf("%d passed, %d failed, %d skipped", count["passed", name],
				count["failed", name], count["skipped", name])
		}
		{
			word = $1
			count[word, ""]++
			sub(/^[a-z]* /, "")
			sub(/,.*/, "")
			if (!seen[$0]++) names[++total] = $0
			count[word, $0]++
		}
		END {
			for (i = 1; i <= total; i++) print names[i] ": " line(names[i])
			print line("")
			exit count["failed", ""] > 0
		}' "$work/results"
}

# The following functions run inside of the namespaces.

# enter_root SUITE WORK: mounts what the root needs, configures apt, and upgrades all packages.
enter_root() {
	suite=$1 work=$2 root=$2/root
	trap 'exit 130' INT TERM
	hostname localhost
	mount --bind "$root" "$root"
	mount -t proc proc "$root/proc"
	mount --bind "$root/proc/sys" "$root/proc/sys"
	mount --bind /sys "$root/sys"
	mount -o remount,bind,ro "$root/proc/sys"
	mount -o remount,bind,ro "$root/sys"
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	mknod -m 666 "$root/dev/null" c 1 3
	mknod -m 666 "$root/dev/zero" c 1 5
	mknod -m 666 "$root/dev/full" c 1 7
	mknod -m 666 "$root/dev/random" c 1 8
	mknod -m 666 "$root/dev/urandom" c 1 9
	mkdir -m 1777 "$root/dev/shm"
	mkdir "$root/dev/pts"
	mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	mount --bind "$roots/archives/$suite" "$root/var/cache/apt/archives"

	cp /etc/resolv.conf "$root/etc/resolv.conf"
	echo '127.0.0.1 localhost' > "$root/etc/hosts"
	# Prevents packages from starting services.
	printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
	chmod +x "$root/usr/sbin/policy-rc.d"
	echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/disposable"
	# The system's proxies and its setting for old package lists, if any.
	{
		apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-Valid-Until)' || true
		echo 'APT::Install-Recommends "false"; APT::Sandbox::User "root";'
		echo 'Acquire::Languages "none";'
	} > "$root/etc/apt/apt.conf.d/disposable"
	for type in deb deb-src; do
		echo "$type $(archive Debian) $suite main"
		security=$(archive Debian-Security)
		# Debian's newest release has no fixes but in itself.
		[ -z "$security" ] || [ "$suite" = sid ] || echo "$type $security $suite-security main"
	done > "$root/etc/apt/sources.list"
	quiet in_root apt-get update
	quiet apt_install --only-upgrade libc6
	quiet in_root apt-get -y dist-upgrade
}

in_root() {
	chroot "$root" /usr/bin/env -i \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# Runs a program under test in /srv, without a network and with a time limit.
offline() {
	unshare --net chroot "$root" /usr/bin/env -C /srv -i HOME=/root LC_ALL=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		timeout --kill-after=5 "${LIMIT:-300}" "$@"
}

# Makes the block devices DEVICE... available in the root.
make_devices() {
	for device; do
		mknod -m 600 "$root$device" b "$(stat -c %Hr "$device")" "$(stat -c %Lr "$device")"
	done
}

apt_install() {
	in_root apt-get install -y -q "$@"
}

# Shows the output of a command only if it fails, and then ends the script.
quiet() {
	"$@" > "$work/log" 2>&1 || { cat "$work/log"; echo "failed: $*"; exit 1; }
}

# check WHAT COMMAND...: passes if the command succeeds. Prints one line, and adds one for $stage to
# the results.
check() {
	what="${stage:?}: $1"
	shift
	if "$@" > "$work/log" 2>&1; then
		echo "ok      $what"
		echo "passed $stage" >> "$work/results"
	else
		echo "FAILED  $what"
		sed 's/^/        /' "$work/log" | tail -n 40
		echo "failed $stage" >> "$work/results"
	fi
}

skip() {
	echo "SKIPPED $stage: $1"
	echo "skipped $stage" >> "$work/results"
}

same() {
	diff -u "$1" "$2"
}

# traced NAME COMMAND...: runs the command as offline does, under strace, which writes io_setup and
# io_submit calls with their stacks to $work/root/tmp/NAME.trace. --seccomp-bpf stops the program
# for these calls only.
traced() {
	trace=$1
	shift
	offline strace -f --seccomp-bpf -k -o "/tmp/$trace.trace" -e trace=io_setup,io_submit "$@"
}

# submitters NAME: prints the files that made the io_submit calls in a trace, each with a count. In
# the trace, the stack of a call follows the line with its result. Its innermost frame is skipped if
# it is libc's syscall().
submitters() {
	awk '
		/io_submit/ && / = [0-9]+$/ { call = 1; next }
		call && /^ > .*\/libc\.so\.6\(syscall\+/ { next }
		call { if ($1 == ">") { file = $2; sub(/\(.*/, "", file); calls[file]++ } call = 0 }
		END { for (file in calls) print calls[file], file }' "$root/tmp/$1.trace"
}

# served NAME LIBRARY: the trace has io_submit calls, and this file made all of them.
served() {
	found=$(submitters "$1")
	echo "io_submit calls from: ${found:-nothing}"
	[ "$(echo "$found" | cut -d ' ' -f 2-)" = "$2" ]
}
