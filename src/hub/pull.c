#include "hub/pull.h"

#include "base/bytes.h"
#include "base/error.h"

#ifdef SLUICE_CURL

#include "formats/gguf.h"
#include "formats/json_text.h"
#include "hub/cache.h"
#include "hub/part_file.h"
#include "os/console/console.h"
#include "os/os.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST_GGUF_HEAD = 2 << 20,  /* most tables fit; four times as much is asked for next */
    OTHER_GGUF_HEAD = 64 << 10, /* of a set's other files, which have no vocabulary */
    FIRST_TENSORS_HEAD = 64 << 10,
    SAFETENSORS_LENGTH = 8, /* a safetensors file begins with so many bytes that say how long its
                               table is */
};

struct hub_pull {
    hub_pull_options options;
    hub_name name;
    char repo[2 * HUB_PART_BYTES];
    char commit[HUB_COMMIT_BYTES];
    char *shown;     /* "user/repo:Q4_K_M" */
    char *path;      /* that the model will have */
    char *head_path; /* what a plan opens */
    fetcher *fetcher;
    store *store;
    store_file *lock;
    hub_listing listing;
    hub_choice choice;
    part_files parts;
};

/* ---- texts ---------------------------------------------------------------------------------- */

typedef struct text_sink {
    uint8_t *bytes;
    size_t capacity;
} text_sink;

static sl_status text_restart(fetch_job *job, sl_error *error) {
    (void)error;
    job->have = 0;
    return SL_OK;
}

static sl_status text_write(fetch_job *job, const void *bytes, size_t size, sl_error *error) {
    text_sink *const text = job->user;
    if (size > LIMIT_JSON_BYTES - job->have) {
        return error_set(error, SL_ERR_FORMAT, "%s: more than %u bytes", job->label,
                         LIMIT_JSON_BYTES);
    }
    const size_t need = (size_t)job->have + size;
    if (need > text->capacity) {
        const size_t capacity = 2 * need + 4096;
        uint8_t *const more = realloc(text->bytes, capacity);
        if (!more) {
            return error_memory(error, job->label, capacity);
        }
        text->bytes = more;
        text->capacity = capacity;
    }
    memcpy(text->bytes + job->have, bytes, size);
    return SL_OK;
}

static sl_status text_finish(fetch_job *job, bool *again, sl_error *error) {
    (void)job, (void)again, (void)error;
    return SL_OK;
}

static const fetch_sink into_text = {
    .restart = text_restart, .write = text_write, .finish = text_finish};

/* Fetches a text; job->status and so on are for the caller, who clears the job, also after a
 * failure. *bytes is from malloc. */
static sl_status fetch_text(hub_pull *p, const char *url, const char *label, fetch_job *job,
                            uint8_t **bytes, size_t *size, sl_error *error) {
    text_sink text = {NULL, 0};
    *job = (fetch_job){.url = url,
                       .label = label,
                       .sink = &into_text,
                       .user = &text,
                       .size = FETCH_ANY,
                       .end = FETCH_ANY};
    fetch_job *const jobs[] = {job};
    const sl_status status =
        url ? fetch_run(p->fetcher, jobs, 1, error) : error_memory(error, "an address", 0);
    if (status != SL_OK) {
        free(text.bytes);
        return status;
    }
    *bytes = text.bytes;
    *size = (size_t)job->have;
    return SL_OK;
}

/* ---- what there is -------------------------------------------------------------------------- */

/* Which of repository and revision is not there, a hub does not always say; the repository itself
 * is asked for then. */
static sl_status say_missing(hub_pull *p, const fetch_job *job, sl_error *error) {
    const char *const revision = p->options.revision;
    bool there = strcmp(job->code, "RevisionNotFound") == 0;
    if (!there && strcmp(job->code, "RepoNotFound") != 0) {
        const char *const parts[] = {"api/models", p->repo};
        fetch_job ask;
        uint8_t *bytes = NULL;
        size_t size;
        char *const url = fetch_url(p->fetcher, parts, 2, SIZE_MAX);
        there = fetch_text(p, url, p->repo, &ask, &bytes, &size, NULL) == SL_OK;
        fetch_job_clear(&ask);
        free(bytes);
        free(url);
    }
    return there ? error_set(error, SL_ERR_FILE, "%s: has no revision %s (404)", p->repo, revision)
                 : error_set(error, SL_ERR_FILE, "%s: there is no such repository at %s (404)",
                             p->repo, p->options.endpoint);
}

