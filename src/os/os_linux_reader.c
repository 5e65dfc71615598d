/* os_linux_reader.c - reader.h on Linux: io_uring where it is to be had, else threads with pread;
 * O_DIRECT where the file system takes it, else reads that the page cache is told to forget. */
#include "os/reader.h"

#include "base/error.h"
#include "base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef SLUICE_URING
#include <liburing.h>
#endif

enum { MOST_THREADS = 8 };

typedef struct request {
    size_t tag;
    const os_part *part;
    uint64_t offset; /* into the part */
    size_t size;
    uint8_t *buffer;
    ssize_t result; /* bytes, or -errno */
} request;

/* Numbers of requests, first in, first out. */
typedef struct number_queue {
    size_t numbers[OS_READER_DEPTH];
    size_t first, count;
} number_queue;

struct os_reader {
    const os_mapping *mapping;
    int *direct;       /* descriptions of the files for direct reads; NULL: none */
    bool uring, fixed; /* fixed: the buffers are registered */
    size_t depth;
    request requests[OS_READER_DEPTH];
    number_queue unused;
#ifdef SLUICE_URING
    struct io_uring ring;
#endif
    os_thread *threads[MOST_THREADS];
    size_t n_thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t asked, answered;
    number_queue waiting, finished;
    bool stop;
    char how[160];
};

static void put(number_queue *q, size_t number) {
    q->numbers[(q->first + q->count++) % OS_READER_DEPTH] = number;
}

static size_t take(number_queue *q) {
    const size_t number = q->numbers[q->first];
    q->first = (q->first + 1) % OS_READER_DEPTH;
    q->count--;
    return number;
}

/* ---- one read ------------------------------------------------------------------------------- */

/* Bytes that a read must give: all, but for those behind the end of the file. */
static size_t expected_bytes(const request *q) {
    const uint64_t size = q->part->size;
    return q->offset >= size ? 0 : size_min(q->size, (size_t)(size - q->offset));
}

/* The part from `done` on, in as many steps as it takes, through the page cache, which is what
 * can always be done. Returns all bytes there are now, or -errno. */
