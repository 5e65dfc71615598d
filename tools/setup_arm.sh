#!/bin/sh
# tools/setup_arm.sh DIR - fills DIR with the arm64 headers and libraries that the build needs.
# They are Debian's packages, fetched and checked by apt and unpacked beside the system instead of
# installed into it: that needs no root and leaves this machine's list of architectures alone.
set -eu

directory=$1
# What cmake/aarch64.cmake is to find; apt adds what these need, the C library included.
packages='libpcre2-dev libutf8proc-dev liburing-dev libjansson-dev libcmocka-dev'

[ ! -e "$directory/complete" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "arm64 libraries come from Debian's packages, and this system has no apt-get" >&2
    exit 1
fi

rm -rf "$directory"
mkdir -p "$directory/apt/state/lists/partial" "$directory/apt/cache/archives/partial"
directory=$(cd "$directory" && pwd -P)
: >"$directory/apt/state/status"

apt_arm64() {
    apt-get -q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 -o Acquire::Languages=none \
        -o Dir::State="$directory/apt/state" -o Dir::State::status="$directory/apt/state/status" \
        -o Dir::Cache="$directory/apt/cache" -o Debug::NoLocking=1 "$@"
}
apt_arm64 update
# shellcheck disable=SC2086 # a list of words
apt_arm64 install -y --no-install-recommends --download-only $packages
for package in "$directory"/apt/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$directory"
done
rm -rf "$directory/apt"

# Links like libm.so -> /lib/aarch64-linux-gnu/libm.so.6 are meant for a system's own root.
find "$directory" -type l | while read -r link; do
    target=$(readlink "$link")
    case $target in
    /*) ln -sf "$directory$target" "$link" ;;
    esac
done
: >"$directory/complete"
