/* spm_build.c - from pieces and scores to a table of merges.
 *
 * SentencePiece merges any two neighbours whose texts together are a piece; the better its score,
 * the sooner. So each piece gives one pair for every place where it can be cut into two that are
 * pieces or single characters; text_chains.h finds them. */
#include "base/error.h"
#include "base/limits.h"
#include "tokenizer/spm.h"
#include "tokenizer/text_chains.h"
#include "tokenizer/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

size_t spm_marks_from_spaces(str text, char *out) {
    size_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        const bool space = text.ptr[i] == ' ';
        memcpy(out + length, space ? "\xe2\x96\x81" : &text.ptr[i], space ? SPM_MARK_BYTES : 1);
        length += space ? SPM_MARK_BYTES : 1;
    }
    return length;
}

typedef struct piece {
    str text;
    uint32_t token;
    uint32_t rank;
    float score;
    uint32_t first, last;            /* its first and last character */
    uint8_t first_bytes, last_bytes; /* their lengths */
} piece;

typedef struct builder {
    spm *s;
    merge_table *merges;
    const vocabulary *v;
    piece *pieces;
    size_t count;
    text_chains chains; /* of the pieces, by their place in the array */
    uint32_t *tokens;   /* likewise */
    uint32_t *left_at;  /* by length: the symbol of that much of the piece at hand */
    size_t rank_count;
    size_t pair_count; /* counted first, then added */
    bool adding;
    bool short_of_memory; /* for a seam */
    sl_error *error;
} builder;

/* ---- pieces that merge ---------------------------------------------------------------------- */

/* Whether text can be merged into it: well-formed, not empty, and without the space that a text has
 * none of once it is U+2581. Fills in its ends. */
static bool describe(piece *p) {
    size_t at = 0;
    while (at < p->text.len) {
        uint32_t code;
        const size_t length = utf8_decode(p->text.ptr + at, p->text.len - at, &code);
        if (length == 0 || code == ' ') {
            return false;
        }
        code = spm_canonical(code);
        if (at == 0) {
            p->first = code;
            p->first_bytes = (uint8_t)length;
        }
        p->last = code;
        p->last_bytes = (uint8_t)length;
        at += length;
    }
    return at > 0;
}

static sl_status collect(builder *b) {
    const meta_entry *scores;
    const sl_status status =
        meta_get_array(b->v->file, "tokenizer.ggml.scores", true, META_F32, &scores, b->error);
    if (status != SL_OK) {
        return status;
    }
    if (scores->count != b->v->count) {
        return error_set(b->error, SL_ERR_FORMAT,
                         "byte %" PRIu64 ": metadata \"tokenizer.ggml.scores\": expected %zu "
                         "elements, one for each token, found %" PRIu64,
                         scores->offset, b->v->count, scores->count);
    }
    for (size_t i = 0; i < b->v->count; i++) {
        piece p = {
            .text = b->v->texts[i], .token = (uint32_t)i, .score = meta_array_float(scores, i)};
        if (isnan(p.score)) {
            return error_set(b->error, SL_ERR_FORMAT,
                             "metadata \"tokenizer.ggml.scores\": the score of token %zu is not a "
                             "number",
                             i);
        }
        if (vocabulary_is_plain(b->v, i) && describe(&p)) {
            b->pieces[b->count++] = p;
        }
    }
    return SL_OK;
}

/* ---- order ---------------------------------------------------------------------------------- */

typedef struct scored {
    float score;
    uint32_t number; /* of the piece */
} scored;

static int by_score(const void *a, const void *b) {
    const scored *p = a, *q = b;
    return p->score > q->score ? -1 : p->score < q->score;
}

