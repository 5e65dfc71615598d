# sluice pull, list, rm: against a hub that stalls, breaks off and lies as it is told
# (tests/net/hub_server.c).
. "$(dirname "$0")/common.inc"
need_model
. "$(dirname "$0")/hub.inc"
golden=$(dirname "$0")/../golden

# refused FRAGMENT RULE... : you/bytes cannot be fetched, with one last line that says why
refused() {
    fragment=$1
    shift
    rules "$@"
    forget
    run "${status:-2}" pull --no-plan --timeout 0.3 you/bytes
    tail -n 1 "$err" >"$scratch/last"
    grep -qF -e "$fragment" "$scratch/last" || fail "no '$fragment' in the last line: $*"
    is_absent you/bytes
}

# recovers RULE... : it is fetched all the same
recovers() {
    rules "$@"
    forget
    pull 0 you/bytes
    is_there you/bytes bytes-Q4_0.gguf
}

# ---- what goes well --------------------------------------------------------------------------

tiny=$root/repos/you/tiny
mkdir -p "$tiny" "$root/repos/you/bytes"
cp "$model" "$tiny/tiny-q8_0.gguf"
cp "$model" "$tiny/mmproj-F16.gguf"
head -c 300000 "$model" >"$root/repos/you/bytes/bytes-Q4_0.gguf" # need not be a model

rules
run 0 pull you/tiny
told "you/tiny:q8_0: 1 file"
grep -q "limited by" "$out" || fail "no plan"
is_there you/tiny tiny-q8_0.gguf
[ ! -e "$cache/you/tiny/$commit.heads" ] || fail "heads are left"
[ ! -e "$cache/you/tiny/$commit/mmproj-F16.gguf" ] || fail "a projector was fetched"
# Each byte came once: the head of the plan is the beginning of the file.
size=$(wc -c <"$model")
sent=$(sed -n 's/^end store .*sent=//p' "$root/log" | awk '{ n += $1 } END { print n }')
[ "$sent" -eq "$size" ] || fail "$sent bytes were sent of a file of $size"
# Again: the hub is asked, but nothing comes.
rules
pull 0 you/tiny:Q8_0
asked 0 "store"

run 0 list
grep -qE '^NAME +SIZE +MODIFIED$' "$out" || fail "no header"
grep -qE '^you/tiny:q8_0 +[0-9.]+ MB +20[0-9-]+ [0-9:]+ UTC *$' "$out" || fail "no line of you/tiny"
run 0 list --json
grep -qF "\"path\": \"$cache/you/tiny/$commit/tiny-q8_0.gguf\"" "$out" || fail "no path"
grep -qF '"complete": true' "$out" || fail "not complete"

# In place of a file.
run 0 run -m "$model" -p "It was" -n 8 --temp 0 -q
cp "$out" "$scratch/text"
for name in you/tiny you/tiny:q8_0 you/tiny:Q8_0; do
    run 0 run -m $name -p "It was" -n 8 --temp 0 -q
    cmp -s "$out" "$scratch/text" || fail "$name is another model"
done
run 0 inspect you/tiny
run 0 inspect "$model" you/tiny
grep -q '^metadata: [0-9]* the same$' "$out" || fail "inspect does not compare with you/tiny"
refuse 2 "sluice pull you/none" inspect you/tiny you/none
refuse 2 "sluice pull you/tiny:Q2_K" run -m you/tiny:Q2_K -p x
refuse 2 "sluice pull you/none" run -m you/none -p x
refuse 2 "No such file" run -m /you/none -p x
# A file of that name wins.
mkdir -p "$scratch/work/you"
cp "$model" "$scratch/work/you/none"
(cd "$scratch/work" && "$sluice" inspect you/none >/dev/null 2>&1) || fail "a file does not win"

run 0 rm you/tiny --dry-run
told "would remove you/tiny:q8_0"
is_there you/tiny tiny-q8_0.gguf
refuse 2 "not in the cache" rm you/tiny:Q4_K_M
run 0 rm you/tiny:Q8_0
told "removed you/tiny:q8_0"
[ -z "$(ls -A "$cache")" ] || fail "something is left: $(find "$cache")"
refuse 2 "not in the cache" rm you/tiny
run 0 list

