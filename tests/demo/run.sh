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
# shellcheck source=tests/env/ports.sh
source tests/env/ports.sh

readonly batches=tests/demo/batches kept=target/demo/kept log=target/demo/worker.log
# What must come out: the batches 01 to 06 with all their cases, the others on the shelf.
readonly delivered=6 shelved=4 cases=291
dir='' broker='' simulator='' simulator_url='' worker='' events='' metrics='' outcome=''

heading() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

die() {
    printf '\n%s\n' "$*" >&2
    if [[ -s $dir/worker.log ]]; then
        mkdir -p "${log%/*}" && cp "$dir/worker.log" "$log"
        echo "The end of the worker's log, $log:" >&2
        tail -n 30 "$log" >&2
    fi
    exit 1
}

# A zombie is dead and waits only to be noticed.
alive() { [[ -r /proc/$1/stat && $(<"/proc/$1/stat") != *') Z '* ]] 2>/dev/null; }

# Asks, and insists after ten seconds.
stop() { # PID
    [[ -n $1 ]] && kill -TERM "$1" 2>/dev/null || return 0
    for _ in {1..200}; do
        alive "$1" || return 0
        sleep 0.05
    done
    kill -KILL "$1" 2>/dev/null
}

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
    stop "$worker"
    stop "$simulator"
    stop "$broker"
    [[ -z $dir ]] || rm -rf -- "$dir"
}

# What is not to be kept ends with this script, however that ends; the kernel sees to it.
launch() {
    if [[ -n ${KEEP:-} ]]; then exec setsid "$@"; else exec setsid setpriv --pdeathsig TERM "$@"; fi
}

wait_for() { # SECONDS WHAT COMMAND…
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || die "$what: not in time."
        [[ -z $worker ]] || alive "$worker" || die "$what: the worker has ended."
        sleep 0.1
    done
}

courier() { target/debug/testmo-courier --config "$dir/courier.toml" "$@"; }

ready() { courier health >/dev/null 2>&1; }

# Speaks HTTP by hand, because a fresh machine has nothing that does.
http() { # METHOD ADDRESS/PATH: prints the answer's body
    local host=${2%%/*}
    (
        exec 8<>"/dev/tcp/${host%:*}/${host#*:}" || exit 1
        printf '%s /%s HTTP/1.0\r\nHost: %s\r\nContent-Length: 0\r\n\r\n' "$1" "${2#*/}" "$host" >&8
        sed '1,/^\r*$/d' <&8
    )
}

start_broker() {
    tests/env/install.sh rabbitmq-server || exit
    # Its input never ends by itself; it is told to end.
    mkfifo "$dir/orders"
    launch tests/env/broker.sh <>"$dir/orders" >"$dir/broker.out" 2>"$dir/broker.err" &
    broker=$!
    while ! grep -qs '^ready' "$dir/broker.out"; do
        alive "$broker" || { cat "$dir/broker.err" >&2 && die "The broker did not start."; }
        sleep 0.1
    done
    AMQP_URL=$(sed -nE 's/^ready amqp=([^ ]+) .*/\1/p' "$dir/broker.out")
    export AMQP_URL
}

start_simulator() {
    launch target/debug/testmo-sim --accounts tests/demo/accounts.json </dev/null >"$dir/sim.out" 2>&1 &
    simulator=$!
    while ! grep -qs '^listening' "$dir/sim.out"; do
        alive "$simulator" || { cat "$dir/sim.out" >&2 && die "The stand-in did not start."; }
        sleep 0.05
    done
    simulator_url=$(sed -n 's/^listening //p' "$dir/sim.out")
}

write_settings() {
    local port origins
    port=$(free_port) || exit 1
    metrics=127.0.0.1:$port
    printf -v origins '"%s", ' "$simulator_url"/{lindenshop,northbank,asklepios,hatif,tanuki,voltara}
    cat >"$dir/courier.toml" <<END
[store]
url = "${DATABASE_URL:-sqlite:$dir/courier.db}"
[keys]
master_key_file = "$dir/courier.key"
[testmo]
allow_insecure_origins = [${origins%, }]
[observe]
listen = "$metrics"
END
}

connect() { # TENANT ACCOUNT PROJECT FOLDER
    courier tenants set "$1" --base-url "$simulator_url/$2" --project "$3" --folder "$4" --key-stdin \
        <<<"demo-key-$2" || die "The connection of $1 is not as it should be."
}

count() { # PATTERN COMMAND…: in how many lines of the output it stands
    local pattern=$1
    shift
    courier "$@" 2>/dev/null | grep -c "$pattern"
}

settled() { (($(count delivered batches list) == delivered && $(count "parked\|dead" shelf list) == shelved)); }

in_testmo() {
    local account sum=0 here
    for account in lindenshop northbank asklepios hatif tanuki voltara; do
        here=$(http GET "${simulator_url#http://}/_sim/accounts/$account" | sed -nE 's/.*"cases":([0-9]+),"tags".*/\1/p')
        sum=$((sum + here))
    done
    echo "$sum"
}

if [[ ${1:-} == stop ]]; then
    stop_kept
    exit
fi
[[ ! -e $kept ]] || { echo "A demo is still running; end it with: make demo-stop" >&2 && exit 1; }
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
unset "${!COURIER_@}" MAKEFLAGS MFLAGS MAKELEVEL

heading "Build"
cargo build --workspace --locked --quiet || exit 1
dir=$(mktemp -d "${TMPDIR:-/tmp}/courier-demo.XXXXXX") || exit 1
export TMPDIR=$dir

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
connect lindenshop lindenshop 1 11
connect northbank northbank 4 41
connect asklepios asklepios 2 5
connect hatif hatif 1 3
connect tanuki-games tanuki 7 70
connect voltara voltara 1 2

heading "A key is revoked in Testmo, and nobody told the worker"
http POST "${simulator_url#http://}/_sim/accounts/voltara/users/1/revoke" >/dev/null || die "The stand-in does not answer."
echo "voltara"

heading "The worker"
launch target/debug/testmo-courier --config "$dir/courier.toml" run </dev/null >"$dir/worker.log" 2>&1 &
worker=$!
wait_for 30 "Getting ready" ready
echo "ready, metrics at http://$metrics/metrics"

heading "Ten batches are published, one of them twice and one broken off; events come back"
launch target/debug/testmo-courier --config "$dir/courier.toml" events tail </dev/null 2>"$dir/events.err" &
events=$!
courier publish "$batches"/0[1-8]-*.json "$batches"/01-*.json || die "Publishing did not work."
courier publish --raw "$batches"/09-*.json "$batches"/10-*.json || die "Publishing did not work."
wait_for 60 "An outcome for every batch" settled
stop "$events"

heading "Every batch"
courier batches list

heading "The shelf: what cannot be delivered now, why, and what to do"
courier shelf list

heading "Cases in Testmo"
found=$(in_testmo)
echo "$found of $cases, although one request was throttled, one batch came twice,"
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
    echo "Commands  target/debug/testmo-courier --config $dir/courier.toml …"
    echo "To end it: make demo-stop"
else
    heading "As it should be"
fi
