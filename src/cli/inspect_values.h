/* inspect_values.h - metadata as people and JSON see it. */
#ifndef CLI_INSPECT_VALUES_H
#define CLI_INSPECT_VALUES_H

#include "cli/json.h"
#include "sluice.h"

/* Prints the value of metadata entry `index`: long strings and arrays by their beginnings. */
void print_metadata_value(sl_file *file, size_t index);

/* null for an array, which metadata_value_as_json has whole. */
json_t *value_as_json(const sl_value *value);
json_t *metadata_value_as_json(sl_file *file, size_t index);

#endif
