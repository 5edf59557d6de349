#!/usr/bin/env bash
# Shows batches on their way from RabbitMQ into a stand-in for Testmo, the good ones and the bad ones.
#
#   run.sh         everything from scratch, and nothing left afterwards
#   KEEP=1 run.sh  the same, but leaves it running
#   run.sh stop    ends what KEEP=1 left
#
# AMQP_URL names a broker to use instead of a private one, DATABASE_URL a database instead of a file.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/demo/stack.sh
source tests/demo/stack.sh

readonly kept=target/demo/kept
# What must come out: the batches 01 to 06 with all their cases, 11 without one, the others on the shelf; 08 comes back
# from there when its tenant's key is replaced.
readonly delivered=7 partial=1 shelved=4 cases=296
events='' outcome=''

stop_kept() {
    [[ -r $kept ]] || { echo "No demo is running." && return 0; }
    local pids pid
    { read -r dir && read -ra pids; } <"$kept"
    for pid in "${pids[@]}"; do
        # A number may belong to somebody else by now; ours have the demo's folder in their environment.
        ! grep -qsxzF "TMPDIR=$dir" "/proc/$pid/environ" || stop "$pid"
    done
    rm -rf -- "$dir" "$kept"
    echo "The demo is stopped."
}

clean_up() {
    trap '' INT TERM HUP
    [[ $outcome != kept ]] || return 0
    stop "$events"
    close_stack
}

in_testmo() {
    local account sum=0 here
    for account in lindenshop northbank asklepios hatif tanuki voltara; do
        here=$(http GET "${simulator_url#http://}/_sim/accounts/$account" | sed -nE 's/.*"cases":([0-9]+),"tags".*/\1/p')
        sum=$((sum + here))
    done
    echo "$sum"
}

are_delivered() { (($(count delivered batches list) == $1 && $(count partial batches list) == partial)); }

are_shelved() { (($(count "parked\|dead" shelf list) == $1)); }

before_the_new_key() { are_delivered $((delivered - 1)) && are_shelved $((shelved + 1)); }

settled() { are_delivered $delivered && are_shelved $shelved; }

if [[ ${1:-} == stop ]]; then
    stop_kept
    exit
fi
[[ ! -e $kept ]] || { echo "A demo is still running; end it with: make demo-stop" >&2 && exit 1; }
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
unset "${!COURIER_@}" MAKEFLAGS MFLAGS MAKELEVEL

heading "Build"
open_stack demo

if [[ -n ${AMQP_URL:-} ]]; then
    heading "The broker that AMQP_URL names, and a stand-in for Testmo"
else
    heading "A broker, and a stand-in for Testmo"
    start_broker
    echo "RabbitMQ  $AMQP_URL"
fi
start_simulator
echo "Testmo    $simulator_url"

heading "Tenants: each connection is tried as soon as it is entered"
write_settings
courier init || die "init did not work."
connect_tenants

heading "A key is revoked in Testmo, and nobody told the worker"
revoke_a_key
echo "voltara"

heading "The worker"
start_worker
echo "ready, metrics at http://$metrics/metrics"

heading "Eleven batches are published, one of them twice and one broken off; events come back"
launch "$bin/testmo-courier" --config "$dir/courier.toml" events tail </dev/null 2>"$dir/events.err" &
events=$!
publish_batches
wait_for 60 "An outcome for every batch" before_the_new_key

heading "A new key is entered for voltara, and what waited for it goes out by itself"
key=$(http POST "${simulator_url#http://}/_sim/accounts/voltara/users/1/token" | sed -nE 's/.*"token": *"([^"]+)".*/\1/p')
courier tenants set voltara --api-key-stdin <<<"$key" || die "The new key does not work."
wait_for 60 "The batch that waited" settled
stop "$events"

heading "Every batch"
courier batches list

heading "The shelf: what cannot be delivered now, why, and what to do"
courier shelf list

heading "Cases in Testmo"
found=$(in_testmo)
echo "$found of $cases, one is refused; although one account was throttled, one batch came twice,"
echo "and one request was answered with an error after its cases had been created"

heading "Metrics"
http GET "$metrics/metrics" | grep -E '^testmo_courier_[a-z_]+_total' | head -n 8

((found == cases)) || die "There should be $cases cases in Testmo."
outcome=good
if [[ -n ${KEEP:-} ]]; then
    mkdir -p "${kept%/*}"
    printf '%s\n' "$dir" "$worker $simulator $broker" >"$kept"
    outcome=kept
    heading "All of it keeps running"
    echo "RabbitMQ  $AMQP_URL"
    echo "Testmo    $simulator_url"
    echo "Metrics   http://$metrics/metrics"
    echo "Commands  $bin/testmo-courier --config $dir/courier.toml …"
    echo "To end it: make demo-stop"
else
    heading "As it should be"
fi