/* Many writers number pieces by their scores, so that there is nothing to sort. */
static sl_status rank_by_score(builder *b) {
    scored *order = malloc((b->count + 1) * sizeof *order);
    if (!order) {
        return error_memory(b->error, "the vocabulary", b->count * sizeof *order);
    }
    bool ordered = true;
    for (size_t i = 0; i < b->count; i++) {
        order[i] = (scored){b->pieces[i].score, (uint32_t)i};
        ordered = ordered && (i == 0 || order[i - 1].score >= order[i].score);
    }
    if (!ordered) {
        qsort(order, b->count, sizeof *order, by_score);
    }
    for (size_t i = 0; i < b->count; i++) {
        b->rank_count += i > 0 && order[i].score != order[i - 1].score;
        b->pieces[order[i].number].rank = (uint32_t)b->rank_count;
    }
    b->rank_count++;
    free(order);
    return SL_OK;
}

static sl_status link_pieces(builder *b) {
    str *texts = malloc((b->count + 1) * sizeof *texts);
    b->tokens = malloc((b->count + 1) * sizeof *b->tokens);
    if (!texts || !b->tokens) {
        free(texts);
        return error_memory(b->error, "the vocabulary", b->count * sizeof *texts);
    }
    for (size_t i = 0; i < b->count; i++) {
        texts[i] = b->pieces[i].text;
        b->tokens[i] = b->pieces[i].token;
    }
    const sl_status status = text_chains_build(&b->chains, texts, b->count, b->error);
    free(texts);
    return status;
}

/* ---- characters ----------------------------------------------------------------------------- */

void spm_ask_page(spm *s, uint32_t code) {
    uint16_t *page = &s->page_at[code / 256];
    if (*page == 0) {
        *page = (uint16_t)++s->page_count;
    }
}

uint32_t *spm_symbol_place(spm *s, uint32_t code) {
    return &s->pages[(size_t)s->page_at[code / 256] * 256 + code % 256];
}

/* A character that begins or ends a piece without being one. */
static void add_odd(spm *s, uint32_t code) {
    uint32_t *symbol = spm_symbol_place(s, code);
    if (*symbol == MERGE_NONE) {
        *symbol = (uint32_t)(s->vocabulary + s->odd_count);
        s->odd_codes[s->odd_count++] = code;
    }
}

/* Gives the rest of a block back; one that cannot be cut stays as it is. */
static void *cut_block(void *block, size_t bytes) {
    void *cut = realloc(block, bytes);
    return cut ? cut : block;
}

sl_status spm_make_pages(spm *s, sl_error *error) {
    s->page_count++; /* page 0, which nobody asks for */
    const size_t bytes = s->page_count * 256 * sizeof *s->pages;
    s->pages = malloc(bytes);
    if (!s->pages) {
        return error_memory(error, "the vocabulary's characters", bytes);
    }
    memset(s->pages, 0xff, bytes);
    return SL_OK;
}

static sl_status assign_symbols(builder *b) {
    spm *s = b->s;
    for (size_t i = 0; i < b->count; i++) {
        spm_ask_page(s, b->pieces[i].first);
        spm_ask_page(s, b->pieces[i].last);
    }
    const sl_status status = spm_make_pages(s, b->error);
    s->odd_codes = malloc((2 * b->count + 1) * sizeof *s->odd_codes);
    if (status != SL_OK || !s->odd_codes) {
        return status != SL_OK ? status
                               : error_memory(b->error, "the vocabulary's characters",
                                              2 * b->count * sizeof *s->odd_codes);
    }
    for (size_t i = 0; i < b->count; i++) {
        if (b->pieces[i].text.len == b->pieces[i].first_bytes) {
            *spm_symbol_place(s, b->pieces[i].first) = b->pieces[i].token;
        }
    }
    for (size_t i = 0; i < b->count; i++) {
        if (b->pieces[i].text.len > b->pieces[i].first_bytes) {
            add_odd(s, b->pieces[i].first);
            add_odd(s, b->pieces[i].last);
        }
    }
    s->odd_codes = cut_block(s->odd_codes, (s->odd_count + 1) * sizeof *s->odd_codes);
    return SL_OK;
}

