/* model.c - sl_model: opening, checking, describing; tokens and text. */
#include "engine/model.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "engine/make_rows.h"
#include "engine/tokenizer_files.h"
#include "kernels/kernels.h"
#include "models/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a process holds before and beside the model: the program and its libraries' pages, stacks,
 * heap of small things. Measured as 5 to 6 MiB of VmHWM with a model of some kilobytes; rounded up.
 */
static const uint64_t process_bytes = 8 << 20;

const char *sl_version(void) {
    return SLUICE_VERSION;
}

void sl_free(void *pointer) {
    free(pointer);
}

void sl_guard_mappings(void) {
    os_guard_install();
}

void sl_model_options_init(sl_model_options *options) {
    *options = (sl_model_options){0};
}

/* All but what holds the weights. */
static uint64_t table_memory(const sl_model *model) {
    return process_bytes + model_file_bytes(&model->file) + program_bytes(&model->computation) +
           (model->words ? tokenizer_bytes(model->words) + tokenizer_work_bytes(model->words) : 0);
}

static uint64_t tables_in_file(const sl_model *model) {
    return size_min((size_t)model->file.data_offset, model->mapping.size);
}

/* Of the files' pages all may come to be resident, unless the weights are placed: then only those
 * of the tables before them. Those that weights in memory of their own came from are given back. */
static uint64_t mapping_memory(const sl_model *model) {
    return model->weights && residency_is_placed(model->weights)
               ? tables_in_file(model)
               : model->mapping.size - size_min(model->mapping.size, model->page_bytes);
}

uint64_t model_memory(const sl_model *model) {
    return table_memory(model) + mapping_memory(model) + model->page_bytes +
           (model->weights ? residency_bytes(model->weights) : 0);
}

const char *model_reserved_text(const sl_model *model, char text[64]) {
    text[0] = 0;
    if (model->reserved >> 20) {
        snprintf(text, 64, " (%llu of them reserved by the caller)",
                 (unsigned long long)model->reserved >> 20);
    }
    return text;
}

/* What a model with placed weights takes beside kept slices and the ring. */
static uint64_t memory_beside_weights(const sl_model *model) {
    return table_memory(model) + tables_in_file(model) + residency_table_bytes(model->weights) +
           placement_list_bytes(model->mapping.size);
}

uint64_t model_least_memory(const sl_model *model) {
    if (!model->mapping.bytes || !model->weights || model->page_bytes > 0) {
        return UINT64_MAX; /* not all weights are rows of a file */
    }
    const uint64_t ring = placement_least_room(&model->computation);
    return ring > 0 ? memory_beside_weights(model) + ring : UINT64_MAX;
}

/* A vocabulary's tables are made of others, which are freed before any weight is in memory: with
 * 32000 and with 400000 tokens all of them took up to 2.7 times what stays. */
uint64_t model_opening_memory(const sl_model *model) {
    enum { MAKING_FACTOR = 3 };
    return process_bytes + model_file_bytes(&model->file) + tables_in_file(model) +
           (model->words ? MAKING_FACTOR * (uint64_t)tokenizer_bytes(model->words) : 0);
}

static sl_status check_budget(const sl_model *model, sl_error *error) {
    const uint64_t all = model_memory(model), least = model_least_memory(model);
    const uint64_t opening = model_opening_memory(model);
    const uint64_t running = least < all ? least : all;
    const uint64_t need = (running > opening ? running : opening) + model->reserved;
    if (need <= model->memory_budget) {
        return SL_OK;
    }
    char reserved[64];
    return error_set(error, SL_ERR_MEMORY,
                     "the model needs %llu MiB of memory at least%s, but the budget is %llu MiB%s",
                     (unsigned long long)(need + (1 << 20) - 1) >> 20,
                     model_reserved_text(model, reserved),
                     (unsigned long long)model->memory_budget >> 20,
                     model->mapping.bytes && model->page_bytes > 0
                         ? "; its weights do not lie in rows and cannot be read as they are used"
                         : "");
}

static bool fits(const sl_model *model) {
    return model_memory(model) + model->reserved <= model->memory_budget;
}

bool model_is_whole(const sl_model *model) {
    return residency_is_placed(model->weights) ? residency_streamed_bytes(model->weights) == 0
                                               : fits(model);
}

sl_status model_place(sl_model *model, uint64_t session, const sl_session_options *options,
                      sl_error *error) {
    const uint64_t taken = memory_beside_weights(model) + model->reserved + session;
    const placed_options wanted = {
        .room = taken < model->memory_budget ? model->memory_budget - taken : 0,
        .file_order = model->file_order,
        .progress = options->progress,
        .notice = options->notice,
        .told = options->placement_told,
        .user = options->user,
    };
    const uint64_t start = os_now();
    const sl_status status = residency_place(model->weights, &wanted, error);
    const double seconds = (double)(os_now() - start) * 1e-9;
    atomic_store(&model->load_seconds, atomic_load(&model->load_seconds) + seconds);
    return status;
}

