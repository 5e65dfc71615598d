#include "ops/linear.h"

#include "base/size.h"

#include "kernels/packed.h"

#include <string.h>

/* With as many rows, packing weights for one use pays: it costs about as much as two rows, and the
 * kernels for the file's order take one row of activations after the other. */
enum { ROWS_THAT_PAY = 4 };

void linear_prepare_row(const linear_args *args, const float *in, float *out) {
    const kernel_table *k = args->kernels;
    const size_t n = args->n_in;
    switch (args->prepare) {
    case PREPARE_NONE:
        memcpy(out, in, n * sizeof *out);
        break;
    case PREPARE_RMS_NORM:
        k->rms_norm(in, args->norm_weight, args->epsilon, out, n);
        break;
    case PREPARE_LAYER_NORM:
        k->layer_norm(in, args->norm_weight, args->norm_bias, args->epsilon, out, n);
        break;
    case PREPARE_SILU_MUL:
        k->silu_mul(in, in + n, out, n);
        break;
    case PREPARE_GELU:
        memcpy(out, in, n * sizeof *out);
        k->gelu_tanh(out, n);
        break;
    case PREPARE_GELU_MUL:
        k->gelu_tanh_mul(in, in + n, out, n);
        break;
    case PREPARE_GELU_ERF:
        memcpy(out, in, n * sizeof *out);
        k->gelu_erf(out, n);
        break;
    case PREPARE_RELU:
        memcpy(out, in, n * sizeof *out);
        k->relu(out, n);
        break;
    }
}

/* A row alone every member prepares for itself, in less time than it would wait for it. */
static bool is_alone(const linear_args *args) {
    return args->n_row == 1 && !args->squares;
}

static void *const *prepared_rows(const linear_args *args, const linear_scratch *scratch) {
    return is_alone(args) ? scratch->rows : args->rows;
}

/* Rows taken from *counter. */
static void prepare_rows(const linear_args *args, const linear_scratch *scratch,
                         _Atomic size_t *counter) {
    size_t begin, end;
    while (team_take(counter, 1, args->n_row, &begin, &end)) {
        const float *row = args->in + begin * args->in_stride;
        if (args->prepare != PREPARE_NONE) {
            linear_prepare_row(args, row, scratch->row);
            row = scratch->row;
        }
        if (args->squares) {
            memcpy(args->kept + begin * args->n_in, row, args->n_in * sizeof *row);
        }
        bool made[KERNEL_ROW_LIMIT] = {false};
        for (size_t i = 0; i < args->n_part; i++) {
            const kernel_row form = kernel_row_of(args->part[i].type);
            if (!made[form]) {
                char *const rows = prepared_rows(args, scratch)[form];
                const size_t row_bytes = kernel_row_bytes(form, args->n_in);
                args->kernels->make_row[form](row, args->n_in, rows + begin * row_bytes);
                made[form] = true;
            }
        }
    }
}

/* To each of n_in sums adds the squares of that column of the kept rows. The square of a float is
 * exact in double, so that only the order of the rows could matter, and each column has one member
 * to add them in order. */
static void add_squares(const linear_args *args, size_t member, size_t members) {
    const size_t n = args->n_in;
    const size_t begin = n * member / members, end = n * (member + 1) / members;
    for (size_t row = 0; row < args->n_row; row++) {
        const float *x = args->kept + row * n;
        for (size_t i = begin; i < end; i++) {
            args->squares[i] += (double)x[i] * (double)x[i];
        }
    }
}

/* y = W x for `count` rows of a part that were acquired. Those in file order are packed first, some
 * at a time, where the kernels are so much faster then that it pays for one use. */
static void multiply_rows(const linear_args *args, const linear_scratch *scratch,
                          const linear_part *part, linear_rows rows, size_t count, float *y,
                          size_t y_stride) {
    const kernel_table *k = args->kernels;
    const kernel_row form = kernel_row_of(part->type);
    const size_t row_bytes = kernel_row_bytes(form, args->n_in);
    const void *const x = prepared_rows(args, scratch)[form];
    kernel_matmul *packed = k->matmul_packed[part->type];
    if (rows.packed || !kernel_packs(k, part->type) || args->n_row < ROWS_THAT_PAY) {
        kernel_matmul *matmul = rows.packed ? packed : k->matmul[part->type];
        matmul(count, args->n_row, args->n_in, rows.weights, rows.row_stride, x, row_bytes, y,
               y_stride, scratch->kernels);
        return;
    }
    for (size_t i = 0; i < count; i += LINEAR_PANEL_ROWS) {
        const size_t n = size_min(LINEAR_PANEL_ROWS, count - i);
        packed_fill(part->type, n, args->n_in, (const char *)rows.weights + i * rows.row_stride,
                    rows.row_stride, scratch->panels);
        packed(n, args->n_row, args->n_in, scratch->panels, quant_row_bytes(part->type, args->n_in),
               x, row_bytes, y + i, y_stride, scratch->kernels);
    }
}

