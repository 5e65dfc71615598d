# sluice perplexity: against the same sums made by awk from what `sluice logits` writes.
. "$(dirname "$0")/common.inc"
need_model
m="-m $model"

printf 'Once upon a time, there was a little girl. She had a dog, and the dog had a ball.\n' \
    >"$scratch/text"
ids=$("$sluice" tokenize $m -f "$scratch/text" --no-bos --ids)
bos=$("$sluice" tokenize $m -p '' --ids)
count=$(echo "$ids" | wc -w)
[ "$count" -ge 12 ] || fail "the text has only $count tokens"

# expect N: perplexity, nats and bits per byte with windows of N tokens, into $scratch/expected.
expect() {
    lead=$(echo $bos | wc -w)
    # A line for each window: its tokens, with commas.
    echo "$ids" | tr ' ' '\n' | awk -v step=$(($1 - lead)) -v bos="$bos" '
        (NR - 1) % step == 0 { if (NR > 1) print line; line = bos }
        { line = line (line == "" ? "" : ",") $1 }
        END { print line }' >"$scratch/windows"
    : >"$scratch/nll"
    while read -r tokens; do
        case $tokens in *,*) ;; *) continue ;; esac
        "$sluice" logits $m --tokens "$tokens" -o "$scratch/w.npy" -q || exit 1
        rows=$(echo "$tokens" | tr ',' '\n' | wc -l)
        width=$((($(wc -c <"$scratch/w.npy") - 128) / 4 / rows))
        od -An -v -tf4 -w4 -j 128 "$scratch/w.npy" | awk -v width="$width" -v window="$tokens" '
            BEGIN { n = split(window, token, ",") }
            { row = int((NR - 1) / width); logit[(NR - 1) % width] = $1 }
            NR % width == 0 && row + 2 <= n {
                most = logit[0]
                for (i = 1; i < width; i++) if (logit[i] > most) most = logit[i]
                sum = 0
                for (i = 0; i < width; i++) sum += exp(logit[i] - most)
                printf "%.12g\n", log(sum) + most - logit[token[row + 2]]
            }' >>"$scratch/nll"
    done <"$scratch/windows"
    awk '{ n++; sum += $1; nll[n] = $1 }
        END {
            mean = sum / n
            for (i = 1; i <= n; i++) var += (nll[i] - mean) ^ 2
            printf "%d %.9g %.9g %.9g\n", n, exp(mean), mean, exp(mean) * sqrt(var / (n - 1) / n)
        }' "$scratch/nll" >"$scratch/expected"
}

number() {
    sed -n "s/^ \"$1\": \([0-9.e+-]*\),*\$/\1/p" "$out"
}

for window in 512 8 5; do
    expect $window
    run 0 perplexity $m -f "$scratch/text" -c $window --json
    read -r n perplexity nats error <"$scratch/expected"
    [ "$(number scored_tokens)" -eq "$n" ] || fail "-c $window: not $n tokens scored"
    for pair in "perplexity $perplexity" "nats_per_token $nats" "standard_error $error"; do
        echo "$pair $(number "${pair% *}")" | awk '{ d = $2 - $3; if (d < 0) d = -d
            exit !(d <= 2e-5 * $2) }' || fail "-c $window: $pair, found $(number "${pair% *}")"
    done
    if [ -n "$bos" ]; then
        [ "$(number scored_bytes)" -eq "$(wc -c <"$scratch/text")" ] || fail "not all bytes"
    fi
    echo "$(number bits_per_byte) $n $nats $(number scored_bytes)" |
        awk '{ d = $1 - $2 * $3 / log(2) / $4; exit !(d < 1e-4 && d > -1e-4) }' ||
        fail "-c $window: bits per byte"
done
run 0 perplexity $m -f "$scratch/text" -q
[ ! -s "$err" ] || fail "-q is not quiet"
for word in perplexity nats bits scored windows; do
    grep -q "^$word " "$out" || fail "no $word"
done
"$sluice" perplexity $m <"$scratch/text" >"$scratch/again" 2>"$err" || fail "standard input"
cmp -s "$out" "$scratch/again" || fail "standard input"

: >"$scratch/empty"
# A text counts, with its tokens.
head -c 20000000 /dev/zero | tr '\0' x >"$scratch/large"
refuse 2 "reserved by the caller" perplexity $m -f "$scratch/large" --memory 64M
refuse 2 "too short" perplexity $m -f "$scratch/empty"
exit 0
