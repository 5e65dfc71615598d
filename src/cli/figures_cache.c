/* figures_cache.c - figures_cache.h. */
#include "cli/figures_cache.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/whole_file.h"
#include "os/console/console.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 2, PATH_BYTES = 4096, MOST_BYTES = 1 << 20, MOST_MACHINES = 16 };

static const char *const kv_names[] = {"f16", "f32", "bf16", "q8_0", "q4_0"};

/* Spreads of figures by their names in the file. */
static const struct {
    const char *name;
    size_t offset;
} spreads[] = {
    {"read", offsetof(sl_figures, read)},
    {"disk", offsetof(sl_figures, disk)},
    {"disk_first", offsetof(sl_figures, disk_first)},
    {"int8", offsetof(sl_figures, int8)},
    {"bf16", offsetof(sl_figures, bf16)},
    {"f32", offsetof(sl_figures, f32)},
    {"operation", offsetof(sl_figures, operation)},
};

enum { SPREADS = sizeof spreads / sizeof spreads[0] };

/* ---- where ---------------------------------------------------------------------------------- */

/* The folder's path, and what of it has to be there already. False if no variable names one; the
 * specification of XDG_CACHE_HOME has relative paths ignored. */
static bool find_folder(char folder[PATH_BYTES], char parent[PATH_BYTES]) {
    const char *const cache = getenv("XDG_CACHE_HOME");
    const char *const home = getenv("HOME");
    int length = 0;
    if (cache && cache[0] == '/') {
        length = snprintf(parent, PATH_BYTES, "%s", cache);
    } else if (home && home[0] == '/') {
        length = snprintf(parent, PATH_BYTES, "%s/.cache", home);
    }
    if (length <= 0 || length >= PATH_BYTES - 64) {
        return false;
    }
    snprintf(folder, PATH_BYTES, "%.*s/sluice", PATH_BYTES - 64, parent);
    return true;
}

const char *figures_cache_folder(void) {
    static char folder[PATH_BYTES];
    char parent[PATH_BYTES];
    if (!find_folder(folder, parent)) {
        message("figures of this machine are not kept: neither XDG_CACHE_HOME nor HOME names a "
                "folder");
        return NULL;
    }
    int reason = console_make_folder(parent);
    if (reason == 0) {
        reason = console_make_folder(folder);
    }
    if (reason) {
        message("figures of this machine are not kept: %s: %s", folder, strerror(reason));
        return NULL;
    }
    return folder;
}

