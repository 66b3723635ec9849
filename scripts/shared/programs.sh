# shellcheck shell=sh
# shellcheck disable=SC2154 # the sourcing script sets these variables
# Sourced by the checks that run Debian's programs in a disposable system: what more than one of
# them does with a program. Source disposable-root.sh first.

# --- fio, sysbench and stressapptest. The file $library must make their io_submit calls. fio and
# sysbench also check the data of the previous visit; $visit numbers visits.

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

# --- LVM, on the block devices $disk and $disk2, with neither udev nor device-mapper. Volumes are
# created but not activated; activating needs no libaio. The sourcing script defines `lvm_does
# COMMAND...`, which runs `lvm_command` and checks how it was served.

lvm_configure() {
	mkdir -p "$root/srv/lvm"
	cat > "$root/srv/lvm/lvm.conf" <<-CONF
		devices {
			filter = [ "a|^$disk\$|", "a|^$disk2\$|", "r|.*|" ]
			global_filter = [ "a|^$disk\$|", "a|^$disk2\$|", "r|.*|" ]
			obtain_device_list_from_udev = 0
			external_device_info_source = "none"
			use_devicesfile = 0
		}
		activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
		global { use_lvmpolld = 0 event_activation = 0 use_aio = 1 }
		backup { backup = 0 archive = 0 }
	CONF
}

# lvm_command HOW... -- COMMAND...: runs a command of LVM with the command HOW.
lvm_command() {
	how=
	while [ "$1" != -- ]; do
		how="$how $1"
		shift
	done
	shift
	# shellcheck disable=SC2086 # words
	$how env LVM_SYSTEM_DIR=/srv/lvm LVM_SUPPRESS_FD_WARNINGS=1 DM_DISABLE_UDEV=1 \
		lvm "$@" --driverloaded n
}

lvm_makes_volumes() {
	lvm_does lvcreate --activate n --zero n --wipesignatures n --yes --size 8M --name data group ||
		return 1
	lvm_does lvcreate --activate n --zero n --wipesignatures n --yes --size 16M --stripes 2 \
		--name wide group
}

lvm_reads_back() {
	lvm_does lvs --noheadings --units m --nosuffix -o lv_name,lv_size,stripes group > "$work/lvs" ||
		{ cat "$work/lvs"; return 1; }
	found=$(awk '$1 ~ /^(data|wide)$/ { print $1, int($2), $3 }' "$work/lvs" | sort | tr '\n' ';')
	echo "$found"
	[ "$found" = 'data 8 1;wide 16 2;' ] || return 1
	lvm_does vgck group || return 1
	# Both devices contain the label, and the names of the volumes in plain text.
	for device in "$disk" "$disk2"; do
		[ "$(dd "if=$device" bs=1 skip=512 count=8 status=none)" = LABELONE ] || return 1
		dd "if=$device" bs=1M count=1 status=none | grep -aq '^wide {' || return 1
	done
}

lvm_removes() {
	lvm_does vgremove --yes --force group || return 1
	lvm_does pvremove --yes "$disk" "$disk2" || return 1
	for device in "$disk" "$disk2"; do
		[ "$(dd "if=$device" bs=1 skip=512 count=8 status=none | tr -d '\0')" = '' ] || return 1
	done
}

# --- MariaDB and MySQL: $daemon, $client and $server_options.

# server HOW...: starts the server with the command HOW, and waits until it accepts clients. It has
# no network, and so little memory that pages go to disk and back.
server() {
	: > "$work/server.log"
	rm -f "$root/srv/server.pid"
	# shellcheck disable=SC2086 # words
	"$@" "$daemon" --no-defaults --user=root --datadir=/srv/data --tmpdir=/tmp \
		--socket=/srv/server.sock --pid-file=/srv/server.pid --skip-networking \
		--innodb-flush-method=O_DIRECT --innodb-buffer-pool-size=6M --innodb-use-native-aio=1 \
		$server_options > "$work/server.log" 2>&1 &
	server=$!
	for _ in $(seq 600); do
		! grep -q 'ready for connections' "$work/server.log" || return 0
		kill -0 "$server" 2> /dev/null || break
		sleep 0.1
	done
	cat "$work/server.log"
	return 1
}

kill_server() {
	kill -KILL "$(cat "$root/srv/server.pid")"
}

# Makes one statement, in the database $database.
sql() {
	offline "$client" --no-defaults --user=root --socket=/srv/server.sock --batch \
		--skip-column-names --execute "$1" ${database:+"$database"}
}

# Makes the files of a new MariaDB server.
mariadb_installs() {
	mkdir "$root$1"
	offline mariadb-install-db --no-defaults --user=root --datadir="$1" \
		--auth-root-authentication-method=normal --skip-name-resolve
}
