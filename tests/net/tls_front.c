/* tls_front.c - a server of https for tests, in front of one of http.
 *
 *   tls_front CERTIFICATE KEY PORT READY
 *
 * Listens on a port of 127.0.0.1, which it writes to the file READY, passes each request on to PORT
 * of the same host, and the answer back, one request a connection. It ends when its standard input
 * does.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 16 << 10 };

static SSL_CTX *context;
static int behind; /* the port of http */

static struct sockaddr_in local(int port) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* The header of a request, which has no body; its length, 0 if it does not come. */
static size_t read_request(SSL *ssl, char *text) {
    size_t length = 0;
    text[0] = 0;
    while (!strstr(text, "\r\n\r\n")) {
        const int n = SSL_read(ssl, text + length, (int)(BUFFER - 1 - length));
        if (n <= 0) {
            return 0;
        }
        length += (size_t)n;
        text[length] = 0;
    }
    return length;
}

static void pass(SSL *ssl) {
    char text[BUFFER];
    const struct sockaddr_in address = local(behind);
    const size_t length = read_request(ssl, text);
    const int fd = length ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0) {
        return;
    }
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length) {
        ssize_t n;
        bool good = true;
        while (good && (n = recv(fd, text, sizeof text, 0)) > 0) {
            good = SSL_write(ssl, text, (int)n) == (int)n;
        }
        if (good) {
            (void)SSL_shutdown(ssl);
        }
    }
    close(fd);
}

static void *run_connection(void *argument) {
    const int fd = *(int *)argument;
    free(argument);
    SSL *const ssl = SSL_new(context);
    if (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1) {
        pass(ssl);
    }
    SSL_free(ssl);
    ERR_clear_error(); /* clients that do not like the certificate are what is tested */
    close(fd);
    return NULL;
}

static void *run_listener(void *argument) {
    const int listener = *(int *)argument;
    for (;;) {
        int *const fd = malloc(sizeof *fd);
        pthread_t thread;
        if (!fd) {
            abort();
        }
        *fd = accept(listener, NULL, NULL);
        if (*fd < 0 || pthread_create(&thread, NULL, run_connection, fd) != 0) {
            free(fd);
            continue;
        }
        pthread_detach(thread);
    }
    return NULL;
}

/* Appears whole. */
static bool tell_port(int port, const char *path) {
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    FILE *const file = fopen(temporary, "w");
    return file && fprintf(file, "%d\n", port) > 0 && fclose(file) == 0 &&
           rename(temporary, path) == 0;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: tls_front CERTIFICATE KEY PORT READY\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    behind = atoi(argv[3]);
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        return 1;
    }
    struct sockaddr_in address = local(0);
    socklen_t size = sizeof address;
    static int listener;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_t thread;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0 ||
        pthread_create(&thread, NULL, run_listener, &listener) != 0 ||
        !tell_port(ntohs(address.sin_port), argv[4])) {
        perror("tls_front");
        return 1;
    }
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
}
