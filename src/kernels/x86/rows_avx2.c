/* rows_avx2.c - activation rows in their forms, and decoding of what keys, values and embeddings
 * are kept in, in AVX2. */
#include "kernels/x86/parts.h"
#include "kernels/x86/q8_rows.h"

#include <immintrin.h>
#include <math.h>

/* ---- rows of 8-bit values -------------------------------------------------------------------- */

/* The bits of the largest magnitude of 32 values: magnitudes are ordered as their bits are, with
 * infinities and NaNs above all numbers. */
X86_INLINE __m256i largest_bits(const float *x, __m256i largest) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    for (size_t k = 0; k < 32; k += 8) {
        const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x + k));
        largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, magnitude));
    }
    return largest;
}

X86_INLINE float largest_of(__m256i lanes) {
    __m128i v = _mm_max_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(v));
}

X86_INLINE __m256i nearest(const float *x, __m256 inverse) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
}

/* 32 values, and the sums of both halves. */
X86_INLINE void make_32(const float *x, __m256 inverse, int8_t *value, int16_t *sum) {
    const __m256i a = nearest(x, inverse), b = nearest(x + 8, inverse);
    const __m256i c = nearest(x + 16, inverse), d = nearest(x + 24, inverse);
    /* Packing works within 128-bit halves; the permutation puts the dwords in order. */
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_store_si256((__m256i *)(void *)value, _mm256_permutevar8x32_epi32(bytes, order));

    __m256i sums = _mm256_hadd_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
    sums = _mm256_hadd_epi32(sums, sums); /* dword 0: first sum, dword 1: second, of each half */
    const __m128i both =
        _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    sum[0] = (int16_t)_mm_extract_epi32(both, 0);
    sum[1] = (int16_t)_mm_extract_epi32(both, 1);
}

X86_INLINE void make_block(const float *x, const size_t block, int8_t *value, float *scale,
                           int16_t *sum) {
    __m256i bits = _mm256_setzero_si256();
    for (size_t k = 0; k < block; k += 32) {
        bits = largest_bits(x + k, bits);
    }
    const float amax = largest_of(bits);
    const float inverse = 127 / amax;
    if (!(amax <= __FLT_MAX__) || !(inverse <= __FLT_MAX__)) {
        /* Not finite; or zero, or nearly (below 2^-121). */
        *scale = amax <= __FLT_MAX__ ? 0 : NAN;
        memset(value, 0, block);
        memset(sum, 0, block / 16 * sizeof *sum);
        return;
    }
    *scale = amax / 127;
    for (size_t k = 0; k < block; k += 32) {
        make_32(x + k, _mm256_set1_ps(inverse), value + k, sum + k / 16);
    }
}

X86_INLINE void make_q8(const float *x, size_t n, const size_t block, void *row) {
    uint8_t *bytes = row;
    int8_t *value = row;
    float *scale = (float *)(void *)(bytes + kernel_q8_scales_at(n));
    int16_t *sum = (int16_t *)(void *)(bytes + kernel_q8_sums_at(n, block));
    for (size_t k = 0; k < n; k += block, sum += block / 16) {
        make_block(x + k, block, value + k, scale++, sum);
    }
}

static void make_row_q8_32(const float *x, size_t n, void *row) {
    make_q8(x, n, 32, row);
}

static void make_row_q8_256(const float *x, size_t n, void *row) {
    make_q8(x, n, 256, row);
}

/* ---- bfloat16 rows --------------------------------------------------------------------------- */

/* The upper halves, rounded to nearest even; a NaN stays one and becomes quiet. Subnormals are
 * kept, which the instruction for this would not do. */
X86_INLINE __m256i rounded_bf16(__m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i round = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    const __m256i number = _mm256_add_epi32(bits, round);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    return _mm256_srli_epi32(_mm256_blendv_epi8(number, quiet, is_nan), 16);
}

