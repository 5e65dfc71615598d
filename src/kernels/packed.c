/* packed.c - the layout of panels: from rows to panels and back, in plain C. */
#include "kernels/packed.h"

#include <assert.h>
#include <string.h>

enum { MAX_FIELDS = 5 };

typedef enum unit {
    UNIT_BYTE,
    UNIT_HALF,   /* 2 bytes */
    UNIT_WORD,   /* 4 bytes */
    UNIT_TURNED, /* 4 bytes whose bit 4 t + j becomes bit 8 j + t */
} unit;

/* A block's fields one after the other; `bytes` 0 ends the list. */
typedef struct field {
    size_t bytes;
    unit unit;
} field;

static const field layouts[QUANT_TYPE_LIMIT][MAX_FIELDS + 1] = {
    [QUANT_Q4_0] = {{2, UNIT_HALF}, {16, UNIT_WORD}},
    [QUANT_Q4_1] = {{4, UNIT_HALF}, {16, UNIT_WORD}},
    [QUANT_Q5_0] = {{2, UNIT_HALF}, {4, UNIT_TURNED}, {16, UNIT_WORD}},
    [QUANT_Q5_1] = {{4, UNIT_HALF}, {4, UNIT_TURNED}, {16, UNIT_WORD}},
    [QUANT_Q8_0] = {{2, UNIT_HALF}, {32, UNIT_WORD}},
    [QUANT_Q2_K] = {{80, UNIT_WORD}, {4, UNIT_HALF}},
    [QUANT_Q3_K] = {{108, UNIT_WORD}, {2, UNIT_HALF}},
    [QUANT_Q4_K] = {{4, UNIT_HALF}, {140, UNIT_WORD}},
    [QUANT_Q5_K] = {{4, UNIT_HALF}, {172, UNIT_WORD}},
    [QUANT_Q6_K] = {{208, UNIT_WORD}, {2, UNIT_HALF}},
    [QUANT_IQ4_NL] = {{2, UNIT_HALF}, {16, UNIT_WORD}},
    [QUANT_IQ4_XS] = {{4, UNIT_HALF}, {132, UNIT_WORD}},
    [QUANT_MXFP4] = {{1, UNIT_BYTE}, {16, UNIT_WORD}},
};

bool packed_exists(quant_type type) {
    return layouts[type][0].bytes > 0;
}

size_t packed_bytes(quant_type type, size_t n_out, size_t n_in) {
    return (n_out + PACKED_ROWS - 1) / PACKED_ROWS * PACKED_ROWS * quant_row_bytes(type, n_in);
}

/* Bit 4 t + j to bit 8 j + t: a matrix of 8 by 4 bits transposed. */
static uint32_t turn_bits(uint32_t v) {
    uint32_t turned = 0;
    for (int k = 0; k < 32; k++) {
        turned |= (v >> k & 1) << (8 * (k % 4) + k / 4);
    }
    return turned;
}

static uint32_t turn_bits_back(uint32_t v) {
    uint32_t turned = 0;
    for (int k = 0; k < 32; k++) {
        turned |= (v >> (8 * (k % 4) + k / 4) & 1) << k;
    }
    return turned;
}

static void pack_words(const uint8_t *w, size_t stride, size_t rows, size_t words, bool turn,
                       uint8_t *to) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t u = 0; u < words; u++) {
            uint32_t word;
            memcpy(&word, w + r * stride + 4 * u, sizeof word);
            word = turn ? turn_bits(word) : word;
            memcpy(to + 4 * (u * PACKED_ROWS + r), &word, sizeof word);
        }
    }
}

static void pack_halves(const uint8_t *w, size_t stride, size_t rows, size_t halves, uint8_t *to) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t u = 0; u < halves; u++) {
            memcpy(to + 2 * (u * PACKED_ROWS + r), w + r * stride + 2 * u, 2);
        }
    }
}

static void pack_bytes(const uint8_t *w, size_t stride, size_t rows, size_t bytes, uint8_t *to) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t u = 0; u < bytes; u++) {
            to[u * PACKED_ROWS + r] = w[r * stride + u];
        }
    }
}

/* One block of up to sixteen rows. */
static void pack_block(const field *f, const uint8_t *w, size_t stride, size_t rows, uint8_t *to) {
    for (; f->bytes; f++) {
        if (f->unit == UNIT_BYTE) {
            pack_bytes(w, stride, rows, f->bytes, to);
        } else if (f->unit == UNIT_HALF) {
            pack_halves(w, stride, rows, f->bytes / 2, to);
        } else {
            pack_words(w, stride, rows, f->bytes / 4, f->unit == UNIT_TURNED, to);
        }
        w += f->bytes;
        to += PACKED_ROWS * f->bytes;
    }
}

void packed_fill(quant_type type, size_t count, size_t n_in, const void *w, size_t w_stride,
                 void *to) {
    assert(packed_exists(type));
    const quant_format *format = quant_format_of(type);
    const size_t n_block = n_in / format->block_length;
    uint8_t *block = to;
    for (size_t r = 0; r < count; r += PACKED_ROWS) {
        const uint8_t *rows = (const uint8_t *)w + r * w_stride;
        const size_t left = count - r, here = left < PACKED_ROWS ? left : PACKED_ROWS;
        for (size_t b = 0; b < n_block; b++) {
            if (here < PACKED_ROWS) {
                memset(block, 0, PACKED_ROWS * format->block_bytes);
            }
            pack_block(layouts[type], rows + b * format->block_bytes, w_stride, here, block);
            block += PACKED_ROWS * format->block_bytes;
        }
    }
}

/* One row's part of a panel's block. */
static void unpack_block(const field *f, const uint8_t *block, size_t row, uint8_t *to) {
    for (; f->bytes; f++) {
        const size_t size = f->unit == UNIT_BYTE ? 1 : f->unit == UNIT_HALF ? 2 : 4;
        for (size_t u = 0; u < f->bytes / size; u++) {
            memcpy(to + u * size, block + size * (u * PACKED_ROWS + row), size);
        }
        if (f->unit == UNIT_TURNED) {
            uint32_t word;
            memcpy(&word, to, sizeof word);
            word = turn_bits_back(word);
            memcpy(to, &word, sizeof word);
        }
        to += f->bytes;
        block += PACKED_ROWS * f->bytes;
    }
}

void packed_row(quant_type type, size_t n_in, const void *packed, size_t row, void *to) {
    assert(packed_exists(type));
    const size_t bytes = quant_format_of(type)->block_bytes;
    const size_t row_bytes = quant_row_bytes(type, n_in);
    const uint8_t *panel = (const uint8_t *)packed + row / PACKED_ROWS * PACKED_ROWS * row_bytes;
    for (size_t at = 0; at < row_bytes; at += bytes) {
        unpack_block(layouts[type], panel + PACKED_ROWS * at, row % PACKED_ROWS,
                     (uint8_t *)to + at);
    }
}
