/* packed.c - the layout of panels: from rows to panels and back, in plain C. */
#include "kernels/packed.h"

#include <assert.h>
#include <string.h>

enum { MAX_FIELDS = 6 };

typedef enum unit {
    UNIT_BYTE,
    UNIT_HALF,   /* 2 bytes */
    UNIT_WORD,   /* 4 bytes */
    UNIT_TURNED, /* 4 bytes whose bit 4 t + j becomes bit 8 j + t */
    UNIT_PAIR,   /* 4 bytes, and the 4 bytes of another field with the same number */
} unit;

/* A field of a file's block, in the order of a panel's; `bytes` 0 ends the list. */
typedef struct field {
    size_t from, bytes; /* of a file's block */
    unit unit;
    size_t other; /* UNIT_PAIR: where the other field begins */
} field;

static const field layouts[QUANT_TYPE_LIMIT][MAX_FIELDS + 1] = {
    [QUANT_Q4_0] = {{0, 2, UNIT_HALF, 0}, {2, 16, UNIT_WORD, 0}},
    [QUANT_Q4_1] = {{0, 4, UNIT_HALF, 0}, {4, 16, UNIT_WORD, 0}},
    [QUANT_Q5_0] = {{0, 2, UNIT_HALF, 0}, {2, 4, UNIT_TURNED, 0}, {6, 16, UNIT_WORD, 0}},
    [QUANT_Q5_1] = {{0, 4, UNIT_HALF, 0}, {4, 4, UNIT_TURNED, 0}, {8, 16, UNIT_WORD, 0}},
    [QUANT_Q8_0] = {{0, 2, UNIT_HALF, 0}, {2, 32, UNIT_WORD, 0}},
    [QUANT_Q2_K] = {{0, 80, UNIT_WORD, 0}, {80, 4, UNIT_HALF, 0}},
    [QUANT_Q3_K] = {{96, 12, UNIT_WORD, 0},
                    {32, 32, UNIT_PAIR, 0},
                    {64, 32, UNIT_WORD, 0},
                    {108, 2, UNIT_HALF, 0}},
    [QUANT_Q4_K] = {{4, 140, UNIT_WORD, 0}, {0, 4, UNIT_HALF, 0}},
    [QUANT_Q5_K] = {{4, 12, UNIT_WORD, 0},
                    {48, 32, UNIT_PAIR, 16},
                    {80, 96, UNIT_WORD, 0},
                    {0, 4, UNIT_HALF, 0}},
    [QUANT_Q6_K] = {{192, 16, UNIT_WORD, 0},
                    {0, 32, UNIT_PAIR, 128},
                    {32, 32, UNIT_WORD, 0},
                    {64, 32, UNIT_PAIR, 160},
                    {96, 32, UNIT_WORD, 0},
                    {208, 2, UNIT_HALF, 0}},
    [QUANT_IQ4_NL] = {{0, 2, UNIT_HALF, 0}, {2, 16, UNIT_WORD, 0}},
    [QUANT_IQ4_XS] = {{0, 4, UNIT_HALF, 0}, {4, 132, UNIT_WORD, 0}},
    [QUANT_MXFP4] = {{0, 1, UNIT_BYTE, 0}, {1, 16, UNIT_WORD, 0}},
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

/* Units of `size` bytes: unit u of row r becomes number u * step + r. */
static inline void pack_units(const uint8_t *w, size_t stride, const size_t size, size_t rows,
                              size_t units, size_t step, uint8_t *to) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t u = 0; u < units; u++) {
            memcpy(to + size * (u * step + r), w + r * stride + size * u, size);
        }
    }
}

typedef uint32_t words4 __attribute__((vector_size(16)));

/* Four words of sixteen rows, which are to lie `step` bytes apart. */
static inline void pack_square(const uint8_t *w, size_t stride, size_t step, uint8_t *to) {
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
        memcpy(to + 4 * r + step, &b, sizeof b);
        memcpy(to + 4 * r + 2 * step, &c, sizeof c);
        memcpy(to + 4 * r + 3 * step, &d, sizeof d);
    }
}

/* Words whose numbers are `step` apart, as for pack_units. */
static void pack_words(const uint8_t *w, size_t stride, size_t rows, size_t words, size_t step,
                       uint8_t *to) {
    size_t u = 0;
    for (; rows == PACKED_ROWS && u + 4 <= words; u += 4) {
        pack_square(w + 4 * u, stride, 4 * step, to + 4 * step * u);
    }
    pack_units(w + 4 * u, stride, 4, rows, words - u, step, to + 4 * step * u);
}

static void turn_words(uint8_t *to) {
    uint32_t word[PACKED_ROWS];
    memcpy(word, to, sizeof word);
    for (size_t r = 0; r < PACKED_ROWS; r++) {
        word[r] = turn_bits(word[r]);
    }
    memcpy(to, word, sizeof word);
}

/* Bytes of a field, and of its other one, in a row's block. */
static size_t field_bytes(const field *f) {
    return f->unit == UNIT_PAIR ? 2 * f->bytes : f->bytes;
}

/* One block of up to sixteen rows. */
static void pack_block(const field *f, const uint8_t *block, size_t stride, size_t rows,
                       uint8_t *to) {
    for (; f->bytes; f++) {
        const uint8_t *const w = block + f->from;
        const size_t words = f->bytes / 4;
        switch (f->unit) {
        case UNIT_BYTE:
            pack_units(w, stride, 1, rows, f->bytes, PACKED_ROWS, to);
            break;
        case UNIT_HALF:
            pack_units(w, stride, 2, rows, f->bytes / 2, PACKED_ROWS, to);
            break;
        case UNIT_WORD:
            pack_words(w, stride, rows, words, PACKED_ROWS, to);
            break;
        case UNIT_TURNED:
            pack_words(w, stride, rows, words, PACKED_ROWS, to);
            turn_words(to);
            break;
        case UNIT_PAIR:
            pack_words(w, stride, rows, words, 2 * PACKED_ROWS, to);
            pack_words(block + f->other, stride, rows, words, 2 * PACKED_ROWS,
                       to + 4 * PACKED_ROWS);
            break;
        }
        to += PACKED_ROWS * field_bytes(f);
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

/* The reverse of pack_units for one row, of which `panel` has the first unit. */
static void unpack_units(const uint8_t *panel, size_t size, size_t units, size_t step,
                         uint8_t *to) {
    for (size_t u = 0; u < units; u++) {
        memcpy(to + size * u, panel + size * step * u, size);
    }
}

/* One row's part of a panel's block. */
static void unpack_block(const field *f, const uint8_t *panel, size_t row, uint8_t *to) {
    for (; f->bytes; f++) {
        const size_t size = f->unit == UNIT_BYTE ? 1 : f->unit == UNIT_HALF ? 2 : 4;
        const size_t step = f->unit == UNIT_PAIR ? 2 * PACKED_ROWS : PACKED_ROWS;
        unpack_units(panel + size * row, size, f->bytes / size, step, to + f->from);
        if (f->unit == UNIT_PAIR) {
            unpack_units(panel + size * (PACKED_ROWS + row), size, f->bytes / size, step,
                         to + f->other);
        }
        if (f->unit == UNIT_TURNED) {
            uint32_t word;
            memcpy(&word, to + f->from, sizeof word);
            word = turn_bits_back(word);
            memcpy(to + f->from, &word, sizeof word);
        }
        panel += PACKED_ROWS * field_bytes(f);
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
