# Reads of a model larger than memory that fail, fall short, find the file's end or hang, at the
# first read, among those that load what stays in memory, and in a pass: the command ends with one
# clear line, or gives the text that it gives without. reads.sh COMMAND READ_FAULTS WRITE_MODEL
command=$1
preload=$2
write_model=$3
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
model=$scratch/model.gguf

fail() {
    echo "FAILED: $*" >&2
    sed 's/^/  stderr: /' "$scratch/err" | head -20 >&2
    exit 1
}

"$write_model" "$model" 4 320 || exit 1

# generate ARGUMENT... : some tokens, in $scratch/out. Batches of a few rows make a prompt of several
# passes.
generate() {
    "$@" "$command" run -m "$model" -p 'it was' -n 8 -c 40 -b 4 -t 2 --temp 0 -q $memory $lookup \
        >"$scratch/out" 2>"$scratch/err"
    status=$?
}

# faulty KIND AT COUNT: the same, with reads that go wrong. Sets $status and $faults.
faulty() {
    generate timeout 100 env LD_PRELOAD="$preload" SLUICE_IO="$io" READ_FAULTS_FILE="$model" \
        READ_FAULTS_KIND="$1" READ_FAULTS_AT="$2" READ_FAULTS_COUNT="$3" \
        READ_FAULTS_LOG="$scratch/log"
    [ -s "$scratch/log" ] || fail "$io: nothing was preloaded"
    reads=$(sed 's/ reads.*//' "$scratch/log")
    faults=$(sed 's/.*, \([0-9]*\) faulty/\1/' "$scratch/log")
    where="$io: $*"
}

same_text() {
    [ "$status" -eq 0 ] || fail "$where: exit status $status"
    cmp -s "$scratch/out" "$scratch/wanted" || fail "$where: another text"
    [ "$faults" -gt 0 ] || fail "$where: nothing happened"
}

# refused FRAGMENT: one line that says so and of which file, behind what is said of where weights
# are. The status is that of a bad file (2) while the model is loaded, and 1 while it computes.
refused() {
    [ "$status" -eq 1 ] || [ "$status" -eq 2 ] || fail "$where: exit status $status"
    grep -v 'of weights stay in memory' "$scratch/err" >"$scratch/line"
    [ "$(wc -l <"$scratch/line")" -eq 1 ] || fail "$where: not one line"
    grep -q "^sluice: the model file: .*$1" "$scratch/line" || fail "$where: no '$1'"
    [ "$faults" -gt 0 ] || fail "$where: nothing happened"
}

memory=
lookup=
generate env
[ "$status" -eq 0 ] || fail "the model is no good"
[ -s "$scratch/out" ] || fail "no text"
cp "$scratch/out" "$scratch/wanted"

# The least memory in which it is streamed: each refusal says how much more it takes.
least=1
memory="--memory ${least}M"
generate env
while [ "$status" -ne 0 ]; do
    more=$(sed -n 's/.*needs \([0-9]*\) MiB.*/\1/p' "$scratch/err")
    [ "${more:-0}" -gt "$least" ] || fail "no least memory, after $least MiB"
    least=$more
    memory="--memory ${least}M"
    generate env
done
if ! grep -q 'are read from the file for each pass' "$scratch/err"; then
    fail "not streamed in $least MiB"
fi
cmp -s "$scratch/out" "$scratch/wanted" || fail "another text within $least MiB"

# Matrices so small that the ring's share of memory has room for more than can be read at once.
if [ -z "${TEST_QUICK:-}" ]; then
    whole=$model least_memory=$memory
    model=$scratch/deep.gguf
    "$write_model" "$model" 330 64 || exit 1
    memory=
    generate env
    cp "$scratch/out" "$scratch/deep"
    memory='--memory 40M'
    generate timeout -s KILL 100
    [ "$status" -eq 0 ] || fail "many small matrices: exit status $status"
    grep -q 'are read from the file for each pass' "$scratch/err" || fail "they are not streamed"
    cmp -s "$scratch/out" "$scratch/deep" || fail "many small matrices: another text"
    rm "$model"
    model=$whole memory=$least_memory
fi

for io in threads 'threads buffered'; do
    for more in 0 1; do # none of the weights in memory, and some
        memory="--memory $((least + more))M"
        faulty none 1 0
        [ "$status" -eq 0 ] && [ "$reads" -gt 100 ] || fail "$io: $reads reads"
        middle=$((reads / 2))
        for at in 1 2 $((reads / 3)) $middle; do
            faulty eio "$at" 1
            refused 'Input/output error'
            faulty short "$at" 1
            same_text
        done
        faulty eio 1 0
        refused 'Input/output error'
        faulty short 1 0
        same_text
        faulty slow $middle 1
        same_text
    done
    # A direct read that gives nothing is tried again through the page cache; once that gives
    # nothing either, the file has ended.
    faulty end 1 1
    [ "$io" = threads ] && same_text || refused 'ends at byte'
    faulty end $middle 0
    refused 'ends at byte'
done

# With drafts, passes of several tokens, the reads go wrong as well.
io=threads
lookup=--lookup
memory="--memory $((least + 2))M"
faulty short 1 0
same_text
faulty eio $middle 1
refused 'Input/output error'

# What batch put into its spill file and cannot read back is computed anew.
for i in 1 2 3 4 5 6; do
    printf '{"custom_id":"%d","method":"POST","url":"/v1/completions","body":' $i
    printf '{"prompt":"%d it was the best of times, it was the worst of times, it was the age",' $i
    printf '"max_tokens":80,"temperature":0}}\n'
done >"$scratch/in.jsonl"
# complete FILE ARGUMENT... : the results, but for what hangs on the clock, in FILE.
complete() {
    results=$1
    shift
    rm -f "$scratch/out.jsonl"
    env "$@" "$command" batch -m "$model" -i "$scratch/in.jsonl" -o "$scratch/out.jsonl" \
        --ignore-eos -c 160 -b 150 -np 6 --pool "$pool" --spill-dir "$scratch" $memory 2>"$scratch/err" ||
        fail "batch: exit status $?"
    sed -E 's/"created":[0-9]+,//' "$scratch/out.jsonl" | sort >"$results"
}
pool=1200
memory=
complete "$scratch/wanted"
# Weights that are read for each pass, in which prompts are computed bit by bit.
memory="--memory $((least + 5))M"
complete "$scratch/found"
grep -q 'are read from the file for each pass' "$scratch/err" || fail "batch: not streamed"
cmp -s "$scratch/wanted" "$scratch/found" || fail "batch within memory: other results"
memory=
pool=288
for kind in none eio end; do
    complete "$scratch/found" LD_PRELOAD="$preload" READ_FAULTS_FILE=nameless \
        READ_FAULTS_KIND=$kind READ_FAULTS_AT=2 READ_FAULTS_LOG="$scratch/log"
    cmp -s "$scratch/wanted" "$scratch/found" || fail "batch, $kind: other results"
    [ $kind = none ] || {
        grep -q ', 1 faulty' "$scratch/log" || fail "batch, $kind: $(cat "$scratch/log")"
        grep -q 'cannot read the spill file.*: Input/output error; from here' "$scratch/err" ||
            fail "batch, $kind: no word of it"
    }
done
exit 0
