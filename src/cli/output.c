/* output.c - output.h. */
#include "cli/output.h"

#include "cli/cli.h"
#include "cli/text.h"
#include "os/console/console.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char buffer[1 << 16];
static size_t used;
static int failure;           /* errno of the first write that failed */
static char last_byte = '\n'; /* so that no output needs no end of line */

bool output_flush(void) {
    if (failure == 0 && used > 0) {
        failure = console_write(CONSOLE_OUT, buffer, used);
    }
    used = 0;
    return failure == 0;
}

void output_write(const void *bytes, size_t length) {
    const char *next = bytes;
    if (length > 0) {
        last_byte = next[length - 1];
    }
    while (length > 0) {
        const size_t room = sizeof buffer - used;
        const size_t size = length < room ? length : room;
        memcpy(buffer + used, next, size);
        used += size;
        next += size;
        length -= size;
        if (used == sizeof buffer) {
            output_flush();
        }
    }
}

void output_text(const char *string) {
    output_write(string, strlen(string));
}

void output_format(const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    assert(length >= 0 && (size_t)length < sizeof line);
    output_write(line, (size_t)length);
}

void output_escaped(const char *bytes, size_t length, char quote) {
    while (length > 0) {
        char shown[16];
        size_t shown_length = 0;
        const size_t taken = text_escape_next(bytes, length, quote, shown, &shown_length);
        output_write(shown, shown_length);
        bytes += taken;
        length -= taken;
    }
}

bool output_reader_gone(void) {
    return failure == EPIPE;
}

void output_end_line(void) {
    if (last_byte != '\n' && console_is_terminal(CONSOLE_OUT)) {
        output_write("\n", 1);
    }
}

int output_finish(int status) {
    if (output_flush()) {
        return status;
    }
    if (failure == EINTR) {
        return CLI_SIGNALLED + console_interrupted();
    }
    if (failure != EPIPE) {
        message("cannot write to standard output: %s", strerror(failure));
    }
    return CLI_FAILED;
}
