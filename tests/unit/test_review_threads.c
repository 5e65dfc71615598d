/* One model, several threads: each with a session, a sampler, a decoder of its own, all at the same
 * time. What sluice.h allows must give every thread what it gives one alone; under the thread
 * sanitizer it must do so without a race. */
#include "sluice.h"

#include "support/temp_file.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 4, VOCAB = 257, GENERATED = 20, ROUNDS = 3 };

static const char text[] = "two mills turn in one stream";

typedef struct job {
    sl_model *model;
    bool done;
    int32_t tokens[sizeof text + GENERATED];
    size_t count;
    float logits[VOCAB];
    char said[sizeof text + GENERATED * 8];
    size_t said_bytes;
} job;

/* False where anything fails: cmocka's assertions belong to the first thread. */
static bool generate(job *j, sl_session *session, sl_sampler *sampler, sl_decoder *decoder) {
    sl_error error;
    int32_t *tokens;
    if (sl_tokenize(j->model, text, sizeof text - 1, SL_TOKENIZE_BOS, &tokens, &j->count, &error)) {
        return false;
    }
    memcpy(j->tokens, tokens, j->count * sizeof *tokens);
    sl_free(tokens);
    for (size_t i = 0; i < GENERATED; i++) {
        if (sl_session_eval(session, j->tokens, j->count, NULL, NULL, &error)) {
            return false;
        }
        memcpy(j->logits, sl_session_logits(session), sizeof j->logits);
        int32_t token;
        if (sl_sampler_sample(sampler, j->logits, &token, &error)) {
            return false;
        }
        sl_sampler_accept(sampler, token);
        j->tokens[j->count++] = token;
        const char *piece;
        const size_t bytes = sl_decoder_add(decoder, token, &piece);
        memcpy(j->said + j->said_bytes, piece, bytes);
        j->said_bytes += bytes;
    }
    return true;
}

static void *work(void *argument) {
    job *j = argument;
    sl_session_options how;
    sl_session_options_init(&how);
    how.threads = 2;
    sl_sampler_options chain;
    sl_sampler_options_init(&chain);
    chain.temperature = 2;
    sl_session *session = NULL;
    sl_sampler *sampler = NULL;
    sl_decoder *decoder = NULL;
    sl_error error;
    if (sl_session_create(j->model, &how, &session, &error) == SL_OK &&
        sl_sampler_create(VOCAB, &chain, &sampler, &error) == SL_OK &&
        sl_decoder_create(j->model, true, &decoder, &error) == SL_OK) {
        j->done = generate(j, session, sampler, decoder);
    }
    sl_decoder_free(decoder);
    sl_sampler_free(sampler);
    sl_session_free(session);
    return NULL;
}

static void threads_share_a_model(void **state) {
    (void)state;
    const gguf_tiny_options shape = gguf_tiny_defaults();
    const temp_file file = temp_file_llama(&shape);
    sl_model *model = NULL;
    sl_error error;
    assert_int_equal(sl_model_load(file.path, NULL, &model, &error), SL_OK);
    static job alone, jobs[THREADS];
    alone = (job){.model = model};
    work(&alone);
    assert_true(alone.done);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            jobs[i] = (job){.model = model};
            assert_int_equal(pthread_create(&threads[i], NULL, work, &jobs[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        for (size_t i = 0; i < THREADS; i++) {
            assert_true(jobs[i].done);
            assert_int_equal(jobs[i].count, alone.count);
            assert_memory_equal(jobs[i].tokens, alone.tokens, alone.count * sizeof alone.tokens[0]);
            assert_memory_equal(jobs[i].logits, alone.logits, sizeof alone.logits);
            assert_int_equal(jobs[i].said_bytes, alone.said_bytes);
            assert_memory_equal(jobs[i].said, alone.said, alone.said_bytes);
        }
    }
    sl_model_free(model);
    temp_file_remove(&file);
}

/* ---- a model that is larger than its budget ------------------------------------------------- */

typedef struct question {
    sl_model *model;
    _Atomic bool stop;
    uint64_t streamed; /* the most that was answered */
    bool good;
} question;

static void *ask_on(void *argument) {
    question *q = argument;
    while (!atomic_load(&q->stop)) {
        sl_model_info info;
        sl_error error;
        int32_t *tokens = NULL;
        size_t count = 0;
        sl_model_get_info(q->model, &info);
        q->streamed = info.streamed_bytes > q->streamed ? info.streamed_bytes : q->streamed;
        /* It works with memory that the budget may not have left. */
        const sl_status status =
            sl_tokenize(q->model, text, sizeof text - 1, 0, &tokens, &count, &error);
        q->good &= info.n_vocab == VOCAB && (status == SL_OK || status == SL_ERR_MEMORY);
        sl_free(tokens);
    }
    return NULL;
}

/* A session within `budget` MiB, made while another thread asks of the model. Returns 0, or the
 * MiB that it needs. */
static unsigned long long place_while_asked(const char *path, unsigned long long budget) {
    const sl_model_options how = {.memory_budget = (uint64_t)budget << 20};
    const sl_session_options options = {.threads = 1, .n_batch = 4};
    sl_error error = {0};
    question q = {.good = true};
    sl_session *session = NULL;
    pthread_t asking;
    sl_status status = sl_model_load(path, &how, &q.model, &error);
    if (status == SL_OK) {
        assert_int_equal(pthread_create(&asking, NULL, ask_on, &q), 0);
        status = sl_session_create(q.model, &options, &session, &error);
        sl_model_info info;
        sl_model_get_info(q.model, &info);
        atomic_store(&q.stop, true);
        assert_int_equal(pthread_join(asking, NULL), 0);
        assert_true(q.good && q.streamed <= info.streamed_bytes);
        assert_true(status != SL_OK || info.streamed_bytes > 0);
    }
    sl_session_free(session);
    sl_model_free(q.model);
    if (status == SL_OK) {
        return 0;
    }
    const char *const needs = strstr(error.message, "needs ");
    assert_non_null(needs);
    return strtoull(needs + 6, NULL, 10);
}

static void a_model_is_asked_while_it_is_placed(void **state) {
    (void)state;
    gguf_tiny_options shape = gguf_tiny_defaults();
    shape.n_embd = 256;
    shape.n_ff = 1024;
    shape.type = QUANT_F16;
    const temp_file file = temp_file_llama(&shape);
    unsigned long long budget = 1;
    for (unsigned long long more; (more = place_while_asked(file.path, budget)) > 0;) {
        assert_true(more > budget);
        budget = more;
    }
    for (int round = 0; round < ROUNDS; round++) {
        assert_int_equal(place_while_asked(file.path, budget), 0);
    }
    temp_file_remove(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_model),
        cmocka_unit_test(a_model_is_asked_while_it_is_placed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
