/* packed_products.c - the tile loops around the products of packed weights. */
#include "kernels/x86/packed_products.h"

#include <assert.h>
#include <immintrin.h>

enum {
    STRETCH = 1024,      /* values: of a group they stay in L1, of a tile's panels in L2 */
    STRETCH_ONE = 65536, /* values, with one activation row, which is not copied */
    TILE_ROWS = 256,     /* weight rows that meet a group while it is interleaved, */
    EXPAND_ROWS = 128,   /* and fewer where their stretch is expanded */
    EXPAND_GROUPS = 3,   /* with fewer groups of activation rows it does not pay */
    QUARTERS = 4,        /* that are read at a time where panels take turns */
    EXPANDED_MAX = 46,   /* most bytes that 32 values expand to, with their scales */
};

/* Where a group's parts go in the scratch. */
typedef struct group_memory {
    uint8_t *values;
    float *scales;
    int32_t *start;
    float *float_sums;
    int16_t *pair_sums;
    uint8_t *expanded;
} group_memory;

static group_memory group_memory_at(void *scratch) {
    enum {
        VALUES = STRETCH * PACKED_GROUP_MAX,
        BLOCKS = STRETCH_ONE / 32 > VALUES / 32 ? STRETCH_ONE / 32 : VALUES / 32,
        FLOATS = 4 * BLOCKS,
        SUMS = 4 * BLOCKS,
        EXPANDED = EXPAND_ROWS * STRETCH / 32 * EXPANDED_MAX,
    };
    static_assert(VALUES + 3 * FLOATS + SUMS + EXPANDED <= KERNEL_SCRATCH_BYTES,
                  "all of it fits into the scratch");
    uint8_t *at = scratch;
    return (group_memory){
        .values = at,
        .scales = (float *)(void *)(at + VALUES),
        .start = (int32_t *)(void *)(at + VALUES + FLOATS),
        .float_sums = (float *)(void *)(at + VALUES + 2 * FLOATS),
        .pair_sums = (int16_t *)(void *)(at + VALUES + 3 * FLOATS),
        .expanded = at + VALUES + 3 * FLOATS + SUMS,
    };
}

/* to[k][4 of `rows`] = word k of four rows `stride` bytes apart, for `words`, a multiple of 4. */
static void interleave_four(const uint8_t *from, size_t stride, size_t words, size_t rows,
                            uint8_t *to) {
    const uint8_t *a = from, *b = from + stride, *c = from + 2 * stride, *d = from + 3 * stride;
    for (size_t k = 0; k < words; k += 4, to += 16 * rows) {
        const __m128i va = _mm_loadu_si128((const __m128i *)(const void *)(a + 4 * k));
        const __m128i vb = _mm_loadu_si128((const __m128i *)(const void *)(b + 4 * k));
        const __m128i vc = _mm_loadu_si128((const __m128i *)(const void *)(c + 4 * k));
        const __m128i vd = _mm_loadu_si128((const __m128i *)(const void *)(d + 4 * k));
        const __m128i ab = _mm_unpacklo_epi32(va, vb), cd = _mm_unpacklo_epi32(vc, vd);
        const __m128i ab_high = _mm_unpackhi_epi32(va, vb), cd_high = _mm_unpackhi_epi32(vc, vd);
        _mm_store_si128((__m128i *)(void *)to, _mm_unpacklo_epi64(ab, cd));
        _mm_store_si128((__m128i *)(void *)(to + 4 * rows), _mm_unpackhi_epi64(ab, cd));
        _mm_store_si128((__m128i *)(void *)(to + 8 * rows), _mm_unpacklo_epi64(ab_high, cd_high));
        _mm_store_si128((__m128i *)(void *)(to + 12 * rows), _mm_unpackhi_epi64(ab_high, cd_high));
    }
}

/* to[k][rows] = word k, of 4 bytes, of each of the rows. */
static void interleave(const uint8_t *from, size_t stride, size_t words, size_t rows, void *to) {
    size_t k = 0;
    if (rows % 4 == 0) {
        k = words / 4 * 4;
        for (size_t i = 0; i < rows; i += 4) {
            interleave_four(from + i * stride, stride, k, rows, (uint8_t *)to + 4 * i);
        }
    }
    for (; k < words; k++) {
        for (size_t i = 0; i < rows; i++) {
            memcpy((uint8_t *)to + 4 * (k * rows + i), from + i * stride + 4 * k, 4);
        }
    }
}

/* The sums of a row that go with a type of 32. */
static void block_sums(const packed_kernel *kernel, const int16_t *sums, size_t n_block,
                       int32_t *start, float *float_sums) {
    for (size_t b = 0; b < n_block; b++) {
        const int32_t sum = sums[2 * b] + sums[2 * b + 1];
        start[b] = -kernel->offset * sum;
        float_sums[b] = (float)sum;
    }
}

