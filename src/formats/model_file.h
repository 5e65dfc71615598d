/* model_file.h - what every model file is once read: metadata and a table of tensors.
 *
 * formats/ takes bytes and gives tables. It opens no file, knows no model and believes nothing:
 * every count is compared with its ceiling and every offset with the file's end before use. The
 * tables point into the bytes, which must outlive them.
 */
#ifndef FORMATS_MODEL_FILE_H
#define FORMATS_MODEL_FILE_H

#include "base/str.h"
#include "quant/quant.h"
#include "sluice.h"

#include <stdint.h>

/* GGUF's numbers. */
typedef enum meta_type {
    META_U8 = 0,
    META_I8 = 1,
    META_U16 = 2,
    META_I16 = 3,
    META_U32 = 4,
    META_I32 = 5,
    META_F32 = 6,
    META_BOOL = 7,
    META_STRING = 8,
    META_ARRAY = 9,
    META_U64 = 10,
    META_I64 = 11,
    META_F64 = 12,
} meta_type;

typedef struct meta_entry {
    str key;
    meta_type type;
    meta_type element_type; /* of an array; same as type otherwise */
    uint64_t count;         /* elements of an array; 1 otherwise */
    const uint8_t *data;    /* the value's bytes as they lie (unaligned, little-endian); an array's
                               first element. Strings keep their length in front. All of it is
                               known to be inside the file. */
    size_t data_bytes;
    uint64_t offset; /* of the entry in the file, for messages */
} meta_entry;

typedef struct tensor_entry {
    str name;
    quant_type type;
    size_t n_dims;
    uint64_t dims[4]; /* dims[0]: values of a row; unused ones are 1 */
    const uint8_t *data;
    size_t bytes;
    uint64_t offset; /* of the data in the file */
} tensor_entry;

typedef struct model_file {
    char format[16]; /* "GGUF v3" */
    const uint8_t *bytes;
    size_t size;
    uint64_t data_offset;
    unsigned version;
    size_t string_length_bytes; /* 4 in GGUF v1, else 8 */
    meta_entry *meta;
    size_t meta_count;
    tensor_entry *tensors;
    size_t tensor_count;
    uint32_t *meta_index; /* open-addressing tables over names; NULL: linear search */
    uint32_t *tensor_index;
    size_t meta_index_size;
    size_t tensor_index_size;
} model_file;

/* Frees the tables; the bytes are the caller's. A zeroed model_file is allowed. */
void model_file_free(model_file *file);

/* NULL if there is none. */
const meta_entry *meta_find(const model_file *file, const char *key);
const tensor_entry *tensor_find(const model_file *file, str name);

/* Typed reading. A missing key leaves *out as it is (the caller put the default there) unless it is
 * required; a wrong type, or a value outside [low, high], is SL_ERR_FORMAT. Any integer type is
 * accepted where an integer is meant, any float type where a float is; an array of one number where
 * a number is meant, too. */
SL_CHECK sl_status meta_get_u64(const model_file *file, const char *key, bool required,
                                uint64_t low, uint64_t high, uint64_t *out, sl_error *error);
SL_CHECK sl_status meta_get_float(const model_file *file, const char *key, bool required,
                                  double low, double high, float *out, sl_error *error);
SL_CHECK sl_status meta_get_bool(const model_file *file, const char *key, bool required, bool *out,
                                 sl_error *error);
SL_CHECK sl_status meta_get_string(const model_file *file, const char *key, bool required, str *out,
                                   sl_error *error);

/* Finds an array whose elements are of `element_type` (META_F32: f32; META_I32: i32 or u32;
 * META_STRING); NULL in *out if missing and not required. */
SL_CHECK sl_status meta_get_array(const model_file *file, const char *key, bool required,
                                  meta_type element_type, const meta_entry **out, sl_error *error);

/* Numbers of an array by index (no bounds check beyond an assertion). */
float meta_array_float(const meta_entry *array, uint64_t index);
int64_t meta_array_int(const meta_entry *array, uint64_t index);

/* Walks strings: start with *cursor = 0, call count times. */
str meta_array_string(const model_file *file, const meta_entry *array, size_t *cursor);

#endif
