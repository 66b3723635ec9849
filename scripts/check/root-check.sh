#!/bin/sh
# make root-check: in a disposable Debian 12 and a disposable Debian 13, replaces Debian's libaio
# with libaio1-rs and goes back, with apt. Before, between and after, fio, sysbench and MariaDB work
# on the same data. Arguments, if any, are the only releases to check. The packages are those that
# `make deb` built, or those in the directory $PACKAGES. Takes at most 15 minutes for each release.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/disposable-root.sh
. scripts/shared/programs.sh

# Debian's package, and the name of the library that its programs need.
release() {
	case $1 in
	bookworm) debian=libaio1 soname=libaio.so.1 ;;
	trixie) debian=libaio1t64 soname=libaio.so.1t64 ;;
	*) echo "$0: no release $1 here" >&2; exit 1 ;;
	esac
}

# snapshot NAME: writes all packages and their states into $work/NAME.packages, and all files, with
# checksums, into $work/NAME.files. Leaves out the programs' data, and files that apt and dpkg write
# on every run.
snapshot() {
	# shellcheck disable=SC2016 # dpkg-query's variables
	in_root dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package} ${Version}\n' \
		> "$work/$1.packages"
	(
		cd "$root"
		everything -printf '%P %y %m %u:%g %l\n'
		everything -type f -print0 | xargs -0 sha256sum | sed 's|^\([0-9a-f]*\)  \./\(.*\)|\2 \1|'
	) | LC_ALL=C sort > "$work/$1.files"
}

everything() {
	find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./srv -o \
		-path ./var/log -o -path ./var/cache -o -path ./var/lib/apt -o \
		-regex '\./var/lib/dpkg/\(status\|available\|diversions\|statoverride\|lock\).*' \) \
		-prune -o "$@"
}

# --- The programs. The library they use must be the file $library of the package $owner.

# The loader loads the file of that package for each program, and only that package has such a file.
loader_loads_it() {
	for program in /usr/bin/fio /usr/bin/sysbench /usr/sbin/mariadbd; do
		found=$(in_root ldd "$program" | awk -v name="$soname" '$1 == name { print $3 }')
		echo "$program: $found, which is $(in_root realpath "$found")"
		[ "$(in_root realpath "$found")" = "$library" ] || return 1
	done
	[ "$(in_root dpkg -S "*/${library##*/}")" = "$owner:amd64: $(in_root dpkg -L "$owner" |
		grep "/${library##*/}\$")" ] || return 1
	cmp "$root$library" "$work/expected.so"
}

# Starts the server, which must use libaio. MariaDB 11.8 reports innodb_use_native_aio as off even
# then, so look at its log.
server_with_aio() {
	server traced mariadb && grep 'Using Linux native AIO' "$work/server.log"
}

# stop COMMAND...: stops the server with the command, then checks which library submitted its
# requests.
stop() {
	"$@" || return 1
	# strace ends as its program did.
	wait "$server" || [ "$1" = kill_server ] || { cat "$work/server.log"; return 1; }
	served mariadb "$library"
}

# rows_are_right COUNT: there are COUNT rows, and all have the right checksum.
rows_are_right() {
	found=$(sql 'SELECT COUNT(*), SUM(UNHEX(MD5(body)) = sum) FROM data' | tr '\t' ' ')
	echo "rows and right ones: $found"
	[ "$found" = "$1 $1" ]
}

mariadb_keeps_its_rows() {
	server=
	rows_stay && return 0
	[ -z "$server" ] || kill_server 2> /dev/null || true
	wait
	return 1
}

# Writes new rows and kills the server. The next server must have these and all earlier rows.
rows_stay() {
	if [ "$visit" = 1 ]; then
		mariadb_installs /srv/data || return 1
	fi
	server_with_aio || return 1
	if [ "$visit" = 1 ]; then
		sql 'CREATE TABLE data (id INT AUTO_INCREMENT PRIMARY KEY,
			body VARBINARY(2000), sum BINARY(16),
			KEY (sum)) ENGINE=InnoDB' || return 1
	else
		rows_are_right $((8000 * (visit - 1))) || return 1
	fi
	sql "INSERT INTO data (body, sum)
		SELECT @body := REPEAT(MD5(seq * 10 + $visit), 30), UNHEX(MD5(@body))
		FROM seq_1_to_8000" || return 1
	stop kill_server || return 1
	server_with_aio || return 1
	rows_are_right $((8000 * visit)) || return 1
	sql 'CHECK TABLE data EXTENDED' | grep -w OK || return 1
	stop sql SHUTDOWN || return 1
	in_root innochecksum /srv/data/test/data.ibd
}

