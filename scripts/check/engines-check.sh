#!/bin/sh
# make engines-check: runs Debian's programs over this library with LIBAIO_RS_ENGINE=auto, under
# filters that refuse kernel AIO. The programs are in a disposable Debian 13, MySQL in Debian
# unstable. Each program writes data and reads it again. The probe libaio:setup reports the rung of
# each context (docs/engines.md). Arguments name the programs to run. The library is the one that
# `make` builds, or the file $LIBRARY. Limited to an hour.
#
# The filters are those of tests/refuse.c: all calls return ENOSYS (as under qemu-user and rr) or
# EPERM (as in a sandbox); io_setup returns EAGAIN for more than a number of requests (as with
# fs.aio-max-nr); or any call kills. With the last one, LIBAIO_RS_ENGINE is `inline`.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/disposable-root.sh
. scripts/shared/programs.sh
. scripts/shared/refused-programs.sh

# --- Runs a program under a refusal, and finds out which rung served it.

# A bpftrace script. For each new context, it prints the rung, the requested and the granted count,
# and the error. At the end, it prints for each rung how many requests io_submit() accepted, and how
# many of these the kernel accepted. Rung -1 means that the library did not create the context.
watch_script() {
	cat <<-SCRIPT
		interval:ms:50 { printf("first is watched\n"); }
		usdt:$1:libaio:setup {
			printf("setup %d %d %d %d\n", arg3, arg1, arg2, arg4);
			@rung[pid, arg0] = arg3 + 1;
		}
		uprobe:$1:io_submit { @inside[tid] = @rung[pid, arg0] + 1; }
		tracepoint:syscalls:sys_exit_io_submit /@inside[tid] && args->ret > 0/ {
			@kernel[@inside[tid] - 2] = sum(args->ret);
		}
		uretprobe:$1:io_submit /@inside[tid]/ {
			if ((int32)retval > 0) { @requests[@inside[tid] - 2] = sum((int32)retval); }
			delete(@inside[tid]);
		}
		END { clear(@rung); clear(@inside); }
		interval:ms:50 { printf("last is watched\n"); }
	SCRIPT
}

watch() {
	bpftrace -B line "$work/watch.bt" > "$work/watch.log" 2>&1 &
	watcher=$!
	# bpftrace attaches the probes one after another, from the first or from the last.
	for _ in $(seq 200); do
		! grep -q '^first' "$work/watch.log" || ! grep -q '^last' "$work/watch.log" || return 0
		sleep 0.05
	done
	echo "bpftrace does not watch:"
	cat "$work/watch.log"
	end_watcher
	return 1
}

unwatch() {
	end_watcher
	grep -v 'is watched$' "$work/watch.log" >> "$work/watched"
}

# Ends bpftrace. About once in a hundred times, bpftrace 0.17 ignores the first signal.
end_watcher() {
	(
		for _ in 1 2 3 4 5; do
			kill -INT "$watcher"
			sleep 2
		done
		kill -KILL "$watcher"
	) > /dev/null 2>&1 &
	signalling=$!
	wait "$watcher" || true
	kill "$signalling" 2> /dev/null || true
	wait "$signalling" || true
}

# The same, while bpftrace records contexts and requests.
under() {
	watch || return 1
	ended=0
	refused "$@" || ended=$?
	unwatch
	return "$ended"
}

# The number of slots in a ring, as ioctx_alloc and aio_setup_ring in the kernel's fs/aio.c compute
# it.
slots() {
	least=$(($(getconf _NPROCESSORS_CONF) * 4))
	[ "$1" -gt "$least" ] || set -- "$least"
	page=$(getconf PAGESIZE)
	echo $((((($1 * 2 + 2) * 32 + 32 + page - 1) / page * page - 32) / 32))
}

