# sluice quantize: every type from every kind of source; the report; whole or absent.
. "$(dirname "$0")/common.inc"
need_model
folder=$scratch/folder
mkdir "$folder"
golden=$(dirname "$0")/../golden
tokens=1,15,7,30,2,2,9
run 0 convert "$model" "$scratch/f16.gguf" --type f16
run 0 convert "$model" "$scratch/f32.gguf" --type f32
f16=$scratch/f16.gguf

# Each type: it computes something near to the source, the bytes do not depend on the threads, and
# the file says what it is. file_type numbers are ggml's.
while read -r type number; do
    case $type in # under the emulator and the sanitizers: fewer types
    q8_0 | Q4_K | iq4_xs) ;;
    *) [ -z "${TEST_QUICK:-}" ] || continue ;;
    esac
    run 0 quantize "$f16" "$folder/a.gguf" "$type" -t 2
    [ ! -s "$out" ] || fail "$type: something on standard output"
    cp "$err" "$scratch/report"
    run 0 quantize "$f16" "$folder/b.gguf" "$type" -t 1
    cmp -s "$folder/a.gguf" "$folder/b.gguf" || fail "$type: threads change the bytes"
    # Not the totals, which have the time, and not progress, which a slow machine shows.
    sed '$d; /^quantizing /d' "$scratch/report" >"$scratch/lines"
    sed '$d; /^quantizing /d' "$err" | cmp -s - "$scratch/lines" ||
        fail "$type: threads change the report"
    run 0 inspect "$folder/a.gguf"
    grep -q "general.file_type = $number\$" "$out" || fail "$type: another file_type"
    grep -q "general.quantization_version = 2\$" "$out" || fail "$type: no quantization_version"
    run 0 logits -m "$folder/a.gguf" --tokens $tokens -o "$scratch/a.npy"
done <<END
F32 0
f16 1
BF16 32
q8_0 7
Q4_0 2
q4_1 3
q5_0 8
q5_1 9
q2_k 10
Q2_K_S 21
q3_k_s 11
q3_k 12
q3_k_m 12
q3_k_l 13
q4_k_s 14
Q4_K 15
q4_k_m 15
q5_k_s 16
q5_k 17
q5_k_m 17
q6_k 18
iq4_nl 25
iq4_xs 30
mxfp4 38
mxfp4_moe 38
END
rm "$folder"/*

# What loses nothing is the same file as convert's.
run 0 quantize "$scratch/f32.gguf" "$folder/a.gguf" f16
cmp -s "$folder/a.gguf" "$f16" || fail "f16 is not what convert makes"
grep -q 'token_embd.weight .* F32 -> F16 .* error [0-9.e-]*$' "$err" || fail "no line of a tensor"
grep -q 'blk.0.attn_norm.weight .* F32 -> F32 .* error 0$' "$err" || fail "no line of a norm"
tail -1 "$err" | grep -q ' -> .*, 16\.[0-9]* bits per weight, .* s, .*/s read$' || fail "no totals"
run 0 quantize "$f16" "$folder/a.gguf" q4_0 -q
[ ! -s "$err" ] || fail "-q says something"

# The report as JSON, and the same without writing.
run 0 quantize "$f16" "$folder/a.gguf" q4_k_m --json
cp "$out" "$scratch/json"
for part in '"name": "blk.0.attn_v.weight"' '"from": "F16"' '"to": "Q6_K"' '"bits_per_weight"' \
    '"dry_run": false' '"error": 0\.0'; do
    grep -q "$part" "$scratch/json" || fail "--json: no $part"
done
size=$(wc -c <"$folder/a.gguf" | tr -d ' ')
grep -q "\"file_bytes\": $size," "$scratch/json" || fail "--json: another size than $size"
run 0 quantize "$f16" q4_k_m --dry-run --json
for part in name shape from to bytes_ file_bytes; do
    grep "\"$part" "$scratch/json" >"$scratch/one"
    grep "\"$part" "$out" | cmp -s - "$scratch/one" || fail "--dry-run: another $part"
