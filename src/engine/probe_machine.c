/* probe_machine.c - sl_machine_measure: the probe loops on a team of threads. */
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "kernels/probe.h"
#include "ops/team.h"
#include "os/os.h"

#include <string.h>

enum {
    BUFFER_LEAST = 64 << 20,
    BUFFER_MOST = 512 << 20,
    CHUNK = 1 << 20,
};

/* Nanoseconds. Long enough for the clock frequency to settle and for one run in several to be
 * undisturbed; short enough that bench can do it between measurements. */
static const uint64_t read_time = 60 * 1000 * 1000; /* for each of the loops */
static const uint64_t run_time = 15 * 1000 * 1000;  /* of one run of arithmetic */

typedef struct probe_job {
    uint64_t (*read)(const uint8_t *bytes, size_t size);
    uint8_t *buffer;
    size_t size;
    _Atomic size_t next;
    uint64_t (*arithmetic)(size_t rounds);
    size_t rounds;
    _Atomic uint64_t sink; /* what the loops return, so that they must run */
} probe_job;

/* ---- reading -------------------------------------------------------------------------------- */

/* Pages that were never written are all one page of zeros. */
static void touch_member(void *context, size_t member) {
    probe_job *job = context;
    (void)member;
    size_t begin, end;
    while (team_take(&job->next, CHUNK, job->size, &begin, &end)) {
        memset(job->buffer + begin, 1 + (int)(begin / CHUNK % 200), end - begin);
    }
}

static void read_member(void *context, size_t member) {
    probe_job *job = context;
    (void)member;
    size_t begin, end;
    uint64_t sum = 0;
    while (team_take(&job->next, CHUNK, job->size, &begin, &end)) {
        sum ^= job->read(job->buffer + begin, end - begin);
    }
    atomic_fetch_xor(&job->sink, sum);
}

/* Nanoseconds of the fastest of several passes over the buffer. */
static uint64_t fastest_pass(team *threads, probe_job *job) {
    uint64_t best = UINT64_MAX;
    const uint64_t begin = os_now();
    for (int pass = 0; pass < 3 || os_now() - begin < read_time; pass++) {
        atomic_store(&job->next, 0);
        const uint64_t start = os_now();
        team_run(threads, read_member, job);
        const uint64_t time = os_now() - start;
        best = time < best ? time : best;
    }
    return best;
}

static sl_status measure_read(team *threads, const probe_table *table, uint64_t memory,
                              sl_machine_limits *limits, sl_error *error) {
    if (memory == 0) {
        memory = os_memory_available() / 4;
    }
    if (memory < BUFFER_LEAST) {
        return error_set(error, SL_ERR_MEMORY,
                         "measuring how fast memory is read takes %d MiB of it, but there are %llu "
                         "MiB for that",
                         BUFFER_LEAST >> 20, (unsigned long long)memory >> 20);
    }
    probe_job job = {.size = (memory < BUFFER_MOST ? (size_t)memory : BUFFER_MOST) / CHUNK * CHUNK};
    job.buffer = os_pages_allocate(job.size);
    if (!job.buffer) {
        return error_memory(error, "a buffer to read", job.size);
    }
    team_run(threads, touch_member, &job);
    for (size_t i = 0; i < PROBE_READS; i++) {
        job.read = table->read[i];
        const double rate = (double)job.size * 1e9 / (double)fastest_pass(threads, &job);
        if (rate > limits->read_bytes) {
            limits->read_bytes = rate;
            limits->read_loop = probe_read_name((probe_read)i);
        }
    }
    os_pages_free(job.buffer, job.size);
    return SL_OK;
}

/* ---- arithmetic ----------------------------------------------------------------------------- */

static void arithmetic_member(void *context, size_t member) {
    probe_job *job = context;
    (void)member;
    atomic_fetch_xor(&job->sink, job->arithmetic(job->rounds));
}

static uint64_t time_of(team *threads, probe_job *job) {
    const uint64_t start = os_now();
    team_run(threads, arithmetic_member, job);
    return os_now() - start;
}

/* Operations per second of all threads, the best of several runs. */
static double measure_arithmetic(team *threads, const probe_arithmetic *arithmetic) {
    probe_job job = {.arithmetic = arithmetic->run, .rounds = 1000};
    uint64_t time = time_of(threads, &job);
    while (time < run_time / 2 && job.rounds < SIZE_MAX / 4) {
        job.rounds *= 2;
        time = time_of(threads, &job);
    }
    uint64_t best = time;
    for (int run = 0; run < 6; run++) {
        time = time_of(threads, &job);
        best = time < best ? time : best;
    }
    return arithmetic->operations * (double)job.rounds * (double)team_size(threads) * 1e9 /
           (double)best;
}

/* ---- the public function -------------------------------------------------------------------- */

sl_status sl_machine_measure(unsigned what, size_t threads, uint64_t memory,
                             sl_machine_limits *limits, sl_error *error) {
    if (threads > LIMIT_THREADS) {
        return error_set(error, SL_ERR_ARGUMENT, "%zu threads, expected at most %u", threads,
                         LIMIT_THREADS);
    }
    probe_table table;
    probe_table_fill(&table, cpu_features());
    team *members = NULL;
    sl_status status = team_create(threads ? threads : os_core_count(), &members, error);
    if (status != SL_OK) {
        return status;
    }
    sl_machine_limits found = {0};
    if (what & SL_MEASURE_READ) {
        status = measure_read(members, &table, memory, &found, error);
    }
    const struct {
        unsigned bit;
        probe_format format;
        double *operations;
        const char **instructions;
    } formats[] = {
        {SL_MEASURE_INT8, PROBE_INT8, &found.int8_operations, &found.int8_instructions},
        {SL_MEASURE_BF16, PROBE_BF16, &found.bf16_operations, &found.bf16_instructions},
        {SL_MEASURE_F32, PROBE_F32, &found.f32_operations, &found.f32_instructions},
    };
    for (size_t i = 0; i < COUNT_OF(formats) && status == SL_OK; i++) {
        if (what & formats[i].bit) {
            const probe_arithmetic *arithmetic = &table.arithmetic[formats[i].format];
            *formats[i].operations = measure_arithmetic(members, arithmetic);
            *formats[i].instructions = arithmetic->instructions;
        }
    }
    team_free(members);
    if (status == SL_OK) {
        *limits = found;
    }
    return status;
}
