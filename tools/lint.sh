#!/bin/sh
# tools/lint.sh - checks the form of the sources; `tools/lint.sh help` lists the rules.
# Each rule prints "file:line: what is wrong" and has a bad sample in tests/lint, so that a rule
# that stops working is noticed.
set -eu

tools=$(cd -- "$(dirname -- "$0")" && pwd -P)
cd "${LINT_ROOT:-$tools/..}"

usage() {
    cat <<'END'
usage: tools/lint.sh [RULE...]     all rules if none is named; LINT_ROOT=DIR checks another tree

  format       clang-format agrees
  rooms        a room includes only what stands above it; the command sees only the public header
  names        file names are unique
  length       functions of at most 120 lines, files of at most 1200, tables aside
  system       system headers and file opening only in src/os
  environment  at most ten environment variables, each one documented
  whitespace   no trailing blanks, a newline at the end of a file; C: no tabs, at most 100 columns
  scripts      sh finds no syntax error
  manual       mandoc finds nothing wrong with the man page

       tools/lint.sh rules         the names alone
       tools/lint.sh files KIND    the files looked at: c, text or script
END
}

rules='format rooms names length system environment whitespace scripts manual'

# Everything that git does not ignore; samples are wrong on purpose, and fuzz and golden files are
# any bytes.
all_files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard
    else
        find . -type f ! -path './build/*' ! -path './.git/*' | sed 's|^\./||'
    fi | LC_ALL=C sort -u | grep -v -E '^(build/|tests/lint/(bad|good)/|tests/golden/|fuzz/corpus/|models/heldout)' |
        while read -r file; do
            [ ! -f "$file" ] || printf '%s\n' "$file"
        done
}

# files KIND
files() {
    case $1 in
    c) all_files | grep -E '\.[ch]$' ;;
    text) all_files | grep -v '^models/' | grep -E '\.([ch]|sh|awk|cmake|txt|md|py|in|json|[1-9])$|^dev$|^\.ci/run$' ;;
    script) all_files | grep -E '\.sh$|^dev$|^\.ci/run$' ;;
    esac || true
}

# awk_rule PROGRAM KIND: hands all files of a kind to tools/lint_PROGRAM.awk.
awk_rule() {
    files "$2" | xargs awk -f "$tools/lint_$1.awk"
}

rule_format() {
    version=$(clang-format --version | sed 's/.*version \([0-9]*\).*/\1/')
    if [ "$version" != 14 ]; then
        echo "format: skipped, the sources follow clang-format 14 and this is $version"
        return 0
    fi
    files c | xargs clang-format --dry-run -Werror 2>&1
}

rule_rooms() {
    awk_rule rooms c
}

# CMakeLists.txt and the like have their names from the tools that read them.
rule_names() {
    files c | awk -F/ '
        $NF in first { printf "%s:1: the name is taken by %s\n", $0, first[$NF]; bad = 1; next }
        { first[$NF] = $0 }
        END { exit bad }'
}

rule_length() {
    awk_rule length c
}

rule_system() {
    awk_rule system c
}

rule_environment() {
    documents=
    for document in ARCHITECTURE.md docs/man/sluice.1; do
        [ ! -f "$document" ] || documents="$documents $document"
    done
    files c | grep '^src/' | xargs awk -v documents="$documents" -f "$tools/lint_environment.awk"
}

rule_whitespace() {
    bad=0
    awk_rule whitespace text || bad=1
    for file in $(files text); do
        if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then
            echo "$file:$(wc -l <"$file" | awk '{ print $1 + 1 }'): no newline at the end of the file"
            bad=1
        fi
    done
    return "$bad"
}

rule_scripts() {
    bad=0
    for file in $(files script); do
        sh -n "$file" 2>&1 || bad=1
    done
    return "$bad"
}

rule_manual() {
    all_files | grep -E '^docs/man/.*\.[1-9]$' | xargs -r mandoc -T lint -W warning 2>&1
}

case ${1:-} in
help | -h | --help)
    usage
    exit 0
    ;;
rules)
    echo "$rules"
    exit 0
    ;;
files)
    files "$2"
    exit 0
    ;;
esac

failed=0
for rule in ${*:-$rules}; do
    case " $rules " in
    *" $rule "*) ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    "rule_$rule" || failed=1
done
exit "$failed"
