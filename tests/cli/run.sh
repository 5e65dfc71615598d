# sluice run: what it prints, where it stops, what it refuses.
. "$(dirname "$0")/common.inc"
need_model
m="-m $model"

# The text alone on standard output, statistics alone on standard error.
run 0 run $m -p 'Once upon a time' -n 12 --temp 0
cp "$out" "$scratch/twelve"
[ -s "$out" ] || fail "no text"
for word in load prompt generation sampling weights memory seed stopped; do
    grep -q "^$word " "$err" || fail "no '$word' in the statistics"
done
grep -q '^generation  *12 tokens' "$err" || fail "not 12 tokens"
memory='[0-9.]* [MG]B at its peak, of [0-9.]* [MG]B planned$'
grep -q "^memory  *$memory" "$err" || fail "no memory planned"
grep -q 'stopped .*after the 12 tokens' "$err" || fail "no reason for the stop"

printf 'Once upon a time' >"$scratch/prompt"
for command in "perplexity --all" "logits -o $scratch/x.npy"; do
    run 0 $command $m -f "$scratch/prompt" -v
    grep -q "^sluice: memory: $memory" "$err" || fail "$command -v: no memory planned"
done

# The same again, in every way to say it; -q leaves standard error empty.
run 0 run $m --prompt 'Once upon a time' --predict 12 --temp 0 -q
cmp -s "$out" "$scratch/twelve" || fail "the text differs the second time"
[ ! -s "$err" ] || fail "-q is not quiet"
run 0 run $m '--prompt=Once upon a time' --n-predict=12 --temperature=0 -t 1 -b 1
cmp -s "$out" "$scratch/twelve" || fail "the text depends on threads or batches"
run 0 run $m -e -p 'Once\x20upon a time' -n 12 --temp 0
cmp -s "$out" "$scratch/twelve" || fail "-e"
printf 'Once upon a time\n' >"$scratch/prompt"
run 0 run $m -f "$scratch/prompt" -n 12 --temp 0
cmp -s "$out" "$scratch/twelve" || fail "-f"
"$sluice" run $m -n 12 --temp 0 -q <"$scratch/prompt" >"$out" || fail "standard input"
cmp -s "$out" "$scratch/twelve" || fail "standard input"
"$sluice" run $m -f - -n 12 --temp 0 -q <"$scratch/prompt" >"$out" || fail "-f -"
cmp -s "$out" "$scratch/twelve" || fail "-f -"
run 0 run $m -p 'Once upon a time' -n 12 --temp 0 --echo
{ printf 'Once upon a time' && cat "$scratch/twelve"; } | cmp -s "$out" - || fail "--echo"

# Rearranged weights give the same text; without them as much is planned as where none are made.
run 0 run $m -p 'Once upon a time' -n 12 --temp 0 --no-repack
cmp -s "$out" "$scratch/twelve" || fail "--no-repack"
planned=$(grep -o '[^,]* planned' "$err")
SLUICE_CPU=plain "$sluice" run $m -p 'Once upon a time' -n 12 --temp 0 >"$out" 2>"$err"
cmp -s "$out" "$scratch/twelve" || fail "SLUICE_CPU=plain"
[ "$planned" = "$(grep -o '[^,]* planned' "$err")" ] || fail "--no-repack: $planned"
for command in "logits -o $scratch/x.npy" "perplexity --all" "bench -p 2 -n 1 -r 1"; do
    text="-f $scratch/prompt"
    [ "${command#bench}" = "$command" ] || text=
    run 0 $command $m $text --no-repack --memory 160M
done

# Fewer tokens are the beginning of more; none is none.
run 0 run $m -p 'Once upon a time' -n 5 --temp 0
size=$(wc -c <"$out")
head -c "$size" "$scratch/twelve" | cmp -s "$out" - || fail "5 tokens do not begin 12"
run 0 run $m -p 'Once upon a time' -n 0
[ ! -s "$out" ] || fail "-n 0 prints something"

# A seed gives the same text; the one that is printed can be given back.
run 0 run $m -p 'Once' -n 30 -s 7
cp "$out" "$scratch/seven"
run 0 run $m -p 'Once' -n 30 -s 7
cmp -s "$out" "$scratch/seven" || fail "seed 7 gives two texts"
run 0 run $m -p 'Once' -n 30
cp "$out" "$scratch/random"
seed=$(sed -n 's/^seed  *//p' "$err")
run 0 run $m -p 'Once' -n 30 -s "$seed"
cmp -s "$out" "$scratch/random" || fail "seed $seed does not repeat"

# Reverse prompts: cut before it, wherever it begins.
text=$(cat "$scratch/twelve")
for start in 2 5 9; do
    stop=$(printf '%s' "$text" | cut -c "$start-$((start + 3))" | head -1)
    [ "${#stop}" -eq 4 ] || continue
    before=${text%%"$stop"*}
    run 0 run $m -p 'Once upon a time' -n 12 --temp 0 -r nonsense -r "$stop"
    printf '%s' "$before" | cmp -s "$out" - || fail "-r '$stop'"
    grep -q 'stopped .*reverse prompt' "$err" || fail "no reason for the stop"
