#include "tokenizer/tokenizer_json.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "tokenizer/pretokenizer_names.h"
#include "tokenizer/tokenizer_json_parts.h"

#include <assert.h>
#include <stdlib.h>

#define KEY(name) "tokenizer.ggml." name
#define OWN(name) "sluice.tokenizer." name

/* ---- the model ------------------------------------------------------------------------------ */

void json_read_vocabulary(json_pull *j, tokenizer_json *found) {
    found->has_vocabulary = true;
    json_any_object(j);
    for (str text; json_key(j, &text);) {
        const size_t id = (size_t)json_take_integer(j, 0, LIMIT_VOCABULARY - 1);
        if (j->status == SL_OK) {
            j->status = token_list_add(&found->tokens, id, text, TOKEN_NORMAL, 0, j->error);
        }
    }
}

/* ["th", "e"] becomes "th e", which lies in `joined`. As that moves while it grows, the merge keeps
 * its length only; they lie there in order. */
static void read_pair(json_pull *j, tokenizer_json *found, str *merge) {
    size_t parts = 0;
    const size_t begin = found->joined.count;
    for (json_enter_array(j); json_element(j); parts++) {
        const str part = json_take_string(j);
        if (j->status == SL_OK && part.len > 0 && memchr(part.ptr, ' ', part.len)) {
            json_fail(j, SL_ERR_UNSUPPORTED, "a merge of a token with a space in it");
        }
        if (j->status == SL_OK) {
            j->status = array_reserve(&found->joined, part.len + 1, j->error);
        }
        if (j->status == SL_OK) {
            char *out = (char *)found->joined.items + found->joined.count;
            out[0] = ' ';
            memcpy(out + (parts > 0), part.ptr, part.len);
            found->joined.count += part.len + (parts > 0);
        }
    }
    if (parts != 2) {
        json_fail(j, SL_ERR_FORMAT, "expected a merge of two tokens, found %zu", parts);
    }
    *merge = (str){NULL, found->joined.count - begin};
}

static void read_merges(json_pull *j, tokenizer_json *found) {
    for (json_enter_array(j); json_element(j);) {
        str merge = {NULL, 0};
        if (json_peek(j) == JSON_ARRAY) {
            read_pair(j, found, &merge);
        } else {
            merge = json_take_string(j);
        }
        if (j->status == SL_OK) {
            j->status = array_push(&found->merges, &merge, j->error);
        }
    }
}

static void read_model_type(json_pull *j, tokenizer_json *found) {
    const str type = json_take_string(j);
    found->model = str_is(type, "BPE")         ? JSON_MODEL_BPE
                   : str_is(type, "WordPiece") ? JSON_MODEL_WORDPIECE
                                               : JSON_MODEL_NONE;
    if (found->model == JSON_MODEL_NONE) {
        json_fail(j, SL_ERR_UNSUPPORTED, "a tokenizer of the kind \"%.*s\" (known: BPE, WordPiece)",
                  STR_ARG(type));
    }
}

static bool read_model_flag(json_pull *j, str key, tokenizer_json *found) {
    const struct {
        const char *key;
        bool *out;
    } flags[] = {{"byte_fallback", &found->byte_fallback},
                 {"fuse_unk", &found->fuse_unknown},
                 {"ignore_merges", &found->ignore_merges}};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        if (str_is(key, flags[i].key)) {
            *flags[i].out = json_bool(j);
            return true;
        }
    }
    return false;
}

/* Parts that words begin or end with, and what is given up at random: only their absence is known
 * here, and WordPiece's "##". */
static void read_affix(json_pull *j, str key) {
    const str text = json_peek(j) == JSON_STRING ? json_take_string(j) : (str){"", 0};
    if (text.len > 0 && !(str_is(key, "continuing_subword_prefix") && str_is(text, "##"))) {
        json_fail(j, SL_ERR_UNSUPPORTED, "%.*s \"%.*s\" is not known here", STR_ARG(key),
                  STR_ARG(text));
    }
}