static void make_row_bf16(const float *x, size_t n, void *row) {
    uint16_t *to = row;
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        const __m256i low = rounded_bf16(_mm256_loadu_ps(x + k));
        const __m256i high = rounded_bf16(_mm256_loadu_ps(x + k + 8));
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
        _mm256_store_si256((__m256i *)(void *)(to + k), words);
    }
    for (; k < n; k++) {
        to[k] = quant_f32_to_bf16(x[k]);
    }
}

/* ---- decoding -------------------------------------------------------------------------------- */

X86_INLINE __m256 from_f16(__m128i h) {
    return _mm256_cvtph_ps(h);
}

X86_INLINE __m256 from_bf16(__m128i h) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

X86_INLINE void decode_halves(__m256 (*from)(__m128i), const void *blocks, float *values,
                              size_t n) {
    const uint8_t *p = blocks;
    size_t k = 0;
    for (; k + 8 <= n; k += 8) {
        _mm256_storeu_ps(values + k,
                         from(_mm_loadu_si128((const __m128i *)(const void *)(p + 2 * k))));
    }
    if (k < n) {
        uint16_t last[8] = {0};
        float decoded[8];
        memcpy(last, p + 2 * k, 2 * (n - k));
        _mm256_storeu_ps(decoded, from(_mm_loadu_si128((const __m128i *)(const void *)last)));
        memcpy(values + k, decoded, (n - k) * sizeof *values);
    }
}

static void decode_f16(const void *blocks, float *values, size_t n) {
    decode_halves(from_f16, blocks, values, n);
}

static void decode_bf16(const void *blocks, float *values, size_t n) {
    decode_halves(from_bf16, blocks, values, n);
}

/* d * q for 16 bytes. */
X86_INLINE void decode_bytes(__m128i q, __m256 d, float *values) {
    const __m256i low = _mm256_cvtepi8_epi32(q);
    const __m256i high = _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(q, q));
    _mm256_storeu_ps(values, _mm256_mul_ps(d, _mm256_cvtepi32_ps(low)));
    _mm256_storeu_ps(values + 8, _mm256_mul_ps(d, _mm256_cvtepi32_ps(high)));
}

X86_INLINE __m256 block_scale(const uint8_t *block) {
    return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(load_u16(block))));
}

static void decode_q8_0(const void *blocks, float *values, size_t n) {
    const uint8_t *p = blocks;
    for (size_t k = 0; k < n; k += 32, p += BLOCKS32_Q8_0_BYTES) {
        const __m128i *q = (const __m128i *)(const void *)(p + 2);
        decode_bytes(_mm_loadu_si128(q), block_scale(p), values + k);
        decode_bytes(_mm_loadu_si128(q + 1), block_scale(p), values + k + 16);
    }
}

static void decode_q4_0(const void *blocks, float *values, size_t n) {
    const __m128i mask = _mm_set1_epi8(15), eight = _mm_set1_epi8(8);
    const uint8_t *p = blocks;
    for (size_t k = 0; k < n; k += 32, p += BLOCKS32_Q4_0_BYTES) {
        const __m128i q = _mm_loadu_si128((const __m128i *)(const void *)(p + 2));
        const __m128i low = _mm_and_si128(q, mask);
        const __m128i high = _mm_and_si128(_mm_srli_epi16(q, 4), mask);
        decode_bytes(_mm_sub_epi8(low, eight), block_scale(p), values + k);
        decode_bytes(_mm_sub_epi8(high, eight), block_scale(p), values + k + 16);
    }
}

void rows_fill_avx2(kernel_table *table) {
    table->make_row[KERNEL_ROW_BF16] = make_row_bf16;
    table->make_row[KERNEL_ROW_Q8_32] = make_row_q8_32;
    table->make_row[KERNEL_ROW_Q8_256] = make_row_q8_256;
    table->decode[QUANT_F16] = decode_f16;
    table->decode[QUANT_BF16] = decode_bf16;
    table->decode[QUANT_Q8_0] = decode_q8_0;
    table->decode[QUANT_Q4_0] = decode_q4_0;
}
