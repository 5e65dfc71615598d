#include "ops/attention.h"

#include "base/size.h"

#include <math.h>
#include <string.h>

enum {
    ALIGN = 16,                         /* floats: rows of scratch begin on 64-byte lines */
    SCORE_STRIDE = ATTENTION_PART + 16, /* rows an odd number of lines apart share no cache set */
    ROWS_TOGETHER = 6,                  /* rows mixed together where they see different keys */
    FEW_QUERIES = 32,                   /* a block that is worth reading keys and values for */
    DECODE_QUERIES = 16,                /* from so many on, stored values are decoded only once */
    FETCHES = 4,          /* turns in which a page is asked for: a quarter never waits for room */
    ITEMS_PER_MEMBER = 8, /* so that the last to finish is not much later */
    SPLIT_ROWS = 4,       /* rows over the whole context that may be split */
};

/* Queries of a block that share a key head: index row * group + head in the group. */
typedef struct attention_scratch {
    float *q;      /* [query][q_width], scaled */
    float *scores; /* [query][SCORE_STRIDE] */
    float *keys;   /* [head_k][ATTENTION_PAGE], decoded */
    float *row;    /* [head_k], decoded */
    float *values; /* [ATTENTION_PART][value_stride], decoded */
    float *slopes; /* [head of the group], with alibi */
    size_t q_width, v_width, value_stride;
    kernel_mixture part, total;
} attention_scratch;

static size_t most_queries(size_t group) {
    return attention_rows_most(group) * group;
}

size_t attention_rows_most(size_t group) {
    return size_max(1, ATTENTION_QUERIES / group);
}

size_t attention_rows_for(size_t n, size_t n_head, size_t n_head_kv, size_t n_member, size_t most) {
    const size_t group = n_head / n_head_kv;
    const size_t wanted = n * n_head_kv / (n_member * ITEMS_PER_MEMBER);
    const size_t least = (FEW_QUERIES + group - 1) / group;
    return size_min(size_max(wanted, least), most);
}

float attention_slope(size_t n_head, size_t head) {
    size_t n = 1;
    while (2 * n <= n_head) {
        n *= 2;
    }
    const double eighths = head < n ? 2.0 * (double)(head + 1) : 2.0 * (double)(head - n) + 1.0;
    return (float)kernel_pow(2, -4.0 * eighths / (double)n);
}

/* Floats that a mixture takes. */
static size_t mixture_floats(size_t queries, size_t v_width) {
    return queries * v_width + 2 * size_round_up(queries, ALIGN);
}

static kernel_mixture mixture_at(float *at, size_t queries, size_t v_width) {
    float *max = at + queries * v_width;
    return (kernel_mixture){at, v_width, max, max + size_round_up(queries, ALIGN)};
}

/* An odd number of cache lines, as for SCORE_STRIDE. */
static size_t value_stride(size_t v_width) {
    return v_width % (2 * ALIGN) ? v_width : v_width + ALIGN;
}

size_t attention_scratch_bytes(size_t n_head, size_t n_head_kv, size_t head_k, size_t head_v) {
    const size_t queries = most_queries(n_head / n_head_kv);
    const size_t q_width = size_round_up(head_k, ALIGN), v_width = size_round_up(head_v, ALIGN);
    const size_t floats = queries * (q_width + SCORE_STRIDE) + q_width * (ATTENTION_PAGE + 1) +
                          ATTENTION_PART * value_stride(v_width) +
                          2 * mixture_floats(queries, v_width) +
                          size_round_up(n_head / n_head_kv, ALIGN);
    return floats * sizeof(float);
}

static attention_scratch lay_out(const attention_args *a, void *memory) {
    const size_t queries = most_queries(a->n_head / a->n_head_kv);
    attention_scratch s = {
        .q_width = size_round_up(a->head_k, ALIGN),
        .v_width = size_round_up(a->head_v, ALIGN),
    };
    s.value_stride = value_stride(s.v_width);
    s.q = memory;
    s.scores = s.q + queries * s.q_width;
    s.keys = s.scores + queries * SCORE_STRIDE;
    s.row = s.keys + s.q_width * ATTENTION_PAGE;
    s.values = s.row + s.q_width;
    float *mixtures = s.values + ATTENTION_PART * s.value_stride;
    s.part = mixture_at(mixtures, queries, s.v_width);
    s.total = mixture_at(mixtures + mixture_floats(queries, s.v_width), queries, s.v_width);
    s.slopes = mixtures + 2 * mixture_floats(queries, s.v_width);
    return s;
}

