/* Bad GGUF files: each is refused with one line that says where, what was expected and what was
 * found; and whatever the bytes are, nothing outside them is read.
 *
 * Files are parsed between two forbidden pages, once with their end and once with their beginning
 * against one. */
#include "formats/gguf.h"

#include "base/limits.h"
#include "base/random.h"
#include "base/size.h"
#include "support/gguf_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

/* ---- a forbidden page on each side ---------------------------------------------------------- */

enum { PAGE = 4096, ROOM = 1 << 20 };

static uint8_t *room; /* ROOM bytes */

static int set_up_room(void **state) {
    (void)state;
    uint8_t *pages =
        mmap(NULL, ROOM + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages, PAGE, PROT_NONE) != 0 ||
        mprotect(pages + PAGE + ROOM, PAGE, PROT_NONE) != 0) {
        return -1;
    }
    room = pages + PAGE;
    return 0;
}

static int tear_down_room(void **state) {
    (void)state;
    return munmap(room - PAGE, ROOM + 2 * PAGE);
}

/* Reads everything that the tables point to. */
static uint64_t walk(const model_file *file) {
    uint64_t sum = file->data_offset;
    for (size_t i = 0; i < file->meta_count; i++) {
        const meta_entry *entry = &file->meta[i];
        size_t cursor = 0;
        for (uint64_t n = 0; entry->element_type == META_STRING && n < entry->count; n++) {
            const str text = meta_array_string(file, entry, &cursor);
            sum += text.len ? (unsigned char)text.ptr[text.len - 1] : 0;
        }
        for (size_t n = 0; n < entry->data_bytes; n++) {
            sum += entry->data[n];
        }
    }
    for (size_t i = 0; i < file->tensor_count; i++) {
        const tensor_entry *tensor = &file->tensors[i];
        sum += tensor->data[0] + tensor->data[tensor->bytes - 1];
        assert_ptr_equal(tensor_find(file, tensor->name), tensor);
    }
    return sum;
}

static sl_status parse_at(const uint8_t *bytes, size_t size, sl_error *error) {
    static volatile uint64_t kept;
    model_file file = {.version = 77};
    *error = (sl_error){0};
    const sl_status status = gguf_parse(bytes, size, &file, error);
    if (status == SL_OK) {
        kept = walk(&file);
        model_file_free(&file);
        return status;
    }
    assert_int_equal(file.version, 77);
    assert_int_equal(error->status, status);
    assert_true(strlen(error->message) > 10);
    assert_null(strchr(error->message, '\n'));
    (void)kept;
    return status;
}

static sl_status parse_guarded(const uint8_t *bytes, size_t size, sl_error *error) {
    assert_true(size <= ROOM);
    if (size > 0) {
        memcpy(room, bytes, size);
    }
    const sl_status first = parse_at(room, size, error);
    if (size > 0) {
        memcpy(room + ROOM - size, bytes, size);
    }
    const sl_status second = parse_at(room + ROOM - size, size, error);
    assert_int_equal(first, second);
    return second;
}

/* ---- the table of sins ---------------------------------------------------------------------- */

/* The good file that is spoiled: three entries, four tensors, no padding at the end. */
enum { ENTRY_ARCHITECTURE, ENTRY_ALIGNMENT, ENTRY_NAMES, ENTRY_FLAG, ENTRY_NUMBERS };
enum { TENSOR_F32, TENSOR_Q8_0, TENSOR_Q4_K, TENSOR_F16 };

static void add_specimen(gguf_builder *b) {
    b->pad_last_tensor = false;
    gguf_builder_string(b, "general.architecture", "llama");
    gguf_builder_u32(b, "general.alignment", 32);
    gguf_builder_strings(b, "names", (const char *const[]){"one", "two", "three"}, 3);
    gguf_builder_bool(b, "flag", true);
    gguf_builder_array(b, "numbers", META_I32, (const int32_t[]){1, 2, 3}, 3);
    gguf_builder_tensor_add(b, "floats", QUANT_F32, 2, (const uint64_t[]){8, 4}, NULL);
    gguf_builder_tensor_add(b, "bytes", QUANT_Q8_0, 2, (const uint64_t[]){32, 3}, NULL);
    gguf_builder_tensor_add(b, "nibbles", QUANT_Q4_K, 1, (const uint64_t[]){256}, NULL);
    gguf_builder_tensor_add(b, "halves", QUANT_F16, 3, (const uint64_t[]){5, 1, 2}, NULL);
}

