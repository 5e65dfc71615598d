#include "cli/windows.h"

#include "cli/cli.h"

#include <string.h>

size_t windows_length(int64_t ctx, const sl_model *model) {
    enum { USUAL = 512 };
    sl_model_info info;
    sl_model_get_info(model, &info);
    if (ctx == OPTION_UNSET) {
        return info.n_ctx_train < USUAL ? info.n_ctx_train : USUAL;
    }
    return ctx > 0 ? (size_t)ctx : info.n_ctx_train;
}

/* BOS if the tokenizer begins a text with it, else -1. */
static int find_bos(const sl_model *model, int32_t *bos) {
    int32_t *tokens = NULL;
    size_t count = 0;
    sl_error error = {0};
    if (sl_tokenize(model, "", 0, SL_TOKENIZE_BOS, &tokens, &count, &error) != SL_OK) {
        return library_error(&error);
    }
    *bos = count > 0 && tokens[0] == sl_token_bos(model) ? tokens[0] : -1;
    sl_free(tokens);
    return CLI_DONE;
}

static size_t lead(const windows *w) {
    return w->bos >= 0 ? 1 : 0;
}

/* Tokens of the text that a window takes. */
static size_t step(const windows *w) {
    return w->length - (w->all ? lead(w) : 0);
}

static int count_windows(windows *w, size_t most) {
    if (w->all) {
        const size_t whole = w->n_token / step(w), rest = w->n_token % step(w);
        w->count = whole + (rest > 0);
        if (w->n_token + lead(w) < 2) {
            return usage_error("the text is too short: no token can be predicted from one before "
                               "it");
        }
    } else {
        w->count = (w->n_token + lead(w)) / step(w);
        if (w->count == 0) {
            return usage_error("the text is too short: it has %zu tokens, expected at least a "
                               "window of %zu (-c)",
                               w->n_token + lead(w), w->length);
        }
    }
    w->count = most > 0 && most < w->count ? most : w->count;
    return CLI_DONE;
}

int windows_cut(const sl_model *model, const text *t, size_t length, bool all, size_t most,
                windows *w) {
    *w = (windows){.all = all, .length = length, .bos = -1};
    const size_t least = all ? 2 : 3;
    if (length < least) {
        return usage_error("expected a window of at least %zu tokens, found %zu", least, length);
    }
    int status = find_bos(model, &w->bos);
    sl_error error = {0};
    if (status == CLI_DONE &&
        sl_tokenize(model, t->bytes, t->length, 0, &w->tokens, &w->n_token, &error) != SL_OK) {
        status = library_error(&error);
    }
    return status == CLI_DONE ? count_windows(w, most) : status;
}

void windows_free(windows *w) {
    sl_free(w->tokens);
    *w = (windows){.bos = -1};
}

size_t windows_read(const windows *w, size_t index, int32_t *out) {
    /* Of the text with BOS in front, where the usual way cuts. */
    const size_t at = index * step(w);
    size_t filled = 0;
    if (lead(w) && (w->all || at == 0)) {
        out[filled++] = w->bos;
    }
    const size_t from = w->all ? at : at + filled - lead(w);
    const size_t rest = w->n_token - from, room = w->length - filled;
    const size_t count = rest < room ? rest : room;
    memcpy(out + filled, w->tokens + from, count * sizeof *out);
    return filled + count;
}

void windows_begin(const windows *w, int32_t *out) {
    if (lead(w)) {
        out[0] = w->bos;
    }
}

size_t windows_first_scored(const windows *w) {
    return w->all ? 1 : w->length / 2 + 1;
}

size_t windows_computed(const windows *w) {
    if (!w->all) {
        return w->count * w->length;
    }
    const size_t last = w->n_token - (w->count - 1) * step(w);
    return (w->count - 1) * w->length + (last < step(w) ? last : step(w)) + lead(w);
}

size_t windows_scored(const windows *w) {
    return windows_computed(w) - w->count * windows_first_scored(w);
}
