/* llama2c.c - the layouts, all numbers little-endian:
 *
 *   version 0   i32 n_embd, n_ff, n_layer, n_head, n_head_kv, n_vocab (negative: there is an output
 *               matrix), n_ctx; then f32: embedding; for all layers at once attention norms, Wq,
 *               Wk, Wv, Wo, feed-forward norms, W1, W2, W3; final norm; two tables of rotary
 *               angles, n_ctx * head size / 2 values each, that are not used; output
 *   version 1   "24ka" u32 1, the same seven (n_vocab positive), u8 whether there is NO output
 *               matrix, zeros up to byte 256; then f32: attention norms, feed-forward norms, final
 *               norm, embedding, Wq, Wk, Wv, Wo, W1, W2, W3, output
 *   version 2   as version 1, with i32 group behind the u8; norms f32 as there, every matrix as
 *               int8 values and f32 scales, one for each `group` values
 *
 * (karpathy/llama2.c: export.py writes them, run.c and runq.c read them.) */
#include "formats/llama2c.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

enum { HEADER_0 = 28, HEADER_1 = 256, FLOAT_BYTES = 4 };

#define MAGIC 0x616b3432u

static const llama2c_part order_0[] = {
    LLAMA2C_EMBEDDING, LLAMA2C_ATTENTION_NORM,    LLAMA2C_WQ, LLAMA2C_WK, LLAMA2C_WV,
    LLAMA2C_WO,        LLAMA2C_FEED_FORWARD_NORM, LLAMA2C_W1, LLAMA2C_W2, LLAMA2C_W3,
    LLAMA2C_FINAL_NORM};
static const llama2c_part order_1[] = {LLAMA2C_ATTENTION_NORM,
                                       LLAMA2C_FEED_FORWARD_NORM,
                                       LLAMA2C_FINAL_NORM,
                                       LLAMA2C_EMBEDDING,
                                       LLAMA2C_WQ,
                                       LLAMA2C_WK,
                                       LLAMA2C_WV,
                                       LLAMA2C_WO,
                                       LLAMA2C_W1,
                                       LLAMA2C_W2,
                                       LLAMA2C_W3};

/* ---- header --------------------------------------------------------------------------------- */

static sl_status check_sizes(const llama2c_file *f, sl_error *error) {
    const struct {
        const char *name;
        uint32_t value, ceiling;
    } sizes[] = {
        {"dim", f->n_embd, LIMIT_EMBEDDING},       {"hidden_dim", f->n_ff, LIMIT_FEED_FORWARD},
        {"n_layers", f->n_layer, LIMIT_LAYERS},    {"n_heads", f->n_head, LIMIT_HEADS},
        {"n_kv_heads", f->n_head_kv, LIMIT_HEADS}, {"vocab_size", f->n_vocab, LIMIT_VOCABULARY},
        {"max_seq_len", f->n_ctx, LIMIT_CONTEXT},
    };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].ceiling) {
            return error_set(error, SL_ERR_FORMAT,
                             "llama2.c header: expected %s between 1 and %u, found %u",
                             sizes[i].name, sizes[i].ceiling, sizes[i].value);
        }
    }
    if (f->n_embd % f->n_head != 0 || f->n_head % f->n_head_kv != 0) {
        return error_set(error, SL_ERR_FORMAT,
                         "llama2.c header: expected dim to be a multiple of n_heads, and that of "
                         "n_kv_heads; found %u, %u and %u",
                         f->n_embd, f->n_head, f->n_head_kv);
    }
    return SL_OK;
}

static void read_sizes(llama2c_file *f, const uint8_t *at) {
    f->n_embd = bytes_u32(at);
    f->n_ff = bytes_u32(at + 4);
    f->n_layer = bytes_u32(at + 8);
    f->n_head = bytes_u32(at + 12);
    f->n_head_kv = bytes_u32(at + 16);
    f->n_vocab = bytes_u32(at + 20);
    f->n_ctx = bytes_u32(at + 24);
}

static sl_status read_version_0(llama2c_file *f, sl_error *error) {
    if (f->size < HEADER_0) {
        return error_set(error, SL_ERR_FORMAT, "llama2.c: expected a header of %d bytes, found %zu",
                         HEADER_0, f->size);
    }
    read_sizes(f, f->bytes);
    f->has_output = f->n_vocab > INT32_MAX;
    f->n_vocab = f->has_output ? 0u - f->n_vocab : f->n_vocab;
    f->data_offset = HEADER_0;
    return check_sizes(f, error);
}

static sl_status read_later_version(llama2c_file *f, sl_error *error) {
    if (f->size < HEADER_1) {
        return error_set(error, SL_ERR_FORMAT,
                         "llama2.c: truncated: expected a header of %d bytes, found %zu", HEADER_1,
                         f->size);
    }
    f->version = bytes_u32(f->bytes + 4);
    if (f->version != 1 && f->version != 2) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "llama2.c: byte 4: expected version 1 or 2, found %u", f->version);
    }
    read_sizes(f, f->bytes + 8);
    f->data_offset = HEADER_1;
    if (f->bytes[36] > 1) {
        return error_set(error, SL_ERR_FORMAT,
                         "llama2.c: byte 36: expected 0 or 1 for a shared classifier, found %u",
                         f->bytes[36]);
    }
    f->has_output = f->bytes[36] == 0;
    if (f->version == 2) {
        f->group = bytes_u32(f->bytes + 37);
        if (f->group < 1 || f->group > LIMIT_EMBEDDING) {
            return error_set(error, SL_ERR_FORMAT,
                             "llama2.c: byte 37: expected a group size between 1 and %u, found %u",
                             LIMIT_EMBEDDING, f->group);
        }
    }
    return check_sizes(f, error);
}

