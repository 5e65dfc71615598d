/* Every family against Hugging Face transformers in float32: tests/golden/families/ holds a tiny
 * trained model of each variant (its README.md says what each file is), and each folder whose
 * architecture is known here is taken.
 *
 * Logits: the largest difference is at most 3e-5 of their range, with keys and values in f32 and
 * BF16 weights as F32 (products with BF16 round activations; as they lie it is at most 1e-2). A
 * bound of 1e-4 would not always tell the two forms of GELU apart. Text: greedy decoding goes as it
 * did there until a step where the best two were closer than 1e-2. So that the bounds mean
 * something, settings are altered, and it must show.
 */
#include "support/test_model.h"

#include <dirent.h>
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

static const char folder[] = TEST_GOLDEN "/families";
static const double bound = 3e-5;

enum { MOST_FOLDERS = 64, NAME_BYTES = 64, PATH_BYTES = 512 };

typedef struct fixture {
    char name[NAME_BYTES];
    uint8_t *bytes;
    size_t size;
    int32_t *tokens;
    size_t n_token;
    float *reference;
    size_t n_reference;
} fixture;

static const char *path_of(const char *name, const char *file) {
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s/%s", folder, name, file);
    return path;
}

static fixture load(const char *name) {
    fixture f = {.n_token = 0};
    snprintf(f.name, sizeof f.name, "%s", name);
    f.bytes = test_read_file(path_of(name, "model.gguf"), &f.size);
    f.tokens = test_read_tokens(path_of(name, "tokens.txt"), &f.n_token);
    f.reference = test_read_npy(path_of(name, "logits.npy"), &f.n_reference);
    return f;
}

static void unload(fixture *f) {
    free(f->bytes);
    free(f->tokens);
    free(f->reference);
}

/* Folders with a model.gguf, by name. */
static size_t list_folders(char names[MOST_FOLDERS][NAME_BYTES]) {
    DIR *d = opendir(folder);
    assert_non_null(d);
    size_t count = 0;
    for (const struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        if (entry->d_name[0] != '.' && access(path_of(entry->d_name, "model.gguf"), R_OK) == 0) {
            assert_true(count < MOST_FOLDERS);
            snprintf(names[count++], NAME_BYTES, "%.*s", NAME_BYTES - 1, entry->d_name);
        }
    }
    closedir(d);
    qsort(names, count, NAME_BYTES, (int (*)(const void *, const void *))strcmp);
    return count;
}

/* ---- logits --------------------------------------------------------------------------------- */

/* Largest difference, as a share of the reference's range. */
static double difference(const fixture *f, const test_model *m, quant_type cache) {
    sl_error error;
    assert_int_equal(f->n_token * m->p.n_vocab, f->n_reference);
    executor_options options = test_options(f->n_token);
    options.threads = 2;
    options.type_k = options.type_v = cache;
    float *logits = test_logits(m, &options, f->tokens, f->n_token, f->n_token, &error);
    if (!logits) {
        fail_msg("%s: %s", f->name, error.message);
    }
    const double d = test_distance(logits, f->reference, f->n_reference);
    free(logits);
    return d;
}

/* ---- greedy text ---------------------------------------------------------------------------- */

/* Steps of greedy decoding that agree with the file, which has three lines: ids of a prompt, ids
 * that follow, margins of the best over the second. */
static size_t steps_that_agree(const fixture *f, const test_model *m, size_t *wanted) {
    FILE *file = fopen(path_of(f->name, "greedy.txt"), "r");
    assert_non_null(file);
    enum { MOST = 256 };
    static char line[8192];
    double numbers[3][MOST];
    size_t counts[3];
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(fgets(line, sizeof line, file));
        counts[i] = 0;
        for (char *at = line, *end; counts[i] < MOST; at = end) {
            at += strspn(at, ", \n");
            numbers[i][counts[i]] = strtod(at, &end);
            if (end == at) {
                break;
            }
            counts[i]++;
        }
    }
    fclose(file);
    assert_int_equal(counts[1], counts[2]);
    int32_t tokens[2 * MOST];
    size_t n = 0, step = 0;
    for (; n < counts[0]; n++) {
        tokens[n] = (int32_t)numbers[0][n];
    }
    *wanted = counts[1];
    for (; step < counts[1]; step++) {
        sl_error error;
        executor_options options = test_options(n);
        float *logits = test_logits(m, &options, tokens, n, n, &error);
        assert_non_null(logits);
        const float *last = logits + (n - 1) * m->p.n_vocab;
        size_t best = 0;
        for (size_t i = 1; i < m->p.n_vocab; i++) {
            best = last[i] > last[best] ? i : best;
        }
        free(logits);
        if (best != (size_t)numbers[1][step]) {
            if (numbers[2][step] < 1e-2) {
                *wanted = step;
            }
            break;
        }
        tokens[n++] = (int32_t)best;
    }
    return step;
}

