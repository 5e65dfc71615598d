# shellcheck shell=sh disable=SC2034 # what is set here is used by those who read it
# bench/common.sh - what the measuring scripts share. Read by `. "$(dirname -- "$0")/common.sh"`.

script=$(basename -- "$0")
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
sluice=$root/build/release/sluice
threads=$(nproc)

# The second line of the script, and the third if that goes on.
usage() {
    sed -n '2s/^# /usage: /p; 3s/^#  /  /p' "$0" >&2
    exit 2
}

# need_numbers TEXT...: each is a whole number.
need_numbers() {
    for number; do
        case $number in
        '' | *[!0-9]*) usage ;;
        esac
    done
}

# need_files PATH...
need_files() {
    for file; do
        [ -f "$file" ] && continue
        echo "$script: $file is not there" >&2
        exit 2
    done
}

# run COMMAND...: its standard output in $work/csv; ends the script if it fails.
run() {
    "$@" >"$work/csv" 2>"$work/errors" && return 0
    cat "$work/errors" >&2
    echo "$script: failed: $*" >&2
    exit 1
}

# peer_speeds FILE: "pp 203.4" and "tg 56.1" from the CSV of llama-bench, whose head is not quoted
# and whose values are.
peer_speeds() {
    awk 'NR == 1 { n = split($0, names, ",")
                   for (i = 1; i <= n; i++) column[names[i]] = i
                   next }
         { sub(/^"/, ""); sub(/"$/, ""); split($0, v, /","/)
           print (v[column["n_gen"]] > 0 ? "tg" : "pp"), v[column["avg_ts"]] }' "$1"
}

# For awk programs: median() is of sorted values, as is spread(), a text.
statistics='
    function sort(a, n, i, j, t) {
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && a[j] < a[j - 1]; j--) {
                t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
            }
    }
    function median(a, n) {
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    function spread(a, n) {
        return sprintf("%.2f (%.2f to %.2f)", median(a, n), a[1], a[n])
    }'
