#include "tokenizer/token_list.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <stdlib.h>

token_list token_list_new(size_t ceiling) {
    return (token_list){array_new(sizeof(token_entry), size_min(ceiling, LIMIT_VOCABULARY))};
}

void token_list_free(token_list *list) {
    array_free(&list->entries);
}

sl_status token_list_add(token_list *list, size_t id, str text, token_type type, float score,
                         sl_error *error) {
    if (id >= list->entries.ceiling || text.len > LIMIT_TOKEN_BYTES) {
        return error_set(error, SL_ERR_FORMAT,
                         "token %zu of %zu bytes: expected ids below %zu and at most %u bytes", id,
                         text.len, list->entries.ceiling, LIMIT_TOKEN_BYTES);
    }
    array *entries = &list->entries;
    while (entries->count <= id) {
        const token_entry none = {.text = {NULL, 0}, .type = TOKEN_UNUSED};
        const sl_status status = array_push(entries, &none, error);
        if (status != SL_OK) {
            return status;
        }
    }
    token_entry *entry = (token_entry *)entries->items + id;
    if (entry->text.ptr && !str_equal(entry->text, text)) {
        return error_set(error, SL_ERR_FORMAT, "token %zu is there twice, as \"%.*s\" and \"%.*s\"",
                         id, STR_ARG(entry->text), STR_ARG(text));
    }
    *entry = (token_entry){text.len ? text : (str){"", 0}, score, (uint8_t)type};
    return SL_OK;
}

static void put_arrays(const token_list *list, size_t count, bool scores, tables *t, str *texts,
                       int32_t *types, float *values) {
    const token_entry *entries = list->entries.items;
    for (size_t i = 0; i < count; i++) {
        const bool named = i < list->entries.count && entries[i].text.ptr;
        texts[i] = named ? entries[i].text : str_from(tables_text(t, "[PAD%zu]", i));
        types[i] = named ? entries[i].type : TOKEN_UNUSED;
        values[i] = named ? entries[i].score : -1e9f;
    }
    tables_strings(t, "tokenizer.ggml.tokens", texts, count);
    tables_ints(t, "tokenizer.ggml.token_type", types, count);
    if (scores) {
        tables_floats(t, "tokenizer.ggml.scores", values, count);
    }
}

void token_list_put(const token_list *list, size_t at_least, bool scores, tables *t) {
    const size_t count = size_max(list->entries.count, at_least);
    if (count == 0 || count > LIMIT_VOCABULARY) {
        tables_fail(t, SL_ERR_FORMAT, "a vocabulary of %zu tokens: expected 1 to %u", count,
                    LIMIT_VOCABULARY);
        return;
    }
    str *texts = malloc(count * sizeof *texts);
    int32_t *types = malloc(count * sizeof *types);
    float *values = malloc(count * sizeof *values);
    if (texts && types && values) {
        put_arrays(list, count, scores, t, texts, types, values);
    } else {
        tables_fail(t, SL_ERR_MEMORY, "out of memory: %zu bytes for the vocabulary",
                    count * sizeof *texts);
    }
    free(texts);
    free(types);
    free(values);
}
