# sluice batch: results in both forms, what is refused, and jobs that are ended and go on.
# BATCH_KILLS=50 ends the job that often at random moments; BATCH_SEED chooses them.
. "$(dirname "$0")/common.inc"
need_model
kills=${BATCH_KILLS:-${TEST_QUICK:+3}}
kills=${kills:-10}
seed=${BATCH_SEED:-$(date +%s)}
quick=${TEST_QUICK:-} # for the emulator and the sanitizers: fewer requests
many=${quick:+10}
many=${many:-24}
long=${quick:+10}
long=${long:-30}
golden=$(cd "$(dirname "$0")/../golden" && pwd)
cd "$scratch" || exit 1

# request ID PROMPT REST : a line of the input
request() {
    printf '{"custom_id":"%s","method":"POST","url":"/v1/completions","body":{"prompt":"%s"%s}}\n' \
        "$1" "$2" "$3"
}

# What does not depend on the clock, by request.
settled() {
    sed -E 's/"created":[0-9]+,//' "$1" | sort
}

# same FILE WHAT : results as in `wanted`
same() {
    settled "$1" | cmp -s - wanted || fail "$2: other results"
}

# value KEY : of the only result in results.jsonl, a text
value() {
    sed -E "s/.*\"$1\":\"([^\"]*)\".*/\1/" results.jsonl
}

batch() {
    status=$1
    shift
    run "$status" batch -m "$model" -o results.jsonl "$@"
}

# One request is what `run` prints for it, and has the form that OpenAI gives it.
request one 'Once upon a time' ',"max_tokens":12,"temperature":0' >one.jsonl
run 0 run -m "$model" -p 'Once upon a time' -n 12 --temp 0 -q
printed=$(cat "$out")
batch 0 -i one.jsonl
[ ! -s "$out" ] || fail "something on standard output"
[ "$(printf '%b' "$(value text)")" = "$printed" ] || fail "another text than run's: $(value text)"
line='^\{"id":"batch_req_[0-9a-f]{16}_1","custom_id":"one","response":\{"status_code":200,'
line=$line'"request_id":"[0-9a-f]{16}_1","body":\{"id":"cmpl-[0-9a-f]{16}_1",'
line=$line'"object":"text_completion","created":[0-9]{10,},"model":"[^"]*","choices":\['
line=$line'\{"text":"[^"]*","index":0,"logprobs":null,"finish_reason":"length"\}\],'
line=$line'"usage":\{"prompt_tokens":[0-9]+,"completion_tokens":12,"total_tokens":[0-9]+\}\}\},'
line=$line'"error":null\}$'
grep -qE "$line" results.jsonl || fail "the form of a result: $(cat results.jsonl)"
for word in load requests prompts generation passes pool memory; do
    grep -q "^$word " "$err" || fail "no '$word' in the statistics"
done

# Done is done: nothing is computed or written again.
cp results.jsonl before.jsonl
batch 0 -i one.jsonl -q
cmp -s results.jsonl before.jsonl || fail "a finished job was written again"
grep -q '1 of 1 requests are done already' "$err" || fail "no word of what is done"

# Stop texts, ends and seeds.
full=$(value text)
middle=$(printf '%s' "$full" | cut -c6-9)
request stop 'Once upon a time' ",\"max_tokens\":12,\"temperature\":0,\"stop\":[\"zzz\",\"$middle\"]" \
    >stop.jsonl
