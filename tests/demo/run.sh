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
# Expected: batches 01 to 06 are delivered with all their cases, 09 and 11 without one each, which stays on the shelf, and the
# others are shelved. 08 is delivered once its tenant's key is replaced.
readonly delivered=7 partial=2 shelved=4 cases=298
events='' outcome=''

stop_kept() {
    [[ -r $kept ]] || { echo "No demo is running." && return 0; }
    local pids pid
    { read -r dir && read -ra pids; } <"$kept"
    for pid in "${pids[@]}"; do
        # The process id may belong to another process by now; the demo's processes have its folder in their environment.
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

what_next() {
    cat <<'END'
Next:
  make demo KEEP=1                     keeps everything running, and prints commands to try
  README.md, "Connect a real Testmo"   from here to a tenant's own Testmo
  docs/publishing.md                   the message, for generators
END
}

what_next_here() {
    local courier="$bin/testmo-courier --config $dir/courier.toml"
    cat <<END

Next: try these commands; each prints what happens and what to do.
  # Read the cause and the remedy of one failure.
  $courier shelf show sunrise-travel/promo-9-1
  # Follow the remedy: connect this tenant. Its batch is then delivered.
  $courier tenants set sunrise-travel --base-url $simulator_url/lindenshop --project 1 --folder 11 --api-key-stdin <<<demo-key-lindenshop
  $courier batches show sunrise-travel/promo-9-1
  # Find the mistake in a message before it is published.
  $courier lint $batches/09-repeated-external-id.json
  # Publish a batch again: nothing is created twice, and the same event comes back.
  $courier publish --wait $batches/01-shop-vouchers-de.json
Then connect a real Testmo: README.md, "Connect a real Testmo".
END
}

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
    heading "The broker from AMQP_URL, and a stand-in for Testmo"
else
    heading "RabbitMQ, and a stand-in for Testmo"
    start_broker
    echo "RabbitMQ  $AMQP_URL"
fi
start_simulator
echo "Testmo    $simulator_url"

heading "Tenants: each connection is verified as soon as it is entered"
write_settings
courier init || die "init did not work."
connect_tenants

heading "A key is revoked in Testmo without the worker knowing"
revoke_a_key
echo "voltara"

heading "The worker"
start_worker
echo "ready, metrics at http://$metrics/metrics"

heading "Eleven batches are published, one of them twice and one cut off; events come back"
launch "$bin/testmo-courier" --config "$dir/courier.toml" events tail </dev/null 2>"$dir/events.err" &
events=$!
publish_batches
wait_for 60 "An outcome for every batch" before_the_new_key

heading "A new key is entered for voltara; its shelved batch is sent automatically"
key=$(http POST "${simulator_url#http://}/_sim/accounts/voltara/users/1/token" | sed -nE 's/.*"token": *"([^"]+)".*/\1/p')
courier tenants set voltara --api-key-stdin <<<"$key" || die "The new key does not work."
wait_for 60 "The shelved batch" settled
stop "$events"

heading "Every batch"
courier batches list

heading "The shelf: what is not delivered, and why"
courier shelf list

heading "Cases in Testmo"
found=$(in_testmo)
echo "$found of the $cases valid cases arrived, and two were refused, although one account was throttled,"
echo "one batch came twice, and one request was answered with an error after its cases had been created"

heading "Metrics"
# The counters that moved.
http GET "$metrics/metrics" | grep -E '^testmo_courier_(batches|cases|create_requests)_total' | grep -v ' 0$'

((found == cases)) || die "There should be $cases cases in Testmo."
outcome=good
if [[ -z ${KEEP:-} ]]; then
    heading "All checks passed"
    what_next
    exit
fi
mkdir -p "${kept%/*}"
printf '%s\n' "$dir" "$worker $simulator $broker" >"$kept"
outcome=kept
heading "All checks passed; everything keeps running"
echo "RabbitMQ  $AMQP_URL"
echo "Testmo    $simulator_url"
echo "Metrics   http://$metrics/metrics"
# So that every page of the console has something to do.
courier shelf discard --reason not_json --because "an example" --yes --as demo >/dev/null 2>&1
courier replay --reason case_refused --plan --as demo >/dev/null 2>&1
token=$(courier tokens create demo --role admin --as demo 2>/dev/null | tail -n 1)
echo "Console   http://$console"
echo "          log in with $token"
what_next_here
echo "To end the demo: make demo-stop"