static sl_status find_commit(hub_pull *p, sl_error *error) {
    const char *const parts[] = {"api/models", p->repo, "revision", p->options.revision};
    char *const url = fetch_url(p->fetcher, parts, 4, 3);
    fetch_job job;
    uint8_t *bytes = NULL;
    size_t size = 0;
    sl_status status = fetch_text(p, url, p->repo, &job, &bytes, &size, error);
    if (status != SL_OK && job.status == 404) {
        status = say_missing(p, &job, error);
    }
    fetch_job_clear(&job);
    free(url);
    if (status != SL_OK) {
        return status;
    }
    json_t *root;
    status = json_text_parse(bytes ? bytes : (const uint8_t *)"", size, "what the hub says", &root,
                             error);
    free(bytes);
    if (status == SL_OK) {
        const str commit = json_text_string(json_object_get(root, "sha"));
        if (hub_commit_is_good(commit)) {
            snprintf(p->commit, sizeof p->commit, "%s", commit.ptr);
        } else {
            status = error_set(error, SL_ERR_FORMAT,
                               "%s: expected the hub to say a commit, found \"%.*s\"", p->repo,
                               STR_ARG(commit));
        }
        json_decref(root);
    }
    return status;
}

/* All pages, each of which names the next one. */
static sl_status list_files(hub_pull *p, sl_error *error) {
    const char *const parts[] = {"api/models", p->repo, "tree", p->commit};
    char *url = fetch_url(p->fetcher, parts, 4, SIZE_MAX);
    if (url) {
        char *const asked = malloc(strlen(url) + sizeof "?recursive=true");
        if (asked) {
            sprintf(asked, "%s?recursive=true", url);
        }
        free(url);
        url = asked;
    }
    sl_status status = SL_OK;
    for (size_t page = 0; status == SL_OK && (page == 0 || url); page++) {
        fetch_job job;
        uint8_t *bytes = NULL;
        size_t size = 0;
        if (page == LIMIT_HUB_PAGES) {
            status = error_set(error, SL_ERR_FORMAT, "%s: the list of files has more than %u pages",
                               p->repo, LIMIT_HUB_PAGES);
            break;
        }
        status = fetch_text(p, url, p->repo, &job, &bytes, &size, error);
        if (status == SL_OK) {
            status =
                hub_listing_add_page(&p->listing, bytes ? bytes : (const uint8_t *)"", size, error);
        }
        free(bytes);
        free(url);
        url = job.next ? strdup(job.next) : NULL;
        fetch_job_clear(&job);
    }
    free(url);
    return status == SL_OK ? hub_listing_sort(&p->listing, error) : status;
}

/* The address of a file. */
static char *file_url(const hub_pull *p, const char *path) {
    const char *const parts[] = {p->repo, "resolve", p->commit, path};
    return fetch_url(p->fetcher, parts, 4, SIZE_MAX);
}

static sl_status choose_files(hub_pull *p, sl_error *error) {
    sl_error inner = {0};
    sl_status status = hub_choose(&p->listing, p->name.quant, &p->choice, &inner);
    if (status != SL_OK) {
        return error_set(error, status, "%s: %s", p->repo, inner.message);
    }
    if (p->choice.index) {
        fetch_job job;
        uint8_t *bytes = NULL;
        size_t size = 0;
        char *const url = file_url(p, p->choice.index);
        status = fetch_text(p, url, p->choice.index, &job, &bytes, &size, error);
        if (status == SL_OK) {
            status = hub_choose_indexed(&p->listing, bytes ? bytes : (const uint8_t *)"", size,
                                        &p->choice, error);
        }
        fetch_job_clear(&job);
        free(bytes);
        free(url);
    }
    return status;
}

