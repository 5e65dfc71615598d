# Functions of at most 120 lines, files of at most 1200. The contents of array initializers are
# tables and do not count. Functions are found by the depth of braces, which clang-format's layout
# makes reliable: a brace opened at depth 0 after a ")" that no "=" precedes begins a body.

BEGIN {
    most_function = 120
    most_file = 1200
}

function complain(line, text) {
    printf "%s:%d: %s\n", file, line, text
    bad = 1
}

function end_file() {
    if (file != "" && lines - table_lines > most_file)
        complain(1, (lines - table_lines) " lines (at most " most_file ")")
}

# What is left of a line without strings, characters and comments.
function code_of(text, out, two, quote) {
    out = ""
    while (text != "") {
        two = substr(text, 1, 2)
        if (in_comment) {
            if (two == "*/") {
                in_comment = 0
                text = substr(text, 3)
            } else {
                text = substr(text, 2)
            }
        } else if (two == "/*") {
            in_comment = 1
            text = substr(text, 3)
        } else if (two == "//") {
            break
        } else if (substr(text, 1, 1) ~ /["']/) {
            quote = substr(text, 1, 1)
            text = substr(text, 2)
            while (text != "" && substr(text, 1, 1) != quote)
                text = substr(text, substr(text, 1, 1) == "\\" ? 3 : 2)
            text = substr(text, 2)
            out = out "0"
        } else {
            out = out substr(text, 1, 1)
            text = substr(text, 2)
        }
    }
    return out
}

function open_brace() {
    if (depth == 0) {
        body = pending ~ /\)[ \t]*$/ && pending !~ /=/
        first = pending_line
    }
    # A table is whatever follows "= {", at any depth.
    if (!table_depth && pending ~ /=[ \t]*$/) {
        table_depth = depth + 1
        table_first = FNR
    }
    depth++
    pending = ""
}

function close_brace() {
    if (table_depth == depth) {
        table_depth = 0
        table_lines += FNR - table_first
        table_in_body += FNR - table_first
    }
    if (depth > 0)
        depth--
    if (depth == 0 && body) {
        if (FNR - first + 1 - table_in_body > most_function)
            complain(first, "a function of " (FNR - first + 1) " lines (at most " most_function ")")
        body = 0
    }
    if (depth == 0)
        table_in_body = 0
    pending = ""
}

FNR == 1 {
    end_file()
    file = FILENAME
    lines = table_lines = table_depth = table_in_body = depth = body = 0
    in_comment = in_macro = 0
    pending = ""
}

{ lines = FNR }

# Macros may hold half a pair of braces.
in_macro || /^[ \t]*#/ {
    in_macro = /\\$/
    next
}

# extern "C" { wraps a whole header.
/^extern "C"/ { next }

{
    code = code_of($0)
    for (i = 1; i <= length(code); i++) {
        c = substr(code, i, 1)
        if (c == "{") {
            open_brace()
        } else if (c == "}") {
            close_brace()
        } else if (c == ";") {
            pending = ""
        } else {
            if (pending ~ /^[ \t]*$/)
                pending_line = FNR
            pending = pending c
        }
    }
    pending = pending " "
}

END {
    end_file()
    exit bad
}
