#!/usr/bin/env bash
# Runs one private RabbitMQ node on loopback for whoever holds this script's standard input.
#
#   broker.sh [--dir DIR] [--port PORT] [--management] [--metrics] [--tls CERTIFICATES]
#
# Prints `ready amqp=URL port=PORT pid=VM dir=DIR [management=URL] [metrics=URL] [tls_port=PORT]` once the node speaks AMQP, then obeys lines:
#
#   kill              SIGKILL the VM                         answers `killed`
#   stop              shut the node down cleanly             answers `stopped`
#   start             start it again, same data, same ports  answers `ready …`
#   vhost NAME        create a virtual host for guest        answers `ok` or `failed N`
#   drop-vhost NAME   delete it with all it holds            answers `ok` or `failed N`
#   depth VHOST QUEUE  how many messages it holds, unacknowledged ones too  answers the number, then `ok` or `failed N`
#   filled VHOST      its quorum queues with messages        answers their names, then `ok` or `failed N`
#   close-connections  of every client                       answers `ok` or `failed N`
#   ctl WORD…         rabbitmqctl, split at blanks           answers its output, then `ok` or `failed N`
#
# With --tls, clients that encrypt their connections have to show a certificate of the same authority.
# End of input, or TERM, kills everything and removes DIR, so a caller that dies leaves nothing behind.
# DIR must be absent or empty, because it is thrown away.
set -uo pipefail

# The programs themselves: the ones in /usr/sbin insist on the user rabbitmq and its folders.
readonly server_bin=/usr/lib/rabbitmq/bin
dir='' wanted_port='' management='' metrics='' tls=''

# shellcheck source=tests/env/ports.sh
source "$(dirname "$0")/ports.sh"

die() {
    echo "broker.sh: $*" >&2
    exit 1
}

while (($#)); do
    case $1 in
    --dir) dir=${2:?--dir needs a folder} && shift 2 ;;
    --port) wanted_port=${2:?--port needs a number} && shift 2 ;;
    --management) management=yes && shift ;;
    --metrics) metrics=yes && shift ;;
    --tls) tls=${2:?--tls needs a folder with ca.pem, cert.pem and key.pem} && shift 2 ;;
    *) die "unknown argument: $1" ;;
    esac
done

[[ -x $server_bin/rabbitmq-server ]] || die "RabbitMQ is not installed: apt-get install rabbitmq-server"
if [[ -z $dir ]]; then
    dir=$(mktemp -d "${TMPDIR:-/tmp}/courier-broker.XXXXXX") || exit 1
elif [[ -e $dir ]]; then
    [[ -d $dir && -z $(ls -A "$dir") ]] || die "$dir is not an empty folder"
fi
mkdir -p "$dir" && dir=$(cd "$dir" && pwd) || exit 1

vm='' epmd='' port=0 dist_port=0 epmd_port=0 http_port=0 metrics_port=0 tls_port=0 environment=()

# The VM leads a session of its own, so the group holds its helper processes too.
kill_vm() {
    [[ -n $vm ]] || return 0
    kill -KILL -- "-$vm" 2>/dev/null || kill -KILL "$vm" 2>/dev/null
    wait "$vm" 2>/dev/null
    vm=''
}

kill_epmd() {
    [[ -n $epmd ]] || return 0
    kill -KILL "$epmd" 2>/dev/null
    wait "$epmd" 2>/dev/null
    epmd=''
}

clean_up() {
    trap '' TERM INT HUP PIPE
    kill_vm
    kill_epmd
    rm -rf -- "$dir"
}
trap clean_up EXIT
trap 'exit 143' TERM INT HUP PIPE

# A setting of the person's own broker must not reach this one.
unset "${!RABBITMQ_@}" "${!ERL_@}" NOTIFY_SOCKET

# An answer alone could come from somebody else's broker that won the race for the port.
owns_port() {
    local hex inode
    printf -v hex ':%04X' "$port"
    inode=$(sed -nE "s/^ *[0-9]+: [0-9A-F]+$hex [0-9A-F:]+ 0A ([^ ]+ +){5}([0-9]+) .*/\2/p" /proc/net/tcp)
    [[ -n $inode ]] && readlink "/proc/$vm/fd/"* 2>/dev/null | grep -qxF "socket:[${inode%%$'\n'*}]"
}