/* ---- heads ---------------------------------------------------------------------------------- */

static sl_status head_restart(fetch_job *job, sl_error *error) {
    part_file *const f = job->user;
    job->have = 0;
    const int reason = store_file_cut(f->file, 0);
    return reason ? part_file_failed(f, reason, error) : SL_OK;
}

static sl_status head_write(fetch_job *job, const void *bytes, size_t size, sl_error *error) {
    part_file *const f = job->user;
    const int reason = store_file_write(f->file, job->have, bytes, size);
    return reason ? part_file_failed(f, reason, error) : SL_OK;
}

static sl_status head_finish(fetch_job *job, bool *again, sl_error *error) {
    part_file *const f = job->user;
    (void)again;
    f->headed = job->have;
    const int reason = store_file_cut(f->file, f->listed->size);
    return reason ? part_file_failed(f, reason, error) : SL_OK;
}

static const fetch_sink into_head = {
    .restart = head_restart, .write = head_write, .finish = head_finish};

static bool ends_with(const part_file *f, const char *end) {
    return str_ends_with(str_from(f->listed->path), end);
}

/* Bytes of a file that are asked for first. */
static uint64_t first_head(const part_file *f, size_t index) {
    const uint64_t wanted = ends_with(f, ".gguf") ? (index == 0 ? FIRST_GGUF_HEAD : OTHER_GGUF_HEAD)
                            : ends_with(f, ".safetensors") ? FIRST_TENSORS_HEAD
                                                           : LIMIT_HUB_HEAD_BYTES;
    return f->listed->size < wanted ? f->listed->size : wanted;
}

/* The path of something in the cache for those who know nothing of the store. */
static char *outer_path(const hub_pull *p, const char *inside) {
    const size_t size = strlen(p->options.cache) + strlen(inside) + 2;
    char *const path = malloc(size);
    if (path) {
        snprintf(path, size, "%s/%s", p->options.cache, inside);
    }
    return path;
}

/* Where the weights of a GGUF file begin: UINT64_MAX if its tables do not make sense, as is so
 * where what is there of them ends too early and zeros follow. */
static sl_status gguf_head(const hub_pull *p, const part_file *f, uint64_t *end, sl_error *error) {
    os_mapping mapping;
    model_file tables;
    sl_error inner = {0};
    char *const path = outer_path(p, f->head);
    sl_status status = path ? os_map(path, &mapping, error) : error_memory(error, "a path", 0);
    free(path);
    if (status != SL_OK) {
        return status;
    }
    *end = UINT64_MAX;
    if (!gguf_detect(mapping.bytes, mapping.size)) {
        status = error_set(error, SL_ERR_FORMAT, "%s: is no GGUF file", f->listed->path);
    } else if (gguf_parse(mapping.bytes, mapping.size, &tables, &inner) == SL_OK) {
        *end = tables.data_offset;
        model_file_free(&tables);
    } else if (f->headed == f->listed->size || f->headed >= LIMIT_HUB_HEAD_BYTES) {
        status = error_set(error, SL_ERR_FORMAT, "%s: %s", f->listed->path, inner.message);
    }
    os_unmap(&mapping);
    return status;
}

/* The same for safetensors, which says at its beginning. */
static sl_status safetensors_head(const part_file *f, uint64_t *end, sl_error *error) {
    uint8_t bytes[SAFETENSORS_LENGTH];
    size_t got;
    const int reason = store_file_read(f->file, 0, bytes, sizeof bytes, &got);
    if (reason) {
        return part_file_failed(f, reason, error);
    }
    const uint64_t length = got == sizeof bytes ? bytes_number(bytes, sizeof bytes) : 0;
    if (length > LIMIT_JSON_BYTES || length + sizeof bytes > f->listed->size) {
        return error_set(error, SL_ERR_FORMAT, "%s: its table has %" PRIu64 " bytes",
                         f->listed->path, length);
    }
    *end = length + sizeof bytes;
    return SL_OK;
}

