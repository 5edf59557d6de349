#!/usr/bin/env bash
# Builds the version before this one from the repository's history, and rehearses TIMES rolling upgrades from it and back.
set -euo pipefail
cd "$(dirname "$0")/../.."

times=${TIMES:-2} from=${FROM:-1}
commit=$(grep -v '^#' tests/upgrade/previous)
source=target/previous/src built=target/previous/build

if ! git cat-file -e "$commit^{commit}" 2>/dev/null; then
    echo "The history of this clone lacks the version before, $commit. Fetch it: git fetch --unshallow" >&2
    exit 2
fi
if [[ $(git -C "$source" rev-parse HEAD 2>/dev/null) != "$commit" ]]; then
    rm -rf "$source"
    git worktree prune
    git worktree add --quiet --detach "$source" "$commit"
fi

# Dependencies that this version has built are not built again; cargo decides which of them fit.
if [[ ! -d $built && -d target/debug ]]; then
    mkdir -p "$built/debug"
    cp -al target/debug/{build,deps,.fingerprint} "$built/debug/"
    find "$built/debug" -depth \( -name '*testmo*' -o -path '*/deps/it-*' -o -path '*/deps/browser-*' \) -exec rm -rf {} +
fi

tests/env/install.sh rabbitmq-server postgresql
CARGO_PROFILE_DEV_DEBUG=0 cargo build --manifest-path "$source/Cargo.toml" --target-dir "$built" \
    --package testmo-courier --bin testmo-courier --locked
cargo build --workspace --bins --locked

target/debug/testmo-chaos --previous "$built/debug/testmo-courier" --program target/debug/testmo-courier \
    --from "$from" --times "$times" --results target/upgrade-results.txt
