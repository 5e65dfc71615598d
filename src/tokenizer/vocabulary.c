#include "tokenizer/vocabulary.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdlib.h>

#define KEY(name) "tokenizer.ggml." name

/* "<|end of sentence|>" with a fullwidth bar and U+2581 for the spaces. In two strings, as 'e'
 * would go on the escape before it. */
#define DEEPSEEK_END                                                                               \
    "<\xef\xbd\x9c"                                                                                \
    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"

static sl_status wrong_count(const char *key, const meta_entry *entry, size_t count,
                             sl_error *error) {
    return error_set(error, SL_ERR_FORMAT,
                     "byte %" PRIu64
                     ": metadata \"%s\": expected %zu elements, one for each token, "
                     "found %" PRIu64,
                     entry->offset, key, count, entry->count);
}

/* `bytes`: of all texts. */
static sl_status allocate(vocabulary *v, size_t bytes, sl_error *error) {
    v->texts = calloc(v->count, sizeof *v->texts);
    v->text_bytes = malloc(bytes + 1);
    v->types = calloc(v->count, sizeof *v->types);
    v->ends = calloc(v->count, sizeof *v->ends);
    return v->texts && v->text_bytes && v->types && v->ends
               ? SL_OK
               : error_memory(error, "the vocabulary", bytes + v->count * (sizeof *v->texts + 2));
}

static sl_status read_texts(vocabulary *v, sl_error *error) {
    const meta_entry *tokens;
    sl_status status = meta_get_array(v->file, KEY("tokens"), true, META_STRING, &tokens, error);
    if (status != SL_OK) {
        return status;
    }
    if (tokens->count == 0 || tokens->count > LIMIT_VOCABULARY) {
        return error_set(error, SL_ERR_FORMAT,
                         "byte %" PRIu64 ": metadata \"" KEY("tokens") "\": expected 1 to %u "
                                                                       "tokens, found %" PRIu64,
                         tokens->offset, LIMIT_VOCABULARY, tokens->count);
    }
    v->count = (size_t)tokens->count;
    status = allocate(v, tokens->data_bytes, error);
    if (status != SL_OK) {
        return status;
    }
    size_t cursor = 0;
    char *out = v->text_bytes;
    for (size_t i = 0; i < v->count; i++) {
        const str text = meta_array_string(v->file, tokens, &cursor);
        if (text.len > LIMIT_TOKEN_BYTES) {
            return error_set(error, SL_ERR_FORMAT,
                             "metadata \"" KEY("tokens") "\": expected at most %u bytes a token, "
                                                         "found %zu in token %zu",
                             LIMIT_TOKEN_BYTES, text.len, i);
        }
        memcpy(out, text.ptr, text.len);
        v->texts[i] = (str){out, text.len};
        out += text.len;
    }
    return SL_OK;
}

static sl_status index_texts(vocabulary *v, sl_error *error) {
    size_t first, twice;
    const sl_status status =
        name_index_build(&v->index, v->texts, sizeof *v->texts, v->count, &first, &twice, error);
    if (status == SL_OK && twice != NAME_INDEX_NONE) {
        return error_set(error, SL_ERR_FORMAT,
                         "metadata \"" KEY("tokens") "\": expected each token once, found \"%.*s\" "
                                                     "as tokens %zu and %zu",
                         STR_ARG(v->texts[twice]), first, twice);
    }
    return status;
}

