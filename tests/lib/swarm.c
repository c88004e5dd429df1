/* swarm.c - see swarm.h. */
#include "tests/lib/swarm.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    PORTS = 65536,
    EVENTS = 64
};

struct client {
    int fd; /* -1: none */
    bool connected;
    bool greeted;
    bool marked;    /* seen among a stopped process's descriptors */
    bool heard;     /* some byte came */
    unsigned asked; /* requests sent */
    uint16_t port;  /* its own */
    long long since_us;
    size_t len;
    char text[1024];
};

struct pf_swarm {
    struct pf_swarm_options options;
    struct pf_swarm_counts counts;
    int epoll;
    unsigned open;
    bool finishing;
    uint32_t
        expected[PORTS]; /* what the records say once the port's last one is accepted */
    struct client clients[];
};

static _Atomic uint32_t *records;
static char records_path[64];

static long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void pf_swarm_records(void)
{
    snprintf(records_path, sizeof records_path, "/tmp/prefork-records-XXXXXX");
    int fd = mkostemp(records_path, O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, PORTS * sizeof *records), 0);
    void *map = mmap(NULL, PORTS * sizeof *records, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    assert_ptr_not_equal(map, MAP_FAILED);
    records = map;
    setenv("PF_TEST_RECORDS", records_path, 1);
}

void pf_swarm_records_end(void)
{
    munmap((void *)(uintptr_t)records, PORTS * sizeof *records);
    records = NULL;
    unlink(records_path);
    unsetenv("PF_TEST_RECORDS");
}

pf_swarm *pf_swarm_new(const struct pf_swarm_options *options)
{
    assert_true(!options->greeting || records);
    pf_swarm *swarm =
        calloc(1, sizeof *swarm + options->connections * sizeof(struct client));
    assert_non_null(swarm);
    swarm->options = *options;
    if (swarm->options.requests == 0)
        swarm->options.requests = 1;
    swarm->epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_true(swarm->epoll >= 0);
    for (unsigned i = 0; i < options->connections; i++)
        swarm->clients[i].fd = -1;
    for (unsigned i = 0; records && i < PORTS; i++)
        swarm->expected[i] = atomic_load(&records[i]);
    return swarm;
}

/* ---- one connection -------------------------------------------------------------- */

static void note_wait(pf_swarm *swarm, const struct client *client)
{
    long long waited = now_us() - client->since_us;
    if (waited > swarm->counts.longest_wait_us)
        swarm->counts.longest_wait_us = waited;
}

/* By a reset, so that no port has to wait in TIME_WAIT: all that was wanted has come. */
static void close_client(pf_swarm *swarm, struct client *client)
{
    struct linger at_once = {.l_onoff = 1};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(client->fd);
    client->fd = -1;
    swarm->open--;
}

static bool is_recorded(const pf_swarm *swarm, const struct client *client)
{
    return records && atomic_load(&records[client->port]) >= swarm->expected[client->port];
}

static void lose(pf_swarm *swarm, struct client *client)
{
    note_wait(swarm, client);
    bool recorded = is_recorded(swarm, client);
    if (client->greeted || !swarm->options.greeting)
        swarm->counts.lost_asking++;
    else if (recorded || client->marked)
        swarm->counts.lost_accepted++;
    else
        swarm->counts.lost_queued++;
    if (swarm->options.greeting && !recorded)
        swarm->expected[client->port]--;
    close_client(swarm, client);
}

static void fail_to_connect(pf_swarm *swarm, struct client *client, int err)
{
    if (err == ECONNREFUSED)
        swarm->counts.refused++;
    else
        swarm->counts.not_connected++;
    close_client(swarm, client);
}

static void ask(pf_swarm *swarm, struct client *client)
{
    size_t len = strlen(swarm->options.request);
    client->len = 0;
    client->asked++;
    /* Short, into an empty buffer: it goes whole or fails. */
    if (send(client->fd, swarm->options.request, len, MSG_NOSIGNAL) != (ssize_t)len)
        lose(swarm, client);
}

