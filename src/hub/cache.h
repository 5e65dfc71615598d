/* cache.h - the folder in which models from a hub are kept.
 *
 *   FOLDER/user/repo/COMMIT.json     what was fetched of a commit (manifest.h)
 *                    COMMIT/...      the files, by their paths in the repository; those that are
 *                                    not whole yet end in .part
 *                    COMMIT.lock     in use by whoever fetches
 *                    COMMIT.heads/   the heads of files, for a plan; for as long as it is made
 *
 * A file under its own name is whole and has the sum that the hub said.
 */
#ifndef HUB_CACHE_H
#define HUB_CACHE_H

#include "hub/manifest.h"
#include "os/console/store.h"

/* A model of the cache, fetched or on its way. */
typedef struct hub_cached {
    char *name;         /* "user/repo:Q4_K_M", "user/repo" of a folder */
    char *path;         /* by which it is opened */
    char *label, *file; /* as in hub_choice: label and path */
    char *revision;     /* that was asked for */
    char commit[HUB_COMMIT_BYTES];
    uint64_t bytes;   /* of all its files */
    uint64_t present; /* of them, those that are there */
    int64_t pulled;   /* seconds since 1970 */
    bool complete;
} hub_cached;

typedef struct hub_cached_list {
    array items; /* hub_cached, by name, of one name the newest first */
} hub_cached_list;

/* What is in the cache at `folder`, which need not be there; notes that cannot be read are told to
 * `notice` (may be NULL) and left out. On success the caller frees the list. */
SL_CHECK sl_status hub_cache_list(const char *folder, sl_notice_fn notice, void *user,
                                  hub_cached_list *list, sl_error *error);
void hub_cached_list_free(hub_cached_list *list);

static inline const hub_cached *hub_cached_at(const hub_cached_list *list, size_t index) {
    return (const hub_cached *)list->items.items + index;
}

/* The path by which model "user/repo:quant" is opened, from malloc. Of several commits the newest
 * that is complete; without a quant as hub_choose chooses. SL_ERR_FILE says how it is fetched. */
SL_CHECK sl_status hub_cache_find(const char *folder, const char *name, char **path,
                                  sl_error *error);

/* Takes a model away, in all its commits, or all of a repository where `name` has no quant; tells
 * each by `told`. With `dry` nothing is done. *freed counts bytes. */
SL_CHECK sl_status hub_cache_remove(const char *folder, const char *name, bool dry,
                                    void (*told)(void *user, const hub_cached *model), void *user,
                                    uint64_t *freed, sl_error *error);

/* ---- for whoever fetches ---- */

/* "user/repo/COMMIT" and a suffix, from malloc; `path`: and a '/' and that, or NULL. */
char *hub_cache_path(const char *repo, const char *commit, const char *suffix, const char *path);

/* The manifest of a commit; an empty one, of that repo and commit, where there is none. */
SL_CHECK sl_status hub_cache_read(const store *s, const char *repo, const char *commit,
                                  hub_manifest *manifest, sl_error *error);
SL_CHECK sl_status hub_cache_write(const store *s, const hub_manifest *manifest, sl_error *error);

#endif
