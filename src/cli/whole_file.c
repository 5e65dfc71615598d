/* whole_file.c - whole_file.h. */
#include "cli/whole_file.h"

#include "cli/cli.h"
#include "cli/units.h"
#include "os/console/console.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void release(whole_file *w) {
    console_remove_when_killed(NULL);
    free(w->target);
    free(w->temporary);
    *w = (whole_file){0};
}

/* The file that `path` means once it exists: the end of a symbolic link, or itself. */
static char *find_target(const char *path) {
    char *const real = console_real_path(path);
    return real ? real : strdup(path);
}

/* OUT.1a2b3c4d.tmp, from malloc. */
static char *temporary_name(const char *target) {
    const size_t size = strlen(target) + sizeof ".12345678.tmp";
    char *const name = malloc(size);
    if (name) {
        snprintf(name, size, "%s.%08x.tmp", target, console_random());
    }
    return name;
}

int whole_file_begin(const char *path, whole_file *w) {
    *w = (whole_file){.target = find_target(path)};
    const bool direct = console_file_at(path) == CONSOLE_FILE_OTHER;
    w->temporary = direct || !w->target ? NULL : temporary_name(w->target);
    errno = ENOMEM;
    if (w->temporary) {
        w->file = console_open_nameless(w->target);
        w->nameless = w->file != NULL;
        w->file = w->file ? w->file : fopen(w->temporary, "wbx"); /* never an existing file */
    } else if (direct && w->target) {
        w->file = fopen(w->target, "wb");
    }
    if (!w->file) {
        const int reason = errno;
        release(w);
        message("cannot write %s: %s", path, strerror(reason));
        return reason == ENOSPC || reason == EDQUOT || reason == EIO ? CLI_FAILED : CLI_USAGE;
    }
    console_remove_when_killed(w->nameless ? NULL : w->temporary);
    return CLI_DONE;
}

int whole_file_check_room(const char *path, uint64_t need) {
    if (console_file_at(path) == CONSOLE_FILE_OTHER) {
        return CLI_DONE; /* what a pipe leads to is not known */
    }
    char *const target = find_target(path);
    const int64_t room = target ? console_free_bytes(target) : -1;
    free(target);
    if (room >= 0 && (uint64_t)room < need) {
        char a[32], b[32];
        message("%s: needs %s, but the disk has only %s left: %" PRIu64 " bytes are missing", path,
                units_bytes(a, need), units_bytes(b, (uint64_t)room), need - (uint64_t)room);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

bool whole_file_write(whole_file *w, const void *bytes, size_t size) {
    if (w->failure == 0 && fwrite(bytes, 1, size, w->file) != size) {
        w->failure = errno;
    }
    return w->failure == 0;
}

/* Bytes that the disk lacks for the rest, while what there is of the file is still on it; 0 if that
 * is not why a write failed, or not known. */
static uint64_t missing_bytes(const whole_file *w) {
    const int64_t room = console_free_bytes(w->target);
    const int64_t have = console_file_bytes(w->file);
    if ((w->failure != ENOSPC && w->failure != EDQUOT) || room < 0 || have < 0 ||
        w->need < (uint64_t)have || w->need - (uint64_t)have < (uint64_t)room) {
        return 0;
    }
    return w->need - (uint64_t)have - (uint64_t)room;
}

static void tell_failure(const whole_file *w, uint64_t missing) {
    if (missing > 0) {
        message("cannot write %s: the disk is full: %" PRIu64 " bytes are missing", w->target,
                missing);
    } else {
        message("cannot write %s: %s", w->target, strerror(w->failure));
    }
}

/* Gives a file that has none its name, or, where another one has that, its temporary name. */
static int give_name(whole_file *w) {
    int reason = console_give_name(w->file, w->target);
    if (reason == EEXIST) {
        console_remove_when_killed(w->temporary);
        reason = console_give_name(w->file, w->temporary);
    } else if (reason == 0) {
        free(w->temporary);
        w->temporary = NULL;
    }
    w->nameless = reason != 0;
    return reason;
}

int whole_file_finish(whole_file *w, int status) {
    if (fflush(w->file) != 0 && w->failure == 0) {
        w->failure = errno;
    }
    if (status == CLI_DONE && w->failure == 0) {
        w->failure = console_sync(w->file);
    }
    if (w->nameless && status == CLI_DONE && w->failure == 0) {
        w->failure = give_name(w);
    }
    const uint64_t missing = missing_bytes(w);
    if (fclose(w->file) != 0 && w->failure == 0) {
        w->failure = errno;
    }
    const bool keep = status == CLI_DONE && w->failure == 0;
    if (keep && w->temporary && rename(w->temporary, w->target) != 0) {
        w->failure = errno;
    }
    if (w->temporary && !w->nameless && (!keep || w->failure)) {
        remove(w->temporary);
    }
    if (w->failure && console_interrupted()) {
        status = interrupted();
    } else if (w->failure && status == CLI_DONE) {
        tell_failure(w, missing);
        status = CLI_FAILED;
    }
    release(w);
    return status;
}