/* Columns [begin, begin + count) of one part, which begins at column `at` of out. */
static void multiply_columns(const linear_args *args, const linear_scratch *scratch,
                             const linear_part *part, size_t at, size_t begin, size_t count) {
    const kernel_table *k = args->kernels;
    const linear_source *source = &args->source;
    const linear_rows rows = source->acquire(source->context, part->matrix, begin, count);
    float *out = args->out + at + begin;
    float *y = args->accumulate ? scratch->tile : out;
    const size_t y_stride = args->accumulate ? LINEAR_TILE_OUT : args->out_stride;
    multiply_rows(args, scratch, part, rows, count, y, y_stride);
    source->release(source->context, part->matrix, begin, count);
    for (size_t i = 0; i < args->n_row && (part->bias || args->cap > 0 || args->accumulate); i++) {
        if (part->bias) {
            k->add(part->bias + begin, y + i * y_stride, count);
        }
        if (args->cap > 0) {
            k->soft_cap(args->cap, y + i * y_stride, count);
        }
        if (args->accumulate) {
            k->add(y + i * y_stride, out + i * args->out_stride, count);
        }
    }
}

/* Small enough that every member gets several, so that one that is held up does not hold up all;
 * a multiple of 16 rows, which is what kernels work on. With one row of activations the time goes
 * into reading, which begins slowly: a tile is a mebibyte then, which takes some 50 microseconds,
 * so that members end soon after each other; and a multiple of 64 rows if it can be, of which
 * kernels read four parts at a time. */
static size_t tile_columns(const linear_args *args, size_t n_out, size_t members) {
    enum { ROWS = 16, PARTS = 4, READING = 1 << 20 };
    size_t most = LINEAR_TILE_OUT;
    if (args->n_row == 1) {
        const size_t rows = READING / quant_row_bytes(args->part[0].type, args->n_in);
        const size_t whole = rows / (PARTS * ROWS) * (PARTS * ROWS);
        most = size_min(LINEAR_TILE_ONE, whole > 0 ? whole : rows / ROWS * ROWS);
    }
    const size_t share = n_out / (4 * members) / ROWS * ROWS;
    return size_max(ROWS, size_min(share, most));
}

/* Tiles of a part: none lies in two slices. */
static size_t tiles_of_slice(const linear_part *part, size_t step) {
    return (size_min(part->slice_rows, part->n_out) + step - 1) / step;
}

static size_t tiles_of_part(const linear_part *part, size_t step) {
    const size_t whole = part->n_out / part->slice_rows;
    const size_t rest = part->n_out - whole * part->slice_rows;
    return whole * tiles_of_slice(part, step) + (rest + step - 1) / step;
}

static void multiply_tile(const linear_args *args, const linear_scratch *scratch,
                          const linear_part *part, size_t at, size_t tile, size_t step) {
    const size_t in_slice = tiles_of_slice(part, step);
    const size_t slice = tile / in_slice * part->slice_rows;
    const size_t begin = slice + tile % in_slice * step;
    const size_t end = size_min(slice + part->slice_rows, part->n_out);
    multiply_columns(args, scratch, part, at, begin, size_min(step, end - begin));
}

/* All columns, in tiles taken by way of the counters: each member reads one sequence of addresses,
 * or all read in ascending order together where slices may have to be waited for, which come in
 * that order. */
static void multiply(const linear_args *args, const linear_scratch *scratch, size_t member,
                     size_t members, _Atomic size_t *counters) {
    size_t tiles[LINEAR_MAX_PARTS], total = 0, n_out = 0;
    bool is_sliced = false;
    for (size_t i = 0; i < args->n_part; i++) {
        n_out += args->part[i].n_out;
        is_sliced |= args->part[i].slice_rows < args->part[i].n_out;
    }
    const size_t step = tile_columns(args, n_out, members);
    for (size_t i = 0; i < args->n_part; i++) {
        tiles[i] = tiles_of_part(&args->part[i], step);
        total += tiles[i];
    }
    size_t tile;
    const size_t shares = is_sliced ? 1 : members;
    while (team_take_near(counters, member % shares, shares, total, &tile)) {
        size_t part = 0, at = 0;
        while (tile >= tiles[part]) {
            tile -= tiles[part];
            at += args->part[part++].n_out;
        }
        multiply_tile(args, scratch, &args->part[part], at, tile, step);
    }
}

void linear_run(const linear_args *args, const linear_scratch *scratch, team *members,
                size_t member, _Atomic size_t *counters) {
    const size_t count = team_size(members);
    if (is_alone(args)) {
        _Atomic size_t own = 0;
        prepare_rows(args, scratch, &own);
    } else {
        prepare_rows(args, scratch, &counters[0]);
        team_barrier(members);
    }
    if (args->squares) {
        add_squares(args, member, count);
    }
    multiply(args, scratch, member, count, &counters[1]);
}