/* How many bytes the head needs: job->end grows, or stays where it is enough. */
static sl_status grow_head(const hub_pull *p, part_file *f, sl_error *error) {
    uint64_t end = 0;
    sl_status status = ends_with(f, ".gguf")          ? gguf_head(p, f, &end, error)
                       : ends_with(f, ".safetensors") ? safetensors_head(f, &end, error)
                                                      : SL_OK;
    if (status == SL_OK && end > f->headed) {
        const uint64_t most =
            f->listed->size < LIMIT_HUB_HEAD_BYTES ? f->listed->size : LIMIT_HUB_HEAD_BYTES;
        const uint64_t wanted = end == UINT64_MAX || ends_with(f, ".gguf") ? 4 * f->headed : end;
        if (f->headed >= most && !ends_with(f, ".safetensors")) {
            return error_set(error, SL_ERR_FORMAT,
                             "%s: its tables have more than %" PRIu64 " bytes", f->listed->path,
                             most);
        }
        f->job.end = wanted < most || ends_with(f, ".safetensors") ? wanted : most;
    }
    return status;
}

static sl_status open_heads(hub_pull *p, sl_error *error) {
    for (size_t i = 0; i < p->parts.count; i++) {
        part_file *const f = &p->parts.files[i];
        f->headed = 0;
        f->job.sink = &into_head;
        f->job.have = 0;
        f->job.end = first_head(f, i);
        int reason = store_file_open(p->store, f->head, &f->file);
        reason = reason ? reason : store_file_cut(f->file, 0);
        if (reason) {
            return part_file_failed(f, reason, error);
        }
    }
    return SL_OK;
}

static sl_status fetch_heads(hub_pull *p, sl_error *error) {
    fetch_job **const jobs = malloc(p->parts.count * sizeof *jobs);
    if (!jobs) {
        return error_memory(error, "requests", p->parts.count * sizeof *jobs);
    }
    sl_status status = open_heads(p, error);
    for (size_t count = 1; status == SL_OK && count > 0;) {
        count = 0;
        for (size_t i = 0; i < p->parts.count; i++) {
            if (p->parts.files[i].headed < p->parts.files[i].job.end) {
                jobs[count++] = &p->parts.files[i].job;
            }
        }
        status = fetch_run(p->fetcher, jobs, count, error);
        for (size_t i = 0; i < p->parts.count && status == SL_OK && count > 0; i++) {
            status = grow_head(p, &p->parts.files[i], error);
        }
    }
    free(jobs);
    return status;
}

/* Back to fetching whole files. */
static void close_heads(hub_pull *p) {
    for (size_t i = 0; i < p->parts.count; i++) {
        part_file_begin(&p->parts.files[i]);
    }
}

static void remove_heads(hub_pull *p) {
    char *const folder = hub_cache_path(p->repo, p->commit, ".heads", NULL);
    if (folder) {
        (void)store_remove_all(p->store, folder);
    }
    free(folder);
    for (size_t i = 0; i < p->parts.count; i++) {
        p->parts.files[i].headed = 0;
    }
}

sl_status hub_pull_heads(hub_pull *p, const char **path, sl_error *error) {
    *path = NULL;
    for (size_t i = 0; i < p->parts.count; i++) {
        if (ends_with(&p->parts.files[i], ".bin")) {
            return SL_OK;
        }
    }
    const sl_status status = fetch_heads(p, error);
    close_heads(p);
    if (status != SL_OK) {
        remove_heads(p);
        return status;
    }
    free(p->head_path);
    char *const inside =
        hub_cache_path(p->repo, p->commit, ".heads", p->choice.path[0] ? p->choice.path : NULL);
    p->head_path = inside ? outer_path(p, inside) : NULL;
    free(inside);
    *path = p->head_path;
    return *path ? SL_OK : error_memory(error, "a path", 0);
}

/* ---- fetching ------------------------------------------------------------------------------- */

