# sluice inspect: the forms agree, and tensors lie where they are said to lie.
. "$(dirname "$0")/common.inc"
need_model

run 0 inspect "$model" --tensors
cp "$out" "$scratch/people"
[ ! -s "$err" ] || fail "something on standard error"
for word in format size architecture parameters metadata tensors; do
    grep -q "^$word" "$out" || fail "no $word"
done
grep -q "^size *$(wc -c <"$model") bytes" "$out" || fail "the size is not that of the file"
count=$(sed -n 's/^tensors: //p' "$out")
[ "$(grep -c '  at [0-9]*, [0-9]* bytes$' "$out")" -eq "$count" ] || fail "not $count tensors"
last=$(sed -n 's/.*  at \([0-9]*\), \([0-9]*\) bytes$/\1 \2/p' "$out" |
    awk '{ if ($1 + $2 > end) end = $1 + $2 } END { print end }')
[ "$last" -le "$(wc -c <"$model")" ] || fail "a tensor ends behind the file"
run 0 inspect "$model"
[ "$(grep -c '  at [0-9]*, [0-9]* bytes$' "$out")" -eq 0 ] || fail "tensors unasked"

run 0 inspect --json "$model"
grep -q "^ \"file_bytes\": $(wc -c <"$model"),\$" "$out" || fail "--json: no size"
[ "$(grep -c '^   "offset": ' "$out")" -eq "$count" ] || fail "--json: not $count tensors"
if command -v python3 >/dev/null; then
    python3 - "$out" "$count" <<'END' || fail "--json: not as described"
import json, sys
o = json.load(open(sys.argv[1]))
assert len(o["tensors"]) == int(sys.argv[2])
assert o["architecture"] == o["metadata"]["general.architecture"]
assert sum(t["bytes"] for t in o["types"].values()) == sum(t["bytes"] for t in o["tensors"])
values = 0
for t in o["tensors"]:
    n = 1
    for d in t["shape"]:
        n *= d
    values += n
assert values == o["parameters"]
END
fi

run 0 inspect --program "$model"
sed '1,/^program:$/d' "$out" >"$scratch/program"
[ "$(wc -l <"$scratch/program")" -gt 2 ] || fail "no program"

# A file whose strings would do things to a terminal: shown escaped, and whole in JSON.
word() { printf "\\$(printf %o "$1")\\000\\000\\000"; }
long() { word "$1" && word 0; }
{
    printf GGUF && word 3 && long 0 && long 2
    long 20 && printf general.architecture && word 8 && long 5 && printf llama
    long 6 && printf 'x\033[31m' && word 8 && long 8 && printf '\377\033]0;x\007"'
} >"$scratch/hostile.gguf"
for form in --tensors --json; do
    run 0 inspect $form "$scratch/hostile.gguf"
    [ "$(LC_ALL=C tr -d ' -~\n' <"$out" | wc -c)" -eq 0 ] || fail "$form: strange bytes are printed"
done
grep -qF '\u001B[31m": "\u00FF\u001B]0;x\u0007\""' "$out" || fail "--json: strings are lost"
run 0 inspect "$scratch/hostile.gguf"
grep -qF 'x\x1b[31m = "\xff\x1b]0;x\x07\""' "$out" || fail "strings are lost"

# The plan goes with it.
run 0 inspect --plan -t 1 "$model"
grep -q '^tensors: ' "$out" && grep -q 'tokens/s' "$out" || fail "--plan: no plan"
run 0 inspect --plan --json -t 1 "$model"
grep -q '^ "plan": {$' "$out" || fail "--plan --json: no plan"

# Two models: the same; the same weights as another type; another model.
run 0 inspect "$model" "$model"
grep -q "^tensors: $count the same\$" "$out" || fail "a model differs from itself"
[ "$(grep -c '^  [-+~]' "$out")" -eq 0 ] || fail "a model differs from itself"
run 0 convert "$model" "$scratch/f32.gguf" --type f32
run 0 inspect --json "$model" "$scratch/f32.gguf"
grep -q '^ "same": false,$' "$out" || fail "another type is the same"
grep -q '"type": "F32"' "$out" || fail "no types"
[ "$(grep -c '"different": [1-9]' "$out")" -eq 0 ] || fail "decoded weights differ"
run 0 inspect "$model" "$scratch/f32.gguf"
grep -q 'Q8_0 \[.* -> F32 \[.*  the same values$' "$out" || fail "types are not shown"
grep -q '^  ~ general.file_type = ' "$out" || fail "metadata are not compared"
golden=$(dirname "$0")/../golden/families
run 0 inspect "$golden/llama/hf" "$golden/llama/model.gguf"
[ "$(grep -c 'values differ' "$out")" -eq 0 ] || fail "a folder's values differ from GGUF's"
run 0 inspect "$golden/llama/model.gguf" "$golden/qwen2/model.gguf"
grep -q '^  - ' "$out" && grep -q '^  + ' "$out" || fail "what only one has is not shown"
run 0 inspect "$model" "$scratch/hostile.gguf"
grep -qF '+ x\x1b[31m = "\xff\x1b]0;x\x07\""' "$out" || fail "strange bytes are printed"
refuse 2 "for one model" inspect "$model" "$model" --tensors
refuse 2 "$scratch/none" inspect "$model" "$scratch/none"
refuse 2 "$scratch/none" inspect "$scratch/none"
: >"$scratch/empty"
refuse 2 "$scratch/empty" inspect "$scratch/empty"
head -c 100 "$model" >"$scratch/cut"
refuse 2 "$scratch/cut" inspect "$scratch/cut"
exit 0
