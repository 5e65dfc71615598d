# sluice plan: text and JSON say the same, figures are measured once and kept, a cache that is
# damaged or another machine's is not believed, and what cannot work is refused with what would.
. "$(dirname "$0")/common.inc"
cache=$XDG_CACHE_HOME/sluice/machine.json
other="--bandwidth 50 --flops 1000 --disk 2"
shape="--shape tinyllama-1.1b --type q4_0"

# value KEY: a number of the JSON in $out whose key occurs once, or the first of them.
value() {
    sed -n "s/^ *\"$1\": \([0-9.e+-]*\),*$/\1/p" "$out" | head -1
}

# ---- another machine: nothing is measured, nothing is kept ----

run 0 plan $shape $other --memory 4G
for words in 'tinyllama-1.1b: llama, mostly Q4_0, 1.1 B parameters' \
    'memory 50.0 GB/s, arithmetic 1000.0 GOP/s, disk 2.0 GB/s' 'prompt of 512' 'generation after 512' \
    'generation after 2047' 'of 4.0 GiB' '1 sequence of 2048 positions, 22.0 KiB each' 'loading'; do
    grep -qF -e "$words" "$out" || fail "no '$words'"
done
grep -q '^  \[ww*kk*bb*pp*\.\.*\]$' "$out" || fail "no picture of the memory"
for n in 1 2 4 8 16 32 64; do
    grep -qE "^ +$n  .*(memory|arithmetic)" "$out" || fail "no $n sequences"
done
[ ! -e "$XDG_CACHE_HOME" ] || fail "figures that were given are kept"
[ ! -s "$err" ] || fail "something on standard error"

# JSON, alone on standard output; 2068840448 bytes of f16 for each pass, by hand.
run 0 plan --shape tinyllama-1.1b --type f16 $other --memory 4G --json -c 512
[ "$(value read_by_a_pass)" = 2068840448 ] || fail "weights of a pass: $(value read_by_a_pass)"
[ "$(value keys_and_values)" = 11534336 ] || fail "keys and values: $(value keys_and_values)"
[ "$(value budget)" = 4294967296 ] || fail "budget"
[ "$(grep -c '"tokens_per_second": [0-9]' "$out")" -eq 18 ] || fail "not eighteen speeds"
if command -v python3 >/dev/null; then
    python3 - "$out" <<'END' || fail "JSON: not as described"
import json, sys
p = json.load(open(sys.argv[1]))
m, pass_seconds = p["memory"], 2068840448 / 50e9
assert m["place"] in ("mapped", "rearranged") and m["read_from_disk_by_a_pass"] == 0
assert m["peak"] <= m["budget"] and m["all_weights_context"] == 512
assert abs(p["generation_full"]["tokens_per_second"] * (pass_seconds + 512 * 22528 / 50e9) - 1) < 1e-6
assert p["generation"]["limit"] == "memory" and p["prompt"]["limit"] == "arithmetic"
assert [g["sequences"] for g in p["groups"]] == [1, 2, 4, 8, 16, 32, 64]
assert p["machine"]["measured"] is None and p["machine"]["disk_gb_per_second"]["median"] == 2
assert p["load_seconds"] > 1
END
fi

# More than memory: what is read, what would help; the peak keeps to the budget.
run 0 plan --shape llama-7b --type q4_0 $other --memory 2G -c 1024
grep -q '^  \[ww*rr*kk*bb*pp*\.*\]$' "$out" || fail "no picture with a ring"
grep -qE 'of 3\.[0-9] GiB; a pass reads the other [0-9.]+ GiB from the file' "$out" || fail "streamed"
grep -qE 'generation after 1023 .* disk$' "$out" || fail "not limited by the disk"
grep -qE 'All weights stay in memory with --memory [0-9]+M\.' "$out" || fail "no advice"
more=$(sed -n 's/.*stay in memory with --memory \([0-9]*M\).*/\1/p' "$out")
run 0 plan --shape llama-7b --type q4_0 $other --memory "$more" -c 1024 --json
grep -qE '"place": "(mapped|rearranged)"' "$out" || fail "--memory $more does not keep all"
run 0 plan --shape llama-7b --type q4_0 $other --memory 2G -c 1024 --json
awk -F'[:,]' '/"peak"/ { peak = $2 } /"budget"/ { budget = $2 } END { exit !(peak <= budget) }' "$out" ||
    fail "the peak is over the budget"
