/* batch_results.h - where `sluice batch` puts its results: a file of JSON lines that is complete at
 * every moment but for its last line.
 *
 *     {"id":"batch_req_5d41402abc4b2a76_3","custom_id":"c","response":{...},"error":null}
 *                      |                |
 *                      the job          number of the request's line in the input
 *
 * The file is its own journal. Each line says which request of which job it answers, the job being
 * a digest of the input, the model and the options; so a job that was ended anyhow, and is started
 * again, knows what is done. A line is added by one write; one that was cut short has no newline at
 * its end, and is taken away at the next start.
 */
#ifndef CLI_BATCH_RESULTS_H
#define CLI_BATCH_RESULTS_H

#include "cli/batch_requests.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct batch_results {
    const batch_input *input;
    const char *path;
    FILE *file;
    uint64_t job;
    bool created;  /* it was not there before */
    uint64_t size; /* of the lines that were written whole */
    bool *done;    /* by request */
    size_t n_done;
    char *held; /* lines to be written */
    size_t held_length, held_room;
    double synced; /* when the disk was last asked to hold them */
} batch_results;

/* Opens the results of job `job` at `path`, a new file or one to go on with, and reads what is done
 * into `done`; if `restart`, empties it. Refuses files that hold anything else, and those that
 * another process is writing. Input and path must outlive *r. Returns CLI_DONE, or the exit status
 * after a message; either way the caller ends with batch_results_close. */
int batch_results_open(const char *path, const batch_input *input, uint64_t job, bool restart,
                       batch_results *r);

/* Leaves no file that was made here and got no result. */
void batch_results_close(batch_results *r);

/* How a request ended. */
typedef struct batch_outcome {
    size_t index;        /* of the request */
    const char *problem; /* what was wrong with it; NULL: nothing, and the fields below count */
    const char *param;   /* the field that was wrong, or "" */
    const char *text;    /* UTF-8 of any characters */
    size_t text_length;
    bool stopped; /* at an end of the text or a stop text; else it had to be cut */
    size_t prompt_tokens, completion_tokens;
    const char *model;
} batch_outcome;

/* Adds a line. Returns false, after a message, if memory is out. */
bool batch_results_add(batch_results *r, const batch_request *request, const batch_outcome *how);

/* Writes the lines that were added, and asks the disk now and then, or if `sync`, to hold them.
 * Returns CLI_DONE, or the exit status after a message; what was written whole stays. */
int batch_results_write(batch_results *r, bool sync);

/* Once all is done: puts the lines into the order of the requests, as a file that takes the place
 * of the old one whole. Returns as above. */
int batch_results_order(batch_results *r);

/* Once all is done: writes to `path` the texts alone, one a line in the order of the requests, with
 * \n \r and \\ for what a line cannot hold; a request that failed is an empty line. Returns as
 * above. */
int batch_results_plain(batch_results *r, const char *path);

#endif
