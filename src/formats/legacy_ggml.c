/* legacy_ggml.c - the layout, all integers little-endian, one after the other without padding:
 *
 *   u32 magic  [u32 version]  hyper-parameters, 4 bytes each  [u32 tokens, again]
 *   tokens times:  u32 length, bytes  [f32 score]
 *   until the end of the file:
 *       u32 n_dims  u32 length  u32 type  n_dims * u32 (values of a row first)  name
 *       [padding to a multiple of 32 bytes of the file: GGJT]  data
 *
 * Which hyper-parameters, and what is there of the parts in brackets, depends on the container and
 * on the architecture, which is written nowhere: see `layouts`. */
#include "formats/legacy_ggml.h"

#include "base/array.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum field {
    END_OF_FIELDS,
    N_VOCAB,
    N_CTX,
    N_EMBD,
    N_HEAD,
    N_LAYER,
    N_ROT,
    PARALLEL,
    FILE_TYPE,
    OTHER, /* of no use here */
    FIELD_LIMIT,
} field;

static const struct {
    const char *name;
    uint32_t low, high;
} fields[FIELD_LIMIT] = {
    [N_VOCAB] = {"n_vocab", 1, LIMIT_VOCABULARY},   [N_CTX] = {"n_ctx", 1, LIMIT_CONTEXT},
    [N_EMBD] = {"n_embd", 1, LIMIT_EMBEDDING},      [N_HEAD] = {"n_head", 1, LIMIT_HEADS},
    [N_LAYER] = {"n_layer", 1, LIMIT_LAYERS},       [N_ROT] = {"n_rot", 1, LIMIT_HEAD_SIZE},
    [PARALLEL] = {"the parallel residual", 0, 1},   [FILE_TYPE] = {"the file's type", 0, 2999},
    [OTHER] = {"a hyper-parameter", 0, UINT32_MAX},
};

enum { MAX_FIELDS = 8, MAX_PREFIXES = 4, ALIGNMENT = 32 };

#define MAGIC_GGML 0x67676d6cu /* "lmgg" on disk */
#define MAGIC_GGMF 0x67676d66u
#define MAGIC_GGJT 0x67676a74u

typedef struct layout {
    const char *name;
    legacy_kind kind;
    bool refused; /* known, so that it is not taken for another; not supported */
    bool counted; /* n_vocab is there again in front of the vocabulary */
    bool scored;
    bool versioned;
    uint32_t magic;
    field fields[MAX_FIELDS + 1];
    const char *prefixes[MAX_PREFIXES + 1]; /* of tensors' names */
} layout;

#define LLAMA_FIELDS                                                                               \
    { N_VOCAB, N_EMBD, OTHER, N_HEAD, N_LAYER, N_ROT, FILE_TYPE }
#define LLAMA_PREFIXES                                                                             \
    { "tok_embeddings.", "layers.", "norm.", "output." }

/* In the order in which they are tried: those that can be told by a number first. */
static const layout layouts[] = {
    {.name = "GPT-2",
     .kind = LEGACY_GPT2,
     .magic = MAGIC_GGML,
     .counted = true,
     .fields = {N_VOCAB, N_CTX, N_EMBD, N_HEAD, N_LAYER, FILE_TYPE},
     .prefixes = {"model/"}},
    {.name = "GPT-J",
     .kind = LEGACY_GPTJ,
     .magic = MAGIC_GGML,
     .counted = true,
     .fields = {N_VOCAB, N_CTX, N_EMBD, N_HEAD, N_LAYER, N_ROT, FILE_TYPE},
     .prefixes = {"transformer.wte.", "transformer.h.", "transformer.ln_f.", "lm_head."}},
    {.name = "GPT-NeoX",
     .kind = LEGACY_GPTNEOX,
     .magic = MAGIC_GGML,
     .fields = {N_VOCAB, N_CTX, N_EMBD, N_HEAD, N_LAYER, N_ROT, PARALLEL, FILE_TYPE},
     .prefixes = {"gpt_neox.", "embed_out."}},
    {.name = "LLaMA",
     .kind = LEGACY_LLAMA,
     .magic = MAGIC_GGML,
     .fields = LLAMA_FIELDS,
     .prefixes = LLAMA_PREFIXES},
    {.name = "MPT",
     .refused = true,
     .magic = MAGIC_GGML,
     .fields = {N_EMBD, N_CTX, N_HEAD, N_LAYER, N_VOCAB, OTHER, OTHER, FILE_TYPE},
     .prefixes = {"transformer."}},
    {.name = "Replit",
     .refused = true,
     .magic = MAGIC_GGML,
     .scored = true,
     .fields = {N_EMBD, N_CTX, N_HEAD, N_LAYER, N_VOCAB, FILE_TYPE},
     .prefixes = {"transformer."}},
    {.name = "LLaMA",
     .kind = LEGACY_LLAMA,
     .magic = MAGIC_GGMF,
     .versioned = true,
     .scored = true,
     .fields = LLAMA_FIELDS,
     .prefixes = LLAMA_PREFIXES},
    {.name = "LLaMA",
     .kind = LEGACY_LLAMA,
     .magic = MAGIC_GGJT,
     .versioned = true,
     .scored = true,
     .fields = LLAMA_FIELDS,
     .prefixes = LLAMA_PREFIXES},
};