static void interleave_block_sums(const packed_kernel *kernel, const q8_rows *x, size_t from,
                                  size_t n_block, size_t rows, const group_memory *to) {
    int32_t start[PACKED_GROUP_MAX][STRETCH / 32];
    float float_sums[PACKED_GROUP_MAX][STRETCH / 32];
    for (size_t i = 0; i < rows; i++) {
        block_sums(kernel, q8_sums(x, i) + 2 * from, n_block, start[i], float_sums[i]);
    }
    interleave((const uint8_t *)start, sizeof *start, n_block, rows, to->start);
    interleave((const uint8_t *)float_sums, sizeof *float_sums, n_block, rows, to->float_sums);
}

/* Sums of 32 values, which fit too, from sums of 16. */
static void sums_of_32(const int16_t *of_16, size_t n, int16_t *to) {
    for (size_t g = 0; g < n; g++) {
        to[g] = (int16_t)(of_16[2 * g] + of_16[2 * g + 1]);
    }
}

/* The sums of a type's groups, two in a word. */
static void interleave_pair_sums(const packed_kernel *kernel, const q8_rows *x, size_t from,
                                 size_t n_block, size_t rows, const group_memory *to) {
    const size_t words = 128 / kernel->group * n_block;
    if (kernel->group == 16) {
        interleave((const uint8_t *)(q8_sums(x, 0) + 16 * from), x->stride, words, rows,
                   to->pair_sums);
        return;
    }
    int16_t sums[PACKED_GROUP_MAX][STRETCH / 32];
    for (size_t i = 0; i < rows; i++) {
        sums_of_32(q8_sums(x, i) + 16 * from, 2 * words, sums[i]);
    }
    interleave((const uint8_t *)sums, sizeof *sums, words, rows, to->pair_sums);
}

/* Blocks [from, from + n_block) of a single row, of which only sums need a form of their own. */
static packed_group take_row(const packed_kernel *kernel, const q8_rows *x, size_t from,
                             size_t n_block, const group_memory *to) {
    const int16_t *sums = q8_sums(x, 0) + from * kernel->block_length / 16;
    packed_group group = {
        .values = q8_values(x, 0) + from * kernel->block_length,
        .scales = q8_scales(x, 0) + from,
        .start = to->start,
        .float_sums = to->float_sums,
        .pair_sums = kernel->group == 16 ? sums : to->pair_sums,
        .is_first = from == 0,
    };
    if (kernel->block_length == 32) {
        block_sums(kernel, sums, n_block, to->start, to->float_sums);
    } else if (kernel->group == 32) {
        sums_of_32(sums, 8 * n_block, to->pair_sums);
    }
    return group;
}

/* Blocks [from, from + n_block) of `rows` rows, interleaved. */
static packed_group make_group(const packed_kernel *kernel, const q8_rows *x, size_t from,
                               size_t n_block, size_t rows, const group_memory *to) {
    const size_t length = kernel->block_length;
    interleave(q8_values(x, 0) + from * length, x->stride, n_block * length / 4, rows, to->values);
    interleave((const uint8_t *)(q8_scales(x, 0) + from), x->stride, n_block, rows, to->scales);
    if (length == 32) {
        interleave_block_sums(kernel, x, from, n_block, rows, to);
    } else {
        interleave_pair_sums(kernel, x, from, n_block, rows, to);
    }
    return (packed_group){to->values,     to->scales,    to->start,
                          to->float_sums, to->pair_sums, from == 0};
}

/* Panels one after the other, as they are or expanded; only `lanes` of the last one's rows may be
 * rows of the matrix. */
typedef struct panels {
    const uint8_t *first;
    size_t stride;
    size_t n_out;
    size_t count; /* blocks */
    packed_times *times;
    bool take_turns; /* with one activation row */
} panels;

/* The blocks of the panel with row r. `next` is read after the last panel. */
static packed_blocks panel_with(const panels *p, size_t r, const uint8_t *next) {
    const uint8_t *first = p->first + r / PACKED_ROWS * p->stride;
    const bool is_last = r + PACKED_ROWS >= p->n_out;
    const size_t to_next = is_last ? (size_t)((uintptr_t)next - (uintptr_t)first) : p->stride;
    return (packed_blocks){first, p->count, to_next, 1, 0};
}

/* A panel of which only some lanes are rows of the matrix. */
static void ragged_panel(const panels *p, const packed_blocks *w, size_t lanes,
                         const packed_group *x, size_t rows, float *y, size_t y_stride) {
    float tile[PACKED_GROUP_MAX * PACKED_ROWS] = {0};
    for (size_t i = 0; i < rows && !x->is_first; i++) {
        memcpy(tile + i * PACKED_ROWS, y + i * y_stride, lanes * sizeof(float));
    }
    p->times(w, x, rows, tile, PACKED_ROWS);
    for (size_t i = 0; i < rows; i++) {
        memcpy(y + i * y_stride, tile + i * PACKED_ROWS, lanes * sizeof(float));
    }
}

