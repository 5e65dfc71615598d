#!/bin/sh
# bench/neighbour.sh [-r ROUNDS] [-t THREADS] [-n TOKENS] [-c CORE] [-s COMMAND] [-x ARGS] [PEER [MODEL]]
#
# How much of its speed a generation keeps while another program, one that only spins, has one of
# the cores: ours, and that of PEER, a bench program that takes llama-bench's options. A round is
# ours quiet, ours beside the neighbour, then theirs likewise. Printed are medians over ROUNDS (5)
# rounds, least and most, and the share: busy over quiet, its median over the rounds.
#
#   -t  threads (as many as cores), -n tokens (64)
#   -c  the core that the neighbour has (the last one)
#   -s  our command (build/release/sluice)
#   -x  more options for the peer
#
# Any other work on the machine is one more neighbour: the load average before is printed.
# MODEL is the starter model unless given.
set -eu

root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
sluice=$root/build/release/sluice
rounds=5
threads=$(nproc)
predict=64
core=$(($(nproc) - 1))
extra=

usage() {
    sed -n '2s/^# /usage: /p' "$0" >&2
    exit 2
}

while getopts r:t:n:c:s:x: option; do
    case $option in
    r) rounds=$OPTARG ;;
    t) threads=$OPTARG ;;
    n) predict=$OPTARG ;;
    c) core=$OPTARG ;;
    s) sluice=$OPTARG ;;
    x) extra=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -le 2 ] || usage
peer=${1:-}
model=${2:-$root/models/sluice-starter.gguf}
for number in "$rounds" "$threads" "$predict" "$core"; do
    case $number in
    '' | *[!0-9]*) usage ;;
    esac
done
for file in "$sluice" "$model" ${peer:+"$peer"}; do
    [ -f "$file" ] && continue
    echo "neighbour.sh: $file is not there" >&2
    exit 2
done

work=$(mktemp -d)
neighbour=
leave() {
    [ -z "$neighbour" ] || kill "$neighbour" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

# move_in, move_out: the neighbour. taskset becomes the shell, whose number we keep.
move_in() {
    taskset -c "$core" sh -c 'while :; do :; done' &
    neighbour=$!
    sleep 0.2
}
move_out() {
    kill "$neighbour"
    wait "$neighbour" 2>/dev/null || true
    neighbour=
}

run() {
    "$@" >"$work/csv" 2>"$work/errors" && return 0
    cat "$work/errors" >&2
    echo "neighbour.sh: failed: $*" >&2
    exit 1
}

# Tokens per second of each, on standard output.
speed_ours() {
    run "$sluice" bench -m "$model" -p 0 -n "$predict" -t "$threads" -r 1 -o csv -q
    awk -F, 'NR == 2 { print $2 }' "$work/csv"
}
speed_peer() {
    # shellcheck disable=SC2086 # $extra is a list of words
    run "$peer" -m "$model" -p 0 -n "$predict" -t "$threads" -r 1 -o csv $extra
    awk 'NR == 1 { n = split($0, names, ","); for (i = 1; i <= n; i++) column[names[i]] = i; next }
         { sub(/^"/, ""); sub(/"$/, ""); split($0, v, /","/); print v[column["avg_ts"]] }' \
        "$work/csv"
}

# round WHO: a line "quiet busy" in $work/WHO.
round() {
    quiet=$("speed_$1")
    move_in
    busy=$("speed_$1")
    move_out
    echo "$quiet $busy" >>"$work/$1"
    echo "$1: quiet $quiet, with a neighbour $busy" >&2
}

summary() {
    awk -v who="$1" '
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
        }
        { quiet[NR] = $1; busy[NR] = $2; share[NR] = 100 * $2 / $1 }
        END {
            sort(quiet, NR); sort(busy, NR); sort(share, NR)
            printf "%s: quiet %s, with a neighbour %s, keeps %.0f %% (%.0f to %.0f)\n", who,
                spread(quiet, NR), spread(busy, NR), median(share, NR), share[1], share[NR]
        }' "$work/$1"
}

load=$(cut -d ' ' -f 1 /proc/loadavg 2>/dev/null || echo unknown)
finished=0
while [ "$finished" -lt "$rounds" ]; do
    round ours
    [ -z "$peer" ] || round peer
    finished=$((finished + 1))
done
echo "$(basename "$model"), $threads threads, tg$predict, neighbour on core $core, $rounds rounds," \
    "load average $load before; tokens/s: median (least to most)"
summary ours
[ -z "$peer" ] || summary peer
