/* test_model.h - a model built from bytes in memory, without its tokenizer, and logits from it. */
#ifndef SUPPORT_TEST_MODEL_H
#define SUPPORT_TEST_MODEL_H

#include "engine/executor.h"

typedef struct test_model {
    uint8_t *bytes; /* owned, if read from a file or widened */
    model_file file;
    program p;
    residency *weights;
} test_model;

/* Reads a whole file; aborts the test where that fails. */
uint8_t *test_read_file(const char *path, size_t *size);

/* The bytes must live as long as the model. */
sl_status test_model_build(const uint8_t *bytes, size_t size, test_model *m, sl_error *error);
/* The same with BF16 weights as F32, so that activations are not rounded where they meet them. */
sl_status test_model_build_widened(const uint8_t *bytes, size_t size, test_model *m,
                                   sl_error *error);
void test_model_free(test_model *m);

/* Options that suit most tests: one thread, one sequence, f32 cache. */
executor_options test_options(size_t n_positions);

/* Runs all tokens as sequence 0 in chunks and returns the logits of each, [n][n_vocab], for the
 * caller to free; NULL with *error filled on failure. */
float *test_logits(const test_model *m, const executor_options *options, const int32_t *tokens,
                   size_t n, size_t chunk, sl_error *error);

/* Comma-separated numbers, for the caller to free. */
int32_t *test_read_tokens(const char *path, size_t *count);

/* The largest difference of n values, as a share of the range of what is expected; a NaN stays. */
double test_distance(const float *found, const float *expected, size_t n);

/* The floats of a little-endian float32 NPY file, for the caller to free. */
float *test_read_npy(const char *path, size_t *count);

#endif
