#!/usr/bin/env bash
# Changes one expression of the code after the other, and lists the changes that no test notices.
#
#   mutants.sh core             the decisions that are functions on values: account, batch and lane, against their own tests
#   mutants.sh worker GLOB…     files of the worker, against its unit tests; without a GLOB, those that decide on values
#
# The core needs nothing of the rest, so it is built as a crate of its own: a change takes seconds instead of a minute.
# Results are in target/mutants/NAME/mutants.out; the survivors are in missed.txt there.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly root=$PWD
what=${1:-core}
shift || true

cargo mutants --version >/dev/null 2>&1 || {
    echo "cargo-mutants is not installed: cargo install --locked cargo-mutants" >&2
    exit 2
}

# The part of Cargo.toml between a heading and the next one.
section() { sed -n "/^\[$1\]/,/^\[/{/^\[/!p}" "$root/Cargo.toml"; }

core() {
    local crate=$root/target/mutants/core
    rm -rf "$crate/src"
    mkdir -p "$crate/src"
    cp -r "$root"/src/{account,batch,lane} "$crate/src"
    cp "$root/Cargo.lock" "$crate"
    {
        echo '[package]'
        echo 'name = "testmo-courier"'
        echo 'version = "0.0.0"'
        section workspace.package | grep -E '^(edition|rust-version)'
        echo '[workspace]'
        echo '[workspace.dependencies]'
        section workspace.dependencies
        echo '[dependencies]'
        section dependencies
        echo '[dev-dependencies]'
        section dev-dependencies | grep -E '^(insta|proptest)'
        echo '[profile.dev]'
        echo 'debug = false'
    } >"$crate/Cargo.toml"
    cat >"$crate/src/lib.rs" <<'LIB'
#![allow(dead_code)]
pub mod account;
pub mod batch;
pub mod lane;
#[cfg(test)]
extern crate self as testmo_courier;
LIB
    cd "$crate"
    cargo test --lib >/dev/null
    cargo mutants --in-place --baseline skip --timeout 30 --output "$crate" -- --lib
}

# What is left of the worker is tried by the simulation and by the integration tests: it needs a store, a broker and Testmo.
worker() {
    local files=("$@") arguments=() file
    if ((${#files[@]} == 0)); then
        files=(
            src/worker/{backoff,room}.rs
            src/worker/delivery/{accepted,suspects}.rs
            src/worker/dispatch/set_aside.rs
            src/worker/maintenance/{key_expiry,pace,rest}.rs
            src/worker/model/{active_batch,trial,trouble}.rs
            src/worker/outbox/publish.rs
            src/worker/outcome/reasons.rs
            src/worker/reconciliation/{answered_ids,clock_offsets,unclear_pushes}.rs
        )
    fi
    for file in "${files[@]}"; do
        arguments+=(--file "$file")
    done
    mkdir -p "$root/target/mutants/worker"
    cargo mutants "${arguments[@]}" --baseline skip --timeout 60 --output "$root/target/mutants/worker" \
        --test-package testmo-courier -- --lib worker::
}

case $what in
core) core ;;
worker) worker "$@" ;;
*)
    echo "usage: mutants.sh core | worker [GLOB…]" >&2
    exit 2
    ;;
esac
