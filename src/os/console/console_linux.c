/* console_linux.c - console.h for Linux. */
#include "os/console/console.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t noted_signal;
static const char *volatile path_to_remove;

void console_prepare(void) {
    /* open() takes the lowest free number, so that going upward each placeholder lands on its
     * own. A placeholder for output is opened for reading only: writes to it fail with EBADF. */
    for (int fd = CONSOLE_IN; fd <= CONSOLE_ERR; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
            if (open("/dev/null", O_RDONLY) != fd) {
                _exit(1);
            }
        }
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

bool console_is_terminal(int stream) {
    return isatty(stream) == 1;
}

size_t console_width(int stream) {
    struct winsize size;
    if (ioctl(stream, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return 80;
}

/* Only calls that POSIX allows in a handler. */
static void note_signal(int number) {
    if (noted_signal == number) {
        const char *const path = path_to_remove;
        if (path) {
            unlink(path);
        }
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    noted_signal = number;
}

void console_catch_interrupts(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) {
            continue;
        }
        /* No SA_RESTART: a blocked read or write must return to see the note. */
        struct sigaction action = {.sa_handler = note_signal};
        sigemptyset(&action.sa_mask);
        sigaction(numbers[i], &action, NULL);
    }
}

int console_interrupted(void) {
    return noted_signal;
}

void console_remove_when_killed(const char *path) {
    path_to_remove = path;
}

bool console_wait_input(int milliseconds) {
    struct pollfd input = {.fd = CONSOLE_IN, .events = POLLIN};
    return poll(&input, 1, milliseconds) != 0;
}

int console_write(int stream, const void *data, size_t size) {
    const char *next = data;
    while (size > 0) {
        const ssize_t written = write(stream, next, size);
        if (written >= 0) {
            next += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN) {
            /* The stream was made non-blocking by whoever shares it. */
            struct pollfd output = {.fd = stream, .events = POLLOUT};
            if (poll(&output, 1, -1) < 0 && noted_signal) {
                return EINTR;
            }
        } else if (errno != EINTR || noted_signal) {
            return errno;
        }
    }
    return 0;
}

double console_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

uint32_t console_random(void) {
    uint32_t number;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        number = (uint32_t)now.tv_nsec ^ (uint32_t)now.tv_sec ^ ((uint32_t)getpid() << 16);
    }
    return number;
}

console_file_kind console_file_at(const char *path) {
    struct stat found;
    if (stat(path, &found) != 0) {
        return CONSOLE_FILE_NONE;
    }
    return S_ISREG(found.st_mode) ? CONSOLE_FILE_REGULAR : CONSOLE_FILE_OTHER;
}

char *console_real_path(const char *path) {
    return realpath(path, NULL);
}

int console_sync(FILE *file) {
    if (fsync(fileno(file)) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP) {
        return 0;
    }
    return errno;
}

/* The folder that `path` lies in, from malloc; NULL if memory is out. */
static char *folder_of(const char *path) {
    const char *const slash = strrchr(path, '/');
    return slash ? strndup(path, slash > path ? (size_t)(slash - path) : 1) : strdup(".");
}

/* By which a file that is open can be linked. */
enum { OPEN_FILE_PATH = 40 };

static void open_file_path(int fd, char path[OPEN_FILE_PATH]) {
    snprintf(path, OPEN_FILE_PATH, "/proc/self/fd/%d", fd);
}

FILE *console_open_nameless(const char *path) {
    char *const folder = folder_of(path);
    errno = ENOMEM;
    const int fd = folder ? open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666) : -1;
    free(folder);
    if (fd < 0) {
        return NULL;
    }
    char own[OPEN_FILE_PATH];
    open_file_path(fd, own);
    /* Without /proc it could never get a name. */
    FILE *const file = access(own, F_OK) == 0 ? fdopen(fd, "wb") : NULL;
    if (!file) {
        close(fd);
    }
    return file;
}

int console_give_name(FILE *file, const char *name) {
    char own[OPEN_FILE_PATH];
    open_file_path(fileno(file), own);
    return linkat(AT_FDCWD, own, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

int64_t console_free_bytes(const char *path) {
    struct statvfs found;
    char *const folder = folder_of(path);
    const bool known = folder && statvfs(folder, &found) == 0;
    free(folder);
    return known ? (int64_t)(found.f_bavail * found.f_frsize) : -1;
}

int64_t console_file_bytes(FILE *file) {
    struct stat found;
    return fstat(fileno(file), &found) == 0 && S_ISREG(found.st_mode) ? found.st_size : -1;
}

int console_lock(FILE *file) {
    if (flock(fileno(file), LOCK_EX | LOCK_NB) == 0 || errno == ENOLCK || errno == ENOTSUP) {
        return 0;
    }
    return errno;
}

int console_cut(FILE *file, uint64_t size) {
    return size > INT64_MAX ? EFBIG : ftruncate(fileno(file), (off_t)size) == 0 ? 0 : errno;
}

int64_t console_date(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

int console_make_folder(const char *path) {
    struct stat status;
    if (mkdir(path, 0700) == 0) {
        return 0;
    }
    const int reason = errno;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? 0 : reason;
}

void console_date_text_of(int64_t seconds, char out[32]) {
    const time_t when = (time_t)seconds;
    struct tm parts;
    if (!gmtime_r(&when, &parts) || strftime(out, 32, "%Y-%m-%d %H:%M UTC", &parts) == 0) {
        out[0] = 0;
    }
}

void console_date_text(char out[32]) {
    console_date_text_of(console_date(), out);
}

void *console_library(const char *name, const char **reason) {
    void *const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    *reason = library ? NULL : dlerror();
    return library;
}

void *console_library_symbol(void *library, const char *name) {
    return dlsym(library, name);
}
