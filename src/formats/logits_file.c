#include "formats/logits_file.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char magic[8] = {'_', 'l', 'o', 'g', 'i', 't', 's', '_'};

enum { SCALE_BYTES = 2 * sizeof(float), STEPS = 65535, SPAN = 16 };

size_t sl_reference_row_bytes(size_t n_vocab) {
    return SCALE_BYTES + (n_vocab + n_vocab % 2) * sizeof(uint16_t);
}

size_t sl_reference_scored(size_t n_ctx) {
    return n_ctx - 1 - n_ctx / 2;
}

/* ---- reading -------------------------------------------------------------------------------- */

static sl_status check_head(const sl_reference_info *info, sl_error *error) {
    if (info->n_ctx < 3 || info->n_ctx > LIMIT_CONTEXT) {
        return error_set(error, SL_ERR_FORMAT,
                         "byte 8: expected windows of 3 to %u tokens, found "
                         "%zu",
                         LIMIT_CONTEXT, info->n_ctx);
    }
    if (info->n_vocab < 1 || info->n_vocab > LIMIT_VOCABULARY) {
        return error_set(error, SL_ERR_FORMAT,
                         "byte 12: expected a vocabulary of 1 to %u tokens, found %zu",
                         LIMIT_VOCABULARY, info->n_vocab);
    }
    if (info->n_window < 1 || info->n_window > INT32_MAX) {
        return error_set(error, SL_ERR_FORMAT, "byte 16: expected 1 to %d windows, found %zu",
                         INT32_MAX, info->n_window);
    }
    return SL_OK;
}

/* False if no memory is so large. */
static bool measure(const sl_reference_info *info, size_t *token_bytes, size_t *all) {
    size_t row_bytes = sl_reference_row_bytes(info->n_vocab);
    return size_mul(info->n_window, info->n_ctx * sizeof(int32_t), token_bytes) &&
           size_mul(row_bytes, sl_reference_scored(info->n_ctx), &row_bytes) &&
           size_mul(row_bytes, info->n_window, all) && size_add(*all, *token_bytes, all) &&
           size_add(*all, SL_REFERENCE_HEAD_BYTES, all);
}

static sl_status check_tokens(const logits_file *f, sl_error *error) {
    for (size_t i = 0; i < f->info.n_window * f->info.n_ctx; i++) {
        const uint32_t token = bytes_u32(f->tokens + i * sizeof(int32_t));
        if (token >= f->info.n_vocab) {
            return error_set(
                error, SL_ERR_FORMAT, "byte %zu: expected a token below %zu, found %" PRId32,
                SL_REFERENCE_HEAD_BYTES + i * sizeof(int32_t), f->info.n_vocab, (int32_t)token);
        }
    }
    return SL_OK;
}

sl_status logits_file_parse(const uint8_t *bytes, size_t size, logits_file *file, sl_error *error) {
    if (size < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0) {
        return error_set(error, SL_ERR_FORMAT,
                         "not a reference: expected \"_logits_\" at its beginning");
    }
    if (size < SL_REFERENCE_HEAD_BYTES) {
        return error_set(error, SL_ERR_FORMAT, "truncated: expected a head of %d bytes, found %zu",
                         SL_REFERENCE_HEAD_BYTES, size);
    }
    logits_file f = {
        .info = {bytes_u32(bytes + 8), bytes_u32(bytes + 12), bytes_u32(bytes + 16)},
        .tokens = bytes + SL_REFERENCE_HEAD_BYTES,
    };
    sl_status status = check_head(&f.info, error);
    if (status != SL_OK) {
        return status;
    }
    size_t token_bytes = 0, all = 0;
    all = measure(&f.info, &token_bytes, &all) ? all : SIZE_MAX;
    if (all != size) {
        return error_set(error, SL_ERR_FORMAT,
                         "%zu windows of %zu tokens with a vocabulary of %zu are %zu bytes, found "
                         "%zu%s",
                         f.info.n_window, f.info.n_ctx, f.info.n_vocab, all, size,
                         size < all ? ": truncated" : "");
    }
    f.rows = f.tokens + token_bytes;
    f.row_bytes = sl_reference_row_bytes(f.info.n_vocab);
    status = check_tokens(&f, error);
    if (status == SL_OK) {
        *file = f;
    }
    return status;
}

void logits_file_tokens(const logits_file *file, size_t window, int32_t *tokens) {
    const size_t bytes = file->info.n_ctx * sizeof *tokens;
    memcpy(tokens, file->tokens + window * bytes, bytes);
}

const uint8_t *logits_file_row_at(const logits_file *file, size_t window, size_t index) {
    const size_t row = window * sl_reference_scored(file->info.n_ctx) + index;
    return file->rows + row * file->row_bytes;
}

sl_status logits_file_row(const logits_file *file, size_t window, size_t index,
                          float *log_probabilities, sl_error *error) {
    const uint8_t *row = logits_file_row_at(file, window, index);
    const float scale = bytes_f32(row), least = bytes_f32(row + sizeof(float));
    const float slack = 0.01F, most = least + scale * STEPS;
    /* e^-64 is less than one token of the largest vocabulary can have and be within the span. */
    if (!(scale >= 0) || !(scale * STEPS <= SPAN + slack) || !(least >= -64) || !(most <= slack)) {
        return error_set(error, SL_ERR_FORMAT,
                         "window %zu, row %zu: log probabilities of %g to %g cannot be", window,
                         index, (double)least, (double)most);
    }
    for (size_t i = 0; i < file->info.n_vocab; i++) {
        uint16_t q;
        memcpy(&q, row + SCALE_BYTES + i * sizeof q, sizeof q);
        log_probabilities[i] = scale * q + least;
    }
    return SL_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

void sl_reference_make_head(const sl_reference_info *info, void *head) {
    const uint32_t numbers[] = {(uint32_t)info->n_ctx, (uint32_t)info->n_vocab,
                                (uint32_t)info->n_window};
    memcpy(head, magic, sizeof magic);
    memcpy((char *)head + sizeof magic, numbers, sizeof numbers);
}

void sl_reference_make_row(const float *logits, size_t n_vocab, double log_sum, void *row) {
    float low = logits[0], high = logits[0];
    for (size_t i = 1; i < n_vocab; i++) {
        low = logits[i] < low ? logits[i] : low;
        high = logits[i] > high ? logits[i] : high;
    }
    low = low > high - SPAN ? low : high - SPAN;
    const float scale = (high - low) / STEPS, least = (float)((double)low - log_sum);
    const float inverse = scale > 0 ? 1 / scale : 0;
    memcpy(row, &scale, sizeof scale);
    memcpy((char *)row + sizeof scale, &least, sizeof least);
    uint16_t *q = (uint16_t *)((char *)row + SCALE_BYTES);
    q[n_vocab - 1 + n_vocab % 2] = 0; /* what fills up an odd row */
    for (size_t i = 0; i < n_vocab; i++) {
        const float steps = logits[i] > low ? (logits[i] - low) * inverse + 0.5F : 0;
        q[i] = (uint16_t)(steps < STEPS ? steps : STEPS);
    }
}
