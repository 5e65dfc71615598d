/* test_torch_file.c - pytorch_model.bin in both layouts: what is read, and that nothing is run. */
#include "formats/torch_file.h"

#include "base/limits.h"
#include "base/size.h"
#include "formats/zip_archive.h"
#include "support/byte_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define END UINT32_MAX
static const uint32_t two_by_three[] = {2, 3, END}, rows[] = {3, 1, END}, columns[] = {1, 2, END},
                      gaps[] = {6, 2, END}, five[] = {5, END}, one[] = {1, END};

/* {"a": 2 x 3 of storage 0, "t": the same transposed, "tied": all of it again, "g": with gaps of
 * storage 1, "v": five from the second on} */
static byte_list good_pickle(void) {
    byte_list b = {0};
    byte_list_text(&b, "\x80\x02");
    pickle_put_global(&b, "collections", "OrderedDict");
    byte_list_text(&b, ")R(");
    pickle_put_string(&b, "a");
    pickle_put_tensor(&b, "FloatStorage", "0", 6, 0, two_by_three, rows);
    pickle_put_string(&b, "t");
    pickle_put_tensor(&b, "FloatStorage", "0", 6, 0, two_by_three, columns);
    pickle_put_string(&b, "g");
    pickle_put_tensor(&b, "BoolStorage", "1", 12, 0, two_by_three, gaps);
    pickle_put_string(&b, "v");
    pickle_put_global(&b, "torch._utils", "_rebuild_parameter");
    byte_list_text(&b, "(");
    pickle_put_tensor(&b, "FloatStorage", "0", 6, 1, five, one);
    byte_list_text(&b, "\x89");
    pickle_put_global(&b, "collections", "OrderedDict");
    byte_list_text(&b, ")RtRu}"); /* and a state, as a module's dictionary has one */
    pickle_put_string(&b, "_metadata");
    byte_list_text(&b, "}sb.");
    return b;
}

static byte_list zip_of(const byte_list *data, const char *prefix, bool wide) {
    static const uint8_t values[24] = {1, 2, 3}, flags[12] = {1};
    char name[4][64];
    static const char *const names[4] = {"data.pkl", "byteorder", "data/0", "data/1"};
    for (int i = 0; i < 4; i++) {
        snprintf(name[i], sizeof name[i], "%s/%s", prefix, names[i]);
    }
    const zip_entry_made entries[] = {{name[0], data->data, data->count},
                                      {name[1], "little", 6},
                                      {name[2], values, 24},
                                      {name[3], flags, 12}};
    byte_list b = {0};
    zip_put(&b, entries, 4, wide);
    return b;
}