/* Where a sin is in the finished file. */
typedef enum field {
    START,
    VERSION,
    TENSOR_COUNT,
    META_COUNT,
    KEY,   /* the length in front */
    TYPE,  /* of entry `number` */
    VALUE, /* likewise */
    NAME,  /* the length in front */
    N_DIMS,
    DIMS,
    TENSOR_TYPE,
    OFFSET,
    DATA,
} field;

static size_t field_at(const gguf_builder *b, field where, size_t number) {
    switch (where) {
    case START:
        return 0;
    case VERSION:
        return 4;
    case TENSOR_COUNT:
        return b->tensor_count_at;
    case META_COUNT:
        return b->meta_count_at;
    case KEY:
        return b->meta[number].key_at;
    case TYPE:
        return b->meta[number].type_at;
    case VALUE:
        return b->meta[number].value_at;
    case NAME:
        return b->tensor[number].name_at;
    case N_DIMS:
        return b->tensor[number].n_dims_at;
    case DIMS:
        return b->tensor[number].dims_at;
    case TENSOR_TYPE:
        return b->tensor[number].type_at;
    case OFFSET:
        return b->tensor[number].offset_at;
    case DATA:
        return b->tensor[number].data_at;
    }
    return SIZE_MAX;
}

/* The file is made with one more thing in it, or finished and one field overwritten, or cut at a
 * field. */
typedef struct sin {
    const char *name;
    const char *expected; /* in the message */
    void (*add)(gguf_builder *b);
    field where;
    size_t number, plus; /* of the entry or tensor; bytes behind the field's beginning */
    size_t width;        /* bytes overwritten by `value` */
    uint64_t value;
    bool cut; /* at the field */
    sl_status status;
    unsigned version; /* 0: 3 */
} sin;

#define SINS_OF(sins) sins, COUNT_OF(sins)

/* A cut inside the metadata is otherwise noticed early: there is no room for the tensors. */
static void remove_tensors(gguf_builder *b) {
    while (b->tensor_count > 0) {
        char name[LIMIT_TENSOR_NAME_BYTES];
        snprintf(name, sizeof name, "%s", b->tensor[0].name);
        gguf_builder_tensor_remove(b, name);
    }
}

static void expect_sins(const sin *sins, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const sin *s = &sins[i];
        gguf_builder b;
        gguf_builder_init(&b, s->version ? s->version : 3);
        add_specimen(&b);
        if (s->add) {
            s->add(&b);
        }
        if (s->cut && s->where >= META_COUNT && s->where <= VALUE) {
            remove_tensors(&b);
        }
        gguf_builder_finish(&b);
        size_t size = b.image_bytes;
        if (s->cut) {
            size = field_at(&b, s->where, s->number) + s->plus;
        } else if (s->width) {
            gguf_builder_patch(&b, field_at(&b, s->where, s->number) + s->plus, s->width, s->value);
        }
        sl_error error;
        const sl_status status = parse_guarded(b.image, size, &error);
        if (status != (s->status ? s->status : SL_ERR_FORMAT)) {
            fail_msg("%s: status %d: %s", s->name, (int)status, error.message);
        }
        if (!strstr(error.message, s->expected)) {
            fail_msg("%s: expected \"%s\" in \"%s\"", s->name, s->expected, error.message);
        }
        gguf_builder_free(&b);
    }
    print_message("%zu files\n", count);
}

static void the_specimen_itself_is_good(void **state) {
    (void)state;
    for (unsigned version = 1; version <= 3; version++) {
        gguf_builder b;
        gguf_builder_init(&b, version);
        add_specimen(&b);
        gguf_builder_finish(&b);
        sl_error error;
        if (parse_guarded(b.image, b.image_bytes, &error) != SL_OK) {
            fail_msg("%s", error.message);
        }
        gguf_builder_free(&b);
    }
}

/* ---- header --------------------------------------------------------------------------------- */

