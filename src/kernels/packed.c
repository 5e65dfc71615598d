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

/* Bit 4 t + j to bit 8 j + t: a matrix of 8 by 4 bits transposed, a byte for each j. */
static inline uint32_t turn_bits(uint32_t v) {
    uint32_t turned = 0;
    for (int j = 0; j < 4; j++) {
        uint32_t bits = v >> j & 0x11111111;
        bits = (bits | bits >> 3) & 0x03030303;
        bits = (bits | bits >> 6) & 0x000f000f;
        turned |= ((bits | bits >> 12) & 0xff) << (8 * j);
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

/* Units of `size` bytes: unit u of row r becomes number u * PACKED_ROWS + r. */
static inline void pack_units(const uint8_t *w, size_t stride, const size_t size, size_t rows,
                              size_t units, uint8_t *to) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t u = 0; u < units; u++) {
            memcpy(to + size * (u * PACKED_ROWS + r), w + r * stride + size * u, size);
        }
    }
}

typedef uint32_t words4 __attribute__((vector_size(16)));

/* Four words of sixteen rows. */
static inline void pack_square(const uint8_t *w, size_t stride, uint8_t *to) {
    for (size_t r = 0; r < PACKED_ROWS; r += 4) {
        words4 a, b, c, d;
        memcpy(&a, w + (r + 0) * stride, sizeof a);
        memcpy(&b, w + (r + 1) * stride, sizeof b);
        memcpy(&c, w + (r + 2) * stride, sizeof c);
        memcpy(&d, w + (r + 3) * stride, sizeof d);
        const words4 ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        const words4 ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const words4 cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const words4 cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        a = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
        b = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
        c = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5);
        d = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
        memcpy(to + 4 * r, &a, sizeof a);
        memcpy(to + 4 * r + 64, &b, sizeof b);
        memcpy(to + 4 * r + 128, &c, sizeof c);
        memcpy(to + 4 * r + 192, &d, sizeof d);
    }
}

static void pack_words(const uint8_t *w, size_t stride, size_t rows, size_t words, uint8_t *to) {
    size_t u = 0;
    for (; rows == PACKED_ROWS && u + 4 <= words; u += 4) {
        pack_square(w + 4 * u, stride, to + 4 * PACKED_ROWS * u);
    }
    pack_units(w + 4 * u, stride, 4, rows, words - u, to + 4 * PACKED_ROWS * u);
}

static void turn_words(uint8_t *to) {
    uint32_t word[PACKED_ROWS];
    memcpy(word, to, sizeof word);
    for (size_t r = 0; r < PACKED_ROWS; r++) {
        word[r] = turn_bits(word[r]);
    }
    memcpy(to, word, sizeof word);
}

/* One block of up to sixteen rows. */
static void pack_block(const field *f, const uint8_t *w, size_t stride, size_t rows, uint8_t *to) {
    for (; f->bytes; f++) {
        switch (f->unit) {
        case UNIT_BYTE:
            pack_units(w, stride, 1, rows, f->bytes, to);
            break;
        case UNIT_HALF:
            pack_units(w, stride, 2, rows, f->bytes / 2, to);
            break;
        case UNIT_WORD:
            pack_words(w, stride, rows, f->bytes / 4, to);
            break;
        case UNIT_TURNED:
            pack_units(w, stride, 4, rows, 1, to);
            turn_words(to);
            break;
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