/* The layout of before 1.6. */
static byte_list old_of(const byte_list *data) {
    byte_list b = {0};
    byte_list_add(&b, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
    byte_list_text(&b, "\x80\x02M\xe9\x03."); /* 1001 */
    byte_list_text(&b, "\x80\x02}(");
    pickle_put_string(&b, "little_endian");
    byte_list_text(&b, "\x88u.");
    byte_list_add(&b, data->data, data->count);
    byte_list_text(&b, "\x80\x02](");
    pickle_put_string(&b, "1");
    pickle_put_string(&b, "0");
    byte_list_text(&b, "e.");
    byte_list_number(&b, 12, 8);
    byte_list_number(&b, 1, 12);
    byte_list_number(&b, 6, 8);
    byte_list_number(&b, 0x030201, 24);
    return b;
}

static sl_status parse_copy(const uint8_t *bytes, size_t size, sl_error *error) {
    raw_tensors list = raw_tensors_new();
    uint8_t *copy = malloc(size + !size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    *error = (sl_error){0};
    const sl_status status = torch_file_parse(copy, size, &list, error);
    free(copy);
    raw_tensors_free(&list);
    return status;
}

static void refuse(const byte_list *b, const char *part) {
    sl_error error;
    const sl_status status = parse_copy(b->data, b->count, &error);
    if (status == SL_OK || !strstr(error.message, part)) {
        fail_msg("expected \"%s\", found \"%s\"", part, error.message);
    }
}

static void check_good(const byte_list *b) {
    raw_tensors list = raw_tensors_new();
    sl_error error = {0};
    assert_true(torch_file_detect(b->data, b->count));
    if (torch_file_parse(b->data, b->count, &list, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(list.items.count, 4);
    const raw_tensor *a = raw_tensor_at(&list, 0), *t = raw_tensor_at(&list, 1),
                     *g = raw_tensor_at(&list, 2), *v = raw_tensor_at(&list, 3);
    assert_string_equal(a->name.ptr, "a");
    assert_int_equal(a->type, RAW_F32);
    assert_int_equal(a->n_dims, 2);
    assert_int_equal(a->dims[1], 3);
    assert_int_equal(a->bytes, 24);
    assert_memory_equal(a->data, "\1\2\3\0", 4);
    assert_false(a->transposed || a->scattered);
    assert_true(t->transposed && !t->scattered && t->data == a->data && t->bytes == 24);
    assert_true(g->scattered && !g->data && g->type == RAW_OTHER);
    assert_string_equal(g->type_name, "bool");
    assert_ptr_equal(v->data, a->data + 4);
    assert_int_equal(v->bytes, 20);
    raw_tensors_free(&list);
}

static void good_files_are_read(void **state) {
    (void)state;
    byte_list data = good_pickle();
    byte_list files[] = {zip_of(&data, "archive", false), zip_of(&data, "pytorch_model", true),
                         old_of(&data)};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        check_good(&files[i]);
        byte_list_free(&files[i]);
    }
    byte_list_free(&data);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    byte_list data = good_pickle();
    byte_list files[] = {zip_of(&data, "a", false), zip_of(&data, "a", true), old_of(&data)};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        for (size_t size = 0; size < files[i].count; size++) {
            sl_error error;
            assert_int_not_equal(parse_copy(files[i].data, size, &error), SL_OK);
            assert_true(error.message[0]);
        }
        byte_list_free(&files[i]);
    }
    byte_list_free(&data);
}

/* Any byte changed: read or refused, but never a read outside or an endless loop (sanitizers). */
static void every_change_of_a_byte_is_survived(void **state) {
    (void)state;
    byte_list data = good_pickle();
    byte_list files[] = {zip_of(&data, "a", true), old_of(&data)};
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        for (size_t at = 0; at < files[i].count; at++) {
            for (size_t c = 0; c < COUNT_OF(changes); c++) {
                sl_error error;
                files[i].data[at] ^= changes[c];
                const sl_status status = parse_copy(files[i].data, files[i].count, &error);
                assert_true((status == SL_OK) == !error.message[0]);
                files[i].data[at] ^= changes[c];
            }
        }
        byte_list_free(&files[i]);
    }
    byte_list_free(&data);
}

/* A zip archive with this pickle is refused with this part of a line. */
static void refuse_pickle(const char *pickle, size_t bytes, const char *part) {
    byte_list data = {0};
    byte_list_add(&data, pickle, bytes);
    byte_list b = zip_of(&data, "archive", false);
    refuse(&b, part);
    byte_list_free(&b);
    byte_list_free(&data);
}

#define PICKLE(text) text, sizeof(text) - 1

static void nothing_is_executed(void **state) {
    (void)state;
    refuse_pickle(PICKLE("\x80\x02"
                         "cos\nsystem\nX\2\0\0\0id\x85R."),
                  "asks for os.system, which is not executed");
    refuse_pickle(PICKLE("\x80\x04\x8c\x08"
                         "builtins\x8c\x04"
                         "eval\x93."),
                  "asks for builtins.eval");
    refuse_pickle(PICKLE("\x80\x02"
                         "cposix\nsystem\n."),
                  "asks for posix.system");
    refuse_pickle(PICKLE("\x80\x02"
                         "ctorch\nload\n."),
                  "asks for torch.load");
    refuse_pickle(PICKLE("\x80\x02"
                         "ctorch\n_utils._rebuild_tensor_v2\n."),
                  "is not executed");
    refuse_pickle(PICKLE("\x80\x02"
                         "ios\nsystem\n."),
                  "opcode 0x69 is none"); /* INST */
    refuse_pickle(PICKLE("\x80\x02"
                         "(X\1\0\0\0ao."),
                  "opcode 0x6f is none");                              /* OBJ */
    refuse_pickle(PICKLE("\x80\x02\x82\x01."), "opcode 0x82 is none"); /* EXT1 */
    refuse_pickle(PICKLE("\x80\x02X\1\0\0\0aX\1\0\0\0b\x85R."), "something else than a global");
    refuse_pickle(PICKLE("\x80\x02}}b."), "a state is given");
}

static void bad_pickles_are_refused(void **state) {
    (void)state;
    refuse_pickle(PICKLE(""), "does not begin with a protocol");
    refuse_pickle(PICKLE("(dp0\n."), "does not begin with a protocol");
    refuse_pickle(PICKLE("\x80\x06N."), "protocol is expected to be 2 to 5");
    refuse_pickle(PICKLE("\x80\x02."), "finds the stack empty");
    refuse_pickle(PICKLE("\x80\x02(."), "finds the stack empty");
    refuse_pickle(PICKLE("\x80\x02t."), "finds no mark");
    refuse_pickle(PICKLE("\x80\x02u."), "finds no mark");
    refuse_pickle(PICKLE("\x80\x02(u."), "nothing to add items to");
    refuse_pickle(PICKLE("\x80\x02}(Nu."), "no list or dictionary");
    refuse_pickle(PICKLE("\x80\x02](NNu."), "no list or dictionary");
    refuse_pickle(PICKLE("\x80\x02Na."), "finds the stack empty");
    refuse_pickle(PICKLE("\x80\x02NNa."), "no list or dictionary");
    refuse_pickle(PICKLE("\x80\x02N\x86."), "finds the stack empty");
    refuse_pickle(PICKLE("\x80\x02h\1."), "the memo does not have");
    refuse_pickle(PICKLE("\x80\x02Nr\xff\xff\xff\xff."), "number of the memo is too large");
    refuse_pickle(PICKLE("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "cut short");
    refuse_pickle(PICKLE("\x80\x02X\xff\xff\xff\xff"
                         "a."),
                  "cut short");
    refuse_pickle(PICKLE("\x80\x02N."), "expected a dictionary of tensors");
    refuse_pickle(PICKLE("\x80\x02}(NNu."), "keys are expected to be strings");
    refuse_pickle(PICKLE("\x80\x02}(X\1\0\0\0aK\1u."), "\"a\": expected a tensor");
    refuse_pickle(PICKLE("\x80\x02}(X\1\0\0\0a}u."), "\"a\": expected a tensor");
    refuse_pickle(PICKLE("\x80\x02NQ."), "persistent id is expected");
    refuse_pickle(PICKLE("\x80\x02(X\6\0\0\0moduleNNNtQ."), "a module with its program");
}

/* Opcodes of one byte that each push: a stack, and values, have their ceiling. */
static void bombs_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *begin, *again;
        const char *part;
    } bombs[] = {
        {"\x80\x02", "(", "ceiling"},
        {"\x80\x02N", "2", "ceiling"},
        {"\x80\x02", "}", "ceiling"},
        {"\x80\x02]q\1", "h\1a", "too many items"}, /* a list that holds itself */
    };
    for (size_t i = 0; i < COUNT_OF(bombs); i++) {
        byte_list data = {0};
        byte_list_text(&data, bombs[i].begin);
        for (size_t n = 0; n <= LIMIT_PICKLE_VALUES; n++) {
            byte_list_text(&data, bombs[i].again);
        }
        byte_list_text(&data, ".");
        refuse_pickle((const char *)data.data, data.count, bombs[i].part);
        byte_list_free(&data);
    }
    /* Tuples of tuples of the one before: 2^60 leaves, 60 values. */
    byte_list data = {0};
    byte_list_text(&data, "\x80\x02)");
    for (int i = 0; i < 60; i++) {
        byte_list_text(&data, "2\x86");
    }
    byte_list_text(&data, ".");
    refuse_pickle((const char *)data.data, data.count, "expected a dictionary");
    byte_list_free(&data);
}

/* A dictionary of one tensor. */
static void refuse_tensor(const char *type, const char *key, uint32_t count, uint32_t offset,
                          const uint32_t *sizes, const uint32_t *strides, const char *part) {
    byte_list data = {0};
    byte_list_text(&data, "\x80\x02}");
    pickle_put_string(&data, "x");
    pickle_put_tensor(&data, type, key, count, offset, sizes, strides);
    byte_list_text(&data, "s.");
    refuse_pickle((const char *)data.data, data.count, part);
    byte_list_free(&data);
}

static void bad_tensors_are_refused(void **state) {
    (void)state;
    static const uint32_t wide[] = {2, 0x7fffffff, END}, far[] = {0x7fffffff, 0x7fffffff, END},
                          nine[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, END}, big[] = {7, END};
    static const uint32_t cube[] = {0x7fffffff, 0x7fffffff, 0x7fffffff, END};
    refuse_tensor("FloatStorage", "0", 6, 1, two_by_three, rows, "reaches past the 6 elements");
    refuse_tensor("FloatStorage", "0", 6, 0, big, one, "reaches past the 6 elements");
    refuse_tensor("FloatStorage", "0", 6, 0, two_by_three, gaps, "reaches past the 6 elements");
    refuse_tensor("FloatStorage", "0", 6, 0, two_by_three, far, "reaches past");
    refuse_tensor("FloatStorage", "0", 6, 0, wide, far, "reaches past");
    refuse_tensor("FloatStorage", "0", 6, 0, cube, cube, "reaches past");
    refuse_tensor("FloatStorage", "0", 6, 0x7fffffff, five, one, "reaches past");
    refuse_tensor("FloatStorage", "0", 6, 0, nine, nine, "at most 8");
    refuse_tensor("FloatStorage", "0", 6, 0, two_by_three, one, "as many sizes as strides");
    refuse_tensor("FloatStorage", "0", 6, 0x80000000, five, one, "expected a storage, an offset");
    refuse_tensor("FloatStorage", "0", 7, 0, five, one, "has 24 bytes, expected 7 values");
    refuse_tensor("HalfStorage", "0", 6, 0, five, one, "expected 6 values of float16");
    refuse_tensor("FloatStorage", "2", 6, 0, five, one, "no data/2");
    refuse_tensor("FloatStorage", "../0", 6, 0, five, one, "no data/../0");
    refuse_tensor("Size", "0", 6, 0, five, one, "a persistent id is expected");
    refuse_tensor("QInt8Storage", "0", 6, 0, five, one, "asks for torch.QInt8Storage");
}

static void bad_archives_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *first, *second, *part;
    } names[] = {
        {"a/data.pkl", "../b", "leaves the archive"},
        {"a/data.pkl", "a/../../b", "leaves the archive"},
        {"a/data.pkl", "a/..", "leaves the archive"},
        {"a/data.pkl", "/b", "absolute"},
        {"a/data.pkl", "a\\b", "odd characters"},
        {"a/data.pkl", "", "is empty"},
        {"a/data.pkl", "a/data.pkl", "twice"},
        {"a/data.pkl", "b/data.pkl", "several data.pkl"},
        {"a/data", "a/other", "has no data.pkl"},
        {"a/b/data.pkl", "a/other", "has no data.pkl"},
        {"a/data.pkl", "a/constants.pkl", "TorchScript"},
        {"a/data.pkl", "a/byteorder", "little-endian"},
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const zip_entry_made entries[] = {{names[i].first, "\x80\x02}.", 4},
                                          {names[i].second, "big", 3}};
        byte_list b = {0};
        zip_put(&b, entries, 2, i % 2);
        refuse(&b, names[i].part);
        byte_list_free(&b);
    }
}

