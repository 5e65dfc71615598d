/* sl_conversion from within a program: what is reported is what decoding gives, whatever the team;
 * importance reaches the encoders; failures of the caller and of the file end it. What the command
 * does with it is tested by cli/convert.sh and cli/quantize.sh. */
#include "sluice.h"

#include "base/size.h"
#include "formats/gguf.h"
#include "quant/encode.h"
#include "support/quick.h"
#include "support/temp_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_TENSORS = 64, WIDTH = 256, MATRICES = 4, MATRIX_ROWS = 24 };

/* What a caller keeps. */
typedef struct collected {
    gguf_builder_bytes bytes;
    double errors[MOST_TENSORS]; /* as reported; -1: not */
    size_t n_reported;
    size_t n_write, n_progress;
    size_t fail_at, cancel_at;  /* number of the call that says no; 0: none does */
    const temp_file *truncated; /* at the first write, if not NULL */
    char notices[512];
} collected;

static bool collect(void *user, const void *bytes, size_t size) {
    collected *c = user;
    if (++c->n_write == c->fail_at) {
        return false;
    }
    if (c->truncated) {
        assert_int_equal(truncate(c->truncated->path, 4096), 0);
        c->truncated = NULL;
    }
    uint8_t *const grown = realloc(c->bytes.data, c->bytes.count + size);
    assert_non_null(grown);
    memcpy(grown + c->bytes.count, bytes, size);
    c->bytes.data = grown;
    c->bytes.count += size;
    return true;
}

static bool go_on(void *user, const char *what, uint64_t done, uint64_t total) {
    collected *c = user;
    assert_true(done <= total);
    assert_true(strcmp(what, "quantizing") == 0 || strcmp(what, "converting") == 0);
    return ++c->n_progress != c->cancel_at;
}

static void note_tensor(void *user, size_t index, const sl_converted_tensor *tensor) {
    collected *c = user;
    assert_int_equal(index, c->n_reported); /* in order, each once */
    assert_true(index < MOST_TENSORS);
    c->errors[index] = tensor->error;
    c->n_reported++;
}

static void note_line(void *user, const char *line) {
    collected *c = user;
    const size_t used = strlen(c->notices);
    snprintf(c->notices + used, sizeof c->notices - used, "%s\n", line);
}

static sl_convert_options options_for(collected *c, const char *type) {
    sl_convert_options options;
    sl_convert_options_init(&options);
    options.type = type;
    options.pure = true;
    options.threads = 2;
    options.tensor = note_tensor;
    options.progress = go_on;
    options.notice = note_line;
    options.user = c;
    return options;
}

static sl_status convert(const char *path, const sl_convert_options *options, collected *c,
                         sl_error *error) {
    sl_conversion *conversion = NULL;
    sl_status status = sl_conversion_open(path, options, &conversion, error);
    if (status == SL_OK) {
        status = sl_conversion_write(conversion, 0, collect, c, error);
    }
    sl_conversion_close(conversion);
    return status;
}

static void forget(collected *c) {
    free(c->bytes.data);
    *c = (collected){0};
}

/* A model with a matrix of several chunks. */
static void build_model(gguf_builder *b, quant_type type) {
    enum { ROWS = 70000 };
    gguf_tiny_options shape = gguf_tiny_defaults();
    shape.n_embd = WIDTH;
    shape.n_ff = WIDTH;
    shape.type = type;
    gguf_builder_init(b, 3);
    gguf_builder_tiny_llama(b, &shape);
    float *const values = malloc((size_t)ROWS * WIDTH * sizeof *values);
    void *const rows = malloc(ROWS * quant_row_bytes(type, WIDTH));
    assert_true(values && rows);
    uint32_t random = 1;
    for (size_t i = 0; i < (size_t)ROWS * WIDTH; i++) {
        random = random * 1664525 + 1013904223;
        values[i] = (float)(int32_t)random * 0x1p-33f;
    }
    quant_encode(type, values, NULL, rows, (size_t)ROWS * WIDTH);
    gguf_builder_tensor_add(b, "blk.0.large.weight", type, 2, (uint64_t[]){WIDTH, ROWS}, rows);
    free(values);
    free(rows);
}

static temp_file write_model(gguf_builder *b) {
    gguf_builder_finish(b);
    return temp_file_write(b->image, b->image_bytes);
}

/* ---- errors --------------------------------------------------------------------------------- */

static float *decode_all(const tensor_entry *t, size_t *count) {
    *count = (size_t)(t->dims[0] * t->dims[1] * t->dims[2]);
    float *const values = malloc(*count * sizeof *values);
    assert_non_null(values);
    quant_format_of(t->type)->decode(t->data, values, *count);
    return values;
}

