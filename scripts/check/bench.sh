#!/bin/sh
# make bench: this library beside the original, io_uring and pread, in some minutes. On a machine
# that has nothing else to do.
set -eu
cd "$(dirname "$0")/../.."
scripts/shared/setup-tests.sh bench
"${CARGO:-cargo}" bench --bench compare
