#include "hub/manifest.h"

#include "base/error.h"
#include "formats/json_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { VERSION = 1 };

hub_manifest hub_manifest_new(void) {
    return (hub_manifest){
        .files = hub_listing_new(),
        .models = array_new(sizeof(hub_model), LIMIT_HUB_MODELS),
    };
}

static void free_model(hub_model *model) {
    free(model->label);
    free(model->path);
    free(model->revision);
    for (size_t i = 0; i < model->count; i++) {
        free(model->files[i]);
    }
    free(model->files);
    *model = (hub_model){.label = NULL};
}

void hub_manifest_free(hub_manifest *manifest) {
    for (size_t i = 0; i < manifest->models.count; i++) {
        free_model((hub_model *)manifest->models.items + i);
    }
    array_free(&manifest->models);
    hub_listing_free(&manifest->files);
}

/* ---- reading -------------------------------------------------------------------------------- */

static sl_status refuse(const char *what, const char *expected, sl_error *error) {
    return error_set(error, SL_ERR_FORMAT, "%s: expected %s", what, expected);
}

static sl_status read_files(const json_t *list, const char *what, hub_manifest *m,
                            sl_error *error) {
    if (!json_is_array(list)) {
        return refuse(what, "a list of \"files\"", error);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *const entry = json_array_get(list, i);
        const json_t *const size = json_object_get(entry, "size");
        const str path = json_text_string(json_object_get(entry, "path"));
        const str sum = json_text_string(json_object_get(entry, "sha256"));
        if (!path.ptr || !json_is_integer(size) || json_integer_value(size) < 0 ||
            (sum.ptr && !hub_sha256_is_good(sum))) {
            return refuse(what, "files with \"path\", \"size\" and \"sha256\"", error);
        }
        const sl_status status =
            hub_listing_add(&m->files, path, (uint64_t)json_integer_value(size), sum.ptr, error);
        if (status != SL_OK) {
            return status;
        }
    }
    return hub_listing_sort(&m->files, error);
}

static sl_status read_model_files(const json_t *list, const char *what, const hub_manifest *m,
                                  hub_model *model, sl_error *error) {
    const size_t count = json_array_size(list);
    if (count == 0 || count > m->files.files.count) {
        return refuse(what, "a model's \"files\" to be some of the files", error);
    }
    model->files = calloc(count, sizeof *model->files);
    if (!model->files) {
        return error_memory(error, "a list of files", count * sizeof *model->files);
    }
    for (size_t i = 0; i < count; i++) {
        const char *const path = json_string_value(json_array_get(list, i));
        if (!path || hub_listing_find(&m->files, path) == SIZE_MAX) {
            return refuse(what, "a model's \"files\" to be some of the files", error);
        }
        model->files[i] = strdup(path);
        model->count++;
        if (!model->files[i]) {
            return error_memory(error, "a path", strlen(path));
        }
    }
    return SL_OK;
}

/* What is filled when this fails is freed by the caller. */
static sl_status read_model(const json_t *entry, const char *what, const hub_manifest *m,
                            hub_model *model, sl_error *error) {
    const str label = json_text_string(json_object_get(entry, "label"));
    const str path = json_text_string(json_object_get(entry, "path"));
    const str revision = json_text_string(json_object_get(entry, "revision"));
    const json_t *const pulled = json_object_get(entry, "pulled");
    const bool good = label.ptr && (label.len == 0 || hub_path_is_good(label)) && path.ptr &&
                      (path.len == 0 || hub_listing_find(&m->files, path.ptr) != SIZE_MAX) &&
                      revision.ptr && hub_revision_is_good(revision.ptr) && json_is_integer(pulled);
    if (!good) {
        return refuse(what, "models with \"label\", \"path\", \"revision\" and \"pulled\"", error);
    }
    model->label = strdup(label.ptr);
    model->path = strdup(path.ptr);
    model->revision = strdup(revision.ptr);
    model->pulled = json_integer_value(pulled);
    if (!model->label || !model->path || !model->revision) {
        return error_memory(error, "a list of models", label.len + path.len + revision.len);
    }
    return read_model_files(json_object_get(entry, "files"), what, m, model, error);
}

