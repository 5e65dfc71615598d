/* inspect_diff.c - `sluice inspect A B`: what differs between two models.
 *
 * Entries of metadata and tensors are matched by name; then each is only in one file, or different,
 * or the same. Values are compared whatever their types, so that a quantized model can be held
 * against its source.
 */
#include "cli/inspect_diff.h"

#include "cli/cli.h"
#include "cli/inspect_values.h"
#include "cli/output.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const size_t none = SIZE_MAX;

/* A name and where it stands in its file. */
typedef struct named {
    const char *name;
    size_t length, index;
} named;

/* The entries of one kind, metadata or tensors. */
typedef struct matching {
    size_t count_a, count_b;
    size_t *in_b; /* for each of A its number in B, or `none` */
    bool *used;   /* for each of B whether A has it */
    bool *same;   /* for each of A that B has */
} matching;

typedef struct difference {
    sl_file *a, *b;
    const char *path_a, *path_b;
    sl_file_info info_a, info_b;
    matching metadata, tensors;
    sl_comparison *values; /* of tensors that both have, of one shape */
} difference;

/* ---- matching ------------------------------------------------------------------------------- */

static int by_name(const void *x, const void *y) {
    const named *const a = x, *const b = y;
    const size_t shorter = a->length < b->length ? a->length : b->length;
    const int order = shorter > 0 ? memcmp(a->name, b->name, shorter) : 0;
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static named metadata_name(const sl_file *file, size_t index) {
    sl_metadata m;
    sl_file_metadata(file, index, &m);
    return (named){m.key, m.key_length, index};
}

static named tensor_name(const sl_file *file, size_t index) {
    sl_tensor_info t;
    sl_file_tensor(file, index, &t);
    return (named){t.name, t.name_length, index};
}

static void matching_free(matching *m) {
    free(m->in_b);
    free(m->used);
    free(m->same);
}

static bool match(const difference *d, named (*name_of)(const sl_file *, size_t), size_t count_a,
                  size_t count_b, matching *m) {
    *m = (matching){
        .count_a = count_a,
        .count_b = count_b,
        .in_b = calloc(count_a + 1, sizeof *m->in_b),
        .used = calloc(count_b + 1, sizeof *m->used),
        .same = calloc(count_a + 1, sizeof *m->same),
    };
    named *const sorted = calloc(count_b + 1, sizeof *sorted);
    const bool room = sorted && m->in_b && m->used && m->same;
    for (size_t i = 0; room && i < count_b; i++) {
        sorted[i] = name_of(d->b, i);
    }
    if (room) {
        qsort(sorted, count_b, sizeof *sorted, by_name);
    }
    for (size_t i = 0; room && i < count_a; i++) {
        const named wanted = name_of(d->a, i);
        const named *const found = bsearch(&wanted, sorted, count_b, sizeof *sorted, by_name);
        m->in_b[i] = found ? found->index : none;
        if (found) {
            m->used[found->index] = true;
        }
    }
    free(sorted);
    return room;
}

/* ---- comparing ------------------------------------------------------------------------------ */

static bool same_value(const sl_value *x, const sl_value *y) {
    if (x->type != y->type) {
        return false;
    }
    switch (x->type) {
    case SL_VALUE_UINT:
    case SL_VALUE_BOOL:
        return x->u == y->u;
    case SL_VALUE_INT:
        return x->i == y->i;
    case SL_VALUE_FLOAT:
        return x->f == y->f || (x->f != x->f && y->f != y->f);
    case SL_VALUE_STRING:
        return x->string_length == y->string_length &&
               (x->string_length == 0 || memcmp(x->string, y->string, x->string_length) == 0);
    case SL_VALUE_ARRAY:
        break;
    }
    return true; /* of arrays within arrays there is no more to see */
}

static bool same_metadata(const difference *d, size_t a, size_t b) {
    sl_metadata x, y;
    sl_file_metadata(d->a, a, &x);
    sl_file_metadata(d->b, b, &y);
    if (x.type != y.type || x.count != y.count || x.element_type != y.element_type) {
        return false;
    }
    for (uint64_t i = 0; i < x.count; i++) {
        sl_value of_a, of_b;
        sl_file_value(d->a, a, i, &of_a);
        sl_file_value(d->b, b, i, &of_b);
        if (!same_value(&of_a, &of_b)) {
            return false;
        }
    }
    return true;
}

static bool same_shape(const sl_tensor_info *x, const sl_tensor_info *y) {
    return x->n_dims == y->n_dims && memcmp(x->dims, y->dims, sizeof x->dims) == 0;
}

static uint64_t bytes_to_compare(const difference *d) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < d->tensors.count_a; i++) {
        sl_tensor_info t;
        sl_file_tensor(d->a, i, &t);
        bytes += d->tensors.in_b[i] != none ? t.bytes : 0;
    }
    return bytes;
}