static size_t vocabulary_size(const sl_model *model) {
    return model->words ? tokenizer_count(model->words) : 0;
}

/* A program and its weights, and their size against the vocabulary's. */
static sl_status build(sl_model *model, sl_error *error) {
    sl_status status = model_build(&model->file, &model->computation, error);
    if (status != SL_OK) {
        return status;
    }
    if (vocabulary_size(model) > model->computation.n_vocab) {
        return error_set(error, SL_ERR_FORMAT,
                         "the vocabulary has %zu tokens, but tensor 'token_embd.weight' only %zu "
                         "rows",
                         vocabulary_size(model), model->computation.n_vocab);
    }
    return residency_create(&model->computation, &model->file, &model->mapping, &model->weights,
                            error);
}

static char *copy_string(const model_file *file, const char *key) {
    str value = {"", 0};
    if (meta_get_string(file, key, false, &value, NULL) != SL_OK) {
        value.len = 0;
    }
    char *copy = malloc(value.len + 1);
    if (copy) {
        memcpy(copy, value.ptr, value.len);
        copy[value.len] = 0;
    }
    return copy;
}

/* What the translation of another format has to say. In a GGUF such keys mean nothing. */
static void notify_of_file(const sl_model *model, const sl_model_options *options) {
    static const char *const keys[] = {"sluice.notice", "sluice.notice.words"};
    for (size_t i = 0; model->file.words && i < COUNT_OF(keys); i++) {
        str said = {NULL, 0};
        if (meta_get_string(&model->file, keys[i], false, &said, NULL) == SL_OK && said.len > 0) {
            char line[400];
            snprintf(line, sizeof line, "%.*s", (int)size_min(said.len, sizeof line - 1), said.ptr);
            options->notice(options->user, line);
        }
    }
}

void model_notify(const sl_model *model, const sl_model_options *options) {
    if (!options->notice) {
        return;
    }
    if (cpu_mask_error()) {
        char line[200];
        snprintf(line, sizeof line, "SLUICE_CPU is '%s', which is not understood and hides nothing",
                 cpu_mask_error());
        options->notice(options->user, line);
    }
    notify_of_file(model, options);
    const size_t used = model->computation.weights.count + model->computation.n_table;
    if (model->weights && used < model->file.tensor_count) {
        char line[120];
        snprintf(line, sizeof line, "the model uses %zu of the file's %zu tensors", used,
                 model->file.tensor_count);
        options->notice(options->user, line);
    }
}

void model_rearrange(sl_model *model, const sl_model_options *options) {
    if (options->no_rearrange || options->no_populate) {
        return;
    }
    sl_error error = {0};
    const uint64_t need =
        model_memory(model) + model->reserved + residency_packing_bytes(model->weights);
    if (need > model->memory_budget) {
        error_set(&error, SL_ERR_MEMORY, "to rearrange them %llu MiB more are needed",
                  (unsigned long long)(need - model->memory_budget + (1 << 20) - 1) >> 20);
    } else if (residency_pack(model->weights, &error) == SL_OK) {
        return;
    }
    if (residency_packable_bytes(model->weights) > 0 && options->notice) {
        char line[sizeof error.message + 80];
        snprintf(line, sizeof line, "weights stay in the file's order, which is slower: %s",
                 error.message);
        options->notice(options->user, line);
    }
}

static sl_status put_into_rows(sl_model *model, const sl_model_options *options, sl_error *error) {
    if (model->page_bytes == 0) {
        return SL_OK;
    }
    model->pages = os_pages_allocate(model->page_bytes);
    return model->pages
               ? make_rows(&model->file, model->pages, options->progress, options->user, error)
               : error_memory(error, "weights", model->page_bytes);
}