int64_t vocabulary_find(const vocabulary *v, str text) {
    const size_t token = name_index_find(&v->index, v->texts, sizeof *v->texts, text);
    return token == NAME_INDEX_NONE ? -1 : (int64_t)token;
}

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int vocabulary_byte_value(str text) {
    if (text.len != 6 || memcmp(text.ptr, "<0x", 3) != 0 || text.ptr[5] != '>') {
        return -1;
    }
    const int high = hex_value(text.ptr[3]), low = hex_value(text.ptr[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* ---- types ---------------------------------------------------------------------------------- */

static sl_status read_types(vocabulary *v, bool *found, sl_error *error) {
    const meta_entry *types;
    const sl_status status =
        meta_get_array(v->file, KEY("token_type"), false, META_I32, &types, error);
    *found = status == SL_OK && types;
    if (!*found) {
        return status;
    }
    if (types->count != v->count) {
        return wrong_count(KEY("token_type"), types, v->count, error);
    }
    for (size_t i = 0; i < v->count; i++) {
        const int64_t type = meta_array_int(types, i);
        if (type < TOKEN_NORMAL || type > TOKEN_BYTE) {
            return error_set(error, SL_ERR_FORMAT,
                             "metadata \"" KEY("token_type") "\": expected 1 to 6, found %" PRId64
                                                             " for token %zu",
                             type, i);
        }
        v->types[i] = (uint8_t)type;
    }
    return SL_OK;
}

/* Where no types are given: what the kind's conventions and the ids say. */
static void guess_types(vocabulary *v, const vocabulary_defaults *defaults) {
    static const char *const bert[] = {"[PAD]", "[MASK]"};
    const bool sentencepiece = defaults->sentencepiece;
    const bool conventions = sentencepiece || defaults->wordpiece;
    for (size_t i = 0; i < v->count; i++) {
        const bool byte = sentencepiece && vocabulary_byte_value(v->texts[i]) >= 0;
        v->types[i] = byte ? TOKEN_BYTE : TOKEN_NORMAL;
    }
    if (conventions && v->bos >= 0) {
        v->types[v->bos] = TOKEN_CONTROL;
    }
    if (conventions && v->eos >= 0) {
        v->types[v->eos] = TOKEN_CONTROL;
    }
    if (conventions && v->unknown >= 0) {
        v->types[v->unknown] = TOKEN_UNKNOWN;
    }
    for (size_t i = 0; defaults->wordpiece && i < COUNT_OF(bert); i++) {
        const int64_t token = vocabulary_find(v, str_from(bert[i]));
        if (token >= 0) {
            v->types[token] = TOKEN_CONTROL;
        }
    }
}

static sl_status check_byte_tokens(const vocabulary *v, sl_error *error) {
    for (size_t i = 0; i < v->count; i++) {
        if (v->types[i] == TOKEN_BYTE && vocabulary_byte_value(v->texts[i]) < 0) {
            return error_set(error, SL_ERR_FORMAT,
                             "metadata \"" KEY("tokens") "\": token %zu is of type byte: expected "
                                                         "\"<0x00>\" to \"<0xFF>\", found \"%.*s\"",
                             i, STR_ARG(v->texts[i]));
        }
    }
    return SL_OK;
}

/* ---- particular tokens ---------------------------------------------------------------------- */

/* An id from the metadata, or `otherwise` if there is none. */
static sl_status read_id(const vocabulary *v, const char *key, int32_t otherwise, int32_t *out,
                         sl_error *error) {
    uint64_t id = UINT64_MAX;
    const sl_status status = meta_get_u64(v->file, key, false, 0, v->count - 1, &id, error);
    *out = id == UINT64_MAX ? otherwise : (int32_t)id;
    return status;
}

/* SentencePiece's own numbers hold where the metadata is silent, if the token is what it should
 * be. */
static int32_t conventional(const vocabulary *v, bool sentencepiece, int32_t id, const char *text) {
    return sentencepiece && (size_t)id < v->count && str_is(v->texts[id], text) ? id : -1;
}

/* BERT's begin and end are of keys of their own, and known by their texts without. Writers of files
 * spell "separator" with three e. */
static sl_status read_bert_ids(vocabulary *v, sl_error *error) {
    const struct {
        const char *key;
        int32_t *out;
    } ids[] = {
        {KEY("cls_token_id"), &v->bos},         {KEY("bos_token_id"), &v->bos},
        {KEY("separator_token_id"), &v->eos},   {KEY("seperator_token_id"), &v->eos},
        {KEY("unknown_token_id"), &v->unknown},
    };
    v->bos = (int32_t)vocabulary_find(v, str_from("[CLS]"));
    v->eos = (int32_t)vocabulary_find(v, str_from("[SEP]"));
    v->unknown = (int32_t)vocabulary_find(v, str_from("[UNK]"));
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        const sl_status status = read_id(v, ids[i].key, *ids[i].out, ids[i].out, error);
        if (status != SL_OK) {
            return status;
        }
    }
    return SL_OK;
}

static sl_status read_ids(vocabulary *v, bool sentencepiece, sl_error *error) {
    const struct {
        const char *key;
        int32_t otherwise;
        int32_t *out;
    } ids[] = {
        {KEY("bos_token_id"), conventional(v, sentencepiece, 1, "<s>"), &v->bos},
        {KEY("eos_token_id"), conventional(v, sentencepiece, 2, "</s>"), &v->eos},
        {KEY("unknown_token_id"), conventional(v, sentencepiece, 0, "<unk>"), &v->unknown},
    };
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        const sl_status status = read_id(v, ids[i].key, ids[i].otherwise, ids[i].out, error);
        if (status != SL_OK) {
            return status;
        }
    }
    return SL_OK;
}

static sl_status read_end(vocabulary *v, const char *key, sl_error *error) {
    int32_t id;
    const sl_status status = read_id(v, key, -1, &id, error);
    if (status == SL_OK && id >= 0) {
        v->ends[id] = true;
    }
    return status;
}

/* Names of tokens that end a turn or a text, as many files leave the ids out. The first six are
 * control tokens whatever the file says of their type. */
static void mark_named_ends(vocabulary *v) {
    static const char *const names[] = {
        "<|eot_id|>",
        "<|im_end|>",
        "<|endoftext|>",
        "<end_of_turn>",
        "<|end|>",
        "<|eom_id|>",
        "</s>",
        "<eos>",
        "<EOT>",
        "<|end_of_text|>",
        "<|return|>",
        "<|call|>",
        "<end_of_utterance>",
        DEEPSEEK_END,
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const int64_t token = vocabulary_find(v, str_from(names[i]));
        if (token < 0) {
            continue;
        }
        if (i < 6) {
            v->types[token] = TOKEN_CONTROL;
        }
        v->ends[token] = v->ends[token] || v->types[token] == TOKEN_CONTROL;
    }
    /* Where <|return|> and <|call|> end a generation, <|end|> only ends one of its messages. */
    const int64_t end = vocabulary_find(v, str_from("<|end|>"));
    if (end >= 0 && end != v->eos && vocabulary_find(v, str_from("<|return|>")) >= 0 &&
        vocabulary_find(v, str_from("<|call|>")) >= 0) {
        v->ends[end] = false;
    }
}

static sl_status read_ends(vocabulary *v, sl_error *error) {
    mark_named_ends(v);
    static const char *const keys[] = {KEY("eos_token_id"), KEY("eot_token_id"),
                                       KEY("eom_token_id")};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const sl_status status = read_end(v, keys[i], error);
        if (status != SL_OK) {
            return status;
        }
    }
    if (v->eos >= 0) {
        v->ends[v->eos] = true;
    }
    return SL_OK;
}

