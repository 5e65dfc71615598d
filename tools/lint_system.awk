# System calls live in src/os: elsewhere in src no header of the system beyond the C standard's, and
# no opening of files. The command and the console print and read through stdio.

# src/cpu asks the system what the processor can do, and asks once.
BEGIN {
    excepted["src/cpu/", "sys/auxv.h"] = excepted["src/cpu/", "pthread.h"] = 1
}

function complain(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    bad = 1
}

FNR == 1 {
    checked = FILENAME ~ /^src\// && FILENAME !~ /^src\/os\//
    room = FILENAME
    sub(/[^\/]*$/, "", room)
    library = checked && FILENAME !~ /^src\/cli\//
}

checked && /^[ \t]*#[ \t]*include[ \t]*</ {
    header = $0
    sub(/^[^<]*</, "", header)
    sub(/>.*/, "", header)
    if ((room, header) in excepted)
        next
    if (header ~ /^(sys|linux|asm|net|netinet|arpa)\// ||
        header ~ /^(unistd|pthread|threads|fcntl|signal|sched|poll|dlfcn|dirent|termios|time)\.h$/ ||
        header ~ /^(semaphore|mqueue|aio|spawn|liburing|netdb|pwd|grp|glob|fts|ftw|utime)\.h$/)
        complain("<" header "> is for src/os")
}

library && /(^|[^A-Za-z0-9_])(fopen|freopen|fdopen|popen|system|tmpfile|remove|rename)\(/ {
    if ($0 !~ /^[ \t]*(\/?\*|\/\/)/)
        complain("files and processes are for src/os")
}

END { exit bad }
