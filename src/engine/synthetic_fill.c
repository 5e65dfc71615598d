/* synthetic_fill.c - random values in every weight format.
 *
 * Tensors are cut into pieces of about a megabyte; each has random numbers of its own, made from
 * the seed and the piece's number, so that it does not matter which thread fills it.
 */
#include "engine/synthetic.h"

#include "base/error.h"
#include "base/size.h"
#include "ops/team.h"
#include "quant/half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- values --------------------------------------------------------------------------------- */

static void fill_bytes(random_state *random, uint8_t *bytes, size_t n) {
    for (size_t at = 0; at < n; at += 8) {
        const uint64_t r = random_u64(random);
        memcpy(bytes + at, &r, size_min(8, n - at));
    }
}

/* Uniform in [center - reach, center + reach). */
static void fill_f32(float center, float reach, random_state *random, uint8_t *bytes, size_t n) {
    const float step = reach * 0x1p-31f;
    for (size_t k = 0; k < n; k += 2) {
        const uint64_t r = random_u64(random);
        const float two[2] = {center + step * (float)(int32_t)(uint32_t)r,
                              center + step * (float)(int32_t)(r >> 32)};
        memcpy(bytes + k * sizeof(float), two, size_min(2, n - k) * sizeof(float));
    }
}

/* 4096 values evenly over [-reach, reach], picked by random bits: converting each would take most
 * of the time. */
static void fill_half(uint16_t (*convert)(float), float reach, random_state *random, uint8_t *bytes,
                      size_t n) {
    enum { VALUES = 4096 };
    uint16_t table[VALUES];
    for (int i = 0; i < VALUES; i++) {
        table[i] = convert(reach * ((float)(2 * i + 1) / VALUES - 1));
    }
    for (size_t k = 0; k < n; k += 4) {
        const uint64_t r = random_u64(random);
        const uint16_t four[4] = {table[r % VALUES], table[(r >> 16) % VALUES],
                                  table[(r >> 32) % VALUES], table[(r >> 48) % VALUES]};
        memcpy(bytes + k * sizeof *four, four, size_min(4, n - k) * sizeof *four);
    }
}

enum { NO_MINIMUM = 255 };

/* Blocks of random bits (layouts: quant/block32.c, block256.c) in which only the scales are set.
 * `minimum` in units of d makes the mean 0; `deviation` is that of the values where d is 1. For
 * Q4_K, say: values s*q - minimum*m with s, m in 0..63 and q in 0..15, each uniform. */
static const struct {
    uint8_t d_at, minimum_at;
    float minimum, deviation;
} scales[QUANT_TYPE_LIMIT] = {
    [QUANT_Q4_0] = {0, NO_MINIMUM, 0, 4.61f},   [QUANT_Q4_1] = {0, 2, -7.5f, 4.61f},
    [QUANT_Q5_0] = {0, NO_MINIMUM, 0, 9.23f},   [QUANT_Q5_1] = {0, 2, -15.5f, 9.23f},
    [QUANT_Q8_0] = {0, NO_MINIMUM, 0, 73.6f},   [QUANT_Q2_K] = {80, 82, 1.5f, 13.9f},
    [QUANT_Q3_K] = {108, NO_MINIMUM, 0, 43.3f}, [QUANT_Q4_K] = {0, 2, 7.5f, 258},
    [QUANT_Q5_K] = {0, 2, 15.5f, 527},          [QUANT_Q6_K] = {208, NO_MINIMUM, 0, 1368},
    [QUANT_IQ4_NL] = {0, NO_MINIMUM, 0, 67.4f}, [QUANT_IQ4_XS] = {0, NO_MINIMUM, 0, 1246},
};

static void put_f16(uint8_t *at, float value) {
    const uint16_t half = quant_f32_to_f16(value);
    memcpy(at, &half, sizeof half);
}

/* Scales are powers of two: one of the two around d, as random bits will have it, such that the
 * mean of their squares is that of d. The levels' deviation is 5.85. */
static void fill_mxfp4(float deviation, random_state *random, uint8_t *blocks, size_t n) {
    const quant_format *format = quant_format_of(QUANT_MXFP4);
    const size_t bytes = n / format->block_length * format->block_bytes;
    const float d = deviation / 5.85f;
    uint8_t e = 0;
    while (e < 253 && 2 * half_of_e8m0(e) <= d) {
        e++;
    }
    const float share = d / half_of_e8m0(e);
    const float larger = 256 * (share * share - 1) / 3;
    fill_bytes(random, blocks, bytes);
    for (uint8_t *block = blocks; block < blocks + bytes; block += format->block_bytes) {
        block[0] = (uint8_t)(e + ((float)block[0] < larger));
    }
}

