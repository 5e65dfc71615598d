/* os_linux.c - os.h on Linux: files, faults, memory, threads, time. Limits: os_linux_limits.c. */
#include "os/os.h"

#include "base/error.h"
#include "base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

enum { HUGE_PAGE = 2 << 20, POPULATE_STEP = 8 << 20 };

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE); /* 4, 16 or 64 KiB */
}

/* ---- files ---------------------------------------------------------------------------------- */

static int64_t modified_at(const struct stat *status) {
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static sl_status map_descriptor(int fd, const char *path, os_mapping *mapping, sl_error *error) {
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return error_set(error, SL_ERR_FILE, "%s: %s", path, strerror(errno));
    }
    if (S_ISDIR(status.st_mode)) {
        return error_set(error, SL_ERR_FILE, "%s: is a directory, expected a model file", path);
    }
    if (!S_ISREG(status.st_mode)) {
        return error_set(error, SL_ERR_FILE, "%s: is not a regular file", path);
    }
    if (status.st_size <= 0) {
        return error_set(error, SL_ERR_FORMAT, "%s: is empty", path);
    }
    const size_t size = (size_t)status.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        return error_set(error, errno == ENOMEM ? SL_ERR_MEMORY : SL_ERR_FILE,
                         "%s: cannot be mapped: %s", path, strerror(errno));
    }
    /* To others than the owner and who may write, mincore calls every page present. */
    const bool opaque = status.st_uid != geteuid() && access(path, W_OK) != 0;
    *mapping = (os_mapping){
        .bytes = bytes,
        .size = size,
        .descriptor = fd,
        .modified = modified_at(&status),
        .opaque = opaque,
    };
    return SL_OK;
}

