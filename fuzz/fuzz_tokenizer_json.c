/* tokenizer.json: first byte 0 to 3 chooses the file that the rest is, and what becomes a tokenizer
 * meets a text in every mode. */
#include "fuzz_tokenizer.h"

#include "formats/tables.h"
#include "tokenizer/tokenizer_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A vocabulary for the files that have none. */
static const char small[] =
    "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":{\"type\":"
    "\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<s>\":3},\"merges\":[\"a b\"]}}";

static void try_tokenizer(tables *t, sl_error *error) {
    model_file file = {0};
    tokenizer *made = NULL;
    if (tables_finish(t, &file) == SL_OK) {
        if (tokenizer_create(&file, &made, error) == SL_OK) {
            fuzz_text_through(made, str_from("<s> the  ab\xc3\xa9\xff\xe2\x96\x81\n12's e\xcc\x81"),
                              false);
        } else {
            fuzz_require(!made && error->message[0]);
        }
    } else {
        fuzz_require(error->message[0]);
    }
    tokenizer_free(made);
    model_file_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 65536) {
        return 0;
    }
    const str rest = {(const char *)data + 1, size - 1};
    tokenizer_json_files files = {.tokenizer = str_from(small)};
    sl_error error = {0};
    tables t = tables_new("fuzz", NULL, 0, &error);
    if (data[0] == 3) {
        const size_t half = rest.len / 2;
        files.tokenizer = (str){NULL, 0};
        const sl_status status =
            vocab_merges_read((str){rest.ptr, half}, (str){rest.ptr + half, rest.len - half},
                              (str){NULL, 0}, &files, &t);
        fuzz_require(status == t.status);
    } else {
        *(data[0] == 1   ? &files.config
          : data[0] == 2 ? &files.generation
                         : &files.tokenizer) = rest;
        const sl_status status = tokenizer_json_read(&files, &t);
        fuzz_require(status == t.status);
    }
    try_tokenizer(&t, &error);
    return 0;
}
