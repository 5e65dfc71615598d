/* passing_rows.c - passing_rows.h. */
#include "engine/passing_rows.h"

#include "base/error.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "engine/make_rows.h"

#include <stdlib.h>
#include <string.h>

sl_status passing_tensor_of(const model_file *file, const tensor_entry *t, quant_type to,
                            passing_tensor *out, sl_error *error) {
    const bool is_vector = t->n_dims == 1;
    *out = (passing_tensor){
        .from = t,
        .to = to,
        .rows = is_vector ? (size_t)t->dims[0]
                          : (size_t)(t->bytes / quant_row_bytes(t->type, (size_t)t->dims[0])),
        .n_in = is_vector ? 1 : (size_t)t->dims[0],
        .matrix_rows = (size_t)t->dims[1],
    };
    if (is_vector && quant_format_of(t->type)->block_length > 1) {
        return error_set(error, SL_ERR_UNSUPPORTED, "tensor '%.*s' is a vector of type %s",
                         STR_ARG(t->name), quant_format_of(t->type)->name);
    }
    return gguf_habit_of(file, t, &out->habit, error);
}

/* Rows that are read at once. */
static size_t rows_together(const passing_tensor *t) {
    return t->from->layout == TENSOR_TRANSPOSED ? PASSING_TOGETHER : 1;
}

size_t passing_floats(const passing_tensor *t) {
    return (rows_together(t) + 1) * t->n_in; /* one row more, of what was encoded */
}

sl_status passing_room_open(size_t threads, size_t member_floats, size_t most_rows,
                            passing_room *room, sl_error *error) {
    size_t bytes;
    *room = (passing_room){.member_floats = member_floats};
    kernel_table_fill(&room->kernels, cpu_features());
    if (!size_mul(threads * sizeof *room->floats, member_floats, &bytes)) {
        return error_memory(error, "rows on their way", SIZE_MAX);
    }
    const size_t n_error = most_rows / PASSING_TOGETHER + 1;
    room->floats = malloc(bytes);
    room->errors = malloc(n_error * sizeof *room->errors);
    if (!room->floats || !room->errors) {
        passing_room_close(room);
        return error_memory(error, "rows on their way", bytes + n_error * sizeof *room->errors);
    }
    return SL_OK;
}

void passing_room_close(passing_room *room) {
    free(room->floats);
    free(room->errors);
    *room = (passing_room){0};
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Whether a row of the result is, byte for byte, one of the source. */
static bool is_copied(const passing_tensor *t) {
    return t->from->type == t->to && t->from->layout == TENSOR_ROWS && !t->habit.plus_one;
}

static bool is_planes(const passing_tensor *t) {
    return t->from->layout == TENSOR_PLANES && t->from->type == t->to;
}

bool passing_is_exact(const passing_tensor *t) {
    return is_copied(t) || is_planes(t) || t->to == QUANT_F32;
}

static void read_transposed(const passing_tensor *t, size_t first, size_t count, float *to) {
    const quant_format *format = quant_format_of(t->from->type);
    for (size_t v = 0; v < t->n_in; v++) {
        for (size_t i = 0; i < count; i++) {
            const size_t row = gguf_habit_source(&t->habit, first + i);
            format->decode(t->from->data + (v * t->rows + row) * format->block_bytes,
                           &to[i * t->n_in + v], 1);
        }
    }
}

void passing_rows_read(const passing_tensor *t, const kernel_table *kernels, size_t first,
                       size_t count, float *to) {
    if (t->from->layout == TENSOR_PLANES) {
        make_rows_floats(t->from, first, count, to); /* a checkpoint's rows are in GGUF's order */
    } else if (t->from->layout == TENSOR_TRANSPOSED) {
        read_transposed(t, first, count, to);
    } else {
        const size_t row_bytes = quant_row_bytes(t->from->type, t->n_in);
        for (size_t i = 0; i < count; i++) {
            const size_t row = gguf_habit_source(&t->habit, first + i);
            kernels->decode[t->from->type](t->from->data + row * row_bytes, to + i * t->n_in,
                                           t->n_in);
        }
    }
    for (size_t i = 0; t->habit.plus_one && i < count * t->n_in; i++) {
        to[i] += 1;
    }
}

/* ---- measuring ------------------------------------------------------------------------------ */

/* Eight sums side by side, so that no addition waits for the one before. */
static void add_error(const float *before, const float *after, size_t n, passing_error *error) {
    enum { LANES = 8 };
    double difference[LANES] = {0}, values[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) {
            const double value = (double)before[i + k];
            const double change = value - (double)after[i + k];
            difference[k] += change * change;
            values[k] += value * value;
        }
    }
    for (size_t k = 0; i < n; i++, k++) {
        const double value = (double)before[i];
        const double change = value - (double)after[i];
        difference[k] += change * change;
        values[k] += value * value;
    }
    for (size_t k = 0; k < LANES; k++) {
        error->difference += difference[k];
        error->values += values[k];
    }
}