batch 0 -i stop.jsonl --restart -q
before=${full%%"$middle"*}
[ "$(value text)" = "$before" ] || fail "stop: '$(value text)' of '$full' up to '$middle'"
[ "$(value finish_reason)" = stop ] || fail "stop: another reason"
printf 'Once upon a time\n' >one.txt
batch 0 -i one.txt --restart -q -n 12 --temp 0 -r "$middle"
[ "$(value text)" = "$before" ] || fail "-r in plain text"
[ "$(value custom_id)" = line-1 ] || fail "the name of a line"
request a 'One' ',"max_tokens":0' >none.jsonl
batch 0 -i none.jsonl --restart -q
[ -z "$(value text)" ] || fail "no tokens are some"
request zeros 'a' ',"logit_bias":{"1":1,"01":1}' >zeros.jsonl
batch 0 -i zeros.jsonl --restart -q
grep -qF '"message":"logit_bias: expected an object of tokens and numbers"' results.jsonl ||
    fail "a token that is named twice: $(cat results.jsonl)"
# A prompt that fills the context leaves no room for a text, as it does not in `run`.
printf '{"custom_id":"full","method":"POST","url":"/v1/completions","body":{"prompt":%s}}\n' \
    '[5,6,7,8]' >full.jsonl
for room in 0 1; do
    batch 0 -i full.jsonl --restart -q -c $((4 + room)) --ignore-eos
    grep -qF "\"prompt_tokens\":4,\"completion_tokens\":$room," results.jsonl ||
        fail "a prompt of 4 tokens in a context of $((4 + room)): $(cat results.jsonl)"
    [ "$(value finish_reason)" = length ] || fail "a full context: another reason"
done
{ request a 'The' ',"seed":5' && request b 'The' ',"seed":5' && request c 'The' ',"seed":6'
    request d 'The' && request e 'The'; } >seeds.jsonl
batch 0 -i seeds.jsonl --ordered --restart -q
sed -E 's/.*"text":"([^"]*)".*/\1/' results.jsonl >texts
[ "$(sed -n 1p texts)" = "$(sed -n 2p texts)" ] || fail "a seed, two texts"
[ "$(sort -u texts | wc -l)" -ge 3 ] || fail "different seeds, the same text"