void json_read_model(json_pull *j, tokenizer_json *found) {
    json_enter_object(j);
    for (str key; json_key(j, &key);) {
        if (str_is(key, "type")) {
            read_model_type(j, found);
        } else if (str_is(key, "vocab")) {
            if (json_peek(j) == JSON_ARRAY) {
                json_fail(j, SL_ERR_UNSUPPORTED,
                          "a tokenizer of the kind \"Unigram\" (known: BPE, WordPiece)");
            }
            json_read_vocabulary(j, found);
        } else if (str_is(key, "merges")) {
            read_merges(j, found);
        } else if (str_is(key, "unk_token") && json_peek(j) == JSON_STRING) {
            found->unknown.text = json_take_string(j);
        } else if (json_peek(j) == JSON_NULL) {
            json_skip(j);
        } else if (str_is(key, "max_input_chars_per_word")) {
            (void)json_take_integer(j, 100, 100);
        } else if (str_is(key, "dropout")) {
            (void)json_take_integer(j, 0, 0);
        } else if (str_is(key, "continuing_subword_prefix") || str_is(key, "end_of_word_suffix")) {
            read_affix(j, key);
        } else if (!read_model_flag(j, key, found)) {
            json_skip(j);
        }
    }
}

/* ---- added tokens --------------------------------------------------------------------------- */

static void read_added_token(json_pull *j, tokenizer_json *found) {
    json_added token = {.text = {"", 0}};
    json_enter_object(j);
    for (str key; json_key(j, &key);) {
        if (str_is(key, "id")) {
            token.id = (uint32_t)json_take_integer(j, 0, LIMIT_VOCABULARY - 1);
        } else if (str_is(key, "content")) {
            token.text = json_take_string(j);
        } else if (str_is(key, "special")) {
            token.special = json_bool(j);
        } else if (str_is(key, "lstrip")) {
            token.strip_left = json_bool(j);
        } else if (str_is(key, "rstrip")) {
            token.strip_right = json_bool(j);
        } else if (str_is(key, "single_word")) {
            if (json_bool(j)) {
                json_fail(j, SL_ERR_UNSUPPORTED, "an added token that is matched as a word only");
            }
        } else {
            json_skip(j);
        }
    }
    if (j->status == SL_OK) {
        j->status = array_push(&found->added, &token, j->error);
    }
}

void json_read_added_tokens(json_pull *j, tokenizer_json *found) {
    if (json_peek(j) == JSON_NULL) {
        json_skip(j);
        return;
    }
    for (json_enter_array(j); json_element(j);) {
        read_added_token(j, found);
    }
}

static void read_tokenizer(json_pull *j, tokenizer_json *found) {
    static const struct {
        const char *key;
        void (*read)(json_pull *j, tokenizer_json *found);
    } parts[] = {{"model", json_read_model},
                 {"added_tokens", json_read_added_tokens},
                 {"normalizer", json_read_normalizer},
                 {"pre_tokenizer", json_read_pre_tokenizer},
                 {"post_processor", json_read_post_processor}};
    json_enter_object(j);
    for (str key; json_key(j, &key);) {
        size_t part = 0;
        while (part < COUNT_OF(parts) && !str_is(key, parts[part].key)) {
            part++;
        }
        if (part < COUNT_OF(parts)) {
            parts[part].read(j, found);
        } else {
            json_skip(j);
        }
    }
}

/* ---- the small files ------------------------------------------------------------------------ */

/* "<s>" or {"content": "<s>", ...}; null: none. */
static void read_special(json_pull *j, json_special *out) {
    const json_kind kind = json_peek(j);
    if (kind == JSON_STRING) {
        out->text = json_take_string(j);
    } else if (kind == JSON_OBJECT) {
        json_enter_object(j);
        for (str key; json_key(j, &key);) {
            if (str_is(key, "content")) {
                out->text = json_take_string(j);
            } else {
                json_skip(j);
            }
        }
    } else {
        json_skip(j);
    }
}

/* A template, or a list of {"name": ..., "template": ...} of which the default is taken. */
static void read_chat_template(json_pull *j, tokenizer_json *found) {
    if (json_peek(j) != JSON_ARRAY) {
        if (json_peek(j) == JSON_STRING) {
            found->chat_template = json_take_string(j);
        } else {
            json_skip(j);
        }
        return;
    }
    for (json_enter_array(j); json_element(j);) {
        str name = {"", 0}, text = {"", 0};
        json_enter_object(j);
        for (str key; json_key(j, &key);) {
            if (str_is(key, "name")) {
                name = json_take_string(j);
            } else if (str_is(key, "template")) {
                text = json_take_string(j);
            } else {
                json_skip(j);
            }
        }
        if (str_is(name, "default")) {
            found->chat_template = text;
        }
    }
}

