/* batch_results.c - batch_results.h. */
#include "cli/batch_results.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/whole_file.h"
#include "os/console/console.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const double sync_every = 1.0; /* seconds */

static const char id_form[] = "batch_req_%016" PRIx64 "_%zu";

/* ---- reading what is there ------------------------------------------------------------------ */

/* Whether a line begins as ours do. */
static bool parse_line(const char *line, uint64_t *job, size_t *number) {
    int end = 0;
    return sscanf(line, "{\"id\":\"batch_req_%16" SCNx64 "_%20zu\",%n", job, number, &end) == 2 &&
           end > 0;
}

/* The request whose line has that number; SIZE_MAX: none has. */
static size_t find_request(const batch_input *input, size_t number) {
    size_t low = 0, high = input->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (input->lines[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < input->count && input->lines[low].number == number ? low : SIZE_MAX;
}

static int refuse(const batch_results *r, size_t number, const char *what) {
    return usage_error("%s: line %zu %s; remove the file or choose another, or give --restart to "
                       "begin anew",
                       r->path, number, what);
}

/* Notes what a whole line says to be done. */
static int take_line(batch_results *r, const char *line, size_t length, size_t number) {
    uint64_t job;
    size_t request;
    if (memchr(line, '\0', length) || !parse_line(line, &job, &request) || length < 2 ||
        line[length - 2] != '}') {
        return refuse(r, number, "is not a result of a batch");
    }
    const size_t index = find_request(r->input, request);
    if (job != r->job || index == SIZE_MAX) {
        return refuse(r, number, "is of other requests, another model or other options");
    }
    if (r->done[index]) {
        return refuse(r, number, "answers a request that a line before answers");
    }
    r->done[index] = true;
    r->n_done++;
    r->size += length;
    return CLI_DONE;
}

/* Reads whole lines, and cuts off what is behind them. */
static int read_lines(batch_results *r) {
    char *line = NULL;
    size_t room = 0;
    int status = CLI_DONE;
    bool torn = false;
    errno = 0;
    for (size_t number = 1; status == CLI_DONE && !torn; number++) {
        const ssize_t length = getline(&line, &room, r->file);
        if (length < 0) {
            break;
        }
        torn = line[length - 1] != '\n';
        status = torn ? CLI_DONE : take_line(r, line, (size_t)length, number);
    }
    free(line);
    if (status == CLI_DONE && !feof(r->file) && !torn) {
        return usage_error("cannot read %s: %s", r->path, strerror(errno ? errno : EIO));
    }
    if (status == CLI_DONE && torn) {
        const int failure = console_cut(r->file, r->size);
        if (failure) {
            return usage_error("cannot write %s: %s", r->path, strerror(failure));
        }
        message("%s: took away a line at its end that was cut short", r->path);
    }
    return status;
}

static int open_file(batch_results *r, bool restart) {
    const console_file_kind kind = console_file_at(r->path);
    if (kind == CONSOLE_FILE_OTHER) {
        return usage_error("%s: expected the name of a plain file, for a job is taken up again by "
                           "what its results hold",
                           r->path);
    }
    /* Writing always goes to the end. */
    r->file = fopen(r->path, "a+b");
    if (!r->file) {
        return usage_error("cannot write %s: %s", r->path, strerror(errno));
    }
    int failure = console_lock(r->file);
    if (failure == EWOULDBLOCK) {
        return usage_error("%s is being written by another process", r->path);
    }
    /* Not if another process has made it, or filled it, in the meantime. */
    r->created = kind == CONSOLE_FILE_NONE && console_file_bytes(r->file) == 0;
    failure = failure || !restart ? failure : console_cut(r->file, 0);
    if (failure) {
        return usage_error("cannot write %s: %s", r->path, strerror(failure));
    }
    rewind(r->file);
    return CLI_DONE;
}

int batch_results_open(const char *path, const batch_input *input, uint64_t job, bool restart,
                       batch_results *r) {
    *r = (batch_results){.input = input, .path = path, .job = job};
    r->done = calloc(input->count, sizeof *r->done);
    if (!r->done) {
        return usage_error("out of memory: %zu requests", input->count);
    }
    int status = open_file(r, restart);
    if (status == CLI_DONE) {
        status = read_lines(r);
    }
    if (status == CLI_DONE) {
        /* What is written is gathered here: each write of ours is one of the system's. */
        setvbuf(r->file, NULL, _IONBF, 0);
        fseeko(r->file, 0, SEEK_END);
        r->synced = console_seconds();
    }
    return status;
}

void batch_results_close(batch_results *r) {
    if (r->file) {
        if (r->created && r->size == 0) {
            remove(r->path);
        }
        fclose(r->file); /* all was written, or its failure told */
    }
    free(r->done);
    free(r->held);
    *r = (batch_results){0};
}

/* ---- adding lines --------------------------------------------------------------------------- */

static json_t *id_of(const batch_request *request) {
    return request->custom_id ? json_bytes(request->custom_id, request->custom_id_length)
                              : json_null();
}

static json_t *answer_body(const batch_results *r, const batch_outcome *how, size_t number) {
    if (how->problem) {
        json_t *const param = how->param[0] ? json_bytes(how->param, strlen(how->param)) : NULL;
        return json_pack("{s:{s:o,s:s,s:o,s:n}}", "error", "message",
                         json_bytes(how->problem, strlen(how->problem)), "type",
                         "invalid_request_error", "param", param ? param : json_null(), "code");
    }
    char id[64];
    snprintf(id, sizeof id, "cmpl-%016" PRIx64 "_%zu", r->job, number);
    return json_pack("{s:s,s:s,s:I,s:o,s:[{s:o,s:i,s:n,s:s}],s:{s:I,s:I,s:I}}", "id", id, "object",
                     "text_completion", "created", (json_int_t)console_date(), "model",
                     json_bytes(how->model, strlen(how->model)), "choices", "text",
                     json_bytes(how->text, how->text_length), "index", 0, "logprobs",
                     "finish_reason", how->stopped ? "stop" : "length", "usage", "prompt_tokens",
                     (json_int_t)how->prompt_tokens, "completion_tokens",
                     (json_int_t)how->completion_tokens, "total_tokens",
                     (json_int_t)(how->prompt_tokens + how->completion_tokens));
}

/* Holds `length` bytes to be written. */
static bool hold(batch_results *r, const char *bytes, size_t length) {
    if (length > r->held_room - r->held_length) {
        const size_t room = 2 * (r->held_length + length);
        char *const grown = realloc(r->held, room);
        if (!grown) {
            return false;
        }
        r->held = grown;
        r->held_room = room;
    }
    memcpy(r->held + r->held_length, bytes, length);
    r->held_length += length;
    return true;
}

bool batch_results_add(batch_results *r, const batch_request *request, const batch_outcome *how) {
    const size_t number = r->input->lines[how->index].number;
    char id[64], request_id[64];
    snprintf(id, sizeof id, id_form, r->job, number);
    snprintf(request_id, sizeof request_id, "%016" PRIx64 "_%zu", r->job, number);
    json_t *const line =
        json_pack("{s:s,s:o,s:{s:i,s:s,s:o},s:n}", "id", id, "custom_id", id_of(request),
                  "response", "status_code", how->problem ? 400 : 200, "request_id", request_id,
                  "body", answer_body(r, how, number), "error");
    char *const dumped = line ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(line);
    const bool held = dumped && hold(r, dumped, strlen(dumped)) && hold(r, "\n", 1);
    free(dumped);
    if (!held) {
        message("out of memory: the result of line %zu", number);
        return false;
    }
    r->done[how->index] = true;
    r->n_done++;
    return true;
}

int batch_results_write(batch_results *r, bool sync) {
    int failure = 0;
    if (r->held_length > 0) {
        errno = 0;
        if (fwrite(r->held, 1, r->held_length, r->file) != r->held_length) {
            failure = errno ? errno : EIO;
            /* No half a line is to stay; if it does, the next start takes it away. */
            (void)console_cut(r->file, r->size);
        } else {
            r->size += r->held_length;
        }
        r->held_length = 0;
    }
    const double now = console_seconds();
    if (!failure && (sync || now - r->synced >= sync_every)) {
        failure = console_sync(r->file);
        r->synced = now;
    }
    if (failure) {
        message("cannot write %s: %s; the same command goes on from what it holds", r->path,
                strerror(failure));
        return CLI_FAILED;
    }
    return CLI_DONE;
}

/* ---- once all is done ----------------------------------------------------------------------- */

/* Where the line of a request is in the file. */
typedef struct place {
    uint64_t at;
    size_t length;
} place;

/* Places by request, from malloc; NULL, after a message, if something fails. *sorted: whether they
 * are in order. */
static place *find_places(batch_results *r, bool *sorted) {
    place *const places = calloc(r->input->count, sizeof *places);
    char *line = NULL;
    size_t room = 0, found = 0, last = 0;
    uint64_t at = 0;
    *sorted = true;
    rewind(r->file);
    for (ssize_t length; places && (length = getline(&line, &room, r->file)) > 0;) {
        uint64_t job;
        size_t number;
        const size_t index =
            parse_line(line, &job, &number) ? find_request(r->input, number) : SIZE_MAX;
        if (index == SIZE_MAX) {
            break;
        }
        places[index] = (place){at, (size_t)length};
        at += (uint64_t)length;
        *sorted &= found == 0 || index > last;
        last = index;
        found++;
    }
    free(line);
    if (!places || found != r->input->count) {
        message("%s %s", r->path, places ? "was changed by somebody else" : ": out of memory");
        free(places);
        return NULL;
    }
    return places;
}

/* Reads one line into *line, from malloc, with a NUL behind it. */
static bool read_place(const batch_results *r, const place *p, char **line) {
    char *const grown = realloc(*line, p->length + 1);
    if (!grown) {
        return false;
    }
    *line = grown;
    grown[p->length] = '\0';
    return fseeko(r->file, (off_t)p->at, SEEK_SET) == 0 &&
           fread(grown, 1, p->length, r->file) == p->length;
}

/* The text of a result, escaped, as a line. Returns false if memory is out. */
static bool write_plain(whole_file *out, const char *line, size_t length) {
    json_t *const root = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
    const json_t *const body = json_object_get(json_object_get(root, "response"), "body");
    const json_t *const choice = json_array_get(json_object_get(body, "choices"), 0);
    const json_t *const value = json_object_get(choice, "text");
    const char *const bytes = json_string_value(value);
    for (size_t i = 0; i < json_string_length(value); i++) {
        const char *const escaped = bytes[i] == '\n'   ? "\\n"
                                    : bytes[i] == '\r' ? "\\r"
                                    : bytes[i] == '\\' ? "\\\\"
                                                       : NULL;
        whole_file_write(out, escaped ? escaped : &bytes[i], escaped ? 2 : 1);
    }
    whole_file_write(out, "\n", 1);
    const bool good = root;
    json_decref(root);
    return good;
}

static int rewrite(batch_results *r, const place *places, const char *path, bool plain) {
    whole_file out;
    int status = whole_file_begin(path, &out);
    if (status != CLI_DONE) {
        return status;
    }
    char *line = NULL;
    for (size_t i = 0; i < r->input->count && status == CLI_DONE; i++) {
        const bool read = read_place(r, &places[i], &line);
        if (!read || (plain && !write_plain(&out, line, places[i].length))) {
            message("cannot read %s again", r->path);
            status = CLI_FAILED;
        } else if (!plain) {
            whole_file_write(&out, line, places[i].length);
        }
        if (console_interrupted() && status == CLI_DONE) {
            status = interrupted();
        }
    }
    free(line);
    return whole_file_finish(&out, status);
}

int batch_results_order(batch_results *r) {
    bool sorted;
    place *const places = find_places(r, &sorted);
    const int status = !places  ? CLI_FAILED
                       : sorted ? CLI_DONE
                                : rewrite(r, places, r->path, false);
    free(places);
    return status;
}

int batch_results_plain(batch_results *r, const char *path) {
    bool sorted;
    place *const places = find_places(r, &sorted);
    const int status = places ? rewrite(r, places, path, true) : CLI_FAILED;
    free(places);
    return status;
}