/* ---- weights -------------------------------------------------------------------------------- */

static llama2c_weight shape_of(const llama2c_file *f, llama2c_part part) {
    const uint64_t embd = f->n_embd, ff = f->n_ff, kv = embd / f->n_head * f->n_head_kv;
    switch (part) {
    case LLAMA2C_EMBEDDING:
    case LLAMA2C_OUTPUT:
        return (llama2c_weight){.n_in = embd, .n_out = f->n_vocab};
    case LLAMA2C_WQ:
    case LLAMA2C_WO:
        return (llama2c_weight){.n_in = embd, .n_out = embd};
    case LLAMA2C_WK:
    case LLAMA2C_WV:
        return (llama2c_weight){.n_in = embd, .n_out = kv};
    case LLAMA2C_W1:
    case LLAMA2C_W3:
        return (llama2c_weight){.n_in = embd, .n_out = ff};
    case LLAMA2C_W2:
        return (llama2c_weight){.n_in = ff, .n_out = embd};
    case LLAMA2C_ATTENTION_NORM:
    case LLAMA2C_FEED_FORWARD_NORM:
    case LLAMA2C_FINAL_NORM:
    case LLAMA2C_PART_LIMIT:
        break;
    }
    return (llama2c_weight){.n_in = embd, .n_out = 1};
}

static bool is_once(llama2c_part part) {
    return part == LLAMA2C_EMBEDDING || part == LLAMA2C_FINAL_NORM || part == LLAMA2C_OUTPUT;
}

static bool is_norm(llama2c_part part) {
    return part == LLAMA2C_ATTENTION_NORM || part == LLAMA2C_FEED_FORWARD_NORM ||
           part == LLAMA2C_FINAL_NORM;
}

/* Puts a part behind what was placed before, which *at counts. The ceilings keep all products under
 * 2^63: a weight has under 2^42 values. *at only grows past the file's size by one part. */
static sl_status place(llama2c_file *f, llama2c_part part, uint64_t *at, sl_error *error) {
    llama2c_weight w = shape_of(f, part);
    const uint64_t values = w.n_in * w.n_out, count = is_once(part) ? 1 : f->n_layer;
    w.bytes = values * FLOAT_BYTES;
    if (f->group && !is_norm(part)) {
        if (values % f->group != 0) {
            return error_set(
                error, SL_ERR_FORMAT,
                "llama2.c header: expected weights of a multiple of the group size %u, "
                "found %llu values",
                f->group, (unsigned long long)values);
        }
        w.group = f->group;
        w.bytes = values + values / f->group * FLOAT_BYTES;
    }
    if (*at > f->size || w.bytes * count > f->size - *at) {
        return error_set(error, SL_ERR_FORMAT,
                         "llama2.c: truncated: expected %llu more bytes of weights at byte %llu, "
                         "found the end of the file at byte %zu",
                         (unsigned long long)(w.bytes * count), (unsigned long long)*at, f->size);
    }
    w.data = f->bytes + *at;
    f->parts[part].weight = w;
    f->parts[part].stride = w.bytes;
    *at += w.bytes * count;
    return SL_OK;
}

static sl_status place_all(llama2c_file *f, sl_error *error) {
    const llama2c_part *order = f->version == 0 ? order_0 : order_1;
    uint64_t at = f->data_offset;
    for (size_t i = 0; i < COUNT_OF(order_0); i++) {
        const sl_status status = place(f, order[i], &at, error);
        if (status != SL_OK) {
            return status;
        }
    }
    if (f->version == 0) {
        at += 2 * (uint64_t)f->n_ctx * (f->n_embd / f->n_head / 2) * FLOAT_BYTES;
    }
    sl_status status = f->has_output ? place(f, LLAMA2C_OUTPUT, &at, error) : SL_OK;
    if (status == SL_OK && at != f->size) {
        status = error_set(error, SL_ERR_FORMAT,
                           "llama2.c: expected a file of %llu bytes by its header, found %zu",
                           (unsigned long long)at, f->size);
    }
    return status;
}

_Static_assert(COUNT_OF(order_0) == COUNT_OF(order_1), "both versions have the same weights");

sl_status llama2c_parse(const uint8_t *bytes, size_t size, llama2c_file *file, sl_error *error) {
    llama2c_file parsed = {.bytes = bytes, .size = size};
    const bool later = size >= 4 && bytes_u32(bytes) == MAGIC;
    sl_status status = later ? read_later_version(&parsed, error) : read_version_0(&parsed, error);
    status = status == SL_OK ? place_all(&parsed, error) : status;
    if (status == SL_OK) {
        *file = parsed;
    }
    return status;
}

bool llama2c_detect(const uint8_t *bytes, size_t size) {
    llama2c_file file;
    return (size >= 4 && bytes_u32(bytes) == MAGIC) ||
           llama2c_parse(bytes, size, &file, NULL) == SL_OK;
}

llama2c_weight llama2c_weight_of(const llama2c_file *file, llama2c_part part, size_t layer) {
    llama2c_weight w = file->parts[part].weight;
    w.data += file->parts[part].stride * layer;
    return w;
}
