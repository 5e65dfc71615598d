/* reader.h - reads of a file that go on while the caller does something else.
 *
 * Many large reads are kept under way at once, past the page cache: that is the only way to get a
 * disk's full speed without driving everything else out of memory. Where the system refuses one of
 * the means (io_uring, direct reads, registered buffers), the next best is taken, and
 * os_reader_how says which.
 */
#ifndef OS_READER_H
#define OS_READER_H

#include "os/os.h"

/* Reads of the file begin and end at multiples of it, and so must buffers. */
enum { OS_READER_ALIGN = 4096, OS_READER_DEPTH = 64 };

/* Private to one thread at a time. */
typedef struct os_reader os_reader;

typedef struct os_reader_options {
    size_t depth;    /* most reads under way, 1 to OS_READER_DEPTH */
    void *buffers;   /* all reads go into this block, which outlives the reader */
    size_t n_buffer; /* its bytes */
    bool no_uring;   /* threads that read, in place of io_uring */
    bool no_direct;  /* through the page cache, which is asked to forget what was read */
} os_reader_options;

/* Reads the files that are mapped; the mapping must outlive the reader. The environment variable
 * SLUICE_IO hides means, too: "threads" leaves no io_uring, "buffered" no direct reads, "threads
 * buffered" neither. */
SL_CHECK sl_status os_reader_open(const os_mapping *mapping, const os_reader_options *options,
                                  os_reader **out, sl_error *error);

/* Waits for what is under way. NULL is allowed. */
void os_reader_close(os_reader *r);

/* "io_uring, direct"; with what was refused and why: "threads (io_uring: Operation not permitted),
 * direct". Lives as long as the reader. */
const char *os_reader_how(const os_reader *r);
bool os_reader_is_direct(const os_reader *r);
bool os_reader_is_best(const os_reader *r); /* none of the means was refused or hidden */

/* Starts a read of the `size` bytes at `offset` into the mapping, of any alignment, all of one
 * file, which ends early only at the end of the file. It is widened to multiples of
 * OS_READER_ALIGN, for which `buffer` has room, and the first byte wanted comes to
 * buffer + offset % OS_READER_ALIGN. `tag` is the caller's and comes back from os_reader_wait. At
 * most `depth` may be under way. Allocates nothing. */
void os_reader_start(os_reader *r, size_t tag, uint64_t offset, size_t size, void *buffer);

/* Waits until one of the reads under way is done, whichever. *tag says which, also on failure:
 * SL_ERR_FILE with the byte and the reason, if it failed or the file ended before its time. At
 * least one must be under way. Allocates nothing. */
SL_CHECK sl_status os_reader_wait(os_reader *r, size_t *tag, sl_error *error);

#endif