done
rm "$folder"/*
run 0 quantize "$f16" "$folder/a.gguf" q4_k_m --dry-run
[ -z "$(ls -A "$folder")" ] || fail "--dry-run writes"
grep -q 'token_embd.weight .* F16 -> Q6_K .* [kM]B$' "$err" || fail "--dry-run: no line of a tensor"

# type_of NAME: what the report says.
type_of() {
    sed -n "s/^$1  .* -> \([A-Z][A-Z0-9_]*\) .*/\1/p" "$err"
}
# expect NAME TYPE ARGUMENT... : what becomes of a tensor.
expect() {
    name=$1
    type=$2
    shift 2
    run 0 quantize "$f16" --dry-run "$@"
    [ "$(type_of "$name")" = "$type" ] || fail "$name is $(type_of "$name"), not $type: $*"
}
expect blk.1.ffn_up.weight Q8_0 q4_0 --tensor-type 'ffn_(up|gate)=q8_0'
expect blk.1.ffn_up.weight F16 q4_0 --tensor-type 'ffn_=q8_0' --tensor-type '^blk\.1=F16'
expect blk.0.ffn_up.weight Q8_0 q4_0 --tensor-type 'ffn_=q8_0' --tensor-type '^blk\.1=F16'
expect token_embd.weight Q5_1 q4_0 --token-embedding-type q5_1
expect token_embd.weight Q4_0 q4_0 --pure
run 0 quantize "$f16" q4_0 --dry-run --tensor-type 'nothing=q8_0'
grep -q "'nothing=q8_0' is found in no name" "$err" || fail "no word of a pattern in vain"
run 0 quantize "$f16" Q2_K_S --dry-run
grep -q 'does badly without an importance matrix' "$err" || fail "no word of q2_k_s"