run 0 plan --shape tinyllama-1.1b --type q8_0 $other --memory 1200M -c 8192
grep -qE 'with --memory [0-9]+M, or -c [0-9]+, or --type q[0-9a-z_]+\.' "$out" || fail "not all advice"
# Without a disk its speeds are unknown, and said so.
run 0 plan --shape llama-7b --type q4_0 --bandwidth 50 --flops 1000 --memory 2G -c 1024
grep -qE '^  loading +unknown' "$out" || fail "loading without a disk"
grep -qE '^  generation after 512 +unknown' "$out" || fail "generation without a disk"
# Every architecture that a shape may have.
for name in gpt2-1558m gpt-j-6b opt-350m opt-66b bloom-7b1; do
    run 0 plan --shape $name --type q4_0 $other --memory 4G -c 512
done
# Several sequences at the same time.
run 0 plan $shape $other --memory 4G -np 3 -c 100 -ctk q8_0
grep -qF '3 sequences of 100 positions' "$out" || fail "-np"
grep -qF 'in q8_0 and f16' "$out" || fail "-ctk"
# The context beyond what the model was trained for is noted.
run 0 plan $shape $other --memory 4G -c 4096
grep -qF 'more than the 2048 the model was trained for' "$err" || fail "no note on the context"

# ---- refusals ----

refuse 2 "no model" plan
refuse 2 "found both" plan -m x --shape y --type z
refuse 2 "--shape needs --type" plan --shape llama-7b
refuse 2 "--type is for --shape" plan -m x --type q4_0
refuse 2 "give both --bandwidth and --flops" plan $shape --bandwidth 50
refuse 2 "give both --bandwidth and --flops" plan $shape --flops 50
refuse 2 "give both --bandwidth and --flops" plan $shape --disk 50
refuse 2 "--remeasure is for this machine" plan $shape $other --remeasure
refuse 2 "tinyllama-1.1b" plan --shape nothing --type q4_0 $other
refuse 2 "q4_k_m" plan --shape llama-7b --type q9 $other
refuse 2 "$scratch/none" plan -m "$scratch/none"
refuse 2 "--bandwidth: expected a number" plan $shape --bandwidth fast
refuse 2 "--bandwidth: expected a number" plan $shape --bandwidth 0
refuse 2 "-np: expected a whole number from 1 to 4096" plan $shape -np 0
refuse 2 "-c: expected a whole number" plan $shape -c -1
refuse 2 "budget is 300 MiB; a context of" plan $shape $other -c 16384 --memory 300M
refuse 2 "so would keys and values in q8_0 (--memory, -c, -np, -ctk, -ctv)" \
    plan $shape $other -c 16384 --memory 300M
refuse 2 "needs at least" plan $shape --memory 10M
least=$(sed -n 's/.*needs at least \([0-9]*\) MiB.*/\1/p' "$err")
run 0 plan $shape $other --memory "${least}M"
[ ! -e "$XDG_CACHE_HOME" ] || fail "a refusal has measured"
# bench points here where a shape does not fit.
refuse 2 "sluice plan --shape llama-7b --type f16 says what it needs" \
    bench --shape llama-7b --type f16 --memory 1G

# ---- this machine; the emulator and the sanitizers would take minutes ----

[ -z "${TEST_QUICK:-}" ] || exit 0
need_model
run 0 plan -m "$model" --json -t 1
[ -s "$cache" ] || fail "no figures are kept"
[ "$(ls "$XDG_CACHE_HOME/sluice")" = machine.json ] || fail "files are left behind"
measured=$(sed -n 's/^ *"measured": \("[^"]*"\),*$/\1/p' "$out")
[ -n "$measured" ] || fail "no date"
cp "$cache" "$scratch/first"
# The second time nothing is measured; text has the date and the ranges.
run 0 plan -m "$model" -t 1
cmp -s "$cache" "$scratch/first" || fail "the second time is measured again"
grep -qE 'measured [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2} UTC' "$out" || fail "no date"
grep -qE '^  memory +[0-9.]+ GB/s' "$out" || fail "no bandwidth"
grep -qE '^  disk +[0-9.]+ GB/s .*of what was read before, else [0-9.]+ GB/s' "$out" || fail "no disk"
grep -qE 'one row [0-9.]+ GB/s.* 512 [0-9.]+ GOP/s' "$out" || fail "no kernels"
# `run` prints the plan now, in one line, unless it is to be quiet.
run 0 run -m "$model" -p Once -n 2 -t 1
grep -qE '^sluice: plan: all .* of weights in memory: about [0-9.]+ tokens/s \((memory|arithmetic)\), peak' \
    "$err" || fail "no plan before a run"
