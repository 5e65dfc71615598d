#!/bin/sh
# bench/compare.sh [-r ROUNDS] [-t THREADS] [-p TOKENS] [-n TOKENS] [-d TOKENS]
#                  [-s SEQUENCES] [-k TYPE] [-v TYPE] [-w SECS] [-x ARGS] [-a] [-j] [PEER [MODEL]]
#
# Our speed beside that of PEER, the path of a bench program that takes llama-bench's options and is
# already built, on the same file. A round is: the machine's limits, ours and theirs (in the next
# round theirs and ours), the limits again. If a limit moved by over 10 % meanwhile, the machine was
# not quiet and the round is repeated. Printed are medians over ROUNDS (at least 5) rounds, least
# and most, and the ratio of the medians, with the least and the most that any round had.
#
#   -t      threads (as many as cores)
#   -p, -n  tokens of the prompt and of the generation (512, 128; 0: none)
#   -d      tokens before both, which are not measured (0; PEER must know -d unless it is 0)
#   -k, -v  types in which keys and values are kept (f16)
#   -s      only the generation, by that many sequences together; PEER is a program that takes the
#           options of llama-batched-bench, which also serves -s 1 with a depth
#   -w      seconds before each program (5): memory that the one before gave back is still being
#           cleared away, in a virtual machine also by its host
#   -x      more options for the peer, such as '-rtr 1'
#   -a      all rounds count, for a machine that is never quiet: what is printed says how many were
#           not, and the ratio in each round means more than the medians
#   -j      JSON with the figures of every round in place of the summary
#
# Without PEER it is ours alone; MODEL is the starter model unless given.
set -eu

# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"
rounds=5
prompt=512
predict=128
depth=0
sequences=
type_k=f16
type_v=f16
pause=5
extra=
all=
json=

while getopts r:t:p:n:d:s:k:v:w:x:aj option; do
    case $option in
    r) rounds=$OPTARG ;;
    t) threads=$OPTARG ;;
    p) prompt=$OPTARG ;;
    n) predict=$OPTARG ;;
    d) depth=$OPTARG ;;
    s) sequences=$OPTARG ;;
    k) type_k=$OPTARG ;;
    v) type_v=$OPTARG ;;
    w) pause=$OPTARG ;;
    x) extra=$OPTARG ;;
    a) all=yes ;;
    j) json=yes ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -le 2 ] || usage
peer=${1:-}
model=${2:-$root/models/sluice-starter.gguf}
[ -z "$sequences" ] || prompt=0 # whatever -p said
need_numbers "$rounds" "$threads" "$prompt" "$predict" "$depth" "${sequences:-1}" "$pause"
if [ "$rounds" -lt 5 ]; then
    echo "$script: at least 5 rounds" >&2
    exit 2
fi
need_files "$sluice" "$model" ${peer:+"$peer"}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# limits NAME: "read 41.2" and so on, a line each, in $work/NAME.
limits() {
    run "$sluice" bench --limits -t "$threads" -o csv
    awk -F, 'NR > 1 { print $2, $3 }' "$work/csv" >"$work/$1"
}

# "pp 203.4" and "tg 56.1" in $work/ours.
run_ours() {
    sleep "$pause"
    run "$sluice" bench -m "$model" -p "$prompt" -n "$predict" -d "$depth" -np "${sequences:-1}" \
        -ctk "$type_k" -ctv "$type_v" -t "$threads" -r 1 -o csv -q
    awk -F, 'NR > 1 { print substr($1, 1, 2), $2 }' "$work/csv" >"$work/ours"
}

# The same in $work/peer.
run_peer() {
    [ -n "$peer" ] || return 0
    sleep "$pause"
    [ -z "$sequences" ] || {
        run_peer_batched
        return 0
    }
    set --
    [ "$depth" -eq 0 ] || set -- -d "$depth"
    # shellcheck disable=SC2086 # $extra is a list of words
    run "$peer" -m "$model" -p "$prompt" -n "$predict" -t "$threads" -r 1 -o csv \
        -ctk "$type_k" -ctv "$type_v" "$@" $extra
    peer_speeds "$work/csv" >"$work/peer"
    [ -s "$work/peer" ] && return 0
    echo "$script: no figures in the CSV of $peer" >&2
    exit 1
}

# "tg 56.1" in $work/peer, all sequences together. There is at least one token before. It prints
# JSON lines, or where it does not know that format a table, and that on either stream.
run_peer_batched() {
    before=$((depth > 0 ? depth : 1))
    # shellcheck disable=SC2086 # $extra is a list of words
    run "$peer" -m "$model" -npp "$before" -ntg "$predict" -npl "$sequences" -t "$threads" \
        -c $((sequences * (before + predict))) -ctk "$type_k" -ctv "$type_v" \
        --output-format jsonl $extra
    cat "$work/csv" "$work/errors" | awk '
        /"speed_tg"/ { sub(/.*"speed_tg"[^0-9]*/, ""); speed = $0 + 0 }
        /^\|/ && split($0, v, "|") >= 10 && v[9] + 0 > 0 { speed = v[9] + 0 }
        END { if (speed > 0) print "tg", speed }' >"$work/peer"
    [ -s "$work/peer" ] && return 0
    echo "$script: no figures in what $peer printed" >&2
    exit 1
}

