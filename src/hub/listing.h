/* listing.h - the files of a repository, as a hub lists them.
 *
 *   GET /api/models/USER/REPO/tree/COMMIT?recursive=true
 *   [{"type": "file", "path": "model.gguf", "size": 4096, "oid": "...",
 *     "lfs": {"oid": SHA256, "size": 4096, "pointerSize": 134}},
 *    {"type": "directory", "path": "folder", ...}, ...]       in pages
 */
#ifndef HUB_LISTING_H
#define HUB_LISTING_H

#include "base/array.h"
#include "hub/hub_name.h"

typedef struct hub_file {
    char *path;
    uint64_t size;
    char sha256[HUB_SHA256_BYTES]; /* "": the hub does not say */
} hub_file;

/* Files in the order of their paths' bytes once hub_listing_sort has run. */
typedef struct hub_listing {
    array files; /* hub_file */
} hub_listing;

hub_listing hub_listing_new(void);
void hub_listing_free(hub_listing *listing);

/* Appends the files of one page of JSON. What is no such list is refused, as are paths that lead
 * out of the cache, sizes beyond the ceiling, sums that are no sha256, and too many files. */
SL_CHECK sl_status hub_listing_add_page(hub_listing *listing, const uint8_t *bytes, size_t size,
                                        sl_error *error);

/* Appends one file; the path is copied. `sha256` may be NULL. */
SL_CHECK sl_status hub_listing_add(hub_listing *listing, str path, uint64_t size,
                                   const char *sha256, sl_error *error);

/* Sorts; refuses a path that is there twice. */
SL_CHECK sl_status hub_listing_sort(hub_listing *listing, sl_error *error);

/* The number of a file in a sorted listing; SIZE_MAX if there is none. */
size_t hub_listing_find(const hub_listing *listing, const char *path);

static inline const hub_file *hub_listing_at(const hub_listing *listing, size_t index) {
    return (const hub_file *)listing->files.items + index;
}

#endif
