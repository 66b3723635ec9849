#!/bin/sh
# make tsan: runs tests/lock_threads.rs under ThreadSanitizer, whose run time rustc includes for
# some machines. It must find no race with the lock, and must find races without it.
set -eu
cd "$(dirname "$0")/../.."

# The option is unstable; RUSTC_BOOTSTRAP lets every rustc accept it. The standard library is not
# compiled with the sanitizer, so reports about std's own threads are false, and are suppressed
# below.
export RUSTC_BOOTSTRAP=1
rustc=${RUSTC:-rustc}
machine=$("$rustc" -vV | sed -n 's/^host: //p')
place=build/tsan
rm -rf "$place"
mkdir -p "$place"
if ! ls "$("$rustc" --print sysroot)/lib/rustlib/$machine/lib"/*tsan* >/dev/null 2>&1; then
    echo "SKIPPED TEST tsan: this rustc has no ThreadSanitizer for $machine"
    exit 0
fi
CARGO_PROFILE_DEV_PANIC=unwind "${CARGO:-cargo}" build --quiet --locked -p libc \
    --target-dir "$place"
# Only the types of libc are used.
set -- "$place"/debug/deps/liblibc-*.rlib
mismatch=
if "$rustc" -C help | grep -q unsafe-allow-abi-mismatch; then
    mismatch=-Cunsafe-allow-abi-mismatch=sanitizer
fi
# shellcheck disable=SC2086 # no option or one
"$rustc" --edition 2021 --test -O -g -Zsanitizer=thread $mismatch -o "$place/lock_threads" \
    --extern "libc=$1" tests/lock_threads.rs
cat >"$place/suppressions" <<'EOF'
race:test::event::CompletedTest
race:std::thread::scoped::ScopeData
EOF
export TSAN_OPTIONS="suppressions=$place/suppressions"
log=$place/with_the_lock
if ! "$place/lock_threads" --nocapture --test-threads=1 every_event_once >"$log"; then
    cat "$log"
    exit 1
fi
cat "$log"
passed=$(sed -n 's/^test result: ok\. \([0-9]*\) passed; .*/\1/p' "$log")
log=$place/without_the_lock
if "$place/lock_threads" --test-threads=1 without_the_lock >"$log" 2>&1 ||
    ! grep -q 'ThreadSanitizer: data race' "$log"; then
    cat "$log"
    echo "tsan: ThreadSanitizer does not find the races without the lock" >&2
    exit 1
fi
races=$(grep -c 'ThreadSanitizer: data race' "$log")
echo "tsan: $passed passed, 0 failed; without the lock it finds $races races, as it must"
