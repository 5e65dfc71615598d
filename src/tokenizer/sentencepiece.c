#include "tokenizer/sentencepiece.h"

#include "base/error.h"
#include "base/size.h"
#include "tokenizer/token_list.h"
#include "tokenizer/utf8.h"

#include <inttypes.h>
#include <math.h>

#define KEY(name) "tokenizer.ggml." name

/* ---- protocol buffers ----------------------------------------------------------------------- */

/* The fields of one message, of wire types 0 (a varint), 1 (8 bytes), 2 (a length and as many
 * bytes) and 5 (4 bytes). */
typedef struct message {
    const uint8_t *at, *end;
    const uint8_t *begin; /* of the file */
    tables *t;
    uint32_t field, wire;
    uint64_t number; /* of types 0, 1 and 5 */
    str bytes;       /* of type 2 */
} message;

static void fail(const message *m, const char *what) {
    tables_fail(m->t, SL_ERR_FORMAT, "tokenizer.model: byte %zu: %s", (size_t)(m->at - m->begin),
                what);
}

static bool read_varint(message *m, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (m->at == m->end) {
            fail(m, "a number that does not end");
            return false;
        }
        const uint8_t byte = *m->at++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return true;
        }
    }
    fail(m, "a number of more than 64 bits");
    return false;
}

static bool read_fixed(message *m, size_t bytes) {
    if ((size_t)(m->end - m->at) < bytes) {
        fail(m, "a number past the end");
        return false;
    }
    m->number = 0;
    memcpy(&m->number, m->at, bytes);
    m->at += bytes;
    return true;
}

static bool read_bytes(message *m) {
    uint64_t length;
    if (!read_varint(m, &length)) {
        return false;
    }
    if (length > (size_t)(m->end - m->at)) {
        fail(m, "a field past the end");
        return false;
    }
    m->bytes = (str){(const char *)m->at, (size_t)length};
    m->at += length;
    return true;
}

/* The next field; false at the end and after a failure. */
static bool next(message *m) {
    uint64_t tag;
    if (m->t->status != SL_OK || m->at == m->end || !read_varint(m, &tag)) {
        return false;
    }
    m->field = (uint32_t)(tag >> 3);
    m->wire = tag & 7;
    switch (m->wire) {
    case 0:
        return read_varint(m, &m->number);
    case 1:
        return read_fixed(m, 8);
    case 2:
        return read_bytes(m);
    case 5:
        return read_fixed(m, 4);
    default:
        fail(m, "a field of an unknown kind");
        return false;
    }
}

/* The message in the field at hand. */
static message enter(const message *m) {
    message inner = *m;
    inner.at = (const uint8_t *)m->bytes.ptr;
    inner.end = inner.at + m->bytes.len;
    return inner;
}

/* ---- the model ------------------------------------------------------------------------------ */

typedef struct model {
    token_list tokens;
    uint64_t kind;
    int64_t unknown, bos, eos, padding; /* negative: none */
    str rule;                           /* the normalizer's name */
    bool has_table, add_space, collapse, escape;
} model;

static void read_piece(message m, model *found) {
    str text = {NULL, 0};
    float score = 0;
    uint64_t type = TOKEN_NORMAL;
    while (next(&m)) {
        if (m.field == 1 && m.wire == 2) {
            text = m.bytes;
        } else if (m.field == 2 && m.wire == 5) {
            const uint32_t bits = (uint32_t)m.number;
            memcpy(&score, &bits, sizeof score);
        } else if (m.field == 3 && m.wire == 0) {
            type = m.number;
        }
    }
    if (type < TOKEN_NORMAL || type > TOKEN_BYTE || isnan(score) || !text.ptr ||
        utf8_valid_prefix(text.ptr, text.len) < text.len) {
        fail(&m, "a piece without a text, or of an unknown type");
    }
    if (m.t->status == SL_OK) {
        sl_error own = {0};
        const sl_status status = token_list_add(&found->tokens, token_list_count(&found->tokens),
                                                text, (token_type)type, score, &own);
        if (status != SL_OK) {
            tables_fail(m.t, status, "tokenizer.model: %s", own.message);
        }
    }
}

