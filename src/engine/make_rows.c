#include "engine/make_rows.h"

#include "base/error.h"
#include "base/size.h"
#include "os/os.h"

#include <string.h>

enum {
    LINE = 64,
    TILE = 64, /* values in both directions: two tiles of floats stay in the first cache */
};

static size_t room_of(const tensor_entry *t) {
    return t->layout == TENSOR_ROWS ? 0 : size_round_up(t->bytes, LINE);
}

size_t make_rows_bytes(const model_file *file) {
    size_t all = 0;
    for (size_t i = 0; i < file->tensor_count; i++) {
        all += room_of(&file->tensors[i]);
    }
    return all;
}

/* to[row][value] = from[value][row] for values of `bytes` bytes. */
static void transpose(const uint8_t *from, size_t rows, size_t values, size_t bytes, uint8_t *to) {
    for (size_t r0 = 0; r0 < rows; r0 += TILE) {
        const size_t r1 = size_min(rows, r0 + TILE);
        for (size_t v0 = 0; v0 < values; v0 += TILE) {
            const size_t v1 = size_min(values, v0 + TILE);
            for (size_t r = r0; r < r1; r++) {
                for (size_t v = v0; v < v1; v++) {
                    memcpy(to + (r * values + v) * bytes, from + (v * rows + r) * bytes, bytes);
                }
            }
        }
    }
}

/* Value number i of TENSOR_PLANES has this scale. */
static float scale_of(const tensor_entry *t, size_t i) {
    const size_t n = (size_t)(t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]);
    float scale;
    memcpy(&scale, t->data + n + i / t->group * sizeof scale, sizeof scale);
    return scale;
}

void make_rows_floats(const tensor_entry *t, size_t first, size_t count, float *to) {
    const size_t start = first * (size_t)t->dims[0], n = count * (size_t)t->dims[0];
    const int8_t *values = (const int8_t *)t->data + start;
    for (size_t i = 0; i < n; i++) {
        to[i] = (float)values[i] * scale_of(t, start + i);
    }
}

/* Values and scales as blocks of Q8_0, which keep the values; the scales become halves. */
static void join_planes(const tensor_entry *t, size_t start, size_t n, uint8_t *to) {
    const quant_format *format = quant_format_of(QUANT_Q8_0);
    for (size_t i = 0; i < n; i += format->block_length) {
        const uint16_t half = quant_f32_to_f16(scale_of(t, start + i));
        memcpy(to, &half, sizeof half);
        memcpy(to + sizeof half, t->data + start + i, format->block_length);
        to += format->block_bytes;
    }
}

void make_rows_of_planes(const tensor_entry *t, size_t first, size_t count, void *to) {
    if (t->type == QUANT_Q8_0) {
        join_planes(t, first * (size_t)t->dims[0], count * (size_t)t->dims[0], to);
    } else {
        make_rows_floats(t, first, count, to);
    }
}

size_t make_rows_source_bytes(const tensor_entry *t) {
    const size_t n = (size_t)(t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]);
    return t->layout == TENSOR_PLANES ? n + n / t->group * sizeof(float) : t->bytes;
}

static void make(tensor_entry *t, uint8_t *to) {
    const size_t rows = t->bytes / quant_row_bytes(t->type, (size_t)t->dims[0]);
    if (t->layout == TENSOR_PLANES) {
        make_rows_of_planes(t, 0, rows, to);
    } else {
        const size_t bytes = quant_format_of(t->type)->block_bytes;
        transpose(t->data, (size_t)t->dims[1], (size_t)t->dims[0], bytes, to);
    }
    os_pages_drop(t->data, make_rows_source_bytes(t));
    t->data = to;
    t->layout = TENSOR_ROWS;
}

sl_status make_rows(model_file *file, uint8_t *memory, sl_progress_fn progress, void *user,
                    sl_error *error) {
    const size_t all = make_rows_bytes(file);
    size_t done = 0;
    for (size_t i = 0; i < file->tensor_count; i++) {
        const size_t room = room_of(&file->tensors[i]);
        if (room == 0) {
            continue;
        }
        make(&file->tensors[i], memory + done);
        done += room;
        if (progress && !progress(user, "putting weights into rows", done, all)) {
            return error_set(error, SL_ERR_CANCELLED, "loading was interrupted");
        }
    }
    return SL_OK;
}
