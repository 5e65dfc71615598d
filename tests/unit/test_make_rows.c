/* Tensors that do not lie in rows come to do so. */
#include "engine/make_rows.h"

#include "base/size.h"
#include "formats/tables.h"
#include "os/os.h"
#include "support/temp_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool stop_at_once(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)user;
    (void)stage;
    (void)done;
    (void)total;
    return false;
}

/* rows x values of a type of `bytes` bytes, transposed, at an odd address, behind a tensor that
 * lies in rows. */
static void transposed(size_t rows, size_t values, quant_type type, size_t bytes) {
    sl_error error = {0};
    model_file file;
    const size_t n = rows * values * bytes;
    uint8_t *memory = malloc(n + 5);
    for (size_t i = 0; i < n + 5; i++) {
        memory[i] = (uint8_t)(i * 37 + i / 251);
    }
    const temp_file on_disk = temp_file_write(memory, n + 5);
    os_mapping mapping;
    assert_int_equal(os_map(on_disk.path, &mapping, &error), SL_OK);
    const uint8_t *from = mapping.bytes + 5;
    tables t = tables_new("a kind", mapping.bytes, mapping.size, &error);
    tables_tensor(&t, "rows", QUANT_F32, 1, (uint64_t[]){1}, mapping.bytes);
    tensor_entry *entry = tables_tensor(&t, "x", type, 2, (uint64_t[]){values, rows}, from);
    assert_non_null(entry);
    entry->layout = TENSOR_TRANSPOSED;
    assert_int_equal(tables_finish(&t, &file), SL_OK);
    assert_int_equal(make_rows_bytes(&file), size_round_up(n, 64));
    uint8_t *to = os_pages_allocate(make_rows_bytes(&file));
    assert_int_equal(make_rows(&file, to, NULL, NULL, &error), SL_OK);
    const tensor_entry *x = tensor_find(&file, str_from("x"));
    assert_true(x->data == to && x->layout == TENSOR_ROWS && make_rows_bytes(&file) == 0);
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < values; v++) {
            assert_memory_equal(to + (r * values + v) * bytes, from + (v * rows + r) * bytes,
                                bytes);
        }
    }
    os_pages_free(to, size_round_up(n, 64));
    model_file_free(&file);
    os_unmap(&mapping);
    temp_file_remove(&on_disk);
    free(memory);
}

static void transposed_tensors_become_rows(void **state) {
    (void)state;
    transposed(1, 1, QUANT_F32, 4);
    transposed(129, 65, QUANT_F32, 4);
    transposed(64, 200, QUANT_F16, 2);
    transposed(3, 100, QUANT_BF16, 2);
}

static void it_can_be_interrupted(void **state) {
    (void)state;
    sl_error error = {0};
    model_file file;
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    uint8_t to[64];
    tables t = tables_new("a kind", (const uint8_t *)values, sizeof values, &error);
    tables_tensor(&t, "x", QUANT_F32, 2, (uint64_t[]){2, 3}, (const uint8_t *)values)->layout =
        TENSOR_TRANSPOSED;
    assert_int_equal(tables_finish(&t, &file), SL_OK);
    assert_int_equal(make_rows(&file, to, stop_at_once, NULL, &error), SL_ERR_CANCELLED);
    model_file_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transposed_tensors_become_rows),
        cmocka_unit_test(it_can_be_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
