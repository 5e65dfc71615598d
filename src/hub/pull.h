/* pull.h - fetching a model from a hub into the cache.
 *
 *     open:   which commit, which files; asks for texts alone
 *     heads:  what a plan needs of the files: their tables, without the weights
 *     fetch:  the files; begins where an earlier one was broken off
 */
#ifndef HUB_PULL_H
#define HUB_PULL_H

#include "sluice.h"

#include <stdint.h>

typedef struct hub_pull_options {
    const char *name;        /* "user/repo" or "user/repo:quant" */
    const char *revision;    /* a branch, a tag or a commit; NULL: "main" */
    const char *cache;       /* folder; made if it is not there */
    const char *endpoint;    /* "https://huggingface.co" */
    const char *token;       /* NULL: none */
    const char *authorities; /* as in fetch_options */
    size_t parallel;         /* files at a time */
    double timeout;          /* as in fetch_options */
    sl_progress_fn progress;
    sl_notice_fn notice;
    void *user;
} hub_pull_options;

typedef struct hub_pull hub_pull;

/* Asks the hub, and marks the commit's folder as in use. SL_ERR_UNSUPPORTED where this was built
 * without libcurl, or where there is none. The options' pointers must stay valid. On success the
 * caller closes *pull. */
SL_CHECK sl_status hub_pull_open(const hub_pull_options *options, hub_pull **pull, sl_error *error);
void hub_pull_close(hub_pull *pull); /* NULL is allowed */

typedef struct hub_pull_info {
    const char *name;   /* "user/repo:Q4_K_M"; these belong to the pull */
    const char *commit; /* "0123..." */
    const char *path;   /* by which the model is opened once it is there */
    size_t files;
    uint64_t bytes;   /* of all files */
    uint64_t missing; /* of them, those that are still to be fetched */
    int64_t room;     /* bytes that the disk has left; -1: not known */
} hub_pull_info;

void hub_pull_get_info(const hub_pull *pull, hub_pull_info *info);

/* Fetches the heads of all files into files of the full size with nothing behind them. *path, which
 * belongs to the pull, is by what sl_plan_make may open them until hub_pull_fetch or
 * hub_pull_close; NULL where these weights have no head (torch files). */
SL_CHECK sl_status hub_pull_heads(hub_pull *pull, const char **path, sl_error *error);

/* Fetches what is missing; refuses if the disk has no room for it. */
SL_CHECK sl_status hub_pull_fetch(hub_pull *pull, sl_error *error);

#endif
