#!/usr/bin/env bash
# Checks the unit of deploy/systemd: systemd accepts it, little of the machine is exposed to it, and a worker that is confined as
# the unit says makes a store, answers and stops. Needs no running systemd. PROGRAM is the worker; it is built if it is not named.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

readonly unit=$PWD/deploy/systemd/testmo-courier.service
# The highest exposure that is accepted, in tenths; systemd calls less than 20 "OK".
readonly exposure=15
failed=0
worker=''
fail() {
    echo "FAILED: $1"
    failed=1
}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/courier-systemd.XXXXXX") || exit 1
clean_up() {
    [[ -z $worker ]] || kill -KILL "$worker" 2>/dev/null
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

echo "== Tools"
tests/env/install.sh systemd python3-seccomp curl || exit 2
systemctl --version | head -n 1
unset "${!COURIER_@}" AMQP_URL DATABASE_URL
if [[ -z ${PROGRAM:-} ]]; then
    cargo build --bin testmo-courier --locked || exit 1
    PROGRAM=$PWD/target/debug/testmo-courier
fi

echo "== systemd-analyze"
# In a root folder in which the programs are where the unit expects them.
for program in usr/local/bin/testmo-courier bin/kill; do
    install -D -m 755 /bin/true "$scratch/root/$program"
done
install -D -m 644 -t "$scratch/root/etc/systemd/system" "$unit"
verify() { # WHAT
    systemd-analyze verify --root="$scratch/root" --recursive-errors=no testmo-courier.service 2>&1 | tee "$scratch/verified"
    [[ ! -s $scratch/verified ]] || fail "systemd does not accept $1"
}
verify "the unit"
drop_in=$scratch/root/etc/systemd/system/testmo-courier.service.d/override.conf
mkdir "$(dirname "$drop_in")"
# shellcheck disable=SC2016
sed -n '/^```ini$/,/^```$/{/^```/d;p}' docs/operating.md >"$drop_in"
grep -c '^LoadCredential=' "$drop_in"
verify "the drop-in of docs/operating.md"
systemd-analyze security --offline=yes --no-pager --threshold=$exposure "$unit" >"$scratch/security" ||
    fail "the exposure is above $((exposure / 10)).$((exposure % 10))"
tail -n 1 "$scratch/security"

echo "== A worker, confined"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir "$scratch/state" "$scratch/credentials"
cp "$PROGRAM" "$scratch/testmo-courier"
chmod 755 "$scratch" "$scratch/testmo-courier"
# Nobody listens at this address.
printf '[amqp]\nurl = "amqp://127.0.0.1:1"\n' >"$scratch/credentials/secrets.toml"
# As systemd makes the copies of credentials: the user reads them by an access list, which shows as the mode of the group.
echo hunter2 >"$scratch/credentials/broker-password"
chmod 440 "$scratch/credentials"/*
export COURIER_AMQP__USER=courier COURIER_AMQP__PASSWORD_FILE=$scratch/credentials/broker-password
export COURIER_STORE__URL=sqlite:$scratch/state/courier.db COURIER_OBSERVE__LISTEN=127.0.0.1:$port COURIER_WORKER__NAME=w
export COURIER_KEYS__MASTER_KEY_FILE=$scratch/credentials/courier.key
# Debian's Python, which has the package seccomp.
confined=(/usr/bin/python3 tests/systemd/confined.py "$unit" "$scratch/testmo-courier")
"${confined[@]}" init >"$scratch/init" || fail "init"
head -n 2 "$scratch/init"
chmod 440 "$scratch/credentials/courier.key"
"${confined[@]}" --config "$scratch/credentials/secrets.toml" run >"$scratch/log" 2>&1 &
worker=$!
for _ in {1..100}; do
    [[ $(curl --silent --max-time 2 "http://127.0.0.1:$port/livez") != alive ]] || break
    sleep 0.1
done
curl --silent --max-time 5 "http://127.0.0.1:$port/metrics" >"$scratch/metrics"
grep -E '^(testmo_courier_store_up|process_open_fds|process_max_fds) ' "$scratch/metrics" || fail "there are no metrics"
grep -q '^testmo_courier_store_up 1$' "$scratch/metrics" || fail "the store cannot be written"
kill -TERM "$worker"
wait "$worker"
status=$?
worker=''
echo "ended with $status"
((status == 0)) || fail "the worker did not stop in order"
((failed == 0)) || cat "$scratch/log"
! grep -q 'Operation not permitted' "$scratch/log" || fail "a call was refused"
! grep -q hunter2 "$scratch/log" || fail "a password is in the log"

echo "== $( ((failed)) && echo "Some checks failed" || echo "All checks passed"), $SECONDS s"
((failed == 0))