static void bad_headers(void **state) {
    (void)state;
    const sin sins[] = {
        {"an empty file", "byte 0: expected \"GGUF\", found the end", .cut = true},
        {"magic cut", "found the end of the file", .plus = 3, .cut = true},
        {"another magic", "not a GGUF file", .width = 4, .value = 0x67676d6c},
        {"lower-case magic", "not a GGUF file", .width = 1, .value = 'g'},
        {"version cut",
         "byte 4: truncated: expected a version of 4 bytes, found the end of the "
         "file after 2",
         .where = VERSION, .plus = 2, .cut = true},
        {"version 0", "byte 4: expected GGUF version 1, 2 or 3, found 0", .where = VERSION,
         .width = 4, .value = 0, .status = SL_ERR_UNSUPPORTED},
        {"version 4", "expected GGUF version 1, 2 or 3, found 4", .where = VERSION, .width = 4,
         .value = 4, .status = SL_ERR_UNSUPPORTED},
        {"version 2^32 - 1", "found 4294967295", .where = VERSION, .width = 4, .value = UINT32_MAX,
         .status = SL_ERR_UNSUPPORTED},
        {"big-endian", "a big-endian GGUF file (version 3)", .where = VERSION, .width = 4,
         .value = 0x03000000, .status = SL_ERR_UNSUPPORTED},
        {"number of tensors cut", "byte 8: truncated: expected the number of tensors",
         .where = TENSOR_COUNT, .plus = 7, .cut = true},
        {"number of tensors absent", "found the end of the file after 0", .where = TENSOR_COUNT,
         .cut = true},
        {"2^60 tensors",
         "byte 8: expected the number of tensors of at most 1048576, found "
         "1152921504606846976",
         .where = TENSOR_COUNT, .width = 8, .value = (uint64_t)1 << 60},
        {"2^64 - 1 tensors", "found 18446744073709551615", .where = TENSOR_COUNT, .width = 8,
         .value = UINT64_MAX},
        {"more tensors than bytes", "truncated: the number of tensors is 1048576",
         .where = TENSOR_COUNT, .width = 8, .value = 1048576},
        {"one tensor more", "tensor 4: expected a name, found an empty one", .where = TENSOR_COUNT,
         .width = 8, .value = 5},
        {"one entry more", "tensor 0: expected a name of at most 64", .where = META_COUNT,
         .width = 8, .value = 6},
        {"40 tensors", "truncated: the number of tensors is 40, each takes at least 33",
         .where = TENSOR_COUNT, .width = 8, .value = 40},
        {"number of entries cut", "byte 16: truncated: expected the number of metadata entries",
         .where = META_COUNT, .plus = 1, .cut = true},
        {"2^63 entries",
         "expected the number of metadata entries of at most 65536, found "
         "9223372036854775808",
         .where = META_COUNT, .width = 8, .value = (uint64_t)1 << 63},
        {"65537 entries", "at most 65536, found 65537", .where = META_COUNT, .width = 8,
         .value = 65537},
        {"more entries than bytes", "truncated: the number of metadata entries is 65536",
         .where = META_COUNT, .width = 8, .value = 65536},
        {"nothing behind the counts", "byte 16: truncated: the number of metadata entries is 5",
         .where = KEY, .cut = true},
        {"v1, 2^32 - 1 tensors", "found 4294967295", .where = TENSOR_COUNT, .width = 4,
         .value = UINT32_MAX, .version = 1},
        {"v1, number of entries cut", "byte 12: truncated", .where = META_COUNT, .plus = 3,
         .cut = true, .version = 1},
        {"v2, 2^32 entries", "found 4294967296", .where = META_COUNT, .width = 8,
         .value = (uint64_t)1 << 32, .version = 2},
        {"v3 that says it is v1", "expected", .where = VERSION, .width = 4, .value = 1},
        {"v1 that says it is v3", "expected", .where = VERSION, .width = 4, .value = 3,
         .version = 1},
    };
    expect_sins(SINS_OF(sins));
}

/* ---- metadata ------------------------------------------------------------------------------- */

static void add_second_key(gguf_builder *b) {
    gguf_builder_string(b, "general.architecture", "gpt2");
}

static void add_empty_key(gguf_builder *b) {
    gguf_builder_u32(b, "", 1);
}

static void add_long_key(gguf_builder *b) {
    static char key[65537];
    memset(key, 'k', sizeof key - 1);
    gguf_builder_u32(b, key, 1);
}

static void add_text(gguf_builder *b) {
    gguf_builder_string(b, "text", "abcde");
}

static void add_array_of_arrays(gguf_builder *b) {
    gguf_builder_array(b, "nested", META_ARRAY, NULL, 1);
}

static void add_array_of_type_13(gguf_builder *b) {
    gguf_builder_array(b, "strange", (meta_type)13, NULL, 0);
}

static void add_flags(gguf_builder *b) {
    gguf_builder_array(b, "flags", META_BOOL, "\1\0\1\2", 4);
}