static int compare_tensors(const cli_options *options, difference *d) {
    const uint64_t all = bytes_to_compare(d);
    uint64_t done = 0;
    for (size_t i = 0; i < d->tensors.count_a; i++) {
        const size_t j = d->tensors.in_b[i];
        if (j == none) {
            continue;
        }
        sl_tensor_info x, y;
        sl_file_tensor(d->a, i, &x);
        sl_file_tensor(d->b, j, &y);
        done += x.bytes;
        if (!same_shape(&x, &y)) {
            continue;
        }
        sl_error error = {0};
        if (sl_file_compare(d->a, i, d->b, j, (size_t)options->threads, &d->values[i], &error) !=
            SL_OK) {
            return library_error(&error);
        }
        d->tensors.same[i] = strcmp(x.type, y.type) == 0 && d->values[i].different == 0;
        if (!progress_update(NULL, "comparing", done, all)) {
            return interrupted();
        }
    }
    return CLI_DONE;
}

static int compare(const cli_options *options, difference *d) {
    sl_file_get_info(d->a, &d->info_a);
    sl_file_get_info(d->b, &d->info_b);
    d->values = calloc(d->info_a.tensor_count + 1, sizeof *d->values);
    if (!d->values ||
        !match(d, metadata_name, d->info_a.metadata_count, d->info_b.metadata_count,
               &d->metadata) ||
        !match(d, tensor_name, d->info_a.tensor_count, d->info_b.tensor_count, &d->tensors)) {
        message("out of memory");
        return CLI_FAILED;
    }
    for (size_t i = 0; i < d->metadata.count_a; i++) {
        const size_t j = d->metadata.in_b[i];
        d->metadata.same[i] = j != none && same_metadata(d, i, j);
    }
    progress_begin(PROGRESS_BYTES);
    const int status = compare_tensors(options, d);
    progress_end();
    return status;
}

static size_t count_same(const matching *m) {
    size_t count = 0;
    for (size_t i = 0; i < m->count_a; i++) {
        count += m->same[i];
    }
    return count;
}

static bool all_same(const matching *m) {
    return count_same(m) == m->count_a && m->count_a == m->count_b;
}

/* ---- for people ----------------------------------------------------------------------------- */

static void print_entry(char mark, sl_file *file, size_t index) {
    sl_metadata m;
    sl_file_metadata(file, index, &m);
    output_format("  %c ", mark);
    output_escaped(m.key, m.key_length, 0);
    output_text(" = ");
    print_metadata_value(file, index);
    output_text("\n");
}

static void print_shape(const sl_tensor_info *t) {
    output_format("%s [", t->type);
    for (size_t i = 0; i < t->n_dims && i < 4; i++) {
        output_format("%s%" PRIu64, i ? ", " : "", t->dims[i]);
    }
    output_text("]");
}

static void print_tensor(char mark, const sl_tensor_info *t) {
    output_format("  %c ", mark);
    output_escaped(t->name, t->name_length, 0);
    output_text("  ");
    print_shape(t);
}

static void print_tensors(const difference *d, size_t i) {
    sl_tensor_info x, y;
    sl_file_tensor(d->a, i, &x);
    sl_file_tensor(d->b, d->tensors.in_b[i], &y);
    print_tensor('~', &x);
    if (strcmp(x.type, y.type) != 0 || !same_shape(&x, &y)) {
        output_text(" -> ");
        print_shape(&y);
    }
    const sl_comparison *const c = &d->values[i];
    if (!same_shape(&x, &y)) {
        output_text("\n");
    } else if (c->different == 0) {
        output_text("  the same values\n");
    } else {
        output_format("  %" PRIu64 " of %" PRIu64 " values differ, by at most %.3g, relatively "
                      "%.3g\n",
                      c->different, c->values, c->largest, c->relative);
    }
}

static void print_for_people(const difference *d) {
    output_format("a  %s, %" PRIu64 " bytes: ", d->info_a.format, d->info_a.file_bytes);
    output_escaped(d->path_a, strlen(d->path_a), 0);
    output_format("\nb  %s, %" PRIu64 " bytes: ", d->info_b.format, d->info_b.file_bytes);
    output_escaped(d->path_b, strlen(d->path_b), 0);
    output_text("\n(- only in a, + only in b, ~ different)\n");
    output_format("\nmetadata: %zu the same\n", count_same(&d->metadata));
    for (size_t i = 0; i < d->metadata.count_a; i++) {
        const size_t j = d->metadata.in_b[i];
        if (!d->metadata.same[i]) {
            print_entry(j == none ? '-' : '~', d->a, i);
        }
        if (!d->metadata.same[i] && j != none) {
            output_text("    -> ");
            print_metadata_value(d->b, j);
            output_text("\n");
        }
    }
    for (size_t j = 0; j < d->metadata.count_b; j++) {
        if (!d->metadata.used[j]) {
            print_entry('+', d->b, j);
        }
    }
    output_format("\ntensors: %zu the same\n", count_same(&d->tensors));
    sl_tensor_info t;
    for (size_t i = 0; i < d->tensors.count_a; i++) {
        if (d->tensors.in_b[i] == none) {
            sl_file_tensor(d->a, i, &t);
            print_tensor('-', &t);
            output_text("\n");
        } else if (!d->tensors.same[i]) {
            print_tensors(d, i);
        }
    }
    for (size_t j = 0; j < d->tensors.count_b; j++) {
        if (!d->tensors.used[j]) {
            sl_file_tensor(d->b, j, &t);
            print_tensor('+', &t);
            output_text("\n");
        }
    }
}