size_t attention_shared_floats(size_t n_position, size_t n_head, size_t head_v) {
    const size_t rows = SPLIT_ROWS * (n_position / ATTENTION_PART + 1);
    size_t floats;
    return size_mul(rows * n_head, mixture_floats(1, size_round_up(head_v, ALIGN)), &floats)
               ? floats
               : SIZE_MAX;
}

size_t attention_cut(const attention_row *rows, size_t n, size_t most, attention_block *blocks) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        attention_block *last = count ? &blocks[count - 1] : NULL;
        if (last && last->count < most && rows[i].sequence == rows[i - 1].sequence &&
            rows[i].position == rows[i - 1].position + 1) {
            last->count++;
        } else {
            blocks[count++] = (attention_block){i, 1};
        }
    }
    return count;
}

/* ---- the layout of pages --------------------------------------------------------------------- */

/* Whether keys of a type lie dimension by dimension: those whose values are blocks of their own. */
static bool keys_turned(quant_type type) {
    return quant_format_of(type)->block_length == 1;
}

void attention_store_values(quant_type type, const float *values, size_t step, size_t n_head,
                            size_t head, uint8_t *rows, size_t in_page) {
    const size_t row_bytes = quant_row_bytes(type, head);
    for (size_t h = 0; h < n_head; h++) {
        quant_format_of(type)->encode(values + h * step,
                                      rows + (h * ATTENTION_PAGE + in_page) * row_bytes, head);
    }
}

/* The keys of one head, dimension by dimension. */
static void store_turned(quant_type type, const float *keys, size_t head, uint8_t *rows,
                         size_t in_page) {
    enum { TOGETHER = 64 };
    const quant_format *format = quant_format_of(type);
    const size_t bytes = format->block_bytes;
    uint8_t encoded[TOGETHER * sizeof(float)];
    for (size_t d = 0; d < head; d += TOGETHER) {
        const size_t count = size_min(TOGETHER, head - d);
        format->encode(keys + d, encoded, count);
        for (size_t i = 0; i < count; i++) {
            memcpy(rows + ((d + i) * ATTENTION_PAGE + in_page) * bytes, encoded + i * bytes, bytes);
        }
    }
}

void attention_store_keys(quant_type type, const float *keys, size_t step, size_t n_head,
                          size_t head, uint8_t *rows, size_t in_page) {
    if (!keys_turned(type)) {
        attention_store_values(type, keys, step, n_head, head, rows, in_page);
        return;
    }
    for (size_t h = 0; h < n_head; h++) {
        store_turned(type, keys + h * step, head,
                     rows + h * ATTENTION_PAGE * quant_row_bytes(type, head), in_page);
    }
}

/* What a page holds of a head: ATTENTION_PAGE rows of row_bytes. */
static const uint8_t *page_of(const attention_args *a, const uint32_t *pages, size_t position,
                              size_t offset, size_t head, size_t row_bytes) {
    return a->pool + pages[position / ATTENTION_PAGE] * a->page_bytes + offset +
           head * ATTENTION_PAGE * row_bytes;
}

/* ---- what sees what -------------------------------------------------------------------------- */

typedef struct span {
    size_t begin, end;
} span;

/* The part of [begin, end) that a row sees. */
static span visible(const attention_args *a, const attention_row *row, span keys) {
    const size_t past = row->position + 1;
    const size_t start = a->window && past > a->window ? past - a->window : 0;
    return (span){size_max(keys.begin, start), size_min(keys.end, past)};
}

/* The keys that any row of a block sees. */
static span block_keys(const attention_args *a, const attention_block *block) {
    const attention_row *first = &a->rows[block->first];
    const size_t end = first->position + block->count;
    return (span){visible(a, first, (span){0, end}).begin, end};
}

/* The rows of a block, counted from its first, that see any of `keys`. */
static span rows_seeing(const attention_args *a, const attention_block *block, span keys) {
    const size_t first = a->rows[block->first].position;
    const size_t begin = keys.begin > first ? keys.begin - first : 0;
    size_t end = block->count;
    if (a->window) {
        const size_t past = keys.end - 1 + a->window; /* the first position that sees none */
        end = past > first ? size_min(end, past - first) : 0;
    }
    return (span){size_min(begin, end), end};
}

static size_t first_part(span keys) {
    return keys.begin / ATTENTION_PART;
}

