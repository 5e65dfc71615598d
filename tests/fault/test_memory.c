/* The memory budget holds: a process that loads a model of 100 MB and more, evaluates a prompt that
 * fills most of its context, and generates, in one session or several of a group, is never larger
 * than the smallest budget that is
 * accepted; and a budget 1 MiB smaller is refused. The same with a text of 20 MB that is held and
 * tokenized as the command does it. Each try is a process of its own, which runs this program anew,
 * since a forked one would begin with its parent's memory. */
#include "sluice.h"

#include "base/size.h"
#include "support/gguf_family.h"
#include "support/self_run.h"
#include "support/temp_file.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

/* ---- in the child --------------------------------------------------------------------------- */

typedef enum text_kind { NO_TEXT, STORIES, LONE_BYTES, ONE_WORD } text_kind;

/* What is tried besides the budget. */
typedef struct setting {
    const char *name;
    bool many_tokens; /* the model: 400000 tokens and little else, or 100 MB of layers */
    size_t n_ctx, n_batch;
    sl_kv_type cache;
    text_kind text; /* with one, the model is that of the repository */
    size_t text_bytes;
    size_t n_more; /* sessions besides the first, which compute together */
} setting;

enum { MOST_SESSIONS = 6, MOST_TOKENS = 1024 };

static const setting settings[] = {
    {"a short context", false, 128, 64, SL_KV_F16, NO_TEXT, 0, 0},
    {"a larger cache of floats", false, 1024, 256, SL_KV_F32, NO_TEXT, 0, 0},
    {"a group of sessions", false, 600, 64, SL_KV_F16, NO_TEXT, 0, MOST_SESSIONS - 1},
    {"many tokens", true, 64, 8, SL_KV_F16, NO_TEXT, 0, 0},
    {"a text of stories", false, 512, 512, SL_KV_F16, STORIES, 20000000, 0},
    {"a text of a token for each byte", false, 512, 512, SL_KV_F16, LONE_BYTES, 20000000, 0},
    {"a text of one word", false, 512, 512, SL_KV_F16, ONE_WORD, 5000000, 0},
};

static size_t count_prompt(const setting *s) {
    return s->n_ctx * 3 / 4;
}

/* Fills most of each session's context and then some of it token by token, all together. */
static sl_status generate(sl_session *const *sessions, size_t n_vocab, const setting *s,
                          sl_error *error) {
    static int32_t tokens[MOST_SESSIONS][MOST_TOKENS];
    sl_session_content contents[MOST_SESSIONS];
    sl_sampler *sampler;
    const size_t n = 1 + s->n_more;
    for (size_t k = 0; k < n; k++) {
        contents[k] = (sl_session_content){sessions[k], tokens[k], count_prompt(s)};
        for (size_t i = 0; i < contents[k].count; i++) {
            tokens[k][i] = (int32_t)((i * 7919 + k) % n_vocab);
        }
    }
    sl_status status = sl_sampler_create(n_vocab, NULL, &sampler, error);
    if (status == SL_OK) {
        status = sl_session_eval_group(contents, n, NULL, NULL, error);
    }
    for (int i = 0; i < 15 && status == SL_OK; i++) {
        for (size_t k = 0; k < n && status == SL_OK; k++) {
            status = sl_sampler_sample(sampler, sl_session_logits(sessions[k]),
                                       &tokens[k][contents[k].count++], error);
        }
        if (status == SL_OK) {
            status = sl_session_eval_group(contents, n, NULL, NULL, error);
        }
    }
    sl_sampler_free(sampler);
    return status;
}

static char *make_text(const setting *s) {
    static const char story[] = "Once upon a time, there was a little girl. She had a dog.\n";
    char *text = malloc(s->text_bytes + 1);
    for (size_t i = 0; text && i < s->text_bytes; i++) {
        text[i] = s->text == STORIES      ? story[i % (sizeof story - 1)]
                  : s->text == LONE_BYTES ? (char)(0x80 + i * 37 % 64) /* in no character */
                                          : "er"[i % 2];
    }
    return text;
}

/* Prints "refused N", N the number of MiB that the message asks for (0: tokenizing was refused), or
 * "done PEAK", in bytes. */
