#!/usr/bin/env bash
# Packs a built program with what is installed beside it: completions for shells, the unit for systemd, the settings with their
# meaning, and the licence. The same program gives the same archive.
#
#   package.sh PROGRAM TARGET FOLDER        makes FOLDER/testmo-courier-VERSION-TARGET.tar.gz, and prints its name
set -euo pipefail
cd "$(dirname "$0")/../.."
(($# == 3)) || {
    sed -n '5s/^# *//p' "$0" >&2
    exit 2
}
program=$(realpath "$1") target=$2 folder=$(realpath -m "$3")
version=$("$program" --version | cut -d ' ' -f 2)
name=testmo-courier-$version-$target
scratch=$(mktemp -d "${TMPDIR:-/tmp}/courier-package.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

root=$scratch/$name
install -D -m 755 "$program" "$root/bin/testmo-courier"
install -D -m 644 -t "$root" LICENSE README.md CHANGELOG.md SECURITY.md
install -D -m 644 config/default.toml "$root/share/testmo-courier/default.toml"
install -D -m 644 -t "$root/lib/systemd/system" deploy/systemd/testmo-courier.service
completions=(bash:bash-completion/completions/testmo-courier zsh:zsh/site-functions/_testmo-courier
    fish:fish/vendor_completions.d/testmo-courier.fish)
for entry in "${completions[@]}"; do
    file=$root/share/${entry#*:}
    mkdir -p "$(dirname "$file")"
    "$program" completions "${entry%%:*}" >"$file"
done
mkdir -p "$folder"
tar --create --directory "$scratch" --sort=name --owner=0 --group=0 --numeric-owner \
    --mtime="@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" --mode='u+rwX,go+rX,go-w' "$name" |
    gzip --no-name -9 >"$folder/$name.tar.gz"
echo "$name.tar.gz"
