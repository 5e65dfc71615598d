#ifdef SLUICE_CURL

#include "hub/fetch.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/str.h"
#include "hub/curl_calls.h"
#include "os/console/console.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    MOST_HOPS = 10,           /* redirects of one request */
    MOST_TRIES = 8,           /* that bring next to nothing, in a row */
    MOST_KNOCKS = 4,          /* the same where nobody answers at all */
    ENOUGH_BYTES = 1 << 20,   /* a try that brought so many was none in vain */
    MOST_WAIT = 60,           /* seconds before another try, unless the server asks for more */
    BUFFER_BYTES = 256 << 10, /* of libcurl, for each connection */
    IGNORED_BYTES = 64 << 10, /* of an answer that is an error */
    POLL_MILLISECONDS = 100,  /* how soon a person's wish to stop is seen */
    ORIGIN_BYTES = 320,
};

struct fetcher {
    fetch_options options;
    const curl_calls *curl;
    CURLM *multi;
    char origin[ORIGIN_BYTES]; /* "https://huggingface.co:443" */
};

typedef enum task_state { TASK_IDLE, TASK_PREPARING, TASK_RUNNING, TASK_DONE } task_state;

/* A job that is run. */
typedef struct task {
    fetcher *f;
    fetch_job *job;
    task_state state;
    double not_before; /* TASK_IDLE: when to begin */
    bool prepared;
    size_t tries; /* that failed, in a row */
    uint64_t had; /* when the try began */
    char *url;    /* where a redirect led; NULL: the job's own */
    size_t hops;
    char etag[256]; /* of the bytes that are there; "" if not known */

    CURL *easy;
    struct curl_slist *headers;
    bool asked_range, began, enough;
    bool has_range;
    uint64_t range_first, range_last, range_total; /* Content-Range */
    char new_etag[256];
    size_t ignored;
    char said[CURL_ERROR_SIZE]; /* why libcurl gave up, in its words; "" if it did not say */
    sl_status failed;           /* for good: `error` says why */
    sl_error error;
} task;

/* ---- origins -------------------------------------------------------------------------------- */

/* "scheme://host:port" of a URL of http or https; false for any other. */
static bool origin_of(const curl_calls *curl, const char *url, char out[ORIGIN_BYTES]) {
    CURLU *const parsed = curl->url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    bool good = parsed && curl->url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl->url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl->url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl->url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    const int length =
        good ? snprintf(out, ORIGIN_BYTES, "%s://%s:%s", scheme, host, port) : ORIGIN_BYTES;
    for (char *c = out; good && *c; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    }
    curl->free(scheme);
    curl->free(host);
    curl->free(port);
    curl->url_cleanup(parsed);
    return length < ORIGIN_BYTES;
}

static const char *task_url(const task *t) {
    return t->url ? t->url : t->job->url;
}

/* ---- what a server answers ------------------------------------------------------------------ */

