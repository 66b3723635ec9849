# shellcheck shell=sh
# Sourced by the scripts that need compilers, emulators and libraries of other machines. Unpacks
# Debian packages into a directory of the checkout instead of installing them, so that root is not
# needed and nothing conflicts with the packages that the tests need (Debian's cross compilers
# conflict with gcc-multilib). The packages come from the archive in the system's sources.list.

# The directory for downloads and package lists. The sourcing script sets it.
: "${packages:?}"

require_debian() {
	if ! command -v apt-get > /dev/null || [ "$(dpkg --print-architecture)" != amd64 ]; then
		echo "$0: needs Debian 12 on amd64, whose packages it unpacks" >&2
		exit 1
	fi
}

# with_state NAME ARCHITECTURES COMMAND...: runs apt-get or apt-cache with package lists of its own.
with_state() {
	state=$packages/$1 architectures=$2 command=$3
	shift 3
	mkdir -p "$state/lists/partial" "$state/archives/partial"
	[ -e "$state/status" ] || : > "$state/status"
	if [ -e "$state/sources.list" ]; then
		set -- -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null "$@"
	fi
	"$command" -q -o "Dir::State::Lists=$state/lists" -o "Dir::State::status=$state/status" \
		-o "Dir::Cache=$state" -o "Dir::Cache::archives=$state/archives" \
		-o "APT::Architecture=${architectures%%,*}" -o "APT::Architectures=$architectures" \
		-o Acquire::Languages=none -o Debug::NoLocking=1 "$@"
}

# unpack NAME DIRECTORY: unpacks all downloaded packages.
unpack() {
	mkdir -p "$2"
	for package in "$packages/$1"/archives/*.deb; do
		dpkg-deb -x "$package" "$2"
		rm "$package"
	done
}

# from_release NAME COMMAND...: runs the command with the packages of another Debian release, from
# the system's archive, for this machine and for loong64, which Debian 12 does not have.
from_release() {
	release=$1
	shift
	for state in native amd64 loong64; do
		mkdir -p "$packages/$state"
		# shellcheck disable=SC2016 # apt-get's own variables
		apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
			awk -v own="$(. /etc/os-release && echo "$VERSION_CODENAME")" -v wanted="$release" \
				'$2 == own { print "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]",
					$1, wanted, "main" }' > "$packages/$state/sources.list"
		rm -rf "$packages/$state/lists"
	done
	status=0
	"$@" || status=$?
	for state in native amd64 loong64; do
		rm -rf "$packages/$state/lists" "$packages/$state/sources.list"
	done
	return "$status"
}

# bring_programs DIRECTORY PACKAGE...: unpacks programs for this machine, and the packages they
# depend on that the system does not have.
bring_programs() {
	directory=$1
	shift
	[ "$(cat "$directory/.brought" 2> /dev/null)" != "$*" ] || return 0
	echo "unpacking into $directory: $*"
	rm -rf "$directory"
	mkdir -p "$packages/native"
	# For apt, the wanted packages are not installed, so that it downloads all of them, and all
	# other packages have no dependencies, so that it downloads nothing else.
	awk 'BEGIN { RS = ""; ORS = "\n\n" }
		/^Package: binutils-x86-64-linux-gnu\n/ { print; next }
		/^Package: [^\n]*(-cross(-base)?|-linux-gnu[a-z0-9]*(-base)?)\n/ { next }
		/^Package: (rust|cargo|libstd-rust|qemu|gcc-([0-9]+-)?multilib)[^\n]*\n/ { next }
		{ print }' /var/lib/dpkg/status |
		grep -vE '^(Pre-Depends|Depends|Recommends|Suggests|Enhances|Breaks|Conflicts):' \
			> "$packages/native/status"
	with_state native amd64 apt-get -q update > "$packages/native/log" 2>&1 || true
	with_state native amd64 apt-get install -y --no-install-recommends --download-only "$@" \
		>> "$packages/native/log" 2>&1 ||
		{ cat "$packages/native/log" >&2; return 1; }
	unpack native "$directory"
	echo "$*" > "$directory/.brought"
}

# bring_foreign ARCHITECTURE DIRECTORY PACKAGE...: unpacks single packages of another architecture,
# without their dependencies.
bring_foreign() {
	architecture=$1 directory=$2
	shift 2
	[ "$(cat "$directory/.brought" 2> /dev/null)" != "$*" ] || return 0
	echo "unpacking into $directory: $*"
	rm -rf "$directory"
	mkdir -p "$packages/$architecture/archives"
	# A mirror that is being updated may refuse some lists. This fails below if the packages are not
	# found.
	with_state "$architecture" "$architecture" apt-get update \
		> "$packages/$architecture/log" 2>&1 || true
	(cd "$packages/$architecture/archives" &&
		with_state "$architecture" "$architecture" apt-get download "$@") \
		>> "$packages/$architecture/log" 2>&1 ||
		{ cat "$packages/$architecture/log" >&2; return 1; }
	unpack "$architecture" "$directory"
	echo "$*" > "$directory/.brought"
}
