#!/bin/sh
# Puts a program into the root folder of an image, with the libraries that it is linked with, the certificates of public
# authorities, and the user that it runs as.
#
#   assemble.sh PROGRAM ROOT
set -eu
program=$1 root=$2

install -D -m 755 -t "$root/usr/local/bin" "$program"
# The loader finds libraries in the folders of the system without a cache.
ldd "$program" | grep -o '/[^ )]*' | while read -r library; do
    install -D -m 755 "$library" "$root$library"
done
install -D -m 644 -t "$root/etc/ssl/certs" /etc/ssl/certs/ca-certificates.crt
# Where a container may have a temporary file system.
install -d -m 1777 "$root/tmp"
echo 'courier:x:10001:10001::/nonexistent:/nonexistent' >"$root/etc/passwd"
echo 'courier:x:10001:' >"$root/etc/group"
# Names are resolved by the hosts file, then by DNS.
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