/* Ends the task for good. */
static void fail(task *t, sl_status status, const char *format, ...) SL_PRINTF(3, 4);
static void fail(task *t, sl_status status, const char *format, ...) {
    char line[sizeof t->error.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    t->failed = error_set(&t->error, status, "%s: %s", t->job->label, line);
}

/* "bytes 100-199/5000", the total may be '*'. */
static void read_range(task *t, str value) {
    char text[96], total[32] = "";
    int used = 0;
    snprintf(text, sizeof text, "%.*s", STR_ARG(value));
    t->range_total = FETCH_ANY;
    t->has_range = sscanf(text, "bytes %20" SCNu64 "-%20" SCNu64 "/%30s%n", &t->range_first,
                          &t->range_last, total, &used) == 3 &&
                   text[used] == 0;
    if (t->has_range && strcmp(total, "*") != 0) {
        char *end;
        t->range_total = strtoull(total, &end, 10);
        t->has_range = *end == 0;
    }
}

/* Link: <URL>; rel="next" */
static void read_link(task *t, str value) {
    const char *const begin = memchr(value.ptr, '<', value.len);
    const char *const end = begin ? memchr(begin, '>', (size_t)(value.ptr + value.len - begin)) : 0;
    static const char mark[] = "rel=\"next\"";
    for (const char *at = end; at && at + sizeof mark - 1 <= value.ptr + value.len; at++) {
        if (memcmp(at, mark, sizeof mark - 1) == 0) {
            free(t->job->next);
            t->job->next = strndup(begin + 1, (size_t)(end - begin - 1));
            return;
        }
    }
}

static void copy_value(char *out, size_t size, str value) {
    snprintf(out, size, "%.*s", (int)(value.len < size ? value.len : size), value.ptr);
}

/* Where requests may go: to http and https alone, whatever else libcurl knows, and from a hub that
 * is reached by https not to http, which would give away what is asked for and let anybody answer.
 * Ends the task otherwise; `origin` is filled in. `who` begins the message. */
static bool may_go(task *t, const char *url, const char *who, char origin[ORIGIN_BYTES]) {
    if (!url || !origin_of(t->f->curl, url, origin)) {
        fail(t, SL_ERR_FORMAT, "%s to no http(s) address", who);
    } else if (strncmp(t->f->origin, "https:", 6) == 0 && strncmp(origin, "https:", 6) != 0) {
        fail(t, SL_ERR_FORMAT, "%s to %s, which is not encrypted", who, origin);
    }
    return t->failed == SL_OK;
}

/* A line of the header; each answer begins with "HTTP/". */
static size_t on_header(char *bytes, size_t one, size_t count, void *user) {
    task *const t = user;
    str line = {bytes, one * count};
    const char *const colon = memchr(line.ptr, ':', line.len);
    while (line.len > 0 && (unsigned char)line.ptr[line.len - 1] <= ' ') {
        line.len--;
    }
    if (str_begins_with(line, "HTTP/")) {
        t->has_range = false;
        t->new_etag[0] = 0;
        t->job->code[0] = 0;
        free(t->job->next);
        t->job->next = NULL;
    } else if (colon && colon < line.ptr + line.len) {
        const size_t length = (size_t)(colon - line.ptr);
        str value = {colon + 1, line.len - length - 1};
        while (value.len > 0 && (*value.ptr == ' ' || *value.ptr == '\t')) {
            value = (str){value.ptr + 1, value.len - 1};
        }
        if (length == 13 && strncasecmp(line.ptr, "Content-Range", length) == 0) {
            read_range(t, value);
        } else if (length == 4 && strncasecmp(line.ptr, "ETag", length) == 0) {
            copy_value(t->new_etag, sizeof t->new_etag, value);
        } else if (length == 4 && strncasecmp(line.ptr, "Link", length) == 0) {
            read_link(t, value);
        } else if (length == 12 && strncasecmp(line.ptr, "X-Error-Code", length) == 0) {
            copy_value(t->job->code, sizeof t->job->code, value);
        }
    }
    return one * count;
}

/* Whether a whole file's answer is of the right size; what is there already goes away. */
static void begin_whole(task *t, curl_off_t length) {
    fetch_job *const job = t->job;
    if (job->size != FETCH_ANY && length >= 0 && (uint64_t)length != job->size) {
        fail(t, SL_ERR_FORMAT, "the server has %" PRId64 " bytes, but the hub's list says %" PRIu64,
             (int64_t)length, job->size);
    } else if (job->have > 0) {
        const sl_status status = job->sink->restart(job, &t->error);
        t->failed = status;
        t->had = 0;
    }
}

/* Whether a part is the one that was asked for. */
static void begin_part(task *t) {
    const fetch_job *const job = t->job;
    if (!t->asked_range || !t->has_range) {
        fail(t, SL_ERR_FORMAT, "the server answers with a part of the file (206)%s",
             t->asked_range ? ", but does not say which" : ", although all was asked for");
    } else if (t->range_first != job->have || t->range_last != job->end - 1 ||
               (t->range_total != FETCH_ANY && t->range_total != job->size)) {
        fail(t, SL_ERR_FORMAT,
             "asked for bytes %" PRIu64 " to %" PRIu64 " of %" PRIu64
             ", the server answers with %" PRIu64 " to %" PRIu64 " of %" PRIu64,
             job->have, job->end - 1, job->size, t->range_first, t->range_last,
             t->range_total == FETCH_ANY ? job->size : t->range_total);
    }
}

/* Once for each answer, before its first byte or at its end. */
static void begin_answer(task *t) {
    curl_off_t length = -1;
    t->began = true;
    t->f->curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->job->status);
    t->f->curl->easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (t->job->status == 200) {
        begin_whole(t, length);
    } else if (t->job->status == 206) {
        begin_part(t);
    }
    if (t->job->status == 200 || t->job->status == 206) {
        /* A weak one promises no equal bytes. */
        snprintf(t->etag, sizeof t->etag, "%s",
                 t->new_etag[0] == '"' && strlen(t->new_etag) + 1 < sizeof t->etag ? t->new_etag
                                                                                   : "");
    }
}