# Bad requests have results that say what is wrong; the others do not mind.
cat >bad.jsonl <<'END'
{"custom_id":"chat","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}}
{"custom_id":"url","method":"POST","url":"/v1/embeddings","body":{"prompt":"a"}}
{"custom_id":"method","method":"GET","url":"/v1/completions","body":{"prompt":"a"}}
{"custom_id":"hot","method":"POST","url":"/v1/completions","body":{"prompt":"a","temperature":"hot"}}
{"custom_id":"hotter","method":"POST","url":"/v1/completions","body":{"prompt":"a","temperature":1e9}}
{"custom_id":"many","method":"POST","url":"/v1/completions","body":{"prompt":"a","n":2}}
{"custom_id":"less","method":"POST","url":"/v1/completions","body":{"prompt":"a","max_tokens":-1}}
{"custom_id":"half","method":"POST","url":"/v1/completions","body":{"prompt":"a","max_tokens":1.5}}
{"custom_id":"unknown","method":"POST","url":"/v1/completions","body":{"prompt":"a","tools":[]}}
{"custom_id":"token","method":"POST","url":"/v1/completions","body":{"prompt":[1,99999999]}}
{"custom_id":"bias","method":"POST","url":"/v1/completions","body":{"prompt":"a","logit_bias":{"x":1}}}
{"custom_id":"stops","method":"POST","url":"/v1/completions","body":{"prompt":"a","stop":[""]}}
{"custom_id":"none","method":"POST","url":"/v1/completions","body":{}}
{"custom_id":"twice","method":"POST","url":"/v1/completions","body":{"prompt":"a","prompt":"b"}}
{"method":"POST","url":"/v1/completions","body":{"prompt":"a"}}
not JSON at all
[1,2,3]
{"custom_id":"top","method":"POST","url":"/v1/completions","max_tokens":3,"body":{"prompt":"a"}}
{"custom_id":"cut","method":"POST","url":"/v1/comp
{"custom_id":"good","method":"POST","url":"/v1/completions","body":{"prompt":"a","max_tokens":3,"user":"u","stop":null}}
END
{
    printf '{"custom_id":"bytes","method":"POST","url":"/v1/completions","body":{"prompt":"\377"}}\n'
    request nul 'a\u0000b' ',"max_tokens":2'
    printf '{"custom_id":"nul\\u0000name","method":"POST","url":"/v1/completions","body":{"prompt":"a","max_tokens":2}}\n'
    request big 'a' ',"seed":99999999999999999999999999'
    request deep 'a' ",\"stop\":$(printf '[%.0s' $(seq 5000))"
    request long "$(printf 'word %.0s' $(seq 2000))"
} >>bad.jsonl
batch 0 -i bad.jsonl --ordered --restart -q
[ "$(wc -l <results.jsonl)" -eq 26 ] || fail "not a result for each line"
[ "$(grep -c '"status_code":200' results.jsonl)" -eq 3 ] || fail "not three good ones"
[ "$(grep -c '"status_code":400' results.jsonl)" -eq 23 ] || fail "not 23 bad ones"
grep -q '23 requests were refused' "$err" || fail "no word of the refused"
# says ID FRAGMENT
says() {
    grep -F "\"custom_id\":$1," results.jsonl | grep -qF -e "$2" || fail "$1: no '$2'"
}
says '"chat"' '/v1/chat/completions needs chat templates'
says '"url"' 'url: expected \"/v1/completions\"'
says '"method"' 'method: expected \"POST\"'
says '"hot"' '"message":"temperature: expected a number from 0 to 100"'
says '"hot"' '"param":"temperature"'
says '"hotter"' 'from 0 to 100'
says '"many"' 'n: expected 1'
says '"less"' 'max_tokens: expected a whole number of at least 0'
says '"half"' 'max_tokens: expected a whole number'
says '"unknown"' 'tools: no such field'
says '"top"' 'max_tokens: no such field is known beside'
says '"token"' 'token 99999999 is outside the vocabulary'
says '"bias"' 'logit_bias: expected an object'
says '"stops"' 'stop: expected texts of 1 to'
says '"none"' 'prompt: expected a text or a list'
says null 'custom_id: expected a text'
says null 'expected a JSON object on one line'
says null 'duplicate object key'
says null 'too big integer'
says '"good"' '"status_code":200'
says '"nul"' '"status_code":200'
says '"nul\u0000name"' '"status_code":200'
says '"long"' 'does not fit into the context of'

# The job as a whole is refused before anything is written.
rm -f results.jsonl
none() {
    refuse 2 "$@"
    [ ! -e results.jsonl ] || fail "a file was made: $*"
}
{ request a x && request b y && echo && request a z; } >double.jsonl
b="batch -m $model -o results.jsonl"
none 'line 4 has the custom_id "a" of line 1' $b -i double.jsonl
none 'No such file' $b -i missing.jsonl
: >empty
none 'expected a request on each line' $b -i empty
none 'no requests: give -i FILE' $b
none 'no file for the results' batch -m "$model" -i one.jsonl
none "expected one of auto jsonl text" $b -i one.jsonl --input-format xml
none 'No such file' batch -m missing.gguf -o results.jsonl -i one.jsonl
cp one.jsonl both.jsonl
none 'are the same file' batch -m "$model" -i both.jsonl -o both.jsonl
none 'would gather in ./both.jsonl' batch -m "$model" -i both.jsonl -o ./both --plain --restart
cmp -s one.jsonl both.jsonl || fail "the requests were emptied"
cp "$model" own.gguf
none '-m and -o are the same file' batch -m own.gguf -i one.jsonl -o ./own.gguf --restart
cmp -s "$model" own.gguf || fail "the model was emptied"
rm own.gguf
none 'expected the name of a plain file' batch -m "$model" -i one.jsonl -o /dev/null
none 'No such file' batch -m "$model" -i one.jsonl -o missing/results.jsonl
none 'MiB' $b -i one.jsonl --memory 1M
run 2 $b -i one.txt -n 200000000 -c 200000000
grep -q 'MiB of memory' "$err" || fail "no word of the memory that is lacking"
[ ! -e results.jsonl ] || fail "an empty file is left"
printf 'my own notes\n' >notes
refuse 2 'line 1 is not a result of a batch' batch -m "$model" -i one.jsonl -o notes
[ "$(cat notes)" = 'my own notes' ] || fail "somebody's notes were changed"

# Plain text in and out, standard input, and order.
printf 'Once upon a time\nThe \\nhouse\n\nIt was\r\nthe end' >lines.txt
batch 0 -i lines.txt -n 8 --temp 0 --ordered -q
[ "$(grep -o '"custom_id":"[^"]*"' results.jsonl | tr -d '\n')" = \
    '"custom_id":"line-1""custom_id":"line-2""custom_id":"line-3""custom_id":"line-4""custom_id":"line-5"' ] ||
    fail "--ordered: $(cat results.jsonl)"
settled results.jsonl >wanted
rm results.jsonl
"$sluice" batch -m "$model" -i - -n 8 --temp 0 -o results.jsonl -q <lines.txt 2>"$err" ||
    fail "standard input"
same results.jsonl "standard input"
run 0 batch -m "$model" -i lines.txt -n 8 --temp 0 -o texts --plain -q
[ "$(wc -l <texts)" -eq 5 ] || fail "--plain: not five lines"
same texts.jsonl "--plain"
run 0 run -m "$model" -n 8 --temp 0 -q -p 'Once upon a time'
[ "$(sed -n 1p texts)" = "$(awk '{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }' "$out")" ] ||
    fail "--plain: $(sed -n 1p texts)"
batch 0 -i one.jsonl --input-format text -n 1 --restart -q
[ "$(value custom_id)" = line-1 ] || fail "--input-format text"

# Many requests, some of which begin alike: the same results however they are computed.
awk -v count="$many" 'BEGIN {
    srand(7)
    for (i = 1; i <= count; i++) {
        prompt = i % 3 == 0 ? "It was the best of times, it was the worst of times, it was the age " \
            "of wisdom, it was the age of foolishness, and it was number " i : \
            i % 3 == 1 ? "Once upon a time " i " there was" : "Chapter " i
        printf "{\"custom_id\":\"r%d\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":" \
            "{\"prompt\":\"%s\",\"max_tokens\":%d}}\n", i, prompt, 10 + int(rand() * 90)
    }
}' >many.jsonl
batch 0 -i many.jsonl -np 1 -q --restart
settled results.jsonl >wanted
for how in '' '-np 7' '-b 5' '-np 24 -t 1' '--pool 1' '-np 16 --pool 250' \
    '-np 24 --pool 300 -b 40 --spill-dir .'; do
    case $quick$how in
    1 | 1*b\ 40*) ;;
    1*) continue ;;
    esac
    batch 0 -i many.jsonl --restart $how
    same results.jsonl "'$how'"
    case $quick$how in
    1*) ;;
    *b\ 40*) grep -qE 'pool .* [1-9][0-9]* sequences put' "$err" || fail "'$how': nothing spilled" ;;
    '') grep -qE 'prompts .* [1-9][0-9]* more shared' "$err" || fail "nothing shared" ;;
    esac
