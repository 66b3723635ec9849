# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # these variables are set or used by other files
# Sourced by engines-check and engines-bench, which run Debian's programs where kernel AIO is
# refused. Source disposable-root.sh and programs.sh first.

all='fio sysbench qemu lvm stressapptest mariadb ceph mysql'
# The Debian release that a program comes from, and its packages.
release() {
	case $1 in mysql) echo sid ;; *) echo trixie ;; esac
}

packages() {
	case $1 in
	qemu) echo qemu-utils ;;
	lvm) echo lvm2 ;;
	mariadb) echo mariadb-server-core mariadb-client-core mariadb-backup ;;
	ceph) echo ceph-osd ;;
	mysql) echo mysql-server-core mysql-client-core ;;
	*) echo "$1" ;;
	esac
}

# Programs run in the root, over this library or Debian's, under a filter of tests/refuse.c.

# refused KIND COMMAND...: runs the command in the root over this library. KIND is the filter.
refused() {
	kind=$1 engine=auto
	shift
	[ "$kind" != kill ] || engine=inline
	offline env LD_LIBRARY_PATH=/opt/libaio-rs LIBAIO_RS_ENGINE=$engine refuse "$kind" "$@"
}

# over_debians KIND COMMAND...: the same over Debian's libaio.
over_debians() {
	offline refuse "$@"
}

# --- Ceph

ceph_object() {
	echo "[\"meta\",{\"oid\":\"$1\",\"key\":\"\",\"snapid\":0,\"hash\":0,\"pool\":-1,$(
		)\"namespace\":\"\",\"max\":0}]"
}

# Configures a BlueStore in a file.
ceph_configure() {
	mkdir -p "$root/etc/ceph"
	cat > "$root/etc/ceph/ceph.conf" <<-CONF
		[global]
		fsid = 8a5a2e33-a1f0-4c5a-9a3e-2d3d1d0a6a01
		auth_cluster_required = none
		auth_service_required = none
		auth_client_required = none
		osd_objectstore = bluestore
		bluestore_block_size = 536870912
		log_file =
		log_to_stderr = true
	CONF
}

# --- All of them

# with_programs PREFIX RELEASE WORK DISK DISK2 NAME...: installs each program of this release and
# calls PREFIX_NAME. Inside of the namespaces.
with_programs() {
	prefix=$1 suite=$2 work=$3 disk=$4 disk2=$5
	shift 5
	enter_root "$suite" "$work"
	mkdir -p "$root/opt/libaio-rs"
	cp "$LIBRARY" "$root/opt/libaio-rs/libaio.so.1"
	# The name that programs of Debian 13 and later load.
	ln -s libaio.so.1 "$root/opt/libaio-rs/libaio.so.1t64"
	cp build/refuse "$root/usr/local/bin/refuse"
	for name; do
		[ "$(release "$name")" = "$suite" ] || continue
		stage=$name
		# shellcheck disable=SC2046 # one word each
		if ! apt_install $(packages "$name") > "$work/log" 2>&1; then
			grep -E '^(E|Err|W):' "$work/log" | sed 's/^/        /' | tail -n 3
			skip "the archive does not have all of it"
			continue
		fi
		# shellcheck disable=SC2016,SC2046 # dpkg-query's variable; one word each
		stage="$name $(in_root dpkg-query -W -f '${Version}\n' $(packages "$name") | head -n 1)"
		"${prefix}_$name"
		rm -rf "${root:?}"/srv/*
	done
}

# in_their_releases SECONDS [NAME...]: calls `inside RELEASE WORK DISK DISK2 NAME...` in a root of
# each release that the programs come from, by default all programs.
in_their_releases() {
	seconds=$1
	shift
	require_root_on_debian
	LIBRARY=$(realpath "${LIBRARY:-build/libaio.so.1.0.2}")
	export LIBRARY
	begin
	${CC:-cc} -O2 -static -o build/refuse tests/refuse.c
	# shellcheck disable=SC2086 # one word each
	[ $# -gt 0 ] || set -- $all
	make_loops 64M 64M
	for suite in trixie sid; do
		for name; do
			[ "$(release "$name")" = "$suite" ] || continue
			make_root "$suite"
			# shellcheck disable=SC2086 # one word each
			confined "$seconds" "$suite" "$work" $loops "$@"
			rm -rf --one-file-system "$work/root"
			break
		done
	done
	uname -sr
}
