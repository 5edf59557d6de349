#!/usr/bin/env bash
# Checks everything, stage by stage, and says on its last line how many tests passed and failed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

# Tests never touch a server that is already there, nor a person's settings.
unset AMQP_URL DATABASE_URL "${!COURIER_@}" "${!PG@}" MAKEFLAGS MFLAGS MAKELEVEL

scratch=$(mktemp -d "${TMPDIR:-/tmp}/courier-suite.XXXXXX") || exit 1
# Traversable, because a server that refuses to run as root runs as somebody else.
chmod 755 "$scratch"
mkdir "$scratch/tmp" && chmod 755 "$scratch/tmp"
export TMPDIR=$scratch/tmp

# Servers that rewrite their environment still have their working folder in ours.
left_over() {
    local process
    for process in /proc/[0-9]*; do
        if grep -qsxzF "TMPDIR=$TMPDIR" "$process/environ" ||
            [[ $(readlink "$process/cwd" 2>/dev/null) == "$TMPDIR"/* ]]; then
            echo "${process#/proc/}"
        fi
    done
}

clean_up() {
    local pids
    mapfile -t pids < <(left_over)
    ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

failed_stages=()
stage() { # NAME COMMAND…
    local name=$1 began=$SECONDS status=0
    shift
    echo "== $name"
    "$@" </dev/null || status=$?
    ((status == 0)) || failed_stages+=("$name")
    echo "== $name: $((SECONDS - began)) s$( ((status == 0)) || echo ", FAILED")"
    return "$status"
}

passed=0 failed=0 ignored=0
tests() {
    local log=$scratch/tests.log pid status line binary='' durations=()
    # Most tests wait for servers and for time to pass, so the processors have room for more of them than there are
    # processors.
    export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 3))}
    # A test that hangs must not hold up the run for ever, nor a left-over that keeps the output open.
    # The log has to be there before it is followed.
    : >"$log"
    # Of the tests in a browser one path; `make browser-test` runs all.
    timeout --foreground 1500 cargo test --workspace --locked --no-fail-fast -- --skip whole:: >"$log" 2>&1 &
    pid=$!
    tail -n +1 -f -s 0.2 --pid="$pid" "$log"
    wait "$pid"
    status=$?
    local result='^test result: [A-Za-z]+\. ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored;'
    while IFS= read -r line; do
        [[ $line =~ ^\ +(Running\ .*/|Doc-tests\ )([a-z_]+) ]] && binary=${BASH_REMATCH[2]}
        [[ $line =~ finished\ in\ ([0-9]+) ]] && durations+=("${BASH_REMATCH[1]} s  $binary")
        [[ $line =~ $result ]] || continue
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        ignored=$((ignored + BASH_REMATCH[3]))
    done <"$log"
    # Why each test failed, repeated where it is seen.
    sed -nE "/^thread '.*panicked at/{N;N;N;s/^/! /;s/\n/\n! /g;p}" "$log" | cut -c 1-300 | head -n 60
    printf '%s\n' "${durations[@]}" | sort -rn | head -n 8
    if ((status != 0 && failed == 0)); then
        echo "The tests ended with $status before they could report; counted as one failure."
        failed=1
    fi
    ((ignored == 0)) || echo "$ignored tests are ignored; a test is run or it is deleted."
    ((passed > 0)) || echo "No test passed."
    ((status == 0 && failed == 0 && ignored == 0 && passed > 0))
}

# Servers end by themselves when the test that holds them ends, but not in the same moment.
nothing_left() {
    local deadline=$((SECONDS + 30)) pids pid
    while mapfile -t pids < <(left_over) && ((${#pids[@]} > 0 && SECONDS < deadline)); do
        sleep 0.2
    done
    ((${#pids[@]} == 0)) || {
        echo "Still running after the tests:"
        for pid in "${pids[@]}"; do
            echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-160)"
        done
        return 1
    }
    local folders
    folders=$(ls -A "$TMPDIR")
    [[ -z $folders ]] || echo "Left in the throw-away folder: $(tr '\n' ' ' <<<"$folders")"
}

docs() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked; }

# Ubuntu has Chromium as a snap only, which a container cannot install.
browser=(chromium chromium-driver)
if ! command -v chromium >/dev/null && grep -qs '^ID=ubuntu$' /etc/os-release; then
    browser=()
    export WITHOUT_BROWSER=1
    echo "This system has no package of Chromium: the tests that need a browser are left out."
fi

install() {
    tests/env/install.sh rabbitmq-server postgresql pgbouncer prometheus psmisc python3-pika "${browser[@]}" && tests/env/node.sh
}

if ! stage install install; then
    echo "0 passed, 0 failed"
    exit 2
fi
stage fmt cargo fmt --all --check
stage clippy cargo clippy --workspace --all-targets --locked -- -D warnings
stage docs docs
stage build cargo test --workspace --no-run --locked
stage tests tests
stage left-overs nothing_left

echo "== all: $SECONDS s"
((${#failed_stages[@]} == 0)) || echo "Failed: ${failed_stages[*]}"
echo "$passed passed, $failed failed"
((${#failed_stages[@]} == 0))
