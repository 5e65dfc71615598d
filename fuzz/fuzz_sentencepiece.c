/* tokenizer.model: any bytes, and what becomes a tokenizer meets a text in every mode. */
#include "fuzz_tokenizer.h"

#include "formats/tables.h"
#include "tokenizer/sentencepiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 65536) {
        return 0;
    }
    sl_error error = {0};
    model_file file = {0};
    tokenizer *made = NULL;
    tables t = tables_new("fuzz", NULL, 0, &error);
    sentencepiece_add(&t, data, size);
    if (tables_finish(&t, &file) == SL_OK && tokenizer_create(&file, &made, &error) == SL_OK) {
        fuzz_text_through(made, str_from("<s> the  ab\xc3\xa9\xff\xe2\x96\x81\n12's"), false);
    } else {
        fuzz_require(error.message[0]);
    }
    tokenizer_free(made);
    model_file_free(&file);
    return 0;
}