static sl_status load(sl_model *model, const char *path, const sl_model_options *options,
                      sl_error *error) {
    sl_status status = model_open(path, &model->mapping, &model->file, error);
    if (status != SL_OK) {
        return status;
    }
    sl_error inner = {0};
    model->architecture = copy_string(&model->file, "general.architecture");
    model->name = copy_string(&model->file, "general.name");
    if (!model->architecture || !model->name) {
        return error_memory(error, "a name", 0);
    }
    model->page_bytes = make_rows_bytes(&model->file);
    status = model_tokenizer(options->tokenizer, path, &model->file, &model->words, error);
    if (status != SL_OK) {
        return status;
    }
    if (!options->vocabulary_only) {
        status = build(model, &inner);
    }
    if (status != SL_OK) {
        return error_set(error, status, "%s: %s", path, inner.message);
    }
    if (options->vocabulary_only) {
        return SL_OK;
    }
    model->file_order = options->no_rearrange;
    status = check_budget(model, error);
    if (status == SL_OK && !fits(model)) {
        model_notify(model, options);
        return SL_OK; /* the first session says how much room is left for weights */
    }
    /* Below this share the pages come in fast enough while computing. */
    if (status == SL_OK && !options->no_populate &&
        os_mapping_cold_bytes(&model->mapping) > model->mapping.size / 64) {
        status = os_mapping_populate(&model->mapping, 2 * os_core_count(), options->progress,
                                     options->user, error);
    }
    if (status == SL_OK) {
        status = put_into_rows(model, options, error);
    }
    if (status == SL_OK) {
        model_notify(model, options);
        model_rearrange(model, options);
        if (model->page_bytes > 0) {
            residency_wait(model->weights); /* pages that it drops on the way are no file's */
        }
    }
    return status;
}

/* What is available, and of what this process holds already the part that the checks count. The
 * rest of that is no room: it is another model's, or the caller's and not reserved. */
static uint64_t default_budget(uint64_t reserved) {
    const uint64_t held = os_memory_resident(), counted = process_bytes + reserved;
    return os_memory_available() + (held < counted ? held : counted);
}

sl_model *model_new(const sl_model_options *options) {
    sl_model *m = calloc(1, sizeof *m);
    if (m) {
        m->computation = program_new();
        m->reserved = options->reserved < UINT64_MAX / 4 ? options->reserved : UINT64_MAX / 4;
        m->memory_budget =
            options->memory_budget ? options->memory_budget : default_budget(m->reserved);
    }
    return m;
}

sl_status sl_model_load(const char *path, const sl_model_options *options, sl_model **model,
                        sl_error *error) {
    sl_model_options defaults;
    sl_model_options_init(&defaults);
    options = options ? options : &defaults;
    const uint64_t start = os_now();
    sl_model *m = model_new(options);
    if (!m) {
        return error_memory(error, "a model", sizeof *m);
    }
    const uint64_t mode = kernel_set_float_mode(); /* for the tables of angles */
    sl_status status = load(m, path, options, error);
    kernel_restore_float_mode(mode);
    if (status == SL_OK && os_guard_faulted(m->mapping.bytes)) {
        status = error_set(error, SL_ERR_FILE, "%s: was cut short while it was read", path);
    }
    if (status != SL_OK) {
        sl_model_free(m);
        return status;
    }
    atomic_store(&m->load_seconds, (double)(os_now() - start) * 1e-9);
    *model = m;
    return SL_OK;
}

void sl_model_free(sl_model *model) {
    if (!model) {
        return;
    }
    residency_free(model->weights);
    program_free(&model->computation);
    tokenizer_free(model->words);
    model_close(&model->mapping, &model->file);
    os_pages_free(model->pages, model->page_bytes);
    free(model->architecture);
    free(model->name);
    free(model);
}

/* ---- description ---------------------------------------------------------------------------- */

const char *model_main_type(const model_file *file) {
    uint64_t bytes[QUANT_TYPE_LIMIT] = {0};
    size_t most = QUANT_F32;
    for (size_t i = 0; i < file->tensor_count; i++) {
        bytes[file->tensors[i].type] += file->tensors[i].bytes;
    }
    for (size_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        most = bytes[type] > bytes[most] ? type : most;
    }
    return quant_format_of((uint32_t)most)->name;
}

/* Weights of the matrices that a token of a prompt is multiplied with, and those of the output
 * matrix, which only tokens with logits meet. */
static void count_weights(const program *p, uint64_t *layers, uint64_t *output) {
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        for (size_t k = 0; o->kind == OP_LINEAR && k < o->as.linear.n_weight; k++) {
            const weight_ref *ref = program_weight(p, o->as.linear.weight[k]);
            *(o->out == p->logits ? output : layers) += (uint64_t)ref->n_out * ref->n_in;
        }
    }
}

void sl_model_wait(const sl_model *model) {
    if (model->weights) {
        residency_wait(model->weights);
    }
}

void sl_model_get_info(const sl_model *model, sl_model_info *info) {
    *info = (sl_model_info){
        .architecture = model->architecture,
        .name = model->name,
        .type = model_main_type(&model->file),
        .bytes_per_token = program_pass_bytes(&model->computation),
        .streamed_bytes = model->weights ? residency_streamed_bytes(model->weights) : 0,
        .rearranged_bytes = model->weights ? residency_packed_bytes(model->weights) : 0,
        .n_ctx_train = model->computation.n_ctx_train,
        .n_vocab = model->weights ? model->computation.n_vocab : vocabulary_size(model),
        .n_layer = model->computation.n_layer,
        .n_embd = model->computation.n_embd,
        .load_seconds = atomic_load(&model->load_seconds),
    };
    count_weights(&model->computation, &info->layer_weights, &info->output_weights);
    for (size_t i = 0; i < model->file.tensor_count; i++) {
        const tensor_entry *t = &model->file.tensors[i];
        info->weight_bytes += t->bytes;
        info->parameter_count += t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
    }
}