static ssize_t read_buffered(const request *q, size_t done) {
    const int fd = q->part->descriptor;
    while (done < q->size) {
        const ssize_t n = pread(fd, q->buffer + done, q->size - done, (off_t)(q->offset + done));
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    (void)posix_fadvise(fd, (off_t)q->offset, (off_t)q->size, POSIX_FADV_DONTNEED);
    return (ssize_t)done;
}

/* A short read that is not the file's end, or one that was refused for its form, is not yet a
 * failure. */
static ssize_t complete(const request *q, ssize_t result) {
    if (result == -EINVAL || result == -EINTR || result == -EAGAIN) {
        return read_buffered(q, 0);
    }
    if (result >= 0 && (size_t)result < expected_bytes(q)) {
        return read_buffered(q, (size_t)result);
    }
    return result;
}

/* For direct reads, or -1. */
static int direct_of(const os_reader *r, const request *q) {
    return r->direct ? r->direct[q->part - r->mapping->parts] : -1;
}

static ssize_t read_now(const os_reader *r, const request *q) {
    const int direct = direct_of(r, q);
    if (direct < 0) {
        return read_buffered(q, 0);
    }
    const ssize_t n = pread(direct, q->buffer, q->size, (off_t)q->offset);
    return complete(q, n < 0 ? -errno : n);
}

/* ---- io_uring ------------------------------------------------------------------------------- */

#ifdef SLUICE_URING

/* Returns NULL, or why not. */
static const char *uring_open(os_reader *r, const os_reader_options *o) {
    const int result = io_uring_queue_init((unsigned)o->depth, &r->ring, 0);
    if (result < 0) {
        return strerror(-result);
    }
    r->uring = true;
    /* Counted as locked memory, of which users may have little; without it reads cost a little
     * more. */
    const struct iovec all = {o->buffers, o->n_buffer};
    r->fixed = io_uring_register_buffers(&r->ring, &all, 1) == 0;
    return NULL;
}

static void uring_close(os_reader *r) {
    io_uring_queue_exit(&r->ring);
}

static void uring_start(os_reader *r, size_t number) {
    const request *q = &r->requests[number];
    struct io_uring_sqe *entry = io_uring_get_sqe(&r->ring); /* there are as many as requests */
    const int fd = r->direct ? direct_of(r, q) : q->part->descriptor;
    if (r->fixed) {
        io_uring_prep_read_fixed(entry, fd, q->buffer, (unsigned)q->size, q->offset, 0);
    } else {
        io_uring_prep_read(entry, fd, q->buffer, (unsigned)q->size, q->offset);
    }
    io_uring_sqe_set_data(entry, &r->requests[number]);
    while (io_uring_submit(&r->ring) == -EINTR) {
    }
}

static size_t uring_wait(os_reader *r) {
    struct io_uring_cqe *entry;
    while (io_uring_peek_cqe(&r->ring, &entry) != 0) {
        /* Also what the system had no memory for when it was started. */
        (void)io_uring_submit_and_wait(&r->ring, 1);
    }
    request *q = io_uring_cqe_get_data(entry);
    q->result = entry->res;
    io_uring_cqe_seen(&r->ring, entry);
    q->result = complete(q, q->result);
    if (!r->direct) {
        (void)posix_fadvise(q->part->descriptor, (off_t)q->offset, (off_t)q->size,
                            POSIX_FADV_DONTNEED);
    }
    return (size_t)(q - r->requests);
}

#else

static const char *uring_open(os_reader *r, const os_reader_options *o) {
    (void)r;
    (void)o;
    return "built without liburing";
}

static void uring_close(os_reader *r) {
    (void)r;
}

static void uring_start(os_reader *r, size_t number) {
    (void)r;
    (void)number;
}

static size_t uring_wait(os_reader *r) {
    (void)r;
    return 0;
}

#endif

/* ---- threads -------------------------------------------------------------------------------- */

static void serve(void *argument) {
    os_reader *r = argument;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (r->waiting.count == 0 && !r->stop) {
            pthread_cond_wait(&r->asked, &r->lock);
        }
        if (r->stop) {
            break;
        }
        const size_t number = take(&r->waiting);
        pthread_mutex_unlock(&r->lock);
        r->requests[number].result = read_now(r, &r->requests[number]);
        pthread_mutex_lock(&r->lock);
        put(&r->finished, number);
        pthread_cond_signal(&r->answered);
    }
    pthread_mutex_unlock(&r->lock);
}

static sl_status threads_open(os_reader *r, sl_error *error) {
    const size_t count = size_min(r->depth, MOST_THREADS);
    sl_status status = SL_OK;
    while (r->n_thread < count && status == SL_OK) {
        status = os_thread_start(serve, r, &r->threads[r->n_thread], error);
        r->n_thread += status == SL_OK;
    }
    return r->n_thread > 0 ? SL_OK : status;
}

static void threads_close(os_reader *r) {
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->asked);
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < r->n_thread; i++) {
        os_thread_join(r->threads[i]);
    }
}

/* ---- the reader ----------------------------------------------------------------------------- */

static void direct_close(os_reader *r) {
    for (size_t i = 0; r->direct && i < r->mapping->n_part; i++) {
        if (r->direct[i] >= 0) {
            close(r->direct[i]);
        }
    }
    free(r->direct);
    r->direct = NULL;
}

/* Descriptions of its own, since direct reading is a property of a description: the mapping's are
 * read through the page cache. Returns NULL, or why not: then for none of the files. */
static const char *direct_open(os_reader *r) {
    const size_t n = r->mapping->n_part;
    r->direct = malloc(n * sizeof *r->direct);
    if (!r->direct) {
        return strerror(ENOMEM);
    }
    for (size_t i = 0; i < n; i++) {
        r->direct[i] = -1;
    }
    for (size_t i = 0; i < n; i++) {
        char path[40];
        snprintf(path, sizeof path, "/proc/self/fd/%d", r->mapping->parts[i].descriptor);
        r->direct[i] = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
        if (r->direct[i] < 0) {
            const char *reason = strerror(errno);
            direct_close(r);
            return reason;
        }
    }
    return NULL;
}