/* Relatives that hold no model. */
static const struct {
    uint32_t magic;
    const char *what;
} relatives[] = {
    {0x67676c61u, "a LoRA adapter (GGLA)"},
    {0x6767736eu, "a saved session (GGSN)"},
    {0x67677371u, "a saved sequence (GGSQ)"},
};

/* Names of the header's numbers, which are labels: a tensor's own type is what counts. */
static const char *const gpt_types[] = {
    "f32",   "f16",    "Q4_0",  "Q4_1",  "Q4_1",   "Q4_2",  "Q4_3",    "Q8_0",   "Q5_0",
    "Q5_1",  "Q2_K",   "Q3_K",  "Q4_K",  "Q5_K",   "Q6_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS",
    "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "IQ1_M", "bf16",
};
static const char *const llama_types[] = {
    "f32",  "f16",  "Q4_0", "Q4_1", "Q4_1", "Q4_2", "Q4_3", "Q8_0", "Q5_0", "Q5_1",
    "Q2_K", "Q3_K", "Q3_K", "Q3_K", "Q4_K", "Q4_K", "Q5_K", "Q5_K", "Q6_K",
};

typedef struct reader {
    const uint8_t *bytes;
    size_t size;
    size_t at; /* <= size */
    const layout *as;
    uint32_t version;             /* of the container; 0: none */
    uint32_t values[FIELD_LIMIT]; /* by field */
    size_t places[FIELD_LIMIT];   /* bytes at which they stand */
    sl_error *error;
} reader;

static sl_status fail(const reader *r, size_t at, sl_status status, const char *format, ...)
    SL_PRINTF(4, 5);

