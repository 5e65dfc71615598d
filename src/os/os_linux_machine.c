/* os_linux_machine.c - machine.h on Linux. */
#include "os/machine.h"

#include "base/error.h"
#include "base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads of 2 MiB by eight threads keep as much under way as disks can use. */
enum { READERS = 8, PIECE = 2 << 20, ALIGNMENT = 4096, MADE_BYTES = 128 << 20 };

static const uint64_t run_time = 250 * 1000 * 1000; /* nanoseconds */

/* ---- names ---------------------------------------------------------------------------------- */

/* "model name : AMD EPYC" on x86; ARM has numbers of makers and parts in place of it. */
void os_processor_name(char *name, size_t size) {
    static const char *const keys[] = {"model name", "Processor", "CPU part"};
    char text[4096];
    name[0] = 0;
    const int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    const ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    for (size_t i = 0; i < COUNT_OF(keys) && !name[0]; i++) {
        const char *const line = strstr(text, keys[i]);
        const char *const colon = line ? strchr(line, ':') : NULL;
        if (colon) {
            const char *const value = colon + 1 + (colon[1] == ' ');
            snprintf(name, size, "%.*s", (int)strcspn(value, "\n"), value);
        }
    }
}

uint64_t os_device_of(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_dev : 0;
}

uint64_t os_file_size(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

typedef struct disk_run {
    int fd;
    uint64_t pieces, first; /* of the file; where this run begins */
    uint64_t started;
    uint8_t *buffers; /* a piece for each reader */
    _Atomic size_t readers;
    _Atomic uint64_t next, bytes;
    _Atomic int failure; /* an errno */
} disk_run;

/* Pieces in the file's order, round and round until the time is over. */
static void read_pieces(void *argument) {
    disk_run *const run = argument;
    uint8_t *const buffer = run->buffers + atomic_fetch_add(&run->readers, 1) * (size_t)PIECE;
    while (os_now() - run->started < run_time && !atomic_load(&run->failure)) {
        const uint64_t piece = (run->first + atomic_fetch_add(&run->next, 1)) % run->pieces;
        const ssize_t n = pread(run->fd, buffer, PIECE, (off_t)(piece * PIECE));
        if (n < 0 && errno != EINTR) {
            atomic_store(&run->failure, errno);
        } else if (n > 0) {
            atomic_fetch_add(&run->bytes, (uint64_t)n);
        }
    }
}

/* Once, from piece `first` on. */
static sl_status run_once(disk_run *run, double *rate, sl_error *error) {
    os_thread *threads[READERS];
    size_t count = 0;
    sl_status status = SL_OK;
    atomic_store(&run->readers, 0);
    atomic_store(&run->next, 0);
    atomic_store(&run->bytes, 0);
    run->started = os_now();
    while (count < READERS && status == SL_OK) {
        status = os_thread_start(read_pieces, run, &threads[count], error);
        count += status == SL_OK;
    }
    for (size_t i = 0; i < count; i++) {
        os_thread_join(threads[i]);
    }
    const double seconds = (double)(os_now() - run->started) * 1e-9;
    *rate = (double)atomic_load(&run->bytes) / seconds;
    return status;
}

static sl_status run_all(int fd, uint64_t size, double rates[OS_DISK_RUNS], bool *direct,
                         sl_error *error) {
    disk_run run = {.fd = fd, .pieces = size / PIECE};
    if (run.pieces == 0) {
        return error_set(error, SL_ERR_ARGUMENT, "a file of %llu bytes is too small to be measured",
                         (unsigned long long)size);
    }
    run.buffers = aligned_alloc(ALIGNMENT, (size_t)READERS * PIECE);
    if (!run.buffers) {
        return error_memory(error, "reading a file", (size_t)READERS * PIECE);
    }
    sl_status status = SL_OK;
    for (size_t i = 0; i < OS_DISK_RUNS && status == SL_OK;) {
        run.first = run.pieces * i / OS_DISK_RUNS;
        if (!*direct) {
            (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        }
        status = run_once(&run, &rates[i], error);
        if (status == SL_OK && run.failure == EINVAL && *direct) {
            /* Some file systems open a file for direct reads and refuse the first one. */
            const int flags = fcntl(fd, F_GETFL);
            *direct = false;
            run.failure = fcntl(fd, F_SETFL, flags & ~O_DIRECT) != 0 ? errno : 0;
        } else if (status == SL_OK && run.failure) {
            status = error_set(error, SL_ERR_FILE, "reading failed: %s", strerror(run.failure));
        } else {
            i++;
        }
    }
    free(run.buffers);
    return status;
}

sl_status os_disk_measure(const char *path, double rates[OS_DISK_RUNS], bool *direct,
                          sl_error *error) {
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    int fd = open(path, flags | O_DIRECT);
    *direct = fd >= 0;
    if (fd < 0 && errno == EINVAL) {
        fd = open(path, flags);
    }
    if (fd < 0) {
        return error_set(error, SL_ERR_FILE, "%s: %s", path, strerror(errno));
    }
    sl_error inner = {0};
    sl_status status = run_all(fd, os_file_size(path), rates, direct, &inner);
    if (status != SL_OK) {
        status = error_set(error, status, "%s: %s", path, inner.message);
    }
    close(fd);
    return status;
}

/* Bytes that no disk and no file system can compress. Returns an errno or 0. */
static int write_noise(int fd) {
    uint64_t *const piece = malloc(PIECE);
    if (!piece) {
        return ENOMEM;
    }
    uint64_t z = 1;
    int failure = 0;
    for (size_t at = 0; at < MADE_BYTES && !failure;) {
        for (size_t i = 0; i < PIECE / sizeof *piece; i++) {
            z = z * 6364136223846793005u + 1442695040888963407u;
            piece[i] = z ^ z >> 29;
        }
        size_t done = 0;
        while (done < PIECE && !failure) {
            const ssize_t n = write(fd, (const char *)piece + done, PIECE - done);
            failure = n < 0 && errno != EINTR ? errno : 0;
            done += n > 0 ? (size_t)n : 0;
        }
        at += PIECE;
    }
    free(piece);
    return failure ? failure : fsync(fd) == 0 ? 0 : errno;
}

sl_status os_disk_measure_in(const char *folder, double rates[OS_DISK_RUNS], bool *direct,
                             sl_error *error) {
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/measured.XXXXXX", folder);
    if (length < 0 || (size_t)length >= sizeof path) {
        return error_set(error, SL_ERR_FILE, "the name of the folder is too long");
    }
    const int writer = mkostemp(path, O_CLOEXEC);
    if (writer < 0) {
        return error_set(error, SL_ERR_FILE, "%s: %s", folder, strerror(errno));
    }
    /* Two ways to the file, and no name: whatever happens now leaves nothing behind. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    *direct = fd >= 0;
    if (fd < 0 && errno == EINVAL) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    const int opened = fd < 0 ? errno : 0;
    unlink(path);
    const int failure = opened ? opened : write_noise(writer);
    sl_status status = SL_OK;
    if (failure) {
        status = error_set(error, SL_ERR_FILE, "%s: %s", folder, strerror(failure));
    } else {
        status = run_all(fd, MADE_BYTES, rates, direct, error);
    }
    if (fd >= 0) {
        close(fd);
    }
    close(writer);
    return status;
}