/* Changes `bytes` of an archive of one entry "a/data.pkl" of 4 bytes; from its end if at < 0. */
static void refuse_patch(bool wide, int at, size_t bytes, uint64_t value, const char *part) {
    const zip_entry_made entry = {"a/data.pkl", "\x80\x02}.", 4};
    byte_list b = {0};
    zip_put(&b, &entry, 1, wide);
    const size_t place = at < 0 ? b.count - (size_t)-at : (size_t)at;
    for (size_t i = 0; i < bytes; i++) {
        b.data[place + i] = (uint8_t)(value >> (8 * i));
    }
    refuse(&b, part);
    byte_list_free(&b);
}

static void lies_in_archives_are_refused(void **state) {
    (void)state;
    const int central = 44, end = -22, locator = -42, end64 = -98;
    refuse_patch(false, central + 10, 2, 8, "is compressed (method 8)");
    refuse_patch(false, central + 8, 2, 1, "encrypted");
    refuse_patch(false, central + 20, 4, 5, "is compressed");
    refuse_patch(false, central + 24, 4, 9, "is compressed");
    refuse_patch(false, central + 42, 4, 1, "there is no entry at byte 1");
    refuse_patch(false, central + 42, 4, UINT32_MAX, "there is no entry at byte 4294967295");
    refuse_patch(false, central + 28, 2, 200, "pass the directory's end");
    refuse_patch(false, 8, 2, 8, "two headers do not agree");
    refuse_patch(false, 31, 1, 'x', "two headers do not agree");
    refuse_patch(false, 26, 2, 999, "pass the begin of the directory");
    refuse_patch(false, end + 10, 2, 2, "more than its directory");
    refuse_patch(false, end + 10, 2, 0, "no data.pkl");
    refuse_patch(false, end + 16, 4, 3, "expected it to end");
    refuse_patch(false, end + 12, 4, 3, "expected it to end");
    refuse_patch(false, end + 4, 2, 1, "several disks");
    refuse_patch(false, end + 20, 2, 1, "no directory at its end");
    refuse_patch(true, locator + 8, 8, UINT64_MAX, "64-bit end record");
    refuse_patch(true, locator + 8, 8, 0, "64-bit end record");
    refuse_patch(true, end64 + 32, 8, UINT64_MAX, "more than its directory");
    refuse_patch(true, end64 + 48, 8, UINT64_MAX, "expected it to end");
    refuse_patch(true, central + 46 + 10 + 4, 8, UINT64_MAX, "is compressed");
    refuse_patch(true, central + 46 + 10 + 20, 8, UINT64_MAX, "there is no entry at byte");
    refuse_patch(true, central + 46 + 10 + 2, 2, 25, "extra field passes");
}

