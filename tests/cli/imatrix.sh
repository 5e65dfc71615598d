# sluice imatrix: the same file however it is computed, both kinds, whole or absent.
. "$(dirname "$0")/common.inc"
need_model
m="-m $model"
folder=$scratch/folder
lines=${TEST_QUICK:+20} # for the emulator and the sanitizers: a shorter text
lines=${lines:-60}
mkdir "$folder"
i=0
while [ $i -lt "$lines" ]; do
    echo "On day $i the king went out, and the queen, who had seen the sea, stayed at home."
    i=$((i + 1))
done >"$scratch/text"
tokens=$("$sluice" tokenize $m -f "$scratch/text" --ids | wc -w)

# The same bytes whatever the threads and the batch.
run 0 imatrix $m -f "$scratch/text" -o "$folder/a.gguf" -c 64
[ ! -s "$out" ] || fail "something on standard output"
windows=$((tokens / 64))
grep -q "28 tensors, from $windows windows of 64 tokens" "$err" || fail "not told"
run 0 imatrix $m -f "$scratch/text" -o "$folder/b.gguf" -c 64 -t 3 -b 7 -q
[ ! -s "$err" ] || fail "-q is not quiet"
cmp -s "$folder/a.gguf" "$folder/b.gguf" || fail "threads and batches change the file"

# What is in it.
run 0 inspect "$folder/a.gguf" --tensors
for line in 'general.type = "imatrix"' "imatrix.chunk_count = $windows" "imatrix.chunk_size = 64" \
    'imatrix.datasets = 1 strings: "text"' 'blk.0.attn_q.weight.in_sum2  *F32  *\[256\]' \
    'blk.3.ffn_down.weight.in_sum2  *F32  *\[768\]' 'blk.3.ffn_down.weight.counts  *F32  *\[1\]'; do
    grep -q "$line" "$out" || fail "no $line"
done
! grep -q 'token_embd\|  output' "$out" || fail "an output matrix"

# Fewer windows; standard input; the output matrix, here the embedding's, as well.
run 0 imatrix $m -f "$scratch/text" -o "$folder/few.gguf" -c 64 --chunks 2
grep -q "from 2 windows" "$err" || fail "--chunks"
"$sluice" imatrix $m -o "$folder/stdin.gguf" -c 64 <"$scratch/text" 2>"$err" || fail "standard input"
run 0 imatrix $m -f "$scratch/text" -o "$folder/out.gguf" -c 64 --process-output
grep -q "29 tensors" "$err" || fail "--process-output"
run 0 inspect "$folder/out.gguf" --tensors
grep -q 'token_embd.weight.in_sum2' "$out" || fail "--process-output: no output matrix"

# The older kind: a number of entries, the first one's name behind its length.
run 0 imatrix $m -f "$scratch/text" -o "$folder/a.dat" -c 64
[ "$(od -An -td4 -N 8 "$folder/a.dat" | tr -s ' ')" = " 28 19" ] || fail "not the older kind"

# A model whose output matrix is its own, by its file's names.
golden=$(dirname "$0")/../golden/families/gpt2
run 0 imatrix -m "$golden/hf" -f "$scratch/text" -o "$folder/hf.gguf" -c 32
run 0 imatrix -m "$golden/model.gguf" -f "$scratch/text" -o "$folder/gguf.gguf" -c 32
cmp -s "$folder/hf.gguf" "$folder/gguf.gguf" || fail "a folder and its GGUF file differ"

# Refusals, which leave nothing.
rm "$folder"/*
refuse 2 "give -o FILE" imatrix $m -f "$scratch/text"
refuse 2 "no model" imatrix -f "$scratch/text" -o "$folder/x.gguf"
printf 'Too short.' >"$scratch/short"
refuse 2 "expected at least a window of 64" imatrix $m -f "$scratch/short" -o "$folder/x.gguf" -c 64
refuse 2 "at least 3 tokens" imatrix $m -f "$scratch/text" -o "$folder/x.gguf" -c 2
refuse 2 "MiB" imatrix $m -f "$scratch/text" -o "$folder/x.gguf" --memory 4M
refuse 2 "cannot write" imatrix $m -f "$scratch/text" -o "$folder/none/x.gguf"
[ -z "$(ls "$folder")" ] || fail "a refusal leaves $(ls "$folder")"
if [ -e /dev/full ]; then
    refuse 1 "No space left" imatrix $m -f "$scratch/text" -o /dev/full -c 64 -q
fi

# Ended from outside.
i=0
while [ $i -lt 400 ]; do
    cat "$scratch/text"
    i=$((i + 1))
done >"$scratch/long"
"$sluice" imatrix $m -f "$scratch/long" -o "$folder/x.gguf" 2>"$err" </dev/null &
job=$!
tries=0
while [ -z "$(ls "$folder")" ] && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
kill -TERM $job
wait $job
[ $? -eq 143 ] || fail "not ended by the signal"
grep -q interrupted "$err" || fail "not told that it was interrupted"
[ -z "$(ls "$folder")" ] || fail "what was interrupted leaves $(ls "$folder")"
exit 0