/* Bytes of the answer; returning another number ends it. */
static size_t on_body(char *bytes, size_t one, size_t count, void *user) {
    task *const t = user;
    fetch_job *const job = t->job;
    size_t size = one * count;
    if (!t->began) {
        begin_answer(t);
    }
    if (t->failed != SL_OK) {
        return 0;
    }
    if (job->status != 200 && job->status != 206) {
        t->ignored += size;
        return t->ignored > IGNORED_BYTES ? 0 : size;
    }
    if (job->end != FETCH_ANY && size > job->end - job->have) {
        if (job->end == job->size) {
            fail(t, SL_ERR_FORMAT,
                 "the server sends more than the %" PRIu64 " bytes that the hub's list says",
                 job->size);
            return 0;
        }
        size = (size_t)(job->end - job->have); /* it ignores ranges, and this is enough */
        t->enough = true;
    }
    if (size > 0) {
        t->failed = job->sink->write(job, bytes, size, &t->error);
        job->have += t->failed == SL_OK ? size : 0;
    }
    return t->failed != SL_OK || t->enough ? 0 : one * count;
}

/* ---- requests ------------------------------------------------------------------------------- */

static void add_header(task *t, const char *line, bool *good) {
    struct curl_slist *const more = t->f->curl->slist_append(t->headers, line);
    t->headers = more ? more : t->headers;
    *good = *good && more;
}

/* The token, where it may go, and the range. */
static bool set_headers(task *t, const char *origin) {
    const fetch_options *const o = &t->f->options;
    char line[1024];
    bool good = true;
    add_header(t, "Accept-Encoding: identity", &good);
    if (o->token && strcmp(origin, t->f->origin) == 0) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", o->token);
        add_header(t, line, &good);
    }
    t->asked_range = t->job->size != FETCH_ANY && (t->job->have > 0 || t->job->end < t->job->size);
    if (t->asked_range) {
        snprintf(line, sizeof line, "Range: bytes=%" PRIu64 "-%" PRIu64, t->job->have,
                 t->job->end - 1);
        add_header(t, line, &good);
        if (t->etag[0] && t->job->have > 0) {
            snprintf(line, sizeof line, "If-Range: %s", t->etag);
            add_header(t, line, &good);
        }
    }
    return good;
}