/* Whether the environment hides one of the means. */
static bool hidden(const char *word) {
    const char *hides = getenv("SLUICE_IO");
    return hides && strstr(hides, word) != NULL;
}

sl_status os_reader_open(const os_mapping *mapping, const os_reader_options *options,
                         os_reader **out, sl_error *error) {
    os_reader *r = calloc(1, sizeof *r);
    if (!r) {
        return error_memory(error, "a reader of the file", sizeof *r);
    }
    *r = (os_reader){.mapping = mapping, .depth = options->depth};
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->asked, NULL);
    pthread_cond_init(&r->answered, NULL);
    for (size_t i = 0; i < r->depth; i++) {
        put(&r->unused, i);
    }
    const char *no_direct =
        options->no_direct || hidden("buffered") ? "not wanted" : direct_open(r);
    const char *no_uring =
        options->no_uring || hidden("threads") ? "not wanted" : uring_open(r, options);
    if (!r->uring) {
        const sl_status status = threads_open(r, error);
        if (status != SL_OK) {
            os_reader_close(r);
            return status;
        }
    }
    snprintf(r->how, sizeof r->how, "%s%s%s%s%s, %s%s%s%s", r->uring ? "io_uring" : "threads",
             no_uring ? " (io_uring: " : "", no_uring ? no_uring : "", no_uring ? ")" : "",
             r->uring && !r->fixed ? " without registered buffers" : "",
             !r->direct ? "through the page cache" : "direct", no_direct ? " (direct: " : "",
             no_direct ? no_direct : "", no_direct ? ")" : "");
    *out = r;
    return SL_OK;
}

void os_reader_close(os_reader *r) {
    if (!r) {
        return;
    }
    size_t tag;
    while (r->unused.count < r->depth) {
        (void)!os_reader_wait(r, &tag, NULL);
    }
    if (r->uring) {
        uring_close(r);
    }
    threads_close(r);
    direct_close(r);
    pthread_cond_destroy(&r->answered);
    pthread_cond_destroy(&r->asked);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

const char *os_reader_how(const os_reader *r) {
    return r->how;
}

bool os_reader_is_direct(const os_reader *r) {
    return r->direct != NULL;
}

bool os_reader_is_best(const os_reader *r) {
    return r->uring && r->fixed && r->direct;
}

void os_reader_start(os_reader *r, size_t tag, uint64_t offset, size_t size, void *buffer) {
    const size_t number = take(&r->unused);
    const size_t before = (size_t)(offset % OS_READER_ALIGN);
    const os_part *part = os_mapping_part(r->mapping, offset);
    r->requests[number] = (request){
        .tag = tag,
        .part = part,
        .offset = offset - part->start - before,
        .size = size_round_up(before + size, OS_READER_ALIGN),
        .buffer = buffer,
    };
    if (r->uring) {
        uring_start(r, number);
        return;
    }
    pthread_mutex_lock(&r->lock);
    put(&r->waiting, number);
    pthread_cond_signal(&r->asked);
    pthread_mutex_unlock(&r->lock);
}

static size_t threads_wait(os_reader *r) {
    pthread_mutex_lock(&r->lock);
    while (r->finished.count == 0) {
        pthread_cond_wait(&r->answered, &r->lock);
    }
    const size_t number = take(&r->finished);
    pthread_mutex_unlock(&r->lock);
    return number;
}

sl_status os_reader_wait(os_reader *r, size_t *tag, sl_error *error) {
    const size_t number = r->uring ? uring_wait(r) : threads_wait(r);
    const request *q = &r->requests[number];
    const size_t expected = expected_bytes(q);
    char label[64];
    *tag = q->tag;
    put(&r->unused, number);
    if (q->result < 0) {
        return error_set(error, SL_ERR_FILE, "%sreading %zu bytes at byte %llu: %s",
                         os_part_label(r->mapping, q->part, label), expected,
                         (unsigned long long)q->offset, strerror((int)-q->result));
    }
    if ((size_t)q->result < expected) {
        return error_set(error, SL_ERR_FILE, "%sends at byte %llu, expected %zu bytes",
                         os_part_label(r->mapping, q->part, label),
                         (unsigned long long)q->offset + (size_t)q->result, q->part->size);
    }
    return SL_OK;
}
