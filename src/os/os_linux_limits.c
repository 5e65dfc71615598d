/* os_linux_limits.c - how much memory and how many cores this process may use: /proc, /sys and
 * cgroups of both versions. Nothing here allocates: files are read into a buffer on the stack. */
#include "base/size.h"
#include "base/str.h"
#include "os/os.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* Linux is built for at most 8192 processors; sched_getaffinity fails with a mask that lacks a bit
 * for one that there may be. */
enum { TEXT_BYTES = 8192, PATH_BYTES = 512, MOST_CORES = 8192 };

/* Returns the length read, 0 if the file is not to be had. */
static size_t read_text(const char *path, char text[TEXT_BYTES]) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    size_t length = 0;
    ssize_t n;
    while (length < TEXT_BYTES - 1 && (n = read(fd, text + length, TEXT_BYTES - 1 - length)) > 0) {
        length += (size_t)n;
    }
    close(fd);
    text[length] = 0;
    return length;
}

/* The number behind `key` at the beginning of a line, or `otherwise`. */
static uint64_t number_after(const char *text, const char *key, uint64_t otherwise) {
    const size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0) {
            return strtoull(line + length, NULL, 10);
        }
    }
    return otherwise;
}

static uint64_t kilobytes_of(const char *path, const char *key) {
    char text[TEXT_BYTES];
    return read_text(path, text) ? number_after(text, key, 0) * 1024 : 0;
}

uint64_t os_memory_peak(void) {
    const uint64_t peak = kilobytes_of("/proc/self/status", "VmHWM:");
    struct rusage usage;
    if (peak == 0 && getrusage(RUSAGE_SELF, &usage) == 0) {
        return (uint64_t)usage.ru_maxrss * 1024;
    }
    return peak;
}

uint64_t os_memory_resident(void) {
    return kilobytes_of("/proc/self/status", "VmRSS:");
}

/* ---- cgroups -------------------------------------------------------------------------------- */

/* Where a cgroup hierarchy is and what its files are called. */
typedef struct cgroup_version {
    const char *root;
    const char *controller;     /* as /proc/self/cgroup names it; "" in version 2 */
    const char *limit_files[2]; /* over the second one processes are slowed down, not ended */
    const char *usage_file, *cache_key, *shared_key;
} cgroup_version;

static const cgroup_version memory_v2 = {"/sys/fs/cgroup", "",      {"memory.max", "memory.high"},
                                         "memory.current", "file ", "shmem "};
static const cgroup_version memory_v1 = {
    "/sys/fs/cgroup/memory", "memory",       {"memory.limit_in_bytes", NULL},
    "memory.usage_in_bytes", "total_cache ", "total_shmem "};

/* Whether a list such as "cpu,cpuacct:" holds the controller. */
static bool lists_controller(const char *list, const char *controller) {
    const size_t wanted = strlen(controller);
    for (;; list++) {
        const size_t length = strcspn(list, ",:");
        if (length == wanted && memcmp(list, controller, wanted) == 0) {
            return true;
        }
        list += length;
        if (*list != ',') {
            return false;
        }
    }
}

/* Writes root + this process's path; false if /proc/self/cgroup has no line of the controller. A
 * line is "NUMBER:CONTROLLERS:PATH". */
static bool cgroup_path(const char *root, const char *controller, char path[PATH_BYTES]) {
    char text[TEXT_BYTES];
    if (!read_text("/proc/self/cgroup", text)) {
        return false;
    }
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *list = strchr(line, ':');
        const char *found = list ? strchr(list + 1, ':') : NULL;
        if (found && lists_controller(list + 1, controller)) {
            const int length = (int)strcspn(found + 1, "\n");
            const int written = snprintf(path, PATH_BYTES, "%s%.*s", root, length, found + 1);
            return written > 0 && written < PATH_BYTES;
        }
    }
    return false;
}

/* False if there is no such number: no file, "max", or -1, which means the same in version 1. */
static bool cgroup_number(const char *directory, const char *file, uint64_t *number) {
    char path[PATH_BYTES + 64], text[TEXT_BYTES];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    if (!read_text(path, text) || strncmp(text, "max", 3) == 0 || text[0] == '-') {
        return false;
    }
    *number = strtoull(text, NULL, 10);
    return true;
}

/* Cuts the last component off; false at the root. */
static bool cgroup_up(const char *root, char path[PATH_BYTES]) {
    char *slash = strrchr(path, '/');
    if (strlen(path) <= strlen(root) || !slash) {
        return false;
    }
    *slash = 0;
    return strlen(path) >= strlen(root);
}

/* The page cache of a cgroup that is given up when memory is short: without shared memory and files
 * in tmpfs, which count as cache but have no disk behind them. */
static uint64_t cgroup_cache(const cgroup_version *version, const char *directory) {
    char path[PATH_BYTES + 16], text[TEXT_BYTES];
    snprintf(path, sizeof path, "%s/memory.stat", directory);
    if (!read_text(path, text)) {
        return 0;
    }
    const uint64_t cache = number_after(text, version->cache_key, 0);
    const uint64_t shared = number_after(text, version->shared_key, 0);
    return cache > shared ? cache - shared : 0;
}

