/* What os/ finds out of the page cache, for those whom the kernel does not tell, and of the limits
 * that cgroups set. */
#include "os/os.h"

#include "support/temp_file.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static size_t cold_bytes(const char *path) {
    os_mapping mapping;
    sl_error error;
    if (os_map(path, &mapping, &error) != SL_OK) {
        return SIZE_MAX;
    }
    const size_t cold = os_mapping_cold_bytes(&mapping);
    os_unmap(&mapping);
    return cold;
}

/* To a user who neither owns a file nor may write it, mincore calls every page of it present. A
 * large file would load without a word. */
static void strangers_files_count_as_cold(void **state) {
    (void)state;
    static const char bytes[3 * 4096 + 5];
    const temp_file file = temp_file_write(bytes, sizeof bytes);
    assert_int_equal(cold_bytes(file.path), 0); /* just written */
    if (geteuid() != 0) {
        temp_file_remove(&file);
        print_message("needs root, to become somebody else: not tested\n");
        skip();
    }
    assert_int_equal(chmod(file.path, 0444), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(setuid(65534) != 0 ? 2 : cold_bytes(file.path) != sizeof bytes);
    }
    int status;
    assert_true(waitpid(child, &status, 0) == child);
    temp_file_remove(&file);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- cgroups that are made up --------------------------------------------------------------- */

enum { MIB = 1 << 20 };

typedef struct made_up {
    const char *path; /* below /sys/fs/cgroup; one that ends in '/' is a folder */
    const char *text;
} made_up;

typedef struct cgroup_case {
    const char *self; /* /proc/self/cgroup */
    made_up files[10];
    uint64_t total, available; /* at most; 0: not looked at */
    size_t cores;              /* likewise */
} cgroup_case;

static const cgroup_case cases[] = {
    {.self = "0::/a/b\n",
     .files = {{"a/", ""},
               {"a/b/", ""},
               {"a/memory.max", "104857600\n"},
               {"a/memory.high", "max\n"},
               {"a/memory.current", "52428800\n"},
               {"a/cpu.max", "max 100000\n"},
               {"a/b/cpu.max", "50000 100000\n"}},
     .total = 100 * MIB,
     .available = 50 * MIB,
     .cores = 1},
    /* memory.high, below memory.max and where there is no other. */
    {.self = "0::/a\n",
     .files = {{"a/", ""},
               {"a/memory.max", "104857600\n"},
               {"a/memory.high", "62914560\n"},
               {"a/memory.current", "52428800\n"}},
     .total = 60 * MIB,
     .available = 10 * MIB},
    {.self = "0::/a\n",
     .files = {{"a/", ""}, {"a/memory.max", "max\n"}, {"a/memory.high", "62914560\n"}},
     .total = 60 * MIB},
    /* Version 1, where a group in a container is the root of what it sees. */
    {.self = "10:cpuset:/a\n4:cpu,cpuacct:/a\n3:memory:/a\n",
     .files = {{"cpu/", ""},
               {"memory/", ""},
               {"memory/memory.limit_in_bytes", "104857600\n"},
               {"memory/memory.usage_in_bytes", "52428800\n"},
               {"cpu/cpu.cfs_quota_us", "100000\n"},
               {"cpu/cpu.cfs_period_us", "100000\n"}},
     .total = 100 * MIB,
     .available = 50 * MIB,
     .cores = 1},
    {.self = "4:cpuacct,cpu:/a\n",
     .files = {{"cpu,cpuacct/", ""},
               {"cpu,cpuacct/a/", ""},
               {"cpu,cpuacct/cpu.cfs_quota_us", "-1\n"},
               {"cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
               {"cpu,cpuacct/a/cpu.cfs_quota_us", "30000\n"},
               {"cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}},
     .cores = 1},
};

static bool put_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    const bool written = file && fputs(text, file) >= 0;
    return file && fclose(file) == 0 && written;
}

/* In a child's own view of the files. */
static bool make_up(const cgroup_case *c, const char *self) {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) != 0 || !put_text(self, c->self) ||
        mount(self, "/proc/self/cgroup", NULL, MS_BIND, NULL) != 0) {
        return false;
    }
    for (const made_up *m = c->files; m->path; m++) {
        char path[200];
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s", m->path);
        if (path[strlen(path) - 1] == '/' ? mkdir(path, 0755) != 0 : !put_text(path, m->text)) {
            return false;
        }
    }
    return true;
}

/* 0: as expected; 1 to 3: which number is not; 77: could not be tried. */
static int look(const cgroup_case *c, const char *self, uint64_t total, size_t cores) {
    if (!make_up(c, self)) {
        return 77;
    }
    if (c->total ? os_memory_total() != c->total : os_memory_total() != total) {
        return 1;
    }
    if (c->available && os_memory_available() != c->available) {
        return 2;
    }
    return os_core_count() == (c->cores ? c->cores : cores) ? 0 : 3;
}

static void cgroups_set_limits(void **state) {
    (void)state;
    /* What holds where no cgroup sets a limit. */
    static const cgroup_case none = {.self = "0::/\n"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const temp_file self = temp_file_write("", 1);
        int ends[2], status;
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            uint64_t free_of_limits[2] = {0};
            const pid_t inner = fork();
            if (inner == 0) {
                const bool made = make_up(&none, self.path);
                const uint64_t found[2] = {os_memory_total(), os_core_count()};
                _exit(made && write(ends[1], found, sizeof found) > 0 ? 0 : 77);
            }
            if (inner < 0 || waitpid(inner, &status, 0) != inner || status != 0 ||
                read(ends[0], free_of_limits, sizeof free_of_limits) < 16) {
                _exit(77);
            }
            _exit(look(&cases[i], self.path, free_of_limits[0], (size_t)free_of_limits[1]));
        }
        assert_true(waitpid(child, &status, 0) == child);
        close(ends[0]);
        close(ends[1]);
        temp_file_remove(&self);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) {
            print_message("needs leave to mount: not tested\n");
            skip();
        }
        if (WEXITSTATUS(status) != 0) {
            fail_msg("case %zu: number %d is wrong", i, WEXITSTATUS(status));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(strangers_files_count_as_cold),
                                       cmocka_unit_test(cgroups_set_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
