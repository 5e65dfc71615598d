#include "cli/windows.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int check_length(size_t length, bool all) {
    const size_t least = all ? 2 : 3;
    return length >= least ? CLI_DONE
                           : usage_error("expected a window of at least %zu tokens, found %zu (-c)",
                                         least, length);
}

int windows_check(int64_t ctx, bool all) {
    return ctx > 0 ? check_length((size_t)ctx, all) : CLI_DONE;
}

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

/* Tokens of the text that a window takes. */
static size_t step(const windows *w) {
    return w->length - (w->all ? w->lead : 0);
}

static int count_windows(windows *w, size_t most) {
    if (w->all) {
        const size_t whole = w->n_token / step(w), rest = w->n_token % step(w);
        w->count = whole + (rest > 0);
        if (w->n_token + w->lead < 2) {
            return usage_error("the text is too short: no token can be predicted from one before "
                               "it");
        }
    } else {
        w->count = (w->n_token + w->lead) / step(w);
        if (w->count == 0) {
            return usage_error("the text is too short: it has %zu tokens, expected at least a "
                               "window of %zu (-c)",
                               w->n_token + w->lead, w->length);
        }
    }
    w->count = most > 0 && most < w->count ? most : w->count;
    return CLI_DONE;
}

int windows_cut(const sl_model *model, const text *t, size_t length, bool all, size_t most,
                windows *w) {
    *w = (windows){.release = sl_free, .all = all, .length = length, .bos = -1};
    int status = check_length(length, all);
    status = status == CLI_DONE ? find_bos(model, &w->bos) : status;
    w->lead = w->bos >= 0 ? 1 : 0;
    sl_error error = {0};
    if (status == CLI_DONE &&
        sl_tokenize(model, t->bytes, t->length, 0, &w->tokens, &w->n_token, &error) != SL_OK) {
        status = library_error(&error);
    }
    return status == CLI_DONE ? count_windows(w, most) : status;
}

int windows_of_reference(const sl_model *model, const sl_reference *reference, size_t most,
                         windows *w) {
    sl_reference_info info;
    sl_reference_get_info(reference, &info);
    *w = (windows){.release = free, .length = info.n_ctx, .bos = -1, .count = info.n_window};
    if (most > 0 && most < w->count) {
        w->count = most;
    }
    w->n_token = w->count * info.n_ctx;
    w->tokens = malloc(w->n_token * sizeof *w->tokens); /* less than the file has */
    if (!w->tokens) {
        return usage_error("out of memory: the reference's %zu tokens", w->n_token);
    }
    for (size_t i = 0; i < w->count; i++) {
        sl_reference_tokens(reference, i, w->tokens + i * info.n_ctx);
    }
    return find_bos(model, &w->bos);
}

/* The first window in which they differ is told. */
static int compare_windows(const windows *w, const sl_reference *reference, int32_t *here,
                           int32_t *there) {
    for (size_t i = 0; i < w->count; i++) {
        windows_read(w, i, here);
        sl_reference_tokens(reference, i, there);
        for (size_t k = 0; k < w->length; k++) {
            if (here[k] != there[k]) {
                return usage_error("the reference is of another text, or of another tokenizer: "
                                   "token %zu of window %zu is %" PRId32 " there, here %" PRId32,
                                   k, i, there[k], here[k]);
            }
        }
    }
    return CLI_DONE;
}

int windows_match(windows *w, const sl_reference *reference) {
    sl_reference_info info;
    sl_reference_get_info(reference, &info);
    if (w->length != info.n_ctx) {
        return usage_error("the reference has windows of %zu tokens, expected %zu (-c)", info.n_ctx,
                           w->length);
    }
    const size_t count = w->count;
    w->count = count < info.n_window ? count : info.n_window;
    int32_t *const tokens = malloc(2 * w->length * sizeof *tokens);
    if (!tokens) {
        return usage_error("out of memory: a window of %zu tokens", w->length);
    }
    const int status = compare_windows(w, reference, tokens, tokens + w->length);
    free(tokens);
    if (status == CLI_DONE && count != info.n_window) {
        message("the reference has %zu windows and the text %zu: only what both have is scored",
                info.n_window, count);
    }
    return status;
}

void windows_free(windows *w) {
    if (w->release) {
        w->release(w->tokens);
    }
    *w = (windows){.bos = -1};
}

size_t windows_read(const windows *w, size_t index, int32_t *out) {
    /* Of the text with BOS in front, where the usual way cuts. */
    const size_t at = index * step(w);
    size_t filled = 0;
    if (w->lead && (w->all || at == 0)) {
        out[filled++] = w->bos;
    }
    const size_t from = w->all ? at : at + filled - w->lead;
    const size_t rest = w->n_token - from, room = w->length - filled;
    const size_t count = rest < room ? rest : room;
    memcpy(out + filled, w->tokens + from, count * sizeof *out);
    return filled + count;
}

void windows_begin(const windows *w, int32_t *out) {
    if (w->bos >= 0) {
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
    return (w->count - 1) * w->length + (last < step(w) ? last : step(w)) + w->lead;
}

size_t windows_scored(const windows *w) {
    return windows_computed(w) - w->count * windows_first_scored(w);
}