static sl_status fail(const reader *r, size_t at, sl_status status, const char *format, ...) {
    char message[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return error_set(r->error, status, "byte %zu: %s (read as %s in ggml's old format)", at,
                     message, r->as->name);
}

static bool read_u32(reader *r, uint32_t *out) {
    if (r->size - r->at < sizeof *out) {
        return false;
    }
    memcpy(out, r->bytes + r->at, sizeof *out);
    r->at += sizeof *out;
    return true;
}

static sl_status cut_short(const reader *r, const char *what) {
    return fail(r, r->at, SL_ERR_FORMAT,
                "truncated: expected %s, found the end of the file after %zu bytes", what,
                r->size - r->at);
}

static reader reader_of(const uint8_t *bytes, size_t size, const layout *as, sl_error *error) {
    return (reader){.bytes = bytes, .size = size, .as = as, .error = error};
}

/* ---- header --------------------------------------------------------------------------------- */

static sl_status check_version(reader *r) {
    const uint32_t newest = r->as->magic == MAGIC_GGJT ? 3 : 1;
    const size_t start = r->at;
    if (!read_u32(r, &r->version)) {
        return cut_short(r, "a version");
    }
    if (r->version < 1 || r->version > newest) {
        return fail(r, start, SL_ERR_UNSUPPORTED, "expected version 1 to %u, found %u", newest,
                    r->version);
    }
    return SL_OK;
}

static sl_status read_fields(reader *r) {
    for (size_t i = 0; r->as->fields[i] != END_OF_FIELDS; i++) {
        const field f = r->as->fields[i];
        r->places[f] = r->at;
        if (!read_u32(r, &r->values[f])) {
            return cut_short(r, fields[f].name);
        }
    }
    return SL_OK;
}

static sl_status check_field(const reader *r, field f) {
    const uint32_t value = r->values[f];
    return value >= fields[f].low && value <= fields[f].high
               ? SL_OK
               : fail(r, r->places[f], SL_ERR_FORMAT, "expected %s between %u and %u, found %u",
                      fields[f].name, fields[f].low, fields[f].high, value);
}

static const char *type_name(const reader *r) {
    const uint32_t type = r->values[FILE_TYPE];
    if (r->as->kind == LEGACY_LLAMA) {
        return type < COUNT_OF(llama_types) ? llama_types[type] : NULL;
    }
    return type % 1000 < COUNT_OF(gpt_types) ? gpt_types[type % 1000] : NULL;
}

/* All that is not needed for a vocabulary alone. */
static sl_status check_sizes(const reader *r) {
    for (size_t i = 0; r->as->fields[i] != END_OF_FIELDS; i++) {
        const sl_status status = check_field(r, r->as->fields[i]);
        if (status != SL_OK) {
            return status;
        }
    }
    if (r->values[N_EMBD] % r->values[N_HEAD] != 0) {
        return fail(r, r->places[N_EMBD], SL_ERR_FORMAT,
                    "expected n_embd to be a multiple of n_head, found %u and %u",
                    r->values[N_EMBD], r->values[N_HEAD]);
    }
    return SL_OK;
}

static sl_status read_header(reader *r) {
    uint32_t magic;
    if (!read_u32(r, &magic) || magic != r->as->magic) {
        return fail(r, 0, SL_ERR_FORMAT, "expected other bytes at the beginning");
    }
    sl_status status = r->as->versioned ? check_version(r) : SL_OK;
    status = status == SL_OK ? read_fields(r) : status;
    status = status == SL_OK ? check_field(r, N_VOCAB) : status;
    if (status == SL_OK && !type_name(r)) {
        status = fail(r, r->places[FILE_TYPE], SL_ERR_UNSUPPORTED,
                      "expected a file type that is known, found %u", r->values[FILE_TYPE]);
    }
    if (status != SL_OK || !r->as->counted) {
        return status;
    }
    const size_t start = r->at;
    uint32_t again;
    if (!read_u32(r, &again)) {
        return cut_short(r, "the number of tokens");
    }
    return again == r->values[N_VOCAB]
               ? SL_OK
               : fail(r, start, SL_ERR_FORMAT, "expected the number of tokens again, %u, found %u",
                      r->values[N_VOCAB], again);
}

/* ---- vocabulary ----------------------------------------------------------------------------- */

/* tokens and scores may be NULL: then it is only walked through. */
static sl_status read_vocabulary(reader *r, str *tokens, float *scores) {
    for (uint32_t i = 0; i < r->values[N_VOCAB]; i++) {
        const size_t start = r->at;
        uint32_t length;
        if (!read_u32(r, &length)) {
            return cut_short(r, "a token's length");
        }
        if (length > LIMIT_TOKEN_BYTES) {
            return fail(r, start, SL_ERR_FORMAT,
                        "expected at most %u bytes for token %u, found a length of %u",
                        LIMIT_TOKEN_BYTES, i, length);
        }
        const size_t more = length + (r->as->scored ? sizeof(float) : 0);
        if (more > r->size - r->at) {
            return cut_short(r, "a token");
        }
        if (tokens) {
            tokens[i] = (str){(const char *)r->bytes + r->at, length};
        }
        if (scores) {
            memcpy(&scores[i], r->bytes + r->at + length, sizeof *scores);
        }
        r->at += more;
    }
    return SL_OK;
}

/* The file must have room for as many tokens before memory is taken for them. */
static sl_status make_vocabulary(reader *r, legacy_file *file) {
    const size_t least = r->as->scored ? 8 : 4, count = r->values[N_VOCAB];
    if (count > (r->size - r->at) / least) {
        return fail(r, r->places[N_VOCAB], SL_ERR_FORMAT,
                    "truncated: expected a vocabulary of %zu tokens, found %zu bytes for it", count,
                    r->size - r->at);
    }
    file->tokens = calloc(count, sizeof *file->tokens);
    file->scores = r->as->scored ? calloc(count, sizeof *file->scores) : NULL;
    if (!file->tokens || (r->as->scored && !file->scores)) {
        return error_memory(r->error, "the vocabulary",
                            count * (sizeof *file->tokens + sizeof *file->scores));
    }
    return read_vocabulary(r, file->tokens, file->scores);
}

/* ---- tensors -------------------------------------------------------------------------------- */

/* How blocks lie changed twice: on 12 May 2023 the order of nibbles (version 1), on 19 May the
 * scales of Q4_0, Q4_1 and Q8_0 (version 2). */
static uint32_t quantization_version(const reader *r) {
    if (r->as->kind != LEGACY_LLAMA) {
        return r->values[FILE_TYPE] / 1000;
    }
    return r->as->magic == MAGIC_GGJT ? r->version - 1 : 0;
}

static sl_status check_age(const reader *r, size_t at, str name, quant_type type) {
    const uint32_t version = quantization_version(r);
    const bool changed = type == QUANT_Q4_0 || type == QUANT_Q4_1 || type == QUANT_Q8_0;
    const bool plain = quant_format_of(type)->block_length == 1;
    if (plain || version == 2 || (version == 1 && !changed)) {
        return SL_OK;
    }
    return fail(r, at, SL_ERR_UNSUPPORTED,
                "tensor \"%.*s\" is %s of quantization version %u: it was quantized before 20 May "
                "2023, and blocks lie otherwise since; quantize again from f16",
                STR_ARG(name), quant_format_of(type)->name, version);
}

static sl_status check_type(const reader *r, size_t at, str name, uint32_t type) {
    if (quant_format_of(type)) {
        return check_age(r, at, name, (quant_type)type);
    }
    if (type == 4 || type == 5) {
        return fail(
            r, at, SL_ERR_UNSUPPORTED,
            "tensor \"%.*s\" is %s, which was given up in May 2023; quantize again from f16",
            STR_ARG(name), type == 4 ? "Q4_2" : "Q4_3");
    }
    const char *known = quant_name_of(type);
    return fail(r, at, SL_ERR_UNSUPPORTED,
                "tensor \"%.*s\": expected a type known here, found %u (%s)", STR_ARG(name), type,
                known ? known : "without a name");
}

static bool is_printable(str name) {
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '!' || name.ptr[i] > '~') {
            return false;
        }
    }
    return name.len > 0;
}

