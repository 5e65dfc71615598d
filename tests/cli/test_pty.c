/* The command on a terminal: Ctrl-C while it generates and while it reads the prompt, progress that
 * is kept up to date, a text that ends with a newline; and the second signal, which ends it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* The command, what came from it, and how it ended. */
typedef struct child {
    pid_t pid;
    int fd;
    char *output; /* all of it, NUL-terminated */
    size_t length;
    int wait_status;
} child;

static const char *model_path;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void start(child *c, const char *const arguments[]) {
    const char *command[32] = {TEST_COMMAND};
    for (size_t i = 0; arguments[i]; i++) {
        command[i + 1] = arguments[i];
    }
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    *c = (child){.output = calloc(1, 1)};
    assert_non_null(c->output);
    c->pid = forkpty(&c->fd, NULL, NULL, &size);
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        signal(SIGINT, SIG_DFL);
        setenv("TERM", "xterm", 1);
        execv(TEST_COMMAND, (char **)command);
        _exit(127);
    }
}

/* Reads until `text` has come since byte `from`, or the end. Returns whether it has come. */
static bool read_until(child *c, size_t from, const char *text) {
    const double deadline = seconds() + 120;
    while (!text || !strstr(c->output + from, text)) {
        struct pollfd ready = {.fd = c->fd, .events = POLLIN};
        if (poll(&ready, 1, 1000) == 0) {
            assert_true(seconds() < deadline);
            continue;
        }
        char bytes[4096];
        const ssize_t size = read(c->fd, bytes, sizeof bytes);
        if (size <= 0) {
            return false; /* EIO: the terminal's other end is closed */
        }
        c->output = realloc(c->output, c->length + (size_t)size + 1);
        assert_non_null(c->output);
        for (ssize_t i = 0; i < size; i++) {
            if (bytes[i]) {
                c->output[c->length++] = bytes[i];
            }
        }
        c->output[c->length] = '\0';
    }
    return true;
}

static void type(const child *c, char key) {
    assert_int_equal(write(c->fd, &key, 1), 1);
}

static void finish(child *c) {
    read_until(c, c->length, NULL);
    assert_int_equal(waitpid(c->pid, &c->wait_status, 0), c->pid);
    close(c->fd);
}

static void check_exit(const child *c, int wanted) {
    if (!WIFEXITED(c->wait_status) || WEXITSTATUS(c->wait_status) != wanted) {
        fail_msg("wait status %#x, wanted exit status %d, after:\n%s", (unsigned)c->wait_status,
                 wanted, c->output);
    }
}

static void check_contains(const child *c, const char *text) {
    if (!strstr(c->output, text)) {
        fail_msg("no '%s' in:\n%s", text, c->output);
    }
}

static void interrupt_ends_generation_with_statistics(void **state) {
    (void)state;
    child c;
    start(&c, (const char *[]){"run", "-m", model_path, "-p", "Once upon a time", "-n", "30000",
                               "-c", "30000", "--ignore-eos", "--temp", "0", NULL});
    /* Some words of text, behind the line on the context. */
    assert_true(read_until(&c, 0, "trained for"));
    const size_t from = c.length;
    while (c.length < from + 100) {
        assert_true(read_until(&c, c.length, " "));
    }
    type(&c, 3);
    finish(&c);
    check_exit(&c, 130);
    check_contains(&c, "\nstopped     interrupted");
    check_contains(&c, "\ngeneration ");
    check_contains(&c, "\nseed ");
    free(c.output);
}

/* A prompt that takes far longer than a second to compute. */
static void make_long_prompt(char path[]) {
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *const file = fdopen(fd, "w");
    assert_non_null(file);
    for (int i = 0; i < 2500; i++) {
        fputs("The dog and the cat went to the park. ", file);
    }
    assert_int_equal(fclose(file), 0);
}