static sl_status begin_request(task *t, sl_error *error) {
    const curl_calls *const curl = t->f->curl;
    const fetch_options *const o = &t->f->options;
    const long timeout = (long)(o->timeout * 1000);
    const long seconds = o->timeout < 1 ? 1 : (long)o->timeout;
    char origin[ORIGIN_BYTES];
    if (!may_go(t, task_url(t), "the server's list goes on", origin)) {
        return error_set(error, t->failed, "%s", t->error.message);
    }
    t->began = t->enough = t->has_range = false;
    t->ignored = 0;
    t->said[0] = 0;
    t->had = t->job->have;
    t->job->status = 0;
    t->easy = curl->easy_init();
    if (!t->easy || !set_headers(t, origin)) {
        return error_memory(error, "a request", 0);
    }
    CURL *const e = t->easy;
    const bool good = curl->easy_setopt(e, CURLOPT_URL, task_url(t)) == CURLE_OK;
    curl->easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
    curl->easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl->easy_setopt(e, CURLOPT_USERAGENT, "sluice");
    curl->easy_setopt(e, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl->easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, timeout);
    curl->easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl->easy_setopt(e, CURLOPT_LOW_SPEED_TIME, seconds);
    curl->easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl->easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl->easy_setopt(e, CURLOPT_PRIVATE, t);
    curl->easy_setopt(e, CURLOPT_ERRORBUFFER, t->said);
    if (o->authorities) {
        /* These alone: libcurl would look into the system's folder, too. */
        curl->easy_setopt(e, CURLOPT_CAINFO, o->authorities);
        curl->easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    if (!good || curl->multi_add_handle(t->f->multi, e) != CURLM_OK) {
        return error_memory(error, "a request", 0);
    }
    t->state = TASK_RUNNING;
    return SL_OK;
}

static void end_request(task *t) {
    if (t->easy) {
        t->f->curl->multi_remove_handle(t->f->multi, t->easy);
        t->f->curl->easy_cleanup(t->easy);
        t->easy = NULL;
    }
    t->f->curl->slist_free_all(t->headers);
    t->headers = NULL;
}

/* ---- what becomes of a try ------------------------------------------------------------------- */

/* Another try from the job's own URL, after a while. `asked`: seconds that the server wants. */
static void try_again(task *t, const char *reason, double asked) {
    const fetch_options *const o = &t->f->options;
    char line[512];
    free(t->url);
    t->url = NULL;
    t->hops = 0;
    t->tries = t->job->have >= t->had + ENOUGH_BYTES ? 1 : t->tries + 1;
    if (t->tries >= MOST_TRIES) {
        fail(t, SL_ERR_RUNTIME, "given up after %d tries: %s", MOST_TRIES, reason);
        return;
    }
    if (asked > LIMIT_HUB_RETRY_SECONDS) {
        fail(t, SL_ERR_RUNTIME, "%s, and wants us to wait for %.0f s", reason, asked);
        return;
    }
    double wait = o->timeout / 30;
    for (size_t i = 1; i < t->tries; i++) {
        wait *= 2;
    }
    wait = wait > MOST_WAIT ? MOST_WAIT : wait;
    wait = wait < asked ? asked : wait;
    t->not_before = console_seconds() + wait;
    t->state = TASK_IDLE;
    snprintf(line, sizeof line, "%s: %s; trying again in %.*f s", t->job->label, reason,
             wait < 3 ? 1 : 0, wait);
    if (o->notice) {
        o->notice(o->user, line);
    }
}

/* All bytes are there. */
static void finish_job(task *t) {
    bool again = false;
    t->failed = t->job->sink->finish(t->job, &again, &t->error);
    t->state = TASK_DONE;
    if (t->failed == SL_OK && again) {
        t->failed = t->job->sink->restart(t->job, &t->error);
        t->had = 0;
        t->etag[0] = 0;
        if (t->failed == SL_OK) {
            try_again(t, "what was there from before is damaged", 0);
        }
    }
}

static void follow_redirect(task *t) {
    char *url = NULL, origin[ORIGIN_BYTES];
    t->f->curl->easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &url);
    if (!may_go(t, url, "the server redirects", origin)) {
        return;
    }
    if (++t->hops > MOST_HOPS) {
        fail(t, SL_ERR_FORMAT, "more than %d redirects", MOST_HOPS);
    } else {
        char *const copy = strdup(url);
        free(t->url);
        t->url = copy;
        t->state = TASK_IDLE;
        t->not_before = 0;
        if (!copy) {
            fail(t, SL_ERR_MEMORY, "out of memory");
        }
    }
}

static void refuse_status(task *t) {
    const bool token = t->f->options.token != NULL;
    const long status = t->job->status;
    if (status == 401 || status == 403) {
        fail(t, SL_ERR_FILE,
             "the hub refuses this (%ld): the repository may be gated, private or not there; %s",
             status,
             token ? "the token of HF_TOKEN or of its file is wrong, or has no access to it"
                   : "HF_TOKEN with a token that has access is needed");
    } else if (status == 404) {
        fail(t, SL_ERR_FILE, "is not there (404)");
    } else {
        fail(t, SL_ERR_FILE, "the server answers %ld%s", status,
             status == 416 ? ", there are no such bytes" : "");
    }
}

/* What another try would not change ends the task; otherwise false. */
static bool fails_for_good(task *t, CURLcode result) {
    const char *const said = t->said[0] ? t->said : t->f->curl->easy_strerror(result);
    char origin[ORIGIN_BYTES];
    if (!origin_of(t->f->curl, task_url(t), origin)) {
        snprintf(origin, sizeof origin, "%s", t->f->origin);
    }
    if (result == CURLE_PEER_FAILED_VERIFICATION) {
        fail(t, SL_ERR_RUNTIME, "the certificate of %s is not accepted: %s", origin, said);
    } else if (result == CURLE_URL_MALFORMAT || result == CURLE_SSL_CACERT_BADFILE ||
               result == CURLE_OUT_OF_MEMORY || result == CURLE_UNSUPPORTED_PROTOCOL) {
        fail(t, SL_ERR_RUNTIME, "%s", said);
    } else if ((result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_CONNECT ||
                result == CURLE_SSL_CONNECT_ERROR) &&
               t->job->have == 0 && t->tries + 1 >= MOST_KNOCKS) {
        fail(t, SL_ERR_RUNTIME, "%s cannot be reached: %s", origin, said);
    }
    return t->failed != SL_OK;
}

