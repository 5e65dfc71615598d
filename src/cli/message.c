/* message.c - lines for a person, on standard error. */
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "os/console/console.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 2048 };

static void print_line(const char *format, va_list arguments) {
    char line[LINE_BYTES];
    char shown[LINE_BYTES + 16];
    vsnprintf(line, sizeof line, format, arguments);
    size_t length = (size_t)snprintf(shown, sizeof shown, "sluice: ");
    for (const char *next = line, *const end = line + strlen(line); next < end;) {
        const size_t size = text_printable(next, (size_t)(end - next));
        if (size > 0) {
            memcpy(shown + length, next, size);
            length += size;
            next += size;
        } else {
            shown[length++] = '?';
            next++;
        }
    }
    shown[length++] = '\n';
    progress_clear();
    console_write(CONSOLE_ERR, shown, length);
}

void message(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
}

int usage_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
    return CLI_USAGE;
}

int library_error(const sl_error *error) {
    if (error->status == SL_ERR_CANCELLED && console_interrupted()) {
        return interrupted();
    }
    message("%s", error->message);
    return error->status == SL_ERR_RUNTIME || error->status == SL_ERR_CANCELLED ? CLI_FAILED
                                                                                : CLI_USAGE;
}

int interrupted(void) {
    message("interrupted");
    return CLI_SIGNALLED + console_interrupted();
}

void print_notice(void *user, const char *line) {
    (void)user;
    message("%s", line);
}