static void fill_quantized(quant_type type, float deviation, random_state *random, uint8_t *blocks,
                           size_t n) {
    const quant_format *format = quant_format_of(type);
    const size_t bytes = n / format->block_length * format->block_bytes;
    const float d = deviation / scales[type].deviation;
    fill_bytes(random, blocks, bytes);
    /* Integers from -8 to 7 have the mean -1/2, which scales of both signs take away, as encoders'
     * do. Q8_0 has none below -127, and no negative scales. */
    const bool both_signs = scales[type].minimum_at == NO_MINIMUM && type != QUANT_Q8_0;
    for (uint8_t *block = blocks; block < blocks + bytes; block += format->block_bytes) {
        /* Where the scale goes are random bits that vary it, by a quarter at most. */
        const uint8_t *bits = block + scales[type].d_at;
        const float sign = both_signs && (bits[1] & 1) ? -1 : 1;
        const float own = sign * d * (0.75f + (float)bits[0] / 510);
        for (size_t k = 2; type == QUANT_Q8_0 && k < format->block_bytes; k++) {
            block[k] = block[k] == 0x80 ? 0x81 : block[k];
        }
        put_f16(block + scales[type].d_at, own);
        if (scales[type].minimum_at != NO_MINIMUM) {
            put_f16(block + scales[type].minimum_at, own * scales[type].minimum);
        }
    }
}

void synthetic_fill(quant_type type, float deviation, random_state *random, uint8_t *blocks,
                    size_t n) {
    const float reach = deviation * 1.7320508f; /* a uniform distribution's: the root of 3 */
    switch (type) {
    case QUANT_F32:
        fill_f32(0, reach, random, blocks, n);
        break;
    case QUANT_F16:
        fill_half(quant_f32_to_f16, reach, random, blocks, n);
        break;
    case QUANT_BF16:
        fill_half(quant_f32_to_bf16, reach, random, blocks, n);
        break;
    case QUANT_MXFP4:
        fill_mxfp4(deviation, random, blocks, n);
        break;
    default:
        fill_quantized(type, deviation, random, blocks, n);
    }
}

/* ---- all tensors ---------------------------------------------------------------------------- */

enum { PIECE_BYTES = 1 << 20 };

typedef struct fill_job {
    const model_file *file;
    const model_shape *shape;
    uint64_t seed;
    size_t *first; /* number of each tensor's first piece, and that of all pieces */
    _Atomic size_t next, done_bytes;
    _Atomic bool stop;
    sl_progress_fn progress;
    void *user;
} fill_job;

static size_t blocks_per_piece(const tensor_entry *tensor) {
    return PIECE_BYTES / quant_format_of(tensor->type)->block_bytes;
}

static void fill_piece(fill_job *job, size_t number, size_t piece) {
    const tensor_entry *tensor = &job->file->tensors[number];
    const quant_format *format = quant_format_of(tensor->type);
    const size_t begin = piece * blocks_per_piece(tensor) * format->block_bytes;
    const size_t bytes =
        size_min(blocks_per_piece(tensor) * format->block_bytes, tensor->bytes - begin);
    const size_t n = bytes / format->block_bytes * format->block_length;
    uint8_t *at = (uint8_t *)tensor->data + begin;
    random_state random;
    /* The factor only has to differ from the step by which random_seed goes from word to word. */
    random_seed(&random, job->seed + (job->first[number] + piece) * 0xd1342543de82ef95u);
    shape_tensor wanted;
    shape_tensor_at(job->shape, number, &wanted);
    if (wanted.role == TENSOR_NORM) {
        fill_f32(1, 0.1f, &random, at, n);
    } else if (wanted.role == TENSOR_BIAS) {
        fill_f32(0, 0.01f, &random, at, n);
    } else {
        /* Products of rows with activations of about 1 are of about 1 again. */
        synthetic_fill(tensor->type, 1 / sqrtf((float)tensor->dims[0]), &random, at, n);
    }
    atomic_fetch_add(&job->done_bytes, bytes);
}

static void fill_member(void *context, size_t member) {
    fill_job *job = context;
    size_t number = 0, piece, end;
    while (!atomic_load(&job->stop) &&
           team_take(&job->next, 1, job->first[job->file->tensor_count], &piece, &end)) {
        while (job->first[number + 1] <= piece) {
            number++;
        }
        fill_piece(job, number, piece - job->first[number]);
        if (member == 0 && job->progress &&
            !job->progress(job->user, "making weights", atomic_load(&job->done_bytes),
                           job->file->size)) {
            atomic_store(&job->stop, true);
        }
    }
}

sl_status synthetic_fill_all(model_file *file, const model_shape *shape, uint64_t seed,
                             size_t threads, sl_progress_fn progress, void *user, sl_error *error) {
    const size_t count = file->tensor_count;
    fill_job job = {.file = file, .shape = shape, .seed = seed, .progress = progress, .user = user};
    job.first = calloc(count + 1, sizeof *job.first);
    if (!job.first) {
        return error_memory(error, "a list of weights", (count + 1) * sizeof *job.first);
    }
    for (size_t i = 0; i < count; i++) {
        const tensor_entry *tensor = &file->tensors[i];
        const size_t piece = blocks_per_piece(tensor) * quant_format_of(tensor->type)->block_bytes;
        job.first[i + 1] = job.first[i] + (tensor->bytes + piece - 1) / piece;
    }
    team *workers = NULL;
    sl_status status = team_create(threads, &workers, error);
    if (status == SL_OK) {
        team_run(workers, fill_member, &job);
        team_free(workers);
        if (atomic_load(&job.stop)) {
            status = error_set(error, SL_ERR_CANCELLED, "making weights was interrupted");
        }
    }
    free(job.first);
    return status;
}
