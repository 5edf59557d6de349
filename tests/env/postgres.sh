#!/usr/bin/env bash
# Runs one private PostgreSQL server on loopback for whoever holds this script's standard input.
#
#   postgres.sh [--dir DIR] [--port PORT] [--no-fsync] [--tls CERTIFICATES]
#
# Prints `ready url=URL port=PORT pid=POSTMASTER dir=DIR` once the server takes connections, then obeys lines:
#
#   kill              SIGKILL the server, all of it          answers `killed`
#   stop              shut it down cleanly                   answers `stopped`
#   start             start it again, same data, same port   answers `ready …`
#   database NAME     create an empty database               answers `ok` or `failed N`
#   drop-database NAME  delete it, whoever is connected      answers `ok` or `failed N`
#   sql NAME TEXT     run SQL in a database                  answers its output, then `ok` or `failed N`
#
# URL names the superuser, with a random password, and the database `postgres`. End of input, or TERM, kills everything
# and removes DIR, so a caller that dies leaves nothing behind. DIR must be absent or empty, because it is thrown away.
# With --tls, clients that encrypt their connections have to show a certificate of the same authority.
# --no-fsync is for tests: a crash of the machine, though not of the server, may then cost data.
set -uo pipefail

dir='' wanted_port='' fsync=on tls=''

# shellcheck source=tests/env/ports.sh
source "$(dirname "$0")/ports.sh"

die() {
    echo "postgres.sh: $*" >&2
    exit 1
}

while (($#)); do
    case $1 in
    --dir) dir=${2:?--dir needs a folder} && shift 2 ;;
    --port) wanted_port=${2:?--port needs a number} && shift 2 ;;
    --no-fsync) fsync=off && shift ;;
    --tls) tls=${2:?--tls needs a folder with ca.pem, cert.pem and key.pem} && shift 2 ;;
    *) die "unknown argument: $1" ;;
    esac
done

# The programs themselves: the ones in the PATH act on the machine's own clusters.
bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1)
[[ -x $bin/postgres ]] || die "PostgreSQL is not installed: apt-get install postgresql"
if [[ -z $dir ]]; then
    dir=$(mktemp -d "${TMPDIR:-/tmp}/courier-postgres.XXXXXX") || exit 1
elif [[ -e $dir ]]; then
    [[ -d $dir && -z $(ls -A "$dir") ]] || die "$dir is not an empty folder"
fi
mkdir -p "$dir" && dir=$(cd "$dir" && pwd) || exit 1

# The server refuses to run as root.
as_user=()
if ((EUID == 0)); then
    id postgres >/dev/null 2>&1 || die "there is no user postgres to run the server as"
    as_user=(--reuid postgres --regid postgres --clear-groups)
    chown postgres:postgres "$dir"
fi

# A setting of a person's own server must not reach this one.
unset "${!PG@}"

postmaster='' port=0 password='' settings=()
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

# Until a process has gone, or only waits for somebody to ask how it ended, it holds on to the shared memory.
gone() { # PID
    local state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
    [[ -z $state || $state == [ZX] ]]
}

# Each backend leads a group of its own. A stopped postmaster starts no further ones while they are counted.
kill_server() {
    [[ -n $postmaster ]] || return 0
    local children=''
    kill -STOP "$postmaster" 2>/dev/null
    children=$(cat "/proc/$postmaster/task/$postmaster/children" 2>/dev/null)
    # shellcheck disable=SC2086
    kill -KILL "$postmaster" $children 2>/dev/null
    wait "$postmaster" 2>/dev/null
    postmaster=''
    local child
    for child in $children; do
        for _ in {1..500}; do
            gone "$child" && break
            sleep 0.01
        done
    done
}

# SIGQUIT ends the server at once, but lets it give its shared memory back.
end_server() {
    [[ -n $postmaster ]] || return 0
    kill -QUIT "$postmaster" 2>/dev/null
    for _ in {1..200}; do
        kill -0 "$postmaster" 2>/dev/null || break
        sleep 0.02
    done
    kill_server
}

# After SIGKILL the kernel still keeps a segment, whose id stands in the file that the server could not remove.
free_memory() {
    local id
    id=$(sed -n '7s/.* //p' "$dir/data/postmaster.pid" 2>/dev/null)
    [[ -z $id ]] || ipcrm -m "$id" 2>/dev/null
}