static sl_status measure(const reader *r, size_t at, legacy_tensor *tensor) {
    const quant_format *format = quant_format_of(tensor->type);
    if (tensor->dims[0] % format->block_length != 0) {
        return fail(r, at, SL_ERR_FORMAT,
                    "tensor \"%.*s\": expected rows of a multiple of %zu values (%s), found %llu",
                    STR_ARG(tensor->name), format->block_length, format->name,
                    (unsigned long long)tensor->dims[0]);
    }
    /* Two dimensions below 2^31 and at most 8 bytes a value cannot overflow. */
    const uint64_t bytes = quant_row_bytes(tensor->type, (size_t)tensor->dims[0]) * tensor->dims[1];
    if (bytes > r->size - r->at) {
        return fail(r, r->at, SL_ERR_FORMAT,
                    "truncated: expected %llu bytes of tensor \"%.*s\", found the end of the file "
                    "after %zu",
                    (unsigned long long)bytes, STR_ARG(tensor->name), r->size - r->at);
    }
    tensor->bytes = (size_t)bytes;
    return SL_OK;
}

static sl_status read_dims(reader *r, uint32_t n_dims, legacy_tensor *tensor) {
    *tensor = (legacy_tensor){.n_dims = n_dims, .dims = {1, 1}};
    for (size_t i = 0; i < n_dims; i++) {
        const size_t start = r->at;
        uint32_t dim;
        if (!read_u32(r, &dim)) {
            return cut_short(r, "a dimension");
        }
        if (dim < 1 || dim > INT32_MAX) {
            return fail(r, start, SL_ERR_FORMAT,
                        "expected a dimension between 1 and 2^31, found %u", dim);
        }
        tensor->dims[i] = dim;
    }
    return SL_OK;
}

