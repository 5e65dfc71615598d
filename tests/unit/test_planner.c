/* The planner's arithmetic with made-up figures: speeds and bytes computed by hand, memory as a
 * real session reserves it, and advice that works. */
#include "engine/placement.h"
#include "engine/plan.h"
#include "engine/planner.h"
#include "support/temp_file.h"

#include "base/size.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* TinyLlama's: 22 layers of 2 x 2048^2 + 2 x 2048 x 256 + 3 x 2048 x 5632 weights, and an output of
 * 32000 x 2048. Four key heads of 64. */
static const double layer_weights =
    22.0 * (2 * 2048.0 * 2048 + 2 * 2048.0 * 256 + 3 * 2048.0 * 5632);
static const double output_weights = 32000.0 * 2048;
enum { LAYERS = 22, KV_TOKEN_F16 = LAYERS * 2 * 4 * 64 * 2 };

static const double bandwidth = 1e10, flops = 1e12, disk = 1e9;

static sl_spread flat(double value) {
    return (sl_spread){value, value, value};
}

static sl_figures bare_figures(void) {
    sl_figures f = {.threads = 2};
    f.read = flat(bandwidth);
    f.disk = flat(disk);
    f.int8 = f.bf16 = f.f32 = flat(flops);
    return f;
}

static sl_plan_options tiny_llama(const char *type, size_t n_ctx) {
    sl_plan_options o;
    sl_plan_options_init(&o);
    o.shape = "tinyllama-1.1b";
    o.type = type;
    o.memory_budget = (uint64_t)64 << 30;
    o.session.n_ctx = n_ctx;
    o.session.n_batch = 512;
    o.session.threads = 2;
    return o;
}

static sl_plan plan_of(const sl_plan_options *options, const sl_figures *figures) {
    sl_plan plan;
    sl_error error = {0};
    if (sl_plan_make(options, figures, &plan, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return plan;
}

static void is_near(double value, double expected) {
    if (!(fabs(value - expected) <= 1e-9 * fabs(expected))) {
        fail_msg("%.12g, expected %.12g", value, expected);
    }
}

static void is_within(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance)) {
        fail_msg("%.12g, expected %.12g within %g", value, expected, tolerance);
    }
}

/* ---- speeds --------------------------------------------------------------------------------- */

/* One row reads all weights, and each position's keys and values. */
static void generation_reads_memory(void **state) {
    (void)state;
    const sl_figures f = bare_figures();
    const sl_plan_options o = tiny_llama("f16", 4096);
    const sl_plan p = plan_of(&o, &f);
    const double weights = 2 * (layer_weights + output_weights) / bandwidth;
    const double key = (double)KV_TOKEN_F16 / bandwidth;
    assert_int_equal(p.pass_bytes, (uint64_t)(2 * (layer_weights + output_weights)));
    assert_int_equal(p.kv_token_bytes, KV_TOKEN_F16);
    assert_int_equal(p.kv_bytes, (uint64_t)KV_TOKEN_F16 * 4096);
    is_near(p.first.tokens_per_second, 1 / (weights + 513 * key));
    is_near(p.full.tokens_per_second, 1 / (weights + 4096 * key));
    assert_int_equal(p.first.limit, SL_LIMIT_MEMORY);
    /* Four sequences: weights once, keys of each. */
    assert_int_equal(p.groups[2].sequences, 4);
    is_near(p.groups[2].first.tokens_per_second, 4 / (weights + 4 * 513 * key));
}

/* 512 rows multiply more than they read; the output matrix meets only the last. */
static void prompts_multiply(void **state) {
    (void)state;
    const sl_figures f = bare_figures();
    const sl_plan_options o = tiny_llama("f16", 512);
    const sl_plan p = plan_of(&o, &f);
    const double products = 2 * 512 * layer_weights / flops;
    const double output = 2 * output_weights / bandwidth;
    const double keys = 512.0 * 513 / 2; /* seen by all rows */
    const double attention = LAYERS * 2 * keys * 32 * (64 + 64) / flops;
    is_near(p.prompt.tokens_per_second, 512 / (products + output + attention));
    assert_int_equal(p.prompt.limit, SL_LIMIT_ARITHMETIC);
    assert_int_equal(p.n_prompt, 512);
    assert_true(p.prompt_full.tokens_per_second == p.prompt.tokens_per_second);
}