# A broker that is up answers the protocol header with a method frame, whose first byte is 1.
speaks_amqp() (
    exec 9<>"/dev/tcp/127.0.0.1/$port" || exit 1
    printf 'AMQP\0\0\x09\x01' >&9
    [[ $(timeout 5 head -c 1 <&9 | od -An -tu1) -eq 1 ]]
) 2>/dev/null

write_settings() {
    mkdir -p "$dir/home" "$dir/log" "$dir/data"
    if [[ ! -e $dir/home/.erlang.cookie ]]; then
        od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$dir/home/.erlang.cookie"
        chmod 400 "$dir/home/.erlang.cookie"
    fi
    : >"$dir/env.conf"
    echo '[].' >"$dir/advanced.config"
    {
        echo 'log.file.level = warning'
        echo 'disk_free_limit.absolute = 1MB'
        echo 'vm_memory_high_watermark.relative = 0.9'
        [[ -z $management ]] || echo "management.tcp.ip = 127.0.0.1"
        [[ -z $management ]] || echo "management.tcp.port = $http_port"
        [[ -z $metrics ]] || echo "prometheus.tcp.ip = 127.0.0.1"
        [[ -z $metrics ]] || echo "prometheus.tcp.port = $metrics_port"
        [[ -z $tls ]] || echo "listeners.ssl.1 = 127.0.0.1:$tls_port"
        [[ -z $tls ]] || echo "ssl_options.cacertfile = $tls/ca.pem"
        [[ -z $tls ]] || echo "ssl_options.certfile = $tls/cert.pem"
        [[ -z $tls ]] || echo "ssl_options.keyfile = $tls/key.pem"
        [[ -z $tls ]] || echo 'ssl_options.verify = verify_peer'
        [[ -z $tls ]] || echo 'ssl_options.fail_if_no_peer_cert = true'
    } >"$dir/rabbitmq.conf"
    local plugins=(${management:+rabbitmq_management} ${metrics:+rabbitmq_prometheus})
    echo "[$(IFS=, && echo "${plugins[*]}")]." >"$dir/enabled_plugins"
    environment=(
        HOME="$dir/home"
        ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP_BYTES=0
        RABBITMQ_NODENAME="courier$port@localhost"
        RABBITMQ_CONF_ENV_FILE="$dir/env.conf"
        RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf"
        RABBITMQ_ADVANCED_CONFIG_FILE="$dir/advanced.config"
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins"
        RABBITMQ_MNESIA_BASE="$dir/data" RABBITMQ_LOG_BASE="$dir/log"
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$port" RABBITMQ_DIST_PORT="$dist_port"
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2 +SDcpu 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
        RABBITMQ_CTL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
    )
}

# The kernel kills a child that was started through setpriv when this script dies, even by SIGKILL.
start_epmd() {
    setpriv --pdeathsig KILL epmd -port "$epmd_port" -address 127.0.0.1 </dev/null >"$dir/log/epmd" 2>&1 &
    epmd=$!
    for _ in {1..100}; do
        kill -0 "$epmd" 2>/dev/null || return 1
        listening "$epmd_port" && return 0
        sleep 0.02
    done
    return 1
}

# With `detached` set, the server script turns into the VM, so that its pid is the one we know.
start_vm() {
    env -C "$dir" "${environment[@]}" detached=1 setsid setpriv --pdeathsig KILL "$server_bin/rabbitmq-server" \
        </dev/null >>"$dir/log/console" 2>&1 &
    vm=$!
    local deadline=$((SECONDS + 90))
    while ((SECONDS < deadline)); do
        kill -0 "$vm" 2>/dev/null || return 1
        if listening "$port" && owns_port && speaks_amqp; then
            return 0
        fi
        sleep 0.05
    done
    return 1
}

first_start() {
    for _ in {1..5}; do
        port=${wanted_port:-$(free_port)} dist_port=$(free_port) epmd_port=$(free_port) http_port=$(free_port) metrics_port=$(free_port) tls_port=$(free_port)
        write_settings
        start_epmd && start_vm && return 0
        kill_vm
        kill_epmd
    done
    return 1
}

announce() {
    echo "ready amqp=amqp://guest:guest@127.0.0.1:$port/%2f port=$port pid=$vm dir=$dir${management:+ management=http://127.0.0.1:$http_port}${metrics:+ metrics=http://127.0.0.1:$metrics_port}${tls:+ tls_port=$tls_port}"
}