static size_t part_count(span keys) {
    return (keys.end - 1) / ATTENTION_PART - first_part(keys) + 1;
}

/* Those of `keys` that lie in a part. */
static span part_of(span keys, size_t part) {
    const size_t begin = part * ATTENTION_PART;
    return (span){size_max(begin, keys.begin), size_min(begin + ATTENTION_PART, keys.end)};
}

/* ---- one part -------------------------------------------------------------------------------- */

/* What a part's work is about. */
typedef struct item {
    const attention_args *a;
    const attention_scratch *s;
    const attention_block *block;
    const attention_row *rows; /* of the block */
    size_t head, group;
} item;

/* How far behind a page its successor lies that will be needed soon: heads lie far apart, so that
 * the processor cannot foresee it. Few queries are done with a page before memory has answered. */
static size_t ahead_of(const item *t, const uint8_t *page, size_t position, size_t offset,
                       size_t row_bytes) {
    const size_t next = position + (t->group < 4 ? 4 : 1) * ATTENTION_PAGE;
    if (next > t->rows->position) {
        return 0;
    }
    const uint8_t *wanted = page_of(t->a, t->rows->pages, next, offset, t->head, row_bytes);
    return (size_t)((uintptr_t)wanted - (uintptr_t)page);
}

/* Asks for one of FETCHES shares of a page. */
static void fetch_share(const uint8_t *page, size_t bytes, size_t share) {
    const size_t end = (share + 1) * bytes / FETCHES;
    for (size_t at = share * bytes / FETCHES; at < end; at += 64) {
        __builtin_prefetch(page + at, 0, 2);
    }
}

/* The page's keys as floats of a type that kernel_mix takes, dimension by dimension. */
static const uint8_t *turned_keys(const item *t, const uint8_t *page, size_t queries,
                                  quant_type *type) {
    const attention_args *a = t->a;
    const size_t head_k = a->head_k;
    *type = a->type_k;
    if (keys_turned(*type) && (queries < DECODE_QUERIES || *type == QUANT_F32)) {
        return page;
    }
    *type = QUANT_F32;
    float *keys = t->s->keys;
    if (keys_turned(a->type_k)) {
        a->kernels->decode[a->type_k](page, keys, head_k * ATTENTION_PAGE);
        return (const uint8_t *)keys;
    }
    for (size_t i = 0; i < ATTENTION_PAGE; i++) {
        a->kernels->decode[a->type_k](page + i * quant_row_bytes(a->type_k, head_k), t->s->row,
                                      head_k);
        for (size_t d = 0; d < head_k; d++) {
            keys[d * ATTENTION_PAGE + i] = t->s->row[d];
        }
    }
    return (const uint8_t *)keys;
}

/* scores[query][key - part's first] of a page at position `at`, also of keys that a row does not
 * see: those hold anything, and nothing reads their scores. Many queries are done in turns, and
 * before each some lines of the next keys and of these positions' values are asked for. */
static void score_page(const item *t, size_t part_begin, size_t at, span rows) {
    const attention_args *a = t->a;
    const attention_scratch *s = t->s;
    const uint32_t *pages = t->rows->pages;
    const size_t k_bytes = quant_row_bytes(a->type_k, a->head_k);
    const size_t v_bytes = quant_row_bytes(a->type_v, a->head_v);
    const uint8_t *page = page_of(a, pages, at, a->k_offset, t->head, k_bytes);
    const uint8_t *values = page_of(a, pages, at, a->v_offset, t->head, v_bytes);
    const size_t next = at + ATTENTION_PAGE;
    const uint8_t *next_page =
        page_of(a, pages, next <= t->rows->position ? next : at, a->k_offset, t->head, k_bytes);
    const size_t first = rows.begin * t->group, queries = (rows.end - rows.begin) * t->group;
    const bool few = queries < DECODE_QUERIES;
    quant_type type;
    const uint8_t *keys = turned_keys(t, page, queries, &type);
    const size_t stride = ATTENTION_PAGE * quant_format_of(type)->block_bytes;
    const size_t ahead = keys == page ? ahead_of(t, page, at, a->k_offset, k_bytes) : 0;
    const size_t turns = few ? 1 : FETCHES;
    for (size_t turn = 0, done = 0; turn < turns; turn++) {
        if (!few) {
            fetch_share(next_page, ATTENTION_PAGE * k_bytes, turn);
            fetch_share(values, ATTENTION_PAGE * v_bytes, turn);
        }
        const size_t query = first + done;
        const size_t end = (turn + 1) * queries / turns, now = end - done;
        if (now > 0) {
            a->kernels->mix[type](
                now, a->head_k, ATTENTION_PAGE, s->q + query * s->q_width, s->q_width, keys, stride,
                ahead, s->scores + query * SCORE_STRIDE + (at - part_begin), SCORE_STRIDE, false);
        }
        done = end;
    }
}