static bool read_named(json_pull *j, str key, tokenizer_json *found) {
    const struct {
        const char *key;
        json_special *out;
    } names[] = {{"bos_token", &found->bos},
                 {"eos_token", &found->eos},
                 {"unk_token", &found->unknown},
                 {"pad_token", &found->padding}};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_is(key, names[i].key)) {
            /* What has been said stays: the file that is read first knows best. */
            json_special other = {.text = {NULL, 0}, .id = -1};
            read_special(j, names[i].out->text.ptr ? &other : names[i].out);
            return true;
        }
    }
    return false;
}

static void read_config(json_pull *j, tokenizer_json *found) {
    json_enter_object(j);
    for (str key; json_key(j, &key);) {
        if (str_is(key, "add_bos_token") && json_peek(j) == JSON_BOOL) {
            found->add_bos = json_bool(j);
        } else if (str_is(key, "add_eos_token") && json_peek(j) == JSON_BOOL) {
            found->add_eos = json_bool(j);
        } else if (str_is(key, "chat_template")) {
            read_chat_template(j, found);
        } else if (!read_named(j, key, found)) {
            json_skip(j);
        }
    }
}

static void add_end(json_pull *j, tokenizer_json *found) {
    const int32_t id = (int32_t)json_take_integer(j, 0, LIMIT_VOCABULARY - 1);
    if (j->status == SL_OK) {
        j->status = array_push(&found->ends, &id, j->error);
    }
}

static void read_generation(json_pull *j, tokenizer_json *found) {
    json_enter_object(j);
    for (str key; json_key(j, &key);) {
        if (!str_is(key, "eos_token_id")) {
            json_skip(j);
        } else if (json_peek(j) == JSON_NUMBER) {
            add_end(j, found);
        } else if (json_peek(j) == JSON_ARRAY) {
            for (json_enter_array(j); json_element(j);) {
                add_end(j, found);
            }
        } else {
            json_skip(j);
        }
    }
}

/* ---- all together --------------------------------------------------------------------------- */

/* The type of a token of the vocabulary's own. */
static void assign_types(tokenizer_json *found) {
    token_entry *entries = found->tokens.entries.items;
    for (size_t i = 0; i < found->tokens.entries.count; i++) {
        if (!entries[i].text.ptr) {
            continue;
        }
        /* Ids stand in the order of merges where SentencePiece made them: what a GGUF file made of
         * these tables has for scores. */
        entries[i].score = -(float)i;
        if (found->byte_fallback && vocabulary_byte_value(entries[i].text) >= 0) {
            entries[i].type = TOKEN_BYTE;
        }
        if (!found->bytes && found->unknown.text.ptr &&
            str_equal(entries[i].text, found->unknown.text)) {
            entries[i].type = TOKEN_UNKNOWN;
        }
    }
}

static sl_status add_tokens(tokenizer_json *found, sl_error *error) {
    const json_added *added = found->added.items;
    sl_status status = SL_OK;
    for (size_t i = 0; i < found->added.count && status == SL_OK; i++) {
        const token_type type = added[i].special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
        status = token_list_add(&found->tokens, added[i].id, added[i].text, type, 0, error);
    }
    assign_types(found);
    return status;
}

/* The id of a token that is named by its text; -1 if there is none. */
static int64_t id_of(const tokenizer_json *found, json_special special) {
    const token_entry *entries = found->tokens.entries.items;
    for (size_t i = 0; special.text.ptr && i < found->tokens.entries.count; i++) {
        if (entries[i].text.ptr && str_equal(entries[i].text, special.text)) {
            return (int64_t)i;
        }
    }
    return -1;
}

static void put_id(tables *t, const char *key, int64_t id) {
    if (id >= 0) {
        tables_u64(t, key, (uint64_t)id);
    }
}

static void put_ends(const tokenizer_json *found, tables *t) {
    if (found->ends.count > 0) {
        tables_ints(t, OWN("end_ids"), found->ends.items, found->ends.count);
    }
}

/* Which tokens begin and end a text: a template knows, else the configuration says. */
static void put_ids(const tokenizer_json *found, bool bert, tables *t) {
    const int64_t before = id_of(found, found->before), behind = id_of(found, found->behind);
    const int64_t named = id_of(found, found->bos), bos = before >= 0 ? before : named;
    int64_t eos = id_of(found, found->eos);
    if (eos < 0 && found->ends.count > 0) {
        eos = *(const int32_t *)found->ends.items;
    }
    const bool add_bos = found->has_template ? before >= 0 : found->add_bos == 1 && bos >= 0;
    const bool add_eos =
        found->has_template ? behind >= 0 : found->add_eos == 1 && (eos >= 0 || behind >= 0);
    if (add_eos && behind >= 0 && eos >= 0 && behind != eos && !bert) {
        tables_fail(t, SL_ERR_UNSUPPORTED,
                    "tokenizer.json ends texts with another token than the one that ends a "
                    "generation");
    }
    put_id(t, bert ? KEY("cls_token_id") : KEY("bos_token_id"), bos);
    put_id(t, bert ? KEY("separator_token_id") : KEY("eos_token_id"), behind >= 0 ? behind : eos);
    put_id(t, KEY("unknown_token_id"), id_of(found, found->unknown));
    put_id(t, KEY("padding_token_id"), id_of(found, found->padding));
    tables_bool(t, KEY("add_bos_token"), add_bos);
    tables_bool(t, KEY("add_eos_token"), add_eos);
    put_ends(found, t);
}