/* Token by token, too, in no time: what a million passes cost is not added up one by one. */
static void prompts_of_many_batches(void **state) {
    (void)state;
    const size_t n = (size_t)1 << 20;
    const sl_figures f = bare_figures();
    sl_plan_options o = tiny_llama("f16", n);
    o.session.n_batch = 1;
    o.memory_budget = (uint64_t)1 << 50;
    const sl_plan p = plan_of(&o, &f);
    const double keys = (double)n * ((double)n + 1) / 2;
    const double read = 2 * ((double)n * layer_weights + output_weights) + KV_TOKEN_F16 * keys;
    const double found = (double)n / p.prompt_full.tokens_per_second, wanted = read / bandwidth;
    is_within(found / wanted, 1, 1e-6);
    assert_int_equal(p.prompt_full.limit, SL_LIMIT_MEMORY);
}

static sl_kernel_figure kernel(const char *type, bool rearranged, double one) {
    sl_kernel_figure k = {.rearranged = rearranged};
    snprintf(k.type, sizeof k.type, "%s", type);
    /* Twice the rows at 1.5 times the rate, so that a sum by hand can tell the points apart. */
    const double factors[SL_FIGURE_ROWS] = {1, 1.5, 2.25, 3, 4, 5, 6};
    for (size_t i = 0; i < SL_FIGURE_ROWS; i++) {
        k.rate[i] = flat(one * factors[i]);
    }
    return k;
}

/* What was measured of kernels and attention counts, in place of the bare limits. */
static void measured_kernels_count(void **state) {
    (void)state;
    sl_figures f = bare_figures();
    f.kernels[f.n_kernel++] = kernel("F32", false, 1e9); /* another type's */
    f.kernels[f.n_kernel++] = kernel("F16", false, 2e9);
    f.attentions[f.n_attention++] = (sl_attention_figure){.n_head = 32,
                                                          .n_head_kv = 4,
                                                          .head_k = 64,
                                                          .head_v = 64,
                                                          .one = flat(1e7),
                                                          .many = flat(5e7)};
    f.operation = flat(1e-5);
    const sl_plan_options o = tiny_llama("f16", 513);
    const sl_plan p = plan_of(&o, &f);
    /* 4 products in each layer and the output; two other operations in each, and four: embedding,
     * angles, selection, norm. */
    const double fixed = 1e-5 * (4 * LAYERS + 1 + 0.5 * (2 * LAYERS + 4));
    const double all = layer_weights + output_weights;
    is_near(p.first.tokens_per_second, 1 / (all / 2e9 + LAYERS * 513 / 1e7 + fixed));
    /* 32 rows lie a third of the way from 16 to 64. */
    const double at16 = 16 / (2e9 * 4), at64 = 64 / (2e9 * 5), at32 = at16 + (at64 - at16) / 3;
    is_near(p.groups[5].first.tokens_per_second,
            32 / (all * at32 + LAYERS * 32 * 513 / 1e7 + fixed));
    is_near(p.groups[3].first.tokens_per_second,
            8 / (all * 8 / (2e9 * 3) + LAYERS * 8 * 513 / 1e7 + fixed));
    /* A prompt: many rows share keys; one more batch than 512 has, for the 513th token. */
    const double one_more = all / 2e9 + LAYERS * 513 / 1e7 + fixed;
    const double first = layer_weights * 512 / (2e9 * 6) + LAYERS * (512 * 513 / 2.0) / 5e7 +
                         1e-5 * (4 * LAYERS + 0.5 * (2 * LAYERS + 2));
    is_near(p.prompt_full.tokens_per_second, 513 / (first + one_more));
    /* Figures for other heads or types of keys are not these. */
    f.attentions[0].type_v = SL_KV_Q8_0;
    const sl_plan other = plan_of(&o, &f);
    is_near(other.first.tokens_per_second,
            1 / (all / 2e9 + 513 * KV_TOKEN_F16 / bandwidth + fixed));
}