/* The answer is complete, or will not become so. */
static void end_answer(task *t, CURLcode result) {
    fetch_job *const job = t->job;
    char reason[128];
    if (!t->began && result == CURLE_OK) {
        begin_answer(t);
    }
    curl_off_t asked = 0;
    t->f->curl->easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &asked);
    const long status = job->status;
    const bool good = status == 200 || status == 206;
    if (t->failed != SL_OK) {
        return;
    }
    if (good && (t->enough || (job->end != FETCH_ANY && job->have == job->end) ||
                 (job->end == FETCH_ANY && result == CURLE_OK))) {
        finish_job(t);
    } else if (good && result == CURLE_OK) {
        try_again(t, "the server sent fewer bytes than it has", 0);
    } else if (status >= 300 && status < 400 && status != 304) {
        follow_redirect(t);
    } else if (status == 416 && job->have > 0) {
        t->failed = job->sink->restart(job, &t->error);
        t->etag[0] = 0;
        if (t->failed == SL_OK) {
            try_again(t, "the server does not have the rest (416)", 0);
        }
    } else if (status == 429 || status == 408 || status == 500 || status == 502 || status == 503 ||
               status == 504 || (status == 403 && t->url)) {
        /* 403 from where a redirect led: such addresses hold for a while only. */
        snprintf(reason, sizeof reason, "the server answers %ld%s", status,
                 status == 429   ? ", too many requests"
                 : status == 503 ? ", not available"
                                 : "");
        try_again(t, reason, (double)asked);
    } else if (status >= 400) {
        refuse_status(t);
    } else if (fails_for_good(t, result)) {
        return;
    } else if (result == CURLE_OPERATION_TIMEDOUT && status != 0) {
        snprintf(reason, sizeof reason, "nothing came for %.0f s", t->f->options.timeout);
        try_again(t, reason, 0);
    } else if (result == CURLE_PARTIAL_FILE || result == CURLE_RECV_ERROR) {
        try_again(t, "the connection broke off", 0);
    } else {
        try_again(t,
                  result == CURLE_OK ? "an answer that is none" : t->f->curl->easy_strerror(result),
                  0);
    }
}

/* ---- the loop ------------------------------------------------------------------------------- */

/* Moves a task that waits for no bytes; *busy: there is more to do at once. */
static sl_status step_task(task *t, double now, bool *busy, sl_error *error) {
    fetch_job *const job = t->job;
    if (t->state == TASK_IDLE && now >= t->not_before) {
        t->state = TASK_PREPARING;
    }
    if (t->state != TASK_PREPARING) {
        return SL_OK;
    }
    if (!t->prepared && job->sink->prepare) {
        *busy = true;
        return job->sink->prepare(job, &t->prepared, error);
    }
    t->prepared = true;
    if (job->end != FETCH_ANY && job->have >= job->end) {
        finish_job(t);
        *busy = true;
        return t->failed == SL_OK ? SL_OK : error_set(error, t->failed, "%s", t->error.message);
    }
    return begin_request(t, error);
}

static bool tell_progress(fetcher *f, const task *tasks, size_t count) {
    uint64_t done = 0, total = 0;
    bool known = true;
    for (size_t i = 0; i < count; i++) {
        known = known && tasks[i].job->end != FETCH_ANY;
        done += tasks[i].job->have;
        total += known ? tasks[i].job->end : 0;
    }
    return !f->options.progress ||
           (known ? f->options.progress(f->options.user, "fetching", done, total)
                  : f->options.progress(f->options.user, "asking", 0, 0));
}

/* Handles answers that have ended; *busy: there was one. */
static sl_status end_answers(fetcher *f, bool *busy, sl_error *error) {
    int left;
    for (const CURLMsg *m; (m = f->curl->multi_info_read(f->multi, &left)) != NULL;) {
        task *t = NULL;
        if (m->msg != CURLMSG_DONE ||
            f->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) != CURLE_OK || !t) {
            continue;
        }
        *busy = true;
        end_answer(t, m->data.result);
        end_request(t);
        if (t->failed != SL_OK) {
            return error_set(error, t->failed, "%s", t->error.message);
        }
    }
    return SL_OK;
}

