# shellcheck shell=bash
#
# Checks the API of a running worker with schemathesis, for scripts that source this.

readonly checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
readonly more_checks=response_schema_conformance,unsupported_method,ignored_auth

# Prints where a worker serves its API, once its log says so.
address_in() { # LOG
    local address
    for _ in {1..100}; do
        address=$(sed -nE 's/.*"the API and the console are served".*"address":"([^"]+)".*/\1/p; s/.*"address":"([^"]+)".*"the API is served".*/\1/p' "$1" | head -n 1)
        [[ -z $address ]] || { echo "$address" && return; }
        sleep 0.1
    done
    cat "$1" >&2
    return 1
}

# Finds no 5xx, no status and no body that the document does not have, and no error in the worker's log.
check_api() { # SCHEMATHESIS CONFIGURATION ADDRESS TOKEN LOG
    local status=0
    "$1" --config-file "$2" run "http://$3/api/v1/openapi.json" --url "http://$3" \
        --header "Authorization: Bearer $4" --no-color --suppress-health-check=all --checks "$checks,$more_checks" \
        --max-examples "${EXAMPLES:-40}" --request-timeout 150 --seed "${SEED:-1}" || status=$?
    if grep -q '"level":"ERROR"' "$5"; then
        grep '"level":"ERROR"' "$5" | head
        status=1
    fi
    return "$status"
}