# Whether no limit moved by over 10 %. bf16 and f32 hang on the same clock as int8.
quiet() {
    paste -d ' ' "$work/before" "$work/after" | awk '
        $1 == "read" || $1 == "int8" { if ($2 > 1.1 * $4 || $4 > 1.1 * $2) bad = 1 }
        END { exit bad }'
}

# keep KIND: a line "ours peer limit" for this round; peer is 0 if there is none.
keep() {
    case $1 in pp) limit=int8 ;; *) limit=read ;; esac
    awk -v kind="$1" -v limit="$limit" '
        FILENAME ~ /ours$/ && $1 == kind { ours = $2 }
        FILENAME ~ /peer$/ && $1 == kind { peer = $2 }
        FILENAME ~ /(before|after)$/ && $1 == limit { sum += $2 / 2 }
        END { print ours, peer + 0, sum }' \
        "$work/ours" "$work/peer" "$work/before" "$work/after" >>"$work/rounds.$1"
}

# summary KIND NAME LIMIT
summary() {
    awk -v name="$2" -v limit="$3" "$statistics"'
        { ours[NR] = $1; peer[NR] = $2; limits[NR] = $3; if ($2 > 0) ratio[NR] = $1 / $2 }
        END {
            sort(ours, NR); sort(peer, NR); sort(limits, NR)
            printf "%-7s ours %s", name, spread(ours, NR)
            if (peer[1] > 0) {
                sort(ratio, NR)
                printf "  peer %s  ratio %.2f (%.2f to %.2f)", spread(peer, NR),
                    median(ours, NR) / median(peer, NR), ratio[1], ratio[NR]
            }
            printf "  limit, %s, %s\n", limit, spread(limits, NR)
        }' "$work/rounds.$1"
}

# rounds KIND NAME LIMIT: the same as JSON.
rounds() {
    awk -v name="$2" -v limit="$3" '
        function known(x) { return x > 0 ? x : "null" }
        NR == 1 { printf "  {\"test\": \"%s\", \"limit_kind\": \"%s\", \"rounds\": [\n", name, limit }
        { printf "%s    {\"ours\": %s, \"peer\": %s, \"limit\": %s}", (NR > 1 ? ",\n" : ""),
              $1, known($2), $3 }
        END { printf "\n  ]}" }' "$work/rounds.$1"
}

# Steady other work moves no limit, but takes its share of both, and more of a peer that spins.
load=$(cut -d ' ' -f 1 /proc/loadavg 2>/dev/null || echo unknown)
: >"$work/peer"
finished=0
repeated=0
restless=0
while [ "$finished" -lt "$rounds" ]; do
    limits before
    if [ $((finished % 2)) -eq 0 ]; then
        run_ours
        run_peer
    else
        run_peer
        run_ours
    fi
    limits after
    if ! quiet && [ -n "$all" ]; then
        restless=$((restless + 1))
    elif ! quiet; then
        repeated=$((repeated + 1))
        echo "round $((finished + 1)) of $rounds: a limit moved by over 10 %, again" >&2
        if [ "$repeated" -ge $((4 * rounds)) ]; then
            echo "$script: $repeated rounds were not quiet; giving up" >&2
            exit 1
        fi
        continue
    fi
    [ "$prompt" -eq 0 ] || keep pp
    [ "$predict" -eq 0 ] || keep tg
    finished=$((finished + 1))
    echo "round $finished of $rounds: ours $(tr '\n' ' ' <"$work/ours")" >&2
done
behind=
[ "$depth" -eq 0 ] || behind=" @ d$depth"
together=
[ "${sequences:-1}" -eq 1 ] || together=x$sequences
pp=pp$prompt$behind
tg=tg$predict$together$behind
name=$(basename "$model")
if [ -n "$json" ]; then
    printf '{"model": "%s", "threads": %s, "type_k": "%s", "type_v": "%s",\n' \
        "$(printf %s "$name" | sed 's/[\\"]/\\&/g')" "$threads" "$type_k" "$type_v"
    printf ' "repeated": %s, "restless": %s, "load_before": "%s", "tests": [\n' \
        "$repeated" "$restless" "$load"
    [ "$prompt" -eq 0 ] || rounds pp "$pp" int8
    [ "$prompt" -eq 0 ] || [ "$predict" -eq 0 ] || echo ,
    [ "$predict" -eq 0 ] || rounds tg "$tg" read
    printf '\n]}\n'
    exit 0
fi
noise="$repeated repeated"
[ -z "$all" ] || noise="in $restless of them a limit moved by over 10 %"
echo "$name, $threads threads, $rounds rounds, $noise, load average $load before;" \
    "tokens/s: median (least to most); limits in GOP/s and GB/s"
[ "$prompt" -eq 0 ] || summary pp "$pp" int8
[ "$predict" -eq 0 ] || summary tg "$tg" read
