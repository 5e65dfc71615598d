# The order of the rooms: a file in src/ROOM includes only ROOM itself and rooms before it. The
# public header is for all. The command (src/cli, src/os/console) sees nothing of the library but
# that header. src/hub is a room of the command, too: the command may include it, and it may include
# the console.

BEGIN {
    count = split("base os cpu quant kernels ops formats tokenizer program models sampling engine " \
                  "hub chat server cli", order, " ")
    for (i = 1; i <= count; i++)
        rank[order[i]] = i
}

function complain(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    bad = 1
}

# The room of "room/name.h"; the console is a room of its own inside os.
function room_of(path, parts) {
    if (path ~ /^os\/console\//)
        return "os/console"
    split(path, parts, "/")
    return parts[1]
}

FNR == 1 {
    here = ""
    if (FILENAME ~ /^src\//) {
        here = room_of(substr(FILENAME, 5))
        if (!(here in rank) && here != "os/console")
            complain("src/" here " is no room in tools/lint_rooms.awk")
    }
}

here != "" && /^[ \t]*#[ \t]*include[ \t]*"/ {
    header = $0
    sub(/^[^"]*"/, "", header)
    sub(/".*/, "", header)
    if (header == "sluice.h")
        next
    there = room_of(header)
    if (header !~ /\// || (there != "os/console" && !(there in rank)))
        complain("write \"room/" header "\"")
    else if (here == "cli" && there != "cli" && there != "hub" && there != "os/console")
        complain("the command includes " header ", but may use only sluice.h")
    else if (here == "os/console" && there != "os/console")
        complain("the console includes " header ", but may use only sluice.h")
    else if (here != "cli" && here != "hub" && here != "os/console" && there == "os/console")
        complain("the library includes " header ", which belongs to the command")
    else if (here == "kernels" && there == "os")
        complain("kernels know neither threads nor files, and this is " header)
    else if (there == "hub" && here != "hub" && here != "cli")
        complain("the library includes " header ", which belongs to the command")
    else if (there != "os/console" && rank[there] > rank[here])
        complain(here " stands above " there " and must not include " header)
}

END { exit bad }