/* Seams of other characters than ASCII are few beside the pairs: the set begins small. */
#define FIRST_SEAMS 1024u

static sl_status seam_memory(size_t slots, sl_error *error) {
    return error_memory(error, "the vocabulary's characters", slots * sizeof(uint64_t));
}

sl_status spm_make_seams(spm *s, sl_error *error) {
    s->seams = calloc(FIRST_SEAMS, sizeof *s->seams);
    s->seam_mask = FIRST_SEAMS - 1;
    return s->seams ? SL_OK : seam_memory(FIRST_SEAMS, error);
}

static bool double_seams(spm *s) {
    const size_t before = s->seam_mask + 1;
    uint64_t *const old = s->seams;
    uint64_t *const larger = calloc(2 * before, sizeof *larger);
    if (!larger) {
        return false;
    }
    s->seams = larger;
    s->seam_mask = 2 * before - 1;
    for (size_t i = 0; i < before; i++) {
        if (old[i]) {
            *spm_seam(s, old[i]) = old[i];
        }
    }
    free(old);
    return true;
}

/* ---- pairs ---------------------------------------------------------------------------------- */

bool spm_add_seam(spm *s, uint32_t first, uint32_t second) {
    if (first < 128 && second < 128) {
        s->ascii_seams[first][second / 64] |= (uint64_t)1 << second % 64;
        return true;
    }
    const uint64_t key = spm_seam_key(first, second);
    if (*spm_seam(s, key)) {
        return true;
    }
    if (2 * (s->seam_count + 1) > s->seam_mask && !double_seams(s)) {
        return false;
    }
    *spm_seam(s, key) = key;
    s->seam_count++;
    return true;
}

uint32_t spm_last_code(const char *end) {
    const char *at = end - 1;
    while (((uint8_t)*at & 0xc0) == 0x80) {
        at--;
    }
    uint32_t code = 0;
    (void)utf8_decode(at, (size_t)(end - at), &code);
    return spm_canonical(code);
}

uint32_t spm_first_code(const char *at, const char *end) {
    uint32_t code = 0;
    (void)utf8_decode(at, (size_t)(end - at), &code);
    return spm_canonical(code);
}

static void add_pair(builder *b, const piece *p, uint32_t right, size_t right_bytes) {
    const size_t cut = p->text.len - right_bytes;
    const uint32_t left = b->left_at[cut];
    if (left == MERGE_NONE) {
        return;
    }
    b->pair_count++;
    if (b->adding) {
        const char *end = p->text.ptr + p->text.len;
        merge_table_add(b->merges, (merge_pair){left, right, p->rank, p->token});
        b->short_of_memory |= !spm_add_seam(b->s, spm_last_code(end - right_bytes),
                                            spm_first_code(end - right_bytes, end));
    }
}

static void cut_piece(builder *b, size_t number) {
    const piece *p = &b->pieces[number];
    const bool odd_first = spm_symbol(b->s, p->first) >= b->s->vocabulary;
    const bool odd_last = spm_symbol(b->s, p->last) >= b->s->vocabulary;
    const uint32_t *begins = b->chains.begins, *ends = b->chains.ends;
    const uint32_t *lengths = b->chains.lengths;
    if (odd_first) {
        b->left_at[p->first_bytes] = spm_symbol(b->s, p->first);
    }
    for (uint32_t i = begins[number]; i != CHAIN_END; i = begins[i]) {
        b->left_at[lengths[i]] = b->tokens[i];
    }
    for (uint32_t i = ends[number]; i != CHAIN_END; i = ends[i]) {
        add_pair(b, p, b->tokens[i], lengths[i]);
    }
    if (odd_last) {
        add_pair(b, p, spm_symbol(b->s, p->last), p->last_bytes);
    }
    b->left_at[p->first_bytes] = MERGE_NONE;
    for (uint32_t i = begins[number]; i != CHAIN_END; i = begins[i]) {
        b->left_at[lengths[i]] = MERGE_NONE;
    }
}