static bool file_path(char path[PATH_BYTES]) {
    char folder[PATH_BYTES], parent[PATH_BYTES];
    return find_folder(folder, parent) &&
           snprintf(path, PATH_BYTES, "%.*s/machine.json", PATH_BYTES - 32, folder) > 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* The whole file as text, which the caller frees; NULL if there is none or it is too long. */
static char *read_file(const char *path, size_t *length, bool *there) {
    FILE *const file = fopen(path, "rb");
    *there = file || errno != ENOENT;
    char *const text = file ? malloc(MOST_BYTES) : NULL;
    *length = text ? fread(text, 1, MOST_BYTES, file) : 0;
    const bool good = text && !ferror(file) && *length < MOST_BYTES;
    if (file) {
        fclose(file);
    }
    if (!good) {
        free(text);
        return NULL;
    }
    return text;
}

/* The file's object if it is one of this version; else NULL. */
static json_t *load_root(bool *there) {
    char path[PATH_BYTES];
    size_t length = 0;
    *there = false;
    char *const text = file_path(path) ? read_file(path, &length, there) : NULL;
    json_t *root = text ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    free(text);
    if (root && (json_integer_value(json_object_get(root, "version")) != VERSION ||
                 !json_is_array(json_object_get(root, "machines")))) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

static bool read_text(const json_t *object, const char *name, char *out, size_t size) {
    const char *const text = json_string_value(json_object_get(object, name));
    if (!text || strlen(text) >= size) {
        return false;
    }
    snprintf(out, size, "%s", text);
    return true;
}

static bool read_count(const json_t *object, const char *name, size_t most, size_t *out) {
    const json_t *const value = json_object_get(object, name);
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || (uint64_t)number > most) {
        return false;
    }
    *out = (size_t)number;
    return true;
}

/* [median, least, most], in order. */
static bool read_spread(const json_t *array, sl_spread *out) {
    double v[3];
    for (size_t i = 0; i < 3; i++) {
        const json_t *const value = json_array_get(array, i);
        v[i] = json_number_value(value);
        if (!json_is_number(value) || !isfinite(v[i]) || v[i] < 0) {
            return false;
        }
    }
    *out = (sl_spread){v[0], v[1], v[2]};
    return json_array_size(array) == 3 && v[1] <= v[0] && v[0] <= v[2];
}

static bool read_kv_type(const json_t *object, const char *name, sl_kv_type *out) {
    const char *const text = json_string_value(json_object_get(object, name));
    for (size_t i = 0; text && i < sizeof kv_names / sizeof kv_names[0]; i++) {
        if (strcmp(text, kv_names[i]) == 0) {
            *out = (sl_kv_type)i;
            return true;
        }
    }
    return false;
}

static bool read_kernel(const json_t *object, sl_kernel_figure *k) {
    const json_t *const rates = json_object_get(object, "rate");
    const json_t *const weight = json_object_get(object, "weight_bytes");
    k->rearranged = json_is_true(json_object_get(object, "rearranged"));
    k->weight_bytes = json_number_value(weight);
    bool good = read_text(object, "type", k->type, sizeof k->type) && json_is_number(weight) &&
                k->weight_bytes > 0 && json_array_size(rates) == SL_FIGURE_ROWS;
    for (size_t i = 0; i < SL_FIGURE_ROWS && good; i++) {
        good = read_spread(json_array_get(rates, i), &k->rate[i]);
    }
    return good;
}

static bool read_attention(const json_t *object, sl_attention_figure *a) {
    enum { MOST = 1 << 20 };
    return read_count(object, "n_head", MOST, &a->n_head) &&
           read_count(object, "n_head_kv", MOST, &a->n_head_kv) &&
           read_count(object, "head_k", MOST, &a->head_k) &&
           read_count(object, "head_v", MOST, &a->head_v) &&
           read_kv_type(object, "type_k", &a->type_k) &&
           read_kv_type(object, "type_v", &a->type_v) &&
           read_spread(json_object_get(object, "one"), &a->one) &&
           read_spread(json_object_get(object, "many"), &a->many);
}

/* Everything of an entry, or nothing. */
static bool read_machine(const json_t *object, figures_cache *out) {
    figures_cache c = {.measured = ""};
    sl_figures *const f = &c.figures;
    const json_t *const kernels = json_object_get(object, "kernels");
    const json_t *const attentions = json_object_get(object, "attentions");
    const json_t *const device = json_object_get(object, "disk_device");
    bool good = read_text(object, "processor", f->processor, sizeof f->processor) &&
                read_text(object, "features", f->features, sizeof f->features) &&
                read_text(object, "measured", c.measured, sizeof c.measured) &&
                read_count(object, "threads", 1 << 16, &f->threads) && json_is_integer(device) &&
                json_is_array(kernels) && json_is_array(attentions) &&
                json_array_size(kernels) <= SL_FIGURE_KERNELS &&
                json_array_size(attentions) <= SL_FIGURE_ATTENTIONS;
    f->disk_device = (uint64_t)json_integer_value(device);
    for (size_t i = 0; i < SPREADS && good; i++) {
        good = read_spread(json_object_get(object, spreads[i].name),
                           (sl_spread *)((char *)f + spreads[i].offset));
    }
    f->n_kernel = json_array_size(kernels);
    for (size_t i = 0; i < f->n_kernel && good; i++) {
        good = read_kernel(json_array_get(kernels, i), &f->kernels[i]);
    }
    f->n_attention = json_array_size(attentions);
    for (size_t i = 0; i < f->n_attention && good; i++) {
        good = read_attention(json_array_get(attentions, i), &f->attentions[i]);
    }
    if (good) {
        *out = c;
    }
    return good;
}

static bool same_machine(const sl_figures *a, const sl_figures *b) {
    return strcmp(a->processor, b->processor) == 0 && strcmp(a->features, b->features) == 0 &&
           a->threads == b->threads;
}

bool figures_cache_load(figures_cache *cache, size_t threads, bool told) {
    *cache = (figures_cache){.measured = ""};
    sl_figures_init(&cache->figures, threads);
    bool there, found = false;
    json_t *const root = load_root(&there);
    bool damaged = there && !root;
    const json_t *const machines = json_object_get(root, "machines");
    for (size_t i = 0; i < json_array_size(machines) && !found; i++) {
        figures_cache other;
        if (!read_machine(json_array_get(machines, i), &other)) {
            damaged = true;
        } else if (same_machine(&other.figures, &cache->figures)) {
            *cache = other;
            found = true;
        }
    }
    json_decref(root);
    char path[PATH_BYTES];
    if (damaged && !found && told && file_path(path)) {
        message("%s is damaged or of another version: the machine is measured anew", path);
    }
    return found;
}

/* ---- writing -------------------------------------------------------------------------------- */

static json_t *spread_as_json(const sl_spread *s) {
    json_t *const array = json_array();
    json_append(array, json_number(s->median));
    json_append(array, json_number(s->least));
    json_append(array, json_number(s->most));
    return array;
}

static json_t *kernels_as_json(const sl_figures *f) {
    json_t *const array = json_array();
    for (size_t i = 0; i < f->n_kernel; i++) {
        const sl_kernel_figure *const k = &f->kernels[i];
        json_t *const object = json_object(), *const rates = json_array();
        for (size_t r = 0; r < SL_FIGURE_ROWS; r++) {
            json_append(rates, spread_as_json(&k->rate[r]));
        }
        json_put(object, "type", json_string(k->type));
        json_put(object, "rearranged", json_boolean(k->rearranged));
        json_put(object, "weight_bytes", json_number(k->weight_bytes));
        json_put(object, "rate", rates);
        json_append(array, object);
    }
    return array;
}

static json_t *attentions_as_json(const sl_figures *f) {
    json_t *const array = json_array();
    for (size_t i = 0; i < f->n_attention; i++) {
        const sl_attention_figure *const a = &f->attentions[i];
        json_t *const object = json_object();
        json_put(object, "n_head", json_unsigned(a->n_head));
        json_put(object, "n_head_kv", json_unsigned(a->n_head_kv));
        json_put(object, "head_k", json_unsigned(a->head_k));
        json_put(object, "head_v", json_unsigned(a->head_v));
        json_put(object, "type_k", json_string(kv_names[a->type_k]));
        json_put(object, "type_v", json_string(kv_names[a->type_v]));
        json_put(object, "one", spread_as_json(&a->one));
        json_put(object, "many", spread_as_json(&a->many));
        json_append(array, object);
    }
    return array;
}

static json_t *machine_as_json(const figures_cache *cache) {
    const sl_figures *const f = &cache->figures;
    json_t *const object = json_object();
    json_put(object, "processor", json_bytes(f->processor, strlen(f->processor)));
    json_put(object, "features", json_string(f->features));
    json_put(object, "threads", json_unsigned(f->threads));
    json_put(object, "measured", json_string(cache->measured));
    json_put(object, "disk_device", json_integer((json_int_t)f->disk_device));
    for (size_t i = 0; i < SPREADS; i++) {
        json_put(object, spreads[i].name,
                 spread_as_json((const sl_spread *)((const char *)f + spreads[i].offset)));
    }
    json_put(object, "kernels", kernels_as_json(f));
    json_put(object, "attentions", attentions_as_json(f));
    return object;
}

/* This machine, then the others of the file. */
static json_t *root_as_json(const figures_cache *cache) {
    bool there;
    json_t *const old = load_root(&there);
    const json_t *const machines = json_object_get(old, "machines");
    json_t *const array = json_array(), *const root = json_object();
    json_append(array, machine_as_json(cache));
    for (size_t i = 0; i < json_array_size(machines); i++) {
        json_t *const entry = json_array_get(machines, i);
        figures_cache other;
        if (json_array_size(array) < MOST_MACHINES && read_machine(entry, &other) &&
            !same_machine(&other.figures, &cache->figures)) {
            json_append(array, json_incref(entry));
        }
    }
    json_decref(old);
    json_put(root, "version", json_integer(VERSION));
    json_put(root, "machines", array);
    return root;
}

void figures_cache_save(figures_cache *cache) {
    char path[PATH_BYTES];
    console_date_text(cache->measured);
    if (!figures_cache_folder() || !file_path(path)) {
        return;
    }
    json_t *const root = root_as_json(cache);
    char *const text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(root);
    whole_file file;
    if (text && whole_file_begin(path, &file) == CLI_DONE) {
        whole_file_write(&file, text, strlen(text));
        whole_file_write(&file, "\n", 1);
        (void)whole_file_finish(&file, CLI_DONE);
    }
    free(text);
}
