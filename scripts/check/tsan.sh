#!/bin/sh
# make tsan: runs tests/lock_threads.rs and tests/events_threads.rs under ThreadSanitizer, whose run
# time rustc includes for some machines. It must find no race with the locks, and must find races
# without them.
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
# Types of libc, and one of its functions.
set -- "$place"/debug/deps/liblibc-*.rlib
libc=$1
mismatch=
if "$rustc" -C help | grep -q unsafe-allow-abi-mismatch; then
    mismatch=-Cunsafe-allow-abi-mismatch=sanitizer
fi
cat >"$place/suppressions" <<'EOF'
race:test::event::CompletedTest
race:std::thread::scoped::ScopeData
EOF
export TSAN_OPTIONS="suppressions=$place/suppressions"

passed=0 races=
for test in lock_threads events_threads; do
    # shellcheck disable=SC2086 # no option or one
    "$rustc" --edition 2021 --test -O -g -Zsanitizer=thread $mismatch -o "$place/$test" \
        --extern "libc=$libc" "tests/$test.rs"
    log=$place/$test.with_the_lock
    if ! "$place/$test" --nocapture --test-threads=1 every_event_once >"$log"; then
        cat "$log"
        exit 1
    fi
    cat "$log"
    more=$(sed -n 's/^test result: ok\. \([0-9]*\) passed; .*/\1/p' "$log")
    passed=$((passed + more))
    log=$place/$test.without_the_lock
    if "$place/$test" --test-threads=1 without_the_lock >"$log" 2>&1 ||
        ! grep -q 'ThreadSanitizer: data race' "$log"; then
        cat "$log"
        echo "tsan: ThreadSanitizer does not find the races of $test without the lock" >&2
        exit 1
    fi
    races="${races:+$races and }$(grep -c 'ThreadSanitizer: data race' "$log")"
done
echo "tsan: $passed passed, 0 failed; without the locks it finds $races races, as it must"
