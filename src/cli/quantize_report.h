/* quantize_report.h - what `sluice quantize` tells: a line for each tensor as it is done and one of
 * totals, on standard error; or everything as one JSON object on standard output, at the end.
 *
 *   token_embd.weight     256 x 32000    F16 -> Q4_K    16.4 MB -> 4.6 MB   error 0.0713
 */
#ifndef CLI_QUANTIZE_REPORT_H
#define CLI_QUANTIZE_REPORT_H

#include "cli/options.h"

#include <jansson.h>

typedef struct quantize_report {
    const cli_options *options;
    size_t name_width, shape_width; /* columns */
    json_t *tensors;                /* NULL without --json */
    double started;
    uint64_t before, after, values;
} quantize_report;

/* The conversion need not be open yet for this; `r` becomes its user pointer. */
void quantize_report_begin(quantize_report *r, const cli_options *options);

/* Learns how wide names are. */
void quantize_report_measure(quantize_report *r, const sl_conversion *conversion);

/* An sl_converted_fn. */
void quantize_report_tensor(void *user, size_t index, const sl_converted_tensor *tensor);

/* Tells the totals. Returns CLI_DONE, or the exit status after a message. */
int quantize_report_end(quantize_report *r, const sl_conversion *conversion);

/* Instead of quantize_report_end, where there is nothing to tell any more. */
void quantize_report_drop(quantize_report *r);

#endif