static sl_status check_room(const hub_pull *p, sl_error *error) {
    const uint64_t missing = part_files_missing(&p->parts);
    const int64_t room = store_free_bytes(p->store);
    if (room < 0 || (uint64_t)room >= missing) {
        return SL_OK;
    }
    return error_set(error, SL_ERR_RUNTIME,
                     "%s: the disk of the cache (%s) has %" PRId64 " bytes left, but %" PRIu64
                     " are to be fetched: %" PRIu64 " bytes are missing",
                     p->shown, p->options.cache, room, missing, missing - (uint64_t)room);
}

/* What is on its way is noted before its first byte, so that it can be listed and removed. */
static sl_status write_note(hub_pull *p, sl_error *error) {
    hub_manifest manifest;
    sl_status status = hub_cache_read(p->store, p->repo, p->commit, &manifest, error);
    if (status != SL_OK) {
        return status;
    }
    status = hub_manifest_put(&manifest, &p->listing, &p->choice, p->options.revision,
                              console_date(), error);
    status = status == SL_OK ? hub_cache_write(p->store, &manifest, error) : status;
    hub_manifest_free(&manifest);
    return status;
}

sl_status hub_pull_fetch(hub_pull *p, sl_error *error) {
    sl_status status = check_room(p, error);
    status = status == SL_OK ? write_note(p, error) : status;
    fetch_job **const jobs = malloc(p->parts.count * sizeof *jobs);
    if (status == SL_OK && !jobs) {
        status = error_memory(error, "requests", p->parts.count * sizeof *jobs);
    }
    size_t count = 0;
    for (size_t i = 0; i < p->parts.count && status == SL_OK; i++) {
        if (!p->parts.files[i].there) {
            jobs[count++] = &p->parts.files[i].job;
        }
    }
    if (status == SL_OK) {
        status = fetch_run(p->fetcher, jobs, count, error);
    }
    free(jobs);
    remove_heads(p);
    return status;
}

/* ---- opening -------------------------------------------------------------------------------- */

static sl_status make_files(hub_pull *p, sl_error *error) {
    sl_status status = part_files_open(p->store, p->choice.count, &p->parts, error);
    for (size_t i = 0; i < p->parts.count && status == SL_OK; i++) {
        const hub_file *const listed = hub_listing_at(&p->listing, p->choice.files[i]);
        status = part_file_name(&p->parts.files[i], listed, p->repo, p->commit,
                                file_url(p, listed->path), error);
    }
    return status;
}

static sl_status name_model(hub_pull *p, sl_error *error) {
    char *const inside =
        hub_cache_path(p->repo, p->commit, "", p->choice.path[0] ? p->choice.path : NULL);
    const size_t size = strlen(p->repo) + strlen(p->choice.label) + 2;
    p->path = inside ? outer_path(p, inside) : NULL;
    p->shown = malloc(size);
    free(inside);
    if (!p->path || !p->shown) {
        return error_memory(error, "a path", 0);
    }
    snprintf(p->shown, size, "%s%s%s", p->repo, p->choice.label[0] ? ":" : "", p->choice.label);
    return SL_OK;
}

/* One at a time fetches a commit. */
static sl_status lock_commit(hub_pull *p, sl_error *error) {
    char *const path = hub_cache_path(p->repo, p->commit, ".lock", NULL);
    int reason = path ? store_file_open(p->store, path, &p->lock) : ENOMEM;
    reason = reason ? reason : store_file_lock(p->lock);
    free(path);
    if (reason) {
        store_file_close(p->lock);
        p->lock = NULL;
        return error_set(error, SL_ERR_FILE, "%s in the cache: %s", p->repo,
                         reason == EWOULDBLOCK ? "is being fetched by another process"
                                               : strerror(reason));
    }
    remove_heads(p); /* of one that was killed */
    return SL_OK;
}

static sl_status open_parts(hub_pull *p, sl_error *error) {
    const hub_pull_options *const o = &p->options;
    const fetch_options how = {
        .endpoint = o->endpoint,
        .token = o->token,
        .authorities = o->authorities,
        .parallel = o->parallel,
        .timeout = o->timeout,
        .progress = o->progress,
        .notice = o->notice,
        .user = o->user,
    };
    sl_status status = fetcher_open(&how, &p->fetcher, error);
    if (status == SL_OK) {
        const int reason = store_open(o->cache, true, &p->store);
        status =
            reason ? error_set(error, SL_ERR_FILE, "%s: %s", o->cache, strerror(reason)) : SL_OK;
    }
    sl_status (*const steps[])(hub_pull *, sl_error *) = {
        find_commit, list_files, choose_files, lock_commit, make_files, name_model,
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == SL_OK; i++) {
        status = steps[i](p, error);
    }
    return status;
}

