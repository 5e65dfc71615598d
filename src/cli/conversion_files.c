/* conversion_files.c - conversion_files.h. */
#include "cli/conversion_files.h"

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/whole_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An sl_write_fn. */
static bool write_bytes(void *user, const void *bytes, size_t size) {
    return whole_file_write(user, bytes, size);
}

/* "DIR/NAME-00002-of-00007.gguf", from malloc; a single file keeps its name. */
static char *file_name(const char *path, size_t index, size_t count) {
    const size_t room = strlen(path) + sizeof "-00000-of-00000.gguf";
    char *const name = malloc(room);
    const char *const end = strrchr(path, '.');
    const bool has_end = end && strcmp(end, ".gguf") == 0;
    if (name && count == 1) {
        snprintf(name, room, "%s", path);
    } else if (name) {
        snprintf(name, room, "%.*s-%05zu-of-%05zu.gguf",
                 (int)(has_end ? (size_t)(end - path) : strlen(path)), path, index + 1, count);
    }
    return name;
}

/* Of file number `first` and those behind it. */
static uint64_t bytes_from(const sl_conversion *conversion, size_t first) {
    uint64_t bytes = 0;
    for (size_t i = first; i < sl_conversion_files(conversion); i++) {
        bytes += sl_conversion_bytes(conversion, i);
    }
    return bytes;
}

static int write_file(const char *name, sl_conversion *conversion, size_t index) {
    whole_file out;
    int status = whole_file_begin(name, &out);
    if (status != CLI_DONE) {
        return status;
    }
    out.need = bytes_from(conversion, index);
    sl_error error = {0};
    progress_begin(PROGRESS_BYTES);
    const sl_status result = sl_conversion_write(conversion, index, write_bytes, &out, &error);
    progress_end();
    /* A write that failed stops the conversion; whole_file_finish tells of it. */
    if (result != SL_OK && !out.failure) {
        status = library_error(&error);
    }
    return whole_file_finish(&out, status);
}

/* A set that is not complete is none: what is there of it goes away again. */
static int write_all(const cli_options *options, sl_conversion *conversion) {
    const size_t count = sl_conversion_files(conversion);
    int status = CLI_DONE;
    size_t written = 0;
    while (written < count && status == CLI_DONE) {
        char *const name = file_name(options->output, written, count);
        if (!name) {
            message("out of memory");
            return CLI_FAILED;
        }
        status = write_file(name, conversion, written);
        written += status == CLI_DONE;
        free(name);
    }
    for (size_t i = 0; status != CLI_DONE && i < written; i++) {
        char *const name = file_name(options->output, i, count);
        if (name) {
            remove(name);
        }
        free(name);
    }
    return status;
}

int conversion_files_write(const cli_options *options, sl_conversion *conversion) {
    const int status = whole_file_check_room(options->output, bytes_from(conversion, 0));
    return status == CLI_DONE ? write_all(options, conversion) : status;
}
