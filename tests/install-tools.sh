#!/bin/sh
# Installs the programs that the tests run: real NBD clients and a load generator against a node, and
# the checkers of the specification's twins (with the C compiler that these need) chromium:chromium'
#
# Does nothing, quickly, when they are there. As root on Debian and its relatives it installs what
# is missing; anyone else is told what to install. Exit codes: 0 everything is there, 3 it is not.
set -eu

# program:package
tools='qemu-io:qemu-utils qemu-img:qemu-utils nbdcopy:libnbd-bin nbdinfo:libnbd-bin fio:fio ip:iproute2 spin:spin rumur:rumur cc:gcc chromium:chromium'

missing_packages() {
    for tool in $tools; do
        command -v "${tool%%:*}" >/dev/null 2>&1 || printf '%s\n' "${tool##*:}"
    done | sort -u | tr '\n' ' '
}

missing=$(missing_packages)
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "The tests need programs that are not installed. On Debian, as root:" >&2
    echo "    apt-get install --no-install-recommends $missing" >&2
    exit 3
fi

echo "installing $missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # one argument per package
if ! { apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } >&2; then
    echo "apt-get could not install: $missing" >&2
    exit 3
fi

missing=$(missing_packages)
if [ -n "$missing" ]; then
    echo "still missing after installation: $missing" >&2
    exit 3
fi
