#!/bin/sh
# make reproducible-check: reprotest builds the release and all packages of the last commit twice,
# and compares them byte by byte. The second build differs in path, environment, home, language,
# time zone, PATH, kernel version, address layout and number of processors. It also has older files
# and another umask and, as root, another user and host name. tests/reproducible.rs checks what
# `make install` installs, with another clock too: Rust's tools hang under faketime. 50 minutes at
# most.
#
# Not compared: .buildinfo and .changes, in which dpkg describes the build. Every RPM holds the
# build directory of the source package or that package's digest, so of an RPM only the payload, the
# list of files and the dependencies are compared.
set -eu
cd "$(dirname "$0")/../.."
. scripts/shared/package-source.sh
bring_tools reprotest=reprotest rpm=rpm
# shellcheck disable=SC2209 # a program's name
cargo=${CARGO:-cargo}
"$cargo" fetch --quiet --locked
sysroot=$(rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
unset CARGO MAKEFLAGS MFLAGS MAKELEVEL SOURCE_DATE_EPOCH

place=$(mktemp -d -p "${LIBAIO_RS_TMPDIR:-/var/tmp}" libaio-rs.XXXXXX)
trap 'rm -rf "$place"' EXIT
chmod 755 "$place"
git clone --quiet --no-hardlinks . "$place/source"
mkdir -p "$place/cargo/registry"
for part in index cache; do
	cp -R "$cargo_home/registry/$part" "$place/cargo/registry"
done
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$place/cargo"

# The second build recognizes itself by its home directory.
cat > "$place/build" <<EOF
set -eu
PATH='$sysroot/bin':\$PATH
export PATH CARGO_HOME='$place/cargo' CARGO_NET_OFFLINE=true
set -- timeout 25m make dist deb rpm
if [ "\$HOME" = /nonexistent/second-build ]; then
	umask 077
	find . -path ./.git -prune -o -type f -exec touch -d '2001-02-03 04:05:06' {} +
	if [ "\$(id -u)" = 0 ]; then
		# The user nobody, with the capability to read the compiler in root's home directory.
		chown -R 65534:65534 .
		set -- setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_read_search \\
			--ambient-caps=+dac_read_search "\$@"
		set -- unshare --uts sh -c 'hostname elsewhere; exec "\$@"' - "\$@"
	fi
fi
"\$@"
[ "\$HOME" != /nonexistent/second-build ] ||
	echo "built again by user \$(stat -c %u build)"
for package in build/rpm/*.rpm; do
	rpm -qp --nosignature --queryformat '%{NEVRA} %{BUILDTIME} %{PAYLOADDIGEST}\\n' --dump \\
		--provides --requires --conflicts --obsoletes --scripts "\$package" > "\$package.said"
done
EOF
[ "$(id -u)" = 0 ] ||
	echo "reproducible-check: not root, so both are built by the same user, on one host name"

log=$PWD/build/reproducible-check.log
mkdir -p build
reprotest --no-diffoscope --store-dir "$place/store" \
	--vary=-time,-fileordering,-user_group,-domain_host \
	--build-command ". '$place/build'" "$place/source" \
	'build/*.tar.xz build/deb/*.deb build/deb/*.dsc build/deb/*.tar.* build/rpm/*.said' -- null \
	> "$log" 2>&1 || { tail -n 60 "$log"; exit 1; }
grep "^built again" "$log"
sed -n 's|^\([0-9a-f]\{16\}\)[0-9a-f]*  \./build/|\1  |p' "$log"
same=$(sed -n '/^Reproduction successful/,$ s|^[0-9a-f]\{64\}  ||p' "$log" | wc -l)
echo "reproducible-check: $same files are the same, 0 differ"
[ "$same" -ge 13 ]
