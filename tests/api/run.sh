#!/usr/bin/env bash
# Tests the API of a worker by its own OpenAPI document, in a throw-away folder: schemathesis finds no 5xx, no status and no
# body that the document does not have, with an empty store and with filled ones; a linter finds nothing in the document.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/api/check.sh
source tests/api/check.sh

# Never a person's settings.
unset AMQP_URL DATABASE_URL "${!COURIER_@}"
program=$PWD/target/debug/testmo-courier
configuration=$PWD/tests/api/schemathesis.toml
scratch=$(mktemp -d "${TMPDIR:-/tmp}/courier-api.XXXXXX")
worker=
clean_up() {
    [[ -z $worker ]] || kill "$worker" 2>/dev/null || true
    [[ -z $worker ]] || wait "$worker" 2>/dev/null || true
    rm -rf "$scratch"
}
trap clean_up EXIT

cargo build --bin testmo-courier --locked
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check 'schemathesis>=4.3,<5' 'openapi-spec-validator>=0.7,<1'

echo "== linter"
"$scratch/venv/bin/openapi-spec-validator" --schema 3.1 docs/schemas/openapi.json
if command -v npx >/dev/null; then
    npx --yes @redocly/cli@2 lint --config tests/api/redocly.yaml docs/schemas/openapi.json
fi

echo "== schemathesis"
cd "$scratch"
export COURIER_ADMIN__LISTEN=127.0.0.1:0 COURIER_OBSERVE__LISTEN=127.0.0.1:0
# The API needs no broker; nobody listens at this address.
export COURIER_AMQP__URL=amqp://127.0.0.1:1 COURIER_LOG__FORMAT=json
export COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS=http://127.0.0.1:1
"$program" init >/dev/null
token=$("$program" tokens create schemathesis --role admin | tail -n 1)
# It exists before it is read.
: >log
"$program" run >>log 2>&1 &
worker=$!
address=$(address_in log)
# One tenant that exists, so that what concerns a connection is reached.
curl --silent --show-error --fail-with-body -o /dev/null -X PUT "http://$address/api/v1/tenants/acme" \
    -H "Authorization: Bearer $token" -H 'If-None-Match: *' -H 'Content-Type: application/json' \
    -d '{"base_url": "http://127.0.0.1:1", "project_id": 1, "folder_id": 1, "api_key": "k"}'
check_api "$scratch/venv/bin/schemathesis" "$configuration" "$address" "$token" log
kill -0 "$worker" || { echo "The worker has ended:"; tail -n 20 log; exit 1; }
cd - >/dev/null
for store in sqlite postgres; do
    echo "== schemathesis, filled store: $store"
    tests/api/filled.sh "$scratch/venv/bin/schemathesis" "$store"
done
