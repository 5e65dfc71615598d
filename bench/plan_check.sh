#!/bin/sh
# bench/plan_check.sh [-r ROUNDS] [-t THREADS] [-s COMMAND] MODEL:BUDGET:CONTEXT ...
#
# How near `sluice plan` comes: for each case the machine is measured anew and the plan is made, then
# `sluice bench` is timed, ROUNDS (5) times in turn, and the machine is measured once more; the peak
# memory of one `sluice run` is read. BUDGET is as for --memory, or "all" for what is available;
# CONTEXT is in positions; the prompt that is timed takes all of them, at most 512. The one of `run`
# fills the context but for the 16 tokens that are generated: what nothing touches would say nothing
# of the peak. For the same reason the file is taken out of the page cache before: of one that is in
# it, only what is read becomes the process's. Words of one token each are assumed.
#
#   -t  threads (as many as cores)
#   -s  our command (build/release/sluice)
#
# Printed is a table: medians of what was measured and of what was predicted (least to most), and
# predicted over measured. Where both move much from round to round, the machine was not quiet.
set -eu

# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"

rounds=5
while getopts r:t:s: option; do
    case $option in
    r) rounds=$OPTARG ;;
    t) threads=$OPTARG ;;
    s) sluice=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || usage
need_numbers "$rounds" "$threads"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
export XDG_CACHE_HOME="$work"

# number FILE NAME [MEMBER]: of a flat member, or of a member of an object.
number() {
    tr -d ' \n' <"$1" | sed "s/.*\"$2\":${3:+{[^\}]*\"$3\":}\([0-9.e+-]*\).*/\1/"
}

# Measures the machine anew; lines "KIND predicted VALUE" in $work/figures.
plan() {
    # shellcheck disable=SC2086 # $memory is two words or none
    "$sluice" plan -m "$model" -c "$context" -t "$threads" $memory --remeasure --json -q \
        >"$work/plan" 2>"$work/errors" || {
        cat "$work/errors" >&2
        exit 1
    }
    {
        echo "prompt predicted $(number "$work/plan" prompt tokens_per_second)"
        echo "generation predicted $(number "$work/plan" generation tokens_per_second)"
        echo "disk measured $(number "$work/plan" disk_gb_per_second median)"
    } >>"$work/figures"
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

fill_prompt() {
    awk -v n=$((context - 20)) 'BEGIN { for (i = 0; i < n; i++) printf " the" }' >"$work/prompt"
}

# The same with "KIND measured VALUE".
measure() {
    # shellcheck disable=SC2086
    "$sluice" bench -m "$model" -p "$(number "$work/plan" prompt_tokens)" -n 16 -d 0 -t "$threads" \
        -r 1 -o csv -q $memory >"$work/bench" 2>"$work/errors" || {
        cat "$work/errors" >&2
        exit 1
    }
    awk -F, '$1 ~ /^pp/ { print "prompt measured", $2 }
             $1 ~ /^tg/ { print "generation measured", $2 }' "$work/bench" >>"$work/figures"
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
    : >"$work/figures"
    round=0
    while [ "$round" -lt "$rounds" ]; do
        plan
        measure
        round=$((round + 1))
    done
    plan
    fill_prompt
    dd if="$model" iflag=nocache count=0 status=none # GNU: advises to forget the whole file
    run_to_the_end || {
        cat "$work/run" >&2
        exit 1
    }
    awk -v name="$(basename "$model") | $budget | $context" -v peak=$((peak * 1024)) \
        -v planned="$(number "$work/plan" peak)" "$statistics"'
        { key = $1 " " $2; list[key, ++count[key]] = $3 }
        function middle(key, i, a) {
            for (i = 1; i <= count[key]; i++)
                a[i] = list[key, i] + 0
            sort(a, count[key])
            text = spread(a, count[key])
            return median(a, count[key])
        }
        function pair(kind, measured, is, was) {
            measured = middle(kind " measured")
            is = text
            was = middle(kind " predicted")
            return sprintf("%s | %s | %.2f", is, text, was / measured)
        }
        END {
            prompt = pair("prompt")
            generation = pair("generation")
            middle("disk measured")
            printf "| %s | %s | %s | %s | %.0f | %.0f | %.2f |\n", name, prompt, generation, text,
                peak / 1048576, planned / 1048576, planned / peak
        }' "$work/figures"
done
