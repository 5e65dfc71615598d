/* passing_rows.h - rows of a tensor on their way from a model file into another, by a team:
 *
 *   source rows -> in GGUF's order -> floats -> the wanted type
 *
 * Where only the order changes, rows are copied as they are.
 */
#ifndef ENGINE_PASSING_ROWS_H
#define ENGINE_PASSING_ROWS_H

#include "formats/model_file.h"
#include "kernels/kernels.h"
#include "models/gguf_habit.h"
#include "ops/team.h"

/* A vector is seen as rows of one value. */
typedef struct passing_tensor {
    const tensor_entry *from;
    gguf_habit habit;
    quant_type to;
    size_t rows, n_in;
    const float *importance; /* of the n_in columns, for each matrix of matrix_rows rows; or NULL */
    size_t matrix_rows;
} passing_tensor;

/* A tensor of the file on its way to a type; no importance yet. SL_ERR_UNSUPPORTED if it is a
 * vector of blocks. */
SL_CHECK sl_status passing_tensor_of(const model_file *file, const tensor_entry *tensor,
                                     quant_type to, passing_tensor *out, sl_error *error);

/* Rows that a member of the team takes: neighbours share cache lines of transposed tensors. */
enum { PASSING_TOGETHER = 16 };

/* Sums of squares: of what encoding changed, and of the values before. */
typedef struct passing_error {
    double difference, values;
} passing_error;

/* What a team works with; for one job at a time. */
typedef struct passing_room {
    kernel_table kernels;
    float *floats;
    size_t member_floats;  /* of `floats`, for each member */
    passing_error *errors; /* one for each PASSING_TOGETHER rows of a job */
} passing_room;

/* How many floats a member of the team needs for rows of this tensor. */
size_t passing_floats(const passing_tensor *t);

/* Room for jobs of at most `most_rows` rows, for each of which `member_floats` are enough. On
 * failure nothing is held. */
SL_CHECK sl_status passing_room_open(size_t threads, size_t member_floats, size_t most_rows,
                                     passing_room *room, sl_error *error);

/* A zeroed room is allowed. */
void passing_room_close(passing_room *room);

/* Whether the values that come out are those that went in. */
bool passing_is_exact(const passing_tensor *t);

/* The values of `count` rows from row `first` on, as GGUF has them. */
void passing_rows_read(const passing_tensor *t, const kernel_table *kernels, size_t first,
                       size_t count, float *to);

/* Makes `count` rows from row `first` on, one behind the other at `to`. Adds to *error what that
 * changed (NULL: it is not measured); the sums are the same whatever the team, if `first` and all
 * counts but a tensor's last are multiples of PASSING_TOGETHER. */
void passing_rows_make(team *members, const passing_tensor *t, size_t first, size_t count, void *to,
                       passing_room *room, passing_error *error);

#endif
