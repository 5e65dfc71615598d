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

# cut N: windows of N tokens, a line each with commas, into $scratch/windows. In the usual way BOS
# stands before the text, then in place of each window's first token, and a rest is left out;
# with --all it stands before the tokens of each window.
cut_usual() {
    echo $bos $ids | tr ' ' '\n' | awk -v n="$1" -v bos="$bos" '
        { line = (NR - 1) % n == 0 ? (bos == "" ? $1 : bos) : line "," $1 }
        NR % n == 0 { print line }' >"$scratch/windows"
}

cut_all() {
    lead=$(echo $bos | wc -w)
    echo $ids | tr ' ' '\n' | awk -v step=$(($1 - lead)) -v bos="$bos" '
        (NR - 1) % step == 0 { if (NR > 1) print line; line = bos }
        { line = line (line == "" ? "" : ",") $1 }
        END { print line }' >"$scratch/windows"
}

# expect FIRST: perplexity, nats and bits per byte of these windows, into $scratch/expected, where
# tokens from number FIRST on are scored.
expect() {
    first=$1
    : >"$scratch/nll"
    while read -r tokens; do
        case $tokens in *,*) ;; *) continue ;; esac
        "$sluice" logits $m --tokens "$tokens" -o "$scratch/w.npy" -q || exit 1
        rows=$(echo "$tokens" | tr ',' '\n' | wc -l)
        width=$((($(wc -c <"$scratch/w.npy") - 128) / 4 / rows))
        od -An -v -tf4 -w4 -j 128 "$scratch/w.npy" | awk -v width="$width" \
            -v window="$tokens" -v first="$first" '
            BEGIN { n = split(window, token, ",") }
            { row = int((NR - 1) / width); logit[(NR - 1) % width] = $1 }
            NR % width == 0 && row + 2 <= n && row + 1 >= first {
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

# compare WINDOW OPTION...: what the command prints is what is expected.
compare() {
    run 0 perplexity $m -f "$scratch/text" --json -c "$@"
    read -r n perplexity nats error <"$scratch/expected"
    [ "$(number scored_tokens)" -eq "$n" ] || fail "-c $*: not $n tokens scored"
    [ "$(number windows)" -eq "$(wc -l <"$scratch/windows")" ] || fail "-c $*: windows"
    for pair in "perplexity $perplexity" "nats_per_token $nats" "standard_error $error"; do
        echo "$pair $(number "${pair% *}")" | awk '{ d = $2 - $3; if (d < 0) d = -d
            exit !(d <= 2e-5 * $2) }' || fail "-c $*: $pair, found $(number "${pair% *}")"
    done
    echo "$(number bits_per_byte) $n $nats $(number scored_bytes)" |
        awk '{ d = $1 - $2 * $3 / log(2) / $4; exit !(d < 1e-4 && d > -1e-4) }' ||
        fail "-c $*: bits per byte"
}

for window in 512 8 5; do
    cut_all $window
    expect 1
    compare $window --all
    if [ -n "$bos" ]; then
        [ "$(number scored_bytes)" -eq "$(wc -c <"$scratch/text")" ] || fail "not all bytes"
    fi
done
for window in 12 9 4 3; do
    cut_usual $window
    expect $((window / 2 + 1))
    compare $window
done
cut_usual 4
head -n 2 "$scratch/windows" >"$scratch/two" && mv "$scratch/two" "$scratch/windows"
expect 3
compare 4 --chunks 2
run 0 perplexity $m -f "$scratch/text" -c 8 -q
[ ! -s "$err" ] || fail "-q is not quiet"
for word in perplexity nats bits scored windows; do
    grep -q "^$word " "$out" || fail "no $word"
done
"$sluice" perplexity $m -c 8 <"$scratch/text" >"$scratch/again" 2>"$err" || fail "standard input"
cmp -s "$out" "$scratch/again" || fail "standard input"

