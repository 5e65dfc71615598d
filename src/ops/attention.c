#include "ops/attention.h"

#include "base/size.h"

#include <string.h>

enum { ALIGN = 16 }; /* floats: rows of scratch begin on 64-byte lines */

/* Queries of a block that share a key head: index row * group + head in the group. */
typedef struct attention_scratch {
    float *q;      /* [query][q_width] */
    float *page;   /* [ATTENTION_PAGE][width of a key or value], decoded */
    float *scores; /* [query][ATTENTION_PART] */
    float *part;   /* [query][v_width]: o */
    float *total;  /* [query][v_width]: O */
    float *part_max, *part_sum, *total_max, *total_sum; /* [query] */
    size_t q_width, v_width;
    void *kernels;
} attention_scratch;

size_t attention_scratch_bytes(size_t n_head, size_t n_head_kv, size_t head_k, size_t head_v) {
    const size_t queries = ATTENTION_ROWS * (n_head / n_head_kv);
    const size_t q_width = size_round_up(head_k, ALIGN), v_width = size_round_up(head_v, ALIGN);
    const size_t floats = queries * (q_width + ATTENTION_PART + 2 * v_width) +
                          ATTENTION_PAGE * size_max(q_width, v_width) +
                          4 * size_round_up(queries, ALIGN);
    return floats * sizeof(float);
}

static attention_scratch lay_out(const attention_args *a, void *memory, void *kernel_scratch) {
    const size_t queries = ATTENTION_ROWS * (a->n_head / a->n_head_kv);
    attention_scratch s = {
        .q_width = size_round_up(a->head_k, ALIGN),
        .v_width = size_round_up(a->head_v, ALIGN),
        .kernels = kernel_scratch,
    };
    float *at = memory;
    s.q = at;
    s.scores = s.q + queries * s.q_width;
    s.part = s.scores + queries * ATTENTION_PART;
    s.total = s.part + queries * s.v_width;
    s.page = s.total + queries * s.v_width;
    s.part_max = s.page + ATTENTION_PAGE * size_max(s.q_width, s.v_width);
    s.part_sum = s.part_max + size_round_up(queries, ALIGN);
    s.total_max = s.part_sum + size_round_up(queries, ALIGN);
    s.total_sum = s.total_max + size_round_up(queries, ALIGN);
    return s;
}

size_t attention_cut(const attention_row *rows, size_t n, attention_block *blocks) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        attention_block *last = count ? &blocks[count - 1] : NULL;
        if (last && last->count < ATTENTION_ROWS && rows[i].sequence == rows[i - 1].sequence &&
            rows[i].position == rows[i - 1].position + 1) {
            last->count++;
        } else {
            blocks[count++] = (attention_block){i, 1};
        }
    }
    return count;
}

/* The part of [begin, end) that a row sees. */
typedef struct span {
    size_t begin, end;
} span;

static span visible(const attention_args *a, const attention_row *row, size_t begin, size_t end) {
    const size_t past = row->position + 1;
    const size_t start = a->window && past > a->window ? past - a->window : 0;
    return (span){size_max(begin, start), size_min(end, past)};
}

/* First byte of a head's rows in the page that holds `position`. */
static const uint8_t *page_rows(const attention_args *a, const uint32_t *pages, size_t position,
                                size_t offset, size_t head, size_t row_bytes) {
    return a->pool + pages[position / ATTENTION_PAGE] * a->page_bytes + offset +
           head * ATTENTION_PAGE * row_bytes;
}

/* scores[query][key - begin] for keys [begin, end), a page at a time. bf16 and block types are
 * decoded first: the order of scores is that of floats whatever the type. */
static void score_part(const attention_args *a, const attention_scratch *s, const uint32_t *pages,
                       size_t queries, size_t head, span part) {
    const size_t row_bytes = quant_row_bytes(a->type_k, a->head_k);
    for (size_t at = part.begin; at < part.end; at += ATTENTION_PAGE) {
        const size_t keys = size_min(ATTENTION_PAGE, part.end - at);
        const void *rows = page_rows(a, pages, at, a->k_offset, head, row_bytes);
        quant_type type = a->type_k;
        size_t stride = row_bytes;
        if (type != QUANT_F32 && type != QUANT_F16) {
            for (size_t i = 0; i < keys; i++) {
                a->kernels->decode[type]((const char *)rows + i * row_bytes,
                                         s->page + i * s->q_width, a->head_k);
            }
            rows = s->page;
            type = QUANT_F32;
            stride = s->q_width * sizeof(float);
        }
        a->kernels->matmul[type](keys, queries, a->head_k, rows, stride, s->q,
                                 s->q_width * sizeof(float), s->scores + (at - part.begin),
                                 ATTENTION_PART, s->kernels);
    }
}