done

# The context.
run 0 run $m -p 'Once upon a time' -n 500 -c 20 --temp 0 --ignore-eos
grep -q 'stopped .*context of 20 positions is full' "$err" || fail "a full context is not said"
count=$("$sluice" tokenize $m -p 'Once upon a time' --ids | wc -w)
grep -q "^prompt  *$count tokens" "$err" || fail "not $count tokens of prompt"
grep -q "^generation  *$((20 - count)) tokens" "$err" || fail "not $((20 - count)) tokens"
own=$("$sluice" inspect "$model" | sed -n 's/.*context_length[^0-9]*\([0-9]*\).*/\1/p')
run 0 run $m -p 'Once upon a time' -n $((own + 1 - count)) -r ' '
grep -q "^sluice: -n asks for $((own + 1 - count)) tokens, but .* $own positions has room for \
$((own - count)) after" "$err" || fail "-n beyond the context is not said"
for fits in "-n $((own - count))" "-n $own -c $own"; do
    run 0 run $m -p 'Once upon a time' $fits -r ' '
    ! grep -q 'has room for' "$err" || fail "$fits: a note of too short a context"
done
refuse 2 "the prompt has $count tokens and does not fit into the context of 2" \
    run $m -p 'Once upon a time' -c 2

# A forbidden token does not come; a favoured one does.
first=$("$sluice" run $m -p 'Once upon a time' -n 1 --temp 0 -q)
id=$("$sluice" tokenize $m -p "Once upon a time$first" --ids | awk '{ print $NF }')
run 0 run $m -p 'Once upon a time' -n 1 --temp 0 --logit-bias "$id-inf"
[ "$(cat "$out")" != "$first" ] || fail "--logit-bias ID-inf"
run 0 run $m -p 'Once upon a time' -n 3 --temp 100 --top-k 0 --top-p 1 --min-p 0 -l "$id+1e9"
[ "$(cat "$out")" = "$first$first$first" ] || fail "--logit-bias ID+X: '$(cat "$out")'"
refuse 2 "--logit-bias: expected a token from 0 to " run $m -p x --logit-bias 99999999+1

# Memory: refused with its number, or a smaller context where that is our own choice. A copy of the
# model that says it was trained for 1048576 positions stands in for a large one.
refuse 2 "MiB" run $m -p x -n 5 --memory 1M
at=$(LC_ALL=C grep -abo 'llama.context_length' "$model" | head -1 | cut -d : -f 1)
[ -n "$at" ] || fail "no context length in the model"
cp "$model" "$scratch/long.gguf"
chmod u+w "$scratch/long.gguf"
# Behind the name are four bytes of type and the number.
printf '\000\000\020\000' |
    dd of="$scratch/long.gguf" bs=1 seek=$((at + 24)) conv=notrunc 2>"$err" || fail "dd"
"$sluice" run -m "$scratch/long.gguf" -p 'Once upon a time' --memory 64M --ignore-eos \
    2>"$err" | head -c 20 >"$out"
[ "$(wc -c <"$out")" -eq 20 ] || fail "no text with a halved context"
grep -q 'context of 1048576 positions does not fit into memory; using [0-9]* ' "$err" ||
    fail "the smaller context is not said"
refuse 2 "MiB" run -m "$scratch/long.gguf" -p x --memory 64M -c 0
grep -q 'needs less (-c, -ctk, -ctv)$' "$err" || fail "no word of the options that need less"

# Types of keys and values: each gives a text, or says that its blocks do not fit the heads.
for type in f32 bf16 q8_0 q4_0; do
    if "$sluice" run $m -p 'Once upon a time' -n 4 --temp 0 -ctk $type -ctv $type >"$out" 2>"$err"
    then
        [ -s "$out" ] || fail "-ctk $type: no text"
    else
        refuse 2 "expected a multiple of 32" run $m -p x -n 4 -ctk $type
        refuse 2 "expected a multiple of 32" run $m -p x -n 4 -ctv $type
    fi
done

# Files that are not there or no models.
refuse 2 "$scratch/none" run -m "$scratch/none" -p x
refuse 2 "$scratch" run -m "$scratch" -p x
: >"$scratch/empty"
refuse 2 "$scratch/empty" run -m "$scratch/empty" -p x
refuse 2 "cannot open $scratch/none: No such file" run $m -f "$scratch/none"
refuse 2 "cannot read $scratch: Is a directory" run $m -f "$scratch"
refuse 2 "not both" run $m -p x -f "$scratch/prompt"
refuse 2 "prompt is empty" run $m -p '' --no-bos
exit 0
