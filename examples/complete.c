/* complete.c - completes a prompt greedily: the whole use of libsluice on one page.
 *
 *   cc complete.c $(pkg-config --cflags --libs sluice) -o complete
 *   ./complete MODEL.gguf "It was a fine evening,"
 */
#include <sluice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WANTED = 40 }; /* tokens */

static sl_error error;

static void check(sl_status status) {
    if (status != SL_OK) {
        fprintf(stderr, "complete: %s\n", error.message);
        exit(1);
    }
}

/* The decoder holds a character back until it is whole. */
static void show(sl_decoder *decoder, int32_t token) {
    const char *text;
    const size_t length = sl_decoder_add(decoder, token, &text);
    fwrite(text, 1, length, stdout);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: complete MODEL PROMPT\n", stderr);
        return 2;
    }
    sl_model *model;
    check(sl_model_load(argv[1], NULL, &model, &error));
    int32_t *prompt;
    size_t count;
    check(sl_tokenize(model, argv[2], strlen(argv[2]), SL_TOKENIZE_BOS, &prompt, &count, &error));

    int32_t *tokens = calloc(count + WANTED, sizeof *tokens);
    if (tokens == NULL)
        return 1;
    memcpy(tokens, prompt, count * sizeof *tokens);
    sl_free(prompt);

    sl_session *session;
    check(sl_session_create(model, NULL, &session, &error));

    sl_model_info info;
    sl_model_get_info(model, &info);
    sl_sampler_options greedy;
    sl_sampler_options_init(&greedy);
    greedy.temperature = 0;
    sl_sampler *sampler;
    check(sl_sampler_create(info.n_vocab, &greedy, &sampler, &error));
    sl_decoder *decoder;
    check(sl_decoder_create(model, false, &decoder, &error));

    for (size_t i = 0; i < count; i++)
        show(decoder, tokens[i]);
    for (size_t end = count + WANTED; count < end; count++) {
        /* The session is given the whole text and computes only what it does not hold yet. */
        check(sl_session_eval(session, tokens, count, NULL, NULL, &error));
        check(sl_sampler_sample(sampler, sl_session_logits(session), &tokens[count], &error));
        if (sl_token_is_end(model, tokens[count]))
            break;
        show(decoder, tokens[count]);
    }
    putchar('\n');

    sl_decoder_free(decoder);
    sl_sampler_free(sampler);
    sl_session_free(session);
    free(tokens);
    sl_model_free(model);
    return 0;
}