static sl_status read_models(const json_t *list, const char *what, hub_manifest *m,
                             sl_error *error) {
    if (!json_is_array(list)) {
        return refuse(what, "a list of \"models\"", error);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        hub_model model = {.label = NULL};
        sl_status status = read_model(json_array_get(list, i), what, m, &model, error);
        if (status == SL_OK) {
            status = array_push(&m->models, &model, error);
        }
        if (status != SL_OK) {
            free_model(&model);
            return status;
        }
    }
    return SL_OK;
}

static sl_status read_root(const json_t *root, const char *what, hub_manifest *m, sl_error *error) {
    const str repo = json_text_string(json_object_get(root, "repo"));
    const str commit = json_text_string(json_object_get(root, "commit"));
    hub_name name;
    if (json_integer_value(json_object_get(root, "version")) != VERSION) {
        return refuse(what, "\"version\" to be 1", error);
    }
    if (!repo.ptr || !hub_name_parse(repo.ptr, &name) || name.quant[0] ||
        !hub_commit_is_good(commit)) {
        return refuse(what, "a \"repo\" and a \"commit\"", error);
    }
    snprintf(m->repo, sizeof m->repo, "%s", repo.ptr);
    snprintf(m->commit, sizeof m->commit, "%s", commit.ptr);
    const sl_status status = read_files(json_object_get(root, "files"), what, m, error);
    return status == SL_OK ? read_models(json_object_get(root, "models"), what, m, error) : status;
}