# -n beyond the model's context, which bounds the text, is no reason to plan for as much.
run 0 run -m "$model" -p Once -n 200000000 -t 1 --temp 0 -r e -r a -r ' '
grep -qE '^sluice: plan: all .* of weights in memory: ' "$err" || fail "no plan with a large -n"
run 0 run -m "$model" -p Once -n 2 -t 1 -q
[ ! -s "$err" ] || fail "-q prints a plan"

# Other figures than those of now are not used: of another number of threads, processor, features.
run 0 run -m "$model" -p Once -n 2 -t 3
grep -q 'plan:' "$err" && fail "figures of another number of threads are used"
for name in processor features; do
    sed "s/\"$name\": \"[^\"]*\"/\"$name\": \"another\"/" "$scratch/first" >"$cache"
    run 0 run -m "$model" -p Once -n 2 -t 1
    grep -q 'plan:' "$err" && fail "figures of another $name are used"
done
# They stay beside those of this machine, which are measured: now there are two.
run 0 plan -m "$model" -t 1
[ "$(grep -c '"processor"' "$cache")" -eq 2 ] || fail "figures of the other machine are lost"

# Damaged in any way: not used, and quietly so by `run`.
damaged() {
    run 0 run -m "$model" -p Once -n 1 -t 1
    grep -q 'plan:' "$err" && fail "used though damaged: $1"
    grep -q 'damaged' "$err" && fail "run tells of a damaged cache: $1"
}
: >"$cache"
damaged "empty"
sed 's/"version": 2/"version": 3/' "$scratch/first" >"$cache"
damaged "another version"
sed 's/"threads": 1/"threads": -1/' "$scratch/first" >"$cache"
damaged "a negative number"
yes '[' | head -n 100000 | tr -d '\n' >"$cache"
damaged "deeply nested"
head -c 2000000 /dev/zero >"$cache"
damaged "too long"
# A median outside its range.
awk '/"read"/ { print; getline; print "    1e300,"; next } { print }' "$scratch/first" >"$cache"
damaged "a median outside its range"
printf 'not JSON\0at all' >"$cache"
damaged "no JSON"
# `plan` says it, measures anew, and the file is whole afterwards.
head -c 700 "$scratch/first" >"$cache"
damaged "cut short"
run 0 plan -m "$model" -t 1 -q
grep -qF "$cache is damaged" "$err" || fail "damage is not said"
grep -q '"version": 2' "$cache" || fail "not written anew"
run 0 plan -m "$model" -t 1
[ ! -s "$err" ] || fail "still damaged"

# --remeasure does so.
sed 's/"measured": "[^"]*"/"measured": "long ago"/' "$scratch/first" >"$cache"
run 0 plan -m "$model" -t 1
grep -q 'measured long ago' "$out" || fail "figures that were kept are not used"
run 0 plan -m "$model" -t 1 --remeasure
grep -q 'long ago' "$out" && fail "--remeasure has not measured"
grep -q 'long ago' "$cache" && fail "--remeasure has kept the old figures"

# Nowhere to keep them: said, and planned all the same.
: >"$scratch/plain"
XDG_CACHE_HOME=$scratch/plain run 0 plan -m "$model" -t 1 -q
grep -qF 'not kept: ' "$err" || fail "a folder that cannot be made"
grep -q '^speed' "$out" || fail "no plan without a folder"
(
    unset XDG_CACHE_HOME HOME
    run 0 plan -m "$model" -t 1 -q
    grep -qF 'neither XDG_CACHE_HOME nor HOME' "$err" || fail "no home"
) || exit 1
# XDG_CACHE_HOME that is relative does not count; HOME has ~/.cache, which is made.
mkdir "$scratch/home"
(cd "$scratch" && XDG_CACHE_HOME=relative HOME=$scratch/home run 0 plan -m "$model" -t 1 -q) || exit 1
[ -s "$scratch/home/.cache/sluice/machine.json" ] || fail "not in ~/.cache"
[ ! -e "$scratch/relative" ] || fail "a relative folder was made"
if [ "$(id -u)" -ne 0 ]; then
    mkdir "$scratch/locked"
    chmod 500 "$scratch/locked"
    XDG_CACHE_HOME=$scratch/locked run 0 plan -m "$model" -t 1 -q
    grep -qF 'not kept: ' "$err" || fail "a folder that may not be written to"
fi
exit 0