/* Two entries over the same bytes: the second one's header lies in the first one's data. */
static void entries_that_overlap_are_refused(void **state) {
    (void)state;
    byte_list inner = {0}, b = {0};
    const zip_entry_made small = {"b/x", "1234", 4};
    zip_put(&inner, &small, 1, false);
    const zip_entry_made entries[] = {{"a/data.pkl", inner.data, 37}, {"b/x", "1234", 4}};
    zip_put(&b, entries, 2, false);
    const size_t second = 40 + 37 + 37 + 56 + 42; /* place of the second one's begin */
    b.data[second] = 40;
    refuse(&b, "\"a/data.pkl\" and \"b/x\" overlap");
    byte_list_free(&b);
    byte_list_free(&inner);
}

static void other_layouts_are_named(void **state) {
    (void)state;
    byte_list b = {0};
    byte_list_number(&b, 0, 257);
    byte_list_text(&b, "ustar");
    assert_true(torch_file_detect(b.data, b.count));
    refuse(&b, "tar layout");
    byte_list_free(&b);
    byte_list_text(&b, "GGUF");
    assert_false(torch_file_detect(b.data, b.count));
    refuse(&b, "torch.save did not write this file");
    byte_list_free(&b);
}

static void lies_in_the_old_layout_are_refused(void **state) {
    (void)state;
    byte_list data = good_pickle(), b = old_of(&data);
    b.data[18] ^= 1; /* 1000 */
    refuse(&b, "protocol is expected to be 1001");
    b.data[18] ^= 1;
    b.data[b.count - 32] = 7; /* storage "0" */
    refuse(&b, "\"0\" is said to have 7 values, expected 6");
    b.data[b.count - 32] = 6;
    byte_list_text(&b, "!");
    refuse(&b, "something follows the last storage");
    byte_list_free(&b);
    byte_list_free(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_read),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_change_of_a_byte_is_survived),
        cmocka_unit_test(nothing_is_executed),
        cmocka_unit_test(bad_pickles_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(bad_tensors_are_refused),
        cmocka_unit_test(bad_archives_are_refused),
        cmocka_unit_test(lies_in_archives_are_refused),
        cmocka_unit_test(entries_that_overlap_are_refused),
        cmocka_unit_test(other_layouts_are_named),
        cmocka_unit_test(lies_in_the_old_layout_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