static void score_part(const item *t, size_t part_begin, span keys) {
    for (size_t at = keys.begin / ATTENTION_PAGE * ATTENTION_PAGE; at < keys.end;
         at += ATTENTION_PAGE) {
        const span rows = rows_seeing(t->a, t->block, (span){at, at + ATTENTION_PAGE});
        if (rows.begin < rows.end) {
            score_page(t, part_begin, at, rows);
        }
    }
}

/* Values of a part: where that of the key `begin` lies, and the type and distance of rows. */
typedef struct value_rows {
    const uint8_t *first;
    quant_type type;
    size_t stride, ahead; /* bytes */
    size_t begin;
} value_rows;

/* Adds weighed values of [keys), if there are any, to rows [begin, end) of the block. */
static void mix_values(const item *t, const kernel_mixture *to, span rows, span keys,
                       size_t part_begin, const value_rows *v) {
    if (keys.begin < keys.end) {
        const size_t first = rows.begin * t->group;
        t->a->kernels->mix[v->type](
            (rows.end - rows.begin) * t->group, keys.end - keys.begin, t->a->head_v,
            t->s->scores + first * SCORE_STRIDE + (keys.begin - part_begin), SCORE_STRIDE,
            v->first + (keys.begin - v->begin) * v->stride, v->stride, v->ahead,
            to->values + first * to->stride, to->stride, true);
    }
}

/* As they are stored, page by page, each row for itself. */
static void mix_stored(const item *t, const kernel_mixture *to, span rows, size_t part_begin,
                       span keys) {
    const attention_args *a = t->a;
    const size_t row_bytes = quant_row_bytes(a->type_v, a->head_v);
    const uint32_t *pages = t->rows->pages;
    for (size_t at = keys.begin / ATTENTION_PAGE * ATTENTION_PAGE, next; at < keys.end; at = next) {
        next = at + ATTENTION_PAGE;
        const uint8_t *stored = page_of(a, pages, at, a->v_offset, t->head, row_bytes);
        const value_rows v = {stored, a->type_v, row_bytes,
                              ahead_of(t, stored, at, a->v_offset, row_bytes), at};
        for (size_t r = rows.begin; r < rows.end; r++) {
            const span page = {size_max(at, keys.begin), size_min(next, keys.end)};
            mix_values(t, to, (span){r, r + 1}, visible(a, &t->rows[r], page), part_begin, &v);
        }
    }
}

static value_rows decode_values(const item *t, span keys) {
    const attention_args *a = t->a;
    const attention_scratch *s = t->s;
    const size_t row_bytes = quant_row_bytes(a->type_v, a->head_v);
    for (size_t at = keys.begin; at < keys.end; at++) {
        const uint8_t *page = page_of(a, t->rows->pages, at, a->v_offset, t->head, row_bytes);
        a->kernels->decode[a->type_v](page + at % ATTENTION_PAGE * row_bytes,
                                      s->values + (at - keys.begin) * s->value_stride, a->head_v);
    }
    return (value_rows){(const uint8_t *)s->values, QUANT_F32, s->value_stride * sizeof(float), 0,
                        keys.begin};
}

/* Rows that see nearly the same keys: each what it alone sees on the left, all together what all
 * see, each what it alone sees on the right. */
static void mix_nearly_same(const item *t, const kernel_mixture *to, span rows, size_t part_begin,
                            span keys, const value_rows *v) {
    const span first = visible(t->a, &t->rows[rows.begin], keys);
    const span last = visible(t->a, &t->rows[rows.end - 1], keys);
    const span shared = {last.begin, size_max(last.begin, first.end)};
    for (size_t r = rows.begin; r < rows.end; r++) {
        const span seen = visible(t->a, &t->rows[r], keys);
        const span left = {seen.begin, size_min(seen.end, shared.begin)};
        mix_values(t, to, (span){r, r + 1}, left, part_begin, v);
    }
    mix_values(t, to, rows, shared, part_begin, v);
    for (size_t r = rows.begin; r < rows.end; r++) {
        const span seen = visible(t->a, &t->rows[r], keys);
        const span right = {size_max(seen.begin, shared.end), seen.end};
        mix_values(t, to, (span){r, r + 1}, right, part_begin, v);
    }
}

