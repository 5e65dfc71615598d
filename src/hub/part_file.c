#ifdef SLUICE_CURL

#include "hub/part_file.h"

#include "base/error.h"
#include "hub/cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLICE_BYTES = 8 << 20 }; /* read back at a time, to be summed or copied */

/* ---- room and failures ---------------------------------------------------------------------- */

uint64_t part_files_missing(const part_files *all) {
    uint64_t missing = 0;
    for (size_t i = 0; i < all->count; i++) {
        const part_file *const f = &all->files[i];
        const uint64_t size = f->listed->size, have = f->job.have;
        missing += f->there || have > size ? 0 : size - have;
    }
    return missing;
}

sl_status part_file_failed(const part_file *f, int reason, sl_error *error) {
    const int64_t room = store_free_bytes(f->all->store);
    const uint64_t missing = part_files_missing(f->all);
    if ((reason == ENOSPC || reason == EDQUOT) && room >= 0 && (uint64_t)room < missing) {
        return error_set(error, SL_ERR_RUNTIME,
                         "%s: the disk is full: %" PRIu64
                         " bytes are missing; what is there stays, and the same command goes on "
                         "from it",
                         f->part, missing - (uint64_t)room);
    }
    return error_set(error, SL_ERR_RUNTIME, "%s: cannot be written: %s", f->part, strerror(reason));
}

static sl_status file_restart(fetch_job *job, sl_error *error) {
    part_file *const f = job->user;
    job->have = f->summed = 0;
    f->doubtful = false;
    sha256_init(&f->sum);
    const int reason = store_file_cut(f->file, 0);
    return reason ? part_file_failed(f, reason, error) : SL_OK;
}

static sl_status file_write(fetch_job *job, const void *bytes, size_t size, sl_error *error) {
    part_file *const f = job->user;
    const int reason = store_file_write(f->file, job->have, bytes, size);
    if (reason) {
        return part_file_failed(f, reason, error);
    }
    sha256_update(&f->sum, size, bytes);
    f->summed += size;
    return SL_OK;
}

/* What a head brought is no longer missing. */
static int copy_head(part_file *f) {
    store_file *from = NULL;
    int reason = store_file_open(f->all->store, f->head, &from);
    for (uint64_t at = 0; reason == 0 && at < f->headed;) {
        size_t got;
        const uint64_t left = f->headed - at;
        const size_t most = left < SLICE_BYTES ? (size_t)left : SLICE_BYTES;
        reason = store_file_read(from, at, f->all->slice, most, &got);
        if (reason || got == 0) {
            break;
        }
        reason = store_file_write(f->file, at, f->all->slice, got);
        at += got;
    }
    store_file_close(from);
    return reason;
}

/* The first time: opens the part. Without a sum to check it by, none of it is kept. */
static int open_part(part_file *f) {
    store_entry entry;
    int reason = store_look(f->all->store, f->part, &entry);
    if (reason == 0) {
        reason = store_file_open(f->all->store, f->part, &f->file);
    }
    if (reason) {
        return reason;
    }
    const bool keep = f->listed->sha256[0] && entry.bytes <= f->listed->size;
    f->job.have = keep && entry.kind == STORE_FILE ? entry.bytes : 0;
    f->doubtful = f->job.have > 0;
    sha256_init(&f->sum);
    f->summed = 0;
    reason = f->job.have ? 0 : store_file_cut(f->file, 0);
    if (reason == 0 && f->headed > f->job.have) {
        reason = copy_head(f);
        f->job.have = reason ? f->job.have : f->headed;
    }
    return reason;
}

/* Opens the part, then sums what it has, slice by slice. */
static sl_status file_prepare(fetch_job *job, bool *ready, sl_error *error) {
    part_file *const f = job->user;
    int reason = 0;
    if (!f->file) {
        reason = open_part(f);
    } else if (f->summed < job->have) {
        size_t got = 0;
        const uint64_t left = job->have - f->summed;
        const size_t most = left < SLICE_BYTES ? (size_t)left : SLICE_BYTES;
        reason = store_file_read(f->file, f->summed, f->all->slice, most, &got);
        sha256_update(&f->sum, got, f->all->slice);
        f->summed += got;
        job->have = got < most ? f->summed : job->have; /* it became shorter */
    }
    if (reason) {
        return part_file_failed(f, reason, error);
    }
    *ready = f->summed == job->have;
    return SL_OK;
}

