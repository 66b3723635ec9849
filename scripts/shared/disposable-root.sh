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
	command -v debootstrap > /dev/null ||
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			-o DPkg::Lock::Timeout=600 debootstrap > /dev/null
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

# shellcheck disable=SC2154 # visit and library: the sourcing script sets them
# The programs that root-check and sources-check have in common. The file $library must make their
# io_submit calls. fio and sysbench also check the data of the previous visit; $visit numbers
# visits.

# Verifies the blocks of the previous visit, then writes and verifies new ones.
fio_verifies() {
	set -- fio --name=data --filename=fio.data --ioengine=libaio --direct=1 --rw=randwrite --bs=4k \
		--size=16m --iodepth=32 --iodepth_batch_submit=8 --iodepth_batch_complete_min=4 \
		--iodepth_batch_complete_max=32 --verify=crc32c --verify_fatal=1
	if [ "$visit" -gt 1 ]; then
		offline "$@" --randseed=$((visit - 1)) --verify_only || return 1
	fi
	traced fio "$@" "--randseed=$visit" || return 1
	served fio "$library"
}

# The same with sysbench, whose blocks have checksums.
sysbench_validates() {
	set -- sysbench fileio --file-num=4 --file-total-size=32M --file-block-size=16384 --threads=2 \
		--file-io-mode=async --validate=on
	[ "$visit" -gt 1 ] || sysbench_run offline "$@" prepare || return 1
	sysbench_run traced sysbench "$@" --file-test-mode=seqrd --time=0 --events=2048 run || return 1
	served sysbench "$library" || return 1
	sysbench_run traced sysbench "$@" --file-test-mode=rndrw --file-async-backlog=64 --time=30 \
		--events=4000 run || return 1
	served sysbench "$library" || return 1
	sysbench_run offline "$@" --file-test-mode=seqrd --time=0 --events=2048 run
}

# sysbench only prints a message if a checksum is wrong.
sysbench_run() {
	"$@" > "$work/sysbench.log" 2>&1 || {
		cat "$work/sysbench.log"
		return 1
	}
	! grep -E 'FATAL|mismatch' "$work/sysbench.log"
}

# The disk test writes blocks with O_DIRECT, reads them and compares.
stressapptest_passes() {
	truncate -s 64M "$root/srv/stress.disk"
	traced stressapptest stressapptest -s 8 -M 64 -m 1 -d stress.disk > "$work/stress.log" 2>&1 || {
		cat "$work/stress.log"
		return 1
	}
	cat "$work/stress.log"
	grep 'Status: PASS' "$work/stress.log" && served stressapptest "$library"
}
