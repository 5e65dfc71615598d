/* os_linux_files.c - os.h on Linux: files and their mappings. */
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* For a thread at a time, and of it at once. */
enum { POPULATE_STEP = 128 << 20, POPULATE_READ = 256 << 10 };

/* A mapping begins as a large page does, and so does a later file of it that is so large that what
 * is left free before it does not count: only then can what the page cache has in pieces of that
 * size be mapped by large pages. */
enum { LARGE_PAGE = 2 << 20, LARGE_FILE = 512 * LARGE_PAGE };

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE); /* 4, 16 or 64 KiB */
}

/* ---- looking at files ----------------------------------------------------------------------- */

bool os_is_directory(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool os_exists(const char *path) {
    struct stat status;
    return stat(path, &status) == 0;
}

static int64_t modified_at(const struct stat *status) {
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

/* Returns the descriptor of a regular file that is not empty, or -1 with *status and *error
 * filled. */
static int open_regular(const char *path, struct stat *found, sl_status *status, sl_error *error) {
    /* Non-blocking, so that a pipe without a writer is refused and not waited for. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, found) != 0) {
        *status = error_set(error, SL_ERR_FILE, "%s: %s", path, strerror(errno));
    } else if (S_ISDIR(found->st_mode)) {
        *status = error_set(error, SL_ERR_FILE, "%s: is a directory, expected a model file", path);
    } else if (!S_ISREG(found->st_mode)) {
        *status = error_set(error, SL_ERR_FILE, "%s: is not a regular file", path);
    } else if (found->st_size <= 0) {
        *status = error_set(error, SL_ERR_FORMAT, "%s: is empty", path);
    } else {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/* All of `size` bytes at `offset`, or what is wrong: 0 for the file's end, else an errno. */
static bool read_all(int fd, uint64_t offset, size_t size, uint8_t *to, int *wrong) {
    for (size_t done = 0; done < size;) {
        const ssize_t n = pread(fd, to + done, size - done, (off_t)(offset + done));
        if (n == 0 || (n < 0 && errno != EINTR)) {
            *wrong = n == 0 ? 0 : errno;
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

sl_status os_read_file(const char *path, size_t most, uint8_t **bytes, size_t *size,
                       sl_error *error) {
    struct stat found;
    sl_status status = SL_OK;
    const int fd = open_regular(path, &found, &status, error);
    if (fd < 0) {
        return status;
    }
    int wrong;
    const size_t all = (size_t)found.st_size;
    uint8_t *copy = NULL;
    if (all > most) {
        status = error_set(error, SL_ERR_FORMAT, "%s: has %zu bytes, expected at most %zu", path,
                           all, most);
    } else if (!(copy = malloc(all + 1))) {
        status = error_memory(error, path, all + 1);
    } else if (!read_all(fd, 0, all, copy, &wrong)) {
        status = error_set(error, SL_ERR_FILE, "%s: %s", path,
                           wrong ? strerror(wrong) : "was cut short while it was read");
    }
    close(fd);
    if (status != SL_OK) {
        free(copy);
        return status;
    }
    copy[all] = 0;
    *bytes = copy;
    *size = all;
    return SL_OK;
}

/* ---- mappings ------------------------------------------------------------------------------- */

static sl_status open_part(const char *path, os_mapping *mapping, sl_error *error) {
    struct stat found;
    sl_status status = SL_OK;
    const int fd = open_regular(path, &found, &status, error);
    if (fd < 0) {
        return status;
    }
    os_part *part = &mapping->parts[mapping->n_part];
    *part = (os_part){
        .start =
            size_round_up(mapping->size, found.st_size < LARGE_FILE ? page_size() : LARGE_PAGE),
        .size = (size_t)found.st_size,
        .descriptor = fd,
        .modified = modified_at(&found),
        .path = strdup(path),
    };
    mapping->n_part++;
    /* To others than the owner and who may write, mincore calls every page present. */
    mapping->opaque |= found.st_uid != geteuid() && access(path, W_OK) != 0;
    if (!part->path) {
        return error_memory(error, path, strlen(path));
    }
    if (part->size > SIZE_MAX / 4 || part->start > SIZE_MAX / 4) {
        return error_set(error, SL_ERR_MEMORY, "%s: is too large to be mapped", path);
    }
    mapping->size = part->start + part->size;
    return SL_OK;
}

/* `size` bytes of zeros from a multiple of LARGE_PAGE on, which are no memory yet; or NULL. */
static uint8_t *reserve_addresses(size_t size) {
    const size_t whole = size_round_up(size, page_size());
    uint8_t *const all = mmap(NULL, whole + LARGE_PAGE, PROT_READ,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        return NULL;
    }
    const size_t before = size_round_up((uintptr_t)all, LARGE_PAGE) - (uintptr_t)all;
    if (before > 0) {
        munmap(all, before);
    }
    if (before < LARGE_PAGE) {
        munmap(all + before + whole, LARGE_PAGE - before);
    }
    return all + before;
}

/* Room for all parts is taken first, and then filled: nothing else can come to lie between. */
static sl_status map_parts(os_mapping *mapping, sl_error *error) {
    uint8_t *const bytes = reserve_addresses(mapping->size);
    if (!bytes) {
        return error_set(error, SL_ERR_MEMORY, "%s: cannot be mapped: %s", mapping->parts[0].path,
                         strerror(errno));
    }
    mapping->bytes = bytes;
    for (size_t i = 0; i < mapping->n_part; i++) {
        const os_part *part = &mapping->parts[i];
        if (mmap(bytes + part->start, part->size, PROT_READ, MAP_SHARED | MAP_FIXED,
                 part->descriptor, 0) == MAP_FAILED) {
            return error_set(error, errno == ENOMEM ? SL_ERR_MEMORY : SL_ERR_FILE,
                             "%s: cannot be mapped: %s", part->path, strerror(errno));
        }
    }
    return SL_OK;
}

sl_status os_map_files(const char *const *paths, size_t n, os_mapping *mapping, sl_error *error) {
    os_mapping m = {0};
    if (n < 1 || n > LIMIT_MODEL_FILES) {
        return error_set(error, SL_ERR_FORMAT, "a model of %zu files, expected 1 to %u", n,
                         LIMIT_MODEL_FILES);
    }
    m.parts = calloc(n, sizeof *m.parts);
    if (!m.parts) {
        return error_memory(error, "a list of files", n * sizeof *m.parts);
    }
    sl_status status = SL_OK;
    for (size_t i = 0; i < n && status == SL_OK; i++) {
        status = open_part(paths[i], &m, error);
    }
    status = status == SL_OK ? map_parts(&m, error) : status;
    if (status != SL_OK) {
        os_unmap(&m);
        return status;
    }
    os_guard_add(m.bytes, m.size);
    *mapping = m;
    return SL_OK;
}

sl_status os_map(const char *path, os_mapping *mapping, sl_error *error) {
    return os_map_files(&path, 1, mapping, error);
}

void os_unmap(os_mapping *mapping) {
    if (mapping->bytes) {
        os_guard_remove(mapping->bytes);
        munmap((void *)mapping->bytes, mapping->size);
    }
    for (size_t i = 0; i < mapping->n_part; i++) {
        close(mapping->parts[i].descriptor);
        free(mapping->parts[i].path);
    }
    free(mapping->parts);
    *mapping = (os_mapping){0};
}

const os_part *os_mapping_part(const os_mapping *mapping, uint64_t offset) {
    size_t low = 0, high = mapping->n_part;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        *(offset >= mapping->parts[middle].start ? &low : &high) = middle;
    }
    return &mapping->parts[low];
}

const char *os_part_label(const os_mapping *mapping, const os_part *part, char text[64]) {
    const char *slash = strrchr(part->path, '/');
    text[0] = 0;
    if (mapping->n_part > 1) {
        snprintf(text, 64, "%.60s: ", slash ? slash + 1 : part->path);
    }
    return text;
}

static sl_status check_part(const os_part *part, const char *label, sl_error *error) {
    struct stat status;
    if (fstat(part->descriptor, &status) != 0) {
        return error_set(error, SL_ERR_FILE, "%scannot be looked at: %s", label, strerror(errno));
    }
    if (status.st_size < 0 || (uint64_t)status.st_size != part->size) {
        return error_set(error, SL_ERR_FILE, "%shas %lld bytes now, expected %zu", label,
                         (long long)status.st_size, part->size);
    }
    if (modified_at(&status) != part->modified) {
        return error_set(error, SL_ERR_FILE, "%swas changed while in use", label);
    }
    return SL_OK;
}

sl_status os_mapping_check(const os_mapping *mapping, sl_error *error) {
    sl_status status = SL_OK;
    for (size_t i = 0; i < mapping->n_part && status == SL_OK; i++) {
        char label[64];
        status = check_part(&mapping->parts[i], os_part_label(mapping, &mapping->parts[i], label),
                            error);
    }
    return status;
}

sl_status os_mapping_read(const os_mapping *mapping, uint64_t offset, size_t size, void *to,
                          sl_error *error) {
    int wrong;
    char label[64];
    const os_part *part = os_mapping_part(mapping, offset);
    const uint64_t at = offset - part->start;
    if (read_all(part->descriptor, at, size, to, &wrong)) {
        return SL_OK;
    }
    return error_set(error, SL_ERR_FILE, "%sreading %zu bytes at byte %llu: %s",
                     os_part_label(mapping, part, label), size, (unsigned long long)at,
                     wrong ? strerror(wrong) : "the end");
}

size_t os_mapping_cold_bytes(const os_mapping *mapping) {
    enum { PAGES = 4096, SAMPLE = 8, SMALL = 64 << 20 };
    unsigned char present[PAGES];
    const size_t page_bytes = page_size();
    const size_t step = PAGES * page_bytes;
    const size_t sample = mapping->size > SMALL ? SAMPLE : 1;
    size_t cold = 0;
    if (mapping->opaque) {
        return mapping->size;
    }
    for (size_t at = 0; at < mapping->size; at += step) {
        const size_t length = size_min(step / sample, mapping->size - at);
        if (mincore((void *)(mapping->bytes + at), length, present) != 0) {
            return 0;
        }
        for (size_t page = 0; page < (length + page_bytes - 1) / page_bytes; page++) {
            cold += (present[page] & 1) ? 0 : sample * page_bytes;
        }
    }
    return size_min(cold, mapping->size);
}

typedef struct populate_job {
    const os_mapping *mapping;
    size_t step;
    _Atomic size_t next, done;
    _Atomic uint32_t running;
    _Atomic bool stop;
} populate_job;

/* Reads a stretch of a file from its beginning to its end, as if alone with it, by a descriptor of
 * its own: then the page cache keeps it in the largest pieces. Returns how much it told. */
static size_t populate_read(populate_job *job, const os_part *part, uint64_t offset, size_t length,
                            uint8_t *buffer) {
    const int own = open(part->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const int fd = own < 0 ? part->descriptor : own;
    size_t done = 0;
    while (done < length && !atomic_load(&job->stop)) {
        const size_t most = size_min(POPULATE_READ, length - done);
        const ssize_t n = pread(fd, buffer, most, (off_t)(offset + done));
        if (n <= 0) {
            break; /* what is wrong shows when it is touched */
        }
        done += (size_t)n;
        atomic_fetch_add(&job->done, (size_t)n);
    }
    if (own >= 0) {
        close(own);
    }
    return done;
}

static void populate_touch(const uint8_t *bytes, size_t length) {
    volatile uint8_t sink = 0;
    const size_t step = page_size();
    for (size_t i = 0; i < length; i += step) {
        sink = (uint8_t)(sink + bytes[i]);
    }
}

static void populate_worker(void *argument) {
    populate_job *job = argument;
    const os_mapping *mapping = job->mapping;
    /* What may be in memory already, for all that one can tell, is only mapped. */
    uint8_t *const buffer = mapping->opaque ? NULL : malloc(POPULATE_READ);
    while (!atomic_load(&job->stop)) {
        const size_t begin = atomic_fetch_add(&job->next, job->step);
        if (begin >= mapping->size) {
            break;
        }
        const size_t end = begin + size_min(job->step, mapping->size - begin);
        size_t done = 0;
        for (size_t i = 0; i < mapping->n_part && buffer; i++) {
            const os_part *part = &mapping->parts[i];
            const size_t from = size_max(begin, part->start);
            const size_t to = size_min(end, part->start + part->size);
            if (from < to) {
                done += populate_read(job, part, from - part->start, to - from, buffer);
            }
        }
        if (!atomic_load(&job->stop) &&
            madvise((void *)(mapping->bytes + begin), end - begin, MADV_POPULATE_READ) != 0) {
            populate_touch(mapping->bytes + begin, end - begin);
        }
        atomic_fetch_add(&job->done, end - begin - done);
    }
    free(buffer);
    atomic_fetch_sub(&job->running, 1);
}

sl_status os_mapping_populate(const os_mapping *mapping, size_t threads, sl_progress_fn progress,
                              void *user, sl_error *error) {
    enum { MOST = 8 };
    os_thread *started[MOST];
    size_t count = 0;
    threads = size_max(1, size_min(threads, MOST));
    const size_t share = size_round_up(mapping->size / (4 * threads) + 1, LARGE_PAGE);
    populate_job job = {.mapping = mapping, .step = size_min(share, POPULATE_STEP)};
    for (; count < threads; count++) {
        atomic_fetch_add(&job.running, 1);
        if (os_thread_start(populate_worker, &job, &started[count], error) != SL_OK) {
            atomic_fetch_sub(&job.running, 1);
            break;
        }
    }
    if (count == 0) {
        return SL_ERR_MEMORY;
    }
    while (atomic_load(&job.running) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL);
        if (progress && !progress(user, "loading", atomic_load(&job.done), mapping->size)) {
            atomic_store(&job.stop, true);
        }
    }
    for (size_t i = 0; i < count; i++) {
        os_thread_join(started[i]);
    }
    return atomic_load(&job.stop) ? error_set(error, SL_ERR_CANCELLED, "loading was interrupted")
                                  : SL_OK;
}
