#!/usr/bin/env bash
# Installs the Debian packages named as arguments, unless they are there, and starts none of their services.
#
#   install.sh PACKAGE…
#
# Ends with 2, and the command to type, where it may not install.
set -euo pipefail

missing=()
for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

by_hand="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null; then
    echo "Missing: ${missing[*]}. There is no apt-get here; install them another way." >&2
    exit 2
fi
if ((EUID != 0)); then
    if sudo -n true 2>/dev/null; then
        exec sudo -n bash "$0" "$@"
    fi
    echo "Missing: ${missing[*]}. As root, please type:" >&2
    echo "  $by_hand" >&2
    exit 2
fi

# Two runs side by side would trip over each other's policy file.
exec 9<"$0"
flock 9

readonly policy=/usr/sbin/policy-rc.d mark='# temporary, by testmo-courier'
readonly clusters=/etc/postgresql-common/createcluster.conf
scratch=$(mktemp -d)
clean_up() {
    # Only our own: an administrator's policy stays as it is.
    ! grep -qsxF "$mark" "$policy" || rm -f "$policy"
    [[ ! -e $scratch/clusters ]] || cp -p "$scratch/clusters" "$clusters"
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi

enabled_units() {
    find /etc/systemd/system -path '*.wants/*' -printf '%f\n' 2>/dev/null | sort -u
}

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt() {
    apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null >"$scratch/log" 2>&1
}

# The server's package makes a cluster of its own, unless this file of another package says no; nobody asked for one.
without_cluster() {
    apt install -y --no-install-recommends postgresql-common || return 1
    [[ -e $clusters ]] || return 0
    cp -p "$clusters" "$scratch/clusters"
    echo "create_main_cluster = false $mark" >>"$clusters"
}

echo "Installing ${missing[*]} ..."
enabled_units >"$scratch/before"
# One broken source in the list need not matter to these packages.
apt update || echo "apt-get update had trouble; trying on." >&2
if [[ " ${missing[*]} " == *" postgresql "* ]] && ! without_cluster; then
    echo "PostgreSQL's package will make a cluster of its own, which is not started." >&2
fi
if ! apt install -y --no-install-recommends "${missing[@]}"; then
    cat "$scratch/log" >&2
    echo "Could not install ${missing[*]}; the command was:" >&2
    echo "  $by_hand" >&2
    exit 2
fi
enabled_units >"$scratch/after"

# A package enables its service for the next boot, which nobody asked for.
mapfile -t units < <(comm -13 "$scratch/before" "$scratch/after")
if ((${#units[@]})) && command -v systemctl >/dev/null; then
    systemctl disable --quiet "${units[@]}" 2>/dev/null || echo "Could not disable ${units[*]}." >&2
fi