static double error_between(const tensor_entry *before, const tensor_entry *after) {
    size_t n, same;
    float *const a = decode_all(before, &n), *const b = decode_all(after, &same);
    long double difference = 0, values = 0;
    assert_int_equal(n, same);
    for (size_t i = 0; i < n; i++) {
        const long double change = (long double)a[i] - (long double)b[i];
        difference += change * change;
        values += (long double)a[i] * (long double)a[i];
    }
    free(a);
    free(b);
    return (double)sqrtl(difference / values);
}

static void errors_are_what_decoding_gives(void **state) {
    (void)state;
    static const char *const types[] = {"q4_0", "q8_0", "f16", "f32"};
    gguf_builder b;
    build_model(&b, QUANT_F32);
    const temp_file file = write_model(&b);
    model_file source;
    sl_error error = {0};
    assert_int_equal(gguf_parse(b.image, b.image_bytes, &source, &error), SL_OK);
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        static collected first, again;
        sl_convert_options options = options_for(&first, types[i]);
        assert_int_equal(convert(file.path, &options, &first, &error), SL_OK);
        assert_int_equal(first.n_reported, source.tensor_count);
        model_file made;
        assert_int_equal(gguf_parse(first.bytes.data, first.bytes.count, &made, &error), SL_OK);
        for (size_t k = 0; k < source.tensor_count; k++) {
            const double expected = error_between(&source.tensors[k], &made.tensors[k]);
            assert_true(fabs(first.errors[k] - expected) <= 1e-9 * expected);
        }
        model_file_free(&made);
        for (size_t threads = 1; threads <= 5; threads += quick_or(4, 2)) {
            options.threads = threads;
            options.user = &again;
            assert_int_equal(convert(file.path, &options, &again, &error), SL_OK);
            assert_int_equal(first.bytes.count, again.bytes.count);
            assert_memory_equal(first.bytes.data, again.bytes.data, first.bytes.count);
            assert_memory_equal(first.errors, again.errors, sizeof first.errors);
            forget(&again);
        }
        forget(&first);
    }
    model_file_free(&source);
    temp_file_remove(&file);
    gguf_builder_free(&b);
}

/* Not measured unless somebody hears of it; known of what loses nothing. */
static void errors_are_known_when_written(void **state) {
    (void)state;
    gguf_builder b;
    build_model(&b, QUANT_F32);
    const temp_file file = write_model(&b);
    sl_error error = {0};
    collected c = {0};
    for (int measured = 0; measured < 2; measured++) {
        sl_convert_options options = options_for(&c, "q8_0");
        sl_converted_tensor matrix = {0}, vector = {0};
        sl_conversion *conversion = NULL;
        options.tensor = measured ? note_tensor : NULL;
        assert_int_equal(sl_conversion_open(file.path, &options, &conversion, &error), SL_OK);
        for (size_t i = 0; i < sl_conversion_tensors(conversion); i++) {
            sl_converted_tensor t;
            sl_conversion_tensor(conversion, i, &t);
            *(t.n_dims == 1 ? &vector : &matrix) = t;
        }
        assert_true(vector.error == 0 && matrix.error == -1);
        assert_string_equal(matrix.from, "F32");
        assert_string_equal(matrix.to, "Q8_0");
        assert_null(matrix.wanted);
        assert_int_equal(matrix.bytes_before, matrix.bytes_after / 34 * 128);
        assert_int_equal(sl_conversion_write(conversion, 0, collect, &c, &error), SL_OK);
        assert_int_equal(c.bytes.count, sl_conversion_bytes(conversion, 0));
        sl_conversion_tensor(conversion, 0, &matrix);
        assert_true(measured ? matrix.error > 0 && matrix.error < 0.02 : matrix.error == -1);
        sl_conversion_close(conversion);
        forget(&c);
    }
    temp_file_remove(&file);
    gguf_builder_free(&b);
}

