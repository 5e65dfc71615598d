/* test_kernels.c - every kernel against plain C, bit for bit, and plain C against float64.
 *
 *   test_kernels [--seed N] [--speed]
 *
 * The table is filled as it would be on every lesser processor of this one's kind, and as it is
 * here; each is compared with the plain one, in a third of the sizes if TEST_QUICK is set. --speed
 * measures instead of testing. Ends with a line "N passed, N failed".
 */
#include "kernel_compare.h"
#include "kernel_exact.h"
#include "kernel_speed.h"

#include "cpu/cpu.h"
#include "support/quick.h"

enum { TABLES_MAX = 33 };

/* The features are bits from lesser to greater; a lesser processor has those below some bit. */
static size_t fill_tables(kernel_table *tables) {
    const uint32_t features = cpu_features();
    size_t count = 0;
    kernel_table_fill(&tables[count++], 0);
    for (uint32_t bit = 1; bit != 0 && bit <= features; bit <<= 1) {
        if (features & bit) {
            kernel_table_fill(&tables[count], features & (bit | (bit - 1)));
            const bool is_new = memcmp(&tables[count], &tables[count - 1], sizeof *tables) != 0;
            count += is_new;
        }
    }
    return count;
}

int main(int argc, char **argv) {
    uint64_t seed = 20261120;
    bool is_speed = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--speed") == 0) {
            is_speed = true;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 10);
        } else {
            printf("usage: test_kernels [--seed N] [--speed]\n");
            return 2;
        }
    }
    static kernel_table tables[TABLES_MAX];
    const size_t n_table = fill_tables(tables);
    printf("processor: %s; seed %llu\n", cpu_features_text(), (unsigned long long)seed);
    random_seed(&rng, seed);
    kernel_set_float_mode();
    if (is_speed) {
        for (size_t t = 0; t < n_table; t++) {
            speed_of_table(&tables[t]);
        }
        return 0;
    }
    step = quick_or(3, 1);
    exact_products(&tables[0]);
    exact_fma16();
    exact_q8_rows(&tables[0]);
    exact_vectors(&tables[0]);
    compare_set_up();
    for (size_t t = 1; t < n_table; t++) {
        compare_tables(&tables[0], &tables[t - 1], &tables[t]);
    }
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0;
}
