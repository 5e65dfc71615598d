/* dialect_hf.h - Hugging Face's names in GGUF's: config.json and a list of tensors become the
 * tables that the families read.
 *
 * Known values of config.json's model_type: bloom, gemma2, gemma3, gemma3_text, gpt2, gpt_neox,
 * gptj, llama, mistral, opt, phi3, qwen2, qwen3. Where config.json is silent, transformers' default
 * holds. What it says and no program honours is refused by name, and so is a tensor that is missing
 * or that the architecture does not have; buffers that are computed anyway are left out. No data is
 * copied: where it lies otherwise than GGUF has it, a key "sluice.*" says so (docs/dialects.md).
 */
#ifndef MODELS_DIALECT_HF_H
#define MODELS_DIALECT_HF_H

#include "formats/raw_tensors.h"
#include "formats/tables.h"

#include <jansson.h>

/* Adds keys and tensors to *t, whose bytes hold the list's data. `config` is the parsed
 * config.json, only read. Failures stick in *t. */
void dialect_hf_translate(tables *t, const json_t *config, const raw_tensors *list);

#endif