# rung_of KIND ASKED: prints the rung that must serve a context for ASKED requests.
rung_of() {
	limit=${1#limit=}
	if [ "$limit" = "$1" ] || [ "$limit" = 0 ]; then
		echo 4
	elif [ "$2" -le "$limit" ]; then
		echo 1
	elif [ "$(slots "$limit")" -ge "$(slots "$2")" ]; then
		echo 2
	else
		echo 3
	fi
}

# served KIND RUNG REQUESTS [PART]: succeeds if each context since the last call has the rung that
# is expected for its count, none has a rung above RUNG, and those on RUNG accepted at least
# REQUESTS requests. PART is for rung 3: `part` if the library must have carried out some of the
# requests itself, `none` if it must have carried out none.
served() {
	sed -n 's/^\(setup .*\)/\1/p; s/^@\(.*\)\[\(.*\)\]: \(.*\)/\1 \2 \3/p' "$work/watched" |
		sort | uniq -c | awk '
			$2 == "setup" { print $2, $3, $4, $5, $6, $1; next }
			{ for (i = 0; i < $1; i++) sum[$2 " " $3] += $4 }
			END { for (name in sum) print name, sum[name] }' > "$work/served"
	: > "$work/watched"
	echo "served (setup RUNG ASKED GRANTED ERROR TIMES; requests RUNG COUNT; kernel RUNG COUNT):"
	cat "$work/served"
	while read -r word made asked _; do
		[ "$word" = setup ] || continue
		if [ "$made" != "$(rung_of "$1" "$asked")" ]; then
			echo "$asked requests are for rung $(rung_of "$1" "$asked")"
			return 1
		fi
	done < "$work/served"
	awk -v rung="$2" -v least="$3" -v part="${4-}" '
		$1 == "setup" && $2 > rung { wrong = 1 }
		$1 == "requests" && ($2 < 1 || $2 > rung) { wrong = 1 }
		$1 == "requests" && $2 == rung { requests = $3 }
		$1 == "kernel" && $2 == rung { kernel = $3 }
		END {
			if (rung < 3) late = kernel != requests
			if (rung == 3 && part == "part") late = kernel <= 0 || kernel >= requests
			if (rung == 3 && part == "none") late = kernel != requests
			if (rung == 4) late = kernel > 0
			if (late) print "of", requests, "requests, the kernel took", kernel + 0
			exit wrong || late || requests < least
		}' "$work/served"
}

# A check, whose contexts and requests are counted from its beginning.
counted() {
	: > "$work/watched"
	check "$@"
}

# --- fio

fio_run() {
	kind=$1 least=$2
	shift 2
	rm -f "$root"/srv/fio.*
	set -- fio --name=fio --directory=/srv --ioengine=libaio --rw=randwrite --bs=4k --size=8m \
		--verify=crc32c --verify_fatal=1 "$@"
	under "$kind" "$@" || return 1
	served "$kind" "$(rung_of "$kind" "$depth")" "$least" "$part" || return 1
	# Verifies the files once more, with synchronous reads.
	over_debians limit=65536 "$@" --ioengine=psync --verify_only
}

# fio_mode NAME DEPTH REQUESTS OPTION...: runs fio with each refusal that affects this depth. It
# writes and verifies each block once. On rung 3, the library must carry out some of the requests.
fio_mode() {
	mode=$1 depth=$2 requests=$3
	shift 3
	for kind in enosys eperm limit=0 limit=8 kill; do
		rung=$(rung_of "$kind" "$depth") part=
		[ "$rung" != 1 ] || continue
		[ "$rung" != 3 ] || part=part
		counted "$mode, $kind: rung $rung, and its data are right" \
			fio_run "$kind" "$requests" --iodepth="$depth" "$@"
	done
}

works_fio() {
	set -- --iodepth_batch_submit=64 --iodepth_batch_complete_min=4 \
		--iodepth_batch_complete_max=64
	fio_mode 'depth 1, O_DIRECT' 1 4096 --direct=1
	fio_mode 'depth 1, fdatasync' 1 4096 --direct=0 --fdatasync=128
	fio_mode 'depth 32, fsync, batches' 32 4096 --direct=0 --fsync=128 "$@"
	fio_mode 'depth 32, O_DIRECT, priorities' 32 4096 --direct=1 --cmdprio_percentage=50 \
		--cmdprio_class=2
	fio_mode 'depth 32, O_DIRECT, reaps by itself, 4 threads' 32 16384 --direct=1 --thread \
		--userspace_reap=1 --numjobs=4 "$@"
	fio_mode 'depth 2048, O_DIRECT, reaps by itself' 2048 4096 --direct=1 --userspace_reap=1 "$@"
	fio_mode 'depth 2048, 4 processes' 2048 16384 --direct=0 --numjobs=4
	fio_mode 'depth 2048, O_DIRECT, sizes mixed' 2048 500 --direct=1 --bsrange=4k-64k "$@"
	counted "a changed byte is noticed" fio_notices
	counted "over Debian's libaio it does not work" fails over_debians enosys fio --name=fio \
		--directory=/srv --ioengine=libaio --rw=read --bs=4k --size=8m
}

fio_notices() {
	set -- enosys fio --name=fio --directory=/srv --ioengine=libaio --rw=randwrite --bs=4k \
		--size=8m --iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1
	rm -f "$root"/srv/fio.*
	refused "$@" --do_verify=0 || return 1
	refused "$@" --verify_only || return 1
	printf x | dd of="$root/srv/fio.0.0" bs=1 seek=4000000 conv=notrunc status=none
	fails refused "$@" --verify_only || return 1
	grep 'verify failed' "$work/failure"
}

# Runs a command that must fail, but not by a timeout or a kill.
fails() {
	ended=0
	"$@" > "$work/failure" 2>&1 || ended=$?
	cat "$work/failure"
	[ "$ended" != 0 ] && [ "$ended" != 124 ] && [ "$ended" != 137 ]
}

# --- sysbench

sysbench_writes() {
	kind=$1
	rm -f "$root"/srv/test_file.*
	set -- sysbench fileio --file-num=4 --file-total-size=16M --file-block-size=4096 --threads=2 \
		--file-io-mode=async --file-async-backlog=2048 --validate=on
	sysbench_run offline "$@" prepare || return 1
	sysbench_run under "$kind" "$@" --file-test-mode=rndrw --file-fsync-freq=1000 --time=30 \
		--events=20000 run || return 1
	rung=$(rung_of "$kind" 2048) part=
	[ "$rung" != 3 ] || part=part
	served "$kind" "$rung" 15000 "$part" || return 1
	sysbench_run under "$kind" "$@" --file-test-mode=seqrd --time=0 --events=4096 run || return 1
	served "$kind" "$rung" 3000 || return 1
	# The same with synchronous reads.
	sysbench_run offline "$@" --file-io-mode=sync --file-test-mode=seqrd --time=0 \
		--events=4096 run
}

works_sysbench() {
	for kind in enosys eperm limit=0 limit=8 kill; do
		counted "$kind: its blocks are right" sysbench_writes "$kind"
	done
	counted "over Debian's libaio it does not work" fails over_debians enosys sysbench fileio \
		--file-num=4 --file-total-size=16M --file-io-mode=async --file-test-mode=seqrd run
}

# --- QEMU's tools. They request 1024 and set an eventfd in every request.

# qemu KIND REQUESTS COMMAND...: without a context, the tools would use threads and print a message.
qemu() {
	kind=$1 requests=$2
	shift 2
	rung=$(rung_of "$kind" 1024) part=
	[ "$rung" != 3 ] || part=none
	under "$kind" "$@" > "$work/qemu.log" 2>&1 || { cat "$work/qemu.log"; return 1; }
	tail -n 3 "$work/qemu.log"
	! grep 'falling back' "$work/qemu.log" || return 1
	served "$kind" "$rung" "$requests" "$part"
}

qemu_image() {
	echo "driver=$1,file.driver=file,file.aio=native,file.cache.direct=on,file.filename=$2"
}

# Writes the whole image four times, with more requests in flight than a small ring has room for.
qemu_bench() {
	head -c 16M /dev/urandom > "$root/srv/image"
	qemu "$1" 16384 qemu-img bench -n -i native -t none -f raw -w --pattern=90 -d 512 -s 4096 \
		-c 16384 --flush-interval=512 image || return 1
	qemu "$1" 8000 qemu-img bench -n -i native -t none -f raw -d 512 -s 4096 -c 8192 image ||
		return 1
	found=$(tr -d Z < "$root/srv/image" | wc -c)
	echo "bytes that are not the pattern: $found"
	[ "$found" = 0 ]
}

qemu_convert() {
	head -c 32M /dev/urandom > "$root/srv/image"
	offline qemu-img create -q -f qcow2 disk 32M || return 1
	offline qemu-img create -q -f raw back 32M || return 1
	qemu "$1" 16 qemu-img convert -n -W -m 16 --image-opts --target-image-opts \
		"$(qemu_image raw image)" "$(qemu_image qcow2 disk)" || return 1
	qemu "$1" 16 qemu-img convert -n -W -m 16 --image-opts --target-image-opts \
		"$(qemu_image qcow2 disk)" "$(qemu_image raw back)" || return 1
	offline qemu-img check disk || return 1
	cmp "$root/srv/image" "$root/srv/back"
}

# Writes 400 patterns, all in flight at once, and reads them back. qemu-io prints a message about a
# wrong pattern, but its exit status is 0.
qemu_patterns() {
	truncate -s 32M "$root/srv/image"
	{
		qemu_io_commands write 1
		echo aio_flush
		qemu_io_commands read 1
		echo aio_flush
	} > "$root/srv/commands"
	qemu "$1" 800 sh -c 'qemu-io -n -i native -f raw image < commands' || return 1
	[ "$(grep -c '36 KiB, 1 ops' "$work/qemu.log")" = 800 ] || return 1
	! grep -i failed "$work/qemu.log" || return 1
	{ qemu_io_commands read 2; echo aio_flush; } > "$root/srv/commands"
	qemu "$1" 400 sh -c 'qemu-io -n -i native -f raw image < commands' || return 1
	grep -c 'Pattern verification failed' "$work/qemu.log"
}

qemu_io_commands() {
	for n in $(seq 0 399); do
		echo "aio_$1 -P $(((n + $2) % 251 + 1)) $((n * 36))k 36k"
	done
}

works_qemu() {
	for kind in enosys eperm limit=0 limit=8 kill; do
		counted "$kind: qemu-img bench writes its pattern everywhere" qemu_bench "$kind"
		counted "$kind: what qemu-img converts, there and back, is the same" qemu_convert "$kind"
		counted "$kind: qemu-io finds its patterns" qemu_patterns "$kind"
	done
}

# --- LVM

# lvm_does COMMAND...: under the filter $lvm_kind. The rung must have served at least one request.
lvm_does() {
	lvm_command under "$lvm_kind" -- "$@" || return 1
	served "$lvm_kind" "$(rung_of "$lvm_kind" 256)" 1
}

lvm_works() {
	lvm_kind=$1
	for device in "$disk" "$disk2"; do
		dd if=/dev/zero of="$device" bs=1M count=2 conv=fsync status=none || return 1
	done
	lvm_does pvcreate --yes "$disk" "$disk2" && lvm_does vgcreate group "$disk" "$disk2" &&
		lvm_makes_volumes && lvm_reads_back && lvm_removes
}

works_lvm() {
	make_devices "$disk" "$disk2"
	lvm_configure
	for kind in enosys eperm limit=0 limit=8 kill; do
		counted "$kind: volumes are made, found and removed" lvm_works "$kind"
	done
}

# --- stressapptest, which requests 5, so only the limit of 1 affects it. It writes to the disk only
# if it may destroy its contents.

stressapptest_runs() {
	truncate -s 64M "$root/srv/stress.disk"
	under "$1" stressapptest -s 5 -M 64 -m 1 -d stress.disk --destructive \
		> "$work/stress.log" 2>&1 || {
		cat "$work/stress.log"
		return 1
	}
	cat "$work/stress.log"
	grep 'Status: PASS' "$work/stress.log" && served "$1" "$(rung_of "$1" 5)" 10
}

works_stressapptest() {
	for kind in enosys eperm limit=0 limit=1 kill; do
		counted "$kind: its disk test passes" stressapptest_runs "$kind"
	done
}

# --- Ceph's BlueStore, which requests 1024 and does not start without kernel AIO.

ceph() {
	kind=$1
	shift
	rung=$(rung_of "$kind" 1024)
	under "$kind" "$@" > "$work/ceph.log" 2>&1 || { tail -n 30 "$work/ceph.log"; return 1; }
	tail -n 2 "$work/ceph.log"
	served "$kind" "$rung" 1
}

# Creates a store, writes objects and reads them back, and verifies every checksum.
ceph_stores() {
	rm -rf "$root/srv/osd"
	mkdir "$root/srv/osd"
	ceph "$1" ceph-osd -i 0 --mkfs --osd-data /srv/osd --no-mon-config || return 1
	for object in one two; do
		head -c 6000000 /dev/urandom > "$root/srv/$object"
		ceph "$1" ceph-objectstore-tool --no-mon-config --data-path /srv/osd \
			"$(ceph_object $object)" set-bytes "$object" || return 1
	done
	for object in one two; do
		rm -f "$root/srv/back"
		ceph "$1" ceph-objectstore-tool --no-mon-config --data-path /srv/osd \
			"$(ceph_object $object)" get-bytes back || return 1
		cmp "$root/srv/$object" "$root/srv/back" || return 1
	done
	ceph "$1" ceph-bluestore-tool fsck --deep 1 --path /srv/osd || return 1
	grep 'fsck success' "$work/ceph.log" || return 1
	# Debian's libaio over kernel AIO must accept the store too.
	offline ceph-bluestore-tool fsck --deep 1 --path /srv/osd 2>&1 | grep 'fsck success'
}

ceph_needs_it() {
	rm -rf "$root/srv/osd"
	mkdir "$root/srv/osd"
	fails over_debians "$1" ceph-osd -i 0 --mkfs --osd-data /srv/osd --no-mon-config || return 1
	# It does not always come to write why.
	[ ! -e "$root/srv/osd/mkfs_done" ]
}

works_ceph() {
	ceph_configure
	for kind in enosys eperm limit=0 limit=8 kill; do
		[ "$kind" = kill ] ||
			counted "$kind: over Debian's libaio there is no store" ceph_needs_it "$kind"
		counted "$kind: BlueStore keeps its objects" ceph_stores "$kind"
	done
}

# --- Database servers, without a network. Their page caches are small, so that they do much I/O.

stop_server() {
	sql SHUTDOWN || return 1
	wait "$server" || { cat "$work/server.log"; return 1; }
}

writers='1 2 3 4' writing='' server=''

# Each writer inserts rows, one per transaction, and prints the number of each committed row.
write_rows() {
	writing=
	for writer in $writers; do
		awk -v writer="$writer" 'BEGIN {
			for (id = 1; id <= 20000; id++) {
				body = "REPEAT(SHA2(" writer * 100000 + id ", 256), 25)"
				printf "INSERT INTO rows_of.data VALUES (%d, %d, %s, UNHEX(SHA2(%s, 256)));",
					writer, id, body, body
				printf " SELECT %d;\n", id
			}
		}' > "$root/srv/writer.$writer"
		offline sh -c "exec $client --no-defaults --user=root --socket=/srv/server.sock --batch \
			--skip-column-names --unbuffered \
			< writer.$writer > committed.$writer 2> errors.$writer" &
		writing="$writing $!"
	done
	for _ in $(seq 300); do
		sleep 0.1
		[ "$(cat "$root"/srv/committed.* 2> /dev/null | wc -l)" -lt 2000 ] || return 0
	done
	cat "$work/server.log" "$root"/srv/errors.*
	return 1
}

