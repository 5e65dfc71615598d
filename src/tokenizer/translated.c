/* translated.c - keys of our own, by which readers of other formats than GGUF (tokenizer_json.h and
 * others) say what GGUF's dialect has no words for. No file of ours has them. */
#include "base/error.h"
#include "base/size.h"
#include "tokenizer/tokenizer_parts.h"

#include <stdlib.h>

#define KEY(name) "sluice.tokenizer." name

static sl_status read_strips(tokenizer *t, const vocabulary *v, const char *key, strip_side side,
                             sl_error *error) {
    const meta_entry *ids;
    const sl_status status = meta_get_array(v->file, key, false, META_I32, &ids, error);
    if (status != SL_OK || !ids) {
        return status;
    }
    if (!t->strips) {
        t->strips = calloc(v->count, sizeof *t->strips);
    }
    if (!t->strips) {
        return error_memory(error, "the vocabulary", v->count);
    }
    for (uint64_t i = 0; i < ids->count; i++) {
        const int64_t id = meta_array_int(ids, i);
        if (id < 0 || (uint64_t)id >= v->count) {
            return error_set(error, SL_ERR_FORMAT, "metadata \"%s\": there is no token %lld", key,
                             (long long)id);
        }
        t->strips[id] |= (uint8_t)side;
    }
    return SL_OK;
}

static sl_status read_ends(const vocabulary *v, sl_error *error) {
    const meta_entry *ids;
    const sl_status status = meta_get_array(v->file, KEY("end_ids"), false, META_I32, &ids, error);
    for (uint64_t i = 0; status == SL_OK && ids && i < ids->count; i++) {
        const int64_t id = meta_array_int(ids, i);
        if (id >= 0 && (uint64_t)id < v->count) {
            v->ends[id] = true;
        }
    }
    return status;
}

sl_status translated_read(tokenizer *t, const vocabulary *v, sl_error *error) {
    const struct {
        const char *key;
        bool *out;
    } flags[] = {{KEY("literal"), &t->literal},
                 {KEY("space_at_start"), &t->space_at_start},
                 {KEY("space_if_none"), &t->space_if_none},
                 {KEY("cut_spaces"), &t->spm.cut_spaces},
                 {KEY("unknowns_apart"), &t->spm.unknowns_apart},
                 {KEY("whole_words"), &t->bpe.pre.whole_words}};
    sl_status status = SL_OK;
    for (size_t i = 0; i < COUNT_OF(flags) && status == SL_OK; i++) {
        status = meta_get_bool(v->file, flags[i].key, false, flags[i].out, error);
    }
    status = status == SL_OK ? normalizer_read(&t->normalizer, v->file, error) : status;
    status = status == SL_OK ? read_strips(t, v, KEY("strip_left"), STRIP_LEFT, error) : status;
    status = status == SL_OK ? read_strips(t, v, KEY("strip_right"), STRIP_RIGHT, error) : status;
    return status == SL_OK ? read_ends(v, error) : status;
}

sl_status translated_patterns(pretokenizer *p, const model_file *file, bool *found,
                              sl_error *error) {
    const meta_entry *patterns;
    sl_status status = meta_get_array(file, KEY("patterns"), false, META_STRING, &patterns, error);
    *found = status == SL_OK && patterns;
    if (!*found) {
        return status;
    }
    pretokenizer_source source = {0};
    if (patterns->count == 0 || patterns->count > PRETOKENIZER_PATTERNS) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "a pre-tokenizer of %llu patterns: 1 to %u are taken",
                         (unsigned long long)patterns->count, PRETOKENIZER_PATTERNS);
    }
    size_t cursor = 0;
    while (source.count < patterns->count) {
        source.patterns[source.count++] = meta_array_string(file, patterns, &cursor);
    }
    uint64_t from = source.count;
    status = meta_get_u64(file, KEY("byte_patterns_from"), false, 0, source.count, &from, error);
    source.bytes_from = (size_t)from;
    return status == SL_OK ? pretokenizer_compile(p, &source, error) : status;
}