done
[ "$(ls -A . | grep -c sluice)" -eq 0 ] || fail "a temporary file is left"

# Two that wait share what they begin with, in pages that the third needs at last: they give them up
# and compute them anew.
if [ -z "$quick" ]; then
    alike=$(printf 'It was the best of times number %s and ' 1 2 3 4 5 6 7 8 9 10)
    { request a Once ',"max_tokens":300' && request b "${alike}then" ',"max_tokens":155'
        request c "${alike}now" ',"max_tokens":155'; } >three.jsonl
    batch 0 -i three.jsonl --restart --ignore-eos -np 1
    settled results.jsonl >wanted
    batch 0 -i three.jsonl --restart --ignore-eos --pool 1
    same results.jsonl "what was given up"
    grep -qE 'pool .* [2-9] sequences put' "$err" || fail "not two that waited"
fi
batch 0 -i many.jsonl --restart -q
settled results.jsonl >wanted

# A model that goes by the context's length: a job that goes on has the context of the whole job,
# though the longest request is done already.
phi=$golden/families/phi3-longrope/model.gguf
{ request long 'it was' ',"max_tokens":60,"temperature":0' &&
    request short 'it was the' ',"max_tokens":20,"temperature":1.5,"seed":5'; } >two.jsonl
run 0 batch -m "$phi" -i two.jsonl -o phi.jsonl -q --ignore-eos
settled phi.jsonl >wanted
grep '"custom_id":"long"' phi.jsonl >done.jsonl
mv done.jsonl phi.jsonl
run 0 batch -m "$phi" -i two.jsonl -o phi.jsonl -q --ignore-eos
same phi.jsonl "after the longest request was done"
settled results.jsonl >wanted