# The figures of llama-perplexity (llama.cpp of 2026) for the starter model and a text beside it,
# which say 0.5 % more or less.
heldout=$models/heldout.txt
near() { # near FOUND EXPECTED SHARE
    echo "$1 $2 $3" | awk '{ d = $1 - $2; if (d < 0) d = -d; exit !(d <= $3 * $2) }'
}
if [ "$model" = "$models/sluice-starter.gguf" ]; then
    run 0 perplexity $m -f "$heldout" --json
    near "$(number perplexity)" 18.8444 0.005 || fail "llama-perplexity says 18.8444"
    near "$(number standard_error)" 0.57543 0.005 || fail "llama-perplexity says +/- 0.57543"
    if [ -z "${TEST_QUICK:-}" ]; then
        run 0 perplexity $m -f "$heldout" --json -c 64
        near "$(number perplexity)" 19.2093 0.005 || fail "llama-perplexity says 19.2093"
    fi
fi

# A reference of itself: no divergence but for the rounding to 16 bits.
reference="$scratch/reference"
run 0 perplexity $m -f "$heldout" -c 64 --chunks 6 --save-reference "$reference" --json
cp "$out" "$scratch/first"
vocabulary=$(od -An -td4 -j 12 -N 4 "$reference" | tr -d ' ')
odd=$((vocabulary % 2))
[ "$(wc -c <"$reference")" -eq $((20 + 6 * 64 * 4 + 6 * 31 * (8 + 2 * (vocabulary + odd)))) ] ||
    fail "the reference has $(wc -c <"$reference") bytes"
[ "$(head -c 8 "$reference")" = _logits_ ] || fail "no magic"
run 0 perplexity $m --reference "$reference" -q --json
# value NAME MEMBER: of what the reference came to.
value() {
    sed -n "/^  \"$1\": {/,/}/s/^   \"$2\": \([0-9.e+-]*\),*\$/\1/p" "$out"
}
[ "$(number perplexity)" = "$(sed -n 's/^ "perplexity": \(.*\),/\1/p' "$scratch/first")" ] ||
    fail "another perplexity with a reference"
near "$(value perplexity value)" "$(number perplexity)" 1e-6 || fail "the reference's perplexity"
near "$(value same_top value)" 1 0.02 || fail "not the same top"
for limit in "kl_divergence most 1e-4" "rms_delta_p value 1e-4" "ln_ratio value 1e-5"; do
    set -- $limit
    echo "$(value "$1" "$2") $3" | awk '{ exit !($1 <= $2 && $1 >= -$2) }' ||
        fail "$1: $(value "$1" "$2") with itself"
done
cp "$out" "$scratch/without"
run 0 perplexity $m -f "$heldout" -c 64 --chunks 6 --reference "$reference" -q --json
cmp -s "$out" "$scratch/without" || fail "the text and the reference's tokens differ"
run 0 perplexity $m --kl-divergence --kl-divergence-base "$reference" -q --json
cmp -s "$out" "$scratch/without" || fail "--kl-divergence"
run 0 perplexity $m -f "$heldout" -c 64 --chunks 6 --kl-divergence-base "$scratch/again" -q
cmp -s "$scratch/again" "$reference" || fail "--kl-divergence-base saves something else"
run 0 perplexity $m --reference "$reference" -q -t 2 -b 5 --json
cmp -s "$out" "$scratch/without" || fail "threads and batches change the figures"
# Rows are scored by whoever is free, sixteen at a time, and added up and saved in their order.
for threads in 1 2 3; do
    run 0 perplexity $m -f "$heldout" -c 64 --chunks 6 --save-reference "$scratch/again" -q --json \
        -t $threads
    cmp -s "$out" "$scratch/first" || fail "$threads threads change the figures"
    cmp -s "$scratch/again" "$reference" || fail "$threads threads change what is saved"
    run 0 perplexity $m --reference "$reference" -q --json -t $threads
    cmp -s "$out" "$scratch/without" || fail "$threads threads change the figures beside a reference"
done
run 0 perplexity $m --reference "$reference"
for word in reference ratio KL same "mean delta" "RMS delta"; do
    grep -q "^$word " "$out" || fail "no $word"
