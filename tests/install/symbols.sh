#!/bin/sh
# symbols.sh NM LIBM ARCHIVE SHARED OBJECTS - what the libraries show and what they ask for.
# 1. Both libraries show sl_* and nothing else.
# 2. What a logit passes through takes nothing from the system's mathematical library whose result
#    that library may choose: exp and the like are our own, or bits would differ between systems.
set -eu

nm=$1
libm=$2
archive=$3
shared=$4
objects=$5
bad=0

# names OPTION... FILE: sorted symbol names without their versions.
names() {
    "$nm" --format=posix "$@" | awk 'NF > 1 { sub(/@.*/, "", $1); print $1 }' | sort -u
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

names --dynamic --defined-only "$shared" >"$work/shared"
names --extern-only --defined-only "$archive" >"$work/archive"
for kind in shared archive; do
    if grep -v '^sl_' "$work/$kind" >"$work/foreign"; then
        echo "the $kind library shows symbols that do not begin with sl_:"
        cat "$work/foreign"
        bad=1
    fi
done
if ! diff "$work/shared" "$work/archive"; then
    echo "the shared library (<) and the archive (>) differ in what they show"
    bad=1
fi
grep -q '^sl_version$' "$work/shared" || {
    echo "no sl_version: this is not the library"
    bad=1
}

# Correctly rounded or exact by definition, so the same everywhere; and control of the environment.
exact='fmaf? sqrtf? fabsf? copysignf? floorf? ceilf? truncf? rintf? nearbyintf? roundf? roundevenf?
l?lrintf? l?lroundf? ldexpf? scalbl?nf? frexpf? modff? logbf? ilogbf? nextafterf? fminf? fmaxf?
fe[a-z]+ __(isnan|isinf|finite|signbit|fpclassify)f?'
pattern="^($(printf '%s' "$exact" | tr ' \n' '||'))\$"
names --dynamic --defined-only "$libm" | grep -v -E "$pattern" >"$work/libm"
grep -q '^expf$' "$work/libm" || {
    echo "$libm defines no expf: this is not the mathematical library"
    bad=1
}

for room in kernels ops program models sampling engine; do
    [ -d "$objects/$room" ] || continue
    for object in $(find "$objects/$room" -name '*.o'); do
        names --undefined-only "$object" >"$work/wanted"
        # _ZGV*: vector forms of the same functions.
        found=$(comm -12 "$work/wanted" "$work/libm" && grep '^_ZGV' "$work/wanted" || true)
        if [ -n "$found" ]; then
            echo "$object takes from the mathematical library:" $found
            bad=1
        fi
    done
done
exit "$bad"
