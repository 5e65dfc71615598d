# sluice convert: the same model in another file; whole or absent, also when it is killed.
. "$(dirname "$0")/common.inc"
need_model
folder=$scratch/folder
mkdir "$folder"
tokens=1,15,7,30,2,2,9

# logits FILE NAME: what the model computes, in NAME.npy
logits() {
    run 0 logits -m "$1" --tokens $tokens -o "$scratch/$2.npy"
}

# As it is: nothing changes. To floats: the values are those of before, so that floats of a smaller
# type that came from f32 do not change either.
logits "$model" source
run 0 convert "$model" "$folder/same.gguf"
[ ! -s "$out" ] || fail "something on standard output"
logits "$folder/same.gguf" same
cmp -s "$scratch/source.npy" "$scratch/same.npy" || fail "a copy computes something else"
for type in f32 f16 bf16 q8_0; do
    run 0 convert "$model" "$folder/$type.gguf" --type $type
    upper=$(echo $type | tr a-z A-Z)
    run 0 inspect "$folder/$type.gguf" --tensors
    grep -q "token_embd.weight  *$upper" "$out" || fail "$type: the embedding has another type"
    grep -q "output_norm.weight  *F32" "$out" || fail "$type: a norm is not F32"
done
run 0 convert "$folder/f32.gguf" "$folder/again.gguf" --type f16
cmp -s "$folder/f16.gguf" "$folder/again.gguf" || fail "f32 to f16 is not the same as f16"
run 0 convert "$folder/f16.gguf" "$folder/one.gguf" --type q8_0 -t 1
run 0 convert "$folder/f16.gguf" "$folder/two.gguf" --type q8_0 -t 2
cmp -s "$folder/one.gguf" "$folder/two.gguf" || fail "threads change the bytes"
rm "$folder"/*

# Onto itself, as the new file takes the old one's place at the end.
cp "$model" "$folder/self.gguf"
run 0 convert "$folder/self.gguf" "$folder/self.gguf"
logits "$folder/self.gguf" self
cmp -s "$scratch/source.npy" "$scratch/self.npy" || fail "a model onto itself is another"
rm "$folder"/*

# A set of files.
run 0 convert "$model" "$folder/set.gguf" --split-max-size 1M
count=$(ls "$folder" | wc -l)
[ "$count" -ge 3 ] || fail "only $count files"
for i in $(seq 1 "$count"); do
    [ -f "$folder/set-$(printf '%05d-of-%05d' "$i" "$count").gguf" ] || fail "no file $i of $count"
done
rm "$folder"/*

# Models of other kinds become what the usual writers make of them: the same bits as GGUF files that
# another program wrote, and the tokens of the model's own tokenizer.
golden=$(dirname "$0")/../golden
printf 'The king, 1234 times, went  home; and so did we.\n\n\tTo-morrow? Ça va — 日本.' >"$scratch/text"
# becomes SOURCE GGUF: converted, SOURCE computes what GGUF does and keeps its tokens.
becomes() {
    run 0 convert "$1" "$folder/made.gguf"
    logits "$2" golden
    logits "$folder/made.gguf" converted
    cmp -s "$scratch/golden.npy" "$scratch/converted.npy" || fail "$1: other logits"
    run 0 tokenize -m "$1" -f "$scratch/text" --ids
    cp "$out" "$scratch/ids"
    run 0 tokenize -m "$folder/made.gguf" -f "$scratch/text" --ids
    cmp -s "$out" "$scratch/ids" || fail "$1: other tokens"
    rm "$folder"/*
}
for name in bloom gemma2 gpt2 gptneox-parallel llama opt phi3-longrope qwen2; do
    becomes "$golden/families/$name/hf" "$golden/families/$name/model.gguf"
done
# Gemma 2 with a factor of scores of its own, which not every program reads: one line says so.
unread='attention.scale is not that of a head.s size: llama.cpp does not read'
run 0 convert "$golden/families/gemma2/hf" "$folder/made.gguf"
[ "$(grep -c "$unread" "$err")" -eq 1 ] || fail "not told of attention.scale"
run 0 quantize "$folder/made.gguf" "$folder/small.gguf" bf16
[ "$(grep -c "$unread" "$err")" -eq 1 ] || fail "quantize: not told of attention.scale"
run 0 convert "$golden/families/gemma3/hf" "$folder/made.gguf"
grep -q "attention.scale" "$err" && fail "told of an attention.scale that everybody computes"
rm "$folder"/*
for name in gpt2-q8_0 gptj-q4_0 gptneox-parallel-f16 llama-ggjt3-k llama-ggml-f16; do
    becomes "$golden/legacy/$name.bin" "$golden/legacy/$name.bin"
done

# What is refused leaves nothing.
refuse 2 "no model: give SOURCE" convert
refuse 2 "no file to write" convert "$model"
refuse 2 "unexpected argument 'x'" convert "$model" "$folder/a" x
refuse 2 "expected f32, f16, bf16 or q8_0 (sluice quantize makes others), found 'q9'" \
    convert "$model" "$folder/a.gguf" --type q9
refuse 2 "No such file" convert "$scratch/none" "$folder/a.gguf"
refuse 2 "cannot write $scratch/none/a" convert "$model" "$scratch/none/a"
head -c 100000 "$model" >"$scratch/cut"
refuse 2 "" convert "$scratch/cut" "$folder/a.gguf"
[ -z "$(ls -A "$folder")" ] || fail "something is left: $(ls -A "$folder")"

# A file that may not become so large stands in for a full disk.
(
    trap '' XFSZ
    ulimit -f 1000
    "$sluice" convert "$model" "$folder/a.gguf" >"$out" 2>"$err"
    echo $? >"$scratch/status"
)
[ "$(cat "$scratch/status")" -eq 1 ] || fail "a full disk: status $(cat "$scratch/status")"
grep -q "cannot write $folder/a.gguf: File too large" "$err" || fail "a full disk: no reason"
[ -z "$(ls -A "$folder")" ] || fail "a full disk: something is left: $(ls -A "$folder")"

# A disk that is too small, where this user may mount one: said before anything is written.
if can_mount; then
    on_small_disk 2m convert "$model" a.gguf --type f32
    grep -qE 'a.gguf: needs .* [1-9][0-9]* bytes are missing$' "$err" || fail "a small disk: no bytes"
    on_small_disk 2m convert "$model" a.gguf --type f32 --split-max-size 1M
    grep -qE '[1-9][0-9]* bytes are missing$' "$err" || fail "a small disk: no bytes for a set"
    # A link counts as what it leads to, and a pipe needs no room.
    : >"$folder/a.gguf"
    unshare -rm sh -c 'mount -t tmpfs -o size=16k none "$1" && cd "$1" && ln -s "$2" l &&
        "$3" convert "$4" l -q && "$3" convert "$4" /dev/stdout -q | cat >"$2.piped"' - \
        "$scratch/small" "$folder/a.gguf" "$sluice" "$model" 2>"$err" || fail "a link to a larger disk"
    cmp -s "$folder/a.gguf" "$folder/a.gguf.piped" || fail "a pipe has something else"
    rm "$folder"/*
fi

# Killed at any moment: no file of the final name, or a whole one.
run 0 convert "$model" "$scratch/whole.gguf" --type f32
kill_at_any_moment "$folder" "$scratch/whole.gguf" convert "$model" "$folder/k.gguf" --type f32
exit 0
