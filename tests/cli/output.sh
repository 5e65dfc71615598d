# Standard output that ends early, is full or closed; standard input that is closed; full disks.
. "$(dirname "$0")/common.inc"
need_model
m="-m $model"

# A reader that goes away: a quiet end, and soon.
{
    "$sluice" run $m -p 'Once upon a time' -n 30000 -c 30000 --ignore-eos -q 2>"$err"
    echo $? >"$scratch/status"
} | head -c 20 >"$out"
[ "$(cat "$scratch/status")" -eq 1 ] || fail "exit status $(cat "$scratch/status"), not 1"
[ "$(wc -c <"$out")" -eq 20 ] || fail "not 20 bytes"
! grep -q 'cannot' "$err" || fail "not quiet"

# A full disk: one line, status 1, from every sub-command.
if [ -e /dev/full ]; then
    printf 'Once upon a time there was a girl.' >"$scratch/text"
    for line in "run -p x -n 5" "tokenize -p x" "perplexity --all -f $scratch/text"; do
        "$sluice" ${line%% *} $m ${line#* } >/dev/full 2>"$err"
        [ $? -eq 1 ] || fail "full disk: $line"
        [ "$(wc -l <"$err")" -eq 1 ] || fail "not one line: $line"
        grep -q 'cannot write to standard output: No space left' "$err" || fail "no reason: $line"
    done
    "$sluice" inspect "$model" >/dev/full 2>"$err"
    [ $? -eq 1 ] || fail "full disk: inspect"
    refuse 1 "cannot write /dev/full: No space left" logits $m --tokens 1,2,3 -o /dev/full
fi

# Closed streams.
"$sluice" run $m -p x -n 2 >&- 2>"$err"
[ $? -eq 1 ] || fail "standard output closed"
grep -q 'cannot write to standard output' "$err" || fail "standard output closed: no reason"
"$sluice" run $m -p x -n 2 >"$out" 2>&- || fail "standard error closed"
[ -s "$out" ] || fail "standard error closed: no text"
"$sluice" run $m -n 2 <&- >"$out" 2>"$err" || fail "standard input closed"
"$sluice" tokenize $m --ids --no-bos <&- >"$out" 2>"$err" || fail "tokenize: input closed"
holds "$out" '\n' "tokenize: input closed"
exit 0
