#!/usr/bin/env bash
# Installs and builds what the benchmark needs, under target/bench, and runs it.
#
#   run.sh [ARGUMENT…]   arguments of `testmo-bench run`, such as --row 1 or --quick
#
# A peer that cannot be installed is missing in the table; nothing else fails because of it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

readonly target=${CARGO_TARGET_DIR:-target} peers=benches/peers
readonly installed=$target/bench

# The peers take part in the rows 1 and 2 only.
wants_peers() {
    local rows=() argument previous=''
    for argument in "$@"; do
        [[ $previous != --row ]] || rows+=("$argument")
        [[ $argument != --row=* ]] || rows+=("${argument#--row=}")
        previous=$argument
    done
    ((${#rows[@]} == 0)) || [[ " ${rows[*]} " == *' 1 '* || " ${rows[*]} " == *' 2 '* ]]
}

missing() { echo "$1: not installed, and missing in the table." >&2; }

# Does something anew only when the file that pins it has changed.
once() { # FILE MARK COMMAND…
    local file=$1 mark=$2 sum
    shift 2
    sum=$(sha256sum <"$file")
    [[ $(cat "$mark" 2>/dev/null) != "$sum" ]] || return 0
    rm -f "$mark"
    "$@" && echo "$sum" >"$mark"
}

python_peers() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || tests/env/install.sh python3-venv || return 1
    rm -rf "$installed/venv"
    python3 -m venv "$installed/venv" &&
        "$installed/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$peers/requirements.txt"
}

node_peer() {
    { command -v node && command -v npm; } >/dev/null || tests/env/install.sh nodejs npm || return 1
    mkdir -p "$installed/node" && cp "$peers/package.json" "$peers/package-lock.json" "$installed/node" &&
        npm ci --prefix "$installed/node" --omit=dev --ignore-scripts --no-audit --no-fund --silent
}

rust_peers() {
    cargo build --release --locked --manifest-path "$peers/Cargo.toml" --target-dir "$installed/peers" && return 0
    rm -f "$installed/peers/release/"{omniqueue-peer,floor,ceiling}
    return 1
}

tests/env/install.sh rabbitmq-server postgresql || exit 2
mkdir -p "$installed"
if wants_peers "$@"; then
    once "$peers/requirements.txt" "$installed/venv.made-from" python_peers || missing "the peers in Python"
    once "$peers/package-lock.json" "$installed/node.made-from" node_peer || missing "the peer in Node.js"
    rust_peers || missing "the peers in Rust"
fi
cargo build --release --locked --package testmo-courier --package testmo-bench --bins || exit 1
exec "$target/release/testmo-bench" run --worker "$target/release/testmo-courier" --installed "$installed" "$@"
