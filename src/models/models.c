#include "models/models.h"

#include "base/error.h"
#include "base/size.h"
#include "models/gemma.h"
#include "models/gpt2.h"
#include "models/llama.h"
#include "models/phi3.h"

/* The architectures that general.architecture may name. */
static const struct {
    const char *name;
    void (*build)(builder *b);
} families[] = {
    {"llama", llama_build}, {"gpt2", gpt2_build},     {"qwen2", qwen2_build},
    {"qwen3", qwen3_build}, {"gemma2", gemma2_build}, {"gemma3", gemma3_build},
    {"phi3", phi3_build},
};

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
    return error_set(error, SL_ERR_UNSUPPORTED,
                     "architecture '%.*s' is not supported; known: llama, gpt2, qwen2, qwen3, "
                     "gemma2, gemma3, phi3",
                     STR_ARG(architecture));
}
