/* os_linux.c - os.h on Linux: faults, memory, threads, time. Files: os_linux_files.c; limits:
 * os_linux_limits.c. */
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
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20 };

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
        guard_page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
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

void os_pages_fetch(const void *pages, size_t bytes) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = (uintptr_t)pages / page * page;
    (void)madvise((void *)begin, (uintptr_t)pages + bytes - begin, MADV_WILLNEED); /* a wish */
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
