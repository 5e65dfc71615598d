/* synthetic.c - sl_model_synthesize: tables as a file would have them, then the pages behind. */
#include "engine/synthetic.h"

#include "base/error.h"
#include "base/size.h"
#include "formats/tables.h"
#include "kernels/kernels.h"
#include "models/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Tensors lie at multiples of it, as in GGUF files. */
enum { ALIGNMENT = 32 };

/* ---- types ---------------------------------------------------------------------------------- */

static const synthetic_type types[] = {
    {"f32", QUANT_F32, false},       {"bf16", QUANT_BF16, false},     {"f16", QUANT_F16, false},
    {"q8_0", QUANT_Q8_0, false},     {"q6_k", QUANT_Q6_K, false},     {"q5_1", QUANT_Q5_1, false},
    {"q5_k", QUANT_Q5_K, false},     {"q5_0", QUANT_Q5_0, false},     {"q4_1", QUANT_Q4_1, false},
    {"q4_k_m", QUANT_Q4_K, true},    {"q4_k", QUANT_Q4_K, false},     {"q4_0", QUANT_Q4_0, false},
    {"iq4_nl", QUANT_IQ4_NL, false}, {"iq4_xs", QUANT_IQ4_XS, false}, {"mxfp4", QUANT_MXFP4, false},
    {"q3_k", QUANT_Q3_K, false},     {"q2_k", QUANT_Q2_K, false},
};

const synthetic_type *synthetic_type_at(size_t index) {
    return index < COUNT_OF(types) ? &types[index] : NULL;
}

const synthetic_type *synthetic_type_find(const char *name) {
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (strcasecmp(types[i].name, name) == 0) {
            return &types[i];
        }
    }
    return NULL;
}

/* The half of the layers that llama.cpp gives more bits (its function use_more_bits): the first and
 * last eighth, and every third between. */
static bool layer_has_more_bits(size_t layer, size_t n_layer) {
    return layer < n_layer / 8 || layer >= 7 * n_layer / 8 || (layer - n_layer / 8) % 3 == 2;
}

/* Q4_K_M. */
static quant_type mixed_type(const model_shape *shape, const shape_tensor *tensor) {
    switch (tensor->role) {
    case TENSOR_OUTPUT:
        return QUANT_Q6_K;
    case TENSOR_EMBEDDING:
        return shape->parts & SHAPE_OUTPUT ? QUANT_Q4_K : QUANT_Q6_K;
    case TENSOR_ATTENTION_QKV:
        return QUANT_Q5_K;
    case TENSOR_ATTENTION_V:
    case TENSOR_FFN_DOWN:
        return layer_has_more_bits(tensor->layer, shape->n_layer) ? QUANT_Q6_K : QUANT_Q4_K;
    default:
        return QUANT_Q4_K;
    }
}

/* In blocks of 32, for rows that are no multiple of 256. */
static quant_type smaller_blocks(quant_type type) {
    switch (type) {
    case QUANT_Q6_K:
        return QUANT_Q8_0;
    case QUANT_Q5_K:
        return QUANT_Q5_1;
    case QUANT_Q4_K:
        return QUANT_Q5_0;
    case QUANT_IQ4_XS:
        return QUANT_IQ4_NL;
    default:
        return QUANT_Q4_0;
    }
}

/* Whether it fits or not. */
static quant_type wanted_type(const model_shape *shape, const synthetic_type *type,
                              const shape_tensor *tensor) {
    if (tensor->n_rows == 1 || tensor->role == TENSOR_POSITIONS) {
        return QUANT_F32;
    }
    return type->mixed ? mixed_type(shape, tensor) : type->main;
}

quant_type synthetic_tensor_type(const model_shape *shape, const synthetic_type *type,
                                 const shape_tensor *tensor) {
    const quant_type wanted = wanted_type(shape, type, tensor);
    if (tensor->n_in % quant_format_of(wanted)->block_length == 0) {
        return wanted;
    }
    return tensor->n_in % 32 == 0 ? smaller_blocks(wanted) : QUANT_F16;
}

uint64_t synthetic_bytes(const model_shape *shape, const synthetic_type *type) {
    uint64_t sum = 0;
    for (size_t i = 0; i < shape_tensor_count(shape); i++) {
        shape_tensor tensor;
        shape_tensor_at(shape, i, &tensor);
        const size_t row =
            quant_row_bytes(synthetic_tensor_type(shape, type, &tensor), tensor.n_in);
        sum += size_round_up(row * tensor.n_rows, ALIGNMENT);
    }
    return sum;
}

/* ---- tables --------------------------------------------------------------------------------- */

static const char *key_of(tables *t, const model_shape *s, const char *name) {
    return tables_text(t, "%s.%s", s->architecture, name);
}

