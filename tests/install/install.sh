#!/bin/sh
# install.sh CMAKE BUILD CC EXAMPLE MODEL - installs the build into an empty prefix, moves that, and
# compiles and runs the example against it, with the shared library and with the static one. Both
# and the installed command must print the same text.
set -eu

cmake=$1
build=$2
cc=$3
example=$4
model=$5
prompt='It was a fine evening,'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cmake" --install "$build" --prefix "$work/first" >"$work/log" || {
    cat "$work/log"
    exit 1
}
mv "$work/first" "$work/prefix"
prefix=$work/prefix

missing=0
for pattern in include/sluice.h 'lib*/libsluice.a' 'lib*/libsluice.so' 'lib*/pkgconfig/sluice.pc' \
    share/doc/sluice/LICENSE bin/sluice; do
    # shellcheck disable=SC2086 # a pattern
    ls "$prefix"/$pattern >/dev/null || missing=1
done
[ "$missing" -eq 0 ] || exit 1

library=$(dirname "$(ls "$prefix"/lib*/libsluice.so "$prefix"/lib/*/libsluice.so 2>/dev/null | head -n 1)")
export PKG_CONFIG_PATH="$library/pkgconfig"
# shellcheck disable=SC2046 # flags are words
"$cc" -std=c17 -Wall -Wextra -Werror "$example" -o "$work/shared" $(pkg-config --cflags --libs sluice)
# shellcheck disable=SC2046
"$cc" -std=c17 "$example" -static -o "$work/static" $(pkg-config --static --cflags --libs sluice)

if [ ! -f "$model" ]; then
    echo "compiled; not run, for there is no $model"
    exit 77
fi
LD_LIBRARY_PATH="$library" "$work/shared" "$model" "$prompt" >"$work/shared.txt"
"$work/static" "$model" "$prompt" >"$work/static.txt"
"$prefix/bin/sluice" run -m "$model" -p "$prompt" --echo -n 40 --temp 0 >"$work/command.txt" \
    2>"$work/log" || {
    cat "$work/log"
    exit 1
}
echo >>"$work/command.txt"
if [ "$(wc -c <"$work/shared.txt")" -le 60 ]; then
    echo "the example prints hardly anything:"
    cat "$work/shared.txt"
    exit 1
fi
cmp "$work/shared.txt" "$work/static.txt"
cmp "$work/shared.txt" "$work/command.txt"