/* Negative numbers are written as 64 bits. */
static void read_trainer(message m, model *found) {
    const struct {
        uint32_t field;
        int64_t *out;
    } ids[] = {{40, &found->unknown}, {41, &found->bos}, {42, &found->eos}, {43, &found->padding}};
    while (next(&m)) {
        if (m.wire != 0) {
            continue;
        }
        found->kind = m.field == 3 ? m.number : found->kind;
        for (size_t i = 0; i < COUNT_OF(ids); i++) {
            *ids[i].out = m.field == ids[i].field ? (int64_t)m.number : *ids[i].out;
        }
    }
}

static void read_normalizer(message m, model *found) {
    while (next(&m)) {
        if (m.field == 1 && m.wire == 2) {
            found->rule = m.bytes;
        } else if (m.field == 2 && m.wire == 2) {
            found->has_table = m.bytes.len > 0;
        } else if (m.wire == 0) {
            found->add_space = m.field == 3 ? m.number != 0 : found->add_space;
            found->collapse = m.field == 4 ? m.number != 0 : found->collapse;
            found->escape = m.field == 5 ? m.number != 0 : found->escape;
        }
    }
}

static void check(const model *found, tables *t) {
    static const char *const kinds[] = {"no kind", "Unigram", "BPE", "words", "characters"};
    if (found->kind != 2) {
        tables_fail(t, SL_ERR_UNSUPPORTED, "tokenizer.model: is of %s, only BPE is known here",
                    found->kind < COUNT_OF(kinds) ? kinds[found->kind] : "an unknown kind");
    }
    if (found->has_table) {
        tables_fail(t, SL_ERR_UNSUPPORTED,
                    "tokenizer.model: normalizes texts by the rule \"%.*s\", which is not known "
                    "here",
                    STR_ARG(found->rule));
    }
    if (found->collapse || !found->escape) {
        tables_fail(t, SL_ERR_UNSUPPORTED,
                    "tokenizer.model: collapses spaces or leaves them as they are, which is not "
                    "known here");
    }
}

static void put_id(tables *t, const model *found, const char *key, int64_t id) {
    if (id >= 0 && (uint64_t)id < token_list_count(&found->tokens)) {
        tables_u64(t, key, (uint64_t)id);
    }
}

bool sentencepiece_detect(const uint8_t *bytes, size_t size) {
    /* Field 1 with a length, and in it field 1, the text, with another. */
    return size > 4 && bytes[0] == 0x0a && bytes[1] > 2 && bytes[1] < 0x80 && bytes[2] == 0x0a &&
           bytes[3] < bytes[1];
}

void sentencepiece_add_rows(tables *t, const uint8_t *bytes, size_t size, size_t at_least) {
    model found = {.tokens = token_list_new(size / 2 + 1),
                   .kind = 1,
                   .unknown = 0,
                   .bos = 1,
                   .eos = 2,
                   .padding = -1,
                   .add_space = true,
                   .collapse = true,
                   .escape = true};
    message m = {.at = bytes, .end = bytes + size, .begin = bytes, .t = t};
    while (next(&m)) {
        if (m.wire == 2 && m.field >= 1 && m.field <= 3) {
            const message inner = enter(&m);
            (m.field == 1   ? read_piece
             : m.field == 2 ? read_trainer
                            : read_normalizer)(inner, &found);
        }
    }
    check(&found, t);
    if (t->status == SL_OK) {
        tables_string(t, KEY("model"), str_from("llama"));
        token_list_put(&found.tokens, at_least, true, t);
        put_id(t, &found, KEY("unknown_token_id"), found.unknown);
        put_id(t, &found, KEY("bos_token_id"), found.bos);
        put_id(t, &found, KEY("eos_token_id"), found.eos);
        put_id(t, &found, KEY("padding_token_id"), found.padding);
        tables_bool(t, KEY("add_space_prefix"), found.add_space);
    }
    token_list_free(&found.tokens);
}

void sentencepiece_add(tables *t, const uint8_t *bytes, size_t size) {
    sentencepiece_add_rows(t, bytes, size, 0);
}