done
run 0 perplexity $m --reference "$reference" --chunks 2
grep -q "^windows *2 " "$out" || fail "--chunks with a reference"
run 0 perplexity $m -f "$heldout" -c 64 --chunks 9 --reference "$reference"
grep -q "the reference has 6 windows and the text 9" "$err" || fail "not told of fewer windows"

# Keys and values of four bits: the figures are of the model that runs, not of the one that was
# saved.
run 0 perplexity $m --reference "$reference" -q --json -ctk q4_0 -ctv q4_0
echo "$(value kl_divergence value) $(value kl_divergence standard_error)" |
    awk '{ exit !($1 > 1e-4 && $1 > 3 * $2) }' || fail "no divergence with keys of four bits"
echo "$(value kl_divergence median) $(value kl_divergence percentile_90) \
    $(value kl_divergence percentile_99) $(value kl_divergence most)" |
    tr -d '\n' | awk '{ exit !($1 < $2 && $2 < $3 && $3 <= $4) }' || fail "percentiles do not grow"

# References that do not fit.
refuse 2 "windows of 64 tokens, -c asks for 32" perplexity $m --reference "$reference" -c 32
refuse 2 "windows of 64 tokens, expected 32" perplexity $m --reference "$reference" -c 32 \
    -f "$heldout"
refuse 2 "of another text, or of another tokenizer: token 1 of window 0 is" perplexity $m -q \
    --reference "$reference" -f "$0"
head -c 5000 "$reference" >"$scratch/short"
refuse 2 "truncated" perplexity $m --reference "$scratch/short"
refuse 2 "not a reference" perplexity $m --reference "$heldout"
refuse 2 "No such file" perplexity $m --reference "$scratch/none"
golden=$(dirname "$0")/../golden/families/llama/model.gguf
refuse 2 "of a vocabulary of $vocabulary tokens, the model has 312" perplexity -m "$golden" \
    --reference "$reference"
refuse 2 "no reference" perplexity $m -f "$heldout" --kl-divergence
refuse 2 "--all has none" perplexity $m -f "$heldout" --all --save-reference "$scratch/x"
# Scales that cannot be: where the first row begins.
cp "$reference" "$scratch/bad"
printf '\377\377\377\177' | dd of="$scratch/bad" bs=1 seek=$((20 + 6 * 64 * 4)) conv=notrunc \
    2>/dev/null
refuse 2 "window 0, row 0" perplexity $m --reference "$scratch/bad"
refuse 2 "cannot write" perplexity $m -f "$heldout" --save-reference "$scratch/none/x"
[ ! -e "$scratch/x" ] || fail "something is left"

# What is interrupted leaves nothing.
mkdir "$scratch/folder"
i=0
while [ $i -lt 100 ]; do
    cat "$heldout"
    i=$((i + 1))
done >"$scratch/long"
: >"$err"
"$sluice" perplexity $m -f "$scratch/long" --save-reference "$scratch/folder/x" --chunks 200 \
    >"$out" 2>"$err" </dev/null &
job=$!
tries=0
while [ ! -s "$err" ] && [ $tries -lt 100 ]; do # it tells of progress after a second
    sleep 0.1
    tries=$((tries + 1))
done
kill -TERM $job
wait $job
[ $? -eq 143 ] || fail "not ended by the signal"
[ -z "$(ls "$scratch/folder")" ] || fail "what was interrupted leaves $(ls "$scratch/folder")"

: >"$scratch/empty"
# A text counts, with its tokens.
head -c 20000000 /dev/zero | tr '\0' x >"$scratch/large"
refuse 2 "reserved by the caller" perplexity $m -f "$scratch/large" --memory 64M
refuse 2 "too short" perplexity $m -f "$scratch/empty"
refuse 2 "too short" perplexity $m -f "$scratch/empty" --all
refuse 2 "expected at least a window of 64" perplexity $m -f "$scratch/text" -c 64
refuse 2 "at least 3 tokens, found 2 (-c)" perplexity $m -f "$scratch/text" -c 2
refuse 2 "at least 2 tokens, found 1 (-c)" perplexity $m -f "$scratch/text" -c 1 --all
exit 0
