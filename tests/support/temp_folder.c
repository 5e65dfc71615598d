#include "support/temp_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

temp_folder temp_folder_make(void) {
    temp_folder folder;
    const char *place = getenv("TMPDIR");
    snprintf(folder.path, sizeof folder.path, "%s/sluice_test_XXXXXX", place ? place : "/tmp");
    if (!mkdtemp(folder.path)) {
        abort();
    }
    return folder;
}

const char *temp_folder_path(const temp_folder *folder, const char *name) {
    static char paths[4][1024];
    static size_t turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder->path, name);
    return path;
}

void temp_folder_write(const temp_folder *folder, const char *name, const void *bytes,
                       size_t size) {
    const char *path = temp_folder_path(folder, name);
    unlink(path); /* it may be a link to what must not change */
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        abort();
    }
}

/* Calls `each` with every name in a folder. */
static void walk(const char *folder,
                 void (*each)(const temp_folder *to, const char *from, const char *name),
                 const temp_folder *to) {
    DIR *d = opendir(folder);
    if (!d) {
        abort();
    }
    for (const struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            each(to, folder, entry->d_name);
        }
    }
    closedir(d);
}

static void link_one(const temp_folder *to, const char *from, const char *name) {
    char source[1024];
    snprintf(source, sizeof source, "%s/%s", from, name);
    const char *path = temp_folder_path(to, name);
    if (access(path, F_OK) != 0 && symlink(source, path) != 0) {
        abort();
    }
}

void temp_folder_link(const temp_folder *folder, const char *from) {
    walk(from, link_one, folder);
}

static void remove_one(const temp_folder *folder, const char *from, const char *name) {
    (void)from;
    unlink(temp_folder_path(folder, name));
}

void temp_folder_remove(const temp_folder *folder) {
    walk(folder->path, remove_one, folder);
    rmdir(folder->path);
}
