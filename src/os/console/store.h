/* store.h - a folder and all that is below it, in which the command keeps what it fetched.
 *
 * Paths are relative to the store, with a / between names. Below it no symbolic link is followed:
 * whoever can name things in it, as a hub on the net can, reaches nothing outside. Functions return
 * 0 or an errno; ELOOP or ENOTDIR where a link stands in the way. All of it belongs to the
 * command's first thread.
 */
#ifndef OS_CONSOLE_STORE_H
#define OS_CONSOLE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct store store;
typedef struct store_file store_file;

typedef enum store_kind {
    STORE_NONE, /* nothing there */
    STORE_FILE,
    STORE_FOLDER,
    STORE_OTHER, /* links, devices */
} store_kind;

typedef struct store_entry {
    store_kind kind;
    uint64_t bytes;   /* of a file */
    int64_t modified; /* seconds since 1970 */
} store_entry;

/* Opens the folder at any path; `make`: makes it, and those above it that are missing, for this
 * user alone. ENOENT if it is not there otherwise. On success the caller closes *s. */
int store_open(const char *folder, bool make, store **s);
void store_close(store *s); /* NULL is allowed */

/* What is at the path; STORE_NONE, too, is 0. */
int store_look(const store *s, const char *path, store_entry *entry);

/* Calls `visit` for each name in the folder, hidden ones left out, in the order of their bytes;
 * ends early, with what it returns, if that is not 0. A folder that is not there has none. */
int store_list(const store *s, const char *path, int (*visit)(void *user, const char *name),
               void *user);

/* Makes a folder and those above it. */
int store_make_folder(const store *s, const char *path);

/* Takes away a file, or a folder that is empty; nothing there is 0. */
int store_remove(const store *s, const char *path);

/* Takes away what is at the path with all below it. */
int store_remove_all(const store *s, const char *path);

/* Gives a file another name, in place of what has it, and has the disk hold that. */
int store_rename(const store *s, const char *from, const char *to);

/* Bytes that this user may still write; -1: not known. */
int64_t store_free_bytes(const store *s);

/* A file of at most `most` bytes, from malloc; EFBIG if it is larger. */
int store_read_whole(const store *s, const char *path, size_t most, uint8_t **bytes, size_t *size);

/* Writes a file that appears whole, and on the disk, or not at all. */
int store_write_whole(const store *s, const char *path, const void *bytes, size_t size);

/* Opens a file for reading and writing, made if it is not there. The caller closes *file. */
int store_file_open(const store *s, const char *path, store_file **file);
void store_file_close(store_file *file); /* NULL is allowed */

/* Marks it as in use until it is closed or the process ends; EWOULDBLOCK if another process has. */
int store_file_lock(store_file *file);

/* At `offset`. Reading gives fewer bytes only at the file's end. */
int store_file_read(store_file *file, uint64_t offset, void *bytes, size_t size, size_t *got);
int store_file_write(store_file *file, uint64_t offset, const void *bytes, size_t size);

/* Cuts or extends it, by a hole where the file system has them. */
int store_file_cut(store_file *file, uint64_t size);
/* Asks the disk to hold what was written. */
int store_file_sync(store_file *file);

#endif
