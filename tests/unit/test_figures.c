/* Measuring this machine: everything a plan needs gets a figure that can be, what is there already
 * is left alone, and a measurement can be stopped. */
#include "engine/measure.h"
#include "os/machine.h"
#include "sluice.h"
#include "support/temp_file.h"

#include "base/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct told {
    uint64_t calls, stop_at;
    char notice[700];
} told;

static bool count_progress(void *user, const char *what, uint64_t done, uint64_t total) {
    told *const t = user;
    assert_string_equal(what, "measuring");
    assert_true(done <= total);
    return ++t->calls != t->stop_at;
}

static void keep_notice(void *user, const char *line) {
    snprintf(((told *)user)->notice, sizeof((told *)user)->notice, "%s", line);
}

static sl_plan_options options_for(const temp_file *file, told *t) {
    sl_plan_options o;
    sl_plan_options_init(&o);
    o.path = file->path;
    o.session.n_ctx = 64;
    o.progress = count_progress;
    o.notice = keep_notice;
    o.user = t;
    return o;
}

/* A rate that some machine might have. */
static void is_rate(const sl_spread *s, double least, double most) {
    if (!(s->least >= least && s->least <= s->median && s->median <= s->most && s->most <= most)) {
        fail_msg("median %g, least %g, most %g", s->median, s->least, s->most);
    }
}

static void spreads_are_of_sorted_values(void **state) {
    (void)state;
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 10}, one[] = {7};
    const sl_spread a = measure_spread(odd, 3), b = measure_spread(even, 4);
    const sl_spread c = measure_spread(one, 1);
    assert_true(a.median == 2 && a.least == 1 && a.most == 3);
    assert_true(b.median == 3.5 && b.least == 1 && b.most == 10);
    assert_true(c.median == 7 && c.least == 7 && c.most == 7);
}

/* The largest heads that a file may have: keys and values of a terabyte. */
static void what_does_not_fit_is_not_measured(void **state) {
    (void)state;
    const op_attention heads = {
        .n_head = 16384, .n_head_kv = 16384, .head_k = 4096, .head_v = 4096};
    sl_error error = {0};
    sl_spread one, many;
    team *t = NULL;
    assert_int_equal(team_create(1, &t, &error), SL_OK);
    assert_int_equal(
        measure_attention(t, &heads, QUANT_F32, QUANT_F32, NULL, NULL, &one, &many, &error),
        SL_ERR_MEMORY);
    assert_non_null(strstr(error.message, " MiB are available"));
    team_free(t);
}

static void a_machine_has_a_name(void **state) {
    (void)state;
    sl_figures f, g;
    sl_machine_info machine;
    sl_machine_get_info(&machine);
    sl_figures_init(&f, 0);
    sl_figures_init(&g, 3);
    assert_true(f.threads == machine.cores && g.threads == 3);
    assert_string_equal(f.features, machine.cpu_features);
    assert_string_equal(f.processor, g.processor);
    assert_true(f.n_kernel == 0 && !(f.read.median > 0));
}

