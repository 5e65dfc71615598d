/* cpu.c - finds the instruction sets that the processor has and the system allows. */
#include "cpu/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

/* ---- detection ---------------------------------------------------------------------------------
 */

#if defined(__x86_64__)

static bool has_bit(unsigned word, int bit) {
    return word >> bit & 1;
}

/* Which register parts the system saves on a switch of tasks (XCR0). */
static uint64_t saved_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Bits as in Intel's manual, volume 2, CPUID; AMD's agree. */
static uint32_t detect(void) {
    enum { SAVES_YMM = 0x06, SAVES_ZMM = 0xe6 };
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) {
        return 0;
    }
    const bool has_xgetbv = has_bit(c, 27);
    const bool has_fma_f16c = has_bit(c, 12) && has_bit(c, 29) && has_bit(c, 28);
    const uint64_t saved = has_xgetbv ? saved_state() : 0;
    if ((saved & SAVES_YMM) != SAVES_YMM || !has_fma_f16c ||
        !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has_bit(b, 5)) {
        return 0;
    }
    uint32_t features = CPU_AVX2;
    const bool has_avx512 = has_bit(b, 16) && has_bit(b, 30) && has_bit(b, 17) && has_bit(b, 31) &&
                            has_bit(b, 28) && (saved & SAVES_ZMM) == SAVES_ZMM;
    if (has_avx512) {
        features |= CPU_AVX512;
        features |= has_bit(c, 11) ? CPU_AVX512_VNNI : 0;
        features |= has_bit(c, 1) ? CPU_AVX512_VBMI : 0;
    }
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
        features |= has_bit(a, 4) ? CPU_AVX_VNNI : 0;
        features |= has_avx512 && has_bit(a, 5) ? CPU_AVX512_BF16 : 0;
    }
    return features;
}

#elif defined(__aarch64__) && defined(__linux__)

/* Bits of AT_HWCAP and AT_HWCAP2 as the Linux kernel defines them for arm64. */
static uint32_t detect(void) {
    enum { ASIMD = 1 << 1, ASIMDDP = 1 << 20, I8MM = 1 << 13 };
    const unsigned long capabilities = getauxval(AT_HWCAP);
    uint32_t features = capabilities & ASIMD ? CPU_NEON : 0;
    if (capabilities & ASIMDDP) {
        features |= CPU_NEON_DOTPROD;
        features |= getauxval(AT_HWCAP2) & I8MM ? CPU_NEON_I8MM : 0;
    }
    return features;
}

#else

static uint32_t detect(void) {
    return 0;
}

#endif

/* ---- the mask and the text ----------------------------------------------------------------------
 */

static const struct {
    const char *word;
    uint32_t keeps;
} masks[] = {
    {"plain", 0},
    {"avx2", CPU_AVX2},
    {"avxvnni", CPU_AVX2 | CPU_AVX_VNNI},
    {"avx512", CPU_AVX2 | CPU_AVX512},
    {"neon", CPU_NEON},
    {"dotprod", CPU_NEON | CPU_NEON_DOTPROD},
};

static const struct {
    uint32_t bit;
    const char *word;
} words[] = {
    {CPU_AVX2, "avx2"},        {CPU_AVX_VNNI, "avxvnni"},     {CPU_AVX512, "avx512"},
    {CPU_AVX512_VNNI, "vnni"}, {CPU_AVX512_VBMI, "vbmi"},     {CPU_AVX512_BF16, "bf16"},
    {CPU_NEON, "neon"},        {CPU_NEON_DOTPROD, "dotprod"}, {CPU_NEON_I8MM, "i8mm"},
};

/* Written once under `once`, then only read. */
static struct {
    uint32_t features;
    char error[64]; /* empty: none */
    char text[80];  /* all words and the spaces between them fit */
} found;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void apply_mask(const char *mask) {
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        if (strcmp(mask, masks[i].word) == 0) {
            found.features &= masks[i].keeps;
            return;
        }
    }
    strncpy(found.error, mask, sizeof found.error - 1);
}

static void look(void) {
    found.features = detect();
    const char *mask = getenv("SLUICE_CPU");
    if (mask && *mask) {
        apply_mask(mask);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (found.features & words[i].bit) {
            strcat(found.text, found.text[0] ? " " : "");
            strcat(found.text, words[i].word);
        }
    }
    if (!found.text[0]) {
        strcpy(found.text, "plain");
    }
}

uint32_t cpu_features(void) {
    pthread_once(&once, look);
    return found.features;
}

const char *cpu_mask_error(void) {
    pthread_once(&once, look);
    return found.error[0] ? found.error : NULL;
}

const char *cpu_features_text(void) {
    pthread_once(&once, look);
    return found.text;
}
