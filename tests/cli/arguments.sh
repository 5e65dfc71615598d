# Bad arguments: each is one line that names the option, what was expected and what was found; exit
# status 2; nothing on standard output.
. "$(dirname "$0")/common.inc"

# Nothing here gets as far as opening the file.
m="-m $scratch/none.gguf"

refuse 2 "no command"
refuse 2 "unknown command 'bogus'" bogus
refuse 2 "unknown command ''" ''
refuse 2 "unknown option '--bogus'" --bogus
refuse 2 "unexpected argument 'x'" --version x
refuse 2 "unknown command 'bogus'" help bogus
refuse 2 "unexpected argument 'run'" help run run
refuse 2 "no model" run
refuse 2 "no model" tokenize
refuse 2 "no model" logits -o x
refuse 2 "no model" perplexity
refuse 2 "no model" inspect
refuse 2 "unexpected argument 'extra'" run $m extra
refuse 2 "unexpected argument '-n'" run $m -- -n
refuse 2 "unexpected argument 'three'" inspect one two three
refuse 2 "MODEL: expected the name of a file, found ''" inspect ''

# Names: unknown ones, abbreviations, glued values, those of another sub-command.
refuse 2 "unknown option '--bogus'" run $m --bogus
refuse 2 "unknown option '--bogus'" run $m --bogus=3
refuse 2 "unknown option '--pred'" run $m --pred 3
refuse 2 "unknown option '-n3'" run $m -n3
refuse 2 "unknown option '-n=3'" run $m -n=3
refuse 2 "unknown option '--json'" run $m --json
refuse 2 "unknown option '-n'" tokenize $m -n 3
refuse 2 "unknown option '-m'" inspect -m x

# Values that are missing, or there where none is taken.
for option in -m -p -f -n -c -t -b -s -r -ctk --memory --temp --logit-bias --predict; do
    refuse 2 "$option: expected " run $option
    refuse 2 "found nothing" run $option
done
refuse 2 "--echo: expected no value, found 'yes'" run $m --echo=yes
refuse 2 "-m: expected the name of a file, found ''" run -m ''
refuse 2 "--spill-dir: expected the name of a folder, found ''" batch $m --spill-dir ''
refuse 2 "--type: expected a type, found nothing" bench --shape llama-7b --type
refuse 2 "--shape: expected a name, found ''" plan --shape ''
refuse 2 "-r: expected a text that is not empty, found ''" run $m -r ''

# Whole numbers.
for value in '' x 1x 1.5 0x10 ' 1' +1 - -- 1e3 99999999999999999999 -3 268435457; do
    refuse 2 "-n: expected a whole number from -2 to 268435456, found '$value'" run $m -n "$value"
done
refuse 2 "--predict: expected a whole number" run $m --predict=
refuse 2 "-c: expected a whole number from 0" run $m -c -1
refuse 2 "-t: expected a whole number from 1 to 1024, found '0'" run $m -t 0
refuse 2 "-t: expected a whole number from 1 to 1024, found '1025'" run $m -t 1025
refuse 2 "-b: expected a whole number from 1 to 65536, found '0'" run $m -b 0
refuse 2 "-s: expected a whole number from -1" run $m -s -2
refuse 2 "--top-k: expected a whole number from -1" run $m --top-k -2
refuse 2 "--repeat-last-n: expected a whole number from -1" run $m --repeat-last-n -2

# Numbers.
for value in '' x 1x nan inf 0x1p3 -0.1 101 1e999; do
    refuse 2 "--temp: expected a number from 0 to 100, found '$value'" run $m --temp "$value"
done
refuse 2 "--top-p: expected a number from 0 to 1, found '1.5'" run $m --top-p 1.5
refuse 2 "--min-p: expected a number from 0 to 1, found '-1'" run $m --min-p -1
refuse 2 "--repeat-penalty: expected a number from 0.01 to 100" run $m --repeat-penalty 0
refuse 2 "--presence-penalty: expected a number" run $m --presence-penalty x
refuse 2 "--frequency-penalty: expected a number" run $m --frequency-penalty x

# Sizes, choices, biases, lists.
for value in '' G 1X 1GB -1G 0 100 1.5.5G 1e30G nan; do
    refuse 2 "--memory: expected a size" run $m --memory "$value"
done
for value in '' q9_0 F16 'f16 f32' f1 ' '; do
    refuse 2 "-ctk: expected one of f16 f32 bf16 q8_0 q4_0, found '$value'" run $m -ctk "$value"
done
refuse 2 "--cache-type-v: expected one of" run $m --cache-type-v=x
for value in '' 15 15+ 15- +2 x+2 15+x 15+inf 15-nan 15*2 99999999999-1; do
    refuse 2 "--logit-bias: expected a token and a bias" run $m --logit-bias "$value"
done
for value in '' , 1, ,1 1,,2 x 1,x -1 1.5 '1 2' 99999999999; do
    refuse 2 "--tokens: expected token numbers" logits $m -o x --tokens "$value"
done

# Combinations.
touch "$scratch/text"
refuse 2 "no file to write" logits $m --tokens 1
refuse 2 "not both" logits $m -o "$scratch/x" --tokens 1 -p x
refuse 2 "at least 3" perplexity $m -f "$scratch/text" -c 1

# A message holds no control characters, whatever was typed.
refuse 2 "unknown option '--a??[31mb" run "--a
$(printf '\033')[31mb"
exit 0
