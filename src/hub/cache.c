#include "hub/cache.h"

#include "base/error.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

char *hub_cache_path(const char *repo, const char *commit, const char *suffix, const char *path) {
    const size_t size =
        strlen(repo) + strlen(commit) + strlen(suffix) + (path ? strlen(path) : 0) + sizeof "//";
    char *const out = malloc(size);
    if (out) {
        snprintf(out, size, "%s/%s%s%s%s", repo, commit, suffix, path ? "/" : "", path ? path : "");
    }
    return out;
}

/* ---- manifests ------------------------------------------------------------------------------ */

sl_status hub_cache_read(const store *s, const char *repo, const char *commit,
                         hub_manifest *manifest, sl_error *error) {
    char *const path = hub_cache_path(repo, commit, ".json", NULL);
    uint8_t *bytes = NULL;
    size_t size = 0;
    *manifest = hub_manifest_new();
    if (!path) {
        return error_memory(error, "a path", 0);
    }
    const int reason = store_read_whole(s, path, LIMIT_MANIFEST_BYTES, &bytes, &size);
    sl_status status = SL_OK;
    if (reason == ENOENT) {
        snprintf(manifest->repo, sizeof manifest->repo, "%s", repo);
        snprintf(manifest->commit, sizeof manifest->commit, "%s", commit);
    } else if (reason) {
        status = error_set(error, SL_ERR_FILE, "%s in the cache: %s", path, strerror(reason));
    } else {
        status = hub_manifest_parse(bytes, size, path, manifest, error);
        if (status == SL_OK &&
            (strcmp(manifest->repo, repo) != 0 || strcmp(manifest->commit, commit) != 0)) {
            status = error_set(error, SL_ERR_FORMAT, "%s in the cache is about %s, commit %s", path,
                               manifest->repo, manifest->commit);
            hub_manifest_free(manifest);
            *manifest = hub_manifest_new();
        }
    }
    free(bytes);
    free(path);
    return status;
}

sl_status hub_cache_write(const store *s, const hub_manifest *manifest, sl_error *error) {
    char *text;
    char *const path = hub_cache_path(manifest->repo, manifest->commit, ".json", NULL);
    sl_status status =
        path ? hub_manifest_print(manifest, &text, error) : error_memory(error, "a path", 0);
    if (status == SL_OK) {
        const int reason = store_write_whole(s, path, text, strlen(text));
        free(text);
        if (reason) {
            status = error_set(error, reason == ENOSPC ? SL_ERR_RUNTIME : SL_ERR_FILE,
                               "cannot write %s in the cache: %s", path, strerror(reason));
        }
    }
    free(path);
    return status;
}

/* ---- the list ------------------------------------------------------------------------------- */

typedef struct walk {
    const store *s;
    const char *folder;
    const char *only_user, *only_repo; /* NULL: all */
    char user[HUB_PART_BYTES], repo[2 * HUB_PART_BYTES];
    hub_cached_list *list;
    sl_notice_fn notice;
    void *notice_user;
    sl_status status;
    sl_error *error;
} walk;

static void free_cached(hub_cached *c) {
    free(c->name);
    free(c->path);
    free(c->label);
    free(c->file);
    free(c->revision);
}

void hub_cached_list_free(hub_cached_list *list) {
    for (size_t i = 0; i < list->items.count; i++) {
        free_cached((hub_cached *)list->items.items + i);
    }
    array_free(&list->items);
}

/* What is there of one file, and whether it is whole. */
static uint64_t look_at_file(const store *s, const hub_manifest *m, const char *path, bool *whole) {
    store_entry entry;
    const size_t index = hub_listing_find(&m->files, path);
    const uint64_t size = hub_listing_at(&m->files, index)->size;
    char *const name = hub_cache_path(m->repo, m->commit, "", path);
    char *const part = name ? malloc(strlen(name) + sizeof ".part") : NULL;
    uint64_t bytes = 0;
    *whole = false;
    if (part && store_look(s, name, &entry) == 0 && entry.kind == STORE_FILE) {
        *whole = entry.bytes == size;
        bytes = entry.bytes;
    } else if (part) {
        sprintf(part, "%s.part", name);
        if (store_look(s, part, &entry) == 0 && entry.kind == STORE_FILE) {
            bytes = entry.bytes;
        }
    }
    free(part);
    free(name);
    return bytes < size ? bytes : size;
}

static char *joined(const char *first, const char *between, const char *second) {
    char *const out = malloc(strlen(first) + strlen(between) + strlen(second) + 1);
    if (out) {
        sprintf(out, "%s%s%s", first, between, second);
    }
    return out;
}