/* All that any architecture here asks for; what it does not know does no harm. */
static void put_all_meta(tables *t, const model_shape *s) {
    const struct {
        const char *name;
        size_t value;
    } counts[] = {
        {"context_length", s->n_ctx},
        {"block_count", s->n_layer},
        {"embedding_length", s->n_embd},
        {"feed_forward_length", s->n_ff},
        {"attention.head_count", s->n_head},
        {"attention.head_count_kv", s->n_head_kv},
        {"attention.key_length", shape_head(s)},
        {"attention.value_length", shape_head(s)},
        {"attention.sliding_window", s->window},
        {"rope.dimension_count", s->n_rot ? s->n_rot : shape_head(s)},
        {"word_embedding_length", s->n_word ? s->n_word : s->n_embd},
    };
    tables_string(t, "general.architecture", str_from(s->architecture));
    tables_string(t, "general.name", str_from(s->name));
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        tables_u64(t, key_of(t, s, counts[i].name), counts[i].value);
    }
    tables_float(t, key_of(t, s, "rope.freq_base"), s->rope_base > 0 ? s->rope_base : 10000);
    tables_float(t, key_of(t, s, "attention.layer_norm_epsilon"), 1e-5f);
    tables_float(t, key_of(t, s, "attention.layer_norm_rms_epsilon"), 1e-5f);
    tables_bool(t, key_of(t, s, "normalize_before"), s->parts & SHAPE_LAST_NORM);
}

/* All but the tensors' data, whose place is `offset` in pages to come. Returns their size. */
static uint64_t put_all_tensors(tables *t, const model_shape *shape, const synthetic_type *type) {
    uint64_t offset = 0;
    for (size_t i = 0; i < shape_tensor_count(shape); i++) {
        shape_tensor wanted;
        shape_tensor_at(shape, i, &wanted);
        const uint64_t dims[] = {wanted.n_in, wanted.n_rows};
        tensor_entry *tensor =
            tables_tensor(t, wanted.name, synthetic_tensor_type(shape, type, &wanted),
                          wanted.n_rows == 1 ? 1 : 2, dims, NULL);
        if (tensor) {
            tensor->offset = offset;
            offset += size_round_up(tensor->bytes, ALIGNMENT);
        }
    }
    return offset;
}

sl_status synthetic_tables(sl_model *model, const model_shape *shape, const synthetic_type *type,
                           sl_error *error) {
    model->architecture = strdup(shape->architecture);
    model->name = strdup(shape->name);
    if (!model->architecture || !model->name) {
        return error_memory(error, "a name", strlen(shape->name));
    }
    tables t = tables_new("synthetic", NULL, 0, error);
    put_all_meta(&t, shape);
    t.file.size = put_all_tensors(&t, shape, type);
    return tables_finish(&t, &model->file);
}

/* ---- the model ------------------------------------------------------------------------------ */

static unsigned long long mebibytes(uint64_t bytes) {
    return (bytes + (1 << 20) - 1) >> 20;
}

/* The tables are made, and the pages are not yet. */
static sl_status check_budget(const sl_model *model, const model_shape *shape,
                              const synthetic_type *type, sl_error *error) {
    const uint64_t need = model_memory(model) + model->reserved + model->file.size;
    if (need <= model->memory_budget) {
        return SL_OK;
    }
    char reserved[64], advice[100] = "no type makes it small enough";
    const uint64_t rest = need - model->file.size;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        const uint64_t other = rest + synthetic_bytes(shape, &types[i]);
        if (other <= model->memory_budget) {
            snprintf(advice, sizeof advice, "in the smaller type %s it needs %llu MiB",
                     types[i].name, mebibytes(other));
            break;
        }
    }
    return error_set(
        error, SL_ERR_MEMORY,
        "the shape %s in %s needs %llu MiB of memory%s, but the budget is %llu MiB; %s",
        shape->name, type->name, mebibytes(need), model_reserved_text(model, reserved),
        (unsigned long long)model->memory_budget >> 20, advice);
}

/* Says which matrices have another type than was asked for. */
static void tell_replaced(const sl_model *model, const model_shape *shape,
                          const synthetic_type *type, const sl_model_options *options) {
    size_t replaced = 0;
    char line[200];
    for (size_t i = 0; i < model->file.tensor_count; i++) {
        const tensor_entry *t = &model->file.tensors[i];
        shape_tensor tensor;
        shape_tensor_at(shape, i, &tensor);
        const quant_type wanted = wanted_type(shape, type, &tensor);
        if (t->type != wanted) {
            replaced++;
            snprintf(line, sizeof line,
                     "%zu matrices are %s and the like: their rows, of %zu values say, do not "
                     "divide into blocks of %s",
                     replaced, quant_format_of(t->type)->name, tensor.n_in,
                     quant_format_of(wanted)->name);
        }
    }
    if (replaced > 0 && options->notice) {
        options->notice(options->user, line);
    }
}

static sl_status make_weights(sl_model *model, const model_shape *shape, uint64_t seed,
                              const sl_model_options *options, sl_error *error) {
    model_file *file = &model->file;
    model->pages = os_pages_allocate(file->size);
    if (!model->pages) {
        return error_memory(error, "weights", file->size);
    }
    model->page_bytes = file->size;
    file->bytes = model->pages;
    for (size_t i = 0; i < file->tensor_count; i++) {
        file->tensors[i].data = file->bytes + file->tensors[i].offset;
    }
    const sl_status status = synthetic_fill_all(file, shape, seed, os_core_count(),
                                                options->progress, options->user, error);
    if (status != SL_OK) {
        return status;
    }
    return residency_create(&model->computation, file, NULL, &model->weights, error);
}

