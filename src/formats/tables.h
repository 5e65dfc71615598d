/* tables.h - makes the tables of a model_file for what is not GGUF.
 *
 * Inside, every model speaks GGUF's dialect: its keys, its names of tensors. Whoever reads another
 * format says in these calls what the file means; the tables own the words, and tensors stay where
 * they lie.
 *
 *   tables t = tables_new("llama2.c v1", bytes, size, error);
 *   tables_string(&t, "general.architecture", str_from("llama"));
 *   tables_u64(&t, "llama.block_count", 22);
 *   tables_tensor(&t, "output_norm.weight", QUANT_F32, 1, (uint64_t[]){2048}, at);
 *   return tables_finish(&t, file);
 */
#ifndef FORMATS_TABLES_H
#define FORMATS_TABLES_H

#include "base/array.h"
#include "formats/model_file.h"

/* After the first failure `status` is that failure and every call does nothing. For one thread. */
typedef struct tables {
    model_file file; /* its tables are in the arrays until they are finished */
    array meta;      /* meta_entry */
    array tensors;   /* tensor_entry */
    sl_status status;
    sl_error *error;
} tables;

/* `format` names the file's kind for people. All tensors must lie in the bytes, which outlive what
 * is made; NULL where there is no data yet. */
tables tables_new(const char *format, const uint8_t *bytes, size_t size, sl_error *error);

/* Gives up. Also allowed after tables_finish. */
void tables_free(tables *t);

/* Sets the failure, if there is none yet. */
void tables_fail(tables *t, sl_status status, const char *format, ...) SL_PRINTF(3, 4);

/* Memory that the tables own and the finished model_file frees, for words; NULL after a failure. */
void *tables_room(tables *t, size_t bytes);

/* Formats a text into such memory; "" after a failure. */
const char *tables_text(tables *t, const char *format, ...) SL_PRINTF(2, 3);

/* Metadata. Key and values are copied. A key that is there already is refused by tables_finish.
 * Numbers up to 2^32 - 1 become 32-bit ones, as other programs want them in files. */
void tables_u64(tables *t, const char *key, uint64_t value);
void tables_float(tables *t, const char *key, float value);
void tables_bool(tables *t, const char *key, bool value);
void tables_string(tables *t, const char *key, str value);
void tables_ints(tables *t, const char *key, const int32_t *values, size_t n);
void tables_floats(tables *t, const char *key, const float *values, size_t n);
void tables_strings(tables *t, const char *key, const str *values, size_t n);

/* A tensor of n_dims (1 to 4) dimensions, dims[0] the values of a row, whose data begins at `data`;
 * any alignment. Refuses dimensions of 0, rows that are no whole blocks, products that overflow,
 * and data that is not all inside the bytes. Returns the entry, which stays where it is only until
 * the next call, or NULL after a failure. */
tensor_entry *tables_tensor(tables *t, const char *name, quant_type type, size_t n_dims,
                            const uint64_t *dims, const uint8_t *data);

/* The same for int8 values and, behind them all, a float scale for each `group` values of the whole
 * tensor (TENSOR_PLANES); the values must be whole groups. */
tensor_entry *tables_planes(tables *t, const char *name, size_t n_dims, const uint64_t *dims,
                            uint32_t group, const uint8_t *data);

/* The tensor of that name, if it is there yet, or NULL; it stays where it is only until the next
 * call. Looks at all: for a few questions. */
const tensor_entry *tables_find_tensor(const tables *t, const char *name);

/* Makes the model_file, which is the caller's, for model_file_free. On failure all is freed. */
SL_CHECK sl_status tables_finish(tables *t, model_file *out);

#endif