static void prompt_shows_progress_and_can_be_interrupted(void **state) {
    (void)state;
    char path[] = "/tmp/sluice-prompt-XXXXXX";
    make_long_prompt(path);
    child c;
    start(&c, (const char *[]){"run", "-m", model_path, "-f", path, "-c", "100000", "-t", "1", "-n",
                               "1", NULL});
    assert_true(read_until(&c, 0, " left"));
    check_contains(&c, "\rprompt  ");
    check_contains(&c, " tokens/s");
    /* It is kept up to date on its line, which fits into the width of 80. */
    const size_t from = c.length;
    assert_true(read_until(&c, from, "\rprompt  "));
    for (char *line = strtok(c.output + from, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        assert_true(strlen(line) < 80);
    }
    const size_t later = c.length;
    type(&c, 3);
    finish(&c);
    unlink(path);
    check_exit(&c, 130);
    assert_non_null(strstr(c.output + later, "stopped     interrupted"));
    assert_non_null(strstr(c.output + later, "generation         0 tokens"));
    free(c.output);
}

static void text_ends_with_a_newline_on_a_terminal(void **state) {
    (void)state;
    child c;
    start(&c, (const char *[]){"run", "-m", model_path, "-p", "Once upon a time", "-n", "3",
                               "--temp", "0", "-q", NULL});
    finish(&c);
    check_exit(&c, 0);
    assert_true(c.length > 2);
    assert_string_equal(c.output + c.length - 2, "\r\n");
    assert_null(strstr(c.output, "\r\n\r\n"));
    free(c.output);
}

/* Standard input is a terminal and no prompt is given: it is empty, and nothing waits. */
static void terminal_without_a_prompt_is_an_empty_prompt(void **state) {
    (void)state;
    child c;
    start(&c, (const char *[]){"run", "-m", model_path, "-n", "3", NULL});
    finish(&c);
    check_exit(&c, 0);
    check_contains(&c, "stopped     after the 3 tokens");
    free(c.output);
    start(&c, (const char *[]){"tokenize", "-m", model_path, NULL});
    finish(&c);
    check_exit(&c, 2);
    check_contains(&c, "sluice: no text");
    free(c.output);
}

static void sleep_milliseconds(long milliseconds) {
    const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Statistics cannot be written to a pipe that is full: the first signal is noted, the second must
 * end the process all the same. */
static void second_signal_ends_it(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const int flags = fcntl(ends[1], F_GETFL);
    assert_int_equal(fcntl(ends[1], F_SETFL, flags | O_NONBLOCK), 0);
    while (write(ends[1], "x", 1) == 1) {
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(fcntl(ends[1], F_SETFL, flags), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execl(TEST_COMMAND, TEST_COMMAND, "run", "-m", model_path, "-p", "Once", "-n", "5",
              (char *)NULL);
        _exit(127);
    }
    int wait_status = 0;
    sleep_milliseconds(1000);
    assert_int_equal(waitpid(pid, &wait_status, WNOHANG), 0);
    for (int i = 0; i < 3 && waitpid(pid, &wait_status, WNOHANG) == 0; i++) {
        kill(pid, SIGINT);
        sleep_milliseconds(500);
    }
    waitpid(pid, &wait_status, 0);
    assert_true(WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGINT);
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    model_path = TEST_MODELS "/sluice-starter.gguf";
    if (access(model_path, R_OK) != 0) {
        model_path = TEST_SHARED "/models/stories260K.gguf";
    }
    if (access(model_path, R_OK) != 0) {
        puts("skipped: neither models/sluice-starter.gguf nor shared data is there");
        return 77;
    }
    int leader, follower;
    if (openpty(&leader, &follower, NULL, NULL, NULL) != 0) {
        puts("skipped: no pseudo-terminal to be had; is /dev/pts mounted?");
        return 77;
    }
    close(leader);
    close(follower);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupt_ends_generation_with_statistics),
        cmocka_unit_test(prompt_shows_progress_and_can_be_interrupted),
        cmocka_unit_test(text_ends_with_a_newline_on_a_terminal),
        cmocka_unit_test(terminal_without_a_prompt_is_an_empty_prompt),
        cmocka_unit_test(second_signal_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