/* Checks the sum, and gives the file its name. */
static sl_status file_finish(fetch_job *job, bool *again, sl_error *error) {
    part_file *const f = job->user;
    store *const s = f->all->store;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char text[HUB_SHA256_BYTES];
    sha256_digest(&f->sum, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    if (f->listed->sha256[0] && strcmp(text, f->listed->sha256) != 0) {
        if (f->doubtful) {
            *again = true;
            return SL_OK;
        }
        (void)store_remove(s, f->part);
        return error_set(error, SL_ERR_FORMAT,
                         "%s: what came is not what the hub lists: its sha256 is %s, expected %s",
                         f->listed->path, text, f->listed->sha256);
    }
    int reason = store_file_sync(f->file);
    store_file_close(f->file);
    f->file = NULL;
    if (reason == 0) {
        reason = store_rename(s, f->part, f->final);
    }
    if (reason) {
        return part_file_failed(f, reason, error);
    }
    f->there = true;
    return SL_OK;
}

static const fetch_sink into_file = {
    .prepare = file_prepare,
    .restart = file_restart,
    .write = file_write,
    .finish = file_finish,
};

/* ---- all files of a model ------------------------------------------------------------------- */

sl_status part_files_open(store *s, size_t count, part_files *all, sl_error *error) {
    *all = (part_files){.store = s, .count = count};
    all->files = calloc(count ? count : 1, sizeof *all->files);
    all->slice = malloc(SLICE_BYTES);
    if (!all->files || !all->slice) {
        part_files_close(all);
        return error_memory(error, "files on their way", SLICE_BYTES + count * sizeof(part_file));
    }
    for (size_t i = 0; i < count; i++) {
        all->files[i].all = all;
    }
    return SL_OK;
}

void part_files_close(part_files *all) {
    for (size_t i = 0; all->files && i < all->count; i++) {
        part_file *const f = &all->files[i];
        store_file_close(f->file);
        fetch_job_clear(&f->job);
        free(f->url);
        free(f->final);
        free(f->part);
        free(f->head);
    }
    free(all->files);
    free(all->slice);
    *all = (part_files){0};
}

static char *with_suffix(const char *path, const char *suffix) {
    char *const out = path ? malloc(strlen(path) + strlen(suffix) + 1) : NULL;
    if (out) {
        sprintf(out, "%s%s", path, suffix);
    }
    return out;
}

sl_status part_file_name(part_file *f, const hub_file *listed, const char *repo, const char *commit,
                         char *url, sl_error *error) {
    f->listed = listed;
    f->url = url;
    f->final = hub_cache_path(repo, commit, "", listed->path);
    f->part = with_suffix(f->final, ".part");
    f->head = hub_cache_path(repo, commit, ".heads", listed->path);
    if (!f->url || !f->final || !f->part || !f->head) {
        return error_memory(error, "a path", 0);
    }
    f->job = (fetch_job){.url = f->url, .label = listed->path, .user = f, .size = listed->size};
    store_entry entry;
    const int reason = store_look(f->all->store, f->final, &entry);
    if (reason || (entry.kind != STORE_NONE && entry.kind != STORE_FILE)) {
        return error_set(error, SL_ERR_FILE, "%s in the cache: %s", f->final,
                         reason ? strerror(reason) : "is no plain file");
    }
    f->there = entry.kind == STORE_FILE && entry.bytes == listed->size;
    part_file_begin(f);
    return SL_OK;
}

void part_file_begin(part_file *f) {
    store_entry part;
    store_file_close(f->file);
    f->file = NULL;
    f->job.sink = &into_file;
    f->job.end = f->listed->size;
    /* For telling what is missing; open_part looks again. */
    const bool some = f->listed->sha256[0] && store_look(f->all->store, f->part, &part) == 0 &&
                      part.kind == STORE_FILE && part.bytes <= f->listed->size;
    f->job.have = f->there ? f->listed->size : some ? part.bytes : 0;
}

#endif
