#include "models/models.h"

#include "base/error.h"
#include "base/size.h"
#include "models/bloom.h"
#include "models/gemma.h"
#include "models/gpt2.h"
#include "models/gptj.h"
#include "models/gptneox.h"
#include "models/llama.h"
#include "models/opt.h"
#include "models/phi3.h"

#include <stdio.h>

/* The architectures that general.architecture may name. */
static const struct {
    const char *name;
    void (*build)(builder *b);
} families[] = {
    {"llama", llama_build},     {"gpt2", gpt2_build},   {"gptj", gptj_build},
    {"gptneox", gptneox_build}, {"opt", opt_build},     {"bloom", bloom_build},
    {"qwen2", qwen2_build},     {"qwen3", qwen3_build}, {"gemma2", gemma2_build},
    {"gemma3", gemma3_build},   {"phi3", phi3_build},
};

/* "a, b, c" */
static void list_families(char *text, size_t size) {
    size_t length = 0;
    text[0] = 0;
    for (size_t i = 0; i < COUNT_OF(families) && length < size; i++) {
        const int n =
            snprintf(text + length, size - length, "%s%s", i ? ", " : "", families[i].name);
        length += n > 0 ? (size_t)n : 0;
    }
}

sl_status model_build(const model_file *file, program *out, sl_error *error) {
    str architecture;
    const sl_status status =
        meta_get_string(file, "general.architecture", true, &architecture, error);
    if (status != SL_OK) {
        return status;
    }
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        if (!str_is(architecture, families[i].name)) {
            continue;
        }
        program p = program_new();
        builder b = {.file = file, .p = &p, .architecture = architecture, .error = error};
        families[i].build(&b);
        if (b.status == SL_OK) {
            b.status = program_finish(&p, error);
        }
        if (b.status != SL_OK) {
            program_free(&p);
            return b.status;
        }
        *out = p;
        return SL_OK;
    }
    char known[200];
    list_families(known, sizeof known);
    return error_set(error, SL_ERR_UNSUPPORTED, "architecture '%.*s' is not supported; known: %s",
                     STR_ARG(architecture), known);
}