sl_status os_map(const char *path, os_mapping *mapping, sl_error *error) {
    /* Non-blocking, so that a pipe without a writer is refused and not waited for. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return error_set(error, SL_ERR_FILE, "%s: %s", path, strerror(errno));
    }
    const sl_status result = map_descriptor(fd, path, mapping, error);
    if (result != SL_OK) {
        close(fd);
    }
    return result;
}

void os_unmap(os_mapping *mapping) {
    if (mapping->bytes) {
        munmap((void *)mapping->bytes, mapping->size);
        close(mapping->descriptor);
    }
    *mapping = (os_mapping){0};
}

sl_status os_mapping_check(const os_mapping *mapping, sl_error *error) {
    struct stat status;
    if (fstat(mapping->descriptor, &status) != 0) {
        return error_set(error, SL_ERR_FILE, "cannot be looked at: %s", strerror(errno));
    }
    if (status.st_size < 0 || (uint64_t)status.st_size != mapping->size) {
        return error_set(error, SL_ERR_FILE, "has %lld bytes now, expected %zu",
                         (long long)status.st_size, mapping->size);
    }
    if (modified_at(&status) != mapping->modified) {
        return error_set(error, SL_ERR_FILE, "was changed while in use");
    }
    return SL_OK;
}

sl_status os_mapping_read(const os_mapping *mapping, uint64_t offset, size_t size, void *to,
                          sl_error *error) {
    for (size_t done = 0; done < size;) {
        const ssize_t n =
            pread(mapping->descriptor, (uint8_t *)to + done, size - done, (off_t)(offset + done));
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return error_set(error, SL_ERR_FILE, "reading %zu bytes at byte %llu: %s", size,
                             (unsigned long long)offset, n == 0 ? "the end" : strerror(errno));
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return SL_OK;
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
    _Atomic size_t next, done;
    _Atomic uint32_t running;
    _Atomic bool stop;
} populate_job;

static void populate_touch(const uint8_t *bytes, size_t length) {
    volatile uint8_t sink = 0;
    const size_t step = page_size();
    for (size_t i = 0; i < length; i += step) {
        sink = (uint8_t)(sink + bytes[i]);
    }
}

static void populate_worker(void *argument) {
    populate_job *job = argument;
    while (!atomic_load(&job->stop)) {
        const size_t at = atomic_fetch_add(&job->next, POPULATE_STEP);
        if (at >= job->mapping->size) {
            break;
        }
        const uint8_t *bytes = job->mapping->bytes + at;
        const size_t length = size_min(POPULATE_STEP, job->mapping->size - at);
        if (madvise((void *)bytes, length, MADV_POPULATE_READ) != 0) {
            populate_touch(bytes, length);
        }
        atomic_fetch_add(&job->done, length);
    }
    atomic_fetch_sub(&job->running, 1);
}

sl_status os_mapping_populate(const os_mapping *mapping, size_t threads, sl_progress_fn progress,
                              void *user, sl_error *error) {
    enum { MOST = 8 };
    os_thread *started[MOST];
    size_t count = 0;
    populate_job job = {.mapping = mapping};
    threads = size_max(1, size_min(threads, MOST));
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

/* ---- faults --------------------------------------------------------------------------------- */

typedef struct guarded_range {
    _Atomic uintptr_t start; /* 0: free */
    _Atomic size_t size;
    _Atomic bool faulted;
} guarded_range;

static guarded_range guarded[64];
static struct sigaction previous_bus_action;
static uintptr_t guard_page_size; /* set before the handler is there, which must not ask for it */

static guarded_range *guard_find(uintptr_t address) {
    for (size_t i = 0; i < COUNT_OF(guarded); i++) {
        const uintptr_t start = atomic_load(&guarded[i].start);
        if (start != 0 && address >= start && address - start < atomic_load(&guarded[i].size)) {
            return &guarded[i];
        }
    }
    return NULL;
}

/* Puts zeros where the fault was and over all that follows: what lies behind the end of a file that
 * was cut short would fault next, page by page. The flag comes first: another thread may read the
 * zeros without a fault of its own, and must find it set. */
static bool guard_cover(guarded_range *range, uintptr_t address) {
    const uintptr_t page = address & ~(guard_page_size - 1);
    const size_t rest = atomic_load(&range->start) + atomic_load(&range->size) - page;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    atomic_store(&range->faulted, true);
    return mmap((void *)page, rest, PROT_READ, flags, -1, 0) != MAP_FAILED;
}

/* mmap is a plain system call on Linux and so safe in a handler. Codes up to 0 are signals that
 * a process sent, which have no address. */
static void on_bus_error(int signal_number, siginfo_t *info, void *context) {
    const int saved = errno;
    guarded_range *range = info->si_code > 0 ? guard_find((uintptr_t)info->si_addr) : NULL;
    if (range && guard_cover(range, (uintptr_t)info->si_addr)) {
        errno = saved;
        return;
    }
    if (previous_bus_action.sa_flags & SA_SIGINFO) {
        previous_bus_action.sa_sigaction(signal_number, info, context);
    } else if (previous_bus_action.sa_handler != SIG_DFL &&
               previous_bus_action.sa_handler != SIG_IGN) {
        previous_bus_action.sa_handler(signal_number);
    } else {
        sigaction(SIGBUS, &previous_bus_action, NULL); /* a fault repeats and ends the process */
        if (info->si_code <= 0) {
            raise(SIGBUS); /* a signal that was sent does not repeat */
        }
    }
    errno = saved;
}

void os_guard_install(void) {
    static _Atomic bool installed;
    if (!atomic_exchange(&installed, true)) {
        struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
        sigemptyset(&action.sa_mask);
        guard_page_size = page_size();
        sigaction(SIGBUS, &action, &previous_bus_action);
    }
}

void os_guard_add(const void *bytes, size_t size) {
    for (size_t i = 0; i < COUNT_OF(guarded); i++) {
        uintptr_t expected = 0;
        if (atomic_compare_exchange_strong(&guarded[i].start, &expected, (uintptr_t)bytes)) {
            atomic_store(&guarded[i].faulted, false);
            atomic_store(&guarded[i].size, size);
            return;
        }
    }
}

void os_guard_remove(const void *bytes) {
    guarded_range *range = guard_find((uintptr_t)bytes);
    if (range) {
        atomic_store(&range->size, 0);
        atomic_store(&range->start, 0);
    }
}

bool os_guard_faulted(const void *bytes) {
    const guarded_range *range = guard_find((uintptr_t)bytes);
    return range && atomic_load(&range->faulted);
}

/* ---- memory --------------------------------------------------------------------------------- */

void *os_pages_allocate(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    if (bytes >= 4 * (size_t)HUGE_PAGE) {
        (void)madvise(pages, bytes, MADV_HUGEPAGE); /* a wish */
    }
    return pages;
}

void os_pages_free(void *pages, size_t bytes) {
    if (pages) {
        munmap(pages, bytes);
    }
}

void os_pages_drop(const void *pages, size_t bytes) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)pages + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)pages + bytes) / page * page;
    if (begin < end) {
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
}

bool os_pages_huge(void) {
    char text[64] = "";
    const int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        const ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        close(fd);
    }
    return strstr(text, "[always]") || strstr(text, "[madvise]");
}

bool os_pages_lock(const void *pages, size_t bytes, const char **reason) {
    if (mlock(pages, bytes) != 0) {
        *reason = strerror(errno);
        return false;
    }
    return true;
}

/* ---- threads and time ----------------------------------------------------------------------- */

struct os_thread {
    pthread_t handle;
    void (*run)(void *);
    void *argument;
};

static void *thread_main(void *argument) {
    os_thread *thread = argument;
    thread->run(thread->argument);
    return NULL;
}

sl_status os_thread_start(void (*run)(void *argument), void *argument, os_thread **thread,
                          sl_error *error) {
    os_thread *t = malloc(sizeof *t);
    if (!t) {
        return error_memory(error, "a thread", sizeof *t);
    }
    *t = (os_thread){.run = run, .argument = argument};
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&t->handle, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        free(t);
        return error_set(error, SL_ERR_MEMORY, "cannot start a thread: %s", strerror(result));
    }
    *thread = t;
    return SL_OK;
}

void os_thread_join(os_thread *thread) {
    pthread_join(thread->handle, NULL);
    free(thread);
}

void os_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void os_wait_for(_Atomic uint32_t *word, uint32_t value, uint64_t nanoseconds) {
    const struct timespec most = {(time_t)(nanoseconds / 1000000000u),
                                  (long)(nanoseconds % 1000000000u)};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &most, NULL, 0);
}

void os_wake_all(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

uint64_t os_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
