/* os_linux_machine.c - machine.h on Linux. */
#include "os/machine.h"

#include "base/error.h"
#include "base/size.h"
#include "os/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As weights are read for a pass (engine/placement.h). */
enum { DEPTH = 31, PIECE = 2 << 20, MADE_BYTES = 128 << 20 };

static const uint64_t run_time = 400 * 1000 * 1000; /* nanoseconds */

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
    os_reader *reader;
    uint64_t pieces, next; /* of the file; the one to read next */
    uint8_t *buffers;      /* DEPTH pieces */
} disk_run;

static void start_piece(disk_run *run, size_t slot) {
    const uint64_t piece = run->next++ % run->pieces;
    os_reader_start(run->reader, slot, piece * PIECE, PIECE, run->buffers + slot * PIECE);
}

/* Pieces in the file's order, round and round: *count of them, or if that is 0 until the time is
 * over, which *count then tells. */
static sl_status run_once(disk_run *run, uint64_t *count, double *rate, sl_error *error) {
    sl_status status = SL_OK;
    uint64_t done = 0, now;
    const uint64_t started = os_now();
    size_t under_way = 0;
    for (; under_way < DEPTH; under_way++) {
        start_piece(run, under_way);
    }
    do {
        size_t slot;
        status = os_reader_wait(run->reader, &slot, error);
        under_way--;
        now = os_now();
        if (status == SL_OK) {
            done++;
            start_piece(run, slot);
            under_way++;
        }
    } while (status == SL_OK && (*count ? done < *count : now - started < run_time));
    while (under_way-- > 0) {
        size_t slot;
        const sl_status late = os_reader_wait(run->reader, &slot, NULL);
        status = status == SL_OK ? late : status;
    }
    *count = done;
    *rate = (double)done * PIECE / ((double)(now - started) * 1e-9);
    return status;
}

/* Each run from another part of the file, twice. */
static sl_status run_all(const os_mapping *file, os_disk_rates *rates, sl_error *error) {
    const size_t bytes = (size_t)DEPTH * PIECE;
    disk_run run = {.pieces = file->size / PIECE, .buffers = os_pages_allocate(bytes)};
    if (!run.buffers) {
        return error_memory(error, "reading a file", bytes);
    }
    const os_reader_options options = {.depth = DEPTH, .buffers = run.buffers, .n_buffer = bytes};
    sl_status status = SL_OK;
    if (run.pieces == 0) {
        status = error_set(error, SL_ERR_ARGUMENT,
                           "a file of %zu bytes is too small to be measured", file->size);
    } else {
        status = os_reader_open(file, &options, &run.reader, error);
    }
    for (size_t i = 0; i < OS_DISK_RUNS && status == SL_OK; i++) {
        const uint64_t part = run.pieces * i / OS_DISK_RUNS;
        uint64_t count = 0;
        run.next = part;
        status = run_once(&run, &count, &rates->first[i], error);
        run.next = part;
        if (status == SL_OK) {
            status = run_once(&run, &count, &rates->again[i], error);
        }
    }
    rates->direct = run.reader && os_reader_is_direct(run.reader);
    os_reader_close(run.reader);
    os_pages_free(run.buffers, bytes);
    return status;
}

sl_status os_disk_measure(const char *path, os_disk_rates *rates, sl_error *error) {
    os_mapping file;
    sl_error inner = {0};
    sl_status status = os_map(path, &file, error);
    if (status != SL_OK) {
        return status;
    }
    status = run_all(&file, rates, &inner);
    if (status != SL_OK) {
        status = error_set(error, status, "%s: %s", path, inner.message);
    }
    os_unmap(&file);
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

sl_status os_disk_measure_in(const char *folder, os_disk_rates *rates, sl_error *error) {
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/measured.XXXXXX", folder);
    if (length < 0 || (size_t)length >= sizeof path) {
        return error_set(error, SL_ERR_FILE, "the name of the folder is too long");
    }
    const int writer = mkostemp(path, O_CLOEXEC);
    if (writer < 0) {
        return error_set(error, SL_ERR_FILE, "%s: %s", folder, strerror(errno));
    }
    const int failure = write_noise(writer);
    close(writer);
    os_mapping file;
    sl_status status = failure ? error_set(error, SL_ERR_FILE, "%s: %s", folder, strerror(failure))
                               : os_map(path, &file, error);
    unlink(path);
    if (status == SL_OK) {
        status = run_all(&file, rates, error);
        os_unmap(&file);
    }
    return status;
}
