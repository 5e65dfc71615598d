/* plan.h - what a plan is made for: a model's tables and program, without its weights. */
#ifndef ENGINE_PLAN_H
#define ENGINE_PLAN_H

#include "engine/model.h"
#include "engine/synthetic.h"

typedef struct plan_subject {
    sl_model *model;            /* tables, program and, unless quick, tokenizer; no weights */
    const model_shape *shape;   /* NULL: a file */
    const synthetic_type *type; /* of the shape */
    uint64_t tokenizer_bytes;
} plan_subject;

/* Opens the file, or makes the tables of the shape. On success plan_close gives all back. */
SL_CHECK sl_status plan_open(const sl_plan_options *options, plan_subject *out, sl_error *error);
void plan_close(plan_subject *subject);

#endif