static void put_chat_template(const tokenizer_json *found, tables *t) {
    if (found->chat_template.len > 0) {
        tables_string(t, "tokenizer.chat_template", found->chat_template);
    }
}

static void put_strips(const tokenizer_json *found, tables *t) {
    const json_added *added = found->added.items;
    int32_t *ids = tables_room(t, (found->added.count + 1) * sizeof *ids);
    for (size_t side = 0; ids && side < 2; side++) {
        size_t count = 0;
        for (size_t i = 0; i < found->added.count; i++) {
            if (side ? added[i].strip_right : added[i].strip_left) {
                ids[count++] = (int32_t)added[i].id;
            }
        }
        if (count > 0) {
            tables_ints(t, side ? OWN("strip_right") : OWN("strip_left"), ids, count);
        }
    }
}

static void put_merges(tokenizer_json *found, tables *t) {
    str *merges = found->merges.items;
    size_t at = 0;
    for (size_t i = 0; i < found->merges.count; i++) {
        if (!merges[i].ptr) {
            merges[i].ptr = (const char *)found->joined.items + at;
            at += merges[i].len;
        }
    }
    tables_strings(t, KEY("merges"), merges, found->merges.count);
}

static void put_byte_level(tokenizer_json *found, tables *t) {
    tables_string(t, KEY("model"), str_from("gpt2"));
    if (found->cuts.count == 0) {
        found->cuts.patterns[found->cuts.count++] = str_from("\\p{Any}+");
        found->cuts.bytes_from = 1;
    }
    const char *name = pretokenizer_name(&found->cuts, found->ignore_merges);
    if (name) {
        tables_string(t, KEY("pre"), str_from(name));
    } else {
        /* A name that nobody knows: a file made of these tables without our own keys is refused and
         * not read by other patterns. */
        tables_string(t, KEY("pre"), str_from("of-its-own"));
        tables_strings(t, OWN("patterns"), found->cuts.patterns, found->cuts.count);
        tables_u64(t, OWN("byte_patterns_from"), found->cuts.bytes_from);
    }
    tables_bool(t, OWN("whole_words"), found->ignore_merges);
    if (found->normal_form.len > 0) {
        tables_string(t, OWN("normal_form"), found->normal_form);
    }
    if (found->add_prefix_space) {
        tables_bool(t, OWN("prefix_space"), true);
    }
    put_merges(found, t);
}

static void put_characters(tokenizer_json *found, tables *t) {
    if (!(found->marks_spaces || found->metaspace) || found->cuts.count > 0 ||
        found->normal_form.len > 0 || found->ignore_merges) {
        tables_fail(t, SL_ERR_UNSUPPORTED,
                    "tokenizer.json: BPE of characters with other steps than those that write "
                    "spaces as U+2581");
    }
    tables_string(t, KEY("model"), str_from("llama"));
    tables_bool(t, OWN("by_merges"), true);
    tables_bool(t, OWN("literal"), true);
    tables_bool(t, OWN("cut_spaces"), found->cut_spaces);
    tables_bool(t, OWN("space_at_start"), found->space_at_start);
    tables_bool(t, OWN("space_if_none"), found->metaspace);
    tables_bool(t, OWN("unknowns_apart"), !found->fuse_unknown);
    tables_bool(t, KEY("add_space_prefix"), found->prepends);
    put_merges(found, t);
}

static void put_wordpiece(const tokenizer_json *found, tables *t) {
    if (!found->bert || !found->bert_words || found->cuts.count > 0 || found->bytes) {
        tables_fail(t, SL_ERR_UNSUPPORTED,
                    "tokenizer.json: WordPiece with other steps than BertNormalizer and "
                    "BertPreTokenizer");
    }
    tables_string(t, KEY("model"), str_from("bert"));
    tables_bool(t, OWN("lowercase"), found->lower_case);
    tables_bool(t, OWN("clean_text"), found->clean);
    tables_bool(t, OWN("ideographs"), found->ideographs);
    tables_bool(t, OWN("strip_accents"),
                found->strip_accents < 0 ? found->lower_case : found->strip_accents > 0);
}

