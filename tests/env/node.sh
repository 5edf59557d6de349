#!/usr/bin/env bash
# Installs what the examples in Node.js need, from the committed package.json, and prints the folder with it. Nothing is
# written beside the examples.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    tests/env/install.sh nodejs npm >&2
fi
readonly folder=$PWD/target/node-examples
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
if [[ ! -d $folder/node_modules/amqplib ]] || ! cmp -s examples/node/package.json "$folder/package.json"; then
    cp examples/node/package.json "$folder/package.json"
    if ! npm install --prefix "$folder" --no-audit --no-fund --no-package-lock >"$folder/log" 2>&1; then
        cat "$folder/log" >&2
        exit 2
    fi
fi
echo "$folder/node_modules"