sl_status hub_pull_open(const hub_pull_options *options, hub_pull **pull, sl_error *error) {
    hub_pull *const p = calloc(1, sizeof *p);
    if (!p) {
        return error_memory(error, "a model on its way", sizeof *p);
    }
    p->options = *options;
    p->options.revision = options->revision ? options->revision : "main";
    p->listing = hub_listing_new();
    sl_status status = SL_OK;
    if (!hub_name_parse(options->name, &p->name)) {
        status = error_set(error, SL_ERR_ARGUMENT, "%s: expected user/repo or user/repo:quant",
                           options->name);
    } else if (!hub_revision_is_good(p->options.revision)) {
        status =
            error_set(error, SL_ERR_ARGUMENT,
                      "%s: expected a revision: a branch, a tag or a commit", p->options.revision);
    } else {
        snprintf(p->repo, sizeof p->repo, "%s/%s", p->name.user, p->name.repo);
        status = open_parts(p, error);
    }
    if (status != SL_OK) {
        hub_pull_close(p);
        return status;
    }
    *pull = p;
    return SL_OK;
}

/* What was made in the cache to no use: without a note nobody would find it. */
static void tidy_cache(hub_pull *p) {
    store_entry note;
    char *const json = hub_cache_path(p->repo, p->commit, ".json", NULL);
    char *const lock = hub_cache_path(p->repo, p->commit, ".lock", NULL);
    remove_heads(p);
    if (json && lock && store_look(p->store, json, &note) == 0 && note.kind == STORE_NONE) {
        (void)store_remove(p->store, lock);
        /* Both refuse where there is something else. */
        if (store_remove(p->store, p->repo) == 0) {
            (void)store_remove(p->store, p->name.user);
        }
    }
    free(json);
    free(lock);
}

void hub_pull_close(hub_pull *p) {
    if (!p) {
        return;
    }
    if (p->lock) {
        tidy_cache(p);
    }
    part_files_close(&p->parts);
    free(p->shown);
    free(p->path);
    free(p->head_path);
    hub_choice_free(&p->choice);
    hub_listing_free(&p->listing);
    store_file_close(p->lock);
    store_close(p->store);
    fetcher_close(p->fetcher);
    free(p);
}

void hub_pull_get_info(const hub_pull *p, hub_pull_info *info) {
    *info = (hub_pull_info){
        .name = p->shown,
        .commit = p->commit,
        .path = p->path,
        .files = p->parts.count,
        .missing = part_files_missing(&p->parts),
        .room = store_free_bytes(p->store),
    };
    for (size_t i = 0; i < p->parts.count; i++) {
        info->bytes += p->parts.files[i].listed->size;
    }
}

#else

sl_status hub_pull_open(const hub_pull_options *options, hub_pull **pull, sl_error *error) {
    (void)options, (void)pull;
    return error_set(error, SL_ERR_UNSUPPORTED,
                     "this sluice was built without libcurl and nettle, which pull needs");
}

void hub_pull_close(hub_pull *pull) {
    (void)pull;
}

void hub_pull_get_info(const hub_pull *pull, hub_pull_info *info) {
    (void)pull;
    *info = (hub_pull_info){.room = -1};
}

sl_status hub_pull_heads(hub_pull *pull, const char **path, sl_error *error) {
    (void)pull, (void)path;
    return error_set(error, SL_ERR_UNSUPPORTED, "built without libcurl");
}

sl_status hub_pull_fetch(hub_pull *pull, sl_error *error) {
    (void)pull;
    return error_set(error, SL_ERR_UNSUPPORTED, "built without libcurl");
}

#endif
