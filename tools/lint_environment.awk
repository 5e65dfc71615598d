# At most ten environment variables, each read by a literal name, and each named in one of the
# `documents` (a list of paths; nothing is required where there are none yet).

function complain(where, text) {
    printf "%s: %s\n", where, text
    bad = 1
}

function use_of(name) {
    if (name in seen)
        return
    seen[name] = FILENAME ":" FNR
    if (++count > 10)
        complain(seen[name], name " is one environment variable too many (at most 10)")
}

!/^[ \t]*(\/?\*|\/\/)/ {
    rest = $0
    while (match(rest, /getenv[ \t]*\(/)) {
        rest = substr(rest, RSTART + RLENGTH)
        if (match(rest, /^[ \t]*"[A-Za-z0-9_]+"/)) {
            name = substr(rest, RSTART, RLENGTH)
            gsub(/[ \t"]/, "", name)
            use_of(name)
        } else {
            complain(FILENAME ":" FNR, "getenv of a name that is not written here")
        }
    }
}

END {
    number = split(documents, list, " ")
    for (i = 1; i <= number; i++)
        while ((getline line < list[i]) > 0)
            text = text line "\n"
    if (number > 0)
        for (name in seen)
            if (index(text, name) == 0)
                complain(seen[name], name " is in none of" documents)
    exit bad
}