clean_up() {
    trap '' TERM INT HUP PIPE
    end_server
    free_memory
    rm -rf -- "$dir"
}
trap clean_up EXIT
trap 'exit 143' TERM INT HUP PIPE

make_cluster() {
    echo "$password" >"$dir/password" || return 1
    ((EUID != 0)) || chown postgres "$dir/password"
    chmod 600 "$dir/password"
    env -C "$dir" setpriv "${as_user[@]}" "$bin/initdb" --pgdata="$dir/data" --username=postgres \
        --pwfile="$dir/password" --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync \
        </dev/null >"$dir/log" 2>&1 || return 1
    [[ -n $tls ]] || return 0
    cp "$tls/ca.pem" "$tls/cert.pem" "$tls/key.pem" "$dir/data/" || return 1
    ((EUID != 0)) || chown postgres "$dir/data/"{ca,cert,key}.pem
    chmod 600 "$dir/data/key.pem"
    # Only the superuser of this script itself comes without encryption.
    printf '%s\n' "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca" \
        "hostnossl all all 127.0.0.1/32 scram-sha-256" >"$dir/data/pg_hba.conf"
    settings=(-c ssl=on -c ssl_ca_file=ca.pem -c ssl_cert_file=cert.pem -c ssl_key_file=key.pem)
}

# A server that is up has its own pid in the first line of its file, and `ready` in the eighth.
is_ready() {
    local lines
    mapfile -t lines <"$dir/data/postmaster.pid"
    [[ ${lines[0]:-} == "$postmaster" && ${lines[7]:-} == ready* ]]
} 2>/dev/null

# The kernel ends the server when this script dies, even by SIGKILL; its backends end with it.
start_server() {
    env -C "$dir" setsid setpriv "${as_user[@]}" --pdeathsig QUIT "$bin/postgres" -D "$dir/data" -p "$port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories="$dir" -c max_connections=300 \
        -c shared_buffers=64MB -c fsync="$fsync" -c full_page_writes="$fsync" -c jit=off \
        -c dynamic_shared_memory_type=mmap -c log_min_messages=warning -c timezone=UTC "${settings[@]}" \
        </dev/null >>"$dir/log" 2>&1 &
    postmaster=$!
    local deadline=$((SECONDS + 60))
    while ((SECONDS < deadline)); do
        kill -0 "$postmaster" 2>/dev/null || return 1
        is_ready && return 0
        sleep 0.02
    done
    return 1
}

first_start() {
    make_cluster || return 1
    for _ in {1..5}; do
        port=${wanted_port:-$(free_port)}
        start_server && return 0
        end_server
    done
    return 1
}

announce() {
    echo "ready url=postgres://postgres:$password@127.0.0.1:$port/postgres port=$port pid=$postmaster dir=$dir"
}

give_up() {
    tail -n 40 "$dir/log" >&2
    die "the server did not start"
}

answer() {
    local status=$?
    if ((status)); then echo "failed $status"; else echo ok; fi
}

sql() { # DATABASE TEXT
    PGSSLMODE=disable PGPASSWORD=$password PGCONNECT_TIMEOUT=10 "$bin/psql" --no-psqlrc --quiet --tuples-only --no-align \
        --set ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres -d "$1" -c "$2" </dev/null 2>&1
}

first_start || give_up
announce
while read -r verb rest; do
    case $verb in
    kill) kill_server && echo killed ;;
    stop)
        [[ -z $postmaster ]] || { kill -INT "$postmaster" && wait "$postmaster"; } 2>/dev/null
        postmaster='' && echo stopped
        ;;
    start)
        # A caller may have killed the server by its pid.
        [[ -n $postmaster ]] && kill -0 "$postmaster" 2>/dev/null || start_server || give_up
        announce
        ;;
    database) sql postgres "CREATE DATABASE \"$rest\" TEMPLATE template0"; answer ;;
    drop-database) sql postgres "DROP DATABASE \"$rest\" WITH (FORCE)"; answer ;;
    sql) sql "${rest%% *}" "${rest#* }"; answer ;;
    *) echo "failed: unknown command $verb" ;;
    esac
done