static int run_as_child(const char *path, uint64_t budget, const setting *s) {
    sl_error error;
    sl_model *model;
    sl_session *sessions[MOST_SESSIONS] = {NULL};
    char *text = make_text(s);
    int32_t *text_tokens = NULL;
    size_t text_count = 0;
    const sl_model_options options = {.memory_budget = budget,
                                      .reserved = s->text_bytes * (1 + sizeof(int32_t))};
    const sl_session_options wanted = {.n_ctx = s->n_ctx,
                                       .n_batch = s->n_batch,
                                       .threads = 2,
                                       .type_k = s->cache,
                                       .type_v = s->cache};
    sl_status status = sl_model_load(path, &options, &model, &error);
    if (status == SL_OK && s->text) {
        status = sl_tokenize(model, text, s->text_bytes, 0, &text_tokens, &text_count, &error);
        if (status == SL_ERR_MEMORY && sl_peak_memory() > budget) {
            return 1;
        }
    }
    if (status == SL_OK) {
        status = sl_session_create_group(model, &wanted, 1 + s->n_more, sessions, &error);
    }
    if (status == SL_ERR_MEMORY) {
        const char *needs = strstr(error.message, "needs ");
        printf("refused %llu\n", needs ? strtoull(needs + 6, NULL, 10) : 0);
        return 0;
    }
    sl_model_info info;
    if (status == SL_OK) {
        sl_model_get_info(model, &info);
        status = generate(sessions, info.n_vocab, s, &error);
    }
    if (status != SL_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (size_t i = 0; i < 1 + s->n_more; i++) {
        sl_session_free(sessions[i]);
    }
    sl_model_free(model);
    sl_free(text_tokens);
    free(text);
    printf("done %" PRIu64 "\n", sl_peak_memory());
    return 0;
}

/* ---- in the parent -------------------------------------------------------------------------- */

typedef struct outcome {
    bool accepted;
    unsigned long long number; /* bytes of peak if accepted, else MiB asked for */
} outcome;

static outcome try_budget(const char *path, uint64_t budget, size_t which) {
    char budget_text[32], which_text[32], line[100];
    snprintf(budget_text, sizeof budget_text, "%" PRIu64, budget);
    snprintf(which_text, sizeof which_text, "%zu", which);
    const char *const arguments[] = {"test_memory", path, budget_text, which_text, NULL};
    self_run(arguments, line, sizeof line);
    outcome o = {.accepted = strncmp(line, "done ", 5) == 0};
    assert_true(o.accepted || strncmp(line, "refused ", 8) == 0);
    o.number = strtoull(strchr(line, ' '), NULL, 10);
    return o;
}

/* 3 layers of 1024 values and an embedding of 8192 tokens in F16 are about 107 MB. */
static temp_file large_model(bool many_tokens) {
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_ctx = 1024;
    if (many_tokens) {
        options.n_vocab = 400000;
        options.type = QUANT_Q4_0;
        options.tied = true;
        return temp_file_llama(&options);
    }
    options.n_embd = 1024;
    options.n_head = 16;
    options.n_head_kv = 4;
    options.n_ff = 3072;
    options.n_layer = 3;
    options.n_vocab = 8192;
    options.type = QUANT_F16;
    return temp_file_llama(&options);
}

static bool is_there_room(void) {
    struct statvfs disk;
    sl_machine_info machine;
    const char *folder = getenv("TMPDIR");
    sl_machine_get_info(&machine);
    return statvfs(folder ? folder : "/tmp", &disk) == 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize > 1024ull * MIB &&
           machine.memory_available > 2048ull * MIB;
}

static void skip_where_it_makes_no_sense(void) {
    self_run_skip_if_sanitized();
    if (!is_there_room()) {
        print_message("1 GiB of disk and 2 GiB of memory are not to be had\n");
        skip();
    }
}

static void texts_are_within_the_smallest_budget(void **state) {
    (void)state;
    static const char path[] = TEST_MODELS "/sluice-starter.gguf";
    skip_where_it_makes_no_sense();
    if (access(path, R_OK) != 0) {
        print_message("%s is not there: not tested\n", path);
        skip();
    }
    for (size_t which = 0; which < COUNT_OF(settings); which++) {
        const setting *s = &settings[which];
        uint64_t budget = 8;
        outcome o;
        int tries = 0;
        bool word_refused = false;
        while (s->text && !(o = try_budget(path, budget * MIB, which)).accepted) {
            assert_true(++tries <= 3);
            if (o.number == 0) {
                word_refused = true;
                budget += s->text_bytes * 48 / MIB + 1; /* ENCODER_SYMBOL_BYTES */
            } else {
                assert_true(o.number > budget);
                budget = o.number;
            }
        }
        if (s->text) {
            print_message("%s: smallest budget %" PRIu64 " MiB, peak %.1f MiB\n", s->name, budget,
                          (double)o.number / MIB);
            assert_true(o.number <= budget * MIB);
            assert_true(word_refused == (s->text == ONE_WORD));
        }
    }
}

static void peak_is_within_the_smallest_budget(void **state) {
    (void)state;
    skip_where_it_makes_no_sense();
    for (size_t which = 0; which < COUNT_OF(settings); which++) {
        if (settings[which].text) {
            continue;
        }
        const temp_file file = large_model(settings[which].many_tokens);
        uint64_t budget = 8;
        outcome o;
        int tries = 0;
        while (!(o = try_budget(file.path, budget * MIB, which)).accepted) {
            assert_true(o.number > budget && ++tries <= 2); /* the model, then the session */
            budget = o.number;
        }
        print_message("%s: smallest budget %" PRIu64 " MiB, peak %.1f MiB\n", settings[which].name,
                      budget, (double)o.number / MIB);
        assert_true(o.number <= budget * MIB);
        /* The estimate is no guess far off, either: it allows 8 MiB for the process, and as many
         * may be slots of the ring that a short run came without. */
        assert_true(o.number + 16 * MIB >= budget * MIB);
        assert_false(try_budget(file.path, (budget - 1) * MIB, which).accepted);
        /* From almost nothing of the weights in memory to all of them, mapped. */
        for (uint64_t more = budget + 11; more < budget + 150; more += 23) {
            o = try_budget(file.path, more * MIB, which);
            assert_true(o.accepted);
            print_message("  %" PRIu64 " MiB, peak %.1f MiB\n", more, (double)o.number / MIB);
            assert_true(o.number <= more * MIB);
        }
        temp_file_remove(&file);
    }
}

/* 4 layers of 512 values and an embedding of 8192 tokens in F16 are about 35 MB. */
static void families_are_within_their_smallest_budgets(void **state) {
    (void)state;
    skip_where_it_makes_no_sense();
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_ctx = 1024;
    options.n_embd = 512;
    options.n_head = 8;
    options.n_ff = 2048;
    options.n_layer = 4;
    options.n_vocab = 8192;
    options.type = QUANT_F16;
    for (size_t i = 0; gguf_family_at(i); i++) {
        const temp_file file = temp_file_family(gguf_family_at(i), &options);
        uint64_t budget = 8;
        outcome o;
        int tries = 0;
        while (!(o = try_budget(file.path, budget * MIB, 0)).accepted) {
            assert_true(o.number > budget && ++tries <= 2); /* the model, then the session */
            budget = o.number;
        }
        print_message("%s: smallest budget %" PRIu64 " MiB, peak %.1f MiB\n", gguf_family_at(i),
                      budget, (double)o.number / MIB);
        assert_true(o.number <= budget * MIB);
        assert_false(try_budget(file.path, (budget - 1) * MIB, 0).accepted);
        o = try_budget(file.path, (budget + 40) * MIB, 0); /* all weights */
        assert_true(o.accepted && o.number <= (budget + 40) * MIB);
        temp_file_remove(&file);
    }
}

int main(int argc, char **argv) {
    if (argc == 4) {
        return run_as_child(argv[1], strtoull(argv[2], NULL, 10),
                            &settings[strtoull(argv[3], NULL, 10) % COUNT_OF(settings)]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_within_the_smallest_budget),
        cmocka_unit_test(peak_is_within_the_smallest_budget),
        cmocka_unit_test(families_are_within_their_smallest_budgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