static void every_folder(void **state) {
    (void)state;
    static char names[MOST_FOLDERS][NAME_BYTES];
    const size_t count = list_folders(names);
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        fixture f = load(names[i]);
        test_model m;
        sl_error error;
        const sl_status status = test_model_build_widened(f.bytes, f.size, &m, &error);
        if (status != SL_OK) {
            print_message("  %-20s not taken: %s\n", f.name, error.message);
            if (status != SL_ERR_UNSUPPORTED) {
                fail_msg("%s: %s", f.name, error.message);
            }
            unload(&f);
            continue;
        }
        known++;
        size_t wanted;
        const double exact = difference(&f, &m, QUANT_F32);
        const size_t steps = steps_that_agree(&f, &m, &wanted);
        test_model_free(&m);
        assert_int_equal(test_model_build(f.bytes, f.size, &m, &error), SL_OK);
        const double usual = difference(&f, &m, QUANT_F16);
        print_message(
            "  %-20s difference / range %.1e, as run by default %.1e; greedy %zu of %zu\n", f.name,
            exact, usual, steps, wanted);
        assert_true(exact <= bound);
        assert_true(usual <= 1e-2);
        assert_int_equal(steps, wanted);
        test_model_free(&m);
        unload(&f);
    }
    assert_true(known >= 9); /* gpt2, llama, and what came with them */
}

/* ---- alterations ---------------------------------------------------------------------------- */

static void other_gelu(op *o) {
    if (o->kind == OP_LINEAR && o->as.linear.prepare == PREPARE_GELU) {
        o->as.linear.prepare = PREPARE_GELU_ERF;
    } else if (o->kind == OP_LINEAR && o->as.linear.prepare == PREPARE_GELU_ERF) {
        o->as.linear.prepare = PREPARE_GELU;
    }
}

static void gelu_for_relu(op *o) {
    if (o->kind == OP_LINEAR && o->as.linear.prepare == PREPARE_RELU) {
        o->as.linear.prepare = PREPARE_GELU_ERF;
    }
}

static void larger_epsilon(op *o) {
    if (o->kind == OP_LINEAR || o->kind == OP_NORM) {
        o->as.linear.epsilon *= 1e3f;
    }
}

static bool attends(const op *o) {
    return o->kind == OP_STORE_KV || o->kind == OP_ATTENTION;
}

static void other_pairs(op *o) {
    if (attends(o)) {
        o->as.attention.rope_halves = !o->as.attention.rope_halves;
    }
}

static void no_rotation(op *o) {
    if (attends(o)) {
        o->as.attention.angles = NO_SLOT;
    }
}

static void no_bias_by_distance(op *o) {
    if (attends(o)) {
        o->as.attention.alibi = false;
    }
}

static void other_scale(op *o) {
    if (attends(o)) {
        o->as.attention.scale *= 1.1f;
    }
}

static const struct {
    const char *name, *what;
    void (*alter)(op *o);
} alterations[] = {
    {"gptj", "the exact GELU", other_gelu},
    {"gptj", "pairs of halves", other_pairs},
    {"gptj", "no rotation", no_rotation},
    {"gptj", "the scale", other_scale},
    {"gptneox-parallel", "GELU by tanh", other_gelu},
    {"gptneox-parallel", "pairs of neighbours", other_pairs},
    {"gptneox-sequential", "epsilon", larger_epsilon},
    {"opt", "GELU for ReLU", gelu_for_relu},
    {"opt-350m", "epsilon", larger_epsilon},
    {"opt-galactica", "GELU by tanh", other_gelu},
    {"bloom", "no bias by distance", no_bias_by_distance},
    {"bloom", "the exact GELU", other_gelu},
    {"bloom-heads", "no bias by distance", no_bias_by_distance},
};

static void alterations_are_noticed(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof alterations / sizeof *alterations; i++) {
        fixture f = load(alterations[i].name);
        test_model m;
        sl_error error;
        assert_int_equal(test_model_build_widened(f.bytes, f.size, &m, &error), SL_OK);
        for (size_t k = 0; k < m.p.ops.count; k++) {
            alterations[i].alter(&((op *)m.p.ops.items)[k]);
        }
        const double d = difference(&f, &m, QUANT_F32);
        print_message("  %-20s %s: %.1e\n", f.name, alterations[i].what, d);
        assert_true(d > bound);
        test_model_free(&m);
        unload(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_folder),
        cmocka_unit_test(alterations_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
