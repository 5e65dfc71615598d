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

# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"
rounds=5
predict=64
core=$(($(nproc) - 1))
extra=

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
need_numbers "$rounds" "$threads" "$predict" "$core"
need_files "$sluice" "$model" ${peer:+"$peer"}

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

# Tokens per second of each, on standard output.
speed_ours() {
    run "$sluice" bench -m "$model" -p 0 -n "$predict" -t "$threads" -r 1 -o csv -q
    awk -F, 'NR == 2 { print $2 }' "$work/csv"
}
speed_peer() {
    # shellcheck disable=SC2086 # $extra is a list of words
    run "$peer" -m "$model" -p 0 -n "$predict" -t "$threads" -r 1 -o csv $extra
    peer_speeds "$work/csv" | sed 's/^.. //'
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
    awk -v who="$1" "$statistics"'
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
