#!/bin/sh
# bench/run.sh [-r ROUNDS] [-t THREADS] [MODEL [PEER]]
#
# Speed of a prompt of 512 tokens and of 64 tokens generated after it, by `sluice run`, median,
# least and most of ROUNDS (5). With PEER, the path of a llama-bench program that is already built,
# the two run in turn on the same file, and the ratio of the medians is printed.
# MODEL is the starter model unless given.
set -eu

root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
sluice=$root/build/release/sluice
rounds=5
threads=

while getopts r:t: option; do
    case $option in
    r) rounds=$OPTARG ;;
    t) threads=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
model=${1:-$root/models/sluice-starter.gguf}
peer=${2:-}
prompt_tokens=512
predict=64

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# BOS and 511 words that are one token each in every usual vocabulary.
yes the | head -n $((prompt_tokens - 1)) | paste -s -d ' ' - >"$work/prompt"
# The starter model's context is 512: less of each, so that both fit.
case $model in
*sluice-starter*)
    prompt_tokens=400
    yes the | head -n $((prompt_tokens - 1)) | paste -s -d ' ' - >"$work/prompt"
    ;;
esac

run_ours() {
    "$sluice" run -m "$model" -f "$work/prompt" -n $((predict + 1)) --temp 0 --ignore-eos \
        ${threads:+-t "$threads"} 2>"$work/ours" >/dev/null
    awk '/^prompt .*tokens\/s$/ { print $(NF - 1) }' "$work/ours" | tail -n 1 >>"$work/ours.prompt"
    awk '/^generation .*tokens\/s$/ { print $(NF - 1) }' "$work/ours" >>"$work/ours.decode"
}

run_peer() {
    "$peer" -m "$model" -p "$prompt_tokens" -n "$predict" -r 1 -o csv \
        ${threads:+-t "$threads"} 2>/dev/null >"$work/peer"
    awk -F '","|"' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /avg_ts/) n = split($0, names, ",");
                              for (i = 1; i <= n; i++) column[names[i]] = i }
                    NR > 1 { gsub(/"/, ""); split($0, v, ",");
                             print (v[column["n_gen"]] > 0 ? "decode" : "prompt"), v[column["avg_ts"]] }' \
        "$work/peer" >"$work/peer.rates"
    awk '$1 == "prompt" { print $2 }' "$work/peer.rates" >>"$work/peer.prompt"
    awk '$1 == "decode" { print $2 }' "$work/peer.rates" >>"$work/peer.decode"
}

# Prints "median least most" of a column of numbers.
summary() {
    sort -n "$1" | awk '{ v[NR] = $1 }
        END { m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2;
              printf "%.1f %.1f %.1f", m, v[1], v[NR] }'
}

# line WHAT: one row of the table.
line() {
    ours=$(summary "$work/ours.$1")
    if [ -n "$peer" ]; then
        echo "$1 $ours $(summary "$work/peer.$1")" |
            awk '{ printf "%-8s %8.1f (%.1f to %.1f)   peer %8.1f (%.1f to %.1f)   ratio %.2f\n",
                   $1, $2, $3, $4, $5, $6, $7, $2 / $5 }'
    else
        echo "$1 $ours" | awk '{ printf "%-8s %8.1f tokens/s (%.1f to %.1f)\n", $1, $2, $3, $4 }'
    fi
}

round=0
while [ "$round" -lt "$rounds" ]; do
    run_ours
    [ -z "$peer" ] || run_peer
    round=$((round + 1))
    printf '\rround %d of %d' "$round" "$rounds" >&2
done
printf '\r%30s\r' '' >&2
echo "$(basename "$model"), $rounds rounds, prompt $prompt_tokens, generation $predict, tokens/s"
line prompt
line decode
