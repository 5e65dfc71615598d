/* hub_server.c - a hub for tests, with the layout of the Hugging Face one, that misbehaves as told.
 *
 *   hub_server ROOT
 *
 * Serves ROOT/repos/USER/REPO/... on two ports of 127.0.0.1, the second of which is where large
 * files are redirected to, and writes "PORT PORT" to ROOT/ports when it is ready. It ends when its
 * standard input does. ROOT/commit holds the commit's name. Each request is a line of ROOT/log, as
 * soon as its answer begins and again when it ends:
 *
 *   begin|end hub|store PATH range=FIRST-LAST auth=TOKEN status=N sent=N
 *
 * ROOT/rules is read for every request: lines of WHERE TIMES ACTION [ARGUMENT]. A rule applies if
 * WHERE is part of "hub PATH" or "store PATH" with the blank written as ':', for so many requests
 * (-1: always). All rules that apply do. What follows " #" is left out; it tells equal rules apart.
 *
 *   status N       answer with N; ARGUMENT may be N,SECONDS for Retry-After
 *   code TEXT      X-Error-Code of it
 *   reset N        break the connection off after N bytes of the body
 *   close N        end it after N bytes
 *   stall N        send nothing after N bytes
 *   length N       a Content-Length that is N too large
 *   more N         a Content-Length that is right for N bytes more, and these
 *   endless 0      a body without a length and without an end
 *   whole 0        ranges are not known: answer with all
 *   shift N        answer with a range that begins N bytes later
 *   flip N         byte N of the file is another
 *   slow N         N kB/s
 *   text TEXT      the body
 *   loop 0         redirect to itself
 *   to URL         redirect there
 *   blob URL       large files are redirected to URL/blob/..., not to the second port
 *   next URL       URL is in front of the next page of a list, not the first port
 *   gated TOKEN    401 without this token
 *   size N         the list says N bytes more
 *   sum 0          the list says another sha256
 *   entry PATH     the list has this path, too
 *   page N         the list has N files a page
 *   cut N          the list ends after N bytes
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_RULES = 64,
    MOST_FILES = 256,
    PATH_SIZE = 1024,
    LINE_SIZE = 8 * PATH_SIZE,
    CHUNK = 4096
};

static const char *root;
static int ports[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

typedef struct rule {
    char line[512];
    size_t used;
} rule;

static rule known[MOST_RULES];
static size_t n_known;

typedef struct request {
    int fd;
    bool store; /* came to the second port */
    char path[PATH_SIZE], query[PATH_SIZE], token[256], range[64], if_range[128];
    char actions[MOST_RULES][512]; /* that apply: "reset 100" */
    size_t n_action;
    int status;
    uint64_t sent;
} request;

/* ---- rules ---------------------------------------------------------------------------------- */

/* Counts a use of the rule; false if it has none left. */
static bool use_rule(const char *line, long times) {
    bool good = false;
    pthread_mutex_lock(&mutex);
    size_t i = 0;
    while (i < n_known && strcmp(known[i].line, line) != 0) {
        i++;
    }
    if (i < MOST_RULES) {
        if (i == n_known) {
            snprintf(known[n_known++].line, sizeof known[i].line, "%s", line);
            known[i].used = 0;
        }
        good = times < 0 || known[i].used < (size_t)times;
        known[i].used += good;
    }
    pthread_mutex_unlock(&mutex);
    return good;
}

static void read_rules(request *r) {
    char path[PATH_SIZE], line[512], whole[LINE_SIZE];
    snprintf(path, sizeof path, "%s/rules", root);
    snprintf(whole, sizeof whole, "%s:%s", r->store ? "store" : "hub", r->path);
    FILE *const file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        char where[256], action[64], argument[256] = "";
        long times;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%255s %ld %63s %255[^\n]", where, &times, action, argument) >= 3 &&
            strstr(whole, where) && r->n_action < MOST_RULES && use_rule(line, times)) {
            char *const remark = strstr(argument, " #");
            if (remark) {
                *remark = 0;
            }
            snprintf(r->actions[r->n_action++], sizeof r->actions[0], "%.63s %.255s", action,
                     argument);
        }
    }
    if (file) {
        fclose(file);
    }
}

/* The argument of an action, or NULL. */
static const char *action(const request *r, const char *name) {
    for (size_t i = 0; i < r->n_action; i++) {
        const size_t length = strlen(name);
        if (strncmp(r->actions[i], name, length) == 0 && r->actions[i][length] == ' ') {
            return r->actions[i] + length + 1;
        }
    }
    return NULL;
}