# A set of files.
run 0 quantize "$f16" "$folder/set.gguf" q8_0 --split-max-size 1M
[ "$(ls "$folder" | wc -l)" -ge 3 ] || fail "no set of files"
rm "$folder"/*

# What is quantized already is taken only when that is said, and then a notice tells.
run 0 quantize "$f16" "$scratch/q8.gguf" q8_0
refuse 2 "--allow-requantize" quantize "$scratch/q8.gguf" "$folder/a.gguf" q4_0
refuse 2 "is Q8_0 already" quantize "$scratch/q8.gguf" "$folder/a.gguf" f16
run 0 quantize "$scratch/q8.gguf" "$folder/a.gguf" q4_0 --allow-requantize
grep -q 'quantized already' "$err" || fail "no word of quantizing again"
run 0 quantize "$scratch/q8.gguf" "$folder/a.gguf" q8_0
grep -q 'Q8_0 -> Q8_0 .* error 0$' "$err" || fail "what stays has an error"
cmp -s "$folder/a.gguf" "$scratch/q8.gguf" || fail "what stays changes"
rm "$folder"/*

# Sources of other kinds. Rows of 32 values are no blocks of 256.
for source in families/gpt2/hf families/llama/hf families/phi3/hf legacy/gptneox-parallel-f16.bin \
    legacy/llama-ggml-f16.bin; do
    run 0 quantize "$golden/$source" "$folder/a.gguf" q4_k_m
    grep -q 'no whole blocks of their type in a row, hence of another type: [0-9]* tensors$' "$err" ||
        fail "$source: no word of rows"
    grep -q '^blk.0.ffn_down.weight .* instead of Q[46]_K$' "$err" || fail "$source: no instead of"
    run 0 logits -m "$folder/a.gguf" --tokens $tokens -o "$scratch/a.npy"
done
rm "$folder"/*

# With an importance matrix: other bytes, the keys that tell of it, and who is not in it.
run 0 imatrix -m "$f16" -f "$models/heldout.txt" -o "$scratch/matrix.gguf" -c 64 --chunks 4
run 0 quantize "$f16" "$folder/a.gguf" q4_k_s
run 0 quantize "$f16" "$folder/b.gguf" q4_k_s --imatrix "$scratch/matrix.gguf" --json
grep -q '"importance": true' "$out" || fail "--imatrix: nothing is weighed"
run 0 quantize "$f16" "$folder/b.gguf" q4_k_s --imatrix "$scratch/matrix.gguf" -t 1
cmp -s "$folder/a.gguf" "$folder/b.gguf" && fail "--imatrix changes nothing"
grep -q 'without an entry in the importance matrix' "$err" || fail "--imatrix: no word of what lacks"
grep -q '^token_embd.weight .* no importance$' "$err" || fail "--imatrix: no mark"
run 0 inspect "$folder/b.gguf"
# Names alone: folders are nobody else's business.
grep -q 'quantize.imatrix.file = "matrix.gguf"' "$out" || fail "--imatrix: no file"
grep -q 'quantize.imatrix.dataset = "heldout.txt"' "$out" || fail "--imatrix: no text"
grep -qF "$scratch" "$folder/b.gguf" && fail "--imatrix: the file tells of folders"
grep -qF "$models" "$scratch/matrix.gguf" && fail "imatrix: the file tells of folders"
grep -q 'quantize.imatrix.entries_count = [1-9]' "$out" || fail "--imatrix: no entries_count"
grep -q 'quantize.imatrix.chunks_count = 4' "$out" || fail "--imatrix: no chunks_count"
rm "$folder"/*

# What is refused leaves nothing.
refuse 2 "no model: give SOURCE" quantize
refuse 2 "no file to write" quantize "$f16"
refuse 2 "no type: sluice quantize SOURCE DEST.gguf TYPE" quantize "$f16" "$folder/a.gguf"
refuse 2 "unexpected argument '4'" quantize "$f16" "$folder/a.gguf" q4_0 4
refuse 2 "no type is named 'q9'; known: f32, f16, bf16, q8_0, q4_0" \
    quantize "$f16" "$folder/a.gguf" q9
refuse 2 "expected PATTERN=TYPE, found 'attn'" quantize "$f16" "$folder/a.gguf" q4_0 \
    --tensor-type attn
refuse 2 "'a(=q4_0' at 2: missing closing parenthesis" quantize "$f16" "$folder/a.gguf" q4_0 \
    --tensor-type 'a(=q4_0'
refuse 2 "the output matrix: no type is named 'q9'" quantize "$f16" "$folder/a.gguf" q4_0 \
    --output-tensor-type q9
refuse 2 "No such file" quantize "$f16" "$folder/a.gguf" q4_0 --imatrix "$scratch/none"
refuse 2 "" quantize "$f16" "$folder/a.gguf" q4_0 --imatrix "$f16"
refuse 2 "No such file" quantize "$scratch/none" "$folder/a.gguf" q4_0
refuse 2 "cannot write $scratch/none/a" quantize "$f16" "$scratch/none/a" q4_0 -q
head -c 100000 "$f16" >"$scratch/cut"
refuse 2 "" quantize "$scratch/cut" "$folder/a.gguf" q4_0
[ -z "$(ls -A "$folder")" ] || fail "something is left: $(ls -A "$folder")"

# A file that may not become so large stands in for a full disk.
(
    trap '' XFSZ
    ulimit -f 1000
    "$sluice" quantize "$f16" "$folder/a.gguf" q8_0 >"$out" 2>"$err"
    echo $? >"$scratch/status"
)
[ "$(cat "$scratch/status")" -eq 1 ] || fail "a full disk: status $(cat "$scratch/status")"
grep -q "cannot write $folder/a.gguf: File too large" "$err" || fail "a full disk: no reason"
[ -z "$(ls -A "$folder")" ] || fail "a full disk: something is left: $(ls -A "$folder")"

# A disk that is too small, where this user may mount one: said before anything is written, or when
# somebody else fills it meanwhile, with the number of bytes.
if can_mount; then
    on_small_disk 1m quantize "$f16" a.gguf q8_0
    grep -q 'a.gguf: needs .* has only .* left: [1-9][0-9]* bytes are missing$' "$err" ||
        fail "a small disk: no bytes"
    on_filling_disk 6m quantize "$f16" a.gguf q8_0
    missing=$(sed -n 's/.*cannot write .*: the disk is full: \([0-9]*\) bytes are missing$/\1/p' \
        "$err")
    [ "${missing:-0}" -gt 0 ] || fail "a disk that fills: no bytes"
    run 0 quantize "$f16" "$folder/a.gguf" q8_0
    [ "$missing" -lt "$(wc -c <"$folder/a.gguf")" ] || fail "a disk that fills: $missing bytes"
    # Of a set the files that follow are missing, too.
    on_filling_disk 6m quantize "$f16" a.gguf q8_0 --split-max-size 1M
    all=$(sed -n 's/.*cannot write .*: the disk is full: \([0-9]*\) bytes are missing$/\1/p' "$err")
    [ "${all:-0}" -gt 1000000 ] || fail "a set on a disk that fills: ${all:-no} bytes"
    rm "$folder"/*
fi

# Killed at any moment: no file of the final name, or a whole one.
run 0 quantize "$f16" "$scratch/whole.gguf" q5_1 --pure -t 1
kill_at_any_moment "$folder" "$scratch/whole.gguf" quantize "$f16" "$folder/k.gguf" q5_1 --pure -t 1

# Asked to end at any moment: nothing, or a whole file that was ready by then.
for i in 1 2 3 4 5 6 7 8; do
    "$sluice" quantize "$f16" "$folder/k.gguf" q5_1 --pure -t 1 2>/dev/null &
    sleep "0.0$i"
    kill -TERM $! 2>/dev/null
    wait $! 2>/dev/null
    status=$?
    if [ "$status" -eq 0 ]; then
        cmp -s "$folder/k.gguf" "$scratch/whole.gguf" || fail "done, but not whole"
    else
        [ "$status" -eq 143 ] || fail "ended by SIGTERM with status $status"
        [ -z "$(ls -A "$folder")" ] || fail "ended: something is left: $(ls -A "$folder")"
    fi
    rm -f "$folder"/*
done
exit 0
