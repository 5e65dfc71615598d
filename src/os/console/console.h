/* console.h - what the command needs of the system around it: standard streams, the terminal,
 * signals, the clock, and a few questions about files that standard C cannot ask.
 *
 * os/console/ is the only place where the command makes system calls; the library has its own in
 * os/. One .c per system. Everything here belongs to the process as a whole and is called from its
 * first thread.
 */
#ifndef OS_CONSOLE_CONSOLE_H
#define OS_CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CONSOLE_IN = 0, CONSOLE_OUT = 1, CONSOLE_ERR = 2 };

/* Call first. Puts a placeholder where a standard stream is closed, so that no file opened later
 * takes its number: reading from it ends at once, writing to it fails. Makes a write to a pipe that
 * nobody reads, or beyond the largest size of a file, fail instead of killing the process. */
void console_prepare(void);

bool console_is_terminal(int stream);

/* Columns of the terminal, 80 where that is unknown. */
size_t console_width(int stream);

/* From now on the first SIGINT, SIGTERM or SIGHUP is noted for console_interrupted and the second
 * one of its kind ends the process. Those that the parent had ignored stay ignored. */
void console_catch_interrupts(void);

/* The signal that was noted, or 0. */
int console_interrupted(void);

/* Names a file to be removed if a second signal ends the process; NULL: none. `path` must stay
 * valid until it is replaced. */
void console_remove_when_killed(const char *path);

/* Whether standard input has something to read, or its end, within `milliseconds`. */
bool console_wait_input(int milliseconds);

/* Writes all `size` bytes. Returns 0, or the errno of the failure; EINTR only if a signal was noted
 * while waiting. */
int console_write(int stream, const void *data, size_t size);

/* Seconds on a clock that never goes back. */
double console_seconds(void);

/* An unpredictable number. */
uint32_t console_random(void);

typedef enum console_file_kind {
    CONSOLE_FILE_NONE,    /* nothing there, or not to be seen */
    CONSOLE_FILE_REGULAR, /* can be replaced as a whole */
    CONSOLE_FILE_OTHER,   /* device, pipe, directory */
} console_file_kind;

/* What lies at `path`, symbolic links followed. */
console_file_kind console_file_at(const char *path);

/* The path behind all symbolic links, from malloc; NULL if there is none or memory is out. */
char *console_real_path(const char *path);

/* Bytes that this user may still write where the file at `path` is, or would be; -1: not known. */
int64_t console_free_bytes(const char *path);

/* Bytes of a plain file that is open, as far as they were given to the system; -1: not known. */
int64_t console_file_bytes(FILE *file);

/* Marks the open file as in use by this process, until it is closed or the process ends. Returns 0,
 * or an errno: EWOULDBLOCK if another process has marked it. Where files cannot be marked this is
 * 0. */
int console_lock(FILE *file);

/* Cuts the open file to `size` bytes. Returns 0 or an errno. */
int console_cut(FILE *file, uint64_t size);

/* Seconds since 1970. */
int64_t console_date(void);
/* Makes a folder for this user alone, in one that is there. Returns 0, also if it is there already,
 * or an errno. */
int console_make_folder(const char *path);

/* "2026-11-21 19:44 UTC", of now or of a time in seconds since 1970. */
void console_date_text(char out[32]);
void console_date_text_of(int64_t seconds, char out[32]);

/* Loads a shared library by its name, to stay; NULL, with the reason, if there is none. */
void *console_library(const char *name, const char **reason);
/* A function of it; NULL if it has none of that name. */
void *console_library_symbol(void *library, const char *name);

/* A new file in the folder of `path` that has no name yet, for writing: whatever ends the process,
 * nothing is left of it. NULL, with errno set, also where the file system has no such files. */
FILE *console_open_nameless(const char *path);

/* Gives what console_open_nameless opened a name, which nothing may have yet. Returns 0 or an
 * errno. */
int console_give_name(FILE *file, const char *name);

/* Asks the disk to hold what was written to `file`. Returns 0 or an errno; a file that cannot be
 * asked so (a pipe, a device) counts as held. */
int console_sync(FILE *file);

#endif
