#!/bin/sh
# tools/emulate_x86.sh PROGRAM [ARGS...] - runs a program of ours on an x86-64 processor as if it had
# AVX-512 with VNNI and BF16, and AVX-VNNI. Only instructions that are lacking here are emulated
# (tools/emulator/emulator.c says how), so encodings are checked as well as results.
#
# PROGRAM is any build for this system, of this tree or another, but not one with sanitizers. What
# the emulator needs is fetched and compiled once, into build/emulator.
set -eu

tools=$(cd -- "$(dirname -- "$0")" && pwd -P)
directory=${tools%/*}/build/emulator
logs=${tools%/*}/build/logs

say() {
    printf '%s\n' "$*" >&2
}

. "$tools/setup.sh"

# The emulated processor is in a Python package, of which we take the library alone. Functions of
# Python that it mentions are never called; two of a newer C library are given by older names.
make_emulator() {
    rm -rf "$directory"
    mkdir -p "$directory"
    python3 -m pip -qq --disable-pip-version-check download --no-deps --only-binary=:all: \
        --require-hashes --implementation cp --python-version 3.11 --abi cp311 \
        --platform manylinux_2_28_x86_64 -r "$tools/emulator/bochscpu.txt" -d "$directory"
    python3 -m zipfile -e "$directory"/*.whl "$directory"
    mv "$directory"/bochscpu/*.so "$directory/bochscpu.so"
    {
        nm -D --undefined-only "$directory/bochscpu.so" |
            awk '$2 ~ /^_?Py/ { print "\t.globl " $2 "\n\t.comm " $2 ", 1024" }'
        for name in strtoull sscanf; do
            printf '\t.globl __isoc23_%s\n__isoc23_%s:\tjmp %s@plt\n' "$name" "$name" "$name"
        done
        printf '\t.section .note.GNU-stack,"",@progbits\n'
    } >"$directory/names.s"
    # Lazily: bochscpu.so is loaded by this library, so its functions are not there yet.
    gcc -std=c17 -O2 -Wall -Wextra -Werror -fPIC -shared -Wl,-z,lazy \
        -DBOCHSCPU="\"$directory/bochscpu.so\"" -o "$directory/emulator.so" \
        "$tools/emulator/emulator.c" "$directory/names.s"
}

if [ $# -eq 0 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
if [ "$(uname -m)" != x86_64 ]; then
    say "tools/emulate_x86.sh: this processor is no x86-64"
    exit 2
fi
# A program's own choice of functions is what is being tested, so it must have one.
if nm "$1" >/dev/null 2>&1 && ! nm "$1" | grep -q ' t look$'; then
    say "tools/emulate_x86.sh: $1 has no function \"look\" that finds out about the processor"
    exit 2
fi
if [ ! "$directory/emulator.so" -nt "$tools/emulator/emulator.c" ] ||
    [ ! "$directory/emulator.so" -nt "$0" ]; then
    setup "$needs_emulator"
    say "Fetching and compiling the emulator"
    make_emulator >&2
fi
LD_PRELOAD="$directory/emulator.so" exec "$@"
