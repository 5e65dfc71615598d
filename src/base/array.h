/* array.h - an array that grows up to a ceiling it was born with. */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include "sluice.h"

/* items is one block from malloc; hand it on with free(). Elements are plain data. */
typedef struct array {
    void *items;
    size_t count;
    size_t capacity;
    size_t element_size;
    size_t ceiling; /* elements */
} array;

/* Allocates nothing yet. */
array array_new(size_t element_size, size_t ceiling);
void array_free(array *a);

/* Makes room for `more` further elements. SL_ERR_MEMORY, the array unchanged, if that is over the
 * ceiling or memory is out. */
SL_CHECK sl_status array_reserve(array *a, size_t more, sl_error *error);

/* Appends one element, copied from `item`. */
SL_CHECK sl_status array_push(array *a, const void *item, sl_error *error);

#endif