static void begin(pf_swarm *swarm, struct client *client)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)swarm->options.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(client->fd >= 0);
    assert_int_equal(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
    swarm->open++;
    swarm->counts.attempted++;
    client->since_us = now_us();
    if (connect(client->fd, (struct sockaddr *)&to, sizeof to) != 0 &&
        errno != EINPROGRESS) {
        fail_to_connect(swarm, client, errno);
        return;
    }
    struct sockaddr_in own;
    socklen_t len = sizeof own;
    assert_int_equal(getsockname(client->fd, (struct sockaddr *)&own, &len), 0);
    client->port = ntohs(own.sin_port);
    if (swarm->options.greeting)
        swarm->expected[client->port]++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};
    assert_int_equal(epoll_ctl(swarm->epoll, EPOLL_CTL_ADD, client->fd, &event), 0);
}

static void client_on_connected(pf_swarm *swarm, struct client *client)
{
    int err = 0;
    socklen_t len = sizeof err;
    assert_int_equal(getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    struct sockaddr_in peer;
    len = sizeof peer;
    /* A reset behind the handshake is an error here too, but it was connected. */
    if (err == ECONNREFUSED || err == ETIMEDOUT || err == EHOSTUNREACH) {
        if (swarm->options.greeting)
            swarm->expected[client->port]--;
        fail_to_connect(swarm, client, err);
        return;
    }
    if (err || getpeername(client->fd, (struct sockaddr *)&peer, &len) != 0) {
        lose(swarm, client);
        return;
    }
    client->connected = true;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    assert_int_equal(epoll_ctl(swarm->epoll, EPOLL_CTL_MOD, client->fd, &event), 0);
    if (!swarm->options.greeting)
        ask(swarm, client);
}

static bool is_whole(const pf_swarm *swarm, const struct client *client)
{
    if (swarm->options.greeting)
        return strchr(client->text, '\n') != NULL;
    const char *body = strstr(client->text, "\r\n\r\n");
    if (!body)
        return false;
    const char *length = strstr(client->text, "Content-Length: ");
    size_t want = length && length < body ? strtoul(length + 16, NULL, 10) : 0;
    return strlen(body + 4) >= want;
}

static void client_on_answer(pf_swarm *swarm, struct client *client)
{
    bool last = swarm->options.greeting || client->asked == swarm->options.requests ||
                strstr(client->text, "\r\nConnection: close") != NULL;
    swarm->counts.answers++;
    if (!swarm->options.greeting && strncmp(client->text, "HTTP/1.1 ", 9) == 0 &&
        client->text[9] >= '4')
        swarm->counts.errors++;
    if (swarm->options.on_answer)
        swarm->options.on_answer(client->text, swarm->options.arg);
    if (!last) {
        ask(swarm, client);
        return;
    }
    swarm->counts.served++;
    close_client(swarm, client);
}

static void client_on_readable(pf_swarm *swarm, struct client *client)
{
    ssize_t n = recv(client->fd, client->text + client->len,
                     sizeof client->text - 1 - client->len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        lose(swarm, client);
        return;
    }
    if (!client->heard)
        note_wait(swarm, client);
    client->heard = true;
    client->len += (size_t)n;
    client->text[client->len] = 0;
    if (swarm->options.greeting && !client->greeted) {
        assert_string_equal(client->text, "A");
        client->greeted = true;
        ask(swarm, client);
    } else if (is_whole(swarm, client)) {
        client_on_answer(swarm, client);
    }
}

/* ---- all of them ----------------------------------------------------------------- */

static bool may_begin(const pf_swarm *swarm)
{
    return !swarm->finishing &&
           (swarm->options.total == 0 || swarm->counts.attempted < swarm->options.total);
}

static void turn(pf_swarm *swarm, int ms)
{
    struct epoll_event events[EVENTS];
    for (unsigned i = 0; i < swarm->options.connections && may_begin(swarm); i++)
        if (swarm->clients[i].fd == -1)
            begin(swarm, &swarm->clients[i]);
    /* All were refused: a moment later, not at once. */
    int n = epoll_wait(swarm->epoll, events, EVENTS, swarm->open || ms == 0 ? ms : 1);
    assert_true(n >= 0 || errno == EINTR);
    for (int i = 0; i < n; i++) {
        struct client *client = events[i].data.ptr;
        if (client->connected)
            client_on_readable(swarm, client);
        else
            client_on_connected(swarm, client);
    }
}

unsigned pf_swarm_run(pf_swarm *swarm, int ms)
{
    long long end = now_us() + ms * 1000LL, now;
    while ((now = now_us()) < end && (swarm->open || may_begin(swarm)))
        turn(swarm, (int)((end - now + 999) / 1000));
    return swarm->open;
}

unsigned pf_swarm_finish(pf_swarm *swarm)
{
    swarm->finishing = true;
    (void)pf_swarm_run(swarm, PF_TEST_DEADLINE_S * 1000);
    for (unsigned i = 0; i < swarm->options.connections; i++)
        if (swarm->clients[i].fd != -1 && !swarm->clients[i].heard)
            note_wait(swarm, &swarm->clients[i]);
    return swarm->open;
}

/* ---- what a stopped process has accepted ----------------------------------------- */

static void mark_port(pf_swarm *swarm, uint16_t port)
{
    for (unsigned i = 0; i < swarm->options.connections; i++)
        if (swarm->clients[i].fd != -1 && swarm->clients[i].port == port)
            swarm->clients[i].marked = true;
}

/* The port of the other end of descriptor `number` of that process; 0: no such socket. */
static uint16_t peer_port_of(int process, int number)
{
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof peer;
    int fd = (int)syscall(SYS_pidfd_getfd, process, number, 0);
    if (fd < 0)
        return 0;
    int err = getpeername(fd, (struct sockaddr *)&peer, &len);
    close(fd);
    return err == 0 && peer.sin_family == AF_INET ? ntohs(peer.sin_port) : 0;
}

bool pf_swarm_mark(pf_swarm *swarm, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    DIR *dir = process < 0 ? NULL : opendir(path);
    unsigned seen = 0;
    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        int fd = d->d_name[0] == '.' ? -1 : (int)strtol(d->d_name, NULL, 10);
        int copy = fd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, fd, 0);
        if (copy < 0)
            continue;
        close(copy);
        seen++;
        uint16_t port = peer_port_of(process, fd);
        if (port)
            mark_port(swarm, port);
    }
    if (dir)
        closedir(dir);
    if (process >= 0)
        close(process);
    return seen > 0;
}

/* ---- the account ----------------------------------------------------------------- */

const struct pf_swarm_counts *pf_swarm_counts(const pf_swarm *swarm)
{
    return &swarm->counts;
}

void pf_swarm_print(const pf_swarm *swarm, const char *what)
{
    const struct pf_swarm_counts *c = &swarm->counts;
    print_message(
        "# %s: attempted %lu, served %lu, refused %lu, not connected %lu, lost in "
        "the queue %lu, lost with their worker %lu, open %u, longest wait %.1f ms\n",
        what, c->attempted, c->served, c->refused, c->not_connected, c->lost_queued,
        c->lost_accepted + c->lost_asking, swarm->open, (double)c->longest_wait_us / 1e3);
}

void pf_swarm_free(pf_swarm *swarm)
{
    if (!swarm)
        return;
    for (unsigned i = 0; i < swarm->options.connections; i++)
        if (swarm->clients[i].fd != -1)
            close_client(swarm, &swarm->clients[i]);
    close(swarm->epoll);
    free(swarm);
}
