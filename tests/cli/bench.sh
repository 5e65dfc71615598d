# sluice bench: the three forms say the same things, lists mean every combination, and what cannot be
# measured is refused.
. "$(dirname "$0")/common.inc"
need_model
m="-m $model"
few="-r 2 --memory 160M" # leaves the probe of memory a small buffer

# A table: a row for each of threads, depths, lengths.
run 0 bench $m -p 8,16 -n 2 -d 0,12 -t 1,2 $few
grep -q '^| model .*| type .*| threads | test .*| tokens/s |' "$out" || fail "no head"
[ "$(wc -l <"$out")" -eq 14 ] || fail "not two lines of head and twelve rows"
for test in 'pp8  ' 'pp16  ' 'tg2  ' 'pp8 @ d12' 'pp16 @ d12' 'tg2 @ d12'; do
    [ "$(grep -c "| $test" "$out")" -eq 2 ] || fail "not two rows of $test"
done
[ "$(grep -c '^| [^|]*|[^|]*|       2 | ' "$out")" -eq 6 ] || fail "not six rows of two threads"
grep -q '^| [^|]*|[^|]*|[^|]*| pp8 .* %' "$out" || fail "no share of the limit"

# CSV: as many columns in each row as in the head.
run 0 bench $m -p 8 -n 2 -r 3 -o csv --memory 160M
[ "$(awk -F, '{ print NF }' "$out" | sort -u | wc -l)" -eq 1 ] || fail "CSV of uneven rows"
head -1 "$out" | grep -q '^test,tokens_per_second,min,max,threads,model,type,' || fail "CSV head"
awk -F, 'NR > 1 && !($3 > 0 && $3 <= $2 && $2 <= $4 && $10 == 3) { exit 1 }' "$out" ||
    fail "min, median and max are not in order, or not of three"
# The share is that of the mean of both limits; the rate of a prompt that of its operations.
awk -F, 'NR > 1 { share = 100 * $11 / (($14 + $15) / 2)
                  if (share / $16 > 1.01 || share / $16 < 0.99) exit 1 }' "$out" || fail "shares"

# JSON: a list of objects with the keys that are promised.
run 0 bench $m -p 8 -n 2 -t 2 $few -o json
for key in test tokens_per_second min max threads model type depth sequences repetitions rate rate_unit \
    limit_kind limit_before limit_after percent_of_limit; do
    [ "$(grep -c "^  \"$key\": " "$out")" -eq 2 ] || fail "JSON: not two of $key"
done
if command -v python3 >/dev/null; then
    python3 - "$out" <<'END' || fail "JSON: not as described"
import json, sys
prompt, generation = json.load(open(sys.argv[1]))
assert prompt["test"] == "pp8" and generation["test"] == "tg2"
assert prompt["rate_unit"] in ("GOP/s", "GFLOP/s") and generation["rate_unit"] == "GB/s"
assert generation["limit_kind"] == "read" and prompt["threads"] == 2
for o in (prompt, generation):
    assert 0 < o["min"] <= o["tokens_per_second"] <= o["max"]
    assert o["limit_before"] > 0 and o["limit_after"] > 0
END
fi

# Several sequences together: a row for each number of them, none for prompts; the rate is that of
# all together, whichever limit is the nearer.
run 0 bench $m -p 4 -n 3 -np 1,4 -d 0,40 -t 1 $few -o csv
tests=$(awk -F, 'NR > 1 { printf "%s;", $1 }' "$out")
[ "$tests" = "pp4;tg3;tg3x4;pp4 @ d40;tg3 @ d40;tg3x4 @ d40;" ] || fail "-np: tests $tests"
awk -F, 'NR > 1 && $9 != ($1 ~ /x4/ ? 4 : 1) { exit 1 }' "$out" || fail "-np: sequences"
awk -F, 'NR > 1 && $1 ~ /x4/ && $13 !~ /read|int8/ { exit 1 }' "$out" || fail "-np: limits"
run 0 bench $m -p 4 -n 0 -np 9 -r 1 -o csv --memory 160M
[ "$(wc -l <"$out")" -eq 2 ] || fail "-np without -n: not one row"

# Only one kind; the same with no room for the probe of memory, which is said.
run 0 bench $m -p 0 -n 1 -r 1 --memory 60M -o csv
[ "$(wc -l <"$out")" -eq 2 ] || fail "-p 0: not one row"
grep -q '^tg1,' "$out" || fail "-p 0: not the generation"
grep -q ',read,,,$' "$out" || fail "a limit that was not measured"
[ "$(grep -c 'that limit is left out' "$err")" -eq 1 ] || fail "not said once"

# The limits alone.
for form in md csv json; do
    run 0 bench --limits -t 1,2 --memory 64M -o "$form"
    for kind in read int8 bf16 f32; do
        [ "$(grep -c "$kind" "$out")" -ge 2 ] || fail "--limits -o $form: not two of $kind"
    done
done

# A model that is made up; the emulator takes minutes for it.
if [ -z "${TEST_QUICK:-}" ]; then
    run 0 bench --shape gpt2-117m --type Q4_K_M -p 2 -n 1 -r 1 -o csv
    grep -q '^pp2,.*,"gpt2-117m",Q4_K_M,' "$out" || fail "--shape"
fi

refuse 2 "no model" bench
refuse 2 "expected one of -m, --shape and --limits" bench $m --limits
refuse 2 "expected one of -m, --shape and --limits" bench $m --shape llama-7b --type q4_0
refuse 2 "--shape needs --type" bench --shape llama-7b
refuse 2 "--type is for --shape" bench $m --type q4_0
refuse 2 "tinyllama-1.1b" bench --shape nothing --type q4_0
refuse 2 "q4_k_m" bench --shape llama-7b --type q9
refuse 2 "budget is 4096 MiB; in the smaller type" bench --shape llama-7b --type f16 --memory 4G \
    -p 1 -n 1
refuse 2 "budget is 1024 MiB; no type" bench --shape llama-7b --type f16 --memory 1G
refuse 2 "nothing to measure" bench $m -p 0 -n 0
refuse 2 "takes 64 MiB of it, but there are 63 MiB" bench --limits --memory 63M
refuse 2 "$scratch/none" bench -m "$scratch/none"
for value in '' x 1, ,1 1,,2 -1 1.5 '1 2' 268435457; do
    refuse 2 "-p: expected whole numbers from 0 to 268435456 with commas between them" \
        bench $m -p "$value"
done
refuse 2 "-t: expected whole numbers from 1 to 1024" bench $m -t 0
refuse 2 "-np: expected whole numbers from 1 to 4096" bench $m -np 0
refuse 2 "keys and values of 512000 positions" bench $m -p 1 -n 500 -np 1024 --memory 1G
refuse 2 "-r: expected a whole number from 1 to 1000" bench $m -r 0
refuse 2 "-o: expected one of md json csv" bench $m -o xml
exit 0