# --dry-run: a plan, and nothing stays.
run 0 pull you/tiny --dry-run
grep -q "limited by" "$out" || fail "no plan"
[ -z "$(ls -A "$cache")" ] || fail "something is left: $(find "$cache")"

# A folder, with an index and files in pages; its logits are those of the source.
cp -r "$golden/families/llama/hf" "$root/repos/you/folder"
rules "hub:/api/models/you/folder/tree -1 page 2"
run 0 pull you/folder
grep -q "limited by" "$out" || fail "no plan of a folder"
asked 4 "hub /api/models/you/folder/tree"
for file in "$golden"/families/llama/hf/*; do
    is_there you/folder "$(basename "$file")"
done
run 0 logits -m "$golden/families/llama/hf" --tokens 1,5,9 -o "$scratch/a.npy"
run 0 logits -m you/folder --tokens 1,5,9 -o "$scratch/b.npy"
cmp -s "$scratch/a.npy" "$scratch/b.npy" || fail "the folder computes something else"
run 0 rm you/folder
# Torch files, of which there is no plan.
cp -r "$golden/families/gptj/hf-bin" "$root/repos/you/torch"
run 0 pull you/torch
told "no plan can be made of torch files"
run 0 inspect you/torch

# A set of files, in a folder, of several quantizations.
mkdir -p "$root/repos/you/set/Q8_0" "$scratch/split"
run 0 convert "$model" "$scratch/split/big-Q8_0.gguf" --split-max-size 1M
cp "$scratch"/split/*.gguf "$root/repos/you/set/Q8_0"
cp "$model" "$root/repos/you/set/big-IQ4_XS.gguf"
cp "$model" "$root/repos/you/set/big-Q4_0_4_4.gguf"
run 0 pull you/set:q8_0
grep -q "limited by" "$out" || fail "no plan of a set"
for file in "$scratch"/split/*.gguf; do
    is_there you/set "Q8_0/$(basename "$file")"
done
run 0 run -m you/set:q8_0 -p "It was" -n 8 --temp 0 -q
cmp -s "$out" "$scratch/text" || fail "the set is another model"
refuse 2 "no model Q4_0; there are Q8_0, IQ4_XS, Q4_0_4_4" pull you/set:Q4_0
pull 0 you/set:big-IQ4_XS.gguf
run 0 list
[ "$(wc -l <"$out")" -eq 4 ] || fail "not three models: $(cat "$out")"
run 0 rm you/set:IQ4_XS
run 0 run -m you/set -p "It was" -n 1 -q
mv "$root/repos/you/set/Q8_0/big-Q8_0-00002-of-"* "$scratch"
refuse 2 "is not in the repository: file 2 of the" pull you/set:Q8_0

# ---- who may know the token ------------------------------------------------------------------

forget
export HF_TOKEN=secret
rules "hub:/ -1 gated secret"
pull 0 you/bytes
asked 0 "store .*auth=secret"
asked 1 "store .*auth=-"
[ "$(grep -c 'hub.*auth=-' "$root/log")" -eq 0 ] || fail "the hub was asked without the token"
forget
export HF_TOKEN=wrong
refuse 2 "the token of HF_TOKEN or of its file is wrong" pull you/bytes --no-plan
unset HF_TOKEN
refuse 2 "HF_TOKEN with a token that has access is needed" pull you/bytes --no-plan
mkdir -p "$HOME/.cache/huggingface"
printf 'secret\n' >"$HOME/.cache/huggingface/token"
pull 0 you/bytes
rm "$HOME/.cache/huggingface/token"
# A token with a line break would be two headers.
HF_TOKEN='a
b' run 2 pull you/bytes --no-plan

# ---- what is not there -----------------------------------------------------------------------

rules
refuse 2 "you/none: there is no such repository at http://127.0.0.1" pull you/none
refuse 2 "you/bytes: has no revision v2 (404)" pull you/bytes --revision v2
refuse 2 "expected user/repo" pull none
refuse 2 "expected user/repo" pull ../none
refuse 2 "expected a revision" pull you/bytes --revision ../x
mkdir -p "$root/repos/you/text"
echo text >"$root/repos/you/text/README.md"
refuse 2 "neither GGUF files nor a config.json" pull you/text
echo '{}' >"$root/repos/you/text/config.json"
refuse 2 "but no weights" pull you/text
rules "hub:/you/bytes/resolve -1 status 404"
forget
refuse 2 "bytes-Q4_0.gguf: is not there (404)" pull you/bytes --no-plan -q
HF_ENDPOINT=http://127.0.0.1:1 run 1 pull you/bytes --timeout 0.3
told "http://127.0.0.1:1 cannot be reached"
HF_ENDPOINT=ftp://127.0.0.1 run 2 pull you/bytes
told "expected the hub's address"

# ---- what passes -----------------------------------------------------------------------------

recovers "hub:/api/models/you/bytes/rev 2 status 503" "store 1 status 429,1"
told "the server answers 503, not available; trying again"
told "the server answers 429, too many requests; trying again in 1.0 s"
recovers "store 1 close 50000" "store 2 reset 100000"
asked 3 "store"
# The second one goes on where the first one ended.
ranges=$(sed -n 's/^begin store.*range=\([0-9-]*\).*/\1/p' "$root/log" | tr '\n' ' ')
case $ranges in
"- "[1-9]*-299999" "[1-9]*-299999" ") ;;
*) fail "the ranges were $ranges" ;;
esac
recovers "store 1 stall 100000"
told "nothing came for"
recovers "store 1 reset 100000" "store 2 whole 0"
recovers "store 1 status 403"
# A wrong byte in what was there: begun anew, once.
rules "store -1 reset 3000"
forget
run 1 pull --no-plan --timeout 0.3 you/bytes
told "given up after 8 tries"
asked 8 "store"
part=$cache/you/bytes/$commit/bytes-Q4_0.gguf.part
[ -s "$part" ] || fail "no part is left"
run 0 list
grep -q "partial, [1-9][0-9]* % is there" "$out" || fail "it is not listed as partial"
refuse 2 "is not whole yet; this fetches the rest: sluice pull you/bytes:Q4_0" run -m you/bytes -p x
printf 'XXXX' | dd of="$part" bs=1 seek=1000 conv=notrunc 2>/dev/null
rules
pull 0 you/bytes
told "what was there from before is damaged"
is_there you/bytes bytes-Q4_0.gguf