/* Everything of a record but its data, before which `r` stands then. */
static sl_status read_record(reader *r, legacy_tensor *tensor) {
    const size_t start = r->at;
    uint32_t n_dims, length, type;
    if (!read_u32(r, &n_dims) || !read_u32(r, &length) || !read_u32(r, &type)) {
        return cut_short(r, "a tensor's record of 12 bytes");
    }
    if (n_dims < 1 || n_dims > 2) {
        return fail(r, start, SL_ERR_FORMAT, "expected a tensor of 1 or 2 dimensions, found %u",
                    n_dims);
    }
    if (length < 1 || length > LIMIT_LEGACY_NAME_BYTES) {
        return fail(r, start + 4, SL_ERR_FORMAT,
                    "expected a tensor's name of 1 to %u bytes, found %u", LIMIT_LEGACY_NAME_BYTES,
                    length);
    }
    sl_status status = read_dims(r, n_dims, tensor);
    if (status != SL_OK) {
        return status;
    }
    if (length > r->size - r->at) {
        return cut_short(r, "a tensor's name");
    }
    tensor->name = (str){(const char *)r->bytes + r->at, length};
    if (!is_printable(tensor->name)) {
        return fail(r, r->at, SL_ERR_FORMAT, "expected a tensor's name, found other bytes");
    }
    r->at += length;
    status = check_type(r, start + 8, tensor->name, type);
    if (status != SL_OK) {
        return status;
    }
    tensor->type = (quant_type)type;
    const size_t padding = r->as->magic == MAGIC_GGJT ? size_round_up(r->at, ALIGNMENT) - r->at : 0;
    if (padding > r->size - r->at) {
        return cut_short(r, "padding");
    }
    r->at += padding;
    return measure(r, start + 12, tensor);
}

static sl_status read_tensors(reader *r, legacy_file *file) {
    array tensors = array_new(sizeof(legacy_tensor), LIMIT_TENSORS);
    sl_status status = SL_OK;
    while (status == SL_OK && r->at < r->size) {
        legacy_tensor tensor;
        status = read_record(r, &tensor);
        if (status == SL_OK) {
            tensor.data = r->bytes + r->at;
            r->at += tensor.bytes;
            status = array_push(&tensors, &tensor, r->error);
        }
    }
    if (status != SL_OK) {
        array_free(&tensors);
        return status;
    }
    file->tensors = tensors.items;
    file->tensor_count = tensors.count;
    return SL_OK;
}

/* ---- which layout --------------------------------------------------------------------------- */

static bool has_prefix(const layout *as, str name) {
    for (size_t i = 0; as->prefixes[i]; i++) {
        if (name.len > strlen(as->prefixes[i]) && str_begins_with(name, as->prefixes[i])) {
            return true;
        }
    }
    return false;
}

/* The name of the record at r->at, as far as it can be told without believing its type. */
static bool peek_name(const reader *r, str *name) {
    reader at = *r;
    uint32_t n_dims, length, type;
    if (!read_u32(&at, &n_dims) || !read_u32(&at, &length) || !read_u32(&at, &type) || n_dims < 1 ||
        n_dims > 2 || length > LIMIT_LEGACY_NAME_BYTES ||
        at.size - at.at < n_dims * sizeof(uint32_t) + length) {
        return false;
    }
    *name = (str){(const char *)at.bytes + at.at + n_dims * sizeof(uint32_t), length};
    return is_printable(*name);
}

/* How well the bytes fit a layout. A number that is there twice says more than a vocabulary that
 * can be walked through. */
typedef enum fitness { FITS_NOT, FITS_HEADER, FITS_VOCABULARY, FITS_COUNT, FITS } fitness;

static fitness fit(const uint8_t *bytes, size_t size, const layout *as) {
    reader r = reader_of(bytes, size, as, NULL);
    if (read_header(&r) != SL_OK) {
        return FITS_NOT;
    }
    if (read_vocabulary(&r, NULL, NULL) != SL_OK) {
        return as->counted ? FITS_COUNT : FITS_HEADER;
    }
    str name;
    if ((peek_name(&r, &name) && has_prefix(as, name)) || (r.at == size && !as->refused)) {
        return FITS;
    }
    return as->counted ? FITS_COUNT : FITS_VOCABULARY;
}

/* Whisper's files have a table of filters before the vocabulary: as many bands as the header's
 * tenth number says, of 201 values. */
static bool is_whisper(const uint8_t *bytes, size_t size) {
    uint32_t numbers[14];
    if (size < sizeof numbers) {
        return false;
    }
    memcpy(numbers, bytes, sizeof numbers);
    return numbers[0] == MAGIC_GGML && (numbers[10] == 80 || numbers[10] == 128) &&
           numbers[12] == numbers[10] && numbers[13] == 201;
}