give_up() {
    tail -n 40 "$dir/log/"* >&2
    die "the broker did not start"
}

answer() {
    local status=$?
    if ((status)); then echo "failed $status"; else echo ok; fi
}

ctl() {
    local low
    low=$(free_port)
    env "${environment[@]}" RABBITMQ_CTL_DIST_PORT_MIN="$low" RABBITMQ_CTL_DIST_PORT_MAX=$((low + 9)) \
        "$server_bin/rabbitmqctl" "$@" </dev/null 2>&1
}

# Starting rabbitmqctl costs a second; erl_call, where the Erlang package has it, some milliseconds. A node refuses a
# second caller of the same name while it still parts from the first one, so each call has a name of its own (-r).
erl_call=$(compgen -G '/usr/lib/erlang/erts-*/bin/erl_call' | head -n 1)
value_of() { # EXPRESSION, whose value is printed
    if [[ -n $erl_call ]]; then
        local out
        # A machine that is busy enough lets the connection itself take too long; nothing was evaluated then.
        for _ in {1..20}; do
            out=$(env "${environment[@]}" "$erl_call" -r -c "$(<"$dir/home/.erlang.cookie")" -n "courier$port@localhost" -e <<<"$1" 2>&1)
            [[ $out == *'failed to connect to node'* ]] || break
        done
        [[ $out == '{ok, '*'}' ]] || { echo "$out" && return 1; }
        out=${out#'{ok, '}
        echo "${out%'}'}"
    else
        ctl -q eval "$1"
    fi
}

evaluate() { # EXPRESSION that yields ok
    local out
    out=$(value_of "$1") && [[ $out == ok ]] || { echo "$out" && return 1; }
}

add_vhost() {
    evaluate "ok = rabbit_vhost:add(<<\"$1\">>, <<\"guest\">>), ok = rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, <<\"$1\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"guest\">>), ok."
}

drop_vhost() {
    evaluate "rabbit_vhost:delete(<<\"$1\">>, <<\"guest\">>), ok."
}

# A queue does not answer while it elects a leader, nor in time on a machine that is busy enough.
figure_of() { # EXPRESSION that only reads
    local out
    for _ in {1..20}; do
        out=$(value_of "$1") && echo "$out" && return
    done
    echo "$out" && return 1
}

# The listed figures are some seconds old, so the queue itself is asked.
depth() { # VHOST QUEUE
    figure_of "{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"$1\">>, queue, <<\"$2\">>)), {ok, {_, N}, _} = ra:leader_query(amqqueue:get_pid(Q), fun(S) -> rabbit_fifo:query_messages_total(S) end), N."
}

filled() { # VHOST
    local names
    names=$(figure_of "Has = fun(Q) -> {ok, {_, N}, _} = ra:leader_query(amqqueue:get_pid(Q), fun(S) -> rabbit_fifo:query_messages_total(S) end), N > 0 end, [binary_to_atom(element(4, amqqueue:get_name(Q))) || Q <- rabbit_amqqueue:list(<<\"$1\">>), amqqueue:get_type(Q) =:= rabbit_quorum_queue, Has(Q)].") || { echo "$names" && return 1; }
    tr -d "[]'" <<<"$names" | tr ',' ' '
}

close_connections() {
    # One whose channels end late is closed all the same, and keeps no other from being closed.
    evaluate "[catch rabbit_networking:close_connection(C, \"closed on order\") || C <- rabbit_networking:connections()], ok."
}

first_start || give_up
announce
while read -r verb rest; do
    read -ra words <<<"$rest"
    case $verb in
    kill) kill_vm && echo killed ;;
    stop)
        [[ -z $vm ]] || { kill -TERM "$vm" && wait "$vm"; } 2>/dev/null
        vm='' && echo stopped
        ;;
    start)
        # A caller may have killed the VM by its pid.
        [[ -n $vm ]] && kill -0 "$vm" 2>/dev/null || start_vm || give_up
        announce
        ;;
    vhost) add_vhost "${words[0]}"; answer ;;
    drop-vhost) drop_vhost "${words[0]}"; answer ;;
    depth) depth "${words[@]}"; answer ;;
    filled) filled "${words[0]}"; answer ;;
    close-connections) close_connections; answer ;;
    ctl) ctl "${words[@]}"; answer ;;
    *) echo "failed: unknown command $verb" ;;
    esac
done
