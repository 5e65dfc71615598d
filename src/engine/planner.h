/* planner.h - what a program will need and how fast it will be, by arithmetic.
 *
 * Memory: the process and its tables, keys and values, buffers, and what the budget leaves for
 * matrices, placed by placement.h as a run places them.
 *
 * Time of a pass with n rows, the disk reading ahead while everything else is computed:
 *
 *   max( streamed bytes / disk,
 *        sum over matrices of weights * s(type, order, n)  +  sum over attention of keys * a
 *          +  operations * fixed )
 *
 * The disk is taken as fast as it is with bytes that it read before, since each pass reads what the
 * last one did; loading is taken at the speed of a first reading.
 *
 * s(n), the seconds of a weight with n rows, lies on straight lines between the numbers of rows
 * that were measured. What limits is the disk, or of memory and arithmetic the one that would take
 * longer at its bare limit.
 */
#ifndef ENGINE_PLANNER_H
#define ENGINE_PLANNER_H

#include "program/program.h"

typedef struct planner_subject {
    const program *p;
    uint64_t budget;
    uint64_t base_bytes, tokenizer_bytes;
    uint64_t opening_bytes;    /* taken by tables while they are made; 0: not known */
    uint64_t file_table_bytes; /* of the file, what lies before the weights */
    uint64_t file_bytes;       /* mapped, where all fits */
    bool rearrange;            /* wanted; done where the processor prefers it and memory has room */
    bool must_stay; /* weights that are put into rows when they are loaded, and so cannot be read
                       from the file for each pass */
    const sl_session_options *session;
    size_t n_session;
} planner_subject;

/* The numbers of rows that sl_kernel_figure.rate is of. */
extern const size_t planner_rows[SL_FIGURE_ROWS];

/* Which figures hold for matrices of a type, and for such heads; NULL if none does. */
const sl_kernel_figure *planner_kernel(const sl_figures *figures, quant_type type, bool rearranged);
const sl_attention_figure *planner_attention(const sl_figures *figures, const op_attention *heads,
                                             sl_kv_type type_k, sl_kv_type type_v);

/* Whether matrices of the type would be rearranged where there is room. */
bool planner_rearranges(quant_type type);

/* Fills all of *plan but architecture, name, type, parameter_count, weight_bytes and whole_type.
 * SL_ERR_MEMORY, with what would work, where the budget cannot be kept. */
SL_CHECK sl_status planner_make(const planner_subject *subject, const sl_figures *figures,
                                sl_plan *plan, sl_error *error);

#endif
