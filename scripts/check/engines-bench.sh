#!/bin/sh
# make engines-bench: measures the programs of engines-check where kernel AIO is refused, and prints
# the table of docs/engines.md, "Programs". Each program runs in four ways, one after another in
# each round: with kernel AIO; with its own fallback; on rung 4 (every call returns ENOSYS); and
# with contexts for at most 8 requests. The unit is the rate with kernel AIO in the same round, over
# Debian's libaio; all run under a filter, because a filter slows down system calls. Arguments name
# the programs. Needs a quiet machine.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/disposable-root.sh
. scripts/shared/programs.sh
. scripts/shared/refused-programs.sh

all='fio sysbench qemu lvm stressapptest ceph mysql'

# in_way WAY COMMAND...
in_way() {
	way=$1
	shift
	case $way in
	kernel | own) over_debians limit=1000000 "$@" ;;
	rung4) refused enosys "$@" ;;
	limit) refused "limit=${limit:-8}" "$@" ;;
	esac
}

# timed COMMAND...: prints how often per second the command could run.
timed() {
	start=$(date +%s%N)
	"$@" > "$work/timed.log" 2>&1 || { cat "$work/timed.log" >&2; return 1; }
	awk -v time="$(($(date +%s%N) - start))" 'BEGIN { print 1e9 / time }'
}

# row NAME ROUNDS COMMAND...: prints a row. `COMMAND... WAY` prints a rate, or nothing if the
# program has no fallback of its own. The first round is for warming up.
row() {
	what=$1 rounds=$2
	shift 2
	: > "$work/rates"
	for round in $(seq 0 "$rounds"); do
		for way in kernel own rung4 limit; do
			rate=$("$@" "$way") || { echo "$what, $way: it failed" >&2; exit 1; }
			[ "$round" = 0 ] || echo "$round $way ${rate:-none}" >> "$work/rates"
		done
	done
	awk -v what="$what" '
		{ rate[$1, $2] = $3; if ($1 > rounds) rounds = $1 }
		function ratio(way, i, j, n, all, one) {
			if (rate[1, way] == "none") return "none"
			for (i = 1; i <= rounds; i++) {
				one = rate[i, way] / rate[i, "kernel"]
				for (j = n++; j > 0 && all[j] > one; j--) all[j + 1] = all[j]
				all[j + 1] = one
			}
			return all[int((n + 1) / 2)]
		}
		function cell(value, own) {
			if (value == "none") return value
			return sprintf(own != "none" && value < 0.9 * own ? "**%.2f**" : "%.2f", value)
		}
		END {
			own = ratio("own")
			printf "| %s | %s | %s | %s |\n", what, cell(own, "none"),
				cell(ratio("rung4"), own), cell(ratio("limit"), own)
		}' "$work/rates"
}

# fio_rate PATTERN DIRECT DEPTH WAY
fio_rate() {
	ioengine=libaio
	[ "$4" != own ] || ioengine=psync
	in_way "$4" fio --minimal --name=bench --filename=fio.data --ioengine="$ioengine" \
		--rw="$1" --direct="$2" --iodepth="$3" --bs=4k --size=256m --time_based --runtime=2 \
		--norandommap --randrepeat=1 --invalidate=0 |
		awk -F ';' '/^3;/ { print $8 + $49 }'
}

rates_fio() {
	for pattern in read write; do
		for depth in 1 32 256; do
			row "fio, random ${pattern}s, O_DIRECT, depth $depth" 5 \
				fio_rate "rand$pattern" 1 "$depth"
		done
		row "fio, random ${pattern}s, page cache, depth 32" 5 fio_rate "rand$pattern" 0 32
	done
}

sysbench_rate() {
	mode=async
	[ "$2" != own ] || mode=sync
	in_way "$2" sysbench fileio --file-num=4 --file-total-size=256M --file-block-size=4096 \
		--threads=2 --file-io-mode="$mode" --file-async-backlog=256 --file-extra-flags=direct \
		--file-test-mode="$1" --file-fsync-freq=0 --file-fsync-end=off --time=2 run |
		awk '/reads\/s:|writes\/s:/ { sum += $2 } END { print sum }'
}

rates_sysbench() {
	quiet offline sysbench fileio --file-num=4 --file-total-size=256M prepare
	row "sysbench, random reads, O_DIRECT, depth 256" 5 sysbench_rate rndrd
	row "sysbench, random writes, O_DIRECT, depth 256" 5 sysbench_rate rndwr
}

# qemu_rate DEPTH OPTION WAY: OPTION may be empty.
qemu_rate() {
	aio=native
	[ "$3" != own ] || aio=threads
	in_way "$3" qemu-img bench -n -i "$aio" -t none -f raw -d "$1" -s 4096 -c 20000 \
		${2:+"$2"} image | awk '/completed in/ { print 20000 / $4 }'
}

