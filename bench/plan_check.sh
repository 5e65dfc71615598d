#!/bin/sh
# bench/plan_check.sh [-t THREADS] [-s COMMAND] MODEL:BUDGET:CONTEXT ...
#
# How near `sluice plan` comes: for each case the machine is measured anew and the plan is made, then
# `sluice bench` and `sluice run` are timed and their peak memory is read, then the machine is
# measured once more. BUDGET is as for --memory, or "all" for what is available; CONTEXT is in
# positions; the prompt that is timed takes all of them, at most 512. The one of `run` fills the
# context but for the 16 tokens that are generated: what nothing touches would say nothing of the
# peak. Words of one token each are assumed.
#
#   -t  threads (as many as cores)
#   -s  our command (build/release/sluice)
#
# Printed is a table: what was predicted from the figures before and after (their mean), what was
# measured, and predicted over measured. A machine whose figures move in between is named.
set -eu

# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"

while getopts t:s: option; do
    case $option in
    t) threads=$OPTARG ;;
    s) sluice=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || usage

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
export XDG_CACHE_HOME="$work"

# number FILE NAME [MEMBER]: of a flat member, or of a member of an object.
number() {
    tr -d ' \n' <"$1" | sed "s/.*\"$2\":${3:+{[^\}]*\"$3\":}\([0-9.e+-]*\).*/\1/"
}

# plan OUT: measured anew.
plan() {
    # shellcheck disable=SC2086 # $memory is two words or none
    "$sluice" plan -m "$model" -c "$context" -t "$threads" $memory --remeasure --json -q >"$1" \
        2>"$work/errors" || {
        cat "$work/errors" >&2
        exit 1
    }
}

# Sets $peak to KiB: what the process had at most when it was looked at last.
run_to_the_end() {
    # shellcheck disable=SC2086
    "$sluice" run -m "$model" -f "$work/prompt" -n 16 -c "$context" -t "$threads" -s 1 \
        --ignore-eos $memory >/dev/null 2>"$work/run" &
    job=$!
    peak=0
    while kill -0 $job 2>"$work/gone"; do
        now=$(awk '$1 == "VmHWM:" { print $2 }' /proc/$job/status 2>"$work/gone") || :
        [ "${now:-0}" -le "$peak" ] || peak=$now
        sleep 0.1
    done
    wait $job
}

measure() {
    awk -v n=$((context - 20)) 'BEGIN { for (i = 0; i < n; i++) printf " the" }' >"$work/prompt"
    # shellcheck disable=SC2086
    "$sluice" bench -m "$model" -p "$prompt" -n 16 -d 0 -t "$threads" -r 1 -o csv -q $memory \
        >"$work/bench" 2>"$work/errors" &&
        run_to_the_end || {
        cat "$work/errors" "$work/run" >&2
        exit 1
    }
}

echo "| model | budget | context | prompt | predicted | ratio | generation | predicted | ratio | disk, GB/s | peak, MiB | predicted | ratio |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
for case in "$@"; do
    model=${case%%:*}
    rest=${case#*:}
    budget=${rest%%:*}
    context=${rest#*:}
    memory=
    [ "$budget" = all ] || memory="--memory $budget"
    plan "$work/before"
    prompt=$(number "$work/before" prompt_tokens)
    measure
    plan "$work/after"
    echo "$(basename "$model") $budget $context" \
        "$(awk -F, '$1 ~ /^pp/ { print $2 }' "$work/bench")" \
        "$(number "$work/before" prompt tokens_per_second)" \
        "$(number "$work/after" prompt tokens_per_second)" \
        "$(awk -F, '$1 ~ /^tg/ { print $2 }' "$work/bench")" \
        "$(number "$work/before" generation tokens_per_second)" \
        "$(number "$work/after" generation tokens_per_second)" \
        "$(number "$work/before" disk_gb_per_second median)" \
        "$(number "$work/after" disk_gb_per_second median)" \
        "$((peak * 1024)) $(number "$work/before" peak)" | awk '{
            prompt = ($5 + $6) / 2
            generation = ($8 + $9) / 2
            printf "| %s | %s | %s | %.1f | %.1f (%.1f, %.1f) | %.2f | %.2f | %.2f (%.2f, %.2f) | %.2f | %.2f, %.2f | %.0f | %.0f | %.2f |\n",
                $1, $2, $3, $4, prompt, $5, $6, prompt / $4, $7, generation, $8, $9,
                generation / $7, $10, $11, $12 / 1048576, $13 / 1048576, $13 / $12
        }'
done