/* A window bounds what a row looks at, at the beginning, across its edge and behind. */
static void windows_bound_attention(void **state) {
    (void)state;
    const sl_plan_options o = tiny_llama("f16", 1024);
    plan_subject s;
    sl_error error = {0};
    assert_int_equal(plan_open(&o, &s, &error), SL_OK);
    program *const p = &s.model->computation;
    for (size_t i = 0; i < p->ops.count; i++) {
        op *const mine = &((op *)p->ops.items)[i];
        if (mine->kind == OP_ATTENTION) {
            mine->as.attention.window = 100;
        }
    }
    sl_figures f = bare_figures();
    f.kernels[f.n_kernel++] = kernel("F16", false, 2e9);
    f.attentions[f.n_attention++] = (sl_attention_figure){.n_head = 32,
                                                          .n_head_kv = 4,
                                                          .head_k = 64,
                                                          .head_v = 64,
                                                          .one = flat(1e7),
                                                          .many = flat(1e7)};
    const planner_subject subject = {
        .p = p, .budget = (uint64_t)64 << 30, .session = &o.session, .n_session = 1};
    sl_plan plan = {0};
    assert_int_equal(planner_make(&subject, &f, &plan, &error), SL_OK);
    const double all = layer_weights + output_weights;
    is_near(plan.full.tokens_per_second, 1 / (all / 2e9 + LAYERS * 100 / 1e7));
    const double keys = 99 * 100 / 2.0 + (512 - 99) * 100.0, per_row = 512 / (2e9 * 6);
    is_near(plan.prompt.tokens_per_second,
            512 / (layer_weights * per_row + output_weights / 2e9 + LAYERS * keys / 1e7));
    const double second = 512 * 100.0;
    is_near(plan.prompt_full.tokens_per_second,
            1024 / (2 * layer_weights * per_row + output_weights / 2e9 +
                    LAYERS * (keys + second) / 1e7));
    plan_close(&s);
}

/* ---- more than memory ----------------------------------------------------------------------- */

/* The disk is what is waited for; passes without logits do not read the output matrix. */
static void what_does_not_fit_is_read(void **state) {
    (void)state;
    const sl_figures f = bare_figures();
    sl_plan_options o = tiny_llama("q8_0", 1024);
    o.memory_budget = 600 << 20;
    const sl_plan p = plan_of(&o, &f);
    assert_int_equal(p.place, SL_PLACE_STREAMED);
    assert_true(p.streamed_bytes > p.pass_bytes / 2 && p.ring_bytes > 0);
    assert_true(p.peak_bytes <= p.budget && p.peak_bytes > p.budget - (8 << 20));
    assert_true(p.kept_bytes + p.streamed_bytes >= p.pass_bytes);
    const uint64_t sum = p.base_bytes + p.tokenizer_bytes + p.kv_bytes + p.buffer_bytes +
                         p.kept_bytes + p.ring_bytes;
    assert_true(sum <= p.peak_bytes && sum + (1 << 20) > p.peak_bytes);
    is_near(p.first.tokens_per_second, disk / (double)p.streamed_bytes);
    assert_int_equal(p.first.limit, SL_LIMIT_DISK);
    is_near(p.load_seconds, (double)(p.file_bytes - p.streamed_bytes) / disk);
    is_near(p.groups[1].first.tokens_per_second, 2 * disk / (double)p.groups[1].streamed_bytes);
    assert_true(p.groups[1].streamed_bytes > p.streamed_bytes);

    /* Nearly the same placement, by itself, with no table of slices to hold. */
    plan_subject s;
    placement l;
    sl_error error = {0};
    assert_int_equal(plan_open(&o, &s, &error), SL_OK);
    const uint64_t room = p.budget -
                          (p.base_bytes + p.tokenizer_bytes + p.kv_bytes + p.buffer_bytes) -
                          s.model->file.data_offset - placement_list_bytes(s.model->file.size);
    assert_int_equal(placement_make(&s.model->computation, room, &l, &error), SL_OK);
    is_within((double)p.streamed_bytes, (double)l.streamed_bytes, 4 << 20);
    assert_true(p.streamed_bytes >= l.streamed_bytes);
    /* Of two batches, one reads no output matrix. */
    sl_figures slow = f;
    slow.disk = flat(1e6);
    slow.disk_first = flat(2e6); /* of loading alone */
    const sl_plan q = plan_of(&o, &slow);
    is_near(q.load_seconds, (double)(q.file_bytes - q.streamed_bytes) / 2e6);
    const double read = 1024 / q.prompt_full.tokens_per_second * 1e6;
    assert_true(l.output_bytes > 16 << 20);
    is_within(2 * (double)p.streamed_bytes - read, (double)l.output_bytes, 4 << 20);
    assert_int_equal(q.prompt_full.limit, SL_LIMIT_DISK);
    placement_free(&l);
    plan_close(&s);
}

/* Whatever is planned for, nothing is over the budget, nor much of it left while there is more to
 * keep. */
