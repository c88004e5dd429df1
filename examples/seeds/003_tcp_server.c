/* 003_tcp_server.c - seed 003, the simple TCP server of IOLoop's documentation: a listening
 * socket of one's own, and add_handler. It greets.
 *
 *     003_tcp_server.c PORT
 */
#include <prefork.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* So short a text fits into the buffer of any new connection. */
static void handle_connection(int connection)
{
    if (send(connection, "hello\n", 6, MSG_NOSIGNAL) < 0)
        perror("send");
    close(connection);
}

static int connection_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)events, (void)arg;
    for (;;) {
        int connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection < 0)
            return errno == EAGAIN ? 0 : -errno; /* an error is reported, and it stays */
        handle_connection(connection);
    }
}

/* socket, setsockopt, setblocking(0), bind, listen(128). Returns it, or -1. */
static int listen_on(int port)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof address;
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(sock, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(sock, 128) != 0 ||
        getsockname(sock, (struct sockaddr *)&address, &len) != 0) {
        perror("listen");
        return -1;
    }
    printf("listening on port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return sock;
}

int main(int argc, char **argv)
{
    int sock = listen_on(argc > 1 ? atoi(argv[1]) : 8888);
    pf_loop *io_loop = pf_loop_current(true);
    if (sock < 0 || !io_loop)
        return 1;
    int err = pf_loop_add_handler(io_loop, sock, PF_READ, connection_ready, NULL);
    if (!err)
        err = pf_loop_start(io_loop); /* for ever: a signal ends it */
    pf_loop_close(io_loop, true);
    return err != 0;
}
