#!/usr/bin/env bash
# Stands in for docker and kubectl while tests/kubernetes/run.sh runs the commands of docs/kubernetes.md. What needs neither
# cluster nor registry is done by the real kubectl; of the rest it is checked that the resources that are named exist.
set -euo pipefail

# Prints the manifests that were applied last.
applied() { cat "$APPLIED/$(find "$APPLIED" -name '*.yaml' | wc -l).yaml"; }

# Succeeds if a resource was applied.
exists() { # KIND/NAME
    KIND=${1%%/*} NAME=${1#*/} python3 -c '
import os, sys, yaml
found = {(r["kind"].lower(), r["metadata"]["name"]) for r in yaml.safe_load_all(sys.stdin) if r}
sys.exit(0 if (os.environ["KIND"], os.environ["NAME"]) in found else f"there is no {os.environ}")' < <(applied)
}

if [[ ${0##*/} == docker ]]; then
    case $1 in
    build) [[ -e ${!#} ]] ;;
    push) [[ $2 == */testmo-courier:* ]] ;;
    inspect) echo "${!#%:*}@sha256:$(printf '%064d' 7)" ;;
    *) exit 64 ;;
    esac
    exit
fi

echo "kubectl $*" >&2
case "$1 $2" in
"apply -k")
    file=$APPLIED/$(($(find "$APPLIED" -name '*.yaml' | wc -l) + 1)).yaml
    "$KUBECTL" kustomize "$3" >"$file.new"
    mv "$file.new" "$file"
    ;;
"config set-context") [[ ${!#} == --namespace=testmo-courier ]] ;;
"create secret")
    # Each secret that is made is one that a pod names, with this key.
    made=$("$KUBECTL" "$@" --dry-run=client --output=yaml)
    name=$(sed -n 's/^  name: //p' <<<"$made")
    key=$(sed -nE '/^data:/,/^kind:/s/^  ([a-z.]+):.*/\1/p' <<<"$made")
    [[ $name == testmo-courier-database ]] || grep -q "ame: $name$" < <(applied)
    [[ $name == testmo-courier-database ]] || grep -q "key: $key$" < <(applied)
    ;;
"create job") exists "${3#--from=}" ;;
"wait --for=condition=complete") [[ ${!#} == job/new-store ]] ;;
"rollout status") exists "${!#}" ;;
"exec --stdin") exists "statefulset/${4%-0}" ;;
*)
    echo "docs/kubernetes.md has a command that its test does not know" >&2
    exit 64
    ;;
esac
