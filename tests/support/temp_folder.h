/* temp_folder.h - folders on disk for tests. What fails here aborts: this is for tests only. */
#ifndef SUPPORT_TEMP_FOLDER_H
#define SUPPORT_TEMP_FOLDER_H

#include <stddef.h>

typedef struct temp_folder {
    char path[256];
} temp_folder;

/* A new one in TMPDIR (or /tmp). */
temp_folder temp_folder_make(void);

/* A path within it, in one of a few buffers that take turns. */
const char *temp_folder_path(const temp_folder *folder, const char *name);

/* A file in it; one that is there is replaced. */
void temp_folder_write(const temp_folder *folder, const char *name, const void *bytes, size_t size);

/* Links to all files of another folder, other than those that are there. */
void temp_folder_link(const temp_folder *folder, const char *from);

/* With the files in it. */
void temp_folder_remove(const temp_folder *folder);

#endif
