# sluice logits: the file's form, its agreement with run, and that it is whole or absent.
. "$(dirname "$0")/common.inc"
need_model
m="-m $model"
npy=$scratch/folder/out.npy
mkdir "$scratch/folder"

run 0 logits $m -p 'Once upon a time' -o "$npy"
[ ! -s "$out" ] || fail "something on standard output"
n=$("$sluice" tokenize $m -p 'Once upon a time' --ids | wc -w)
head=$(od -An -c -N 6 "$npy" | tr -d ' ')
[ "$head" = '223NUMPY' ] || fail "not NumPy's format: $head"
[ "$(od -An -tu1 -j 6 -N 4 "$npy" | tr -s ' ')" = ' 1 0 118 0' ] || fail "not version 1.0"
shape=$(dd if="$npy" bs=1 skip=10 count=118 2>/dev/null)
vocabulary=$(echo "$shape" | sed -n "s/.*(\([0-9]*\), \([0-9]*\)).*/\2/p")
[ "$shape" = "$(printf '%-117s' \
    "{'descr': '<f4', 'fortran_order': False, 'shape': ($n, $vocabulary), }")" ] ||
    fail "the head is '$shape'"
[ "$(wc -c <"$npy")" -eq $((128 + 4 * n * vocabulary)) ] || fail "not $n rows of $vocabulary"
[ "$(ls -A "$scratch/folder")" = out.npy ] || fail "something is left beside the file"

# The largest logit of the last row is what run chooses at temperature 0.
largest=$(od -An -v -tf4 -w4 -j $((128 + 4 * (n - 1) * vocabulary)) "$npy" |
    awk 'NR == 1 || $1 > most { most = $1; at = NR - 1 } END { print at }')
first=$("$sluice" run $m -p 'Once upon a time' -n 1 --temp 0 -q)
chosen=$("$sluice" tokenize $m -p "Once upon a time$first" --ids | awk '{ print $NF }')
[ "$largest" -eq "$chosen" ] || fail "largest logit $largest, chosen token $chosen"

# The same tokens by number; a link is followed, and the old file replaced.
ids=$("$sluice" tokenize $m -p 'Once upon a time' --ids | tr ' ' ',')
echo old >"$scratch/folder/old"
ln -s old "$scratch/folder/link"
run 0 logits $m --tokens "$ids" -o "$scratch/folder/link"
cmp -s "$npy" "$scratch/folder/old" || fail "--tokens gives other logits, or the link is lost"
[ -L "$scratch/folder/link" ] || fail "the link was replaced"
rm "$scratch/folder/link" "$scratch/folder/old" "$npy"

# What is refused leaves nothing.
refuse 2 "--tokens: expected numbers from 0 to $((vocabulary - 1)), found $vocabulary" \
    logits $m --tokens "1,$vocabulary" -o "$npy"
refuse 2 "3 tokens do not fit into a context of 2" logits $m --tokens 1,2,3 -c 2 -o "$npy"
refuse 2 "cannot write $scratch/none/x: No such file" logits $m --tokens 1 -o "$scratch/none/x"
refuse 2 "Is a directory" logits $m --tokens 1 -o "$scratch/folder"
[ -z "$(ls -A "$scratch/folder")" ] || fail "something is left: $(ls -A "$scratch/folder")"

# A file that may not become so large stands in for a full disk. The old content stays.
many=$(awk 'BEGIN { for (i = 0; i < 99; i++) printf "1,"; print 1 }')
echo old >"$npy"
(
    trap '' XFSZ
    ulimit -f 1
    "$sluice" logits $m --tokens "$many" -o "$npy" >"$out" 2>"$scratch/folder.err"
    echo $? >"$scratch/status"
)
[ "$(cat "$scratch/status")" -eq 1 ] || fail "a full disk: status $(cat "$scratch/status")"
cp "$scratch/folder.err" "$err"
grep -q "cannot write $npy: File too large" "$err" || fail "a full disk: no reason"
[ "$(wc -l <"$err")" -eq 1 ] || fail "a full disk: not one line"
[ "$(cat "$npy")" = old ] || fail "a full disk: the old file is gone"
[ "$(ls -A "$scratch/folder")" = out.npy ] || fail "a full disk: something is left"
exit 0