static sl_status add_model(walk *w, const hub_manifest *m, const hub_model *model) {
    char *const inside =
        hub_cache_path(m->repo, m->commit, "", model->path[0] ? model->path : NULL);
    hub_cached c = {
        .name = joined(m->repo, model->label[0] ? ":" : "", model->label),
        .path = inside ? joined(w->folder, "/", inside) : NULL,
        .label = strdup(model->label),
        .file = strdup(model->path),
        .revision = strdup(model->revision),
        .pulled = model->pulled,
        .complete = true,
    };
    free(inside);
    snprintf(c.commit, sizeof c.commit, "%s", m->commit);
    sl_status status = c.name && c.path && c.label && c.file && c.revision
                           ? SL_OK
                           : error_memory(w->error, "a list of models", 0);
    for (size_t i = 0; i < model->count && status == SL_OK; i++) {
        bool whole;
        const size_t index = hub_listing_find(&m->files, model->files[i]);
        c.bytes += hub_listing_at(&m->files, index)->size;
        c.present += look_at_file(w->s, m, model->files[i], &whole);
        c.complete &= whole;
    }
    if (status == SL_OK) {
        status = array_push(&w->list->items, &c, w->error);
    }
    if (status != SL_OK) {
        free_cached(&c);
    }
    return status;
}

/* A name in a repository's folder: COMMIT.json counts. */
static int visit_commit(void *user, const char *name) {
    walk *const w = user;
    const str text = str_from(name);
    char commit[HUB_COMMIT_BYTES];
    if (!str_ends_with(text, ".json") || !hub_commit_is_good((str){name, text.len - 5})) {
        return 0;
    }
    snprintf(commit, sizeof commit, "%.*s", (int)(text.len - 5), name);
    hub_manifest m;
    sl_error error = {0};
    const sl_status status = hub_cache_read(w->s, w->repo, commit, &m, &error);
    if (status != SL_OK && w->notice) {
        w->notice(w->notice_user, error.message);
    }
    for (size_t i = 0; status == SL_OK && i < m.models.count && w->status == SL_OK; i++) {
        w->status = add_model(w, &m, hub_manifest_model(&m, i));
    }
    hub_manifest_free(&m);
    return w->status == SL_OK ? 0 : ECANCELED;
}

static int visit_repo(void *user, const char *name) {
    walk *const w = user;
    hub_name parts;
    if (w->only_repo && strcmp(w->only_repo, name) != 0) {
        return 0;
    }
    if (snprintf(w->repo, sizeof w->repo, "%s/%s", w->user, name) >= (int)sizeof w->repo ||
        !hub_name_parse(w->repo, &parts) || parts.quant[0]) {
        return 0;
    }
    return store_list(w->s, w->repo, visit_commit, w);
}

static int visit_user(void *user, const char *name) {
    walk *const w = user;
    store_entry entry;
    if ((w->only_user && strcmp(w->only_user, name) != 0) || strlen(name) >= HUB_PART_BYTES ||
        store_look(w->s, name, &entry) != 0 || entry.kind != STORE_FOLDER) {
        return 0;
    }
    snprintf(w->user, sizeof w->user, "%s", name);
    const int reason = store_list(w->s, name, visit_repo, w);
    return reason == ENOTDIR || reason == ELOOP ? 0 : reason;
}

static int by_name(const void *left, const void *right) {
    const hub_cached *const a = left, *const b = right;
    const int order = strcmp(a->name, b->name);
    return order                    ? order
           : a->pulled != b->pulled ? (a->pulled > b->pulled ? -1 : 1)
                                    : strcmp(a->commit, b->commit);
}

/* The models of one repository, or all. */
static sl_status list_models(const char *folder, const store *s, const hub_name *only,
                             sl_notice_fn notice, void *user, hub_cached_list *list,
                             sl_error *error) {
    walk w = {
        .s = s,
        .folder = folder,
        .only_user = only ? only->user : NULL,
        .only_repo = only ? only->repo : NULL,
        .list = list,
        .notice = notice,
        .notice_user = user,
        .error = error,
    };
    *list = (hub_cached_list){array_new(sizeof(hub_cached), LIMIT_HUB_FILES)};
    const int reason = store_list(s, "", visit_user, &w);
    if (w.status == SL_OK && reason) {
        w.status = error_set(error, SL_ERR_FILE, "%s: %s", folder, strerror(reason));
    }
    if (w.status != SL_OK) {
        hub_cached_list_free(list);
        return w.status;
    }
    if (list->items.count > 1) {
        qsort(list->items.items, list->items.count, sizeof(hub_cached), by_name);
    }
    return SL_OK;
}

/* No folder is no model. */
static sl_status open_cache(const char *folder, store **s, sl_error *error) {
    *s = NULL;
    const int reason = store_open(folder, false, s);
    return reason == 0 || reason == ENOENT
               ? SL_OK
               : error_set(error, SL_ERR_FILE, "%s: %s", folder, strerror(reason));
}