sl_status hub_manifest_parse(const uint8_t *bytes, size_t size, const char *what,
                             hub_manifest *manifest, sl_error *error) {
    json_t *root;
    *manifest = hub_manifest_new();
    sl_status status = json_text_parse(bytes, size, what, &root, error);
    if (status != SL_OK) {
        return status;
    }
    status = read_root(root, what, manifest, error);
    json_decref(root);
    if (status != SL_OK) {
        hub_manifest_free(manifest);
        *manifest = hub_manifest_new();
    }
    return status;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* jansson answers NULL where memory is out, and takes a NULL for a failure. */
static bool put(json_t *object, const char *name, json_t *value) {
    return json_object_set_new(object, name, value) == 0;
}

static bool print_files(const hub_manifest *m, json_t *list) {
    bool good = list != NULL;
    for (size_t i = 0; i < m->files.files.count && good; i++) {
        const hub_file *const f = hub_listing_at(&m->files, i);
        json_t *const entry = json_object();
        good = json_array_append_new(list, entry) == 0 &&
               put(entry, "path", json_string(f->path)) &&
               put(entry, "size", json_integer((json_int_t)f->size)) &&
               (!f->sha256[0] || put(entry, "sha256", json_string(f->sha256)));
    }
    return good;
}

static bool print_models(const hub_manifest *m, json_t *list) {
    bool good = list != NULL;
    for (size_t i = 0; i < m->models.count && good; i++) {
        const hub_model *const model = hub_manifest_model(m, i);
        json_t *const entry = json_object(), *const files = json_array();
        good = json_array_append_new(list, entry) == 0 && put(entry, "files", files) &&
               put(entry, "label", json_string(model->label)) &&
               put(entry, "path", json_string(model->path)) &&
               put(entry, "revision", json_string(model->revision)) &&
               put(entry, "pulled", json_integer(model->pulled));
        for (size_t k = 0; k < model->count && good; k++) {
            good = json_array_append_new(files, json_string(model->files[k])) == 0;
        }
    }
    return good;
}

sl_status hub_manifest_print(const hub_manifest *m, char **text, sl_error *error) {
    json_t *const root = json_object(), *const files = json_array(), *const models = json_array();
    /* Each is the root's from here on, also where it failed. */
    bool good = put(root, "version", json_integer(VERSION));
    good &= put(root, "repo", json_string(m->repo));
    good &= put(root, "commit", json_string(m->commit));
    good &= put(root, "files", files);
    good &= put(root, "models", models);
    good = good && print_files(m, files) && print_models(m, models);
    *text = good ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    return *text ? SL_OK : error_memory(error, "a list of files", 0);
}

/* ---- changing ------------------------------------------------------------------------------- */

/* A copy of the choice; what is filled when this fails is freed by the caller. */
static sl_status copy_choice(const hub_listing *listing, const hub_choice *choice,
                             const char *revision, int64_t pulled, hub_model *model,
                             sl_error *error) {
    model->label = strdup(choice->label);
    model->path = strdup(choice->path);
    model->revision = strdup(revision);
    model->pulled = pulled;
    model->files = calloc(choice->count, sizeof *model->files);
    bool whole = model->label && model->path && model->revision && model->files;
    for (size_t i = 0; i < choice->count && whole; i++) {
        model->files[i] = strdup(hub_listing_at(listing, choice->files[i])->path);
        model->count++;
        whole = model->files[i] != NULL;
    }
    return whole ? SL_OK : error_memory(error, "a list of models", choice->count);
}

/* Adds those of the chosen files that are not there yet. */
static sl_status put_files(hub_manifest *m, const hub_listing *listing, const hub_choice *choice,
                           sl_error *error) {
    sl_status status = SL_OK;
    for (size_t i = 0; i < choice->count && status == SL_OK; i++) {
        const hub_file *const f = hub_listing_at(listing, choice->files[i]);
        const size_t found = hub_listing_find(&m->files, f->path);
        if (found == SIZE_MAX) {
            status = hub_listing_add(&m->files, str_from(f->path), f->size,
                                     f->sha256[0] ? f->sha256 : NULL, error);
            status = status == SL_OK ? hub_listing_sort(&m->files, error) : status;
        } else {
            hub_file *const known = (hub_file *)m->files.files.items + found;
            known->size = f->size;
            memcpy(known->sha256, f->sha256, sizeof known->sha256);
        }
    }
    return status;
}

sl_status hub_manifest_put(hub_manifest *m, const hub_listing *listing, const hub_choice *choice,
                           const char *revision, int64_t pulled, sl_error *error) {
    hub_model model = {.label = NULL};
    sl_status status = copy_choice(listing, choice, revision, pulled, &model, error);
    if (status == SL_OK) {
        status = put_files(m, listing, choice, error);
    }
    for (size_t i = 0; i < m->models.count && status == SL_OK; i++) {
        hub_model *const other = (hub_model *)m->models.items + i;
        if (strcmp(other->path, choice->path) == 0) {
            free_model(other);
            *other = model;
            return SL_OK;
        }
    }
    if (status == SL_OK) {
        status = array_push(&m->models, &model, error);
    }
    if (status != SL_OK) {
        free_model(&model);
    }
    return status;
}

static bool is_used(const hub_manifest *m, const char *path) {
    for (size_t i = 0; i < m->models.count; i++) {
        const hub_model *const model = hub_manifest_model(m, i);
        for (size_t k = 0; k < model->count; k++) {
            if (strcmp(model->files[k], path) == 0) {
                return true;
            }
        }
    }
    return false;
}

void hub_manifest_take(hub_manifest *m, size_t index) {
    hub_model *const models = m->models.items;
    free_model(&models[index]);
    memmove(models + index, models + index + 1,
            (m->models.count - index - 1) * sizeof models[index]);
    m->models.count--;
    size_t kept = 0;
    hub_file *const files = m->files.files.items;
    for (size_t i = 0; i < m->files.files.count; i++) {
        if (is_used(m, files[i].path)) {
            files[kept++] = files[i];
        } else {
            free(files[i].path);
        }
    }
    m->files.files.count = kept;
}