/* A value that is no number: it is told of, and the rest is as it would be. */
static void values_that_are_no_numbers_show(void **state) {
    (void)state;
    static float values[2][WIDTH];
    gguf_builder b;
    sl_error error = {0};
    static collected c;
    for (size_t i = 0; i < WIDTH; i++) {
        values[0][i] = values[1][i] = (float)i;
    }
    values[0][7] = NAN;
    gguf_builder_init(&b, 3);
    gguf_builder_string(&b, "general.architecture", "llama");
    for (size_t i = 0; i < 2; i++) {
        gguf_builder_tensor_add(&b, i ? "b.weight" : "a.weight", QUANT_F32, 2,
                                (uint64_t[]){WIDTH, 1}, values[i]);
    }
    gguf_builder_tensor_add(&b, "zero.weight", QUANT_F32, 2, (uint64_t[]){WIDTH, 1}, NULL);
    const temp_file file = write_model(&b);
    const sl_convert_options options = options_for(&c, "q8_0");
    assert_int_equal(convert(file.path, &options, &c, &error), SL_OK);
    assert_true(isnan(c.errors[0]));
    assert_true(c.errors[1] > 0 && c.errors[1] < 0.01);
    assert_true(c.errors[2] == 0);
    forget(&c);
    temp_file_remove(&file);
    gguf_builder_free(&b);
}

/* ---- importance ----------------------------------------------------------------------------- */

static void put(gguf_builder_bytes *b, const void *bytes, size_t size) {
    b->data = realloc(b->data, b->count + size);
    assert_non_null(b->data);
    memcpy(b->data + b->count, bytes, size);
    b->count += size;
}

static void put_int(gguf_builder_bytes *b, size_t value) {
    put(b, &(int32_t){(int32_t)value}, sizeof(int32_t));
}

/* An entry of a .dat file of one call. */
static void put_entry(gguf_builder_bytes *b, const char *name, const float *values, size_t n) {
    put_int(b, strlen(name));
    put(b, name, strlen(name));
    put_int(b, 1);
    put_int(b, n);
    put(b, values, n * sizeof *values);
}

/* Each row of `made` is what the encoder makes of that of `source`. */
static void assert_encoded(const tensor_entry *source, const tensor_entry *made,
                           const float *importance) {
    float row[WIDTH];
    uint8_t blocks[4 * WIDTH];
    const size_t from = quant_row_bytes(source->type, WIDTH),
                 to = quant_row_bytes(made->type, WIDTH);
    for (size_t i = 0; i < source->dims[1] * source->dims[2]; i++) {
        const size_t matrix = i / source->dims[1];
        quant_format_of(source->type)->decode(source->data + i * from, row, WIDTH);
        quant_encode(made->type, row, importance ? importance + matrix * WIDTH : NULL, blocks,
                     WIDTH);
        assert_memory_equal(blocks, made->data + i * to, to);
    }
}

