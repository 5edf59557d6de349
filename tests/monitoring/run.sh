#!/usr/bin/env bash
# Tests the rules, then lets a private Prometheus scrape a worker under load and runs every query of the dashboards.
# Leaves nothing running.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/demo/stack.sh
source tests/demo/stack.sh

readonly rules=(deploy/prometheus/{alerts,objectives}.yml)
log=target/monitoring/worker.log broker_options=(--metrics)
prometheus='' server=''

clean_up() {
    trap '' INT TERM HUP
    stop "$prometheus"
    close_stack
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
unset AMQP_URL DATABASE_URL KEEP "${!COURIER_@}" MAKEFLAGS MFLAGS MAKELEVEL

# The deployed settings with other addresses, and a shorter interval because a person waits.
write_scrapes() {
    cp "${rules[@]}" "$dir"
    sed -E -e "s/courier:9464/$metrics/" -e "s/rabbitmq:15692/${broker_metrics#http://}/" \
        -e 's/^( +[a-z]+_interval:) .*/\1 1s/' deploy/prometheus/prometheus.yml >"$dir/prometheus.yml"
    sed -i -E 's/^( +interval:) .*/\1 1s/' "$dir/objectives.yml"
}

start_prometheus() {
    local port
    port=$(free_port) || exit 1
    server=http://127.0.0.1:$port
    launch prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/series" \
        --web.listen-address="127.0.0.1:$port" --log.level=warn </dev/null >"$dir/prometheus.log" 2>&1 &
    prometheus=$!
    wait_for 30 "Prometheus" yields 'count(up == 1) == 2'
}

# Succeeds if a query has an answer. NaN, as from an empty histogram, does not count.
yields() { # QUERY
    local answer
    answer=$(promtool query instant "$server" "$1" 2>/dev/null) && grep -qv '=> NaN' <<<"${answer:-=> NaN}"
}

# Publishes the demo's valid batches with other batch ids.
publish_more() { # ROUND
    local file
    mkdir "$dir/round$1"
    for file in "$batches"/0[1-5]-*.json; do
        sed -E "s/(\"batch_id\": *\"[^\"]*)\"/\1-$1\"/" "$file" >"$dir/round$1/${file##*/}"
    done
    courier publish "$dir/round$1"/*.json >/dev/null || die "Publishing did not work."
}

documented_series() {
    # shellcheck disable=SC2016
    sed -nE -e 's/^\| `([a-z_]+)` \| (counter|gauge) .*/\1/p' -e 's/^\| `([a-z_]+)` \| histogram .*/\1_count/p' \
        docs/metrics.md
}

# Prints every query of a dashboard after the title of its panel, with Grafana's variables filled in.
queries() { # DASHBOARD
    local line title=''
    while IFS= read -r line; do
        if [[ $line =~ ^\ {6}\"title\":\ \"(.*)\",?$ ]]; then
            title=${BASH_REMATCH[1]}
        elif [[ $line =~ ^\ +\"expr\":\ \"(.*)\",?$ ]]; then
            line=${BASH_REMATCH[1]//\\\"/\"}
            line=${line//\$__rate_interval/1m}
            line=${line//\$__range/5m}
            printf '%s\t%s\n' "$title" "${line//\$@(job|instance|tenant)/.+}"
        fi
    done <"$1"
}
shopt -s extglob

# Runs the queries without an answer again, and succeeds once all have one.
unanswered=()
all_answered() {
    local query still=()
    for query in "${unanswered[@]}"; do
        yields "${query#*$'\t'}" || still+=("$query")
    done
    unanswered=("${still[@]}")
    ((${#unanswered[@]} == 0))
}

# Retries for at most 30 seconds, and prints the queries without an answer.
expect_answers() { # WHAT QUERY…
    local what=$1 count=$(($# - 1)) deadline=$((SECONDS + 30))
    shift
    unanswered=("$@")
    ((count > 0)) || die "There are no $what."
    until all_answered; do
        if ((SECONDS >= deadline)); then
            echo "${#unanswered[@]} of $count $what return no data:"
            printf '  %s\n' "${unanswered[@]//$'\t'/: }"
            return 1
        fi
        sleep 0.5
    done
    echo "all $count $what return data"
}

heading "Rules: well formed, and each alert fires when it should and only then"
tests/env/install.sh prometheus || exit
promtool check config deploy/prometheus/prometheus.yml || exit 1
promtool test rules deploy/prometheus/tests/*.yml || exit 1

heading "A broker, a stand-in for Testmo, a worker, and a Prometheus that scrapes every second"
open_stack monitoring
start_broker
start_simulator
write_settings
{ courier init && connect_tenants && revoke_a_key; } >/dev/null || die "The tenants could not be connected."
start_worker
write_scrapes
start_prometheus
echo "$server"
failed=0
http GET "$metrics/metrics" | promtool check metrics || failed=1

heading "Batches with all kinds of outcomes"
publish_batches >/dev/null
for round in {1..20}; do
    publish_more "$round"
done
echo "112 batches published"

heading "The series of docs/metrics.md"
mapfile -t series < <(documented_series)
expect_answers series "${series[@]/%/\{job=\"testmo-courier\"\}}" || failed=1

for dashboard in deploy/grafana/dashboards/*.json; do
    heading "The dashboard ${dashboard##*/}"
    mapfile -t asked < <(queries "$dashboard")
    expect_answers queries "${asked[@]}" || failed=1
done

heading "The alerts and the objectives"
evaluated=$(http GET "${server#http://}/api/v1/rules")
healthy=$(grep -o '"health":"ok"' <<<"$evaluated" | wc -l)
there=$(cat "${rules[@]}" | grep -cE -- '- (alert|record):')
echo "$healthy of $there can be evaluated; firing, as a stand-in is an insecure origin:"
((healthy == there)) || failed=1
promtool query instant "$server" 'ALERTS{alertstate="firing"}' || failed=1

heading "$( ((failed)) && echo "Some checks failed" || echo "All checks passed"), $SECONDS s"
((failed == 0))
