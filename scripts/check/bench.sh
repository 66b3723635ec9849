#!/bin/sh
# make bench: compares this library with the original, io_uring and pread. Takes some minutes. Use
# an idle machine.
set -eu
cd "$(dirname "$0")/../.."
scripts/shared/setup-tests.sh bench
"${CARGO:-cargo}" bench --bench compare
