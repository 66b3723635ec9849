#!/bin/sh
# setup-tests.sh [check|bench|lint]: installs what the tests ("check", the default), the tests and
# the benchmark ("bench") or `make lint` alone ("lint") use beyond a C compiler and Rust. It
# installs on Debian, as root, and only what is missing. Anywhere else it prints what is missing and
# succeeds: the tests that need it say so, and are skipped.
set -eu
purpose=${1:-check}

# One line for each need: the first of the packages that this release has. Of MariaDB it takes the
# -core packages, which have the programs (mariadbd, mariadb-install-db, mariadb) and none of the
# service: nothing is started, no data directory is made, and nothing has to be stopped afterwards.
# A line that starts with "?" counts only where there is such a package: elsewhere ld.gold is in
# binutils.
needs() {
    cat <<'EOF'
clang-format
codespell
shellcheck
EOF
    if [ "$purpose" = lint ]; then
        return
    fi
    cat <<'EOF'
libaio1t64 libaio1
libaio-dev
abigail-tools
clang
lld
g++
pkg-config
musl-tools
binutils
? binutils-gold
fio
sysbench
qemu-utils
mariadb-server-core
mariadb-client-core
faketime
jq
mandoc
groff-base
strace
bpftrace
valgrind
EOF
    if [ "$purpose" = bench ]; then
        echo liburing-dev
        echo gnuplot-nox
    fi
    # Programs for 32-bit x86.
    if [ "$(dpkg --print-architecture)" = amd64 ]; then
        echo gcc-multilib
    fi
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# For a name that is only provided by another package apt-cache prints nothing, with status 0.
available() {
    apt-cache show --no-all-versions "$1" 2>/dev/null | grep -q '^Package:'
}

# Prints the needs that no installed package meets.
missing() {
    needs | while read -r packages; do
        case $packages in
        '? '*)
            packages=${packages#'? '}
            available "$packages" || continue
            ;;
        esac
        for package in $packages; do
            if installed "$package"; then
                continue 2
            fi
        done
        echo "$packages"
    done
}

# Prints, of each missing need, the package to install.
choose() {
    missing | while read -r packages; do
        for package in $packages; do
            if available "$package"; then
                echo "$package"
                continue 2
            fi
        done
        echo "setup-tests: no package for: $packages" >&2
    done
}

install() {
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" >/dev/null
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup-tests: not a Debian system; install by hand what the tests say they skip" >&2
    exit 0
fi

if [ -z "$(missing)" ]; then
    exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
    echo "setup-tests: not root; these are missing, and tests that need them are skipped:" >&2
    missing >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo "setup-tests: the package lists could not be brought up to date" >&2
packages=$(choose)

# All at once if possible; otherwise one by one, for what can be had.
# shellcheck disable=SC2086 # names of packages, one word each
install $packages ||
    for package in $packages; do
        install "$package" ||
            echo "setup-tests: could not install $package" >&2
    done

if [ -n "$(missing)" ]; then
    echo "setup-tests: still missing:" >&2
    missing >&2
fi