/* A matrix, and one of four experts of which each has an importance of its own. */
static void importance_reaches_the_encoder(void **state) {
    (void)state;
    static const char plain[] = "blk.0.ffn_up.weight", experts[] = "blk.0.ffn_up_exps.weight";
    static float importance[MATRICES * WIDTH], weights[MATRICES * MATRIX_ROWS * WIDTH];
    gguf_builder b;
    gguf_builder_bytes dat = {0};
    sl_error error = {0};
    static collected c;
    random_state r;
    random_seed(&r, 5);
    for (size_t i = 0; i < COUNT_OF(weights); i++) {
        weights[i] = (float)random_unit(&r) - 0.5f;
    }
    for (size_t i = 0; i < COUNT_OF(importance); i++) {
        importance[i] = i % 7 ? 0.01f * (float)(i / WIDTH + 1) : 50;
    }
    build_model(&b, QUANT_F32);
    gguf_builder_tensor_add(&b, experts, QUANT_F32, 3, (uint64_t[]){WIDTH, MATRIX_ROWS, MATRICES},
                            weights);
    const temp_file file = write_model(&b);
    put_int(&dat, 2);
    put_entry(&dat, plain, importance, WIDTH);
    put_entry(&dat, experts, importance, COUNT_OF(importance));
    const temp_file matrix = temp_file_write(dat.data, dat.count);
    sl_convert_options options = options_for(&c, "q4_0");
    options.importance = matrix.path;
    assert_int_equal(convert(file.path, &options, &c, &error), SL_OK);
    assert_non_null(strstr(c.notices, "without an entry in the importance matrix: "));

    model_file source, made;
    assert_int_equal(gguf_parse(b.image, b.image_bytes, &source, &error), SL_OK);
    assert_int_equal(gguf_parse(c.bytes.data, c.bytes.count, &made, &error), SL_OK);
    static const char without[] = "blk.1.ffn_up.weight";
    assert_encoded(tensor_find(&source, str_from(plain)), tensor_find(&made, str_from(plain)),
                   importance);
    assert_encoded(tensor_find(&source, str_from(experts)), tensor_find(&made, str_from(experts)),
                   importance);
    assert_encoded(tensor_find(&source, str_from(without)), tensor_find(&made, str_from(without)),
                   NULL);
    uint64_t entries = 0;
    assert_int_equal(
        meta_get_u64(&made, "quantize.imatrix.entries_count", true, 0, 9, &entries, &error), SL_OK);
    assert_int_equal(entries, 2);
    model_file_free(&source);
    model_file_free(&made);
    temp_file_remove(&matrix);
    temp_file_remove(&file);
    free(dat.data);
    forget(&c);
    gguf_builder_free(&b);
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

static void callers_may_stop_at_any_call(void **state) {
    (void)state;
    gguf_builder b;
    build_model(&b, QUANT_F16);
    const temp_file file = write_model(&b);
    sl_error error = {0};
    static collected whole;
    sl_convert_options options = options_for(&whole, "q4_0");
    assert_int_equal(convert(file.path, &options, &whole, &error), SL_OK);
    assert_true(whole.n_write > 4);
    for (size_t i = 1; i <= whole.n_write; i += quick_or(4, 1)) {
        for (int cancelled = 0; cancelled < 2; cancelled++) {
            static collected c;
            c.fail_at = cancelled ? 0 : i;
            c.cancel_at = cancelled ? i : 0;
            options = options_for(&c, "q4_0");
            assert_int_equal(convert(file.path, &options, &c, &error), SL_ERR_CANCELLED);
            assert_true(c.bytes.count <= whole.bytes.count);
            assert_memory_equal(c.bytes.data ? c.bytes.data : (uint8_t *)"", whole.bytes.data,
                                c.bytes.count);
            forget(&c);
        }
    }
    /* A file may be written anew after a failure. */
    static collected c;
    sl_conversion *conversion = NULL;
    options = options_for(&c, "q4_0");
    assert_int_equal(sl_conversion_open(file.path, &options, &conversion, &error), SL_OK);
    c.fail_at = 3;
    assert_int_equal(sl_conversion_write(conversion, 0, collect, &c, &error), SL_ERR_CANCELLED);
    forget(&c);
    assert_int_equal(sl_conversion_write(conversion, 0, collect, &c, &error), SL_OK);
    assert_memory_equal(c.bytes.data, whole.bytes.data, whole.bytes.count);
    assert_memory_equal(c.errors, whole.errors, sizeof c.errors);
    sl_conversion_close(conversion);
    forget(&c);
    forget(&whole);
    temp_file_remove(&file);
    gguf_builder_free(&b);
}

static void a_source_that_is_cut_short_is_noticed(void **state) {
    (void)state;
    gguf_builder b;
    build_model(&b, QUANT_F32);
    const temp_file file = write_model(&b);
    sl_error error = {0};
    static collected c;
    c.truncated = &file;
    sl_guard_mappings();
    const sl_convert_options options = options_for(&c, "f16");
    assert_int_equal(convert(file.path, &options, &c, &error), SL_ERR_RUNTIME);
    assert_non_null(strstr(error.message, "cut short"));
    forget(&c);
    temp_file_remove(&file);
    gguf_builder_free(&b);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    gguf_builder b;
    build_model(&b, QUANT_Q8_0);
    const temp_file file = write_model(&b);
    sl_error error = {0};
    static collected c;
    sl_convert_options options = options_for(&c, "q4_0");
    options.refuse_requantize = true;
    assert_int_equal(convert(file.path, &options, &c, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "is Q8_0 already"));
    options.type = "q8_0"; /* nothing changes */
    assert_int_equal(convert(file.path, &options, &c, &error), SL_OK);
    assert_string_equal(c.notices, "");
    forget(&c);
    options.refuse_requantize = false;
    options.type = "q4_0";
    assert_int_equal(convert(file.path, &options, &c, &error), SL_OK);
    assert_non_null(strstr(c.notices, "quantized already"));
    forget(&c);
    options.importance = file.path; /* a model is no importance matrix */
    assert_int_not_equal(convert(file.path, &options, &c, &error), SL_OK);
    options.importance = NULL;
    options.type = "q9";
    assert_int_equal(convert(file.path, &options, &c, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "no type is named 'q9'"));
    forget(&c);
    temp_file_remove(&file);
    gguf_builder_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_what_decoding_gives),
        cmocka_unit_test(errors_are_known_when_written),
        cmocka_unit_test(values_that_are_no_numbers_show),
        cmocka_unit_test(importance_reaches_the_encoder),
        cmocka_unit_test(callers_may_stop_at_any_call),
        cmocka_unit_test(a_source_that_is_cut_short_is_noticed),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
