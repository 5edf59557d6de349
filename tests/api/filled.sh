#!/usr/bin/env bash
# Checks the API of a worker whose store is filled: delivered batches, messages on the shelf for many causes, replays,
# discarded entries, and a tenant whose key was revoked.
#
#   filled.sh /PATH/OF/schemathesis sqlite|postgres
set -uo pipefail
schemathesis=$1 kind=$2
cd "$(dirname "$0")/../.." || exit

# Never a person's settings.
unset AMQP_URL DATABASE_URL "${!COURIER_@}"
# shellcheck source=tests/demo/stack.sh
source tests/demo/stack.sh
# shellcheck source=tests/api/check.sh
source tests/api/check.sh
postgres=''
clean_up() {
    stop "$worker"
    worker=''
    stop "$postgres"
    close_stack
}
trap clean_up EXIT
trap 'exit 130' INT TERM

open_stack api
if [[ $kind == postgres ]]; then
    tests/env/install.sh postgresql || exit
    mkfifo "$dir/postgres-orders"
    launch tests/env/postgres.sh --no-fsync <>"$dir/postgres-orders" >"$dir/postgres.out" 2>&1 &
    postgres=$!
    wait_for 60 "Starting PostgreSQL" grep -qs '^ready' "$dir/postgres.out"
    DATABASE_URL=$(sed -nE 's/^ready url=([^ ]+) .*/\1/p' "$dir/postgres.out")
    export DATABASE_URL
fi
start_broker
start_simulator
write_settings
printf '[log]\nformat = "json"\n' >>"$dir/courier.toml"
courier init || die "The key could not be created."
connect_tenants >/dev/null
revoke_a_key
start_worker
publish_batches >/dev/null
mkdir "$dir/messages"
python3 tests/api/fill.py messages "$dir/messages" || die "No messages."
courier publish --raw "$dir"/messages/*.json >/dev/null || die "Publishing did not work."
is_filled() { (($(courier shelf list --limit 0 --json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)))') >= 30)); }
wait_for 120 "Filling the shelf" is_filled
token=$(courier tokens create schemathesis --role admin | tail -n 1)
address=$(address_in "$dir/worker.log") || exit 1
python3 tests/api/fill.py act "http://$address" "$token" >"$dir/schemathesis.toml" || die "The API could not be used."

status=0
# What schemathesis writes is thrown away with the folder.
(cd "$dir" && check_api "$schemathesis" "$dir/schemathesis.toml" "$address" "$token" "$dir/worker.log") || status=$?
alive "$worker" || die "The worker has ended."
exit "$status"