static void the_budget_is_kept(void **state) {
    (void)state;
    const sl_figures f = bare_figures();
    for (uint64_t budget = 300; budget < 6000; budget += 333) {
        sl_plan_options o = tiny_llama("f32", 100);
        o.memory_budget = budget << 20;
        const sl_plan p = plan_of(&o, &f);
        assert_true(p.peak_bytes <= p.budget);
        assert_true(p.place != SL_PLACE_STREAMED || p.peak_bytes + (8 << 20) > p.budget);
        for (size_t i = 0; i < SL_PLAN_GROUPS; i++) {
            assert_true(p.groups[i].fits == (p.groups[i].peak_bytes <= p.budget));
        }
    }
}

/* Without a disk's figure nothing is said of what depends on it, and only of that. */
static void unknown_figures_stay_unknown(void **state) {
    (void)state;
    sl_figures f = bare_figures();
    f.disk = (sl_spread){0};
    sl_plan_options o = tiny_llama("q8_0", 1024);
    const sl_plan whole = plan_of(&o, &f);
    assert_true(whole.load_seconds == 0 && whole.first.tokens_per_second > 0);
    o.memory_budget = 600 << 20;
    const sl_plan part = plan_of(&o, &f);
    assert_true(part.load_seconds == 0 && part.first.tokens_per_second == 0);
    assert_int_equal(part.first.limit, SL_LIMIT_UNKNOWN);
    const sl_figures none = {.threads = 1};
    o.memory_budget = (uint64_t)64 << 30;
    const sl_plan empty = plan_of(&o, &none);
    assert_true(empty.first.tokens_per_second == 0 && empty.prompt.limit == SL_LIMIT_UNKNOWN);
    assert_true(empty.peak_bytes == whole.peak_bytes);
}

/* The advice keeps its word, and no more generous one would. */
static void advice_works(void **state) {
    (void)state;
    const sl_figures f = bare_figures();
    sl_plan_options o = tiny_llama("q8_0", 15000);
    o.memory_budget = 1300 << 20;
    const sl_plan p = plan_of(&o, &f);
    assert_int_equal(p.place, SL_PLACE_STREAMED);
    assert_true(p.whole_ctx > 0 && p.whole_ctx < 15000);
    sl_plan_options with = o;
    with.session.n_ctx = p.whole_ctx;
    assert_int_not_equal(plan_of(&with, &f).place, SL_PLACE_STREAMED);
    with.session.n_ctx = p.whole_ctx + 1;
    assert_int_equal(plan_of(&with, &f).place, SL_PLACE_STREAMED);
    with = o;
    with.type = p.whole_type;
    assert_string_equal(p.whole_type, "q6_k");
    assert_int_not_equal(plan_of(&with, &f).place, SL_PLACE_STREAMED);
    with = o;
    with.memory_budget = p.whole_bytes; /* with no room to rearrange anything */
    const sl_plan tight = plan_of(&with, &f);
    assert_int_equal(tight.place, SL_PLACE_MAPPED);
    assert_true(tight.peak_bytes == p.whole_bytes);
    with.memory_budget += 32 << 20;
    const sl_plan loose = plan_of(&with, &f);
    assert_int_equal(loose.place,
                     planner_rearranges(QUANT_Q8_0) ? SL_PLACE_REARRANGED : SL_PLACE_MAPPED);
    assert_true(loose.peak_bytes <= loose.budget);
    with.no_rearrange = true;
    assert_int_equal(plan_of(&with, &f).place, SL_PLACE_MAPPED);
    with.no_rearrange = false;
    with.memory_budget = p.whole_bytes - 1;
    assert_int_equal(plan_of(&with, &f).place, SL_PLACE_STREAMED);
}

static unsigned long long number_after(const char *text, const char *words) {
    const char *const at = strstr(text, words);
    if (!at) {
        fail_msg("no '%s' in: %s", words, text);
    }
    return at ? strtoull(at + strlen(words), NULL, 10) : 0;
}

