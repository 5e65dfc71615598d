/* os_linux_scratch.c - files without a name on Linux. */
#include "os/os.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct os_scratch {
    int fd;
};

/* Not every filesystem has files that never had a name; elsewhere the name is taken away at once.
 */
static int open_nameless(const char *directory) {
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return fd;
    }
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s/sluice-XXXXXX", directory);
    if (length < 0 || (size_t)length >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

sl_status os_scratch_open(const char *directory, os_scratch **scratch, sl_error *error) {
    os_scratch *made = malloc(sizeof *made);
    if (!made) {
        return error_memory(error, "a temporary file", sizeof *made);
    }
    made->fd = open_nameless(directory);
    if (made->fd < 0) {
        const int reason = errno;
        free(made);
        return error_set(error, SL_ERR_FILE, "cannot make a temporary file in %s: %s", directory,
                         strerror(reason));
    }
    *scratch = made;
    return SL_OK;
}

void os_scratch_close(os_scratch *scratch) {
    if (scratch) {
        close(scratch->fd);
        free(scratch);
    }
}

int os_scratch_write(os_scratch *scratch, uint64_t offset, const void *bytes, size_t size) {
    const char *next = bytes;
    if (offset > INT64_MAX - size) {
        return EFBIG;
    }
    while (size > 0) {
        const ssize_t written = pwrite(scratch->fd, next, size, (off_t)offset);
        if (written < 0 && errno != EINTR) {
            return errno;
        }
        if (written == 0) {
            return EIO; /* pwrite says nothing and does nothing: do not try for ever */
        }
        if (written > 0) {
            next += written;
            offset += (uint64_t)written;
            size -= (size_t)written;
        }
    }
    return 0;
}

int os_scratch_read(os_scratch *scratch, uint64_t offset, void *bytes, size_t size) {
    char *next = bytes;
    if (offset > INT64_MAX - size) {
        return EFBIG;
    }
    while (size > 0) {
        const ssize_t got = pread(scratch->fd, next, size, (off_t)offset);
        if (got < 0 && errno != EINTR) {
            return errno;
        }
        if (got == 0) {
            return EIO; /* the file ends too early */
        }
        if (got > 0) {
            next += got;
            offset += (uint64_t)got;
            size -= (size_t)got;
        }
    }
    return 0;
}

void os_scratch_discard(os_scratch *scratch, uint64_t offset, uint64_t size) {
    if (offset <= INT64_MAX && size <= INT64_MAX - offset) {
        (void)fallocate(scratch->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                        (off_t)size);
    }
}
