/* read_faults.c - a library to preload, behind which reads of one file fail, fall short or hang.
 *
 *   READ_FAULTS_FILE   path of the file, or "nameless" for those that have no name; reads of others
 *                      are left alone
 *   READ_FAULTS_KIND   eio: the read fails; end: it finds the end of the file; short: it gives half
 *                      of the bytes, and the other half of the buffer is wrong; slow: it takes a
 *                      second; none: it is only counted
 *   READ_FAULTS_AT     the first read that is faulty; the file's first is 1 (default 1)
 *   READ_FAULTS_COUNT  how many are from there on; 0: all (default 1)
 *   READ_FAULTS_LOG    a file for one line at the end of the process: "12 reads, 1 faulty"
 *
 * Reads are pread and preadv. Those of io_uring go past every library: SLUICE_IO=threads keeps from
 * them. Pages that are mapped are not read in this sense.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

typedef enum fault { FAULT_NONE, FAULT_EIO, FAULT_END, FAULT_SHORT, FAULT_SLOW } fault;

static _Atomic unsigned long n_read, n_faulty;

static unsigned long number_of(const char *name, unsigned long otherwise) {
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

static bool is_the_file(int fd) {
    const char *path = getenv("READ_FAULTS_FILE");
    struct stat wanted, found;
    if (!path || fstat(fd, &found) != 0) {
        return false;
    }
    if (strcmp(path, "nameless") == 0) {
        return S_ISREG(found.st_mode) && found.st_nlink == 0;
    }
    return stat(path, &wanted) == 0 && wanted.st_dev == found.st_dev &&
           wanted.st_ino == found.st_ino;
}

static fault kind_of_fault(void) {
    static const char *const names[] = {
        [FAULT_EIO] = "eio", [FAULT_END] = "end", [FAULT_SHORT] = "short", [FAULT_SLOW] = "slow"};
    const char *kind = getenv("READ_FAULTS_KIND");
    for (size_t i = FAULT_EIO; kind && i <= FAULT_SLOW; i++) {
        if (strcmp(kind, names[i]) == 0) {
            return (fault)i;
        }
    }
    return FAULT_NONE;
}

/* What happens to this read. */
static fault next_fault(int fd) {
    if (!is_the_file(fd)) {
        return FAULT_NONE;
    }
    const unsigned long number = atomic_fetch_add(&n_read, 1) + 1;
    const unsigned long at = number_of("READ_FAULTS_AT", 1);
    const unsigned long count = number_of("READ_FAULTS_COUNT", 1);
    const fault kind = kind_of_fault();
    if (kind == FAULT_NONE || number < at || (count > 0 && number - at >= count)) {
        return FAULT_NONE;
    }
    atomic_fetch_add(&n_faulty, 1);
    return kind;
}

__attribute__((destructor)) static void write_log(void) {
    const char *path = getenv("READ_FAULTS_LOG");
    FILE *log = path ? fopen(path, "w") : NULL;
    if (log) {
        fprintf(log, "%lu reads, %lu faulty\n", atomic_load(&n_read), atomic_load(&n_faulty));
        fclose(log);
    }
}

/* ---- the functions that are replaced -------------------------------------------------------- */

typedef ssize_t (*pread_function)(int, void *, size_t, off_t);
typedef ssize_t (*preadv_function)(int, const struct iovec *, int, off_t);

static void *real_function(const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) {
        fprintf(stderr, "read_faults: no %s\n", name);
        abort();
    }
    return symbol;
}

static ssize_t real_pread(int fd, void *to, size_t size, off_t offset) {
    pread_function real;
    void *symbol = real_function("pread");
    memcpy(&real, &symbol, sizeof real);
    return real(fd, to, size, offset);
}

static ssize_t faulty_pread(int fd, void *to, size_t size, off_t offset) {
    const fault kind = next_fault(fd);
    if (kind == FAULT_EIO) {
        errno = EIO;
        return -1;
    }
    if (kind == FAULT_END) {
        return 0;
    }
    if (kind == FAULT_SLOW) {
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    const ssize_t n = real_pread(fd, to, size, offset);
    if (kind == FAULT_SHORT && n > 1) {
        memset((uint8_t *)to + n / 2, 0xa5, (size_t)(n - n / 2));
        return n / 2;
    }
    return n;
}

/* The first vector with anything in it alone, which is what a short read might give. */
static ssize_t faulty_preadv(int fd, const struct iovec *to, int count, off_t offset) {
    const fault kind = next_fault(fd);
    if (kind == FAULT_EIO) {
        errno = EIO;
        return -1;
    }
    if (kind == FAULT_SHORT) {
        while (count > 1 && to->iov_len == 0) {
            to++;
            count--;
        }
        return count > 0 ? real_pread(fd, to->iov_base, to->iov_len, offset) : 0;
    }
    if (kind == FAULT_SLOW) {
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    preadv_function real;
    void *symbol = real_function("preadv");
    memcpy(&real, &symbol, sizeof real);
    return kind == FAULT_END ? 0 : real(fd, to, count, offset);
}

#define SEEN_BY_ALL __attribute__((visibility("default")))

SEEN_BY_ALL ssize_t pread(int fd, void *to, size_t size, off_t offset);
SEEN_BY_ALL ssize_t pread64(int fd, void *to, size_t size, off_t offset);
SEEN_BY_ALL ssize_t preadv(int fd, const struct iovec *to, int count, off_t offset);
SEEN_BY_ALL ssize_t preadv64(int fd, const struct iovec *to, int count, off_t offset);

ssize_t pread(int fd, void *to, size_t size, off_t offset) {
    return faulty_pread(fd, to, size, offset);
}

ssize_t pread64(int fd, void *to, size_t size, off_t offset) {
    return faulty_pread(fd, to, size, offset);
}

ssize_t preadv(int fd, const struct iovec *to, int count, off_t offset) {
    return faulty_preadv(fd, to, count, offset);
}

ssize_t preadv64(int fd, const struct iovec *to, int count, off_t offset) {
    return faulty_preadv(fd, to, count, offset);
}