static void put(tokenizer_json *found, size_t at_least, tables *t) {
    sl_error own = {0};
    const sl_status status = add_tokens(found, &own);
    if (status != SL_OK) {
        tables_fail(t, status, "tokenizer.json: %s", own.message);
        return;
    }
    const bool characters = found->model == JSON_MODEL_BPE && !found->bytes;
    token_list_put(&found->tokens, at_least, characters, t);
    if (found->model == JSON_MODEL_WORDPIECE) {
        put_wordpiece(found, t);
    } else if (found->bytes) {
        put_byte_level(found, t);
    } else {
        put_characters(found, t);
    }
    put_ids(found, found->model == JSON_MODEL_WORDPIECE, t);
    put_strips(found, t);
    put_chat_template(found, t);
}

static tokenizer_json *begin(size_t bytes) {
    tokenizer_json *found = calloc(1, sizeof *found);
    if (found) {
        /* A token takes at least five bytes of a file; ids may leave gaps. */
        found->tokens = token_list_new(bytes / 4 + 65536);
        found->merges = array_new(sizeof(str), LIMIT_MERGES);
        found->joined = array_new(1, bytes + 2 * (size_t)LIMIT_MERGES);
        found->added = array_new(sizeof(json_added), LIMIT_VOCABULARY);
        found->ends = array_new(sizeof(int32_t), 256);
        found->add_bos = found->add_eos = -1;
        found->before.id = found->behind.id = -1;
    }
    return found;
}

static void end(tokenizer_json *found) {
    if (found) {
        token_list_free(&found->tokens);
        array_free(&found->merges);
        array_free(&found->joined);
        array_free(&found->added);
        array_free(&found->ends);
    }
    free(found);
}

/* One file: opened here, closed by the caller, as its texts are still in use. */
static void read_file(json_pull *j, str text, const char *what, tokenizer_json *found,
                      void (*read)(json_pull *j, tokenizer_json *found), tables *t) {
    if (text.len == 0 || t->status != SL_OK) {
        return;
    }
    sl_error own = {0};
    *j = json_open(text, what, &own);
    read(j, found);
    json_end(j);
    j->error = NULL;
    if (j->status != SL_OK) {
        tables_fail(t, j->status, "%s", own.message);
    }
}

typedef struct side_files {
    json_pull config, special, generation;
} side_files;

static void read_side_files(side_files *s, const tokenizer_json_files *files, tokenizer_json *found,
                            tables *t) {
    read_file(&s->config, files->config, "tokenizer_config.json", found, read_config, t);
    read_file(&s->special, files->special_tokens, "special_tokens_map.json", found, read_config, t);
    read_file(&s->generation, files->generation, "generation_config.json", found, read_generation,
              t);
    found->chat_template = files->chat_template.len ? files->chat_template : found->chat_template;
}

static void close_side_files(side_files *s) {
    json_close(&s->config);
    json_close(&s->special);
    json_close(&s->generation);
}

static tokenizer_json *begin_tables(size_t bytes, tables *t) {
    tokenizer_json *found = begin(bytes);
    if (!found) {
        tables_fail(t, SL_ERR_MEMORY, "out of memory: %zu bytes for the tokenizer", sizeof *found);
    }
    return found;
}

sl_status tokenizer_config_read(const tokenizer_json_files *files, tables *t) {
    side_files side = {.config = {.text = {NULL, 0}}};
    tokenizer_json *found = begin_tables(0, t);
    if (!found) {
        return t->status;
    }
    read_side_files(&side, files, found, t);
    if (t->status == SL_OK) {
        if (found->add_bos >= 0) {
            tables_bool(t, KEY("add_bos_token"), found->add_bos == 1);
        }
        if (found->add_eos >= 0) {
            tables_bool(t, KEY("add_eos_token"), found->add_eos == 1);
        }
        put_ends(found, t);
        put_chat_template(found, t);
    }
    close_side_files(&side);
    end(found);
    return t->status;
}

bool tokenizer_json_detect(const uint8_t *bytes, size_t size) {
    size_t at = 0;
    while (at < size && strchr(" \n\r\t", bytes[at]) && bytes[at]) {
        at++;
    }
    return at < size && bytes[at] == '{';
}

