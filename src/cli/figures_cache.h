/* figures_cache.h - figures of this machine, kept in a file between runs of the command.
 *
 *   $XDG_CACHE_HOME/sluice/machine.json, or ~/.cache/sluice/machine.json
 *   {"version": 2, "machines": [{"processor", "features", "threads", "measured", "disk_device",
 *    "read": [median, least, most], ..., "kernels": [...], "attentions": [...]}, ...]}
 *
 * An entry is used only if processor, features and threads are those of now. What cannot be read as
 * such a file is left out of account, which is said, and written anew.
 */
#ifndef CLI_FIGURES_CACHE_H
#define CLI_FIGURES_CACHE_H

#include "sluice.h"

#include <stdbool.h>

typedef struct figures_cache {
    sl_figures figures; /* of this machine; empty ones if there were none */
    char measured[32];  /* when, "" for empty ones */
} figures_cache;

/* The figures for so many threads (0: physical cores). `told`: whether to print a message about a
 * file that is damaged. Returns whether there were any. */
bool figures_cache_load(figures_cache *cache, size_t threads, bool told);

/* Puts them in front of those of other machines, with today's date. What goes wrong is printed, and
 * is no failure: they are measured again next time. */
void figures_cache_save(figures_cache *cache);

/* The folder, made if it is not there; NULL, after a message, if there can be none. Static
 * storage. */
const char *figures_cache_folder(void);

#endif
