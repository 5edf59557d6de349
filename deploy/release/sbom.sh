#!/usr/bin/env bash
# Writes which crates the program is built from, as a CycloneDX document. Needs cargo-cyclonedx.
#
#   sbom.sh FILE
set -euo pipefail
(($# == 1)) || {
    sed -n '4s/^# *//p' "$0" >&2
    exit 2
}
file=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
cargo cyclonedx --version >/dev/null 2>&1 || {
    echo "cargo-cyclonedx is not installed: cargo install --locked cargo-cyclonedx" >&2
    exit 2
}
# The tool writes one document beside the manifest of each member of the workspace.
name=testmo-courier-sbom-$$
trap 'find . -path ./target -prune -o -name "$name.json" -exec rm -f {} +' EXIT
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
cargo cyclonedx --quiet --format json --spec-version 1.5 --target x86_64-unknown-linux-gnu --override-filename "$name"
mkdir -p "$(dirname "$file")"
# The folder in which it was made is nothing for its readers.
sed "s|path+file://$PWD|path+file:///testmo-courier|g" "$name.json" >"$file"