qemu_converts() {
	aio=native
	[ "$1" != own ] || aio=threads
	options="driver=raw,file.driver=file,file.aio=$aio,file.cache.direct=on,file.filename="
	timed in_way "$1" qemu-img convert -n -W -m 16 --image-opts --target-image-opts \
		"${options}image" "${options}back"
}

rates_qemu() {
	head -c 64M /dev/urandom > "$root/srv/image"
	truncate -s 64M "$root/srv/back"
	for depth in 1 64; do
		row "qemu-img bench, reads, depth $depth" 5 qemu_rate "$depth" ''
		row "qemu-img bench, writes, depth $depth" 5 qemu_rate "$depth" -w
	done
	row "qemu-img convert, 64 MiB" 5 qemu_converts
}

# LVM falls back by itself when io_setup fails, so its own fallback is what it does then.
lvm_does() {
	case $way in
	own) lvm_command over_debians enosys -- "$@" ;;
	*) lvm_command in_way "$way" -- "$@" ;;
	esac
}

lvm_cycle() {
	lvm_does pvcreate --yes "$disk" "$disk2" && lvm_does vgcreate group "$disk" "$disk2" &&
		lvm_makes_volumes && lvm_does vgremove --yes --force group &&
		lvm_does pvremove --yes "$disk" "$disk2"
}

lvm_rate() {
	way=$1
	timed lvm_cycle
}

rates_lvm() {
	make_devices "$disk" "$disk2"
	lvm_configure
	row "LVM, volumes created and removed" 7 lvm_rate
}

stressapptest_rate() {
	[ "$1" != own ] || return 0
	limit=1 in_way "$1" stressapptest -s 3 -M 64 -m 1 -d stress.disk --destructive |
		sed -n 's/.*Stats: Disk: \([0-9.]*\)M.*/\1/p'
}

rates_stressapptest() {
	truncate -s 64M "$root/srv/stress.disk"
	row "stressapptest, its disk test" 5 stressapptest_rate
}

ceph_rate() {
	[ "$1" != own ] || return 0
	rm -rf "$root/srv/osd"
	mkdir "$root/srv/osd"
	offline ceph-osd -i 0 --mkfs --osd-data /srv/osd --no-mon-config > "$work/log" 2>&1
	timed in_way "$1" ceph-objectstore-tool --no-mon-config --data-path /srv/osd \
		"$(ceph_object one)" set-bytes object
}

rates_ceph() {
	ceph_configure
	head -c 128M /dev/urandom > "$root/srv/object"
	row "Ceph, an object of 128 MiB into BlueStore" 5 ceph_rate
}

# mysql_rate STATEMENTS WAY: starts a server on a copy of the data.
mysql_rate() {
	rm -rf "$root/srv/data"
	cp -a "$root/srv/new" "$root/srv/data"
	server_options=$options
	[ "$2" != own ] || server_options="$options --innodb-use-native-aio=0"
	server in_way "$2" >&2 || return 1
	timed sql "$1" || return 1
	sql SHUTDOWN
	wait "$server"
}

rates_mysql() {
	daemon=mysqld client=mysql database=rows_of
	options='--skip-log-bin --mysqlx=0 --secure-file-priv=NULL --innodb-redo-log-capacity=128M'
	options="$options --innodb-flush-log-at-trx-commit=2 --innodb-io-capacity=4000"
	quiet offline mysqld --no-defaults --initialize-insecure --user=root --datadir=/srv/data
	server_options=$options
	server offline env
	database='' sql 'CREATE DATABASE rows_of'
	sql 'CREATE TABLE data (id INT PRIMARY KEY AUTO_INCREMENT, k CHAR(32), body VARCHAR(1000),
			KEY (k));
		SET SESSION cte_max_recursion_depth = 100000;
		INSERT INTO data (k, body) WITH RECURSIVE s(n) AS
			(SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000)
			SELECT LEFT(SHA2(n, 256), 32), REPEAT(SHA2(n, 256), 15) FROM s'
	sql SHUTDOWN
	wait "$server"
	mv "$root/srv/data" "$root/srv/new"
	replace=$(seq 0 29 | awk '{
		first = $1 * 997 % 19000
		printf "REPLACE INTO data SELECT id, LEFT(SHA2(RAND(), 256), 32), "
		printf "REPEAT(SHA2(RAND(), 256), 15) FROM data WHERE id BETWEEN %d AND %d; ",
			first, first + 200
	}')
	row "MySQL, rows replaced" 3 mysql_rate "$replace"
	row "MySQL, a table read by an index" 3 mysql_rate \
		'SELECT SUM(LENGTH(body)) FROM data FORCE INDEX (k)'
}

inside() {
	with_programs rates "$@"
}

enter_if_inside "$@"
in_their_releases 3600 "$@"
! grep failed "$work/results"