# Results of other requests, options or models are not gone on with, but for --restart.
cp results.jsonl before.jsonl
for how in '-i one.jsonl' '-i many.jsonl --temp 0.5' '-i many.jsonl -s 3' '-i many.jsonl -n 3'; do
    refuse 2 'line 1 is of other requests, another model or other options' $b $how
done
cmp -s results.jsonl before.jsonl || fail "refused results were changed"

# A line that was cut short is taken away and computed again; so is one that is missing.
size=$(wc -c <before.jsonl)
for less in 1 7 300 $((size - 1)); do
    head -c $((size - less)) before.jsonl >results.jsonl
    batch 0 -i many.jsonl -q
    same results.jsonl "$less bytes less"
    grep -q 'cut short' "$err" || fail "no word of the line that was cut"
done
sed 3,9d before.jsonl >results.jsonl
batch 0 -i many.jsonl -q
same results.jsonl "seven lines less"
{ cat before.jsonl && sed 1q before.jsonl; } >results.jsonl
refuse 2 "line $((many + 1)) answers a request that a line before answers" $b -i many.jsonl
{ sed 1q before.jsonl && echo '{}'; } >results.jsonl
refuse 2 'line 2 is not a result of a batch' $b -i many.jsonl

# Disks that are full: what is written whole stays, and the job goes on.
rm -f results.jsonl
(
    ulimit -f 4
    "$sluice" batch -m "$model" -i many.jsonl -o results.jsonl -q -np 2 2>"$err"
)
[ $? -eq 1 ] || fail "a file that may not grow"
grep -q 'cannot write results.jsonl: File too large; the same command goes on' "$err" ||
    fail "a full disk: $(cat "$err")"
[ -s results.jsonl ] && [ -z "$(tail -c 1 results.jsonl)" ] || fail "half a line was left"
batch 0 -i many.jsonl -q
same results.jsonl "after a full disk"
rm -f results.jsonl
(
    ulimit -f 40 # room for all results, not for a page
    "$sluice" batch -m "$model" -i many.jsonl -o results.jsonl -np 24 --pool 300 -b 40 2>"$err"
)
[ $? -eq 0 ] || fail "a spill file that may not grow: $(cat "$err")"
[ "$(grep -c 'cannot write the spill file.*: File too large; from here on' "$err")" -eq 1 ] ||
    fail "not one word of a full spill disk: $(cat "$err")"