# ---- lies ------------------------------------------------------------------------------------

refused "the server has 301000 bytes, but the hub's list says 300000" "store -1 more 1000"
refused "the server has 301000 bytes, but the hub's list says 300000" "store -1 length 1000"
refused "the server has 300000 bytes, but the hub's list says 300010" "tree -1 size 10"
refused "sends more than the 300000 bytes" "store -1 endless 0"
refused "its sha256 is" "store -1 flip 5000"
refused "its sha256 is" "tree -1 sum 0"
refused "asked for bytes 100000 to 299999 of 300000, the server answers with 100007" \
    "store 1 reset 100000" "store -1 shift 7"
refused "more than 10 redirects" "resolve -1 loop 0"
refused "to no http(s) address" "resolve -1 to ftp://127.0.0.1/x"
refused "is no JSON" "tree -1 cut 100"
refused "expected the hub to say a commit" "hub:/api/models/you/bytes/rev -1 text {\"sha\":\"../..\"}"
refused "expected a JSON array" "tree -1 text {}"
for path in ../../x /etc/passwd a/../b a//b . a/./b; do
    refused "which cannot be kept" "tree -1 entry $path"
done
refused "twice" "tree -1 entry bytes-Q4_0.gguf"
status=1
refused "given up after 8 tries" "store -1 status 503"
refused "wants us to wait for 5000 s" "store -1 status 429,5000"
refused "given up after 8 tries" "tree -1 close 5"
unset status

# Nothing outside the cache is reached by a link in it.
rules
forget
mkdir -p "$cache/you" "$scratch/elsewhere"
ln -s "$scratch/elsewhere" "$cache/you/bytes"
run 2 pull you/bytes --no-plan
[ -z "$(ls -A "$scratch/elsewhere")" ] || fail "a link was followed"
run 0 list
forget