static void bad_keys(void **state) {
    (void)state;
    const sin sins[] = {
        {"key's length cut", "metadata entry 2: truncated: expected a key of 8 bytes", .where = KEY,
         .number = 2, .plus = 5, .cut = true},
        {"key cut", "truncated: expected a key of 5 bytes, found the end of the file after 2",
         .where = KEY, .number = 2, .plus = 10, .cut = true},
        {"key past the end", "expected a key of 60000 bytes, found the end", .where = KEY,
         .number = 1, .width = 8, .value = 60000},
        {"key of 65536 bytes", "expected a key of at most 65535 bytes, found a length of 65536",
         .where = KEY, .number = 1, .width = 8, .value = 65536},
        {"key of 2^64 - 1 bytes", "found a length of 18446744073709551615", .where = KEY,
         .number = 0, .width = 8, .value = UINT64_MAX},
        {"key of 2^63 bytes", "byte 24: metadata entry 0: expected a key of at most 65535 bytes",
         .where = KEY, .number = 0, .width = 8, .value = (uint64_t)1 << 63},
        {"empty key", "metadata entry 5: expected a key, found an empty one", .add = add_empty_key},
        {"key that says it is empty", "metadata entry 3: expected a key, found an empty one",
         .where = KEY, .number = 3, .width = 8, .value = 0},
        {"long key", "found a length of 65536", .add = add_long_key},
        {"key twice", "metadata key \"general.architecture\" is there twice, first at byte 24",
         .add = add_second_key},
        {"v1, key of 2^32 - 1 bytes", "found a length of 4294967295", .where = KEY, .number = 0,
         .width = 4, .value = UINT32_MAX, .version = 1},
    };
    expect_sins(SINS_OF(sins));
}

static void bad_values(void **state) {
    (void)state;
    const sin sins[] = {
        {"value's type cut", "\"names\": truncated: expected a value's type of 4 bytes",
         .where = TYPE, .number = 2, .plus = 3, .cut = true},
        {"value type 13", "\"flag\": expected a value type of 0 to 12, found 13", .where = TYPE,
         .number = 3, .width = 4, .value = 13},
        {"value type 2^32 - 1", "found 4294967295", .where = TYPE, .number = 0, .width = 4,
         .value = UINT32_MAX},
        {"value absent", "truncated: expected 1 value(s), each a 32-bit unsigned integer",
         .where = VALUE, .number = 1, .cut = true},
        {"value cut", "found the end of the file after 3 bytes", .where = VALUE, .number = 1,
         .plus = 3, .cut = true},
        {"bool absent", "each a bool, found the end of the file after 0", .where = VALUE,
         .number = 3, .cut = true},
        {"bool of 2", "\"flag\": expected a bool of 0 or 1, found 2", .where = VALUE, .number = 3,
         .width = 1, .value = 2},
        {"bool of 255", "found 255", .where = VALUE, .number = 3, .width = 1, .value = 255},
        {"bools of which one is 2", "\"flags\": expected a bool of 0 or 1, found 2",
         .add = add_flags},
        {"string's length cut",
         "\"text\": truncated: expected 1 value(s), each a string, found the end of the file after "
         "4",
         .add = add_text, .where = VALUE, .number = 5, .plus = 4, .cut = true},
        {"string cut", "expected a string of 5 bytes, found the end of the file after 4",
         .add = add_text, .where = VALUE, .number = 5, .plus = 12, .cut = true},
        {"string past the end", "expected a string of 1000000 bytes", .where = VALUE, .number = 0,
         .width = 8, .value = 1000000},
        {"string of 2^64 - 1 bytes", "expected a string of 18446744073709551615 bytes",
         .where = VALUE, .number = 0, .width = 8, .value = UINT64_MAX},
        {"string of 2^64 - 8 bytes", "expected a string of 18446744073709551608 bytes",
         .where = VALUE, .number = 0, .width = 8, .value = UINT64_MAX - 7},
        {"v1, string past the end", "expected a string of 4294967295 bytes", .where = VALUE,
         .number = 0, .width = 4, .value = UINT32_MAX, .version = 1},
    };
    expect_sins(SINS_OF(sins));
}

