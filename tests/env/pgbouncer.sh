#!/usr/bin/env bash
# Runs one private PgBouncer on loopback, in front of a PostgreSQL server, for as long as the caller holds its standard input.
#
#   pgbouncer.sh SERVER_PORT PASSWORD
#
# Prints `ready port=PORT` once it takes connections, then obeys lines:
#
#   set NAME = VALUE   change a setting, and start again   answers `ready port=PORT`
#
# It begins with the settings that the package has. PASSWORD is that of the user `postgres`. End of input, or TERM, kills it
# and removes its folder.
set -uo pipefail

# shellcheck source=tests/env/ports.sh
source "$(dirname "$0")/ports.sh"

die() {
    echo "pgbouncer.sh: $*" >&2
    exit 1
}

readonly server_port=${1:?SERVER_PORT} password=${2:?PASSWORD}
program=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v pgbouncer) || die "PgBouncer is not installed: apt-get install pgbouncer"
dir=$(mktemp -d "${TMPDIR:-/tmp}/courier-pgbouncer.XXXXXX") || exit 1

# It refuses to run as root.
as_user=()
if ((EUID == 0)); then
    id postgres >/dev/null 2>&1 || die "there is no user postgres to run it as"
    as_user=(--reuid postgres --regid postgres --clear-groups)
    chown postgres:postgres "$dir"
fi
unset "${!PG@}"

pooler='' port=0
declare -A settings=([pool_mode]=transaction)

end_pooler() {
    [[ -n $pooler ]] || return 0
    kill -KILL "$pooler" 2>/dev/null
    wait "$pooler" 2>/dev/null
    pooler=''
}
clean_up() {
    trap '' TERM INT HUP PIPE
    end_pooler
    rm -rf -- "$dir"
}
trap clean_up EXIT
trap 'exit 143' TERM INT HUP PIPE

write_settings() {
    {
        printf '[databases]\n* = host=127.0.0.1 port=%s\n[pgbouncer]\n' "$server_port"
        printf 'listen_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n' "$port"
        printf 'auth_type = scram-sha-256\nauth_file = %s/users\nlogfile = %s/log\n' "$dir" "$dir"
        local name
        for name in "${!settings[@]}"; do printf '%s = %s\n' "$name" "${settings[$name]}"; done
    } >"$dir/pgbouncer.ini"
    printf '"postgres" "%s"\n' "$password" >"$dir/users"
    ((EUID != 0)) || chown postgres "$dir/pgbouncer.ini" "$dir/users"
    chmod 600 "$dir/users"
}

takes_connections() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# The kernel ends it when this script dies, even by SIGKILL.
start() {
    write_settings
    env -C "$dir" setpriv "${as_user[@]}" --pdeathsig KILL "$program" --quiet pgbouncer.ini </dev/null >>"$dir/output" 2>&1 &
    pooler=$!
    local deadline=$((SECONDS + 60))
    while ((SECONDS < deadline)); do
        kill -0 "$pooler" 2>/dev/null || return 1
        takes_connections && return 0
        sleep 0.02
    done
    return 1
}

announce() {
    for _ in {1..5}; do
        # Another process may take a port that was free.
        ((port)) || port=$(free_port)
        start && echo "ready port=$port" && return
        end_pooler
        port=0
    done
    cat "$dir/output" "$dir/log" >&2
    die "PgBouncer did not start"
}

announce
while read -r verb name _ value; do
    case $verb in
    set)
        settings[$name]=$value
        end_pooler
        announce
        ;;
    *) echo "failed: unknown command $verb" ;;
    esac
done