/* ---- making --------------------------------------------------------------------------------- */

/* The rows that the team is at. */
typedef struct rows_job {
    const passing_tensor *tensor;
    size_t first, count;
    uint8_t *to;
    const passing_room *room;
    bool measured;
    _Atomic size_t next;
} rows_job;

static void copy_rows(const passing_tensor *t, size_t first, size_t count, uint8_t *to) {
    const size_t bytes = quant_row_bytes(t->to, t->n_in);
    for (size_t i = 0; i < count; i++) {
        const size_t row = gguf_habit_source(&t->habit, first + i);
        memcpy(to + i * bytes, t->from->data + row * bytes, bytes);
    }
}

static void encode_row(const passing_tensor *t, const kernel_table *kernels, size_t row,
                       const float *values, float *decoded, uint8_t *to, passing_error *error) {
    const float *const importance =
        t->importance ? t->importance + row / t->matrix_rows * t->n_in : NULL;
    kernels->encode[t->to](values, importance, to, t->n_in);
    if (error) {
        kernels->decode[t->to](to, decoded, t->n_in);
        add_error(values, decoded, t->n_in, error);
    }
}

static void encode_rows(const passing_tensor *t, const kernel_table *kernels, size_t first,
                        size_t count, uint8_t *to, float *floats, passing_error *error) {
    const size_t bytes = quant_row_bytes(t->to, t->n_in), together = rows_together(t);
    for (size_t i = 0; i < count; i += together) {
        const size_t n = size_min(together, count - i);
        passing_rows_read(t, kernels, first + i, n, floats);
        for (size_t k = 0; k < n; k++) {
            encode_row(t, kernels, first + i + k, floats + k * t->n_in, floats + n * t->n_in,
                       to + (i + k) * bytes, error);
        }
    }
}

static void make_rows_of_job(void *context, size_t member) {
    rows_job *job = context;
    const passing_tensor *t = job->tensor;
    const size_t bytes = quant_row_bytes(t->to, t->n_in);
    float *const floats = job->room->floats + member * job->room->member_floats;
    size_t begin, end;
    while (team_take(&job->next, PASSING_TOGETHER, job->count, &begin, &end)) {
        uint8_t *const to = job->to + begin * bytes;
        const size_t first = job->first + begin, count = end - begin;
        if (is_copied(t)) {
            copy_rows(t, first, count, to);
        } else if (is_planes(t)) {
            make_rows_of_planes(t->from, first, count, to);
        } else {
            passing_error *const error =
                job->measured ? &job->room->errors[begin / PASSING_TOGETHER] : NULL;
            if (error) {
                *error = (passing_error){0};
            }
            encode_rows(t, &job->room->kernels, first, count, to, floats, error);
        }
    }
}

void passing_rows_make(team *members, const passing_tensor *t, size_t first, size_t count, void *to,
                       passing_room *room, passing_error *error) {
    rows_job job = {
        .tensor = t,
        .first = first,
        .count = count,
        .to = to,
        .room = room,
        .measured = error && !passing_is_exact(t),
    };
    team_run(members, make_rows_of_job, &job);
    for (size_t i = 0; job.measured && i * PASSING_TOGETHER < count; i++) {
        error->difference += room->errors[i].difference;
        error->values += room->errors[i].values;
    }
}
