# Files other than one GGUF: a GGUF in several files, llama2.c's, and ggml's first formats, by every
# command that opens a model.
. "$(dirname "$0")/common.inc"
need_model

# ---- several files: the same text, whichever of them is named
run 0 convert "$model" "$scratch/whole.gguf"
run 0 convert "$model" "$scratch/part.gguf" --split-max-size 400K
set -- "$scratch"/part-*-of-*.gguf
[ $# -ge 2 ] || fail "only $# files"
first=$1 last=
for last; do :; done
run 0 run -m "$scratch/whole.gguf" -p "The" -n 12 --temp 0
cp "$out" "$scratch/text"
for part in "$first" "$last"; do
    run 0 run -m "$part" -p "The" -n 12 --temp 0
    cmp -s "$out" "$scratch/text" || fail "another text from $part"
    run 0 inspect "$part"
    grep -q "parameters" "$out" || fail "inspect says nothing of $part"
    run 0 tokenize -m "$part" -p "The sluice" --ids
done
run 0 plan -m "$first" --bandwidth 20 --flops 100 --disk 1
mv "$last" "$scratch/away"
refuse 2 "$(basename "$last")" run -m "$first" -p "The" -n 1
refuse 2 "is missing" inspect "$first"
mv "$scratch/away" "$last"
mv "$first" "$scratch/alone.gguf"
refuse 2 "expected a name that ends in -00001-of-" run -m "$scratch/alone.gguf" -p "The"

# ---- what is none
printf 'tjgg\004\000\000\000' >"$scratch/bad"
refuse 2 "version 1 to 3, found 4" run -m "$scratch/bad" -p "The"
printf 'algg\001\000\000\000' >"$scratch/bad"
refuse 2 "LoRA adapter" inspect "$scratch/bad"
printf 'lmgg\001\000\000\000' >"$scratch/bad"
refuse 2 "ggml's old format" inspect "$scratch/bad"
printf '24ka\003\000\000\000' >"$scratch/bad"
refuse 2 "llama2.c" inspect "$scratch/bad"
printf 'no model' >"$scratch/bad"
refuse 2 "no model file that is known" inspect "$scratch/bad"
refuse 2 "$scratch/bad: is no tokenizer's file" run -m "$model" --tokenizer "$scratch/bad" -p "The" -n 1
printf '{"model": {"type": "BPE"' >"$scratch/broken.json"
refuse 2 "$scratch/broken.json: " run -m "$model" --tokenizer "$scratch/broken.json" -p "The" -n 1
refuse 2 "$scratch/none" run -m "$model" --tokenizer "$scratch/none" -p "The" -n 1

# ---- llama2.c
[ -f "$shared/models/stories260K.bin" ] || exit 0
cp "$shared/models/stories260K.bin" "$scratch/model.bin"
refuse 2 "--tokenizer" run -m "$scratch/model.bin" -p "Once" -n 4
run 0 logits -m "$scratch/model.bin" --tokens 1,5,300 -o "$scratch/a.npy"
run 0 logits -m "$shared/models/stories260K.gguf" --tokens 1,5,300 -o "$scratch/b.npy"
cmp -s "$scratch/a.npy" "$scratch/b.npy" || fail "the checkpoint's logits are not the GGUF's"
run 0 bench -m "$scratch/model.bin" -p 4 -n 2 -r 1
run 0 inspect "$scratch/model.bin"
grep -q "llama2.c v0" "$out" || fail "inspect does not say llama2.c v0"
run 0 run -m "$scratch/model.bin" --tokenizer "$shared/models/tok512.bin" -p '' --temp 0 -n 200
cmp "$out" "$shared/models/stories260K.greedy.txt" || fail "another text with --tokenizer"
cp "$shared/models/tok512.bin" "$scratch/tokenizer.bin"
run 0 run -m "$scratch/model.bin" -p '' --temp 0 -n 200
cmp "$out" "$shared/models/stories260K.greedy.txt" || fail "another text with tokenizer.bin"
exit 0