static void what_cannot_work_is_refused(void **state) {
    (void)state;
    const sl_figures f = bare_figures();
    sl_plan_options o = tiny_llama("q4_0", 16000);
    o.memory_budget = 200 << 20;
    sl_plan plan = {.n_ctx = 7};
    sl_error error = {0};
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_MEMORY);
    assert_int_equal(plan.n_ctx, 7);
    const unsigned long long least = number_after(error.message, "needs at least ");
    const unsigned long long context = number_after(error.message, "a context of ");
    assert_non_null(strstr(error.message, "budget is 200 MiB"));
    assert_null(strstr(error.message, "q8_0")); /* 16000 positions do not fit so either */
    sl_plan_options with = o;
    with.memory_budget = least << 20;
    assert_int_equal(sl_plan_make(&with, &f, &plan, &error), SL_OK);
    with.memory_budget = (least - 1) << 20;
    assert_int_equal(sl_plan_make(&with, &f, &plan, &error), SL_ERR_MEMORY);
    with = o;
    with.session.n_ctx = context;
    assert_int_equal(sl_plan_make(&with, &f, &plan, &error), SL_OK);
    with.session.n_ctx = context + 1;
    assert_int_equal(sl_plan_make(&with, &f, &plan, &error), SL_ERR_MEMORY);
    /* 344 MiB of f16 do not fit 300, 183 MiB of q8_0 do. */
    o.memory_budget = 300 << 20;
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_MEMORY);
    assert_non_null(strstr(error.message, "so would keys and values in q8_0"));
    o.session.type_k = o.session.type_v = SL_KV_Q8_0;
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_OK);
    /* No context at all. */
    o.memory_budget = 8 << 20;
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_MEMORY);
    assert_null(strstr(error.message, "context of"));
}

/* Weights that are put into rows are in memory or not at all, as when they are loaded. */
static void weights_that_must_stay_do(void **state) {
    (void)state;
    const sl_plan_options o = tiny_llama("f16", 512);
    const sl_figures f = bare_figures();
    plan_subject s;
    sl_plan plan = {0};
    sl_error error = {0};
    assert_int_equal(plan_open(&o, &s, &error), SL_OK);
    planner_subject subject = {.p = &s.model->computation,
                               .budget = (uint64_t)1 << 30,
                               .file_bytes = s.model->file.size,
                               .session = &o.session,
                               .n_session = 1};
    assert_int_equal(planner_make(&subject, &f, &plan, &error), SL_OK);
    assert_int_equal(plan.place, SL_PLACE_STREAMED);
    subject.must_stay = true;
    assert_int_equal(planner_make(&subject, &f, &plan, &error), SL_ERR_MEMORY);
    assert_non_null(strstr(error.message, "with all weights, which do not lie in rows"));
    const unsigned long long least = number_after(error.message, "needs at least ");
    assert_true(least << 20 > subject.file_bytes);
    subject.budget = (uint64_t)(least - 1) << 20;
    assert_int_equal(planner_make(&subject, &f, &plan, &error), SL_ERR_MEMORY);
    subject.budget = (uint64_t)least << 20;
    assert_int_equal(planner_make(&subject, &f, &plan, &error), SL_OK);
    assert_int_not_equal(plan.place, SL_PLACE_STREAMED);
    plan_close(&s);
    /* Transposed matrices, and rows. */
    for (int rows = 0; rows < 2; rows++) {
        sl_plan_options of_file;
        sl_plan_options_init(&of_file);
        of_file.path = rows ? TEST_GOLDEN "/families/llama/hf" : TEST_GOLDEN "/families/gpt2/hf";
        of_file.memory_budget = (uint64_t)1 << 30;
        of_file.session.threads = 1;
        of_file.memory_budget = plan_of(&of_file, &f).whole_bytes - 1;
        assert_int_equal(sl_plan_make(&of_file, &f, &plan, &error), SL_ERR_MEMORY);
        assert_int_equal(strstr(error.message, "do not lie in rows") != NULL, !rows);
    }
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    const sl_figures f = bare_figures();
    sl_plan plan;
    sl_error error = {0};
    sl_plan_options o = tiny_llama("q4_0", 512);
    o.path = "x";
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_ARGUMENT);
    o.path = NULL;
    o.type = "q9";
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_ARGUMENT);
    o.type = NULL;
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_ARGUMENT);
    o = tiny_llama("q4_0", (size_t)1 << 40);
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_ARGUMENT);
    o = tiny_llama("q4_0", 512);
    o.session.type_k = (sl_kv_type)9;
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_ARGUMENT);
    o = tiny_llama("q4_0", 512);
    o.session.threads = 5000;
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_ARGUMENT);
    o.shape = NULL;
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_ARGUMENT);
    o.path = "/nonexistent/model.gguf";
    assert_int_equal(sl_plan_make(&o, &f, &plan, &error), SL_ERR_FILE);
    /* The longest context there can be, on the other hand, is only a matter of memory. */
    o = tiny_llama("f32", (size_t)1 << 28);
    o.n_session = 64;
    assert_true(sl_plan_make(&o, &f, &plan, &error) != SL_OK);
    assert_true(error.message[0]);
}

