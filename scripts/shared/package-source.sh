# shellcheck shell=sh
# Sourced by the scripts that make packages: the sources as a release has them, and the version.

# Files in packages do not depend on who made them.
umask 022
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)

# What git knows or would take, and vendored crates with cargo's settings for them if they are
# there. In a release there is no git, and everything counts that is not built.
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

# The tarball libaio-rs-VERSION.tar.xz, in a directory: source_tarball DIRECTORY. The same files
# give the same tarball.
source_tarball() {
	: "${SOURCE_DATE_EPOCH:=$(date +%s)}"
	source_files | sort -zu | tar --create --format=gnu --no-recursion \
		--transform="s,^\(\./\)*,libaio-rs-$version/," --mtime="@$SOURCE_DATE_EPOCH" \
		--owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w \
		--use-compress-program='xz -T1' --file="$1/libaio-rs-$version.tar.xz" --null --files-from=-
}

# Installs Debian packages for the programs that are missing, as root on Debian; elsewhere says what
# is missing: bring_tools PROGRAM=PACKAGE...
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