static void bad_arrays(void **state) {
    (void)state;
    const sin sins[] = {
        {"element type cut", "truncated: expected the type of an array's elements", .where = VALUE,
         .number = 2, .plus = 2, .cut = true},
        {"element type 13", "\"names\": expected an element type of 0 to 12, found 13",
         .where = VALUE, .number = 2, .width = 4, .value = 13},
        {"element type 13, no elements", "\"strange\": expected an element type",
         .add = add_array_of_type_13},
        {"an array of arrays",
         "\"nested\": expected an array of simple values, found an array "
         "of arrays",
         .add = add_array_of_arrays, .status = SL_ERR_UNSUPPORTED},
        {"number of elements cut", "truncated: expected the number of an array's elements",
         .where = VALUE, .number = 2, .plus = 11, .cut = true},
        {"2^60 strings",
         "\"names\": truncated: expected 1152921504606846976 value(s), each a "
         "string",
         .where = VALUE, .number = 2, .plus = 4, .width = 8, .value = (uint64_t)1 << 60},
        {"2^62 i32, 2^64 bytes", "truncated: expected 4611686018427387904 value(s)", .where = VALUE,
         .number = 4, .plus = 4, .width = 8, .value = (uint64_t)1 << 62},
        {"2^64 - 1 i32",
         "truncated: expected 18446744073709551615 value(s), each a 32-bit "
         "integer",
         .where = VALUE, .number = 4, .plus = 4, .width = 8, .value = UINT64_MAX},
        {"elements absent",
         "expected 3 value(s), each a 32-bit integer, found the end of the "
         "file after 0",
         .where = VALUE, .number = 4, .plus = 12, .cut = true},
        {"last element cut", "found the end of the file after 11 bytes", .where = VALUE,
         .number = 4, .plus = 23, .cut = true},
        {"second string past the end", "\"names\": truncated: expected a string of 99999 bytes",
         .where = VALUE, .number = 2, .plus = 23, .width = 8, .value = 99999},
        {"third string cut", "expected a string of 5 bytes, found the end of the file after 4",
         .where = VALUE, .number = 2, .plus = 46, .cut = true},
        {"one string more", "expected", .where = VALUE, .number = 2, .plus = 4, .width = 8,
         .value = 4},
        {"v1, 2^32 - 1 strings", "expected 4294967295 value(s), each a string", .where = VALUE,
         .number = 2, .plus = 4, .width = 4, .value = UINT32_MAX, .version = 1},
    };
    expect_sins(SINS_OF(sins));
}

static void replace_alignment(gguf_builder *b, meta_type type, uint64_t value) {
    gguf_builder_remove(b, "general.alignment");
    gguf_builder_raw(b, "general.alignment", type, &value, meta_type_bytes(type));
}

static void align_by_float(gguf_builder *b) {
    replace_alignment(b, META_F32, 0x42000000);
}

static void align_by_bool(gguf_builder *b) {
    replace_alignment(b, META_BOOL, 1);
}

static void align_by_string(gguf_builder *b) {
    gguf_builder_remove(b, "general.alignment");
    gguf_builder_string(b, "general.alignment", "32");
}

static void align_by_array(gguf_builder *b) {
    gguf_builder_remove(b, "general.alignment");
    gguf_builder_array(b, "general.alignment", META_U32, (const uint32_t[]){32, 32}, 2);
}

static void align_by_minus_32(gguf_builder *b) {
    replace_alignment(b, META_I32, (uint64_t)-32);
}

static void align_by_2_to_63(gguf_builder *b) {
    replace_alignment(b, META_U64, (uint64_t)1 << 63);
}

static void align_twice(gguf_builder *b) {
    gguf_builder_u32(b, "general.alignment", 64);
}

static void bad_alignments(void **state) {
    (void)state;
    const sin sins[] = {
        {"alignment 0", "\"general.alignment\": expected 8 to 65536, found 0", .where = VALUE,
         .number = 1, .width = 4, .value = 0},
        {"alignment 4", "expected 8 to 65536, found 4", .where = VALUE, .number = 1, .width = 4,
         .value = 4},
        {"alignment 24", "\"general.alignment\": expected a power of two, found 24", .where = VALUE,
         .number = 1, .width = 4, .value = 24},
        {"alignment 2^17", "expected 8 to 65536, found 131072", .where = VALUE, .number = 1,
         .width = 4, .value = 131072},
        {"alignment 2^32 - 1", "found 4294967295", .where = VALUE, .number = 1, .width = 4,
         .value = UINT32_MAX},
        {"alignment 2^63", "found 9223372036854775808", .add = align_by_2_to_63},
        {"alignment -32", "found -32", .add = align_by_minus_32},
        {"alignment a float", "expected an integer, found a 32-bit float", .add = align_by_float},
        {"alignment a bool", "found a bool", .add = align_by_bool},
        {"alignment a string", "found a string", .add = align_by_string},
        {"alignment two numbers", "found an array of 2", .add = align_by_array},
        {"alignment twice", "\"general.alignment\" is there twice", .add = align_twice},
    };
    expect_sins(SINS_OF(sins));
}