void sl_model_print_program(const sl_model *model, void (*emit)(void *user, const char *line),
                            void *user) {
    char line[400];
    for (size_t i = 0; i < model->computation.ops.count; i++) {
        program_print_op(&model->computation, i, line, sizeof line);
        emit(user, line);
    }
}

/* ---- tokens --------------------------------------------------------------------------------- */

/* What the budget leaves now. A vocabulary alone has none. */
static uint64_t room_left(const sl_model *model) {
    if (!model->weights) {
        return UINT64_MAX;
    }
    const uint64_t weights = fits(model) || residency_is_placed(model->weights)
                                 ? model_memory(model)
                                 : model_least_memory(model); /* they are not loaded yet */
    const uint64_t taken = weights + model->reserved + atomic_load(&model->session_bytes);
    return taken < model->memory_budget ? model->memory_budget - taken : 0;
}

static sl_status no_tokenizer(const sl_model *model, sl_error *error) {
    return error_set(error, SL_ERR_ARGUMENT,
                     model->mapping.bytes
                         ? "the model's file holds no tokenizer, which texts need: put its "
                           "tokenizer.bin beside it, or name a file (--tokenizer)"
                         : "the model is synthetic and has no tokenizer");
}

sl_status sl_tokenize(const sl_model *model, const char *text, size_t length, unsigned flags,
                      int32_t **tokens, size_t *count, sl_error *error) {
    if (!model->words) {
        return no_tokenizer(model, error);
    }
    if (length > LIMIT_TEXT_BYTES) {
        return error_set(error, SL_ERR_ARGUMENT, "a text of %zu bytes, expected at most %u", length,
                         LIMIT_TEXT_BYTES);
    }
    array out = array_new(sizeof(int32_t), (size_t)LIMIT_TEXT_BYTES + 16);
    sl_error inner = {0};
    const uint64_t room = room_left(model);
    sl_status status = array_reserve(&out, 1, &inner);
    if (status == SL_OK) {
        status =
            tokenizer_encode_within(model->words, (str){text, length}, flags, room, &out, &inner);
    }
    if (status == SL_ERR_MEMORY && room < UINT64_MAX) {
        error_set(error, status, "%s; the memory budget of %llu MiB leaves %llu for it",
                  inner.message, (unsigned long long)model->memory_budget >> 20,
                  (unsigned long long)room >> 20);
    } else if (status != SL_OK) {
        error_set(error, status, "%s", inner.message);
    }
    if (status != SL_OK) {
        array_free(&out);
        return status;
    }
    *tokens = out.items;
    *count = out.count;
    return SL_OK;
}

int32_t sl_token_bos(const sl_model *model) {
    return model->words ? tokenizer_bos(model->words) : -1;
}

int32_t sl_token_eos(const sl_model *model) {
    return model->words ? tokenizer_eos(model->words) : -1;
}

bool sl_token_is_end(const sl_model *model, int32_t token) {
    return model->words && tokenizer_is_end(model->words, token);
}

size_t sl_token_piece(const sl_model *model, int32_t token, bool special, const char **bytes) {
    const str piece = model->words ? tokenizer_piece(model->words, token, special) : (str){"", 0};
    *bytes = piece.ptr;
    return piece.len;
}

struct sl_decoder {
    tokenizer_decoder *inner;
};

sl_status sl_decoder_create(const sl_model *model, bool special, sl_decoder **decoder,
                            sl_error *error) {
    if (!model->words) {
        return no_tokenizer(model, error);
    }
    sl_decoder *d = calloc(1, sizeof *d);
    if (!d) {
        return error_memory(error, "a decoder", sizeof *d);
    }
    const sl_status status = tokenizer_decoder_create(model->words, special, &d->inner, error);
    if (status != SL_OK) {
        free(d);
        return status;
    }
    *decoder = d;
    return SL_OK;
}

void sl_decoder_free(sl_decoder *decoder) {
    if (decoder) {
        tokenizer_decoder_free(decoder->inner);
        free(decoder);
    }
}

size_t sl_decoder_add(sl_decoder *decoder, int32_t token, const char **text) {
    const str piece = tokenizer_decoder_add(decoder->inner, token);
    *text = piece.ptr;
    return piece.len;
}

size_t sl_decoder_finish(sl_decoder *decoder, const char **text) {
    const str piece = tokenizer_decoder_finish(decoder->inner);
    *text = piece.ptr;
    return piece.len;
}