# run_programs PACKAGE
run_programs() {
	owner=$1
	visit=$((visit + 1))
	library=$(in_root realpath "/usr/lib/x86_64-linux-gnu/$soname")
	check "the loader loads the file of $owner" loader_loads_it
	check "fio verifies the earlier data, writes and verifies" fio_verifies
	check "sysbench validates the earlier data, writes and validates" sysbench_validates
	check "MariaDB has all its rows, also after a crash" mariadb_keeps_its_rows
}

# --- The packages.

# apt_would ACTIONS ARGUMENT...: checks that apt-get would do exactly this. An action is Inst/NAME
# or Remv/NAME and a space; actions are in alphabetical order.
apt_would() {
	expected=$1
	shift
	found=$(in_root apt-get -s "$@" |
		awk '$1 == "Inst" || $1 == "Remv" { print $1 "/" $2 }' | sort |
		tr '\n' ' ')
	echo "apt-get $*: ${found:-nothing}"
	[ "$found" = "$expected" ]
}

nothing_is_broken() {
	in_root apt-get check || return 1
	found=$(in_root dpkg --audit)
	echo "$found"
	[ -z "$found" ]
}

# All files of the package exist and have the checksums in the package.
is_as_packed() {
	found=$(in_root dpkg -V "$1")
	echo "dpkg -V $1: ${found:-nothing}"
	[ -z "$found" ]
}

# All links in the package exist and have the right targets. dpkg -V does not check links, and
# ldconfig changes those that it believes to be wrong.
links_are_as_packed() {
	in_root ldconfig || return 1
	dpkg-deb --fsys-tarfile "$root/root/libaio1-rs.deb" | tar -tv |
		sed -n 's/^l.* \.\(.*\) -> /\1 /p' \
		> "$work/links"
	cat "$work/links"
	[ "$(grep -c libaio.so "$work/links")" = 2 ] || return 1
	while read -r link target; do
		[ "$(readlink "$root$link")" = "$target" ] || { ls -l "$root$link"; return 1; }
	done < "$work/links"
}

# Only files of the two packages differ between the two snapshots. Names in /lib are changed to
# /usr/lib, where the files are.
only_these_files_changed() {
	diff "$work/before.files" "$work/ours.files" | sed -n 's/^[<>] \([^ ]*\) .*/\1/p' | sort -u |
		grep -vE '^(etc/ld.so.cache|var/lib/dpkg/triggers/.*)$' > "$work/changed"
	{
		sed 's|^/lib/|/usr/lib/|' "$work/debian.list"
		in_root dpkg -L libaio1-rs
		(cd "$root" && ls -d var/lib/dpkg/info/libaio1-rs*)
		sed -n "s|^\(var/lib/dpkg/info/${debian}[.:][^ ]*\) .*|\1|p" "$work/before.files"
	} | sed 's|^/||' | sort -u > "$work/theirs"
	comm -23 "$work/changed" "$work/theirs" > "$work/too_many"
	cat "$work/too_many"
	[ -s "$work/changed" ] && [ ! -s "$work/too_many" ]
}

