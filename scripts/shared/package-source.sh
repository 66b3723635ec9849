# shellcheck shell=sh
# Sourced by the scripts that build packages. Sets $version and creates source archives.

# The modes of files in packages must not depend on the user's umask.
umask 022
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)

# Prints the names of all source files: in a git checkout, files that are tracked or not ignored,
# and vendored crates with cargo's settings for them, if any; in a release, all files outside of
# build/ and target/.
source_files() {
	if [ -e .git ]; then
		git ls-files -z --cached --others --exclude-standard
		for extra in vendor .cargo; do
			[ ! -d "$extra" ] || find "$extra" ! -type d -print0
		done
	else
		find . \( -path ./build -o -path ./target \) -prune -o ! -type d -print0
	fi
}

# source_tarball DIRECTORY: creates libaio-rs-VERSION.tar.xz in the directory. The same files give
# the same archive.
source_tarball() {
	: "${SOURCE_DATE_EPOCH:=$(date +%s)}"
	source_files | sort -zu | tar --create --format=gnu --no-recursion \
		--transform="s,^\(\./\)*,libaio-rs-$version/," --mtime="@$SOURCE_DATE_EPOCH" \
		--owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w \
		--use-compress-program='xz -T1' --file="$1/libaio-rs-$version.tar.xz" --null --files-from=-
}

# bring_tools PROGRAM=PACKAGE...: installs the packages of missing programs if root on Debian;
# otherwise prints which packages are missing, and fails.
bring_tools() {
	missing=
	for tool; do
		command -v "${tool%%=*}" > /dev/null || missing="$missing ${tool#*=}"
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
		echo "$0: these Debian packages are needed:$missing" >&2
		return 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq || true
	# shellcheck disable=SC2086 # names of packages, one word each
	apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 $missing > /dev/null
}
