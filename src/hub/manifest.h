/* manifest.h - what the cache knows of one commit of a repository: what the hub said of its files,
 * and which of them are models.
 *
 *   {"version": 1, "repo": "user/repo", "commit": "0123...",
 *    "files": [{"path": "m-Q4_K_M.gguf", "size": 4096, "sha256": "..."}, ...],
 *    "models": [{"label": "Q4_K_M", "path": "m-Q4_K_M.gguf", "revision": "main",
 *                "pulled": 1700000000, "files": ["m-Q4_K_M.gguf"]}, ...]}
 *
 * The file is ours, but anybody may have written to it: it is checked like what comes from a hub.
 */
#ifndef HUB_MANIFEST_H
#define HUB_MANIFEST_H

#include "hub/choice.h"

typedef struct hub_model {
    char *label, *path; /* as in hub_choice */
    char *revision;     /* that was asked for */
    int64_t pulled;     /* seconds since 1970 */
    char **files;       /* paths of files in the manifest's listing */
    size_t count;
} hub_model;

typedef struct hub_manifest {
    char repo[2 * HUB_PART_BYTES]; /* "user/repo" */
    char commit[HUB_COMMIT_BYTES];
    hub_listing files; /* sorted */
    array models;      /* hub_model */
} hub_manifest;

hub_manifest hub_manifest_new(void);
void hub_manifest_free(hub_manifest *manifest);

/* Reads one; `what` begins messages. On failure *manifest is empty. */
SL_CHECK sl_status hub_manifest_parse(const uint8_t *bytes, size_t size, const char *what,
                                      hub_manifest *manifest, sl_error *error);

/* The text of one, from malloc. */
SL_CHECK sl_status hub_manifest_print(const hub_manifest *manifest, char **text, sl_error *error);

/* Puts in a chosen model with its files, in place of the one of the same path. */
SL_CHECK sl_status hub_manifest_put(hub_manifest *manifest, const hub_listing *listing,
                                    const hub_choice *choice, const char *revision, int64_t pulled,
                                    sl_error *error);

/* Takes model number `index` out, and the files that no other has. */
void hub_manifest_take(hub_manifest *manifest, size_t index);

static inline const hub_model *hub_manifest_model(const hub_manifest *manifest, size_t index) {
    return (const hub_model *)manifest->models.items + index;
}

#endif