static sl_status choose_layout(const uint8_t *bytes, size_t size, const layout **out,
                               sl_error *error) {
    uint32_t magic;
    memcpy(&magic, bytes, sizeof magic);
    for (size_t i = 0; i < COUNT_OF(relatives); i++) {
        if (magic == relatives[i].magic) {
            return error_set(error, SL_ERR_UNSUPPORTED,
                             "the file is %s of ggml's old formats: expected a model",
                             relatives[i].what);
        }
    }
    fitness best = FITS_NOT;
    const layout *chosen = NULL;
    for (size_t i = 0; i < COUNT_OF(layouts); i++) {
        const layout *as = &layouts[i];
        const fitness fits = as->magic == magic ? fit(bytes, size, as) : FITS_NOT;
        if (fits > best || (as->magic == magic && as->versioned)) {
            best = as->versioned ? FITS : fits; /* its magic number is its alone */
            chosen = as;
        }
    }
    const char *refused = best == FITS && chosen->refused                ? chosen->name
                          : best < FITS_COUNT && is_whisper(bytes, size) ? "Whisper"
                                                                         : NULL;
    if (refused) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "the file holds a model of the %s family in ggml's old format, of which "
                         "GPT-2, GPT-J, GPT-NeoX and LLaMA are supported",
                         refused);
    }
    if (best < FITS_COUNT) {
        return error_set(error, SL_ERR_FORMAT,
                         "the file begins as ggml's old format, but its header, vocabulary and "
                         "first tensor are not those of GPT-2, GPT-J, GPT-NeoX or LLaMA, or it is "
                         "cut short");
    }
    *out = chosen;
    return SL_OK;
}

bool legacy_ggml_detect(const uint8_t *bytes, size_t size) {
    uint32_t magic;
    if (size < sizeof magic) {
        return false;
    }
    memcpy(&magic, bytes, sizeof magic);
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(relatives); i++) {
        known = known || magic == relatives[i].magic;
    }
    return known || magic == MAGIC_GGML || magic == MAGIC_GGMF || magic == MAGIC_GGJT;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static const char *container_name(const reader *r) {
    static const char *const ggjt[] = {"ggjt v1", "ggjt v2", "ggjt v3"};
    return r->as->magic == MAGIC_GGML   ? "ggml"
           : r->as->magic == MAGIC_GGMF ? "ggmf v1"
                                        : ggjt[r->version - 1];
}

static void describe(const reader *r, legacy_file *file) {
    file->bytes = r->bytes;
    file->size = r->size;
    file->kind = r->as->kind;
    file->name = r->as->name;
    file->container = container_name(r);
    file->type = type_name(r);
    file->n_vocab = r->values[N_VOCAB];
    file->n_ctx = r->values[N_CTX];
    file->n_embd = r->values[N_EMBD];
    file->n_head = r->values[N_HEAD];
    file->n_layer = r->values[N_LAYER];
    file->n_rot = r->values[N_ROT];
    file->parallel_residual = r->values[PARALLEL] != 0;
}

sl_status legacy_ggml_parse(const uint8_t *bytes, size_t size, legacy_file *file, sl_error *error) {
    if (!legacy_ggml_detect(bytes, size)) {
        return error_set(error, SL_ERR_FORMAT, "byte 0: expected a file of ggml's old formats");
    }
    const layout *as = NULL;
    sl_status status = choose_layout(bytes, size, &as, error);
    if (status != SL_OK) {
        return status;
    }
    reader r = reader_of(bytes, size, as, error);
    legacy_file parsed = {0};
    status = read_header(&r);
    if (status == SL_OK) {
        describe(&r, &parsed);
        status = make_vocabulary(&r, &parsed);
    }
    parsed.data_offset = r.at;
    if (status == SL_OK && r.at < size) {
        status = check_sizes(&r);
        status = status == SL_OK ? read_tensors(&r, &parsed) : status;
    }
    if (status != SL_OK) {
        legacy_ggml_free(&parsed);
        return status;
    }
    *file = parsed;
    return SL_OK;
}

void legacy_ggml_free(legacy_file *file) {
    free(file->tokens);
    free(file->scores);
    free(file->tensors);
    *file = (legacy_file){0};
}