/* ---- tensors -------------------------------------------------------------------------------- */

static void add_second_name(gguf_builder *b) {
    gguf_builder_tensor_add(b, "bytes", QUANT_F32, 1, (const uint64_t[]){8}, NULL);
}

static void add_empty_name(gguf_builder *b) {
    gguf_builder_tensor_add(b, "", QUANT_F32, 1, (const uint64_t[]){8}, NULL);
}

static void add_long_name(gguf_builder *b) {
    gguf_builder_tensor_add(b, "a_name_of_sixty-five_bytes_that_is_one_more_than_may_be_had_by_it",
                            QUANT_F32, 1, (const uint64_t[]){8}, NULL);
}

static void add_many_dims(gguf_builder *b) {
    gguf_builder_tensor_raw(b, "cube", QUANT_F32, 5, (const uint64_t[]){1, 1, 1, 1, 1}, NULL, 4);
}

static void add_overflow(gguf_builder *b) {
    const uint64_t dims[] = {(uint64_t)1 << 32, (uint64_t)1 << 32};
    gguf_builder_tensor_raw(b, "vast", QUANT_F32, 2, dims, NULL, 32);
}

static void add_overflow_by_four(gguf_builder *b) {
    const uint64_t dims[] = {65536, 65536, 65536, 65536};
    gguf_builder_tensor_raw(b, "vast", QUANT_F16, 4, dims, NULL, 32);
}

static void add_overflow_of_bytes(gguf_builder *b) {
    gguf_builder_tensor_raw(b, "vast", QUANT_F32, 1, (const uint64_t[]){(uint64_t)1 << 62}, NULL,
                            32);
}

/* Fewer bytes than values: the bytes fit into 64 bits, the values do not. */
static void add_overflow_of_values(gguf_builder *b) {
    const uint64_t dims[] = {256, (uint64_t)1 << 56};
    gguf_builder_tensor_raw(b, "vast", QUANT_Q2_K, 2, dims, NULL, 84);
}

static void bad_names_and_shapes(void **state) {
    (void)state;
    const sin sins[] = {
        {"name's length cut", "tensor 1: truncated: expected a name of 8 bytes", .where = NAME,
         .number = 1, .plus = 7, .cut = true},
        {"name cut", "truncated: expected a name of 5 bytes, found the end of the file after 4",
         .where = NAME, .number = 1, .plus = 12, .cut = true},
        {"name of 65 bytes", "tensor 4: expected a name of at most 64 bytes, found a length of 65",
         .add = add_long_name},
        {"name of 2^64 - 1 bytes", "found a length of 18446744073709551615", .where = NAME,
         .number = 0, .width = 8, .value = UINT64_MAX},
        {"empty name", "tensor 4: expected a name, found an empty one", .add = add_empty_name},
        {"name twice", "tensor \"bytes\" is there twice, as number 1 and 4",
         .add = add_second_name},
        {"number of dimensions cut", "\"bytes\": truncated: expected the number of dimensions",
         .where = N_DIMS, .number = 1, .plus = 2, .cut = true},
        {"no dimensions", "\"floats\": expected 1 to 4 dimensions, found 0", .where = N_DIMS,
         .number = 0, .width = 4, .value = 0},
        {"five dimensions", "\"cube\": expected 1 to 4 dimensions, found 5", .add = add_many_dims},
        {"2^32 - 1 dimensions", "expected 1 to 4 dimensions, found 4294967295", .where = N_DIMS,
         .number = 3, .width = 4, .value = UINT32_MAX},
        {"dimension cut", "\"floats\": truncated: expected a dimension of 8 bytes", .where = DIMS,
         .number = 0, .plus = 12, .cut = true},
        {"row of 0", "\"floats\": expected dimensions over 0, found 0 as number 0", .where = DIMS,
         .number = 0, .width = 8, .value = 0},
        {"0 rows", "found 0 as number 1", .where = DIMS, .number = 0, .plus = 8, .width = 8,
         .value = 0},
        {"values overflow", "\"vast\": expected a size under 2^64, found 4294967296 x 4294967296",
         .add = add_overflow},
        {"four dimensions overflow", "found 65536 x 65536 x 65536 x 65536",
         .add = add_overflow_by_four},
        {"bytes overflow", "found 4611686018427387904 x 1 x 1 x 1 values (F32)",
         .add = add_overflow_of_bytes},
        {"values overflow, bytes do not", "expected a size under 2^64",
         .add = add_overflow_of_values},
        {"dimension 2^64 - 1", "expected a size under 2^64, found 18446744073709551615",
         .where = DIMS, .number = 0, .width = 8, .value = UINT64_MAX},
        {"row of no whole blocks",
         "\"bytes\": expected rows of a multiple of 32 values (Q8_0), "
         "found 33",
         .where = DIMS, .number = 1, .width = 8, .value = 33},
        {"row of half a block", "expected rows of a multiple of 256 values (Q4_K), found 128",
         .where = DIMS, .number = 2, .width = 8, .value = 128},
        {"v1, dimension cut", "truncated: expected a dimension of 4 bytes", .where = DIMS,
         .number = 0, .plus = 6, .cut = true, .version = 1},
    };
    expect_sins(SINS_OF(sins));
}