/* ---- beside a real session ------------------------------------------------------------------ */

static void a_session_takes_what_is_planned(void **state) {
    (void)state;
    gguf_tiny_options shape = gguf_tiny_defaults();
    shape.type = QUANT_Q8_0;
    temp_file file = temp_file_llama(&shape);
    for (size_t sessions = 1; sessions <= 3; sessions += 2) {
        sl_plan_options o;
        sl_plan_options_init(&o);
        o.path = file.path;
        o.memory_budget = (uint64_t)1 << 30;
        o.n_session = sessions;
        o.session.n_ctx = 1000;
        o.session.threads = 2;
        o.session.type_v = SL_KV_F32;
        const sl_figures none = {.threads = 2};
        const sl_plan p = plan_of(&o, &none);

        sl_model_options how;
        sl_model_options_init(&how);
        how.memory_budget = o.memory_budget;
        sl_model *model = NULL;
        sl_session *opened[3];
        sl_error error = {0};
        assert_int_equal(sl_model_load(file.path, &how, &model, &error), SL_OK);
        assert_int_equal(sl_session_create_group(model, &o.session, sessions, opened, &error),
                         SL_OK);
        sl_session_info info;
        sl_model_info of_model;
        sl_session_get_info(opened[0], &info);
        sl_model_get_info(model, &of_model);
        assert_true(p.kv_bytes == info.kv_bytes && p.buffer_bytes == info.buffer_bytes);
        assert_true(p.n_ctx == 1000 && p.n_batch == info.n_batch && p.threads == info.threads);
        assert_true(p.pass_bytes == of_model.bytes_per_token);
        assert_true(p.parameter_count == of_model.parameter_count);
        assert_string_equal(p.type, of_model.type);
        const double planned = (double)info.planned_bytes;
        if (fabs((double)p.peak_bytes - planned) > 64 << 10) {
            fail_msg("%llu bytes planned, a session says %llu", (unsigned long long)p.peak_bytes,
                     (unsigned long long)info.planned_bytes);
        }
        /* In a hurry the tokenizer is guessed, not too low. */
        o.quick = true;
        const sl_plan quick = plan_of(&o, &none);
        assert_true(quick.peak_bytes < p.peak_bytes + (16 << 20));
        assert_true(quick.kv_bytes == p.kv_bytes && quick.tokenizer_bytes > 0);
        for (size_t i = 0; i < sessions; i++) {
            sl_session_free(opened[i]);
        }
        sl_model_free(model);
    }
    temp_file_remove(&file);
}

/* The context is the model's own where none is asked for, or at most what the caller wants. */
static void contexts_are_chosen(void **state) {
    (void)state;
    const sl_figures f = bare_figures();
    sl_plan_options o = tiny_llama("q4_0", 0);
    assert_int_equal(plan_of(&o, &f).n_ctx, 2048);
    o.n_ctx_most = 1000;
    assert_int_equal(plan_of(&o, &f).n_ctx, 1000);
    o.n_ctx_most = 5000;
    assert_int_equal(plan_of(&o, &f).n_ctx, 2048);
    o.session.n_ctx = 1;
    const sl_plan p = plan_of(&o, &f);
    assert_true(p.n_ctx == 1 && p.n_prompt == 1 && p.full.tokens_per_second > 0);
    assert_true(isfinite(p.first.tokens_per_second) && p.groups[6].fits);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generation_reads_memory),
        cmocka_unit_test(prompts_multiply),
        cmocka_unit_test(prompts_of_many_batches),
        cmocka_unit_test(measured_kernels_count),
        cmocka_unit_test(windows_bound_attention),
        cmocka_unit_test(what_does_not_fit_is_read),
        cmocka_unit_test(the_budget_is_kept),
        cmocka_unit_test(unknown_figures_stay_unknown),
        cmocka_unit_test(advice_works),
        cmocka_unit_test(what_cannot_work_is_refused),
        cmocka_unit_test(weights_that_must_stay_do),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(a_session_takes_what_is_planned),
        cmocka_unit_test(contexts_are_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
