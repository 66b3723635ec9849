#!/bin/sh
# setup-tests.sh [check|bench|lint]: installs missing Debian packages that the tests ("check", the
# default), the tests and the benchmark ("bench") or only `make lint` ("lint") use in addition to a
# C compiler and Rust. Without root, or on other systems, it prints what is missing and succeeds;
# tests that need a missing package are skipped.
set -eu
purpose=${1:-check}

# Each line is a need; the first of its packages that this release has is installed. MariaDB's -core
# packages contain its programs without the service, so that no server is started and no data
# directory is created. A line that starts with "?" is ignored if the release has no such package:
# ld.gold may be in binutils.
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

# For a virtual package apt-cache prints nothing and exits with 0.
available() {
    apt-cache show --no-all-versions "$1" 2>/dev/null | grep -q '^Package:'
}

# Prints the needs for which no package is installed.
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

# Prints the package to install for each missing need.
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
    echo "setup-tests: not a Debian system; install by hand what skipped tests need" >&2
    exit 0
fi

if [ -z "$(missing)" ]; then
    exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
    echo "setup-tests: not root; tests that need these missing packages are skipped:" >&2
    missing >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo "setup-tests: could not update the package lists" >&2
packages=$(choose)

# All at once if possible, otherwise one by one.
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
