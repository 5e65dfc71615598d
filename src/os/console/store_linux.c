/* store_linux.c - store.h on Linux: every name of a path is opened by itself, beginning at the
 * store's own folder, and none of them may be a link. */
#include "os/console/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { NAME_BYTES = 256, MOST_DEPTH = 64 };

struct store {
    int fd;
};

struct store_file {
    int fd;
};

/* ---- opening -------------------------------------------------------------------------------- */

/* mkdir for each name of a path that is missing. */
static int make_path(const char *folder) {
    char *const path = strdup(folder);
    int reason = path ? 0 : ENOMEM;
    for (char *at = path; path && reason == 0; at++) {
        if ((*at == '/' && at > path) || *at == 0) {
            const char kept = *at;
            *at = 0;
            reason = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : errno;
            *at = kept;
            if (kept == 0) {
                break;
            }
        }
    }
    free(path);
    return reason;
}

int store_open(const char *folder, bool make, store **s) {
    store *const made = malloc(sizeof *made);
    if (!made) {
        return ENOMEM;
    }
    int reason = make ? make_path(folder) : 0;
    made->fd = reason == 0 ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (made->fd < 0) {
        reason = reason ? reason : errno;
        free(made);
        return reason;
    }
    *s = made;
    return 0;
}

void store_close(store *s) {
    if (s) {
        close(s->fd);
        free(s);
    }
}

/* ---- paths ---------------------------------------------------------------------------------- */

/* The next name of a path, and the path behind it; ENAMETOOLONG, or EINVAL for a name that leads
 * somewhere else. */
static int next_name(const char **path, char name[NAME_BYTES]) {
    const size_t length = strcspn(*path, "/");
    if (length >= NAME_BYTES) {
        return ENAMETOOLONG;
    }
    memcpy(name, *path, length);
    name[length] = 0;
    if (length == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return EINVAL;
    }
    *path += length;
    *path += **path == '/';
    return 0;
}

/* Opens the folder in which the last name of the path is, which goes to `name`; the caller closes
 * *fd. Folders that are missing are made if `make`. */
static int open_parent(const store *s, const char *path, bool make, char name[NAME_BYTES],
                       int *fd) {
    int at = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    int reason = at < 0 ? errno : next_name(&path, name);
    while (reason == 0 && *path) {
        if (make && mkdirat(at, name, 0700) != 0 && errno != EEXIST) {
            reason = errno;
            break;
        }
        const int inner = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        reason = inner < 0 ? errno : 0;
        if (reason == 0) {
            close(at);
            at = inner;
            reason = next_name(&path, name);
        }
    }
    if (reason) {
        if (at >= 0) {
            close(at);
        }
        return reason;
    }
    *fd = at;
    return 0;
}

/* The folder at a path, "" being the store itself. */
static int open_folder(const store *s, const char *path, int *fd) {
    char name[NAME_BYTES];
    int parent = -1;
    if (!*path) {
        *fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *fd < 0 ? errno : 0;
    }
    int reason = open_parent(s, path, false, name, &parent);
    if (reason == 0) {
        *fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        reason = *fd < 0 ? errno : 0;
        close(parent);
    }
    return reason;
}

int store_look(const store *s, const char *path, store_entry *entry) {
    char name[NAME_BYTES];
    int parent;
    struct stat found;
    *entry = (store_entry){STORE_NONE, 0, 0};
    int reason = open_parent(s, path, false, name, &parent);
    if (reason == 0) {
        reason = fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
        close(parent);
    }
    if (reason) {
        return reason == ENOENT ? 0 : reason;
    }
    entry->kind = S_ISREG(found.st_mode)   ? STORE_FILE
                  : S_ISDIR(found.st_mode) ? STORE_FOLDER
                                           : STORE_OTHER;
    entry->bytes = S_ISREG(found.st_mode) ? (uint64_t)found.st_size : 0;
    entry->modified = found.st_mtim.tv_sec;
    return 0;
}

/* By bytes; alphasort would ask the locale. */
static int by_bytes(const struct dirent **left, const struct dirent **right) {
    return strcmp((*left)->d_name, (*right)->d_name);
}

int store_list(const store *s, const char *path, int (*visit)(void *user, const char *name),
               void *user) {
    int fd;
    int reason = open_folder(s, path, &fd);
    if (reason) {
        return reason == ENOENT ? 0 : reason;
    }
    /* Names are gathered first, so that the visitor may remove what it visits. */
    struct dirent **names = NULL;
    const int count = scandirat(fd, ".", &names, NULL, by_bytes);
    reason = count < 0 ? errno : 0;
    close(fd);
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.' && reason == 0) {
            reason = visit(user, names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    return reason;
}

/* ---- changing ------------------------------------------------------------------------------- */

int store_make_folder(const store *s, const char *path) {
    char name[NAME_BYTES];
    int parent;
    int reason = open_parent(s, path, true, name, &parent);
    if (reason == 0) {
        reason = mkdirat(parent, name, 0700) == 0 || errno == EEXIST ? 0 : errno;
        close(parent);
    }
    return reason;
}

/* Removes `name` in a folder, and what it has below. */
static int remove_below(int parent, const char *name, int depth) {
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) {
        return errno;
    }
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *const folder = fd >= 0 && depth < MOST_DEPTH ? fdopendir(fd) : NULL;
    if (!folder) {
        const int reason = fd >= 0 && depth >= MOST_DEPTH ? ELOOP : errno;
        if (fd >= 0) {
            close(fd);
        }
        return reason;
    }
    int reason = 0;
    for (const struct dirent *d; reason == 0 && (d = readdir(folder)) != NULL;) {
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0) {
            reason = remove_below(fd, d->d_name, depth + 1);
        }
    }
    closedir(folder);
    if (reason == 0 && unlinkat(parent, name, AT_REMOVEDIR) != 0) {
        reason = errno;
    }
    return reason;
}

