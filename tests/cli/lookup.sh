# sluice run --lookup: the same text, byte for byte, wherever it ends and however it is sampled.
. "$(dirname "$0")/common.inc"
need_model
m="-m $model"
quick=${TEST_QUICK:-} # for the emulator and the sanitizers: fewer texts
all=1
[ -z "$quick" ] || all=

# A text that repeats itself, with a change now and then.
line='the little cat sat on the mat and looked at the moon'
{
    echo "$line. $line. $line,"
    echo "and $line. Once upon a time there was a dog. $line."
    echo "Once upon a time there was a dog. Once upon a"
} >"$scratch/repetitive"
printf 'Once upon a time' >"$scratch/short"
printf 'a a a a a a a a a a a a a a a a a a a a a a a a' >"$scratch/same"
: >"$scratch/empty"

# same PROMPT ARGUMENT... : the text with --lookup and these arguments is that without. Sets
# $drafted and $accepted.
same() {
    prompt=$1
    shift
    run 0 run $m -f "$scratch/$prompt" "$@"
    cp "$out" "$scratch/plain"
    sed -n 's/^stopped  *//p' "$err" >"$scratch/stopped"
    generated=$(sed -n 's/^generation  *\([0-9]*\) .*/\1/p' "$err")
    ! grep -q '^drafted' "$err" || fail "drafts without --lookup: $prompt $*"
    drafts=--draft=3
    case $quick$* in 1*' -s '*) drafts= ;; esac
    for draft in '' $drafts; do
        run 0 run $m -f "$scratch/$prompt" "$@" --lookup $draft
        cmp -s "$out" "$scratch/plain" || fail "another text with --lookup: $prompt $* $draft"
        sed -n 's/^stopped  *//p' "$err" | cmp -s - "$scratch/stopped" ||
            fail "another end with --lookup: $prompt $* $draft"
        grep -q "^generation  *$generated tokens" "$err" ||
            fail "not $generated tokens with --lookup: $prompt $* $draft"
        counts=$(sed -n 's/^drafted  *\([0-9]*\) tokens, \([0-9]*\) of them accepted, in \([0-9]*\) passes$/\1 \2 \3/p' "$err")
        drafted=${counts%% *}
        accepted=${counts#* }
        passes=${accepted#* }
        accepted=${accepted%% *}
        [ -n "$drafted" ] || fail "no word of what was drafted: $prompt $* $draft"
        [ "$accepted" -le "$drafted" ] || fail "$accepted of $drafted: $prompt $* $draft"
        # Each token but the first comes from a pass or a draft; a draft may reach behind the last.
        [ $((passes + accepted + 1)) -ge "$generated" ] ||
            fail "$generated tokens from $passes passes and $accepted drafted: $prompt $* $draft"
    done
}

run 0 run $m -f "$scratch/repetitive" -n 50 -s 2 -q
cp "$out" "$scratch/plain"
for draft in '--draft 1' '--draft-max=9' '--draft-n 256'; do
    run 0 run $m -f "$scratch/repetitive" -n 50 -s 2 -q --lookup $draft
    cmp -s "$out" "$scratch/plain" || fail "another text with $draft"
done

for prompt in ${quick:+repetitive} ${all:+repetitive short same empty}; do
    same $prompt -n 60 --temp 0
    same $prompt -n 60 -s 7
    same $prompt -n 40 -s 11 --temp 1.5 --top-k 0 --min-p 0 --top-p 1
    same $prompt -n 40 -s 5 --repeat-penalty 1.3 --frequency-penalty 0.2 --repeat-last-n -1
done
same repetitive -n 120 --temp 0 --ignore-eos -ctk f32 -ctv f32 -t 1

# Drafts are made and are right where the model itself repeats. (How many depends on how long
# passes take; a text of one token over and over always has some.)
same same -n 80 --temp 0 --ignore-eos --logit-bias 300+1e9
[ "$drafted" -gt 0 ] && [ "$accepted" -gt 0 ] || fail "nothing is drafted where all is the same"
[ "$passes" -lt 79 ] || fail "no pass is saved where all is the same"

# Every number of tokens, so that drafts reach to the end and not over it.
for n in 0 1 5 ${all:+2 3 4 7 12}; do
    same repetitive -n $n --temp 0
    same same -n $n --temp 0 --logit-bias 300+1e9 --ignore-eos
    [ $n -gt 2 ] || [ "$drafted" -eq 0 ] || fail "-n $n: drafted what nobody asked for"
done
# The same for the context.
count=$("$sluice" tokenize $m -f "$scratch/same" --ids | wc -w)
for more in 0 3 ${all:+1 2 8 20}; do
    same same -n -1 -c $((count + more)) --temp 0 --logit-bias 300+1e9 --ignore-eos
done
# Batches of fewer rows than a draft.
same repetitive -n 30 --temp 0 -b 1
same same -n 30 --temp 0 -b 3 --logit-bias 300+1e9 --ignore-eos

# Reverse prompts, wherever they fall, and the end of the text.
run 0 run $m -f "$scratch/repetitive" -n 60 --temp 0 -q
for start in 9 ${all:+2 23 40}; do
    stop=$(tr '\n' ' ' <"$out" | cut -c "$start-$((start + 3))")
    [ "${#stop}" -eq 4 ] || continue
    cp "$out" "$scratch/all"
    same repetitive -n 60 --temp 0 -r nonsense -r "$stop"
    cp "$scratch/all" "$out"
done
same short -n ${quick:+40}${all:+400} -s 3
same short -n ${quick:+40}${all:+400} -s 4 --special

# -q is quiet with drafts, too; the memory for them is within the plan, or refused.
run 0 run $m -f "$scratch/repetitive" -n 20 --temp 0 --lookup -q
[ ! -s "$err" ] || fail "-q is not quiet"
refuse 2 MiB run $m -p x -n 5 --memory 1M --lookup

refuse 2 '--draft needs --lookup' run $m -p x --draft 4
refuse 2 '--draft: expected a whole number from 1 to 256' run $m -p x --lookup --draft 0
refuse 2 '--draft-max: expected a whole number from 1 to 256' run $m -p x --lookup --draft-max 257
refuse 2 "--lookup: expected no value, found 'yes'" run $m -p x --lookup=yes
exit 0