static void mix_part(const item *t, const kernel_mixture *to, span rows, size_t part_begin,
                     span keys) {
    const attention_args *a = t->a;
    const size_t n_row = rows.end - rows.begin;
    memset(to->values + rows.begin * t->group * to->stride, 0,
           n_row * t->group * to->stride * sizeof(float));
    const bool few = n_row * t->group < DECODE_QUERIES;
    if (few && a->kernels->mix[a->type_v]) {
        mix_stored(t, to, rows, part_begin, keys);
        return;
    }
    const value_rows v = decode_values(t, keys);
    const span first = visible(a, &t->rows[rows.begin], keys);
    const span last = visible(a, &t->rows[rows.end - 1], keys);
    const bool same = first.begin == last.begin && first.end == last.end;
    const size_t step = same ? n_row : ROWS_TOGETHER;
    for (size_t r = rows.begin; r < rows.end; r += step) {
        mix_nearly_same(t, to, (span){r, size_min(r + step, rows.end)}, part_begin, keys, &v);
    }
}

/* The bias of a query's scores of the keys that it sees in a part. */
static void add_distance(const item *t, size_t query, span seen, float *scores) {
    const size_t distance = t->rows[query / t->group].position - seen.begin;
    t->a->kernels->add_ramp(scores, t->s->slopes[query % t->group], -(float)distance,
                            seen.end - seen.begin);
}

/* What part number `part` comes to, for the rows that see any of it: these are returned. */
static span compute_part(const item *t, size_t part, const kernel_mixture *to) {
    const attention_args *a = t->a;
    const size_t part_begin = part * ATTENTION_PART;
    const span keys = part_of(block_keys(a, t->block), part);
    const span rows = rows_seeing(a, t->block, keys);
    score_part(t, part_begin, keys);
    for (size_t query = rows.begin * t->group; query < rows.end * t->group; query++) {
        const span seen = visible(a, &t->rows[query / t->group], keys);
        float *scores = t->s->scores + query * SCORE_STRIDE + (seen.begin - part_begin);
        if (a->soft_cap > 0) {
            a->kernels->soft_cap(a->soft_cap, scores, seen.end - seen.begin);
        }
        if (a->alibi) {
            add_distance(t, query, seen, scores);
        }
        a->kernels->soften(scores, seen.end - seen.begin, &to->max[query], &to->sum[query]);
    }
    mix_part(t, to, rows, part_begin, keys);
    return rows;
}

/* ---- whole items ----------------------------------------------------------------------------- */

static void take_queries(const item *t) {
    const attention_args *a = t->a;
    for (size_t query = 0; query < t->block->count * t->group; query++) {
        const float *q = a->q + (t->block->first + query / t->group) * a->q_stride +
                         (t->head * t->group + query % t->group) * a->q_step;
        float *scaled = t->s->q + query * t->s->q_width;
        memcpy(scaled, q, a->head_k * sizeof(float));
        a->kernels->scale(a->scale, scaled, a->head_k);
    }
    for (size_t g = 0; g < t->group && a->alibi; g++) {
        t->s->slopes[g] = attention_slope(a->n_head, t->head * t->group + g);
    }
}

static void begin_total(const item *t) {
    const kernel_mixture *total = &t->s->total;
    const size_t queries = t->block->count * t->group;
    memset(total->values, 0, queries * total->stride * sizeof(float));
    for (size_t query = 0; query < queries; query++) {
        total->max[query] = -INFINITY;
        total->sum[query] = 0;
    }
}

static void merge_part(const item *t, const kernel_mixture *part, span rows) {
    const kernel_mixture *total = &t->s->total;
    const size_t first = rows.begin * t->group;
    const kernel_mixture from = {part->values + first * part->stride, part->stride,
                                 part->max + first, part->sum + first};
    const kernel_mixture to = {total->values + first * total->stride, total->stride,
                               total->max + first, total->sum + first};
    t->a->kernels->merge((rows.end - rows.begin) * t->group, t->a->head_v, &from, &to);
}

static void give_result(const item *t) {
    const attention_args *a = t->a;
    const kernel_mixture *total = &t->s->total;
    for (size_t query = 0; query < t->block->count * t->group; query++) {
        float *out = a->out + (t->block->first + query / t->group) * a->out_stride +
                     (t->head * t->group + query % t->group) * a->head_v;
        memcpy(out, total->values + query * total->stride, a->head_v * sizeof(float));
        a->kernels->scale(1.0f / total->sum[query], out, a->head_v);
    }
}

