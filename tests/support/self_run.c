#include "support/self_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define TAKES_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TAKES_MEMORY 1
#endif
#endif
#ifndef TAKES_MEMORY
#define TAKES_MEMORY 0
#endif

void self_run_skip_if_sanitized(void) {
    if (TAKES_MEMORY) {
        print_message("not under this sanitizer\n");
        skip();
    }
}

void self_run(const char *const *arguments, char *line, size_t size) {
    int ends[2], status = -1;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        /* The arguments are not changed: the type is older than const. */
        execv("/proc/self/exe", (char *const *)arguments);
        _exit(127);
    }
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    assert_non_null(from);
    const bool has_line = fgets(line, (int)size, from) != NULL;
    fclose(from);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(has_line);
}
