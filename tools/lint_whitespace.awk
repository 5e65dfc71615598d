# No blanks at the end of a line, no carriage returns; in C no tabs and at most 100 columns, which
# clang-format leaves alone in comments.

function complain(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    bad = 1
}

/\r$/ { complain("a carriage return") }
/[ \t]$/ { complain("a blank at the end of the line") }
FILENAME ~ /\.[ch]$/ && /\t/ { complain("a tab") }
FILENAME ~ /\.[ch]$/ {
    line = $0
    gsub(/[\200-\277]/, "", line) # the further bytes of a UTF-8 character
    if (length(line) > 100)
        complain(length(line) " columns (at most 100)")
}

END { exit bad }
