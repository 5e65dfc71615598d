/* model_file.h - what every model file is once read: metadata and a table of tensors.
 *
 * formats/ takes bytes and gives tables. It opens no file, knows no model and believes nothing:
 * every count is compared with its ceiling and every offset with the file's end before use. The
 * tables point into the bytes, which must outlive them, or into memory of their own (tables.h).
 *
 * A model_file is read-only once made: any number of threads may read one.
 */
#ifndef FORMATS_MODEL_FILE_H
#define FORMATS_MODEL_FILE_H

#include "base/str.h"
#include "formats/name_index.h"
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
    META_TYPE_LIMIT = 13,
} meta_type;

typedef struct meta_entry {
    str key; /* stays first: name_index reads it there */
    meta_type type;
    meta_type element_type; /* of an array; same as type otherwise */
    uint64_t count;         /* elements of an array; 1 otherwise */
    const uint8_t *data;    /* the value's bytes as they lie (unaligned, little-endian); an array's
                               first element. Strings keep their length in front. All of it is
                               known to be inside the file. */
    size_t data_bytes;
    uint64_t offset; /* of the entry in the file, for messages */
} meta_entry;

/* How a tensor's values lie. */
typedef enum tensor_layout {
    TENSOR_ROWS,       /* row after row, each dims[0] values: what all else takes for granted */
    TENSOR_TRANSPOSED, /* of floats: value after value, each dims[1] rows */
    TENSOR_PLANES,     /* llama2.c's: int8 values, all of them, and behind them the float scales of
                          each `group` values. `type` and `bytes` are what becomes of them: Q8_0,
                          or F32 where groups and Q8_0's blocks do not fit together */
} tensor_layout;

typedef struct tensor_entry {
    str name; /* stays first: name_index reads it there */
    quant_type type;
    tensor_layout layout;
    size_t n_dims;
    uint64_t dims[4]; /* dims[0]: values of a row; unused ones are 1 */
    uint32_t group;   /* of TENSOR_PLANES */
    const uint8_t *data;
    size_t bytes;
    uint64_t offset; /* of the data in the file, or in the files one behind the other */
} tensor_entry;

/* A piece of memory for words that are not the file's. */
typedef struct model_file_words {
    struct model_file_words *next;
    size_t used, capacity;
} model_file_words;

typedef struct model_file {
    char format[48]; /* "GGUF v3" */
    const uint8_t *bytes;
    size_t size;
    uint64_t data_offset; /* where tensor data begins; may be past the end if there is none */
    unsigned version;
    size_t string_length_bytes; /* 4 in GGUF v1, else 8 */
    meta_entry *meta;
    size_t meta_count;
    tensor_entry *tensors;
    size_t tensor_count;
    model_file_words *words; /* the tables' own, where they are not the file's; NULL: none */
    name_index meta_index;   /* over meta and tensors, made by model_file_index */
    name_index tensor_index;
} model_file;

/* For readers of formats: makes both indexes of a file whose tables are complete. SL_ERR_FORMAT if
 * a key or a tensor's name is there twice. On failure the caller still frees the file. */
SL_CHECK sl_status model_file_index(model_file *file, sl_error *error);

/* Frees the tables and zeroes *file; the bytes are the caller's. A zeroed model_file is allowed. */
void model_file_free(model_file *file);

/* For readers of formats: memory that lives as long as the file's tables; NULL if there is none. */
void *model_file_room(model_file *file, size_t bytes);

/* Bytes of the tables and their words, for the memory plan. */
size_t model_file_bytes(const model_file *file);

/* "a 32-bit unsigned integer", for messages; "an unknown type" for other numbers. */
const char *meta_type_name(uint32_t type);

/* Bytes of a value or array element; 0 for strings, arrays and unknown types. */
size_t meta_type_bytes(uint32_t type);

/* NULL if there is none. */
const meta_entry *meta_find(const model_file *file, const char *key);
const tensor_entry *tensor_find(const model_file *file, str name);

/* Typed reading. A missing key leaves *out as it is (the caller put the default there) unless it is
 * required; a missing required key, a wrong type, or a value outside [low, high], is SL_ERR_FORMAT
 * and leaves *out as it is. Any integer type is accepted where an integer is meant, any float type
 * where a float is; an array of one number where a number is meant, too. */
SL_CHECK sl_status meta_get_u64(const model_file *file, const char *key, bool required,
                                uint64_t low, uint64_t high, uint64_t *out, sl_error *error);
/* A NaN is outside every range. */
SL_CHECK sl_status meta_get_float(const model_file *file, const char *key, bool required,
                                  double low, double high, float *out, sl_error *error);
SL_CHECK sl_status meta_get_bool(const model_file *file, const char *key, bool required, bool *out,
                                 sl_error *error);
SL_CHECK sl_status meta_get_string(const model_file *file, const char *key, bool required, str *out,
                                   sl_error *error);

/* One integer per layer into out[0..n_layer): a number holds for all layers, an array must have
 * exactly n_layer of them. */
SL_CHECK sl_status meta_get_u64_layers(const model_file *file, const char *key, bool required,
                                       uint64_t low, uint64_t high, uint64_t *out, size_t n_layer,
                                       sl_error *error);

/* Finds an array whose elements are of `element_type` (META_F32: f32; META_I32: i32 or u32;
 * META_STRING); if missing and not required, *out becomes NULL. */
SL_CHECK sl_status meta_get_array(const model_file *file, const char *key, bool required,
                                  meta_type element_type, const meta_entry **out, sl_error *error);

/* Element `index` of an array, or a scalar at index 0 (no bounds check beyond an assertion).
 * float: of F32 and F64. int: of every integer type and BOOL; U64 over INT64_MAX wraps. */
float meta_array_float(const meta_entry *array, uint64_t index);
int64_t meta_array_int(const meta_entry *array, uint64_t index);

/* Walks strings: start with *cursor = 0, call count times. A scalar string is an array of one. The
 * lengths were checked when the file was read; should a mapped file have changed since, strings
 * stay inside the array all the same. */
str meta_array_string(const model_file *file, const meta_entry *array, size_t *cursor);

#endif
