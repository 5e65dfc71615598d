#!/bin/sh
# bench/budgets.sh [-r ROUNDS] [-t THREADS] [-n TOKENS] [-b BUDGETS] [-s COMMAND] [-x ARGS] [-o SVG] MODEL [PEER]
#
# Generation with less memory than the model has: ours with --memory BUDGET, and that of PEER, a
# bench program that takes llama-bench's options, both in a control group whose hard limit is the
# budget plus 64 MiB, with caches dropped before. A round goes through all budgets, ours and theirs
# in turn. The disk is probed before and after each of ours. Needs root, for control groups and for dropping caches.
#
#   -r  rounds (3), -n tokens (16), -t threads (as many as cores)
#   -b  budgets in MiB: "1280 2560 3584" (a fifth, two fifths ... six fifths of the model, and 128)
#   -s  our command (build/release/sluice)
#   -x  more options for the peer
#   -o  draws a picture of the medians
#
# Printed are medians over the rounds: tokens/s of both, their ratio, what the disk gave, and the
# share of the limit that it sets: bytes that our command reads for a token, by its own word, at
# the mean of the probes around it. What is computed meanwhile may be the limit instead.
set -eu

# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"
rounds=3
predict=16
budgets=
extra=
picture=

while getopts r:t:n:b:s:x:o: option; do
    case $option in
    r) rounds=$OPTARG ;;
    t) threads=$OPTARG ;;
    n) predict=$OPTARG ;;
    b) budgets=$OPTARG ;;
    s) sluice=$OPTARG ;;
    x) extra=$OPTARG ;;
    o) picture=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || [ $# -eq 2 ] || usage
model=$1
peer=${2:-}
need_numbers "$rounds" "$threads" "$predict"
need_files "$sluice" "$model" ${peer:+"$peer"}
size=$(($(wc -c <"$model") / 1048576))
if [ -z "$budgets" ]; then
    for fifth in 1 2 3 4 5 6; do
        budgets="$budgets $((fifth * size / 5 + 128))"
    done
fi

work=$(mktemp -d)
group=
leave() {
    [ -z "$group" ] || rmdir "$group" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

# ---- the control group ---------------------------------------------------------------------------

if [ -d /sys/fs/cgroup/memory ]; then
    group=/sys/fs/cgroup/memory/sluice-budgets.$$ limit_file=memory.limit_in_bytes
else
    group=/sys/fs/cgroup/sluice-budgets.$$ limit_file=memory.max
fi
mkdir "$group" || {
    echo "$script: cannot make a control group; root is needed" >&2
    exit 2
}

# within MIB COMMAND...: its output in $work/out.
within() {
    echo "$((($1 + 64) * 1048576))" >"$group/$limit_file"
    shift
    # shellcheck disable=SC2016 # for the inner shell
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$@" >"$work/out" 2>"$work/errors" &&
        return 0
    cat "$work/errors" >&2
    echo "$script: failed: $*" >&2
    return 1
}

drop_caches() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

# ---- what is measured ----------------------------------------------------------------------------

# Bytes a second, measured by our command with many direct reads at once.
probe() {
    XDG_CACHE_HOME=$work "$sluice" plan -m "$model" -t "$threads" -c 128 --remeasure --json -q \
        >"$work/plan" 2>"$work/errors" || {
        cat "$work/errors" >&2
        exit 1
    }
    tr -d ' \n' <"$work/plan" |
        sed 's/.*"disk_gb_per_second":{"median":\([0-9.e+]*\).*/\1/' |
        awk '{ printf "%.0f\n", $1 * 1e9 }'
}

# ours MIB: "tokens/s bytes-read-for-a-token"
ours() {
    within "$1" "$sluice" bench -m "$model" -p 0 -n "$predict" -t "$threads" -r 1 -o csv \
        --memory "$1M" || exit 1
    speed=$(awk -F, 'NR == 2 { print $2 }' "$work/out")
    streamed=$(sed -n 's/.* stay in memory, \([0-9]*\) are read from the file.*/\1/p' "$work/errors")
    echo "$speed $((${streamed:-0} * 1048576))"
}

theirs() {
    # shellcheck disable=SC2086 # $extra is a list of words
    within "$1" "$peer" -m "$model" -p 0 -n "$predict" -t "$threads" -r 1 -o csv $extra || {
        echo 0
        return
    }
    peer_speeds "$work/out" | sed 's/^.. //'
}

round=0
while [ "$round" -lt "$rounds" ]; do
    for budget in $budgets; do
        drop_caches
        before=$(probe)
        drop_caches
        mine=$(ours "$budget")
        after=$(probe)
        peers=0
        if [ -n "$peer" ]; then
            drop_caches
            peers=$(theirs "$budget")
        fi
        echo "$budget $mine $peers $before $after" >>"$work/rows"
        echo "$budget MiB: $mine, peer $peers, disk $before $after" >&2
    done
    round=$((round + 1))
done

# ---- the table and the picture -------------------------------------------------------------------

awk "$statistics"'
    function middle(list, n, a) {
        n = split(list, a, " ")
        for (i = 1; i <= n; i++)
            a[i] += 0
        sort(a, n)
        return median(a, n)
    }
    {
        if (!($1 in ours))
            order[++count] = $1
        ours[$1] = ours[$1] " " $2
        bytes[$1] = $3
        theirs[$1] = theirs[$1] " " $4
        disk[$1] = disk[$1] " " ($5 + $6) / 2
        share[$1] = share[$1] " " $2 * $3 / (($5 + $6) / 2)
    }
    END {
        for (k = 1; k <= count; k++) {
            b = order[k]
            printf "%d %.3f %.3f %.3f %.3f %.3f\n", b, middle(ours[b]), middle(theirs[b]),
                middle(disk[b]) / 1e9, bytes[b] / 1e9, middle(share[b])
        }
    }' "$work/rows" >"$work/medians"

echo "$(basename "$model"), $size MiB, $threads threads, tg$predict, $rounds rounds, medians"
awk '
    BEGIN { print "| budget, MiB | tokens/s | peer | ratio | read for a token, GB | disk, GB/s | share of its limit |"
            print "|---|---|---|---|---|---|---|" }
    { printf "| %d | %.2f | %s | %s | %.2f | %.2f | %s |\n", $1, $2, $3 ? sprintf("%.2f", $3) : "",
          $3 ? sprintf("%.1f", $2 / $3) : "", $5, $4, $5 ? sprintf("%.0f %%", 100 * $6) : "" }' \
    "$work/medians"

[ -n "$picture" ] || exit 0
awk -v name="$(basename "$model")" -v size="$size" '
    function x(budget) { return 60 + 520 * budget / right }
    function y(speed) { return 320 - 280 * speed / top }
    { budget[NR] = $1; ours[NR] = $2; peer[NR] = $3
      if ($2 > top) top = $2
      if ($3 > top) top = $3
      if ($1 > right) right = $1 }
    function line(values, colour, k) {
        printf "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", colour
        for (k = 1; k <= NR; k++)
            printf "%.1f,%.1f ", x(budget[k]), y(values[k])
        print "\"/>"
        for (k = 1; k <= NR; k++)
            printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x(budget[k]),
                y(values[k]), colour
    }
    END {
        top *= 1.1
        right *= 1.05
        print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 380\" font-family=\"sans-serif\" font-size=\"12\">"
        print "<rect width=\"600\" height=\"380\" fill=\"white\"/>"
        printf "<text x=\"60\" y=\"24\" font-size=\"14\">%s (%d MiB): tokens/s over memory</text>\n", name, size
        printf "<path d=\"M60 40V320H580\" fill=\"none\" stroke=\"black\"/>\n"
        for (k = 1; k <= NR; k++)
            printf "<text x=\"%.1f\" y=\"338\" text-anchor=\"middle\">%d</text>\n", x(budget[k]), budget[k]
        print "<text x=\"320\" y=\"360\" text-anchor=\"middle\">memory budget, MiB (hard limit: 64 more)</text>"
        step = top > 10 ? 5 : top > 4 ? 1 : top > 2 ? 0.5 : 0.2
        for (v = 0; v < top; v += step)
            printf "<text x=\"52\" y=\"%.1f\" text-anchor=\"end\">%g</text><path d=\"M60 %.1fH580\" stroke=\"#ddd\"/>\n",
                y(v) + 4, v, y(v)
        printf "<path d=\"M%.1f 40V320\" stroke=\"#999\" stroke-dasharray=\"4\"/>\n", x(size)
        printf "<text x=\"%.1f\" y=\"52\" text-anchor=\"end\" fill=\"#666\">model </text>\n", x(size)
        has_peer = 0
        for (k = 1; k <= NR; k++)
            has_peer = has_peer || peer[k] > 0
        line(ours, "#0a6")
        print "<text x=\"76\" y=\"56\" fill=\"#0a6\">Sluice</text>"
        if (has_peer) {
            line(peer, "#c40")
            print "<text x=\"76\" y=\"72\" fill=\"#c40\">llama.cpp</text>"
        }
        print "</svg>"
    }' "$work/medians" >"$picture"
