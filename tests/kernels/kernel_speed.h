/* kernel_speed.h - how fast each product of a table is, one thread.
 *
 * One activation row over weights larger than any cache of this class of machine: GB/s of weights.
 * 8 and 64 rows: GOP/s, a product and an addition counted as two.
 */
#ifndef TESTS_KERNEL_SPEED_H
#define TESTS_KERNEL_SPEED_H

#include "kernel_tools.h"

#include "kernels/packed.h"

#include <time.h>

/* Of this thread, so that another program costs less. */
static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Best of several calls within about a quarter of a second, three at least. */
static double best_time(kernel_matmul *matmul, size_t n_out, size_t n_row, size_t n_in,
                        const void *w, size_t w_stride, const void *x, size_t x_stride, float *y,
                        void *scratch) {
    double best = INFINITY, spent = 0;
    for (int call = 0; call < 3 || (spent < 0.25 && call < 100); call++) {
        const double start = seconds();
        matmul(n_out, n_row, n_in, w, w_stride, x, x_stride, y, n_out, scratch);
        const double time = seconds() - start;
        best = fmin(best, time);
        spent += time;
    }
    return best;
}

enum { SPEED_N_IN = 4096, SPEED_N_OUT = 256, SPEED_N_ROW = 64, SPEED_BYTES = 80 << 20 };

static void print_speed(quant_type type, const char *layout, kernel_matmul *matmul,
                        const uint8_t *w, const uint8_t *x, float *y, void *scratch) {
    const size_t w_row = quant_row_bytes(type, SPEED_N_IN), n_out = SPEED_BYTES / w_row;
    const size_t x_row = kernel_row_bytes(kernel_row_of(type), SPEED_N_IN);
    const double one = best_time(matmul, n_out, 1, SPEED_N_IN, w, w_row, x, x_row, y, scratch);
    const double few = best_time(matmul, n_out, 8, SPEED_N_IN, w, w_row, x, x_row, y, scratch);
    const double many =
        best_time(matmul, SPEED_N_OUT, SPEED_N_ROW, SPEED_N_IN, w, w_row, x, x_row, y, scratch);
    const double flop = 2.0 * SPEED_N_IN;
    printf("  %-5s%-7s %7.2f GB/s; %7.2f GOP/s one row, %7.2f 8 rows, %7.2f %d rows\n",
           quant_format_of(type)->name, layout, (double)(n_out * w_row) / one * 1e-9,
           flop * (double)n_out / one * 1e-9, flop * (double)n_out * 8 / few * 1e-9,
           flop * SPEED_N_OUT * SPEED_N_ROW / many * 1e-9, SPEED_N_ROW);
    fflush(stdout);
}

static void speed_of_type(const kernel_table *table, quant_type type, uint8_t *w, uint8_t *x,
                          float *y, void *scratch) {
    static float values[SPEED_N_IN];
    const size_t w_row = quant_row_bytes(type, SPEED_N_IN);
    const size_t x_row = kernel_row_bytes(kernel_row_of(type), SPEED_N_IN);
    const size_t n_out = SPEED_BYTES / w_row;
    for (size_t r = 0; r < n_out; r++) { /* 64 different rows, over and over */
        if (r < 64) {
            random_weights(type, ORDINARY, w + r * w_row, SPEED_N_IN);
        } else {
            memcpy(w + r * w_row, w + (r - 64) * w_row, w_row);
        }
    }
    for (size_t i = 0; i < SPEED_N_ROW; i++) {
        random_floats(ORDINARY, values, SPEED_N_IN);
        table->make_row[kernel_row_of(type)](values, SPEED_N_IN, x + i * x_row);
    }
    print_speed(type, "", table->matmul[type], w, x, y, scratch);
    if (table->matmul_packed[type]) {
        uint8_t *packed = aligned_alloc(64, packed_bytes(type, n_out, SPEED_N_IN));
        if (packed) {
            packed_fill(type, n_out, SPEED_N_IN, w, w_row, packed);
            print_speed(type, " packed", table->matmul_packed[type], packed, x, y, scratch);
        }
        free(packed);
    }
}

static void speed_of_table(const kernel_table *table) {
    printf("speed of %s, one thread, n_in %d:\n", table->name, SPEED_N_IN);
    uint8_t *w = aligned_alloc(64, SPEED_BYTES);
    uint8_t *x = aligned_alloc(64, SPEED_N_ROW * SPEED_N_IN * sizeof(float));
    float *y = aligned_alloc(64, SPEED_BYTES / 4);
    void *scratch = aligned_alloc(64, KERNEL_SCRATCH_BYTES);
    if (!w || !x || !y || !scratch) {
        printf("out of memory\n");
        exit(1);
    }
    for (uint32_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        if (table->matmul[type]) {
            speed_of_type(table, (quant_type)type, w, x, y, scratch);
        }
    }
    free(w);
    free(x);
    free(y);
    free(scratch);
}

#endif