# Every committed row must be there and correct, without a gap. One more may be there, whose commit
# was in progress.
rows_are_there() {
	sql 'SELECT writer, COUNT(*), MAX(id), SUM(UNHEX(SHA2(body, 256)) = sum)
		FROM rows_of.data GROUP BY writer ORDER BY writer' > "$work/rows" || return 1
	for writer in $writers; do
		committed=$(tail -n 1 "$root/srv/committed.$writer")
		echo "writer $writer: $committed committed; rows, last one, right ones:" \
			"$(sed -n "s/^$writer	//p" "$work/rows")"
		awk -v writer="$writer" -v committed="$committed" '
			$1 == writer { right = $2 == $3 && $2 == $4 && $2 >= committed && $2 <= committed + 1 }
			END { exit !(right && committed > 50) }' "$work/rows" || return 1
	done
	sql 'CHECK TABLE rows_of.data EXTENDED' | grep -w OK
}

# rows_stay HOW...: starts a server with that command, kills it while clients write, and starts
# another, which must have all rows.
rows_stay() {
	rm -rf "$root/srv/data" "$root"/srv/committed.* "$root"/srv/errors.*
	mkdir "$root/srv/data"
	cp -a "$root/srv/new/." "$root/srv/data"
	server "$@" || return 1
	sql 'CREATE DATABASE rows_of; CREATE TABLE rows_of.data (writer INT, id INT,
		body VARBINARY(2000), sum BINARY(32), PRIMARY KEY (writer, id),
		KEY (sum)) ENGINE=InnoDB' || return 1
	write_rows || return 1
	kill_server
	wait "$server" || true
	# The clients end because they have lost their server.
	wait_for_writers
	cp "$work/server.log" "$work/first.log"
	server "$@" || return 1
	rows_are_there || return 1
	sql 'SELECT COUNT(*) FROM rows_of.data' || return 1
	stop_server || return 1
	in_root "$innochecksum" /srv/data/rows_of/data.ibd
}

