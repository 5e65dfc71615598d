# Help and version; and every command and option of the help is in the man page.
. "$(dirname "$0")/common.inc"
page=$(dirname "$0")/../../docs/man/sluice.1

run 0 --version
grep -qE '^sluice [0-9]+\.[0-9]+\.[0-9]+' "$out" || fail "no version"
[ ! -s "$err" ] || fail "--version writes to standard error"
run 0 --help
cp "$out" "$scratch/help"
run 0 -h
cmp -s "$out" "$scratch/help" || fail "-h and --help differ"
run 0 help
cmp -s "$out" "$scratch/help" || fail "help and --help differ"

# The roff source writes each hyphen of an option as \-.
sed 's/\\-/-/g' "$page" >"$scratch/page"
for command in run batch tokenize logits perplexity inspect convert quantize imatrix bench plan pull list rm; do
    grep -qE "^  $command  " "$scratch/help" || fail "$command is not in the help"
    run 0 help "$command"
    cp "$out" "$scratch/list"
    run 0 "$command" --help
    cmp -s "$out" "$scratch/list" || fail "help $command and $command --help differ"
    run 0 "$command" -h
    cmp -s "$out" "$scratch/list" || fail "$command -h and --help differ"
    [ "$(awk 'length > 80' "$out" | wc -l)" -eq 0 ] || fail "a line of more than 80 columns"
    grep -qE "^\.SS .*$command" "$scratch/page" || fail "$command is not in the man page"
    # "  -n, --predict N   text": the names in front of the second column.
    options=$(sed -n 's/^  \(-.*\)/\1/p' "$scratch/list" | sed 's/  .*//' | tr ', ' '\n\n' |
        grep '^-')
    [ "$(echo "$options" | wc -l)" -ge 5 ] || fail "no options in the help of $command"
    for option in $options; do
        grep -qE -e "(^|[^a-z-])$option([^a-z-]|\$)" "$scratch/page" ||
            fail "$option of $command is not in the man page"
    done
done

# Help that cannot be written is a failure.
if [ -e /dev/full ]; then
    "$sluice" --help >/dev/full 2>"$err"
    [ $? -eq 1 ] || fail "--help to a full disk"
    grep -q 'No space left' "$err" || fail "no reason"
fi
exit 0