/* ---- as JSON -------------------------------------------------------------------------------- */

static json_t *metadata_as_json(const difference *d) {
    json_t *const only_a = json_object(), *const only_b = json_object();
    json_t *const different = json_object(), *const all = json_object();
    for (size_t i = 0; i < d->metadata.count_a; i++) {
        const size_t j = d->metadata.in_b[i];
        const named key = metadata_name(d->a, i);
        if (j == none) {
            json_put_bytes(only_a, key.name, key.length, metadata_value_as_json(d->a, i));
        } else if (!d->metadata.same[i]) {
            json_t *const pair = json_object();
            json_put(pair, "a", metadata_value_as_json(d->a, i));
            json_put(pair, "b", metadata_value_as_json(d->b, j));
            json_put_bytes(different, key.name, key.length, pair);
        }
    }
    for (size_t j = 0; j < d->metadata.count_b; j++) {
        if (!d->metadata.used[j]) {
            const named key = metadata_name(d->b, j);
            json_put_bytes(only_b, key.name, key.length, metadata_value_as_json(d->b, j));
        }
    }
    json_put(all, "same", json_unsigned(count_same(&d->metadata)));
    json_put(all, "only_a", only_a);
    json_put(all, "only_b", only_b);
    json_put(all, "different", different);
    return all;
}

static json_t *tensor_as_json(const sl_tensor_info *t) {
    json_t *const object = json_object(), *const shape = json_array();
    for (size_t i = 0; i < t->n_dims && i < 4; i++) {
        json_append(shape, json_unsigned(t->dims[i]));
    }
    json_put(object, "type", json_string(t->type));
    json_put(object, "shape", shape);
    return object;
}

static json_t *pair_as_json(const difference *d, size_t i) {
    sl_tensor_info x, y;
    sl_file_tensor(d->a, i, &x);
    sl_file_tensor(d->b, d->tensors.in_b[i], &y);
    json_t *const pair = json_object();
    json_put(pair, "a", tensor_as_json(&x));
    json_put(pair, "b", tensor_as_json(&y));
    if (same_shape(&x, &y)) {
        json_put(pair, "values", json_unsigned(d->values[i].values));
        json_put(pair, "different", json_unsigned(d->values[i].different));
        json_put(pair, "largest", json_number(d->values[i].largest));
        json_put(pair, "relative", json_number(d->values[i].relative));
    }
    return pair;
}

static json_t *tensors_as_json(const difference *d) {
    json_t *const only_a = json_object(), *const only_b = json_object();
    json_t *const different = json_object(), *const all = json_object();
    sl_tensor_info t;
    for (size_t i = 0; i < d->tensors.count_a; i++) {
        sl_file_tensor(d->a, i, &t);
        if (d->tensors.in_b[i] == none) {
            json_put_bytes(only_a, t.name, t.name_length, tensor_as_json(&t));
        } else if (!d->tensors.same[i]) {
            json_put_bytes(different, t.name, t.name_length, pair_as_json(d, i));
        }
    }
    for (size_t j = 0; j < d->tensors.count_b; j++) {
        if (!d->tensors.used[j]) {
            sl_file_tensor(d->b, j, &t);
            json_put_bytes(only_b, t.name, t.name_length, tensor_as_json(&t));
        }
    }
    json_put(all, "same", json_unsigned(count_same(&d->tensors)));
    json_put(all, "only_a", only_a);
    json_put(all, "only_b", only_b);
    json_put(all, "different", different);
    return all;
}

static json_t *file_as_json(const char *path, const sl_file_info *info) {
    json_t *const object = json_object();
    json_put(object, "file", json_bytes(path, strlen(path)));
    json_put(object, "format", json_string(info->format));
    json_put(object, "file_bytes", json_unsigned(info->file_bytes));
    return object;
}

static int print_difference(const cli_options *options, const difference *d) {
    if (!options->json) {
        print_for_people(d);
        return output_finish(CLI_DONE);
    }
    json_t *const object = json_object();
    json_put(object, "a", file_as_json(d->path_a, &d->info_a));
    json_put(object, "b", file_as_json(d->path_b, &d->info_b));
    json_put(object, "same", json_boolean(all_same(&d->metadata) && all_same(&d->tensors)));
    json_put(object, "metadata", metadata_as_json(d));
    json_put(object, "tensors", tensors_as_json(d));
    json_write(object, true);
    output_text("\n");
    return json_finish();
}

int inspect_diff(const cli_options *options, sl_file *a) {
    difference d = {.a = a, .path_a = options->model, .path_b = options->output};
    sl_error error = {0};
    if (sl_file_open(options->output, &d.b, &error) != SL_OK) {
        return library_error(&error);
    }
    int status = compare(options, &d);
    if (status == CLI_DONE) {
        status = print_difference(options, &d);
    }
    matching_free(&d.metadata);
    matching_free(&d.tensors);
    free(d.values);
    sl_file_close(d.b);
    return status;
}
