#include "support/test_model.h"

#include "base/size.h"
#include "formats/gguf.h"
#include "models/models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *path) {
    fprintf(stderr, "%s: %s\n", path, what);
    abort();
}

uint8_t *test_read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        fail("cannot be read", path);
    }
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, f) != *size) {
        fail("cannot be read", path);
    }
    bytes[*size] = 0;
    fclose(f);
    return bytes;
}

static void widen(test_model *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->file.tensor_count; i++) {
        n += m->file.tensors[i].type == QUANT_BF16 ? m->file.tensors[i].bytes : 0;
    }
    m->bytes = malloc(2 * n + 1);
    if (!m->bytes) {
        fail("no memory", "widened weights");
    }
    uint8_t *next = m->bytes;
    for (size_t i = 0; i < m->file.tensor_count; i++) {
        tensor_entry *t = &m->file.tensors[i];
        if (t->type == QUANT_BF16) {
            const size_t values = t->bytes / sizeof(uint16_t);
            quant_format_of(QUANT_BF16)->decode(t->data, (float *)(void *)next, values);
            t->data = next;
            t->type = QUANT_F32;
            t->bytes *= 2;
            next += t->bytes;
        }
    }
}

static sl_status build(const uint8_t *bytes, size_t size, bool widened, test_model *m,
                       sl_error *error) {
    *m = (test_model){.p = program_new()};
    sl_status status = gguf_parse(bytes, size, &m->file, error);
    if (status == SL_OK && widened) {
        widen(m);
    }
    if (status == SL_OK) {
        status = model_build(&m->file, &m->p, error);
    }
    if (status == SL_OK) {
        status = residency_create(&m->p, &m->file, NULL, &m->weights, error);
    }
    if (status != SL_OK) {
        test_model_free(m);
    }
    return status;
}

sl_status test_model_build(const uint8_t *bytes, size_t size, test_model *m, sl_error *error) {
    return build(bytes, size, false, m, error);
}

sl_status test_model_build_widened(const uint8_t *bytes, size_t size, test_model *m,
                                   sl_error *error) {
    return build(bytes, size, true, m, error);
}

void test_model_free(test_model *m) {
    residency_free(m->weights);
    program_free(&m->p);
    model_file_free(&m->file);
    free(m->bytes);
    *m = (test_model){.p = program_new()};
}

executor_options test_options(size_t n_positions) {
    return (executor_options){
        .threads = 1,
        .n_batch = n_positions,
        .n_output = n_positions,
        .n_seq = 1,
        .n_positions = n_positions,
        .type_k = QUANT_F32,
        .type_v = QUANT_F32,
    };
}

float *test_logits(const test_model *m, const executor_options *options, const int32_t *tokens,
                   size_t n, size_t chunk, sl_error *error) {
    executor *e = NULL;
    if (executor_create(&m->p, m->weights, options, &e, error) != SL_OK) {
        return NULL;
    }
    const size_t n_vocab = m->p.n_vocab;
    float *logits = malloc(n * n_vocab * sizeof *logits);
    batch_row *rows = calloc(chunk, sizeof *rows);
    for (size_t at = 0; at < n; at += chunk) {
        const size_t count = size_min(chunk, n - at);
        for (size_t i = 0; i < count; i++) {
            rows[i] =
                (batch_row){.token = tokens[at + i], .position = at + i, .output = ROW_LOGITS};
        }
        if (executor_run(e, rows, count, NULL, NULL, error) != SL_OK) {
            free(logits);
            logits = NULL;
            break;
        }
        for (size_t i = 0; i < count; i++) {
            memcpy(logits + (at + i) * n_vocab, executor_logits(e, i), n_vocab * sizeof *logits);
        }
    }
    free(rows);
    executor_free(e);
    return logits;
}

int32_t *test_read_tokens(const char *path, size_t *count) {
    size_t size;
    char *text = (char *)test_read_file(path, &size);
    int32_t *tokens = malloc((size + 1) * sizeof *tokens);
    *count = 0;
    for (char *at = text; *at;) {
        char *end;
        const long value = strtol(at, &end, 10);
        if (end == at) {
            break;
        }
        tokens[(*count)++] = (int32_t)value;
        at = end + strspn(end, ", \n");
    }
    free(text);
    return tokens;
}

float *test_read_npy(const char *path, size_t *count) {
    size_t size;
    uint8_t *bytes = test_read_file(path, &size);
    if (size < 10 || memcmp(bytes, "\x93NUMPY\x01\x00", 8) != 0) {
        fail("is no NPY file of version 1", path);
    }
    const size_t header = 10 + bytes[8] + 256u * bytes[9];
    *count = (size - header) / sizeof(float);
    float *values = malloc(*count * sizeof *values);
    memcpy(values, bytes + header, *count * sizeof *values);
    free(bytes);
    return values;
}

double test_distance(const float *found, const float *expected, size_t n) {
    double low = INFINITY, high = -INFINITY, most = 0;
    for (size_t i = 0; i < n; i++) {
        const double wanted = (double)expected[i], off = fabs((double)found[i] - wanted);
        low = wanted < low ? wanted : low;
        high = wanted > high ? wanted : high;
        most = off > most || isnan(off) ? off : most;
    }
    return most / (high - low);
}