static void attend(const item *t) {
    const span keys = block_keys(t->a, t->block);
    take_queries(t);
    begin_total(t);
    for (size_t i = 0; i < part_count(keys); i++) {
        const span rows = compute_part(t, first_part(keys) + i, &t->s->part);
        merge_part(t, &t->s->part, rows);
    }
    give_result(t);
}

/* ---- items in chunks ------------------------------------------------------------------------- */

/* How items are cut: each has room for most_parts results, and n_chunk chunks of chunk_parts, some
 * of them empty where a block sees less than others. n_chunk is 1 where items stay whole. */
typedef struct split {
    size_t most_parts, slot_floats, slot_queries;
    size_t n_chunk, chunk_parts;
} split;

static split plan_split(const attention_args *a) {
    const size_t n_item = a->n_block * a->n_head_kv, wanted = a->n_member * ITEMS_PER_MEMBER;
    split p = {.n_chunk = 1};
    if (a->n_member == 1 || n_item >= wanted || n_item > a->shared.n_item) {
        return p;
    }
    size_t most_rows = 0;
    for (size_t i = 0; i < a->n_block; i++) {
        p.most_parts = size_max(p.most_parts, part_count(block_keys(a, &a->blocks[i])));
        most_rows = size_max(most_rows, a->blocks[i].count);
    }
    p.slot_queries = most_rows * (a->n_head / a->n_head_kv);
    p.slot_floats = mixture_floats(p.slot_queries, size_round_up(a->head_v, ALIGN));
    if (p.most_parts < 2 || p.slot_floats > a->shared.n_float / p.most_parts / n_item) {
        return p;
    }
    const size_t chunks = size_min((wanted + n_item - 1) / n_item, p.most_parts);
    p.chunk_parts = (p.most_parts + chunks - 1) / chunks;
    p.n_chunk = (p.most_parts + p.chunk_parts - 1) / p.chunk_parts;
    return p;
}

/* Where part number i of an item, counted from its first, is kept. */
static kernel_mixture slot_of(const item *t, const split *p, size_t number, size_t i) {
    float *at = t->a->shared.parts + (number * p->most_parts + i) * p->slot_floats;
    return mixture_at(at, p->slot_queries, t->s->v_width);
}

static void attend_chunk(const item *t, const split *p, size_t number, size_t chunk) {
    const span keys = block_keys(t->a, t->block);
    const size_t first = first_part(keys), count = part_count(keys);
    const size_t end = size_min((chunk + 1) * p->chunk_parts, count);
    if (chunk * p->chunk_parts < end) {
        take_queries(t);
    }
    for (size_t i = chunk * p->chunk_parts; i < end; i++) {
        const kernel_mixture slot = slot_of(t, p, number, i);
        (void)compute_part(t, first + i, &slot);
    }
    /* Acquire and release: who finishes last sees what the others have written. */
    _Atomic uint32_t *finished = &t->a->shared.finished[number];
    if (atomic_fetch_add_explicit(finished, 1, memory_order_acq_rel) + 1 < p->n_chunk) {
        return;
    }
    atomic_store_explicit(finished, 0, memory_order_relaxed);
    begin_total(t);
    for (size_t i = 0; i < count; i++) {
        const kernel_mixture slot = slot_of(t, p, number, i);
        merge_part(t, &slot, rows_seeing(t->a, t->block, part_of(keys, first + i)));
    }
    give_result(t);
}

void attention_run(const attention_args *args, void *scratch, _Atomic size_t *counter) {
    const attention_scratch s = lay_out(args, scratch);
    const split p = plan_split(args);
    const size_t n_item = args->n_block * args->n_head_kv;
    size_t taken, end;
    while (team_take(counter, 1, n_item * p.n_chunk, &taken, &end)) {
        const size_t number = n_item - 1 - taken / p.n_chunk;
        const attention_block *block = &args->blocks[number / args->n_head_kv];
        const item t = {
            .a = args,
            .s = &s,
            .block = block,
            .rows = args->rows + block->first,
            .head = number % args->n_head_kv,
            .group = args->n_head / args->n_head_kv,
        };
        if (p.n_chunk == 1) {
            attend(&t);
        } else {
            attend_chunk(&t, &p, number, taken % p.n_chunk);
        }
    }
}
