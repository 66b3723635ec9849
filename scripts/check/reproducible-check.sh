#!/bin/sh
# make reproducible-check: the release and all packages built twice from the last commit, in two
# directories, and, as root, by two users: with another home, umask, time zone, language and time of
# the files. All must be equal to the last bit, but for two things that are meant to say where they
# were built: what dpkg writes about the build itself (.buildinfo, .changes) is not compared, and
# RPM's source package holds the name of its build directory, and every other one the source
# package's digest: of RPM packages the payload is, with all that is said of the files, and the
# dependencies. 50 minutes at most. tests/reproducible.rs does so with what `make` installs.
set -eu
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2209 # a program's name
cargo=${CARGO:-cargo}
"$cargo" fetch --quiet --locked
sysroot=$(rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
PATH=$sysroot/bin:$PATH
export PATH
unset CARGO MAKEFLAGS MFLAGS MAKELEVEL SOURCE_DATE_EPOCH

place=$(mktemp -d -p "${LIBAIO_RS_TMPDIR:-/var/tmp}" libaio-rs.XXXXXX)
trap 'rm -rf "$place"' EXIT
chmod 755 "$place"
here=$place/here
elsewhere=$place/a/longer/way/to/another/place
git clone --quiet . "$here"
git clone --quiet . "$elsewhere"
find "$elsewhere" -path "$elsewhere/.git" -prune -o -type f \
	-exec touch -d '2001-02-03 04:05:06' {} +
mkdir -p "$place/home/cargo/registry"
for part in index cache; do
	cp -R "$cargo_home/registry/$part" "$place/home/cargo/registry"
done

log=$PWD/build/reproducible-check.log
: > "$log"
# build DIRECTORY UMASK COMMAND...: COMMAND is how make is called.
build() {
	(
		cd "$1"
		umask "$2"
		shift 2
		timeout 25m "$@" make dist deb rpm
	) >> "$log" 2>&1 || { tail -n 40 "$log"; exit 1; }
}

build "$here" 022 env TZ=UTC LC_ALL=C
set -- env TZ=Asia/Kathmandu LC_ALL=C.UTF-8 HOME="$place/home" CARGO_HOME="$place/home/cargo" \
	CARGO_NET_OFFLINE=true
if [ "$(id -u)" = 0 ]; then
	chown -R 65534:65534 "$place/a" "$place/home"
	# Nobody, who may read the compiler in root's home.
	set -- setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_read_search \
		--ambient-caps=+dac_read_search "$@"
else
	echo "reproducible-check: not root, so both are built by the same user"
fi
build "$elsewhere" 077 "$@"

# compare FILE FILE
compare() {
	case $1 in
	*.rpm)
		for package; do
			said=$((said + 1))
			rpm -qp --nosignature --queryformat '%{NEVRA} %{BUILDTIME} %{PAYLOADDIGEST}\n' --dump \
				--provides --requires --conflicts --obsoletes --scripts "$package" \
				> "$place/said.$said"
		done
		diff "$place/said.$((said - 1))" "$place/said.$said"
		;;
	*) cmp "$1" "$2" ;;
	esac
}

same=0 different=0 said=0
for first in "$here"/build/*.tar.xz "$here"/build/deb/*.deb "$here"/build/deb/*.dsc \
	"$here"/build/deb/*.tar.* "$here"/build/rpm/*.rpm; do
	name=${first#"$here"/build/}
	if compare "$first" "$elsewhere/build/$name"; then
		same=$((same + 1))
		echo "$(sha256sum < "$first" | cut -c 1-16)  $name"
	else
		different=$((different + 1))
	fi
done
echo "reproducible-check: $same files are the same, $different differ"
[ "$different" = 0 ] && [ "$same" -ge 10 ]
