# Hugging Face folders: every command takes the folder, or the file of weights in it, in place of a
# model file, and what is wrong with one is a line.
. "$(dirname "$0")/common.inc"
families=${0%/cli/*}/golden/families
folder=$families/gpt2/hf
[ -d "$folder" ] || skip "tests/golden/families is not there"
tokens=$(cat "$families/gpt2/tokens.txt")

# ---- what it holds ----

run 0 inspect "$folder"
for words in 'Hugging Face safetensors' 'architecture  gpt2' 'gpt2.block_count' 'tensors: '; do
    grep -qF -e "$words" "$out" || fail "inspect: no '$words'"
done
run 0 inspect "$families/gpt2/hf-bin"
grep -q 'Hugging Face PyTorch' "$out" || fail "inspect: not said to be PyTorch's"

# ---- the same logits from all forms ----

run 0 logits -m "$folder" --tokens "$tokens" -o "$scratch/a.npy"
for other in "$folder/" "$folder/model.safetensors" "$families/gpt2/hf-bin" \
    "$families/gpt2/hf-bin/pytorch_model.bin" "$families/gpt2/model.gguf"; do
    run 0 logits -m "$other" --tokens "$tokens" -o "$scratch/b.npy"
    cmp -s "$scratch/a.npy" "$scratch/b.npy" || fail "other logits from $other"
done

# ---- other commands ----

run 0 run -m "$folder" -p "the " -n 8 --temp 0
cp "$out" "$scratch/text"
[ -s "$out" ] || fail "run: no text"
run 0 run -m "$families/gpt2/hf-bin" -p "the " -n 8 --temp 0
cmp -s "$out" "$scratch/text" || fail "run: another text from vocab.json and merges.txt"
run 0 convert "$folder" "$scratch/e.gguf"
run 0 run -m "$scratch/e.gguf" -p "the " -n 8 --temp 0
cmp -s "$out" "$scratch/text" || fail "run: another text from what was converted"

run 0 plan -m "$folder" --bandwidth 50 --flops 1000 --disk 2
grep -q 'gpt2' "$out" || fail "plan: no gpt2"
run 0 bench -m "$folder" -p 8 -n 4 -r 1
[ -s "$out" ] || fail "bench: nothing"

# ---- as GGUF ----

cp -r "$families/gptj/hf" "$scratch/exact"
sed -i 's/gelu_new/gelu/' "$scratch/exact/config.json"
refuse 2 'the activation of this gptj is gelu, for which GGUF has no key' \
    convert "$scratch/exact" "$scratch/d.gguf"
[ ! -e "$scratch/d.gguf" ] || fail "an output was left behind"

# ---- what is wrong ----

mkdir "$scratch/empty"
refuse 2 'config.json: No such file' inspect "$scratch/empty"
cp "$folder/config.json" "$scratch/empty"
refuse 2 'there are no weights in the folder; looked for model.safetensors' logits \
    -m "$scratch/empty" --tokens 1 -o "$scratch/c.npy"
cp "$folder/model.safetensors" "$scratch/weights.safetensors"
refuse 2 'holds weights but not what model they are of' inspect "$scratch/weights.safetensors"
sed 's/"gpt2"/"gpt9"/' "$folder/config.json" >"$scratch/empty/config.json"
cp "$folder/model.safetensors" "$scratch/empty"
refuse 2 'the model_type "gpt9" is not supported; known: bloom,' inspect "$scratch/empty"
[ ! -e "$scratch/c.npy" ] || fail "an output was left behind"