static void bad_types_and_places(void **state) {
    (void)state;
    const sin sins[] = {
        {"tensor's type cut", "\"nibbles\": truncated: expected a tensor's type of 4 bytes",
         .where = TENSOR_TYPE, .number = 2, .plus = 1, .cut = true},
        {"tensor type 4, which is no more",
         "\"nibbles\": expected a tensor type known here, "
         "found 4",
         .where = TENSOR_TYPE, .number = 2, .width = 4, .value = 4, .status = SL_ERR_UNSUPPORTED},
        {"tensor type IQ2_XXS", "found 16 (IQ2_XXS)", .where = TENSOR_TYPE, .number = 2, .width = 4,
         .value = 16, .status = SL_ERR_UNSUPPORTED},
        {"tensor type 1000", "found 1000 (without a name)", .where = TENSOR_TYPE, .number = 2,
         .width = 4, .value = 1000, .status = SL_ERR_UNSUPPORTED},
        {"tensor type 2^32 - 1", "found 4294967295", .where = TENSOR_TYPE, .number = 0, .width = 4,
         .value = UINT32_MAX, .status = SL_ERR_UNSUPPORTED},
        {"offset cut", "\"halves\": truncated: expected an offset of 8 bytes", .where = OFFSET,
         .number = 3, .plus = 7, .cut = true},
        {"offset not aligned",
         "tensor \"bytes\": expected an offset that is a multiple of 32, "
         "found 129",
         .where = OFFSET, .number = 1, .width = 8, .value = 129},
        {"offset by half", "multiple of 32, found 16", .where = OFFSET, .number = 0, .width = 8,
         .value = 16},
        {"offset past the end", "tensor \"bytes\": expected 102 bytes at offset 65536",
         .where = OFFSET, .number = 1, .width = 8, .value = 65536},
        {"offset 2^64 - 32", "at offset 18446744073709551584", .where = OFFSET, .number = 1,
         .width = 8, .value = UINT64_MAX - 31},
        {"offset 2^63", "at offset 9223372036854775808", .where = OFFSET, .number = 0, .width = 8,
         .value = (uint64_t)1 << 63},
        {"two at one place", "overlaps tensor", .where = OFFSET, .number = 1, .width = 8,
         .value = 0},
        {"the end of one in the next", "tensor \"bytes\" (102 bytes at byte", .where = OFFSET,
         .number = 2, .width = 8, .value = 192},
        {"the last in the first", "tensor \"floats\" (128 bytes at byte", .where = OFFSET,
         .number = 3, .width = 8, .value = 96},
        {"one over all", "tensor \"floats\" (256 bytes at byte", .where = DIMS, .number = 0,
         .width = 8, .value = 16},
        {"a row more than there is", "\"halves\": expected 30 bytes", .where = DIMS, .number = 3,
         .plus = 16, .width = 8, .value = 3},
        {"no data", "\"floats\": expected 128 bytes at offset 0", .where = DATA, .number = 0,
         .cut = true},
        {"data cut in the middle", "tensor \"nibbles\": expected 144 bytes", .where = DATA,
         .number = 2, .plus = 143, .cut = true},
        {"last byte absent", "tensor \"halves\": expected 20 bytes", .where = DATA, .number = 3,
         .plus = 19, .cut = true},
        {"padding in front of the data absent", "expected 128 bytes at offset 0 of the data",
         .where = OFFSET, .number = 3, .plus = 8, .cut = true},
    };
    expect_sins(SINS_OF(sins));
}

/* ---- every file that is nearly good --------------------------------------------------------- */

