#!/bin/sh
# tests/lint/selftest.sh - checks that each rule of tools/lint.sh finds what it should, and no more.
# In bad/ every line that a rule must name carries "expect: RULE"; good/ must pass every rule. Both
# are checked in a copy outside the repository, where the files are found without git.
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
lint=$here/../../tools/lint.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$here/bad" "$here/good" "$work"
cp "$here/../../.clang-format" "$work"

# repeat COUNT FORMAT: numbered lines, for what is too long to be kept here.
repeat() {
    awk -v count="$1" -v format="$2\n" 'BEGIN { for (i = 1; i <= count; i++) printf format, i }'
}

mkdir -p "$work/good/src/base"
{
    echo 'int base_file_long[1201]; /* expect: length */'
    repeat 1200 '/* %d */'
} >"$work/bad/src/base/long_file.c"
{
    printf 'int base_long(int a,\n'
    printf '              int b) { /* "{" */\n'
    repeat 119 '    a += %d;'
    printf '    return a + b;\n}\n'
} | sed '1s|$| /* expect: length */|' >"$work/bad/src/base/long_function.c"
# A table of any length is no long function, and neither are many short ones a long file.
{
    printf 'static const int table[] = {\n'
    repeat 1500 '    %d,'
    printf '};\n\nint base_table(int i) {\n    static const char close = '"'}'"';\n'
    printf '    static const int inner[] = {\n'
    repeat 130 '        %d,'
    printf '    };\n'
    repeat 100 '    i += %d;'
    printf '    return table[i] + inner[i] + close;\n}\n'
} >"$work/good/src/base/table.c"

# Only the lines about layout are to be laid out badly.
find "$work/good" "$work/bad" -name '*.[ch]' -exec grep -L 'expect: format' {} + |
    xargs clang-format -i

failed=0
for rule in $(sh "$lint" rules); do
    (cd "$work/bad" && grep -rn "expect: $rule" . || true) |
        sed 's|^\./\([^:]*:[0-9]*\):.*|\1|' | sort -u >"$work/expected"
    [ -s "$work/expected" ] || {
        echo "lint $rule: there is no bad sample"
        failed=1
    }
    status=0
    LINT_ROOT="$work/bad" sh "$lint" "$rule" >"$work/output" 2>&1 || status=$?
    # mandoc and sh have forms of their own: "mandoc: FILE:8:2: ..." and "FILE: 2: ...".
    sed -n 's|^\(mandoc: \)\{0,1\}\([a-zA-Z][^: ]*\): *\([0-9][0-9]*\):.*|\2:\3|p' "$work/output" |
        sort -u >"$work/found"
    if [ "$status" -eq 0 ] || ! diff "$work/expected" "$work/found"; then
        echo "lint $rule: expected (<) is not what was found (>); its status is $status"
        head -n 40 "$work/output"
        failed=1
    fi
    if ! LINT_ROOT="$work/good" sh "$lint" "$rule" >"$work/output" 2>&1; then
        echo "lint $rule: complains about the good sample"
        head -n 40 "$work/output"
        failed=1
    fi
done
exit "$failed"