sl_status hub_cache_list(const char *folder, sl_notice_fn notice, void *user, hub_cached_list *list,
                         sl_error *error) {
    store *s;
    *list = (hub_cached_list){array_new(sizeof(hub_cached), LIMIT_HUB_FILES)};
    sl_status status = open_cache(folder, &s, error);
    if (status == SL_OK && s) {
        status = list_models(folder, s, NULL, notice, user, list, error);
    }
    store_close(s);
    return status;
}

/* ---- finding -------------------------------------------------------------------------------- */

/* The first model that matches as well as none other; *count says how many labels do. */
static const hub_cached *match(const hub_cached_list *list, const char *quant, size_t *count) {
    const hub_cached *found = NULL;
    int best = 1;
    *count = 0;
    for (size_t i = 0; i < list->items.count; i++) {
        const hub_cached *const c = hub_cached_at(list, i);
        const int fits = hub_choice_matches(quant, c->label, c->file);
        if (!c->complete || fits < best || fits == 0) {
            continue;
        }
        if (fits > best || !found) {
            best = fits;
            found = c;
            *count = 1;
        } else if (strcmp(found->name, c->name) != 0) {
            ++*count;
        }
    }
    return found;
}

static const hub_cached *match_any(const hub_cached_list *list, size_t *count) {
    const hub_cached *first = NULL;
    *count = 0;
    for (size_t i = 0; i < list->items.count; i++) {
        const hub_cached *const c = hub_cached_at(list, i);
        if (c->complete && (!first || strcmp(first->name, c->name) != 0)) {
            first = first ? first : c;
            ++*count;
        }
    }
    for (size_t i = 0; *count > 1 && hub_choice_preferred(i); i++) {
        size_t here;
        const hub_cached *const found = match(list, hub_choice_preferred(i), &here);
        if (here == 1) {
            *count = 1;
            return found;
        }
    }
    return first;
}

static sl_status not_found(const hub_cached_list *list, const char *name, const char *quant,
                           size_t count, sl_error *error) {
    char there[256] = "";
    size_t length = 0;
    if (count > 1) {
        for (size_t i = 0; i < list->items.count; i++) {
            const hub_cached *const c = hub_cached_at(list, i);
            if (c->complete && length + strlen(c->label) + 8 < sizeof there) {
                length += (size_t)snprintf(there + length, sizeof there - length, "%s%s",
                                           length ? ", " : "", c->label);
            }
        }
        return error_set(error, SL_ERR_ARGUMENT,
                         "%s: the cache has several of that name; write one of them behind a ':': "
                         "%s",
                         name, there);
    }
    for (size_t i = 0; i < list->items.count; i++) {
        const hub_cached *const c = hub_cached_at(list, i);
        if (!c->complete && (!quant[0] || hub_choice_matches(quant, c->label, c->file))) {
            return error_set(error, SL_ERR_FILE,
                             "%s: is not whole yet; this fetches the rest: sluice pull %s", name,
                             c->name);
        }
    }
    return error_set(error, SL_ERR_FILE,
                     "%s: there is no such file, and no such model in the cache; this fetches it "
                     "from the hub: sluice pull %s",
                     name, name);
}

sl_status hub_cache_find(const char *folder, const char *name, char **path, sl_error *error) {
    hub_name parts;
    store *s;
    if (!hub_name_parse(name, &parts)) {
        return error_set(error, SL_ERR_ARGUMENT, "%s: expected user/repo or user/repo:quant", name);
    }
    hub_cached_list list = {array_new(sizeof(hub_cached), LIMIT_HUB_FILES)};
    sl_status status = open_cache(folder, &s, error);
    if (status == SL_OK && s) {
        status = list_models(folder, s, &parts, NULL, NULL, &list, error);
    }
    store_close(s);
    if (status != SL_OK) {
        return status;
    }
    size_t count;
    const hub_cached *const found =
        parts.quant[0] ? match(&list, parts.quant, &count) : match_any(&list, &count);
    if (!found || count != 1) {
        status = not_found(&list, name, parts.quant, count, error);
    } else {
        *path = strdup(found->path);
        status = *path ? SL_OK : error_memory(error, "a path", strlen(found->path));
    }
    hub_cached_list_free(&list);
    return status;
}

/* ---- removing ------------------------------------------------------------------------------- */

