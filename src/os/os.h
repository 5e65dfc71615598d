/* os.h - all that the engine asks of the operating system: files, memory, threads, time.
 *
 * os/ is the only room of the library that makes system calls: this header, and one .c per system.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "sluice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- files ---------------------------------------------------------------------------------- */

/* Whether there is anything at the path, and whether it is a directory. */
bool os_exists(const char *path);
bool os_is_directory(const char *path);

/* Reads a whole file of at most `most` bytes into *bytes, from malloc, with a 0 behind them that
 * *size does not count. Refuses what is no regular file, empty or larger. */
SL_CHECK sl_status os_read_file(const char *path, size_t most, uint8_t **bytes, size_t *size,
                                sl_error *error);

/* A file of a mapping. */
typedef struct os_part {
    size_t start, size; /* bytes into the mapping; begins at a page */
    int descriptor;     /* open as long as the mapping */
    int64_t modified;   /* nanoseconds of the time at which the content was last changed */
    char *path;
} os_part;

/* Whole files mapped read-only and shared, one behind the other in one range of addresses, so that
 * an offset into the range is all that anybody needs to know of where a weight is. Between them
 * there are zeros: less than a page, or before a file of 1 GiB and more less than 2 MiB. */
typedef struct os_mapping {
    const uint8_t *bytes;
    size_t size;
    os_part *parts; /* in the order of their addresses */
    size_t n_part;
    bool opaque; /* the kernel does not tell this user what of the files is in the page cache */
} os_mapping;

/* Refuses what is no regular file, and empty files. The file may be removed afterwards; a file
 * that shrinks is seen by os_guard_faulted, as each mapping is a guarded range. */
SL_CHECK sl_status os_map(const char *path, os_mapping *mapping, sl_error *error);

/* The same for 1 to LIMIT_MODEL_FILES files. */
SL_CHECK sl_status os_map_files(const char *const *paths, size_t n, os_mapping *mapping,
                                sl_error *error);

/* A zeroed mapping is allowed. */
void os_unmap(os_mapping *mapping);

/* The file in which an offset below the mapping's size lies. */
const os_part *os_mapping_part(const os_mapping *mapping, uint64_t offset);

/* For messages: "NAME: " where there are several files, "" for the only one. */
const char *os_part_label(const os_mapping *mapping, const os_part *part, char text[64]);

/* SL_ERR_FILE if a file's size or time of change are not those that it was mapped with. */
SL_CHECK sl_status os_mapping_check(const os_mapping *mapping, sl_error *error);

/* Copies bytes of one file without touching the mapping's pages. SL_ERR_FILE if they are not
 * there. */
SL_CHECK sl_status os_mapping_read(const os_mapping *mapping, uint64_t offset, size_t size,
                                   void *to, sl_error *error);

/* Bytes that are not in the page cache, by the kernel's word; all where it does not tell. Of large
 * files a part is looked at. */
size_t os_mapping_cold_bytes(const os_mapping *mapping);

/* Reads the mapping into the page cache with several threads, telling progress (may be NULL) from
 * this thread a few times a second. SL_ERR_CANCELLED if progress says so. */
SL_CHECK sl_status os_mapping_populate(const os_mapping *mapping, size_t threads,
                                       sl_progress_fn progress, void *user, sl_error *error);

/* A file that has no name and goes away when it is closed, or with the process. */
typedef struct os_scratch os_scratch;

/* Creates one in `directory`, which becomes part of messages. */
SL_CHECK sl_status os_scratch_open(const char *directory, os_scratch **scratch, sl_error *error);
void os_scratch_close(os_scratch *scratch); /* NULL is allowed */

/* Writes or reads `size` bytes at `offset`, all or none: returns 0 or an errno, which is EIO where
 * the file ends too early. Different ranges may be written and read by several threads at once. */
int os_scratch_write(os_scratch *scratch, uint64_t offset, const void *bytes, size_t size);
int os_scratch_read(os_scratch *scratch, uint64_t offset, void *bytes, size_t size);

/* Gives the disk back what a range takes of it, which holds zeros then; where the filesystem cannot
 * do that, nothing happens. */
void os_scratch_discard(os_scratch *scratch, uint64_t offset, uint64_t size);

/* ---- faults --------------------------------------------------------------------------------- */

/* Installs the SIGBUS handler: a fault inside a guarded range puts zeros from there on and sets the
 * range's flag, so that the computation runs on and is thrown away by whoever asks
 * os_guard_faulted; every other fault goes to the handler that was there before. */
void os_guard_install(void);

/* At most 64 ranges at a time. A range that finds no place is simply not guarded. */
void os_guard_add(const void *bytes, size_t size);
void os_guard_remove(const void *bytes);
bool os_guard_faulted(const void *bytes);

/* ---- memory --------------------------------------------------------------------------------- */

/* Zeroed pages, aligned to at least 4096 bytes; huge ones are asked for where it is large. NULL if
 * there are none. Nothing is resident until touched. */
void *os_pages_allocate(size_t bytes);
void os_pages_free(void *pages, size_t bytes);

/* Gives back the memory of the whole pages within a range: pages of a file are read again when they
 * are touched, others are zero then. */
void os_pages_drop(const void *pages, size_t bytes);

/* Asks that the pages of a file within a range be read soon, and does not wait for them. */
void os_pages_fetch(const void *pages, size_t bytes);

/* Asks that the pages never be swapped out; returns false, with the reason, where this user may
 * not. Touches them all. */
bool os_pages_lock(const void *pages, size_t bytes, const char **reason);

uint64_t os_memory_total(void);     /* physical, or the cgroup's limit if that is smaller */
uint64_t os_memory_available(void); /* without swapping: free and reclaimable, in the cgroup too */
uint64_t os_swap_total(void);       /* bytes that may be swapped out, of all processes */
uint64_t os_memory_peak(void);      /* most resident bytes of this process so far (VmHWM) */
uint64_t os_memory_resident(void);  /* now (VmRSS) */

/* ---- threads and time ----------------------------------------------------------------------- */

typedef struct os_thread os_thread;

/* Signals are blocked in the new thread, but for those that faults raise. */
SL_CHECK sl_status os_thread_start(void (*run)(void *argument), void *argument, os_thread **thread,
                                   sl_error *error);
void os_thread_join(os_thread *thread); /* and frees it */

/* Sleeps while *word == value (may wake early); wakes all sleepers on word. */
void os_wait(_Atomic uint32_t *word, uint32_t value);
/* The same for at most `nanoseconds`. */
void os_wait_for(_Atomic uint32_t *word, uint32_t value, uint64_t nanoseconds);
void os_wake_all(_Atomic uint32_t *word);

/* Tells the processor that this is a spinning wait. */
static inline void os_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Physical cores that affinity and cgroup quota leave to this process, at least 1. */
size_t os_core_count(void);

/* Nanoseconds of a clock that never goes back. */
uint64_t os_now(void);

#endif