grep -qE 'pool .* [1-9][0-9]* given up and computed anew$' "$err" || fail "nothing given up"
same results.jsonl "with a full spill disk"
# A disk without room for a page, or for a few (how many there are depends on the moment), where
# this user may mount one; the results are on it too.
if can_mount; then
    for size in 64k 600k; do
        unshare -rm sh -c '
            mount -t tmpfs -o size="$1" none "$2" || exit 77
            "$3" batch -m "$4" -i many.jsonl -o "$2/results.jsonl" -np 24 --pool 300 -b 40 2>"$5"
            got=$?
            cp "$2/results.jsonl" results.jsonl
            exit $got' - $size "$scratch/small" "$sluice" "$model" "$err" ||
            fail "a spill disk of $size: status $?: $(cat "$err")"
        [ $size != 64k ] ||
            grep -q 'cannot write the spill file.*: No space left on device; from here' "$err" ||
            fail "a spill disk of $size is not full: $(cat "$err")"
        same results.jsonl "with a spill disk of $size"
    done
fi

# A model file that is cut short meanwhile: the job fails, and goes on with the whole file.
cp "$model" model.gguf
rm -f results.jsonl
"$sluice" batch -m model.gguf --no-repack -i many.jsonl -o results.jsonl -q -np 1 -t 1 2>"$err" &
job=$!
tries=0
while [ ! -s results.jsonl ] && [ $tries -lt 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
: >model.gguf
wait $job
[ $? -eq 1 ] || fail "a model file that is cut short"
grep -q 'model file' "$err" || fail "no word of the model file"
[ -z "$(tail -c 1 results.jsonl)" ] || fail "half a line was left"
batch 0 -i many.jsonl -q
same results.jsonl "after the model file was cut short"

# A signal (a shell's background jobs ignore that of Ctrl-C), and another process meanwhile.
awk -v count="$long" 'BEGIN {
    for (i = 1; i <= count; i++)
        printf "{\"custom_id\":\"r%d\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":" \
            "{\"prompt\":\"Chapter %d of\",\"max_tokens\":%d}}\n", i, i, 10 + i * 29 % 90
}' >long.jsonl
batch 0 -i long.jsonl -q --restart
settled results.jsonl >wanted
rm -f results.jsonl
"$sluice" batch -m "$model" -i long.jsonl -o results.jsonl -q -np 1 -t 1 2>first &
job=$!
tries=0
while [ ! -s results.jsonl ] && [ $tries -lt 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
refuse 2 'is being written by another process' $b -i long.jsonl
kill -TERM $job 2>/dev/null
wait $job
[ $? -eq 143 ] || fail "not interrupted"
grep -qE "interrupted: [0-9]+ of $long requests are done; the same command goes on" first ||
    fail "no word of the interruption: $(cat first)"
batch 0 -i long.jsonl -q
same results.jsonl "after a signal"

# Killed at any moment, the job goes on and no result is lost, doubled or another.
rm -f results.jsonl
echo "seed $seed, $kills kills"
round=0
resumed=0
while [ $round -lt "$kills" ]; do
    round=$((round + 1))
    pause=$(awk -v seed="$seed" -v round=$round \
        'BEGIN { srand(seed + 1000 * round); print rand() * (round % 2 ? 0.1 : 0.4) }')
    "$sluice" batch -m "$model" -i long.jsonl -o results.jsonl -q -np 6 -t 1 --pool 300 2>"$err" &
    job=$!
    sleep "$pause"
    kill -KILL $job 2>/dev/null
    wait $job 2>/dev/null
    [ $? -eq 137 ] || { [ ! -s results.jsonl ] || same results.jsonl "finished in round $round"; }
    whole=$(grep -c '"error":null}$' results.jsonl 2>/dev/null)
    [ "${whole:-0}" -eq 0 ] || resumed=$((resumed + 1))
    if [ "${whole:-0}" -eq "$long" ]; then
        rm results.jsonl
    fi
done
batch 0 -i long.jsonl -q -np 6
same results.jsonl "after kills (seed $seed)"
[ "$(grep -o '"custom_id":"[^"]*"' results.jsonl | sort -u | wc -l)" -eq "$long" ] || fail "not $long names"
echo "$resumed of $kills times there was something to go on with"
exit 0