static sl_status run_tasks(fetcher *f, task *tasks, size_t count, sl_error *error) {
    for (;;) {
        size_t active = 0, done = 0;
        bool busy = false;
        const double now = console_seconds();
        for (size_t i = 0; i < count && active < f->options.parallel; i++) {
            if (tasks[i].state != TASK_DONE) {
                const sl_status status = step_task(&tasks[i], now, &busy, error);
                if (status != SL_OK) {
                    return status;
                }
                active++;
            }
        }
        for (size_t i = 0; i < count; i++) {
            done += tasks[i].state == TASK_DONE;
        }
        int running;
        if (!tell_progress(f, tasks, count)) {
            return error_set(error, SL_ERR_CANCELLED, "interrupted");
        }
        if (done == count) {
            return SL_OK;
        }
        if (f->curl->multi_perform(f->multi, &running) != CURLM_OK) {
            return error_set(error, SL_ERR_RUNTIME, "libcurl fails");
        }
        const sl_status status = end_answers(f, &busy, error);
        if (status != SL_OK) {
            return status;
        }
        if (!busy) {
            (void)f->curl->multi_poll(f->multi, NULL, 0, POLL_MILLISECONDS, NULL);
        }
    }
}

sl_status fetch_run(fetcher *f, fetch_job *const *jobs, size_t count, sl_error *error) {
    task *const tasks = calloc(count ? count : 1, sizeof *tasks);
    if (!tasks) {
        return error_memory(error, "requests", count * sizeof *tasks);
    }
    for (size_t i = 0; i < count; i++) {
        tasks[i].f = f;
        tasks[i].job = jobs[i];
    }
    const sl_status status = run_tasks(f, tasks, count, error);
    for (size_t i = 0; i < count; i++) {
        end_request(&tasks[i]);
        free(tasks[i].url);
    }
    free(tasks);
    return status;
}

/* ---- the fetcher ---------------------------------------------------------------------------- */

sl_status fetcher_open(const fetch_options *options, fetcher **out, sl_error *error) {
    const curl_calls *curl;
    sl_status status = curl_calls_load(&curl, error);
    if (status != SL_OK) {
        return status;
    }
    fetcher *const f = calloc(1, sizeof *f);
    if (!f) {
        return error_memory(error, "requests", sizeof *f);
    }
    f->options = *options;
    f->curl = curl;
    f->multi = curl->multi_init();
    if (!f->multi) {
        status = error_memory(error, "requests", 0);
    } else if (!origin_of(curl, options->endpoint, f->origin)) {
        status = error_set(error, SL_ERR_ARGUMENT,
                           "%s: expected the hub's address, such as https://huggingface.co",
                           options->endpoint);
    }
    for (const char *c = options->token; status == SL_OK && c && *c; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strlen(options->token) > 512) {
            status = error_set(error, SL_ERR_ARGUMENT,
                               "the token for the hub has a character that no token has, or is too "
                               "long");
        }
    }
    if (status != SL_OK) {
        fetcher_close(f);
        return status;
    }
    *out = f;
    return SL_OK;
}

void fetcher_close(fetcher *f) {
    if (f) {
        if (f->multi) {
            f->curl->multi_cleanup(f->multi);
        }
        free(f);
    }
}

void fetch_job_clear(fetch_job *job) {
    free(job->next);
    job->next = NULL;
}

char *fetch_url(const fetcher *f, const char *const *parts, size_t count, size_t strict) {
    size_t size = strlen(f->options.endpoint) + 1, length;
    for (size_t i = 0; i < count; i++) {
        size += 1 + 3 * strlen(parts[i]);
    }
    char *const url = malloc(size);
    if (!url) {
        return NULL;
    }
    length = (size_t)snprintf(url, size, "%s", f->options.endpoint);
    while (length > 0 && url[length - 1] == '/') {
        url[--length] = 0;
    }
    static const char hex[] = "0123456789ABCDEF";
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    for (size_t i = 0; i < count; i++) {
        url[length++] = '/';
        for (const char *c = parts[i]; *c; c++) {
            if (strchr(plain, *c) && (*c != '/' || i != strict)) {
                url[length++] = *c;
            } else {
                url[length++] = '%';
                url[length++] = hex[(unsigned char)*c >> 4];
                url[length++] = hex[(unsigned char)*c & 15];
            }
        }
    }
    url[length] = 0;
    return url;
}

#endif