/* Takes the files away that the manifest has no more, whole or not. */
static sl_status remove_files(const store *s, const hub_manifest *before, const hub_manifest *after,
                              sl_error *error) {
    int reason = 0;
    for (size_t i = 0; i < before->files.files.count && reason == 0; i++) {
        const char *const path = hub_listing_at(&before->files, i)->path;
        if (hub_listing_find(&after->files, path) != SIZE_MAX) {
            continue;
        }
        char *const name = hub_cache_path(before->repo, before->commit, "", path);
        char *const part = name ? joined(name, ".part", "") : NULL;
        reason = part ? store_remove(s, name) : ENOMEM;
        reason = reason ? reason : store_remove(s, part);
        /* Folders that have become empty; others refuse. */
        for (char *slash; part && (slash = strrchr(name, '/')) != NULL;) {
            *slash = 0;
            if (strlen(name) <= strlen(before->repo) || store_remove(s, name) != 0) {
                break;
            }
        }
        free(part);
        free(name);
    }
    return reason ? error_set(error, SL_ERR_FILE, "%s in the cache: %s", before->repo,
                              strerror(reason))
                  : SL_OK;
}

/* What is left of a commit without models. */
static sl_status remove_commit(const store *s, const hub_manifest *m, sl_error *error) {
    static const char *const suffixes[] = {".heads", "", ".json", ".lock"};
    int reason = 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0] && reason == 0; i++) {
        char *const path = hub_cache_path(m->repo, m->commit, suffixes[i], NULL);
        reason = path ? store_remove_all(s, path) : ENOMEM;
        free(path);
    }
    if (reason) {
        return error_set(error, SL_ERR_FILE, "%s in the cache: %s", m->repo, strerror(reason));
    }
    char folder[2 * HUB_PART_BYTES];
    snprintf(folder, sizeof folder, "%s", m->repo);
    if (store_remove(s, folder) == 0) { /* refuses where another commit is there */
        *strchr(folder, '/') = 0;
        (void)store_remove(s, folder);
    }
    return SL_OK;
}

/* Takes the models called `label` (NULL: all) out of one commit. */
static sl_status remove_from(const store *s, const char *repo, const char *commit,
                             const char *label, sl_error *error) {
    hub_manifest before, after;
    store_file *lock = NULL;
    char *const path = hub_cache_path(repo, commit, ".lock", NULL);
    int reason = path ? store_file_open(s, path, &lock) : ENOMEM;
    reason = reason ? reason : store_file_lock(lock);
    free(path);
    if (reason) {
        store_file_close(lock);
        return error_set(error, SL_ERR_FILE, "%s in the cache: %s", repo,
                         reason == EWOULDBLOCK ? "is being fetched right now" : strerror(reason));
    }
    sl_status status = hub_cache_read(s, repo, commit, &before, error);
    if (status == SL_OK) {
        status = hub_cache_read(s, repo, commit, &after, error);
        for (size_t i = after.models.count; status == SL_OK && i-- > 0;) {
            if (!label || strcmp(hub_manifest_model(&after, i)->label, label) == 0) {
                hub_manifest_take(&after, i);
            }
        }
        if (status == SL_OK && after.models.count > 0) {
            /* The note first: what it does not name any more is nobody's. */
            status = hub_cache_write(s, &after, error);
            status = status == SL_OK ? remove_files(s, &before, &after, error) : status;
        } else if (status == SL_OK) {
            status = remove_commit(s, &before, error);
        }
        hub_manifest_free(&after);
    }
    hub_manifest_free(&before);
    store_file_close(lock);
    return status;
}

sl_status hub_cache_remove(const char *folder, const char *name, bool dry,
                           void (*told)(void *user, const hub_cached *model), void *user,
                           uint64_t *freed, sl_error *error) {
    hub_name parts;
    store *s;
    *freed = 0;
    if (!hub_name_parse(name, &parts)) {
        return error_set(error, SL_ERR_ARGUMENT, "%s: expected user/repo or user/repo:quant", name);
    }
    hub_cached_list list = {array_new(sizeof(hub_cached), LIMIT_HUB_FILES)};
    sl_status status = open_cache(folder, &s, error);
    if (status == SL_OK && s) {
        status = list_models(folder, s, &parts, NULL, NULL, &list, error);
    }
    size_t count = 0;
    char repo[2 * HUB_PART_BYTES];
    snprintf(repo, sizeof repo, "%s/%s", parts.user, parts.repo);
    /* What is removed must be named in full: a part of a name could mean more than was meant. */
    for (size_t i = 0; status == SL_OK && i < list.items.count; i++) {
        const hub_cached *const c = hub_cached_at(&list, i);
        if (parts.quant[0] && hub_choice_matches(parts.quant, c->label, c->file) != 2) {
            continue;
        }
        count++;
        if (!dry) {
            status = remove_from(s, repo, c->commit, c->label, error);
        }
        if (status == SL_OK) {
            *freed += c->present;
            told(user, c);
        }
    }
    if (status == SL_OK && count == 0) {
        status = error_set(error, SL_ERR_FILE, "%s: is not in the cache (sluice list)", name);
    }
    hub_cached_list_free(&list);
    store_close(s);
    return status;
}
