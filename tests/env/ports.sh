# shellcheck shell=bash
# Which ports of this machine are free? To be sourced by bash.

listening() { # PORT: is there a listener on it, on any address?
    local hex
    printf -v hex ':%04X' "$1"
    grep -qsE "^ *[0-9]+: [0-9A-F]+$hex [0-9A-F:]+ 0A " /proc/net/tcp /proc/net/tcp6
}

# Ports below 32768 are not handed out to outgoing connections, which could otherwise take one while the node is down.
free_port() {
    local candidate
    for _ in {1..100}; do
        candidate=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        listening "$candidate" || { echo "$candidate" && return; }
    done
    echo "no free port between 20000 and 32000" >&2
    return 1
}