/* One activation row, which meets a panel of each quarter at a time. Returns for how many weight
 * rows that was done: a multiple of four panels. */
static size_t quarters_times_row(const panels *p, const packed_group *x, float *y) {
    const size_t quarter = p->n_out / (QUARTERS * PACKED_ROWS);
    for (size_t i = 0; i < quarter; i++) {
        const packed_blocks w = {p->first + i * p->stride, p->count, 0, QUARTERS,
                                 quarter * p->stride};
        p->times(&w, x, 1, y + i * PACKED_ROWS, quarter * PACKED_ROWS);
    }
    return quarter * QUARTERS * PACKED_ROWS;
}

static void panels_times_group(const panels *p, const uint8_t *next, const packed_group *x,
                               size_t rows, float *y, size_t y_stride) {
    size_t r = p->take_turns && rows == 1 ? quarters_times_row(p, x, y) : 0;
    for (; r < p->n_out; r += PACKED_ROWS) {
        const packed_blocks w = panel_with(p, r, next);
        if (r + PACKED_ROWS <= p->n_out) {
            p->times(&w, x, rows, y + r, y_stride);
        } else {
            ragged_panel(p, &w, p->n_out - r, x, rows, y + r, y_stride);
        }
    }
}

static bool expands(const packed_kernel *kernel, size_t n_row) {
    return kernel->expand && n_row >= EXPAND_GROUPS * kernel->rows;
}

static panels expand_panels(const packed_kernel *kernel, const panels *p, uint8_t *to) {
    const size_t stride = PACKED_ROWS * kernel->expanded_bytes * p->count;
    for (size_t r = 0; r < p->n_out; r += PACKED_ROWS) {
        const packed_blocks w = panel_with(p, r, to);
        kernel->expand(&w, to + r / PACKED_ROWS * stride);
    }
    return (panels){to, stride, p->n_out, p->count, kernel->expanded_times, false};
}

/* Blocks [from, from + p->count) with all activation rows, a group at a time. `next` is the panel
 * that is read afterwards. */
static void panels_times_rows(const packed_kernel *kernel, const panels *p, const uint8_t *next,
                              const q8_rows *x, size_t from, size_t n_row, float *y,
                              size_t y_stride, const group_memory *memory) {
    panels expanded = *p;
    size_t in_group = kernel->rows;
    if (expands(kernel, n_row)) {
        expanded = expand_panels(kernel, p, memory->expanded);
    }
    for (size_t i = 0; i < n_row; i += in_group) {
        while (n_row - i < in_group) {
            in_group /= 2;
        }
        const q8_rows here = q8_rows_from(x, i);
        const packed_group group = in_group > 1
                                       ? make_group(kernel, &here, from, p->count, in_group, memory)
                                       : take_row(kernel, &here, from, p->count, memory);
        const panels *w = in_group == kernel->rows ? &expanded : p;
        panels_times_group(w, i + in_group < n_row ? w->first : next, &group, in_group,
                           y + i * y_stride, y_stride);
    }
}

void packed_matmul(const packed_kernel *kernel, size_t n_out, size_t n_row, size_t n_in,
                   const void *w, size_t w_stride, const void *x, size_t x_stride, float *y,
                   size_t y_stride, void *scratch) {
    assert(n_out > 0 && n_row > 0 && n_in > 0 && n_in % kernel->block_length == 0);
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0 && (uintptr_t)scratch % 64 == 0);
    const q8_rows rows = q8_rows_view(x, x_stride, n_in, kernel->block_length);
    const group_memory memory = group_memory_at(scratch);
    const size_t n_block = n_in / kernel->block_length;
    const size_t stretch = (n_row == 1 ? STRETCH_ONE : STRETCH) / kernel->block_length;
    const size_t tile_rows = expands(kernel, n_row) ? EXPAND_ROWS : TILE_ROWS;
    for (size_t r = 0; r < n_out; r += tile_rows) {
        const uint8_t *tile = (const uint8_t *)w + r * w_stride;
        for (size_t from = 0; from < n_block; from += stretch) {
            const panels p = {
                .first = tile + from * PACKED_ROWS * kernel->block_bytes,
                .stride = PACKED_ROWS * w_stride,
                .n_out = n_out - r < tile_rows ? n_out - r : tile_rows,
                .count = n_block - from < stretch ? n_block - from : stretch,
                .times = kernel->times,
                .take_turns = kernel->block_length == 32,
            };
            const uint8_t *next = from + stretch < n_block
                                      ? p.first + stretch * PACKED_ROWS * kernel->block_bytes
                                      : tile + tile_rows * w_stride;
            panels_times_rows(kernel, &p, next, &rows, from, n_row, y + r, y_stride, &memory);
        }
    }
}