void tokenizer_json_add(tables *t, const uint8_t *bytes, size_t size) {
    const tokenizer_json_files files = {.tokenizer = {(const char *)bytes, size}};
    const sl_status status = tokenizer_json_read(&files, t);
    assert(status == t->status);
    (void)status;
}

sl_status tokenizer_json_read(const tokenizer_json_files *files, tables *t) {
    json_pull j = {.text = {NULL, 0}};
    side_files side = {.config = {.text = {NULL, 0}}};
    tokenizer_json *found = begin_tables(files->tokenizer.len, t);
    if (!found) {
        return t->status;
    }
    read_file(&j, files->tokenizer, "tokenizer.json", found, read_tokenizer, t);
    read_side_files(&side, files, found, t);
    if (t->status == SL_OK && !(found->model != JSON_MODEL_NONE && found->has_vocabulary)) {
        tables_fail(t, SL_ERR_FORMAT, "tokenizer.json: expected a model with a type and a vocab");
    }
    if (t->status == SL_OK) {
        put(found, files->at_least, t);
    }
    json_close(&j);
    close_side_files(&side);
    end(found);
    return t->status;
}

/* ---- vocab.json and merges.txt -------------------------------------------------------------- */

static void read_added_object(json_pull *j, tokenizer_json *found) {
    json_any_object(j);
    for (str text; json_key(j, &text);) {
        const json_added token = {.text = text,
                                  .id = (uint32_t)json_take_integer(j, 0, LIMIT_VOCABULARY - 1)};
        if (j->status == SL_OK) {
            j->status = array_push(&found->added, &token, j->error);
        }
    }
}

/* A merge a line, behind a line such as "#version: 0.2". */
static sl_status read_merge_lines(str text, tokenizer_json *found, sl_error *error) {
    sl_status status = SL_OK;
    for (size_t at = 0; at < text.len && status == SL_OK;) {
        const char *begin = text.ptr + at;
        const char *newline = memchr(begin, '\n', text.len - at);
        size_t length = newline ? (size_t)(newline - begin) : text.len - at;
        const bool comment = at == 0 && length > 1 && memcmp(begin, "#v", 2) == 0;
        at += length + 1;
        length -= length > 0 && begin[length - 1] == '\r';
        if (length > 0 && !comment) {
            status = array_push(&found->merges, &(str){begin, length}, error);
        }
    }
    return status;
}

/* vocab.json does not say which of its tokens are special: those are that a configuration names,
 * and those of the usual names, which no merges lead to. */
static void mark_special(tokenizer_json *found) {
    static const char *const usual[] = {"<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|endoftext|>"};
    token_entry *entries = found->tokens.entries.items;
    const json_special named[] = {found->bos, found->eos, found->padding, found->unknown};
    for (size_t i = 0; i < COUNT_OF(named) + COUNT_OF(usual); i++) {
        const size_t by_name = i - COUNT_OF(named);
        const json_special special =
            i < COUNT_OF(named) ? named[i] : (json_special){str_from(usual[by_name]), -1};
        const int64_t id = id_of(found, special);
        if (id >= 0) {
            entries[id].type = TOKEN_CONTROL;
        }
    }
}

sl_status vocab_merges_read(str tokens, str merges, str added, const tokenizer_json_files *files,
                            tables *t) {
    json_pull ids = {.text = {NULL, 0}}, more = ids;
    side_files side = {.config = {.text = {NULL, 0}}};
    tokenizer_json *found = begin_tables(tokens.len + added.len, t);
    if (!found) {
        return t->status;
    }
    found->model = JSON_MODEL_BPE;
    found->bytes = true;
    found->cuts = (pretokenizer_source){{str_from(PATTERN_GPT2)}, 1, 1};
    read_file(&ids, tokens, "vocab.json", found, json_read_vocabulary, t);
    read_file(&more, added, "added_tokens.json", found, read_added_object, t);
    read_side_files(&side, files, found, t);
    if (!found->eos.text.ptr) {
        found->eos.text = str_from("<|endoftext|>");
    }
    sl_error own = {0};
    const sl_status status = read_merge_lines(merges, found, &own);
    if (status != SL_OK) {
        tables_fail(t, status, "merges.txt: %s", own.message);
    }
    if (t->status == SL_OK) {
        mark_special(found);
        put(found, files->at_least, t);
    }
    json_close(&ids);
    json_close(&more);
    close_side_files(&side);
    end(found);
    return t->status;
}
