/* whole_file.h - an output file that appears whole or not at all.
 *
 *     begin:   a file without a name is made beside OUT (behind symbolic links)
 *     finish:  it is written to the disk and gets OUT's name, by way of OUT.1a2b3c4d.tmp where
 *              there is an OUT to replace; or, after any failure, it is gone
 *
 * Where the file system has no files without names, it has the second name from the beginning, and
 * is removed after a failure and by a second Ctrl-C; only kill -9 leaves it.
 *
 * What is not a plain file (/dev/stdout, a pipe) is written to directly: replacing it would do
 * harm.
 */
#ifndef CLI_WHOLE_FILE_H
#define CLI_WHOLE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct whole_file {
    FILE *file;
    char *target;    /* real path */
    char *temporary; /* NULL: written directly, or OUT already */
    bool nameless;   /* it has no name yet */
    int failure;     /* errno of the first write that failed */
    uint64_t need;   /* bytes that are to be written, with those of files that follow; for the
                        caller to set after whole_file_begin; 0: not known */
} whole_file;

/* Returns CLI_DONE, or the exit status after a message. */
int whole_file_begin(const char *path, whole_file *w);

/* Whether `need` bytes fit onto the disk where `path` is or would be, as far as that is known.
 * Returns CLI_DONE, or CLI_FAILED after a message with the number of bytes that are missing. */
int whole_file_check_room(const char *path, uint64_t need);

/* Returns false once a write has failed; whole_file_finish says why. */
bool whole_file_write(whole_file *w, const void *bytes, size_t size);

/* Ends the file: keeps it if `status` is CLI_DONE and every write succeeded, else removes it.
 * Returns `status`, or CLI_FAILED after a message, which has the number of bytes that the disk
 * lacks if that is why, and `need` is known. */
int whole_file_finish(whole_file *w, int status);

#endif