static uint64_t number(const request *r, const char *name, uint64_t otherwise) {
    const char *const text = action(r, name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* "http://127.0.0.1:PORT" of ours, or what the rules say in its place. */
static const char *address(const request *r, const char *name, size_t port, char room[64]) {
    const char *const told = action(r, name);
    snprintf(room, 64, "http://127.0.0.1:%d", ports[port]);
    return told ? told : room;
}

/* ---- answering ------------------------------------------------------------------------------ */

static void write_log(const request *r, const char *moment) {
    char path[PATH_SIZE], line[LINE_SIZE];
    snprintf(path, sizeof path, "%s/log", root);
    const int length =
        snprintf(line, sizeof line, "%s %s %s%s%s range=%s auth=%s status=%d sent=%llu\n", moment,
                 r->store ? "store" : "hub", r->path, r->query[0] ? "?" : "", r->query,
                 r->range[0] ? r->range : "-", r->token[0] ? r->token : "-", r->status,
                 (unsigned long long)r->sent);
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd >= 0) {
        if (write(fd, line, (size_t)length) < 0) {
            perror("log");
        }
        close(fd);
    }
}

static bool send_all(const request *r, const void *bytes, size_t size) {
    const char *next = bytes;
    while (size > 0) {
        const ssize_t n = send(r->fd, next, size, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        next += n;
        size -= (size_t)n;
    }
    return true;
}

static bool send_format(const request *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool send_format(const request *r, const char *format, ...) {
    char text[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return send_all(r, text, (size_t)length);
}

static void reset(const request *r) {
    const struct linger hard = {1, 0};
    setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

/* Until whoever asked has gone. */
static void stall(const request *r) {
    char byte;
    while (recv(r->fd, &byte, 1, 0) > 0) {
    }
}

/* The body, as far as the rules let it; the sizes are of what the header promised. */
static void send_body(request *r, const uint8_t *bytes, uint64_t size) {
    const uint64_t at_reset = number(r, "reset", UINT64_MAX);
    const uint64_t at_close = number(r, "close", UINT64_MAX);
    const uint64_t at_stall = number(r, "stall", UINT64_MAX);
    const uint64_t speed = number(r, "slow", 0);
    while (r->sent < size) {
        const uint64_t stop = at_reset < at_close ? (at_reset < at_stall ? at_reset : at_stall)
                                                  : (at_close < at_stall ? at_close : at_stall);
        uint64_t n = size - r->sent < CHUNK ? size - r->sent : CHUNK;
        n = r->sent + n > stop ? (stop > r->sent ? stop - r->sent : 0) : n;
        if (n == 0) {
            if (stop == at_reset) {
                usleep(20000); /* what was sent arrives before the connection breaks */
                reset(r);
            } else if (stop == at_stall) {
                stall(r);
            }
            return;
        }
        if (!send_all(r, bytes + r->sent, n)) {
            return;
        }
        r->sent += n;
        if (speed) {
            usleep((useconds_t)(1000 * n / speed));
        }
    }
}

static void answer_status(request *r, int status, const char *more, const char *body) {
    const char *const code = action(r, "code");
    r->status = status;
    write_log(r, "begin");
    send_format(r, "HTTP/1.1 %d Test\r\nContent-Length: %zu\r\n%s%s%s%sConnection: close\r\n\r\n%s",
                status, strlen(body), code ? "X-Error-Code: " : "", code ? code : "",
                code ? "\r\n" : "", more, body);
}

/* Bytes of a file or a text, by range if there is one. */
static void answer_bytes(request *r, const uint8_t *bytes, uint64_t size, const char *etag,
                         const char *more) {
    uint64_t first = 0, last = size ? size - 1 : 0;
    unsigned long long a, b;
    char quoted[160];
    snprintf(quoted, sizeof quoted, "\"%s\"", etag);
    const bool same = !r->if_range[0] || strcmp(r->if_range, quoted) == 0;
    const int found = sscanf(r->range, "%llu-%llu", &a, &b);
    const bool part = found >= 1 && same && !action(r, "whole");
    if (part) {
        first = a;
        last = found == 2 && b < last ? b : last;
        if (first > last || first >= size) {
            answer_status(r, 416, "", "");
            return;
        }
    }
    const uint64_t count = size ? last - first + 1 : 0;
    const uint64_t shift = number(r, "shift", 0);
    r->status = part ? 206 : 200;
    write_log(r, "begin");
    send_format(r, "HTTP/1.1 %d Test\r\nETag: %s\r\n%s", r->status, quoted, more);
    if (part) {
        send_format(r, "Content-Range: bytes %llu-%llu/%llu\r\n",
                    (unsigned long long)(first + shift), (unsigned long long)(last + shift),
                    (unsigned long long)size);
    }
    if (action(r, "endless")) {
        send_format(r, "Connection: close\r\n\r\n");
        while (send_all(r, bytes, size < CHUNK ? size : CHUNK)) {
            r->sent += size < CHUNK ? size : CHUNK;
        }
        return;
    }
    const uint64_t excess = number(r, "more", 0);
    send_format(r, "Content-Length: %llu\r\nConnection: close\r\n\r\n",
                (unsigned long long)(count + number(r, "length", 0) + excess));
    send_body(r, bytes + first, count);
    for (uint64_t i = 0; i < excess && send_all(r, "x", 1); i++) {
        r->sent++;
    }
}

/* ---- files ---------------------------------------------------------------------------------- */

static uint8_t *read_file(const char *path, uint64_t *size) {
    struct stat found;
    FILE *const file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &found) != 0 || !S_ISREG(found.st_mode)) {
        if (file) {
            fclose(file);
        }
        return NULL;
    }
    uint8_t *const bytes = malloc((size_t)found.st_size + 1);
    *size = bytes ? fread(bytes, 1, (size_t)found.st_size, file) : 0;
    fclose(file);
    return bytes;
}

static void sum_of(const uint8_t *bytes, uint64_t size, char out[65]) {
    struct sha256_ctx sum;
    uint8_t digest[32];
    sha256_init(&sum);
    sha256_update(&sum, (size_t)size, bytes);
    sha256_digest(&sum, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        sprintf(out + 2 * i, "%02x", digest[i]);
    }
}

/* Those that the hub keeps elsewhere. */
static bool is_large(const char *path) {
    static const char *const ends[] = {".gguf", ".safetensors", ".bin", "tokenizer.json"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const size_t length = strlen(path), end = strlen(ends[i]);
        if (length >= end && strcmp(path + length - end, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

static size_t find_files(const char *folder, const char *inside, char (*paths)[PATH_SIZE],
                         size_t count) {
    char path[LINE_SIZE];
    struct dirent **names;
    snprintf(path, sizeof path, "%s/%s", folder, inside);
    const int n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        struct stat found;
        char below[PATH_SIZE];
        snprintf(below, sizeof below, "%s%s%s", inside, inside[0] ? "/" : "", names[i]->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, below);
        if (names[i]->d_name[0] != '.' && stat(path, &found) == 0 && count < MOST_FILES) {
            if (S_ISDIR(found.st_mode)) {
                count = find_files(folder, below, paths, count);
            } else {
                snprintf(paths[count++], PATH_SIZE, "%s", below);
            }
        }
        free(names[i]);
    }
    if (n >= 0) {
        free(names);
    }
    return count;
}

static size_t list_entry(const request *r, const char *folder, const char *path, char *out,
                         size_t room) {
    char whole[2 * LINE_SIZE], sum[65];
    uint64_t size = 0;
    snprintf(whole, sizeof whole, "%s/%s", folder, path);
    uint8_t *const bytes = read_file(whole, &size);
    sum_of(bytes, bytes ? size : 0, sum);
    free(bytes);
    if (action(r, "sum")) {
        sum[0] = sum[0] == '0' ? '1' : '0';
    }
    const unsigned long long shown = size + number(r, "size", 0);
    char lfs[256] = "";
    if (is_large(path)) {
        snprintf(lfs, sizeof lfs, ",\"lfs\":{\"oid\":\"%s\",\"size\":%llu,\"pointerSize\":134}",
                 sum, shown);
    }
    return (size_t)snprintf(out, room,
                            "{\"type\":\"file\",\"oid\":\"%.40s\",\"size\":%llu%s,\"path\":\"%s\"}",
                            sum, shown, lfs, path);
}

static void answer_list(request *r, const char *repo) {
    static const size_t room = 1 << 20;
    char folder[LINE_SIZE], more[LINE_SIZE] = "", here[64];
    char(*const paths)[PATH_SIZE] = malloc(MOST_FILES * sizeof *paths);
    char *const text = malloc(room);
    snprintf(folder, sizeof folder, "%s/repos/%s", root, repo);
    size_t count = find_files(folder, "", paths, 0);
    const char *const at = strstr(r->query, "page=");
    const size_t page = at ? strtoul(at + 5, NULL, 10) : 0;
    const size_t of_page = (size_t)number(r, "page", MOST_FILES);
    size_t length =
        (size_t)snprintf(text, room, "[{\"type\":\"directory\",\"path\":\"d%zu\"}", page);
    for (size_t i = page * of_page; i < count && i < (page + 1) * of_page; i++) {
        text[length++] = ',';
        length += list_entry(r, folder, paths[i], text + length, room - length);
    }
    if (action(r, "entry")) {
        length +=
            (size_t)snprintf(text + length, room - length,
                             ",{\"type\":\"file\",\"path\":\"%s\",\"size\":5}", action(r, "entry"));
    }
    length += (size_t)snprintf(text + length, room - length, "]");
    if ((page + 1) * of_page < count) {
        snprintf(more, sizeof more, "Link: <%s%s?recursive=true&page=%zu>; rel=\"next\"\r\n",
                 address(r, "next", 0, here), r->path, page + 1);
    }
    const size_t cut = (size_t)number(r, "cut", length);
    answer_bytes(r, (const uint8_t *)text, cut < length ? cut : length, "list", more);
    free(text);
    free(paths);
}

static void answer_file(request *r, const char *path, const char *etag) {
    char whole[LINE_SIZE];
    uint64_t size;
    snprintf(whole, sizeof whole, "%s/repos/%s", root, path);
    uint8_t *const bytes = strstr(path, "..") ? NULL : read_file(whole, &size);
    if (!bytes) {
        answer_status(r, 404, "X-Error-Code: EntryNotFound\r\n", "not found");
        return;
    }
    const uint64_t flip = number(r, "flip", UINT64_MAX);
    if (flip < size) {
        bytes[flip] ^= 1;
    }
    answer_bytes(r, bytes, size, etag, "");
    free(bytes);
}

/* ---- routes --------------------------------------------------------------------------------- */

static void read_commit(char commit[128]) {
    char path[PATH_SIZE];
    uint64_t size = 0;
    snprintf(path, sizeof path, "%s/commit", root);
    uint8_t *const bytes = read_file(path, &size);
    snprintf(commit, 128, "%.*s", bytes ? (int)size : 0, bytes ? (char *)bytes : "");
    commit[strcspn(commit, "\n")] = 0;
    free(bytes);
}

static void answer_api(request *r, const char *rest, const char *commit) {
    char user[128], repo[128], what[128] = "", revision[128] = "", both[300], folder[LINE_SIZE];
    char body[512];
    struct stat found;
    const int n = sscanf(rest, "%127[^/]/%127[^/]/%127[^/]/%127s", user, repo, what, revision);
    snprintf(both, sizeof both, "%s/%s", user, repo);
    snprintf(folder, sizeof folder, "%s/repos/%s", root, both);
    if (n < 2 || stat(folder, &found) != 0) {
        answer_status(r, 404, "X-Error-Code: RepoNotFound\r\n", "{\"error\":\"no repository\"}");
    } else if (n == 2) {
        answer_status(r, 200, "", "{\"id\":\"it is there\"}");
    } else if (strcmp(revision, "main") != 0 && strcmp(revision, commit) != 0) {
        answer_status(r, 404, "X-Error-Code: RevisionNotFound\r\n", "{\"error\":\"no revision\"}");
    } else if (strcmp(what, "revision") == 0) {
        snprintf(body, sizeof body, "{\"id\":\"%s\",\"sha\":\"%s\",\"siblings\":[]}", both, commit);
        answer_bytes(r, (const uint8_t *)body, strlen(body), "api", "");
    } else {
        answer_list(r, both);
    }
}

static void answer_resolve(request *r, const char *commit) {
    char user[128], repo[128], revision[128], path[PATH_SIZE], more[LINE_SIZE];
    char file[2 * PATH_SIZE], here[64];
    if (sscanf(r->path, "/%127[^/]/%127[^/]/resolve/%127[^/]/%1023s", user, repo, revision, path) !=
            4 ||
        (strcmp(revision, commit) != 0 && strcmp(revision, "main") != 0)) {
        answer_status(r, 404, "", "not found");
        return;
    }
    snprintf(file, sizeof file, "%s/%s/%.1000s", user, repo, path);
    if (is_large(path)) {
        snprintf(more, sizeof more, "Location: %s/blob/%s\r\nX-Repo-Commit: %s\r\n",
                 address(r, "blob", 1, here), file, commit);
        answer_status(r, 302, more, "");
    } else {
        answer_file(r, file, "small");
    }
}

static void answer(request *r) {
    char commit[128], more[LINE_SIZE];
    read_commit(commit);
    const char *const status = action(r, "status");
    const char *const gated = action(r, "gated");
    if (action(r, "stall") && number(r, "stall", 0) == 0) {
        write_log(r, "begin");
        stall(r);
    } else if (status) {
        const char *const comma = strchr(status, ',');
        snprintf(more, sizeof more, comma ? "Retry-After: %s\r\n" : "%s", comma ? comma + 1 : "");
        answer_status(r, atoi(status), more, "{\"error\":\"as told\"}");
    } else if (gated && strcmp(gated, r->token) != 0) {
        answer_status(r, 401, "X-Error-Code: GatedRepo\r\n", "{\"error\":\"gated\"}");
    } else if (action(r, "loop")) {
        snprintf(more, sizeof more, "Location: %s\r\n", r->path);
        answer_status(r, 302, more, "");
    } else if (action(r, "to")) {
        snprintf(more, sizeof more, "Location: %s\r\n", action(r, "to"));
        answer_status(r, 302, more, "");
    } else if (action(r, "text")) {
        answer_bytes(r, (const uint8_t *)action(r, "text"), strlen(action(r, "text")), "text", "");
    } else if (r->store) {
        answer_file(r, strncmp(r->path, "/blob/", 6) == 0 ? r->path + 6 : "..", "large");
    } else if (strncmp(r->path, "/api/models/", 12) == 0) {
        answer_api(r, r->path + 12, commit);
    } else {
        answer_resolve(r, commit);
    }
    write_log(r, "end");
}

/* ---- connections ---------------------------------------------------------------------------- */

static void copy_header(const char *line, const char *name, char *out, size_t size) {
    const size_t length = strlen(name);
    if (strncasecmp(line, name, length) == 0) {
        const size_t found = strcspn(line + length, "\r\n");
        const size_t kept = found < size ? found : size - 1;
        memcpy(out, line + length, kept);
        out[kept] = 0;
    }
}

/* %41 becomes A. */
static void decode(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        unsigned byte;
        if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

static void serve(int fd, bool store) {
    char line[LINE_SIZE], target[PATH_SIZE] = "";
    request *const r = calloc(1, sizeof *r);
    FILE *const in = fdopen(dup(fd), "r");
    r->fd = fd;
    r->store = store;
    if (in && fgets(line, sizeof line, in) && sscanf(line, "GET %1023s", target) == 1) {
        char *const query = strchr(target, '?');
        if (query) {
            *query = 0;
            snprintf(r->query, sizeof r->query, "%s", query + 1);
        }
        decode(target);
        snprintf(r->path, sizeof r->path, "%s", target);
        while (fgets(line, sizeof line, in) && line[0] != '\r' && line[0] != '\n') {
            copy_header(line, "Authorization: Bearer ", r->token, sizeof r->token);
            copy_header(line, "Range: bytes=", r->range, sizeof r->range);
            copy_header(line, "If-Range: ", r->if_range, sizeof r->if_range);
        }
        read_rules(r);
        answer(r);
    }
    if (in) {
        fclose(in);
    }
    free(r);
    close(fd);
}

typedef struct connection {
    int fd;
    bool store;
} connection;

static void *run_connection(void *argument) {
    connection *const c = argument;
    serve(c->fd, c->store);
    free(c);
    return NULL;
}

static void *run_listener(void *argument) {
    const connection *const listener = argument;
    for (;;) {
        connection *const c = malloc(sizeof *c);
        pthread_t thread;
        *c = (connection){accept(listener->fd, NULL, NULL), listener->store};
        if (c->fd < 0 || pthread_create(&thread, NULL, run_connection, c) != 0) {
            free(c);
            continue;
        }
        pthread_detach(thread);
    }
    return NULL;
}

static int listen_on(int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 64) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        perror("hub_server");
        exit(1);
    }
    *port = ntohs(address.sin_port);
    return fd;
}

int main(int argc, char **argv) {
    static connection listeners[2];
    char path[PATH_SIZE], ready[PATH_SIZE], byte;
    if (argc != 2) {
        fprintf(stderr, "usage: hub_server ROOT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    root = argv[1];
    for (size_t i = 0; i < 2; i++) {
        pthread_t thread;
        listeners[i] = (connection){listen_on(&ports[i]), i == 1};
        if (pthread_create(&thread, NULL, run_listener, &listeners[i]) != 0) {
            return 1;
        }
    }
    snprintf(path, sizeof path, "%s/ports.tmp", root);
    snprintf(ready, sizeof ready, "%s/ports", root);
    FILE *const file = fopen(path, "w");
    if (!file || fprintf(file, "%d %d\n", ports[0], ports[1]) < 0 || fclose(file) != 0 ||
        rename(path, ready) != 0) {
        perror(path);
        return 1;
    }
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
}
