#!/usr/bin/env bash
# Installs what programs in Node.js need, from the committed package.json of a folder, and prints the folder with it. Nothing is
# written beside them.
#
#   node.sh [FOLDER]     by default the examples
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    tests/env/install.sh nodejs npm >&2
fi
readonly programs=${1:-examples/node}
readonly wanted=$programs/package.json folder=$PWD/target/node-${programs//\//-}
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
if [[ ! -d $folder/node_modules ]] || ! cmp -s "$wanted" "$folder/package.json"; then
    cp "$wanted" "$folder/package.json"
    if ! npm install --prefix "$folder" --no-audit --no-fund --no-package-lock >"$folder/log" 2>&1; then
        cat "$folder/log" >&2
        exit 2
    fi
fi
echo "$folder/node_modules"