# ---- a full disk -----------------------------------------------------------------------------

rules
(
    trap '' XFSZ
    ulimit -f 200 # blocks of 512 bytes
    "$sluice" pull --no-plan you/bytes >"$out" 2>"$err"
    echo $? >"$scratch/status"
)
[ "$(cat "$scratch/status")" -eq 1 ] || fail "a full disk: status $(cat "$scratch/status")"
told "cannot be written: File too large"
is_absent you/bytes
pull 0 you/bytes
is_there you/bytes bytes-Q4_0.gguf

# A small disk, where this user may mount one: said before, and while it fills up.
cat >"$scratch/small.sh" <<'END'
mount -t tmpfs -o size=$4 none "$1" || exit 77
export SLUICE_CACHE="$1/models"
"$2" pull --no-plan you/bytes 2>"$3" &
if [ "$4" = 400k ]; then
    sleep 0.5
    head -c 1000000 /dev/zero >"$1/fill" 2>/dev/null
fi
wait $!
echo $? >"$3.status"
[ "$4" = 400k ] || exit 0
rm "$1/fill"
"$2" pull --no-plan you/bytes 2>"$3.again" && cmp "$5" "$1"/models/you/bytes/*/bytes-Q4_0.gguf
END
mkdir "$scratch/small"
for size in 200k 400k; do
    forget
    rules "store -1 slow 200"
    unshare -rm sh "$scratch/small.sh" "$scratch/small" "$sluice" "$err" $size \
        "$root/repos/you/bytes/bytes-Q4_0.gguf" >/dev/null 2>&1
    got=$?
    [ -f "$err.status" ] || break # no such rights here
    [ $got -eq 0 ] || fail "a disk of $size: does not go on"
    [ "$(cat "$err.status")" -eq 1 ] || fail "a disk of $size: status $(cat "$err.status")"
    grep -qE '[1-9][0-9]* bytes are missing' "$err" || fail "a disk of $size: no bytes"
    [ $size = 200k ] || told "the disk is full"
    rm "$err.status"
done

# ---- interrupted and killed ------------------------------------------------------------------

forget
rules "store -1 slow 30" # ten seconds, for machines that are busy
"$sluice" pull --no-plan you/bytes 2>"$err" &
tries=0
while [ ! -s "$cache/you/bytes/$commit/bytes-Q4_0.gguf.part" ] && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
"$sluice" pull --no-plan you/bytes 2>"$scratch/second"
[ $? -eq 2 ] || fail "two at a time"
grep -q "is being fetched by another process" "$scratch/second" || fail "two at a time: no reason"
kill -INT $! # the shell has it ignored in the background
kill -TERM $!
wait $!
got=$?
[ $got -eq 143 ] || fail "terminated: status $got"
told "the same command goes on"
is_absent you/bytes

# kill -9 at any moment: what was there is not asked for again.
forget
head -c 3000000 "$model" >"$root/repos/you/bytes/bytes-Q4_0.gguf"
part=$cache/you/bytes/$commit/bytes-Q4_0.gguf.part
rules "store -1 slow 900"
have=0
i=0
while [ $i -lt 30 ]; do
    i=$((i + 1))
    "$sluice" pull --no-plan -q you/bytes 2>/dev/null &
    sleep "0.$(awk -v s=$i 'BEGIN { srand(s * 7919); printf "%03d", 30 + rand() * 170 }')"
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    is_absent you/bytes
    now=0
    [ ! -f "$part" ] || now=$(wc -c <"$part")
    [ "$now" -ge "$have" ] || fail "$have bytes were there, now $now"
    have=$now
done
[ "$have" -gt 0 ] || fail "nothing came in thirty tries"
ranges=$(grep -c '^begin store.*range=[0-9]' "$root/log")
[ "$ranges" -ge 3 ] || fail "only $ranges of thirty went on"
sed -n 's/^begin store.*range=\([0-9]*\)-.*/\1/p' "$root/log" | sort -nc 2>/dev/null ||
    fail "some bytes were asked for again"
rules
pull 0 you/bytes
is_there you/bytes bytes-Q4_0.gguf
asked 1 "store.*range=$have-2999999"
exit 0