wait_for_writers() {
	for one in $writing; do
		wait "$one" || true
	done
	writing=
}

# Ends the server and the clients that a failed check has left running.
end_server() {
	[ ! -e "$root/srv/server.pid" ] || kill -KILL "$(cat "$root/srv/server.pid")" || true
	# shellcheck disable=SC2086 # one word each
	kill $writing $server 2> /dev/null || true
	wait_for_writers
	wait "$server" || true
	rm -f "$root/srv/server.pid"
} 2> /dev/null

# --- MariaDB, which reaps with the raw system call. It never gets rung 3 or 4, so it must behave as
# over Debian's libaio.

# Prints the server's messages about AIO.
said() {
	sed -n 's/^[0-9-]* *[0-9:]* [0-9]* \(.*\(AIO\|aio\|io_setup\).*\)/\1/p' \
		"$work/first.log" "$work/server.log"
}

mariadb_story() {
	: > "$work/first.log"
	if rows_stay "$@" > "$work/story.log" 2>&1; then
		echo "all rows are there"
	else
		echo "rows are missing, or the server does not work"
		end_server
	fi
	said
}

mariadb_is_the_same() {
	like=$1
	[ "$1" != kill ] || like=enosys
	mariadb_story over_debians "$like" > "$work/theirs"
	mv "$work/story.log" "$work/their.log"
	watch || return 1
	mariadb_story refused "$1" > "$work/ours"
	unwatch
	if ! same "$work/theirs" "$work/ours"; then
		tail -n 30 "$work/story.log"
		return 1
	fi
	cat "$work/ours" "$work/story.log"
	grep -q 'all rows are there' "$work/ours" || return 1
	mariadb_is_spared
}

