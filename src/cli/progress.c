/* progress.c - progress.h. */
#include "cli/progress.h"

#include "cli/units.h"
#include "os/console/console.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double first_after = 1.0; /* seconds without a word */
static const double terminal_every = 0.1;
static const double log_every = 5.0;

static struct {
    bool silent;
    bool running;
    progress_unit unit;
    double started;
    double next;         /* when to show it again */
    bool counted;        /* first_done is known */
    uint64_t first_done; /* where this piece of work began */
    size_t shown;        /* columns of the line on the terminal */
    char remark[64];
} now;

/* A terminal that can go back to the start of the line. */
static bool can_rewrite(void) {
    const char *const term = getenv("TERM");
    return console_is_terminal(CONSOLE_ERR) && term && strcmp(term, "dumb") != 0;
}

void progress_silence(void) {
    now.silent = true;
}

void progress_begin(progress_unit unit) {
    now.running = true;
    now.unit = unit;
    now.started = console_seconds();
    now.next = now.started + first_after;
    now.counted = false;
    now.remark[0] = '\0';
}

void progress_remark(const char *remark) {
    snprintf(now.remark, sizeof now.remark, "%s", remark);
}

void progress_clear(void) {
    if (now.shown > 0) {
        char blank[256];
        const int length =
            snprintf(blank, sizeof blank, "\r%*s\r", (int)(now.shown < 200 ? now.shown : 200), "");
        console_write(CONSOLE_ERR, blank, (size_t)length);
        now.shown = 0;
    }
}

void progress_end(void) {
    progress_clear();
    now.running = false;
}

/* "loading  43 %  1.2 GB of 2.8 GB  1.9 GB/s  1 s left" */
static size_t describe(char *line, size_t size, const char *what, uint64_t done, uint64_t total) {
    const double elapsed = console_seconds() - now.started;
    const double rate = (double)(done - now.first_done) / elapsed;
    char amount[96], speed[48], left[48] = "";
    if (now.unit == PROGRESS_BYTES) {
        char a[32], b[32], c[32];
        snprintf(amount, sizeof amount, "%s of %s", units_bytes(a, done), units_bytes(b, total));
        snprintf(speed, sizeof speed, "%s/s", units_bytes(c, (uint64_t)rate));
    } else {
        static const char *const units[] = {[PROGRESS_TOKENS] = "tokens",
                                            [PROGRESS_REQUESTS] = "requests",
                                            [PROGRESS_STEPS] = "steps"};
        const char *const unit = units[now.unit];
        snprintf(amount, sizeof amount, "%" PRIu64 " of %" PRIu64 " %s", done, total, unit);
        snprintf(speed, sizeof speed, "%.1f %s/s", rate, unit);
    }
    if (rate > 0) {
        char duration[32];
        snprintf(left, sizeof left, "  %s left",
                 units_duration(duration, (double)(total - done) / rate));
    }
    const int percent = total ? (int)(100.0 * (double)done / (double)total) : 100;
    const int length = snprintf(line, size, "%s  %d %%  %s  %s%s%s%s", what, percent, amount, speed,
                                left, now.remark[0] ? "  " : "", now.remark);
    return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

bool progress_update(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)user;
    const bool go_on = !console_interrupted();
    if (!now.running || now.silent) {
        return go_on;
    }
    if (done > total) {
        done = total;
    }
    if (!now.counted) {
        now.first_done = done;
        now.counted = true;
    }
    const double time = console_seconds();
    if (time < now.next || done < now.first_done) {
        return go_on;
    }
    char line[320];
    size_t length = describe(line + 1, sizeof line - 8, what, done, total);
    if (can_rewrite()) {
        /* The last column stays free: writing there may wrap. Spaces wipe a longer line. */
        const size_t width = console_width(CONSOLE_ERR);
        const size_t room = width > 1 && width - 1 < 200 ? width - 1 : 199;
        length = length < room ? length : room;
        const size_t before = now.shown;
        now.shown = length;
        while (length < before && length < room) {
            line[1 + length++] = ' ';
        }
        line[0] = '\r';
        console_write(CONSOLE_ERR, line, 1 + length);
        now.next = time + terminal_every;
    } else {
        line[1 + length] = '\n';
        console_write(CONSOLE_ERR, line + 1, length + 1);
        now.next = time + log_every;
    }
    return go_on;
}
