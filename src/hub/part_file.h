/* part_file.h - files on their way from a hub into the cache.
 *
 *     PATH.part  what is there of a file; a later run goes on from its end
 *     PATH       the file, once its size is that of the list, and its sha256 if the list has one
 *
 * How much is there says the part's size, and nothing else is kept. Bytes of an earlier run are
 * read back into the sum before the rest is asked for; if it turns out wrong, the file is fetched
 * anew, once. Without a sha256 in the list nothing could tell, and nothing of a part is kept.
 *
 * A head (a plan's beginning of a file, which pull.c fetches) need not be fetched again: where a
 * part has less, it begins with a copy of it.
 *
 * Everything here runs on one thread, which calls fetch_run with the files' jobs.
 */
#ifndef HUB_PART_FILE_H
#define HUB_PART_FILE_H

#include "hub/fetch.h"
#include "hub/listing.h"
#include "os/console/store.h"

#include <nettle/sha2.h>

typedef struct part_files part_files;

typedef struct part_file {
    const part_files *all;
    const hub_file *listed; /* what the hub says of it */
    fetch_job job;          /* its sink is of here, between part_file_begin and the next change */
    char *url, *final, *part, *head; /* all but the first are paths in the store */
    bool there;                      /* whole, under its own name */
    uint64_t headed;  /* bytes of its head that are there; for whoever fetches heads to set */
    store_file *file; /* the part, or the head, while it is written; NULL: none is open */

    bool doubtful; /* has bytes of an earlier run */
    struct sha256_ctx sum;
    uint64_t summed; /* bytes that went into it */
} part_file;

/* The files of one model. */
struct part_files {
    store *store;
    part_file *files;
    size_t count;
    uint8_t *slice; /* room to read back into */
};

/* Room for so many files, none of which has a name yet. The store, and *all where it is, must last
 * as long as it is open. On failure nothing is to be closed. */
SL_CHECK sl_status part_files_open(store *s, size_t count, part_files *all, sl_error *error);
void part_files_close(part_files *all); /* what is all zero is allowed */

/* Says which file of a commit this is, looks whether it is there, and gets it ready to be fetched.
 * `url` is from malloc and belongs to the file then, also after a failure; NULL counts as memory
 * that is out. `listed` must stay valid. SL_ERR_FILE if something else than a file has its name. */
SL_CHECK sl_status part_file_name(part_file *f, const hub_file *listed, const char *repo,
                                  const char *commit, char *url, sl_error *error);

/* Makes the job one that fetches the whole file, also after the job did something else; closes
 * f->file. */
void part_file_begin(part_file *f);

/* Bytes that all files together still lack, once all have names. */
uint64_t part_files_missing(const part_files *all);

/* The failure of writing a file, by its errno; of a full disk with the bytes that are missing. */
sl_status part_file_failed(const part_file *f, int reason, sl_error *error);

#endif
