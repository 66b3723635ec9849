# shellcheck shell=sh
# Sourced by the scripts that need compilers, emulators and libraries of other machines. They are
# unpacked from Debian's packages into a directory of the checkout: nothing is installed, so that
# no root is needed and nothing conflicts with what the tests use (Debian's cross compilers and
# gcc-multilib exclude each other). Where the packages come from is the system's own sources.list.

# Where downloads and package lists go; set by whoever sources this.
: "${packages:?}"

require_debian() {
	if ! command -v apt-get > /dev/null || [ "$(dpkg --print-architecture)" != amd64 ]; then
		echo "$0: needs Debian 12 on amd64, whose packages it unpacks" >&2
		exit 1
	fi
}

# apt-get or apt-cache, with a state of its own: state NAME ARCHITECTURES COMMAND...
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

# Unpacks everything that was downloaded: unpack NAME DIRECTORY
unpack() {
	mkdir -p "$2"
	for package in "$packages/$1"/archives/*.deb; do
		dpkg-deb -x "$package" "$2"
		rm "$package"
	done
}

# Another release of Debian, from where the system has its own, for programs and single packages of
# this machine and of one that Debian 12 does not have: from_release NAME COMMAND...
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

# Programs of this machine, with what they need beyond the system's libraries:
# bring_programs DIRECTORY PACKAGES...
bring_programs() {
	directory=$1
	shift
	[ "$(cat "$directory/.brought" 2> /dev/null)" != "$*" ] || return 0
	echo "unpacking into $directory: $*"
	rm -rf "$directory"
	mkdir -p "$packages/native"
	# As if what we want were not installed, so that all of it comes here; and nothing else.
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

# Single packages of another architecture, without what they need:
# bring_foreign ARCHITECTURE DIRECTORY PACKAGES...
bring_foreign() {
	architecture=$1 directory=$2
	shift 2
	[ "$(cat "$directory/.brought" 2> /dev/null)" != "$*" ] || return 0
	echo "unpacking into $directory: $*"
	rm -rf "$directory"
	mkdir -p "$packages/$architecture/archives"
	# An archive in the middle of its own update refuses one list or the other; what counts is
	# whether the packages are found.
	with_state "$architecture" "$architecture" apt-get update \
		> "$packages/$architecture/log" 2>&1 || true
	(cd "$packages/$architecture/archives" &&
		with_state "$architecture" "$architecture" apt-get download "$@") \
		>> "$packages/$architecture/log" 2>&1 ||
		{ cat "$packages/$architecture/log" >&2; return 1; }
	unpack "$architecture" "$directory"
	echo "$*" > "$directory/.brought"
}
