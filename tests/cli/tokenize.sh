# sluice tokenize: its forms agree with each other, and the pieces make up the text.
. "$(dirname "$0")/common.inc"
need_model
m="-m $model"

# Nothing in it that a tokenizer might put together or take apart differently: each token is what
# it is, and together they are the text (after the space that SentencePiece puts in front).
text='Once upon a time, there was a girl.'
run 0 tokenize $m -p "$text"
cp "$out" "$scratch/lines"
[ ! -s "$err" ] || fail "something on standard error"
! grep -qvE "^[0-9]+	'.*'\$" "$out" || fail "a line that is not ID, tab, piece in quotes"
run 0 tokenize $m -p "$text" --ids
[ "$(wc -l <"$out")" -eq 1 ] || fail "--ids: not one line"
[ "$(tr ' ' '\n' <"$out")" = "$(cut -f 1 "$scratch/lines")" ] || fail "--ids: other numbers"
run 0 tokenize $m -p "$text" --ids --json
[ "$(tr -d '[],' <"$out")" = "$(cut -f 1 "$scratch/lines" | tr '\n' ' ' | sed 's/ $//')" ] ||
    fail "--ids --json: other numbers"
run 0 tokenize $m -p "$text" --no-bos
pieces=$(cut -f 2 "$out" | sed "s/^'//; s/'\$//" | tr -d '\n')
[ "${pieces# }" = "$text" ] || fail "the pieces are '$pieces'"
run 0 tokenize $m -p "$text" --no-bos --json
pieces=$(sed -n 's/.*"piece": "\(.*\)"}.*/\1/p' "$out" | tr -d '\n')
[ "${pieces# }" = "$text" ] || fail "--json: the pieces are '$pieces'"

# The same text from elsewhere.
run 0 tokenize $m -p "$text" --ids
cp "$out" "$scratch/ids"
printf '%s' "$text" >"$scratch/text"
run 0 tokenize $m -f "$scratch/text" --ids
cmp -s "$out" "$scratch/ids" || fail "-f"
"$sluice" tokenize $m --ids <"$scratch/text" | cmp -s - "$scratch/ids" || fail "standard input"

# A newline in a file counts here.
printf '%s\n' "$text" >"$scratch/text"
run 0 tokenize $m -f "$scratch/text" --ids
! cmp -s "$out" "$scratch/ids" || fail "the newline at the end is lost"

# Bytes that a terminal must not see.
printf 'a\033[31m\377\000b' >"$scratch/text"
run 0 tokenize $m -f "$scratch/text"
LC_ALL=C grep -q "[$(printf '\001')-$(printf '\010')$(printf '\033')$(printf '\377')]" "$out" &&
    fail "control characters are printed"
run 0 tokenize $m -p ''  --no-bos --ids
holds "$out" '\n' "an empty text"
run 0 tokenize $m -p ''  --no-bos --json
holds "$out" '[]\n' "an empty text"

# Files without tensors.
vocabulary=$shared/tokenizers/ggml-vocab-gpt-2.gguf
if [ -f "$vocabulary" ]; then
    # Of the texts given with that file: " Hello" is 18435, "Hello world" 15496 995.
    run 0 tokenize -m "$vocabulary" --no-bos --ids -p 'Hello world'
    holds "$out" '15496 995\n' "gpt-2"
    run 0 inspect "$vocabulary"
    refuse 2 "$vocabulary" run -m "$vocabulary" -p x
fi
exit 0
