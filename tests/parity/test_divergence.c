/* What arithmetic on blocks does to the starter model's predictions.
 *
 * For each type two models hold the same numbers: A its matrices in blocks of that type, B the same
 * blocks decoded to F32. They differ in nothing but how products are computed (activations rounded
 * to int8 or bf16, sums in another order), and the mean over positions of
 *
 *     KL = sum over tokens of p_B (log p_B - log p_A)          p = softmax(logits), natural log
 *
 * must not exceed 1e-3. So that the bound means something, one scale of the format is then made 5 %
 * larger in A, in the blocks of one matrix, and the bound must be exceeded.
 */
#include "base/random.h"
#include "formats/gguf.h"
#include "quant/encode.h"
#include "support/gguf_builder.h"
#include "support/test_model.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double bound = 1e-3;

enum { N_TOKEN = 512 }; /* BOS and 511 of the text: the context of the starter model */

/* Used where the excerpt of the held-out text is not there, as often as it takes. */
static const char sentences[] =
    "The prince looked at the old man for a long time and did not answer. \"You will see,\" said "
    "the general, \"that by tomorrow evening nobody will remember it.\" It had rained during the "
    "night, and the road that led down to the river was covered with mud and broken branches. She "
    "put the letter on the table, went to the window, and began to laugh. Nobody in the house knew "
    "when the soldiers would come, or whether they would come at all.\n\n";

typedef struct starter {
    uint8_t *bytes;
    size_t size;
    model_file file;
    int32_t token[N_TOKEN];
    size_t n_vocab;    /* known once a model has run */
    size_t text_bytes; /* that the tokens behind BOS stand for */
} starter;

static starter model;
static float *logits_of_b[QUANT_TYPE_LIMIT]; /* made when first asked for */

/* ---- the model and the text ----------------------------------------------------------------- */

/* Not fmax and fmin: gcc 12 for ARM breaks down (internal error) over vectors of those. */
static double larger(double a, double b) {
    return b > a ? b : a;
}

static bool exists(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f) {
        fclose(f);
    }
    return f != NULL;
}

static uint8_t *read_text(size_t *size) {
    if (exists(TEST_MODELS "/heldout.txt")) {
        return test_read_file(TEST_MODELS "/heldout.txt", size);
    }
    enum { TIMES = 16 };
    *size = TIMES * strlen(sentences);
    uint8_t *text = malloc(*size + 1);
    for (size_t i = 0; i < TIMES; i++) {
        memcpy(text + i * strlen(sentences), sentences, sizeof sentences);
    }
    return text;
}

