/* lookup_replay.c - how much sooner a given text comes with drafts from the text itself.
 *
 *     lookup_replay MODEL TEXT PROMPT COUNT [ROUNDS [MEBIBYTES]]
 *
 * The first PROMPT tokens of the file TEXT are the prompt. The COUNT tokens behind them are taken
 * as if the model chose them: every position is evaluated and sampled, but the text decides. So a
 * model of random weights tells the speed of a real one, at that text's own repetition. Without and
 * with drafts in turn, ROUNDS times (default 5), on the physical cores, after one more of each to
 * warm up. MEBIBYTES is the memory budget: below what the model takes, weights are read from the
 * disk. Built with the tests, as build/release/tests/lookup_replay.
 */
#include <sluice.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_BYTES = 1 << 24, DRAFT = 16, MOST_ROUNDS = 99 };

static sl_error error;

static void check(sl_status status) {
    if (status != SL_OK) {
        fprintf(stderr, "lookup_replay: %s\n", error.message);
        exit(1);
    }
}

static double seconds_now(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static char *read_text(const char *path, size_t *length) {
    FILE *f = fopen(path, "rb");
    char *text = malloc(MOST_BYTES);
    if (!f || !text) {
        fprintf(stderr, "lookup_replay: cannot read %s\n", path);
        exit(1);
    }
    *length = fread(text, 1, MOST_BYTES, f);
    fclose(f);
    return text;
}

typedef struct replay {
    sl_session *session;
    sl_sampler *sampler;
    const int32_t *tokens;  /* the text */
    int32_t *evaluated;     /* the same with drafts in it; prompt + count + DRAFT */
    size_t prompt, all;     /* tokens: of the prompt, with those to come */
    size_t passes, drafted; /* of the last run */
    size_t accepted;
} replay;

/* Evaluates from the prompt to the end. Returns the seconds that it took. */
static double run(replay *r, sl_lookup *lookup) {
    for (size_t i = 0; i < r->prompt; i++) {
        r->evaluated[i] = r->tokens[i];
        if (lookup) {
            sl_lookup_accept(lookup, r->tokens[i]);
        }
    }
    check(sl_session_eval(r->session, r->evaluated, r->prompt, NULL, NULL, &error));
    r->passes = r->drafted = r->accepted = 0;
    const double started = seconds_now();
    for (size_t count = r->prompt; count < r->all; r->passes++) {
        r->evaluated[count] = r->tokens[count];
        if (lookup) {
            sl_lookup_accept(lookup, r->tokens[count]);
        }
        count++;
        const size_t drafted = lookup ? sl_lookup_draft(lookup, r->evaluated + count, DRAFT) : 0;
        const double before = seconds_now();
        check(sl_session_eval_last(r->session, r->evaluated, count + drafted, drafted + 1, NULL,
                                   NULL, &error));
        if (lookup) {
            sl_lookup_timed(lookup, drafted + 1, seconds_now() - before);
        }
        r->drafted += drafted;
        for (size_t i = 0; i <= drafted; i++) {
            int32_t token;
            check(sl_sampler_sample(r->sampler, sl_session_logits_at(r->session, count - 1), &token,
                                    &error));
            if (i == drafted || count >= r->all || r->evaluated[count] != r->tokens[count]) {
                break;
            }
            sl_lookup_accept(lookup, r->tokens[count++]);
            r->accepted++;
        }
    }
    return seconds_now() - started;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, const replay *r, double *rates, size_t n) {
    qsort(rates, n, sizeof *rates, by_size);
    printf("%-8s %8.1f tokens/s (%.1f to %.1f)  %zu passes, %zu drafted, %zu accepted\n", name,
           rates[n / 2], rates[0], rates[n - 1], r->passes, r->drafted, r->accepted);
}

int main(int argc, char **argv) {
    const long prompt = argc > 4 ? atol(argv[3]) : 0, count = argc > 4 ? atol(argv[4]) : 0;
    const long rounds = argc > 5 ? atol(argv[5]) : 5;
    if (argc < 5 || argc > 7 || prompt < 1 || count < 1 || rounds < 1 || rounds > MOST_ROUNDS) {
        fputs("usage: lookup_replay MODEL TEXT PROMPT COUNT [ROUNDS [MEBIBYTES]]\n", stderr);
        return 2;
    }
    replay r = {.prompt = (size_t)prompt, .all = (size_t)prompt + (size_t)count};
    sl_model *model;
    sl_model_info info;
    sl_model_options how;
    sl_model_options_init(&how);
    how.memory_budget = argc == 7 ? strtoull(argv[6], NULL, 10) << 20 : 0;
    check(sl_model_load(argv[1], &how, &model, &error));
    sl_model_get_info(model, &info);
    size_t length, n_token;
    char *text = read_text(argv[2], &length);
    int32_t *tokens;
    check(sl_tokenize(model, text, length, SL_TOKENIZE_BOS, &tokens, &n_token, &error));
    free(text);
    r.tokens = tokens;
    if (n_token < r.all) {
        fprintf(stderr, "lookup_replay: %s has only %zu tokens\n", argv[2], n_token);
        return 1;
    }
    sl_lookup_options drafts;
    sl_lookup_options_init(&drafts);
    drafts.n_ctx = r.all;
    drafts.n_draft = DRAFT;
    const sl_session_options options = {
        .n_ctx = r.all + DRAFT, .n_logits = DRAFT + 1, .reserved = sl_lookup_bytes(&drafts)};
    check(sl_session_create(model, &options, &r.session, &error));
    check(sl_sampler_create(info.n_vocab, NULL, &r.sampler, &error));
    r.evaluated = calloc(r.all + DRAFT, sizeof *r.evaluated);
    if (!r.evaluated) {
        return 1;
    }
    sl_model_get_info(model, &info);
    drafts.row_cost = sl_lookup_row_cost(&info);
    sl_model_wait(model);
    double plain[MOST_ROUNDS + 1], drafting[MOST_ROUNDS + 1], ratios[MOST_ROUNDS + 1];
    for (long i = -1; i < rounds; i++) {
        const double without = run(&r, NULL);
        sl_lookup *lookup;
        check(sl_lookup_create(&drafts, &lookup, &error));
        const double with = run(&r, lookup);
        sl_lookup_free(lookup);
        if (i >= 0) {
            plain[i] = (double)count / without;
            drafting[i] = (double)count / with;
            ratios[i] = without / with;
        }
    }
    const replay none = {.passes = (size_t)count};
    report("plain", &none, plain, (size_t)rounds);
    report("lookup", &r, drafting, (size_t)rounds);
    qsort(ratios, (size_t)rounds, sizeof *ratios, by_size);
    printf("%-8s %8.2f times as fast (%.2f to %.2f)\n", "ratio", ratios[rounds / 2], ratios[0],
           ratios[rounds - 1]);
    free(r.evaluated);
    sl_free(tokens);
    sl_sampler_free(r.sampler);
    sl_session_free(r.session);
    sl_model_free(model);
    return 0;
}