# The server must have called io_setup, and no context may have rung 3 or 4.
mariadb_is_spared() {
	grep -E "^(setup|@)" "$work/watched" | sort | uniq -c | tee "$work/served"
	: > "$work/watched"
	grep -q setup "$work/served" && ! grep -E 'setup [34]|requests\[[34]\]' "$work/served"
}

mariadb_backs_up() {
	rows_stay offline env || return 1
	server offline env || return 1
	for kind in enosys eperm limit=0 kill; do
		rm -rf "$root/srv/backup"
		refused "$kind" mariadb-backup --no-defaults --backup --user=root \
			--socket=/srv/server.sock --datadir=/srv/data --target-dir=/srv/backup \
			--innodb-use-native-aio=1 "$server_aio" || return 1
		watch || return 1
		ended=0
		refused "$kind" mariadb-backup --no-defaults --prepare --target-dir=/srv/backup \
			--innodb-use-native-aio=1 "$server_aio" || ended=$?
		unwatch
		[ "$ended" = 0 ] || return 1
		mariadb_is_spared || return 1
	done
	stop_server || return 1
	rm -rf "$root/srv/data"
	mv "$root/srv/backup" "$root/srv/data"
	server offline env || return 1
	rows_are_there || return 1
	stop_server
}

works_mariadb() {
	daemon=mariadbd client=mariadb innochecksum=innochecksum server_aio=--innodb-linux-aio=aio
	server_options="--innodb-log-file-size=16M $server_aio"
	quiet mariadb_installs /srv/new
	for kind in enosys eperm limit=0 limit=8 kill; do
		counted "$kind: as over Debian's libaio, and its rows are there" \
			mariadb_is_the_same "$kind"
		end_server
	done
	counted "mariadb-backup makes its copy, and the copy has all rows" mariadb_backs_up
	end_server
}

# --- MySQL

mysql_keeps_its_rows() {
	watch || return 1
	ended=0
	rows_stay refused "$1" || ended=1
	unwatch
	[ "$ended" = 0 ] || return 1
	! grep -i 'native aio' "$work/first.log" "$work/server.log" || return 1
	served "$1" "$(rung_of "$1" 256)" 1000
}

works_mysql() {
	daemon=mysqld client=mysql innochecksum=innochecksum
	server_options='--innodb-redo-log-capacity=16M --skip-log-bin --mysqlx=0'
	server_options="$server_options --secure-file-priv=NULL"
	quiet offline mysqld --no-defaults --initialize-insecure --user=root --datadir=/srv/new
	for kind in enosys eperm limit=0 limit=8 kill; do
		counted "$kind: after a kill, its rows are there" mysql_keeps_its_rows "$kind"
		end_server
	done
}

# --- All of them

inside() {
	mount -t tracefs tracefs /sys/kernel/tracing
	watch_script "$2/root/opt/libaio-rs/libaio.so.1" > "$2/watch.bt"
	: > "$2/watched"
	with_programs works "$@"
}

enter_if_inside "$@"
bring_here bpftrace
in_their_releases 3600 "$@"
conclude