/* Scores to weights, for one query. */
static void weigh(const attention_args *a, const attention_scratch *s, size_t query, span seen,
                  size_t part_begin) {
    float *scores = s->scores + query * ATTENTION_PART + (seen.begin - part_begin);
    const size_t n = seen.end - seen.begin;
    a->kernels->scale(a->scale, scores, n);
    s->part_max[query] = a->kernels->max(scores, n);
    a->kernels->exp_shifted(scores, s->part_max[query], n);
    s->part_sum[query] = a->kernels->sum(scores, n);
    memset(s->part + query * s->v_width, 0, s->v_width * sizeof(float));
}

/* part[query] = sum of weight * value over what each row sees. */
static void mix_part(const attention_args *a, const attention_scratch *s, const attention_row *rows,
                     size_t n_row, size_t head, span part) {
    const size_t group = a->n_head / a->n_head_kv;
    const size_t row_bytes = quant_row_bytes(a->type_v, a->head_v);
    for (size_t at = part.begin; at < part.end; at += ATTENTION_PAGE) {
        const size_t end = size_min(at + ATTENTION_PAGE, part.end);
        const uint8_t *stored = page_rows(a, rows[0].pages, at, a->v_offset, head, row_bytes);
        for (size_t i = 0; i < end - at; i++) {
            a->kernels->decode[a->type_v](stored + i * row_bytes, s->page + i * s->v_width,
                                          a->head_v);
        }
        for (size_t query = 0; query < n_row * group; query++) {
            const span seen = visible(a, &rows[query / group], at, end);
            if (seen.begin < seen.end) {
                a->kernels->mix(seen.end - seen.begin, a->head_v,
                                s->scores + query * ATTENTION_PART + (seen.begin - part.begin),
                                s->page + (seen.begin - at) * s->v_width, s->v_width,
                                s->part + query * s->v_width);
            }
        }
    }
}

static void merge(const attention_args *a, const attention_scratch *s, size_t query, bool first) {
    float *total = s->total + query * s->v_width;
    const float *part = s->part + query * s->v_width;
    if (first) {
        memcpy(total, part, a->head_v * sizeof(float));
        s->total_max[query] = s->part_max[query];
        s->total_sum[query] = s->part_sum[query];
        return;
    }
    const float old_max = s->total_max[query], part_max = s->part_max[query];
    const float max = old_max > part_max ? old_max : part_max;
    const float keep = kernel_exp(old_max - max), take = kernel_exp(part_max - max);
    a->kernels->scale(keep, total, a->head_v);
    a->kernels->axpy(take, part, total, a->head_v);
    s->total_sum[query] = __builtin_fmaf(take, s->part_sum[query], keep * s->total_sum[query]);
    s->total_max[query] = max;
}

static void attend(const attention_args *a, const attention_scratch *s,
                   const attention_block *block, size_t head) {
    const attention_row *rows = a->rows + block->first;
    const size_t group = a->n_head / a->n_head_kv, queries = block->count * group;
    for (size_t query = 0; query < queries; query++) {
        const float *q = a->q + (block->first + query / group) * a->q_stride +
                         (head * group + query % group) * a->head_k;
        memcpy(s->q + query * s->q_width, q, a->head_k * sizeof(float));
    }
    const size_t end = rows[block->count - 1].position + 1;
    const size_t begin = visible(a, &rows[0], 0, end).begin;
    for (size_t at = begin / ATTENTION_PART * ATTENTION_PART; at < end; at += ATTENTION_PART) {
        const span part = {at, size_min(at + ATTENTION_PART, end)};
        score_part(a, s, rows[0].pages, queries, head, part);
        for (size_t query = 0; query < queries; query++) {
            const span seen = visible(a, &rows[query / group], part.begin, part.end);
            if (seen.begin < seen.end) {
                weigh(a, s, query, seen, part.begin);
            }
        }
        mix_part(a, s, rows, block->count, head, part);
        for (size_t query = 0; query < queries; query++) {
            const attention_row *row = &rows[query / group];
            const span seen = visible(a, row, part.begin, part.end);
            if (seen.begin < seen.end) {
                merge(a, s, query, visible(a, row, 0, end).begin >= part.begin);
            }
        }
    }
    for (size_t query = 0; query < queries; query++) {
        float *out = a->out + (block->first + query / group) * a->out_stride +
                     (head * group + query % group) * a->head_v;
        memcpy(out, s->total + query * s->v_width, a->head_v * sizeof(float));
        a->kernels->scale(1.0f / s->total_sum[query], out, a->head_v);
    }
}

void attention_run(const attention_args *args, void *scratch, void *kernel_scratch,
                   _Atomic size_t *counter) {
    const attention_scratch s = lay_out(args, scratch, kernel_scratch);
    size_t item, end;
    while (team_take(counter, 1, args->n_block * args->n_head_kv, &item, &end)) {
        attend(args, &s, &args->blocks[item / args->n_head_kv], item % args->n_head_kv);
    }
}
