/* complete.c - completes a prompt greedily: cc complete.c $(pkg-config --cflags --libs sluice) */
#include <sluice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WANTED = 40, ROOM = 4096 }; /* tokens */

static sl_error error;

static void check(sl_status status) {
    if (status != SL_OK) {
        fprintf(stderr, "complete: %s\n", error.message);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: complete MODEL PROMPT\n", stderr);
        return 2;
    }
    sl_model *model;
    sl_session *session;
    sl_sampler *sampler;
    sl_decoder *decoder;
    check(sl_model_load(argv[1], NULL, &model, &error));
    check(sl_session_create(model, NULL, &session, &error));
    check(sl_decoder_create(model, false, &decoder, &error));
    sl_model_info info;
    sl_model_get_info(model, &info);
    sl_sampler_options greedy;
    sl_sampler_options_init(&greedy);
    greedy.temperature = 0;
    check(sl_sampler_create(info.n_vocab, &greedy, &sampler, &error));

    static int32_t tokens[ROOM];
    int32_t *prompt;
    size_t count;
    check(sl_tokenize(model, argv[2], strlen(argv[2]), SL_TOKENIZE_BOS, &prompt, &count, &error));
    count = count < ROOM - WANTED ? count : ROOM - WANTED;
    memcpy(tokens, prompt, count * sizeof *tokens);
    for (size_t i = 0; i < count + WANTED; i++) {
        if (i >= count) { /* the session computes only what it does not hold yet */
            check(sl_session_eval(session, tokens, i, NULL, NULL, &error));
            check(sl_sampler_sample(sampler, sl_session_logits(session), &tokens[i], &error));
        }
        const char *text; /* whole characters only: the rest is held back */
        const size_t length = sl_decoder_add(decoder, tokens[i], &text);
        fwrite(text, 1, length, stdout);
    }
    putchar('\n');
    sl_free(prompt);
    sl_decoder_free(decoder);
    sl_sampler_free(sampler);
    sl_session_free(session);
    sl_model_free(model);
    return 0;
}
