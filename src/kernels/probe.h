/* probe.h - loops that do nothing but reach a limit of this processor: reading memory, and the
 * products of each number format in registers. What kernels achieve is compared with them.
 *
 * Filled like the table of kernels: the plain C, then what each instruction-set level has better.
 */
#ifndef KERNELS_PROBE_H
#define KERNELS_PROBE_H

#include <stddef.h>
#include <stdint.h>

typedef enum probe_format { PROBE_INT8 = 0, PROBE_BF16, PROBE_F32, PROBE_FORMATS } probe_format;

/* Ways to read: one after the other; the same with prefetches some lines ahead; four places at
 * once. Which is fastest depends on the processor. */
typedef enum probe_read {
    PROBE_READ_FORWARD = 0,
    PROBE_READ_PREFETCH,
    PROBE_READ_STREAMS,
    PROBE_READS,
} probe_read;

typedef struct probe_arithmetic {
    const char *instructions; /* "avx512 vnni" */
    double operations;        /* of a round; a product and its addition are two */
    /* Runs so many rounds. What it returns only says that the work was needed. */
    uint64_t (*run)(size_t rounds);
} probe_arithmetic;

typedef struct probe_table {
    /* Reads `size` bytes (a multiple of 4096) at a multiple of 64 and returns their xor. */
    uint64_t (*read[PROBE_READS])(const uint8_t *bytes, size_t size);
    probe_arithmetic arithmetic[PROBE_FORMATS];
} probe_table;

/* The best loops for `features` (CPU_* bits). Formats without instructions of their own have those
 * of f32, to which their values are turned first. */
void probe_table_fill(probe_table *table, uint32_t features);

/* "one stream", "one stream with prefetch", "four streams" */
const char *probe_read_name(probe_read read);

/* ---- the levels, private to kernels/ -------------------------------------------------------- */

#if defined(__x86_64__)
void probe_fill_avx2(probe_table *table);
void probe_fill_avxvnni(probe_table *table);
void probe_fill_avx512(probe_table *table);
void probe_fill_avx512vnni(probe_table *table);
void probe_fill_avx512bf16(probe_table *table);
#elif defined(__aarch64__)
void probe_fill_neon(probe_table *table);
void probe_fill_dotprod(probe_table *table);
void probe_fill_i8mm(probe_table *table);
#endif

#endif