int store_remove(const store *s, const char *path) {
    char name[NAME_BYTES];
    int parent;
    int reason = open_parent(s, path, false, name, &parent);
    if (reason == 0) {
        reason = unlinkat(parent, name, 0) == 0 ? 0 : errno;
        if (reason == EISDIR || reason == EPERM) {
            reason = unlinkat(parent, name, AT_REMOVEDIR) == 0 ? 0 : errno;
        }
        close(parent);
    }
    return reason == ENOENT ? 0 : reason;
}

int store_remove_all(const store *s, const char *path) {
    char name[NAME_BYTES];
    int parent;
    int reason = open_parent(s, path, false, name, &parent);
    if (reason == 0) {
        reason = remove_below(parent, name, 0);
        close(parent);
    }
    return reason == ENOENT ? 0 : reason;
}

int store_rename(const store *s, const char *from, const char *to) {
    char old_name[NAME_BYTES], new_name[NAME_BYTES];
    int old_parent = -1, new_parent = -1;
    int reason = open_parent(s, from, false, old_name, &old_parent);
    if (reason == 0) {
        reason = open_parent(s, to, true, new_name, &new_parent);
    }
    if (reason == 0 && renameat(old_parent, old_name, new_parent, new_name) != 0) {
        reason = errno;
    }
    if (reason == 0) {
        (void)fsync(new_parent); /* some file systems refuse this of folders, and need it not */
    }
    if (old_parent >= 0) {
        close(old_parent);
    }
    if (new_parent >= 0) {
        close(new_parent);
    }
    return reason;
}

int64_t store_free_bytes(const store *s) {
    struct statvfs found;
    return fstatvfs(s->fd, &found) == 0 ? (int64_t)(found.f_bavail * found.f_frsize) : -1;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int open_file(const store *s, const char *path, int flags, int *fd) {
    char name[NAME_BYTES];
    int parent;
    int reason = open_parent(s, path, (flags & O_CREAT) != 0, name, &parent);
    if (reason) {
        return reason;
    }
    struct stat found;
    *fd = openat(parent, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    reason = *fd < 0 ? errno : 0;
    close(parent);
    if (reason == 0 && (fstat(*fd, &found) != 0 || !S_ISREG(found.st_mode))) {
        close(*fd);
        reason = EINVAL;
    }
    return reason;
}

int store_file_open(const store *s, const char *path, store_file **file) {
    store_file *const made = malloc(sizeof *made);
    const int reason = made ? open_file(s, path, O_RDWR | O_CREAT, &made->fd) : ENOMEM;
    if (reason) {
        free(made);
        return reason;
    }
    *file = made;
    return 0;
}

void store_file_close(store_file *file) {
    if (file) {
        close(file->fd);
        free(file);
    }
}

int store_file_lock(store_file *file) {
    if (flock(file->fd, LOCK_EX | LOCK_NB) == 0 || errno == ENOLCK || errno == ENOTSUP) {
        return 0;
    }
    return errno;
}

int store_file_read(store_file *file, uint64_t offset, void *bytes, size_t size, size_t *got) {
    *got = 0;
    while (*got < size) {
        const ssize_t n =
            pread(file->fd, (char *)bytes + *got, size - *got, (off_t)(offset + *got));
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n == 0) {
            break;
        }
        *got += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int store_file_write(store_file *file, uint64_t offset, const void *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t n =
            pwrite(file->fd, (const char *)bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n == 0) {
            return EIO;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int store_file_cut(store_file *file, uint64_t size) {
    return size > INT64_MAX ? EFBIG : ftruncate(file->fd, (off_t)size) == 0 ? 0 : errno;
}

int store_file_sync(store_file *file) {
    return fsync(file->fd) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP ? 0
                                                                                         : errno;
}

int store_read_whole(const store *s, const char *path, size_t most, uint8_t **bytes, size_t *size) {
    store_file file;
    struct stat found;
    int reason = open_file(s, path, O_RDONLY, &file.fd);
    if (reason) {
        return reason;
    }
    uint8_t *copy = NULL;
    if (fstat(file.fd, &found) != 0) {
        reason = errno;
    } else if ((uint64_t)found.st_size > most) {
        reason = EFBIG;
    } else if (!(copy = malloc((size_t)found.st_size + 1))) {
        reason = ENOMEM;
    } else {
        reason = store_file_read(&file, 0, copy, (size_t)found.st_size, size);
    }
    close(file.fd);
    if (reason) {
        free(copy);
        return reason;
    }
    *bytes = copy;
    return 0;
}

int store_write_whole(const store *s, const char *path, const void *bytes, size_t size) {
    char *const temporary = malloc(strlen(path) + sizeof ".tmp");
    if (!temporary) {
        return ENOMEM;
    }
    sprintf(temporary, "%s.tmp", path);
    store_file *file = NULL;
    int reason = store_file_open(s, temporary, &file);
    if (reason == 0) {
        reason = store_file_cut(file, 0);
    }
    if (reason == 0) {
        reason = store_file_write(file, 0, bytes, size);
    }
    if (reason == 0) {
        reason = store_file_sync(file);
    }
    store_file_close(file);
    if (reason == 0) {
        reason = store_rename(s, temporary, path);
    }
    if (reason) {
        (void)store_remove(s, temporary);
    }
    free(temporary);
    return reason;
}
