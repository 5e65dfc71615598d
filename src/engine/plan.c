/* plan.c - sl_plan_make: opens what is planned for and hands it to the planner. */
#include "engine/plan.h"

#include "base/error.h"
#include "base/size.h"
#include "engine/make_rows.h"
#include "engine/planner.h"
#include "engine/tokenizer_files.h"
#include "kernels/kernels.h"
#include "models/models.h"

#include <stdio.h>
#include <string.h>

/* A tokenizer's tables are about so many times the metadata that they are made of. */
enum { TOKENIZER_FACTOR = 4 };

void sl_plan_options_init(sl_plan_options *options) {
    *options = (sl_plan_options){0};
    sl_session_options_init(&options->session);
}

/* ---- what is planned for -------------------------------------------------------------------- */

static sl_status open_file(const sl_plan_options *options, plan_subject *s, sl_error *error) {
    sl_model *const m = s->model;
    sl_status status = model_open(options->path, &m->mapping, &m->file, error);
    if (status != SL_OK) {
        return status;
    }
    sl_error inner = {0};
    if (options->quick) {
        s->tokenizer_bytes = TOKENIZER_FACTOR * (m->file.data_offset + model_file_bytes(&m->file));
    } else {
        status = model_tokenizer(options->tokenizer, options->path, &m->file, &m->words, error);
    }
    if (status != SL_OK) {
        return status;
    }
    if (m->words) {
        s->tokenizer_bytes = tokenizer_bytes(m->words) + tokenizer_work_bytes(m->words);
    }
    if (status == SL_OK) {
        status = model_build(&m->file, &m->computation, &inner);
    }
    if (status == SL_OK && os_guard_faulted(m->mapping.bytes)) {
        status = error_set(&inner, SL_ERR_FILE, "was cut short while it was read");
    }
    return status == SL_OK ? SL_OK
                           : error_set(error, status, "%s: %s", options->path, inner.message);
}

static sl_status open_shape(const sl_plan_options *options, plan_subject *s, sl_error *error) {
    sl_status status = synthetic_find(options->shape, options->type ? options->type : "", &s->shape,
                                      &s->type, error);
    if (status == SL_OK) {
        status = synthetic_tables(s->model, s->shape, s->type, error);
    }
    if (status != SL_OK) {
        return status;
    }
    sl_error inner = {0};
    status = model_build(&s->model->file, &s->model->computation, &inner);
    return status == SL_OK
               ? SL_OK
               : error_set(error, status, "the shape %s: %s", s->shape->name, inner.message);
}

sl_status plan_open(const sl_plan_options *options, plan_subject *out, sl_error *error) {
    if (!options->path == !options->shape) {
        return error_set(error, SL_ERR_ARGUMENT, "a plan is for either a file or a shape");
    }
    sl_model_options how;
    sl_model_options_init(&how);
    how.memory_budget = options->memory_budget;
    plan_subject s = {.model = model_new(&how)};
    if (!s.model) {
        return error_memory(error, "a model", sizeof *s.model);
    }
    const uint64_t mode = kernel_set_float_mode(); /* for the tables of angles */
    const sl_status status =
        options->path ? open_file(options, &s, error) : open_shape(options, &s, error);
    kernel_restore_float_mode(mode);
    if (status != SL_OK) {
        plan_close(&s);
        return status;
    }
    *out = s;
    return SL_OK;
}

void plan_close(plan_subject *subject) {
    sl_model_free(subject->model);
    *subject = (plan_subject){0};
}

/* ---- the plan ------------------------------------------------------------------------------- */

static planner_subject subject_of(const plan_subject *s, const sl_plan_options *options) {
    const sl_model *m = s->model;
    const uint64_t words = m->words ? s->tokenizer_bytes : 0; /* in model_memory */
    return (planner_subject){
        .p = &m->computation,
        .budget = m->memory_budget,
        .base_bytes = model_memory(m) - m->mapping.size - words,
        .tokenizer_bytes = s->tokenizer_bytes,
        .opening_bytes = m->words ? model_opening_memory(m) : 0,
        .file_table_bytes = size_min((size_t)m->file.data_offset, m->file.size),
        .file_bytes = m->file.size,
        .rearrange = !options->no_rearrange,
        .must_stay = make_rows_bytes(&m->file) > 0,
        .session = &options->session,
        .n_session = options->n_session ? options->n_session : 1,
    };
}

/* A string of the metadata, cut to fit; "" if there is none. */
static void copy_text(const model_file *file, const char *key, char *text, size_t size) {
    str value = {"", 0};
    text[0] = 0;
    if (meta_get_string(file, key, false, &value, NULL) == SL_OK) {
        const size_t length = size_min(value.len, size - 1);
        memcpy(text, value.ptr, length);
        text[length] = 0;
    }
}

static void describe(const plan_subject *s, sl_plan *plan) {
    const model_file *file = &s->model->file;
    copy_text(file, "general.architecture", plan->architecture, sizeof plan->architecture);
    copy_text(file, "general.name", plan->name, sizeof plan->name);
    for (size_t i = 0; i < file->tensor_count; i++) {
        const tensor_entry *t = &file->tensors[i];
        plan->weight_bytes += t->bytes;
        plan->parameter_count += t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
    }
    snprintf(plan->type, sizeof plan->type, "%s", model_main_type(file));
}

/* The largest type in which all of the shape's weights would stay in memory. */
static void advise_type(const plan_subject *s, sl_plan *plan) {
    const uint64_t rest = plan->whole_bytes - plan->file_bytes;
    for (size_t i = 0; s->shape && synthetic_type_at(i); i++) {
        const synthetic_type *type = synthetic_type_at(i);
        if (rest + synthetic_bytes(s->shape, type) <= plan->budget) {
            snprintf(plan->whole_type, sizeof plan->whole_type, "%s", type->name);
            return;
        }
    }
}

/* What sessions note, such as a context beyond what the model was trained for, a plan notes. */
static sl_status make(const plan_subject *s, const sl_plan_options *options,
                      const sl_figures *figures, sl_plan *plan, sl_error *error) {
    sl_plan_options told = *options;
    told.session.notice = options->notice;
    told.session.user = options->user;
    const size_t own = s->model->computation.n_ctx_train;
    if (told.session.n_ctx == 0 && options->n_ctx_most > 0) {
        told.session.n_ctx = size_min(own, options->n_ctx_most);
    }
    const planner_subject subject = subject_of(s, &told);
    const sl_status status = planner_make(&subject, figures, plan, error);
    if (status == SL_OK) {
        describe(s, plan);
        advise_type(s, plan);
    }
    return status;
}

sl_status sl_plan_make(const sl_plan_options *options, const sl_figures *figures, sl_plan *plan,
                       sl_error *error) {
    plan_subject s = {0};
    sl_plan made = {0};
    sl_status status = plan_open(options, &s, error);
    if (status != SL_OK) {
        return status;
    }
    status = make(&s, options, figures, &made, error);
    plan_close(&s);
    if (status == SL_OK) {
        *plan = made;
    }
    return status;
}