static sl_status make_model(sl_model *model, const model_shape *shape, const synthetic_type *type,
                            uint64_t seed, const sl_model_options *options, sl_error *error) {
    sl_status status = synthetic_tables(model, shape, type, error);
    if (status != SL_OK) {
        return status;
    }
    /* What cannot run is refused before anything large is made. */
    sl_error inner = {0};
    status = model_build(&model->file, &model->computation, &inner);
    if (status != SL_OK) {
        return error_set(error, status, "the shape %s: %s", shape->name, inner.message);
    }
    status = check_budget(model, shape, type, error);
    if (status == SL_OK) {
        status = make_weights(model, shape, seed, options, error);
    }
    if (status == SL_OK) {
        model_notify(model, options);
        tell_replaced(model, shape, type, options);
        model_rearrange(model, options);
        /* The pages that are dropped on the way cannot be read again: nobody may use them yet. */
        residency_wait(model->weights);
    }
    return status;
}

sl_status synthetic_create(const model_shape *shape, const synthetic_type *type, uint64_t seed,
                           const sl_model_options *options, sl_model **model, sl_error *error) {
    sl_model_options defaults;
    sl_model_options_init(&defaults);
    options = options ? options : &defaults;
    sl_model *m = model_new(options);
    if (!m) {
        return error_memory(error, "a model", sizeof *m);
    }
    const uint64_t start = os_now();
    const uint64_t mode = kernel_set_float_mode(); /* for the tables of angles */
    const sl_status status = make_model(m, shape, type, seed, options, error);
    kernel_restore_float_mode(mode);
    if (status != SL_OK) {
        sl_model_free(m);
        return status;
    }
    atomic_store(&m->load_seconds, (double)(os_now() - start) * 1e-9);
    *model = m;
    return SL_OK;
}

/* ---- the public functions ------------------------------------------------------------------- */

const char *sl_shape_at(size_t index) {
    const model_shape *shape = shape_at(index);
    return shape ? shape->name : NULL;
}

const char *sl_synthetic_type_at(size_t index) {
    const synthetic_type *type = synthetic_type_at(index);
    return type ? type->name : NULL;
}

/* "a, b, c" */
static void list_types(char *text, size_t size) {
    size_t length = 0;
    text[0] = 0;
    for (size_t i = 0; sl_synthetic_type_at(i) && length < size; i++) {
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "",
                                   sl_synthetic_type_at(i));
    }
}

/* Of a shape's name what its family shares: all up to the last '-'. */
static size_t family_bytes(const char *name) {
    const char *const dash = strrchr(name, '-');
    return dash ? (size_t)(dash + 1 - name) : 0;
}

/* NULL is of no family. */
static bool is_same_family(const char *a, const char *b) {
    const size_t bytes = a && b ? family_bytes(a) : 0;
    return bytes > 0 && family_bytes(b) == bytes && memcmp(a, b, bytes) == 0;
}

/* "gpt2-{117m,345m}, gpt-j-6b": all of them, each by itself, would not fit a message. */
static void list_shapes(char *text, size_t size) {
    size_t length = 0;
    const char *before = NULL;
    text[0] = 0;
    for (size_t i = 0; sl_shape_at(i) && length < size; i++) {
        const char *const name = sl_shape_at(i);
        const char *const rest = name + family_bytes(name);
        const bool goes_on = is_same_family(name, sl_shape_at(i + 1));
        if (is_same_family(name, before)) {
            length +=
                (size_t)snprintf(text + length, size - length, ",%s%s", rest, goes_on ? "" : "}");
        } else {
            length += (size_t)snprintf(text + length, size - length, "%s%.*s%s%s", i ? ", " : "",
                                       (int)(rest - name), name, goes_on ? "{" : "", rest);
        }
        before = name;
    }
}

sl_status synthetic_find(const char *shape, const char *type, const model_shape **found_shape,
                         const synthetic_type **found_type, sl_error *error) {
    char known[400];
    *found_shape = shape_find(shape);
    if (!*found_shape) {
        list_shapes(known, sizeof known);
        return error_set(error, SL_ERR_ARGUMENT, "no shape is named '%.40s'; known: %s", shape,
                         known);
    }
    *found_type = synthetic_type_find(type);
    if (!*found_type) {
        list_types(known, sizeof known);
        return error_set(error, SL_ERR_ARGUMENT, "no type is named '%.40s'; known: %s", type,
                         known);
    }
    return SL_OK;
}

sl_status sl_model_synthesize(const char *shape, const char *type, uint64_t seed,
                              const sl_model_options *options, sl_model **model, sl_error *error) {
    const model_shape *found_shape;
    const synthetic_type *found_type;
    const sl_status status = synthetic_find(shape, type, &found_shape, &found_type, error);
    return status == SL_OK ? synthetic_create(found_shape, found_type, seed, options, model, error)
                           : status;
}
