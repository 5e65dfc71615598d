# What llama2.c prints for stories260K with temperature 0, to the character.
. "$(dirname "$0")/common.inc"
model=$shared/models/stories260K.gguf
[ -f "$model" ] || skip "shared data is not there"

run 0 run -m "$model" -p '' --temp 0 -n 200
cmp "$out" "$shared/models/stories260K.greedy.txt" || fail "another text"
run 0 run -m "$model" --temp 0 -n 200
cmp "$out" "$shared/models/stories260K.greedy.txt" || fail "another text, standard input empty"
"$sluice" run -m "$model" --temp 0 -n 200 <&- >"$out" 2>"$err" || fail "standard input closed"
cmp "$out" "$shared/models/stories260K.greedy.txt" || fail "another text, standard input closed"
exit 0