/* A token that the file itself asks for must exist; one that only the kind of tokenizer asks for
 * is left out where there is none. */
static sl_status read_added(const vocabulary *v, const char *key, int32_t id, bool otherwise,
                            bool *out, sl_error *error) {
    *out = otherwise;
    const sl_status status = meta_get_bool(v->file, key, false, out, error);
    if (status == SL_OK && *out && id < 0) {
        if (meta_find(v->file, key)) {
            return error_set(error, SL_ERR_FORMAT,
                             "metadata \"%s\" is true, but no such token is named", key);
        }
        *out = false;
    }
    return status;
}

sl_status vocabulary_read(vocabulary *v, const model_file *file,
                          const vocabulary_defaults *defaults, sl_error *error) {
    *v = (vocabulary){.file = file, .bos = -1, .eos = -1, .unknown = -1};
    bool typed = false;
    sl_status status = read_texts(v, error);
    status = status == SL_OK ? index_texts(v, error) : status;
    if (status == SL_OK) {
        status = defaults->wordpiece ? read_bert_ids(v, error)
                                     : read_ids(v, defaults->sentencepiece, error);
    }
    status = status == SL_OK ? read_types(v, &typed, error) : status;
    if (status == SL_OK && !typed) {
        guess_types(v, defaults);
    }
    status = status == SL_OK ? check_byte_tokens(v, error) : status;
    status = status == SL_OK ? read_ends(v, error) : status;
    status = status == SL_OK ? read_added(v, KEY("add_bos_token"), v->bos, defaults->add_bos,
                                          &v->add_bos, error)
                             : status;
    return status == SL_OK
               ? read_added(v, KEY("add_eos_token"), v->eos, defaults->add_eos, &v->add_eos, error)
               : status;
}

void vocabulary_free(vocabulary *v) {
    free(v->texts);
    free(v->text_bytes);
    free(v->types);
    free(v->ends);
    name_index_free(&v->index);
    *v = (vocabulary){0};
}
