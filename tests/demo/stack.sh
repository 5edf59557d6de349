# shellcheck shell=bash
# Some of the variables set here are used only by the caller.
# shellcheck disable=SC2034
#
# A broker, a stand-in for Testmo with six tenants, and a worker, for scripts that source this from the root of the tree.
#
# The caller sets a trap that calls `close_stack`, and then calls `open_stack` first. It may set `broker_options`, those of
# broker.sh, and `log`, where the worker's log is kept if something goes wrong.

# shellcheck source=tests/env/ports.sh
source tests/env/ports.sh

readonly bin=${CARGO_TARGET_DIR:-target}/debug batches=tests/demo/batches
log=target/demo/worker.log broker_options=()
dir='' broker='' broker_metrics='' simulator='' simulator_url='' worker='' metrics='' console=''

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

# A zombie counts as ended: it only waits to be reaped.
alive() { [[ -r /proc/$1/stat && $(<"/proc/$1/stat") != *') Z '* ]] 2>/dev/null; }

# Sends SIGTERM, and SIGKILL after ten seconds.
stop() { # PID
    [[ -n $1 ]] && kill -TERM "$1" 2>/dev/null || return 0
    for _ in {1..200}; do
        alive "$1" || return 0
        sleep 0.05
    done
    kill -KILL "$1" 2>/dev/null
}

# Without KEEP the kernel ends each process together with this script, however the script ends.
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

courier() { "$bin/testmo-courier" --config "$dir/courier.toml" "$@"; }

ready() { courier health >/dev/null 2>&1; }

# Speaks HTTP by hand, because a new machine may have no HTTP client.
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
    # Its standard input stays open; it ends on a signal.
    mkfifo "$dir/orders"
    launch tests/env/broker.sh "${broker_options[@]}" <>"$dir/orders" >"$dir/broker.out" 2>"$dir/broker.err" &
    broker=$!
    while ! grep -qs '^ready' "$dir/broker.out"; do
        alive "$broker" || { cat "$dir/broker.err" >&2 && die "The broker did not start."; }
        sleep 0.1
    done
    AMQP_URL=$(sed -nE 's/^ready amqp=([^ ]+) .*/\1/p' "$dir/broker.out")
    export AMQP_URL
    broker_metrics=$(sed -nE 's/^ready .* metrics=([^ ]+).*/\1/p' "$dir/broker.out")
}

start_simulator() {
    launch "$bin/testmo-sim" --accounts tests/demo/accounts.json </dev/null >"$dir/sim.out" 2>&1 &
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
    port=$(free_port) || exit 1
    console=127.0.0.1:$port
    printf -v origins '"%s", ' "$simulator_url"/{lindenshop,northbank,asklepios,hatif,tanuki,voltara}
    # Complete settings, so that people can use the file with commands later; only the demo uses this folder.
    cat >"$dir/courier.toml" <<END
[amqp]
url = "$AMQP_URL"
[store]
url = "${DATABASE_URL:-sqlite:$dir/courier.db}"
[keys]
master_key_file = "$dir/courier.key"
[testmo]
allowed_insecure_origins = [${origins%, }]
[observe]
listen = "$metrics"
[admin]
listen = "$console"
END
}

connect() { # TENANT ACCOUNT PROJECT FOLDER
    courier tenants set "$1" --base-url "$simulator_url/$2" --project "$3" --folder "$4" --api-key-stdin \
        <<<"demo-key-$2" || die "The connection of $1 does not work."
}

count() { # PATTERN COMMAND…: prints how many lines of the output match
    local pattern=$1
    shift
    courier "$@" 2>/dev/null | grep -c "$pattern"
}

connect_tenants() {
    connect lindenshop lindenshop 1 11
    connect northbank northbank 4 41
    connect asklepios asklepios 2 5
    connect hatif hatif 1 3
    connect tanuki-games tanuki 7 70
    connect voltara voltara 1 2
}

revoke_a_key() {
    http POST "${simulator_url#http://}/_sim/accounts/voltara/users/1/revoke" >/dev/null ||
        die "The stand-in does not answer."
}

start_worker() {
    launch "$bin/testmo-courier" --config "$dir/courier.toml" run </dev/null >"$dir/worker.log" 2>&1 &
    worker=$!
    wait_for 30 "Getting ready" ready
}

# The demo's batches: eight valid ones, one of them again, one with a refused case, and two broken ones.
publish_batches() {
    courier publish "$batches"/0[1-8]-*.json "$batches"/01-*.json "$batches"/11-*.json || die "Publishing did not work."
    courier publish --raw "$batches"/09-*.json "$batches"/10-*.json || die "Publishing did not work."
}

# Builds the programs, and creates the folder for all files of the demo.
open_stack() { # NAME
    cargo build --workspace --locked --quiet || exit 1
    dir=$(mktemp -d "${TMPDIR:-/tmp}/courier-$1.XXXXXX") || exit 1
    export TMPDIR=$dir
}

close_stack() {
    stop "$worker"
    stop "$simulator"
    stop "$broker"
    [[ -z $dir ]] || rm -rf -- "$dir"
}