static void what_a_plan_needs_is_measured(void **state) {
    (void)state;
    gguf_tiny_options shape = gguf_tiny_defaults();
    shape.type = QUANT_Q4_0;
    temp_file file = temp_file_llama(&shape);
    told t = {0};
    sl_plan_options o = options_for(&file, &t);
    sl_figures f;
    sl_error error = {0};
    sl_figures_init(&f, 2);
    assert_false(sl_figures_suffice(&o, &f));
    if (sl_figures_measure(&o, P_tmpdir, &f, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    assert_true(t.calls > 20);
    assert_true(sl_figures_suffice(&o, &f));
    is_rate(&f.read, 1e6, 1e13);
    is_rate(&f.int8, 1e6, 1e15);
    is_rate(&f.bf16, 1e6, 1e15);
    is_rate(&f.f32, 1e6, 1e15);
    is_rate(&f.operation, 1e-9, 1);
    assert_true(f.n_kernel >= 1 && f.n_attention == 1);
    assert_true(f.attentions[0].n_head == shape.n_head);
    for (size_t i = 0; i < f.n_kernel; i++) {
        for (size_t r = 0; r < SL_FIGURE_ROWS; r++) {
            is_rate(&f.kernels[i].rate[r], 1e3, 1e15);
        }
    }
    is_rate(&f.attentions[0].one, 1, 1e13);
    is_rate(&f.attentions[0].many, 1, 1e13);
    /* The folder for a file may be one that knows no direct reads, but it can be read. */
    is_rate(&f.disk, 1e3, 1e13);
    is_rate(&f.disk_first, 1e3, 1e13);
    assert_true(f.disk_device == os_device_of(P_tmpdir));

    /* Nothing is missing now: nothing changes. */
    const sl_figures before = f;
    assert_int_equal(sl_figures_measure(&o, P_tmpdir, &f, &error), SL_OK);
    assert_memory_equal(&before, &f, sizeof f);
    /* Keys of another type are another kind of attention, and only that is measured. */
    o.session.type_k = SL_KV_F32;
    assert_false(sl_figures_suffice(&o, &f));
    assert_int_equal(sl_figures_measure(&o, NULL, &f, &error), SL_OK);
    assert_true(f.n_attention == 2 && f.n_kernel == before.n_kernel);
    assert_true(f.attentions[0].type_k == SL_KV_F32 && f.attentions[1].type_k == SL_KV_F16);
    assert_true(f.read.median == before.read.median);
    temp_file_remove(&file);
}

static void measuring_stops_when_told(void **state) {
    (void)state;
    const gguf_tiny_options shape = gguf_tiny_defaults();
    temp_file file = temp_file_llama(&shape);
    told t = {.stop_at = 1};
    const sl_plan_options o = options_for(&file, &t);
    sl_figures f;
    sl_error error = {0};
    sl_figures_init(&f, 1);
    assert_int_equal(sl_figures_measure(&o, NULL, &f, &error), SL_ERR_CANCELLED);
    assert_int_equal(t.calls, 1);
    assert_int_equal(f.n_kernel, 0);
    temp_file_remove(&file);
}

static void what_cannot_be_measured_is_said(void **state) {
    (void)state;
    const gguf_tiny_options shape = gguf_tiny_defaults();
    temp_file file = temp_file_llama(&shape);
    told t = {.stop_at = 50}; /* behind the disk, which comes after 48 steps */
    sl_plan_options o = options_for(&file, &t);
    sl_figures f;
    sl_error error = {0};
    sl_figures_init(&f, 1);
    assert_int_equal(sl_figures_measure(&o, "/nonexistent/folder", &f, &error), SL_ERR_CANCELLED);
    assert_true(f.read.median > 0 && f.disk.median == 0);
    assert_non_null(strstr(t.notice, "stays unknown: /nonexistent/folder: "));
    t.stop_at = 0;
    f.threads = 5000;
    assert_int_equal(sl_figures_measure(&o, NULL, &f, &error), SL_ERR_ARGUMENT);
    f.threads = 1;
    o.session.type_v = SL_KV_Q8_0; /* heads of 8 values have no blocks of 32 */
    assert_int_equal(sl_figures_measure(&o, NULL, &f, &error), SL_ERR_ARGUMENT);
    o.session.type_v = (sl_kv_type)77;
    assert_int_equal(sl_figures_measure(&o, NULL, &f, &error), SL_ERR_ARGUMENT);
    o = options_for(&file, &t);
    o.path = "/nonexistent/model.gguf";
    assert_int_equal(sl_figures_measure(&o, NULL, &f, &error), SL_ERR_FILE);
    assert_false(sl_figures_suffice(&o, &f));
    temp_file_remove(&file);
}

/* Rates of a file and of a folder; files that are too small, folders that are none. */
static void disks_are_read(void **state) {
    (void)state;
    enum { SIZE = 5 << 20 };
    uint8_t *const bytes = calloc(1, SIZE);
    assert_non_null(bytes);
    temp_file file = temp_file_write(bytes, SIZE), small = temp_file_write(bytes, 100);
    free(bytes);
    os_disk_rates rates = {.direct = false};
    sl_error error = {0};
    assert_int_equal(os_disk_measure(file.path, &rates, &error), SL_OK);
    for (size_t i = 0; i < OS_DISK_RUNS; i++) {
        assert_true(rates.first[i] > 1e3 && rates.first[i] < 1e13);
        assert_true(rates.again[i] > 1e3 && rates.again[i] < 1e13);
    }
    assert_int_equal(os_file_size(file.path), SIZE);
    assert_int_equal(os_disk_measure(small.path, &rates, &error), SL_ERR_ARGUMENT);
    temp_file_remove(&small);
    assert_int_equal(os_disk_measure(small.path, &rates, &error), SL_ERR_FILE);
    assert_int_equal(os_disk_measure_in(small.path, &rates, &error), SL_ERR_FILE);
    assert_int_equal(os_disk_measure_in(file.path, &rates, &error), SL_ERR_FILE);
    assert_int_equal(os_device_of(small.path), 0);
    assert_int_equal(os_file_size(small.path), 0);
    temp_file_remove(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spreads_are_of_sorted_values),
        cmocka_unit_test(what_does_not_fit_is_not_measured),
        cmocka_unit_test(a_machine_has_a_name),
        cmocka_unit_test(disks_are_read),
        cmocka_unit_test(measuring_stops_when_told),
        cmocka_unit_test(what_cannot_be_measured_is_said),
        cmocka_unit_test(what_a_plan_needs_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
