/*
 * bare_epoll - the ceiling: the least that a single-threaded epoll server can do per
 * request.
 *
 *     bare_epoll [-c] [-e] [-d] PORT        PORT 0: the kernel picks; it is printed
 *       -c  close after one answer            -e  read right after accept, before epoll
 * speaks -d  TCP_DEFER_ACCEPT on the listener
 *
 * It stands alone and uses nothing of libprefork. There is no parser: whatever ends in an
 * empty line is a request, and each gets the same bytes. No timers, no log, nothing
 * allocated after the start. A keep-alive request costs a recv, a send and a part of an
 * epoll_wait. What prefork-server costs beyond that is what its features cost.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_AT_ONCE  512
#define READ_SIZE       65536
#define ANSWERS_AT_ONCE 1024 /* sent with one call */
#define ACCEPTS_AT_ONCE 64

#define EMPTY_LINE 0x0d0a0d0au /* CR LF CR LF */

struct conn {
    uint32_t tail; /* the last four bytes read: finds an empty line across reads */
    bool watched;  /* epoll knows the socket */
    size_t owed;   /* bytes to send; while there are any, nothing is read */
};

static struct conn *conns; /* by descriptor */
static char *answers;      /* ANSWERS_AT_ONCE times the same */
static size_t answer_len;
static int poller;
static bool close_after, eager;

static void watch(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    int op = conns[fd].watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(poller, op, fd, &event) != 0)
        err(1, "epoll_ctl");
    conns[fd].watched = true;
}

/* Send what is owed. False: the connection is closed. */
static bool flush(int fd, bool was_blocked)
{
    struct conn *conn = &conns[fd];
    while (conn->owed) {
        /* Where in an answer the peer stands follows from what is owed. */
        size_t at = (answer_len - conn->owed % answer_len) % answer_len;
        size_t len = answer_len * ANSWERS_AT_ONCE - at;
        ssize_t sent =
            send(fd, answers + at, len < conn->owed ? len : conn->owed, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            close(fd);
            return false;
        }
        if (sent < 0) {
            if (!was_blocked)
                watch(fd, EPOLLOUT);
            return true;
        }
        conn->owed -= (size_t)sent;
    }
    if (close_after) {
        close(fd);
        return false;
    }
    if (was_blocked)
        watch(fd, EPOLLIN);
    return true;
}

static bool on_readable(int fd)
{
    static unsigned char in[READ_SIZE];
    struct conn *conn = &conns[fd];
    ssize_t got = recv(fd, in, sizeof in, 0);
    if (got < 0 && errno == EAGAIN)
        return true;
    if (got <= 0) {
        close(fd); /* which takes it out of epoll */
        return false;
    }
    size_t requests = 0;
    for (ssize_t i = 0; i < got; i++) {
        conn->tail = conn->tail << 8 | in[i];
        requests += conn->tail == EMPTY_LINE;
    }
    if (close_after && requests > 1)
        requests = 1;
    conn->owed = requests * answer_len;
    return requests == 0 || flush(fd, false);
}

static void on_acceptable(int listener)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return; /* drained; or an error that the next wake-up meets again */
        conns[fd] = (struct conn){0};
        if (eager && !on_readable(fd))
            continue;
        if (!conns[fd].watched)
            watch(fd, EPOLLIN);
    }
}

static void make_answers(void)
{
    char answer[512];
    answer_len = (size_t)snprintf(answer, sizeof answer,
                                  "HTTP/1.1 200 OK\r\n"
                                  "Server: bare\r\n"
                                  "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                                  "Content-Type: text/plain\r\n"
                                  "Content-Length: 13\r\n"
                                  "%s\r\n"
                                  "Hello, World!",
                                  close_after ? "Connection: close\r\n" : "");
    answers = malloc(answer_len * ANSWERS_AT_ONCE);
    if (!answers)
        err(1, "malloc");
    for (size_t i = 0; i < ANSWERS_AT_ONCE; i++)
        memcpy(answers + i * answer_len, answer, answer_len);
}

/* One per possible descriptor; pages come in only as they are used. */
static void make_conns(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        err(1, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        err(1, "setrlimit");
    conns = calloc(limit.rlim_cur, sizeof *conns);
    if (!conns)
        err(1, "calloc");
}

static int make_listener(uint16_t port, bool defer)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 || /* inherited */
        (defer && setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on) != 0) ||
        bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, 65535) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        err(1, "listen on 127.0.0.1:%u", port);
    printf("listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static void serve(int listener)
{
    static struct epoll_event events[EVENTS_AT_ONCE];
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS_AT_ONCE, -1);
        if (count < 0 && errno != EINTR)
            err(1, "epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                on_acceptable(fd);
            else if (conns[fd].owed)
                flush(fd, true);
            else
                on_readable(fd);
        }
    }
}

int main(int argc, char **argv)
{
    bool defer = false;
    for (int option; (option = getopt(argc, argv, "ced")) != -1;) {
        close_after |= option == 'c';
        eager |= option == 'e';
        defer |= option == 'd';
        if (option == '?')
            return 1;
    }
    char *end = NULL;
    long port = optind == argc - 1 ? strtol(argv[optind], &end, 10) : -1;
    if (port < 0 || port > UINT16_MAX || *end)
        errx(1, "usage: bare_epoll [-c] [-e] [-d] PORT");
    make_answers();
    make_conns();
    int listener = make_listener((uint16_t)port, defer);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        err(1, "epoll_create1");
    watch(listener, EPOLLIN);
    serve(listener);
}