/* Every shorter file lacks something: the last tensor has no padding behind it. */
static void a_file_cut_anywhere_is_refused(void **state) {
    (void)state;
    for (unsigned version = 1; version <= 3; version++) {
        gguf_builder b;
        gguf_builder_init(&b, version);
        add_specimen(&b);
        gguf_builder_finish(&b);
        sl_error error;
        for (size_t size = 0; size < b.image_bytes; size++) {
            assert_int_equal(parse_guarded(b.image, size, &error), SL_ERR_FORMAT);
        }
        assert_int_equal(parse_guarded(b.image, b.image_bytes, &error), SL_OK);
        gguf_builder_free(&b);
    }
}

static void a_flipped_bit_hurts_nothing(void **state) {
    (void)state;
    for (unsigned version = 1; version <= 3; version += 2) {
        gguf_builder b;
        gguf_builder_init(&b, version);
        add_specimen(&b);
        gguf_builder_finish(&b);
        size_t refused = 0;
        sl_error error;
        const size_t tables = b.tensor[0].data_at;
        for (size_t bit = 0; bit < 8 * tables; bit++) {
            b.image[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            refused += parse_guarded(b.image, b.image_bytes, &error) != SL_OK;
            b.image[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        /* Most bits of the tables matter; those of names, strings and padding do not. */
        print_message("version %u: %zu of %zu flipped bits refused\n", version, refused,
                      8 * tables);
        assert_true(refused > 3 * tables);
        assert_int_equal(parse_guarded(b.image, b.image_bytes, &error), SL_OK);
        gguf_builder_free(&b);
    }
}

static uint64_t below(random_state *r, uint64_t limit) {
    return random_u64(r) % limit;
}

/* A byte, or a field of eight, becomes random or a number that is often trouble. */
static void mutate(uint8_t *bytes, size_t size, random_state *r) {
    static const uint64_t troubles[] = {0,          1,         0x7fffffff,        0x80000000,
                                        UINT32_MAX, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX};
    const size_t at = (size_t)below(r, size);
    if (below(r, 2)) {
        bytes[at] = (uint8_t)below(r, 256);
        return;
    }
    const uint64_t value = troubles[below(r, COUNT_OF(troubles))];
    const size_t width = below(r, 2) ? 4 : 8;
    memcpy(bytes + at, &value, size_min(width, size - at));
}

static void mutations_hurt_nothing(void **state) {
    (void)state;
    const uint64_t seed = 20240607;
    print_message("seed %llu\n", (unsigned long long)seed);
    random_state r;
    random_seed(&r, seed);
    for (unsigned version = 1; version <= 3; version++) {
        gguf_builder b;
        gguf_builder_init(&b, version);
        add_specimen(&b);
        gguf_builder_finish(&b);
        const size_t tables = b.tensor[0].data_at;
        uint8_t *copy = malloc(b.image_bytes);
        assert_non_null(copy);
        for (int round = 0; round < 20000; round++) {
            memcpy(copy, b.image, b.image_bytes);
            const uint64_t count = 1 + below(&r, 4);
            for (uint64_t i = 0; i < count; i++) {
                mutate(copy, tables, &r);
            }
            const size_t size = below(&r, 8) ? b.image_bytes : (size_t)below(&r, b.image_bytes + 1);
            sl_error error;
            const sl_status status = parse_guarded(copy, size, &error);
            assert_true(status == SL_OK || status == SL_ERR_FORMAT || status == SL_ERR_UNSUPPORTED);
        }
        free(copy);
        gguf_builder_free(&b);
    }
}

/* A name full of control characters cannot upset a terminal, and a NULL error is allowed. */
static void messages_are_one_clean_line(void **state) {
    (void)state;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_raw(&b, "\x1b[2J\r\n%s%n", 99, NULL, 0);
    gguf_builder_finish(&b);
    sl_error error;
    assert_int_equal(parse_guarded(b.image, b.image_bytes, &error), SL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "\"?[2J??%s%n\": expected a value type"));
    model_file file;
    assert_int_equal(gguf_parse(b.image, b.image_bytes, &file, NULL), SL_ERR_FORMAT);
    gguf_builder_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_specimen_itself_is_good),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(bad_keys),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(bad_arrays),
        cmocka_unit_test(bad_alignments),
        cmocka_unit_test(bad_names_and_shapes),
        cmocka_unit_test(bad_types_and_places),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_flipped_bit_hurts_nothing),
        cmocka_unit_test(mutations_hurt_nothing),
        cmocka_unit_test(messages_are_one_clean_line),
    };
    return cmocka_run_group_tests(tests, set_up_room, tear_down_room);
}
