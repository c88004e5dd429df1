/*
 * greeter.c - a raw server for tests that must know what became of a connection.
 *
 * For each connection that is accepted it adds one to the count of the client's port in the
 * file PF_TEST_RECORDS (tests/lib/swarm.h), before anything else; sends the byte A; answers
 * one line, whatever it says, with a line of its own, and closes:
 *
 *     PID THREAD CPU INCOMING-CPU
 *
 * the CPU that runs the lane, and the one that received the connection (SO_INCOMING_CPU).
 */
#include <prefork.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PORTS = 65536
};

static _Atomic uint32_t *records;
/* By descriptor: the CPU that received the connection, asked before a byte is sent. What
 * answers our own bytes on loopback is received on our own CPU. */
static _Atomic int incoming[PORTS];

static int map_records(void *arg)
{
    (void)arg;
    const char *path = getenv("PF_TEST_RECORDS");
    if (!path)
        return 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    void *map =
        mmap(NULL, PORTS * sizeof *records, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int err = map == MAP_FAILED ? -errno : 0;
    close(fd);
    if (!err)
        records = map;
    return err;
}

static void note_incoming(int fd)
{
    int cpu = -1;
    socklen_t len = sizeof cpu;
    (void)getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &len); /* or -1 */
    if (fd < PORTS)
        incoming[fd] = cpu;
}

static void answer(int fd)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%d %d %d %d\n", getpid(), gettid(),
                       sched_getcpu(), fd < PORTS ? incoming[fd] : -1);
    (void)send(fd, text, (size_t)len, MSG_NOSIGNAL); /* the client counts what is missing */
}

static int on_line(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)events;
    char text[64];
    ssize_t n = recv(fd, text, sizeof text, 0);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n > 0)
        answer(fd);
    (void)pf_loop_remove_handler(loop, fd);
    close(fd);
    (void)pf_lane_closed(arg, fd);
    return 0;
}

static void on_connection(pf_lane *lane, int fd, const struct sockaddr *peer,
                          socklen_t peer_len, void *arg)
{
    (void)arg;
    if (records && peer->sa_family == AF_INET && peer_len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, peer, sizeof in);
        atomic_fetch_add(&records[ntohs(in.sin_port)], 1);
    }
    note_incoming(fd);
    (void)send(fd, "A", 1, MSG_NOSIGNAL);
    if (pf_loop_add_handler(pf_lane_loop(lane), fd, PF_READ, on_line, lane) == 0)
        return;
    close(fd);
    (void)pf_lane_closed(lane, fd);
}

static const struct pf_app app = {PF_APP, .name = "greeter", .worker_init = map_records,
                                  .on_connection = on_connection};

int main(int argc, char **argv)
{
    return pf_main(argc, argv, &app);
}