/* The smaller of a directory's limits, UINT64_MAX if it has none. */
static uint64_t cgroup_limit(const cgroup_version *version, const char *directory) {
    uint64_t least = UINT64_MAX, limit;
    for (size_t i = 0; i < COUNT_OF(version->limit_files); i++) {
        const char *file = version->limit_files[i];
        if (file && cgroup_number(directory, file, &limit) && limit < least) {
            least = limit;
        }
    }
    return least;
}

/* The tightest limit and the least room left, over all levels up to the root. Cache counts as
 * room, since it is given up first. */
static void cgroup_memory(const cgroup_version *version, uint64_t *limit, uint64_t *room) {
    char path[PATH_BYTES];
    if (!cgroup_path(version->root, version->controller, path)) {
        return;
    }
    do {
        const uint64_t most = cgroup_limit(version, path);
        uint64_t used;
        *limit = most < *limit ? most : *limit;
        if (most < UINT64_MAX && cgroup_number(path, version->usage_file, &used)) {
            const uint64_t cache = cgroup_cache(version, path);
            used -= cache < used ? cache : used;
            const uint64_t left = most > used ? most - used : 0;
            *room = left < *room ? left : *room;
        }
    } while (cgroup_up(version->root, path));
}

static void memory_limits(uint64_t *total, uint64_t *available) {
    *total = kilobytes_of("/proc/meminfo", "MemTotal:");
    *available = kilobytes_of("/proc/meminfo", "MemAvailable:");
    struct sysinfo info;
    if (*total == 0 && sysinfo(&info) == 0) {
        /* A bare chroot without /proc. What the page cache would give back is not known here. */
        *total = (uint64_t)info.totalram * info.mem_unit;
        *available = (uint64_t)(info.freeram + info.bufferram) * info.mem_unit;
    }
    cgroup_memory(&memory_v2, total, available);
    cgroup_memory(&memory_v1, total, available);
}

uint64_t os_swap_total(void) {
    return kilobytes_of("/proc/meminfo", "SwapTotal:");
}

uint64_t os_memory_total(void) {
    uint64_t total, available;
    memory_limits(&total, &available);
    return total;
}

uint64_t os_memory_available(void) {
    uint64_t total, available;
    memory_limits(&total, &available);
    return available;
}

/* ---- cores ---------------------------------------------------------------------------------- */

static size_t whole_cores(uint64_t quota, uint64_t period) {
    const uint64_t cores = quota / period + (quota % period != 0);
    return cores < MOST_CORES ? (size_t)cores : MOST_CORES;
}

/* CPU quota of cgroup v2 ("max 100000" or "150000 100000") in whole cores, rounded up. */
static size_t quota_cores_v2(void) {
    const char *root = "/sys/fs/cgroup";
    char path[PATH_BYTES], file[PATH_BYTES + 16], text[TEXT_BYTES];
    size_t cores = MOST_CORES;
    if (!cgroup_path(root, "", path)) {
        return cores;
    }
    do {
        snprintf(file, sizeof file, "%s/cpu.max", path);
        unsigned long long quota, period;
        if (read_text(file, text) && sscanf(text, "%llu %llu", &quota, &period) == 2 && period) {
            cores = size_min(cores, whole_cores(quota, period));
        }
    } while (cgroup_up(root, path));
    return cores;
}

/* The same of cgroup v1, whose root is one of two. */
static size_t quota_cores_v1(const char *root) {
    char path[PATH_BYTES];
    size_t cores = MOST_CORES;
    if (!cgroup_path(root, "cpu", path)) {
        return cores;
    }
    do {
        uint64_t quota, period;
        if (cgroup_number(path, "cpu.cfs_quota_us", &quota) &&
            cgroup_number(path, "cpu.cfs_period_us", &period) && period) {
            cores = size_min(cores, whole_cores(quota, period));
        }
    } while (cgroup_up(root, path));
    return cores;
}

static size_t quota_cores(void) {
    const size_t own = quota_cores_v1("/sys/fs/cgroup/cpu");
    const size_t shared = quota_cores_v1("/sys/fs/cgroup/cpu,cpuacct");
    return size_min(quota_cores_v2(), size_min(own, shared));
}

/* The lowest-numbered processor of the same physical core. */
static int first_sibling(int processor) {
    char path[PATH_BYTES], text[TEXT_BYTES];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             processor);
    return read_text(path, text) ? atoi(text) : processor;
}

size_t os_core_count(void) {
    cpu_set_t allowed[MOST_CORES / CPU_SETSIZE];
    size_t cores = 0;
    if (sched_getaffinity(0, sizeof allowed, allowed) == 0) {
        bool counted[MOST_CORES] = {false};
        for (int i = 0; i < MOST_CORES; i++) {
            if (!CPU_ISSET_S((size_t)i, sizeof allowed, allowed)) {
                continue;
            }
            const int core = first_sibling(i);
            if (core < 0 || core >= MOST_CORES || !counted[core]) {
                cores++;
            }
            if (core >= 0 && core < MOST_CORES) {
                counted[core] = true;
            }
        }
    }
    return size_max(1, size_min(cores, quota_cores()));
}
