#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

static void clean(char *text) {
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
}

sl_status error_set(sl_error *error, sl_status status, const char *format, ...) {
    if (error) {
        error->status = status;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        clean(error->message);
    }
    return status;
}

sl_status error_memory(sl_error *error, const char *what, size_t bytes) {
    return error_set(error, SL_ERR_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}