programs_need_nothing_more() {
	# Our package satisfies a new program that depends on Debian's.
	apt_would 'Inst/stressapptest ' install stressapptest || return 1
	apt_would '' dist-upgrade || return 1
	apt_would '' autoremove
}

new_program_works() {
	apt_install stressapptest || return 1
	stressapptest_passes || return 1
	in_root apt-get purge -y -q stressapptest
}

# dpkg without apt: it removes the conflicting package when it unpacks ours.
dpkg_replaces_it() {
	in_root dpkg -i /root/libaio1-rs.deb || return 1
	library=$(in_root realpath "/usr/lib/x86_64-linux-gnu/$soname")
	is_as_packed libaio1-rs && nothing_is_broken && loader_loads_it
}

inside() {
	stage=$1
	release "$1"
	enter_root "$1" "$2"
	visit=0
	quiet apt_install fio sysbench mariadb-server-core mariadb-client-core strace "$debian"
	# shellcheck disable=SC2016 # dpkg-query's variables
	echo "root-check: $1 with $(in_root dpkg-query -W -f '${Package} ${Version}, ' fio sysbench \
		mariadb-server-core "$debian" | sed 's/, $//')"
	# Newer servers have an option that chooses between libaio and io_uring.
	daemon=mariadbd client=mariadb database=test server_options=--innodb-log-file-size=16M
	! in_root mariadbd --no-defaults --verbose --help 2> /dev/null | grep -q innodb-linux-aio ||
		server_options="$server_options --innodb-linux-aio=aio"
	# Marked as installed automatically, as if it had been installed with the programs.
	quiet in_root apt-mark auto "$debian"
	cp "$PACKAGES"/libaio1-rs_*_amd64.deb "$root/root/libaio1-rs.deb"
	in_root dpkg -L "$debian" > "$work/debian.list"
	snapshot before
	cp "$root/usr/lib/x86_64-linux-gnu/$soname" "$work/expected.so"

	stage="$1, $debian"
	run_programs "$debian"

	stage="$1, switch to libaio1-rs"
	check "apt removes only $debian" apt_would "Inst/libaio1-rs Remv/$debian " \
		install /root/libaio1-rs.deb
	check "apt installs it" apt_install /root/libaio1-rs.deb
	snapshot ours
	dpkg-deb --fsys-tarfile "$root/root/libaio1-rs.deb" |
		tar -xO ./usr/lib/x86_64-linux-gnu/libaio.so.1.0.2 > "$work/expected.so"
	check "nothing is broken" nothing_is_broken
	check "its files are as packed" is_as_packed libaio1-rs
	check "its links are as packed" links_are_as_packed
	check "no other file is new, missing or changed" only_these_files_changed
	check "it satisfies other programs that depend on $debian" programs_need_nothing_more
	run_programs libaio1-rs
	check "stressapptest is installed, works and is purged" new_program_works

	stage="$1, back to $debian"
	check "apt removes only libaio1-rs" apt_would "Inst/$debian Remv/libaio1-rs " install "$debian"
	check "apt installs it" apt_install "$debian"
	check "libaio1-rs can be purged" in_root dpkg --purge libaio1-rs
	quiet in_root apt-mark auto "$debian"
	snapshot after
	check "nothing is broken" nothing_is_broken
	check "its files are as packed" is_as_packed "$debian"
	check "the same packages as before" same "$work/before.packages" "$work/after.packages"
	check "the same files as before" same "$work/before.files" "$work/after.files"
	cp "$root/usr/lib/x86_64-linux-gnu/$soname" "$work/expected.so"
	run_programs "$debian"

	stage="$1, by dpkg alone"
	dpkg-deb --fsys-tarfile "$root/root/libaio1-rs.deb" |
		tar -xO ./usr/lib/x86_64-linux-gnu/libaio.so.1.0.2 > "$work/expected.so"
	owner=libaio1-rs
	check "dpkg -i replaces $debian" dpkg_replaces_it
}

enter_if_inside "$@"
in_each_release 900 "$@"
