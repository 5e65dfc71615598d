/* fetch.h - files and texts over HTTP, several at a time, from servers that may stall, break off or
 * lie.
 *
 *     job:  prepare (what is there already is read)
 *             -> request [have, end) -> redirects -> bytes -> finish
 *                   ^                                  |
 *                   +------- wait, try again <---------+ reset, stall, 429, 5xx
 *
 * A try begins where the one before ended. The token goes to the endpoint itself and to no other
 * scheme, host or port: redirects are followed here, not by libcurl. From an endpoint of https none
 * leads to http. Everything runs on the calling thread.
 */
#ifndef HUB_FETCH_H
#define HUB_FETCH_H

#include "sluice.h"

#include <stdint.h>

#define FETCH_ANY UINT64_MAX /* a size that is not known */

typedef struct fetch_job fetch_job;

/* Where a job's bytes go. Each returns a failure to end all jobs with it. */
typedef struct fetch_sink {
    /* Called until *ready, a piece of work each time; sets job->have. May be NULL. */
    sl_status (*prepare)(fetch_job *job, bool *ready, sl_error *error);
    /* Forgets all bytes; job->have is 0 afterwards. */
    sl_status (*restart)(fetch_job *job, sl_error *error);
    /* Takes bytes that begin at job->have. */
    sl_status (*write)(fetch_job *job, const void *bytes, size_t size, sl_error *error);
    /* All bytes are there. *again: they are not good, but may become so if fetched once more. */
    sl_status (*finish)(fetch_job *job, bool *again, sl_error *error);
} fetch_sink;

struct fetch_job {
    const char *url;
    const char *label;      /* what it is, for messages */
    const fetch_sink *sink; /* with `user` */
    void *user;
    uint64_t size; /* of the whole file, or FETCH_ANY */
    uint64_t end;  /* wanted are the bytes before this; FETCH_ANY with a size of FETCH_ANY */
    uint64_t have; /* bytes that are there, from the beginning */

    /* Of the last answer, for the caller; freed with fetch_job_clear. */
    long status;   /* of HTTP; 0: none */
    char code[48]; /* X-Error-Code */
    char *next;    /* the link to the next page, or NULL */
};

void fetch_job_clear(fetch_job *job);

typedef struct fetch_options {
    const char *endpoint;    /* "https://huggingface.co" */
    const char *token;       /* NULL: none */
    const char *authorities; /* file of certificates in PEM by which those of servers are judged, in
                                place of the system's; NULL: the system's */
    size_t parallel;         /* jobs at a time */
    double timeout; /* seconds without a byte after which a connection is given up; the first
                             wait before another try is a thirtieth of it */
    sl_progress_fn progress; /* of all bytes; done and total 0 where the total is not known */
    sl_notice_fn notice;     /* tries that failed */
    void *user;
} fetch_options;

typedef struct fetcher fetcher;

/* SL_ERR_UNSUPPORTED without libcurl, SL_ERR_ARGUMENT for an endpoint that is no http(s) URL. The
 * options' pointers must stay valid. On success the caller closes *f. */
SL_CHECK sl_status fetcher_open(const fetch_options *options, fetcher **f, sl_error *error);
void fetcher_close(fetcher *f); /* NULL is allowed */

/* Runs all jobs to their end, or until one fails for good: then the others are broken off, with
 * what they have. SL_ERR_CANCELLED if progress says so. */
SL_CHECK sl_status fetch_run(fetcher *f, fetch_job *const *jobs, size_t count, sl_error *error);

/* ENDPOINT/first/second..., percent-encoded, from malloc; NULL if memory is out. A '/' within a
 * part stays one, but in part number `strict` (SIZE_MAX: none). */
char *fetch_url(const fetcher *f, const char *const *parts, size_t count, size_t strict);

#endif
