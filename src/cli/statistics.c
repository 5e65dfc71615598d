/* statistics.c - statistics.h. */
#include "cli/statistics.h"

#include "cli/progress.h"
#include "cli/units.h"

#include <inttypes.h>
#include <stdio.h>

/* "prompt          12 tokens     0.03 s   352.9 tokens/s"; the rate is that of `counted` tokens in
 * that time, left out if there was none. */
static void print_rate(const char *name, size_t tokens, size_t counted, double seconds) {
    fprintf(stderr, "%-11s %8zu tokens %9.3f s", name, tokens, seconds);
    if (counted > 0 && seconds > 0) {
        const double rate = (double)counted / seconds;
        fprintf(stderr, " %10.*f tokens/s", rate < 10 ? 2 : 1, rate);
    }
    fputc('\n', stderr);
}

void statistics_print(const statistics *s) {
    char a[32], b[32];
    progress_clear();
    fprintf(stderr, "\n%-11s %25.3f s\n", "load", s->load_seconds);
    print_rate("prompt", s->prompt_tokens, s->prompt_tokens, s->prompt_seconds);
    print_rate("generation", s->generated, s->evaluated, s->eval_seconds);
    if (s->lookup) {
        fprintf(stderr, "%-11s %8zu tokens, %zu of them accepted, in %zu passes\n", "drafted",
                s->drafted, s->accepted, s->passes);
    }
    fprintf(stderr, "%-11s %8zu tokens %9.3f s", "sampling", s->sampled, s->sample_seconds);
    if (s->sampled > 0) {
        fprintf(stderr, " %10.3f ms/token", 1e3 * s->sample_seconds / (double)s->sampled);
    }
    fprintf(stderr, "\n%-11s %s read per %s", "weights", units_bytes(a, s->bytes_per_token),
            s->lookup ? "pass" : "token");
    if (s->streamed_bytes > 0) {
        fprintf(stderr, ", %s of them from the file", units_bytes(b, s->streamed_bytes));
    }
    if (s->passes > 0 && s->eval_seconds > 0) {
        const double rate = (double)s->bytes_per_token * (double)s->passes / s->eval_seconds;
        fprintf(stderr, ", %s/s in generation", units_bytes(b, (uint64_t)rate));
    }
    fprintf(stderr, "\n%-11s %s at its peak, of %s planned\n", "memory",
            units_bytes(a, s->peak_memory), units_bytes(b, s->planned_memory));
    fprintf(stderr, "%-11s %" PRIu64 "\n", "seed", s->seed);
    fprintf(stderr, "%-11s %s\n", "stopped", s->stop);
}