static void tokenize(void) {
    sl_error error;
    tokenizer *t;
    size_t size;
    uint8_t *text = read_text(&size);
    array ids = array_new(sizeof(int32_t), size + 1);
    if (tokenizer_create(&model.file, &t, &error) != SL_OK ||
        tokenizer_encode(t, (str){(char *)text, size}, SL_TOKENIZE_BOS, &ids, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    assert_true(ids.count >= N_TOKEN);
    memcpy(model.token, ids.items, sizeof model.token);
    for (size_t i = 1; i < N_TOKEN; i++) {
        model.text_bytes += tokenizer_piece(t, model.token[i], false).len;
    }
    array_free(&ids);
    tokenizer_free(t);
    free(text);
}

static int load_starter(void **state) {
    (void)state;
    static const char path[] = TEST_MODELS "/sluice-starter.gguf";
    if (!exists(path)) {
        printf("  models/sluice-starter.gguf is not there: divergence is not tested\n");
        return 0;
    }
    sl_error error;
    model.bytes = test_read_file(path, &model.size);
    if (gguf_parse(model.bytes, model.size, &model.file, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    tokenize();
    return 0;
}

static int unload_starter(void **state) {
    (void)state;
    for (size_t i = 0; i < QUANT_TYPE_LIMIT; i++) {
        free(logits_of_b[i]);
    }
    model_file_free(&model.file);
    free(model.bytes);
    return 0;
}

/* ---- models A and B ------------------------------------------------------------------------- */

static void copy_metadata(gguf_builder *b) {
    char key[256];
    for (size_t i = 0; i < model.file.meta_count; i++) {
        const meta_entry *m = &model.file.meta[i];
        gguf_builder_bytes value = {0};
        if (m->type == META_ARRAY) {
            const uint32_t type = m->element_type;
            gguf_builder_put(&value, &type, sizeof type);
            gguf_builder_put(&value, &m->count, sizeof m->count);
        }
        gguf_builder_put(&value, m->data, m->data_bytes);
        assert_true(m->key.len < sizeof key);
        snprintf(key, sizeof key, "%.*s", (int)m->key.len, m->key.ptr);
        gguf_builder_raw(b, key, m->type, value.data, value.count);
        free(value.data);
    }
}

/* The starter's matrix in blocks of a type, for the caller to free. */
static void *encode(const tensor_entry *t, quant_type type) {
    const size_t n = t->dims[0] * t->dims[1];
    float *values = malloc(n * sizeof *values);
    void *blocks = malloc(quant_row_bytes(type, n));
    quant_format_of(t->type)->decode(t->data, values, n);
    quant_encode(type, values, NULL, blocks, n);
    free(values);
    return blocks;
}

/* An image of the starter: its matrices as blocks of a type, or those decoded. */
static void build(gguf_builder *b, quant_type type, bool decoded) {
    assert_int_equal(model.file.version, 3);
    gguf_builder_init(b, 3);
    copy_metadata(b);
    for (size_t i = 0; i < model.file.tensor_count; i++) {
        const tensor_entry *t = &model.file.tensors[i];
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)t->name.len, t->name.ptr);
        if (t->n_dims == 1) {
            gguf_builder_tensor_add(b, name, t->type, 1, t->dims, t->data);
            continue;
        }
        void *blocks = encode(t, type);
        if (decoded) {
            const size_t n = t->dims[0] * t->dims[1];
            float *values = malloc(n * sizeof *values);
            quant_format_of(type)->decode(blocks, values, n);
            gguf_builder_tensor_add(b, name, QUANT_F32, 2, t->dims, values);
            free(values);
        } else {
            gguf_builder_tensor_add(b, name, type, 2, t->dims, blocks);
        }
        free(blocks);
    }
    gguf_builder_finish(b);
}

/* An f16 of each block of a type. */
typedef struct scale_field {
    quant_type type;
    const char *name;
    size_t offset;
} scale_field;

/* Makes one scale of each block of the matrix of embeddings, which is the output matrix too, 5 %
 * larger. */
static void enlarge_scale(gguf_builder *b, const scale_field *field) {
    const gguf_builder_tensor *t = gguf_builder_tensor_find(b, "token_embd.weight");
    assert_non_null(t);
    const size_t step = quant_format_of(field->type)->block_bytes;
    for (size_t at = field->offset; at < t->data.count; at += step) {
        uint16_t h;
        memcpy(&h, b->image + t->data_at + at, sizeof h);
        h = quant_f32_to_f16(quant_f16_to_f32(h) * 1.05f);
        memcpy(b->image + t->data_at + at, &h, sizeof h);
    }
}

/* Logits of all positions, for the caller to free. */
static float *logits_of(const gguf_builder *b) {
    test_model m;
    sl_error error;
    if (test_model_build(b->image, b->image_bytes, &m, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    executor_options options = test_options(N_TOKEN);
    options.threads = 2;
    float *logits = test_logits(&m, &options, model.token, N_TOKEN, N_TOKEN, &error);
    if (!logits) {
        fail_msg("%s", error.message);
    }
    model.n_vocab = m.p.n_vocab;
    test_model_free(&m);
    return logits;
}

/* ---- comparison ----------------------------------------------------------------------------- */

typedef struct divergence {
    double mean, most; /* KL in nats */
    double largest;    /* difference of two logits */
    double agreement;  /* share of positions whose likeliest token is the same */
    double bits_a, bits_b;
} divergence;

/* log of the sum of exp(x). */
static double log_sum_exp(const float *x, size_t n) {
    double most = (double)x[0], sum = 0;
    for (size_t k = 1; k < n; k++) {
        most = larger(most, (double)x[k]);
    }
    for (size_t k = 0; k < n; k++) {
        sum += exp((double)x[k] - most);
    }
    return most + log(sum);
}

static size_t likeliest(const float *x, size_t n) {
    size_t best = 0;
    for (size_t k = 1; k < n; k++) {
        best = x[k] > x[best] ? k : best;
    }
    return best;
}

static divergence compare(const float *a, const float *b) {
    const size_t n = model.n_vocab;
    divergence d = {0};
    for (size_t i = 0; i < N_TOKEN; i++, a += n, b += n) {
        const double sum_a = log_sum_exp(a, n), sum_b = log_sum_exp(b, n);
        double kl = 0;
        for (size_t k = 0; k < n; k++) {
            const double log_a = (double)a[k] - sum_a, log_b = (double)b[k] - sum_b;
            kl += exp(log_b) * (log_b - log_a);
            d.largest = larger(d.largest, fabs((double)a[k] - (double)b[k]));
        }
        d.mean += kl / N_TOKEN;
        d.most = larger(d.most, kl);
        d.agreement += likeliest(a, n) == likeliest(b, n) ? 1.0 / N_TOKEN : 0;
        if (i + 1 < N_TOKEN) {
            const int32_t next = model.token[i + 1];
            d.bits_a += (sum_a - (double)a[next]) / log(2) / (N_TOKEN - 1);
            d.bits_b += (sum_b - (double)b[next]) / log(2) / (N_TOKEN - 1);
        }
    }
    return d;
}

/* Of A against B; `enlarged` (NULL: none) is altered in A. */
static divergence measure(quant_type type, const scale_field *enlarged) {
    gguf_builder b;
    if (!logits_of_b[type]) {
        build(&b, type, true);
        logits_of_b[type] = logits_of(&b);
        gguf_builder_free(&b);
    }
    build(&b, type, false);
    if (enlarged) {
        enlarge_scale(&b, enlarged);
    }
    float *logits = logits_of(&b);
    gguf_builder_free(&b);
    const divergence d = compare(logits, logits_of_b[type]);
    free(logits);
    return d;
}

static void divergence_is_small(void **state) {
    static const quant_type types[] = {QUANT_F16,    QUANT_BF16,   QUANT_Q8_0, QUANT_Q6_K,
                                       QUANT_Q5_K,   QUANT_Q5_1,   QUANT_Q5_0, QUANT_Q4_K,
                                       QUANT_Q4_1,   QUANT_Q4_0,   QUANT_Q3_K, QUANT_Q2_K,
                                       QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_MXFP4};
    (void)state;
    if (!model.bytes) {
        skip();
    }
    printf(
        "  type   mean KL  largest  logit difference  same top  bits/token (decoded)  bits/byte\n");
    size_t over = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const divergence d = measure(types[i], NULL);
        printf("  %-5s  %.1e  %.1e  %16.4f  %7.1f%%  %10.4f  %8.4f  %9.4f\n",
               quant_format_of(types[i])->name, d.mean, d.most, d.largest, 100 * d.agreement,
               d.bits_a, d.bits_b, d.bits_a * (N_TOKEN - 1) / (double)model.text_bytes);
        over += !(d.mean <= bound); /* a NaN counts */
    }
    assert_int_equal(over, 0);
}

static void a_wrong_scale_is_noticed(void **state) {
    static const scale_field fields[] = {
        {QUANT_Q4_0, "d", 0},   {QUANT_Q4_1, "d", 0},    {QUANT_Q4_1, "m", 2},
        {QUANT_Q5_0, "d", 0},   {QUANT_Q5_1, "d", 0},    {QUANT_Q5_1, "m", 2},
        {QUANT_Q8_0, "d", 0},   {QUANT_Q2_K, "d", 80},   {QUANT_Q2_K, "dmin", 82},
        {QUANT_Q3_K, "d", 108}, {QUANT_Q4_K, "d", 0},    {QUANT_Q4_K, "dmin", 2},
        {QUANT_Q5_K, "d", 0},   {QUANT_Q5_K, "dmin", 2}, {QUANT_Q6_K, "d", 208},
        {QUANT_IQ4_NL, "d", 0}, {QUANT_IQ4_XS, "d", 0},
    };
    (void)state;
    if (!model.bytes) {
        skip();
    }
    size_t under = 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const divergence d = measure(fields[i].type, &fields[i]);
        printf("  %s with %s 5 %% larger: mean KL %.1e\n", quant_format_of(fields[i].type)->name,
               fields[i].name, d.mean);
        under += !(d.mean > bound);
    }
    assert_int_equal(under, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divergence_is_small),
        cmocka_unit_test(a_wrong_scale_is_noticed),
    };
    return cmocka_run_group_tests(tests, load_starter, unload_starter);
}