static void cut_pieces(builder *b, bool adding) {
    b->adding = adding;
    b->pair_count = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (b->pieces[i].text.len > b->pieces[i].first_bytes) {
            cut_piece(b, i);
        }
    }
}

static sl_status add_pairs(builder *b) {
    cut_pieces(b, false);
    if (b->pair_count > LIMIT_MERGES) {
        return error_set(b->error, SL_ERR_FORMAT,
                         "metadata \"tokenizer.ggml.tokens\": expected at most %u ways to cut a "
                         "token into two others, found %zu",
                         LIMIT_MERGES, b->pair_count);
    }
    sl_status status =
        merge_table_init(b->merges, b->pair_count, b->rank_count, b->s->seed, b->error);
    if (status != SL_OK) {
        return status;
    }
    status = spm_make_seams(b->s, b->error);
    if (status == SL_OK) {
        cut_pieces(b, true);
        merge_table_finish(b->merges);
    }
    return b->short_of_memory ? seam_memory(2 * (b->s->seam_mask + 1), b->error) : status;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static sl_status assign_bytes(spm *s, const vocabulary *v, sl_error *error) {
    memset(s->bytes, 0xff, sizeof s->bytes);
    for (size_t i = 0; i < v->count; i++) {
        if (v->types[i] == TOKEN_BYTE) {
            s->bytes[vocabulary_byte_value(v->texts[i])] = (int32_t)i;
        }
    }
    s->unknown = v->unknown;
    for (unsigned byte = 0; byte < 256 && s->unknown < 0; byte++) {
        if (s->bytes[byte] < 0) {
            return error_set(error, SL_ERR_FORMAT,
                             "the vocabulary has neither a token \"<0x%02X>\" for that byte nor an "
                             "unknown token (tokenizer.ggml.unknown_token_id)",
                             byte);
        }
    }
    return SL_OK;
}

static sl_status build(builder *b) {
    const size_t count = b->v->count;
    b->pieces = malloc(count * sizeof *b->pieces);
    b->left_at = malloc((LIMIT_TOKEN_BYTES + 1) * sizeof *b->left_at);
    if (!b->pieces || !b->left_at) {
        return error_memory(b->error, "the vocabulary", count * sizeof *b->pieces);
    }
    memset(b->left_at, 0xff, (LIMIT_TOKEN_BYTES + 1) * sizeof *b->left_at);
    sl_status status = collect(b);
    status = status == SL_OK ? rank_by_score(b) : status;
    status = status == SL_OK ? link_pieces(b) : status;
    status = status == SL_OK ? assign_symbols(b) : status;
    return status == SL_OK ? add_pairs(b) : status;
}

sl_status spm_build(spm *s, merge_table *merges, const vocabulary *v, bool add_space,
                    sl_error *error) {
    s->vocabulary = v->count;
    s->add_space = add_space;
    s->seed = v->index.key[0];
    sl_status status = assign_bytes(s, v, error);
    if (status != SL_OK) {
        return status;
    }
    bool by_merges = false;
    status = meta_get_bool(v->file, "sluice.tokenizer.by_merges", false, &by_merges, error);
    if (status != SL_OK || by_merges) {
        return status == SL_OK ? spm_add_merges(s, merges, v, error) : status;
    }
    builder b = {.s = s, .merges = merges, .v = v, .error = error};
    status = build(&b);
    free(b.pieces);
    free(b.tokens);
    text_chains_free(&b.chains);
    free(b.left_at);
    return status;
}

void spm_free(spm *s) {
    free(s->pages);
    free(s->odd_codes);
    free(s->seams);
    *s = (spm){0};
}

size_t spm_bytes(const spm *s) {
    return s->page_count * 256 * sizeof *s->pages + s->odd_count * sizeof *s->odd_codes +
           (s->seams ? (s->seam_mask + 1) * sizeof *s->seams : 0);
}
