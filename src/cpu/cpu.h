/* cpu.h - what this processor can do, and the mask that hides some of it. */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <stdint.h>

enum {
    CPU_AVX2 = 1 << 0,        /* AVX2, FMA, F16C, and the system saves ymm registers */
    CPU_AVX_VNNI = 1 << 1,    /* VPDPBUSD on ymm, VEX-encoded; with CPU_AVX2 */
    CPU_AVX512 = 1 << 2,      /* AVX-512 F, BW, DQ, VL, CD; zmm saved */
    CPU_AVX512_VNNI = 1 << 3, /* with CPU_AVX512 */
    CPU_AVX512_VBMI = 1 << 4,
    CPU_AVX512_BF16 = 1 << 5,
    CPU_NEON = 1 << 6,
    CPU_NEON_DOTPROD = 1 << 7,
    CPU_NEON_I8MM = 1 << 8, /* with CPU_NEON_DOTPROD */
};

/* What the processor has, less what the environment variable SLUICE_CPU hides: "plain" leaves
 * nothing; "avx2" AVX2 without VNNI, "avxvnni" AVX2 and its VNNI; "avx512" AVX-512 without VNNI and
 * BF16; "neon" neither dot nor matrix products, "dotprod" all but matrix products. Unknown words
 * hide nothing and are reported by cpu_mask_error. Read once; thread-safe. */
uint32_t cpu_features(void);

/* What SLUICE_CPU holds if it is not understood, else NULL. */
const char *cpu_mask_error(void);

/* "avx2 avx512 vnni bf16", or "plain". Static storage. */
const char *cpu_features_text(void);

#endif
