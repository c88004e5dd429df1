/* loop_pairs.c - see loop_pairs.h. */
#include "bench/loop_pairs.h"

#include "bench/loop_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OTHER_DESCRIPTORS = 64 /* standard streams, the loop's own */
};

int pairs_allowed(int wanted)
{
    struct rlimit limit;
    require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    if (limit.rlim_max == RLIM_INFINITY)
        return wanted;
    rlim_t fit = (limit.rlim_max - OTHER_DESCRIPTORS) / 2;
    return (rlim_t)wanted < fit ? wanted : (int)fit;
}

static void open_pair(struct pair *pair)
{
    int fds[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
    for (int i = 0; i < 2; i++) {
        require(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0, "F_SETFL");
        require(fcntl(fds[i], F_SETFD, FD_CLOEXEC) == 0, "F_SETFD");
    }
    *pair = (struct pair){fds[0], fds[1]};
}

void pairs_open(struct pairs *pairs, int count)
{
    *pairs = (struct pairs){new_array((size_t)count, sizeof(struct pair)), count, 0, 0};
    for (int i = 0; i < count; i++)
        open_pair(&pairs->at[i]);
}

void pairs_begin(struct pairs *pairs, int active, long ops)
{
    require(active <= pairs->count && active <= ops, "more bytes than there is room for");
    pairs->to_read = ops;
    pairs->to_write = ops - active;
    int apart = pairs->count / active;
    for (int i = 0; i < active; i++)
        require(write(pairs->at[i * apart].write_fd, "x", 1) == 1, "write");
}

bool pairs_pass(struct pairs *pairs, int i)
{
    char byte;
    require(read(pairs->at[i].read_fd, &byte, 1) == 1, "readable, but nothing to read");
    if (pairs->to_write > 0) {
        int next = i + 1 < pairs->count ? i + 1 : 0;
        require(write(pairs->at[next].write_fd, &byte, 1) == 1, "write");
        pairs->to_write--;
    }
    return --pairs->to_read == 0;
}

void pairs_stuff(struct pairs *pairs, int i)
{
    char chunk[4096] = {0};
    while (write(pairs->at[i].read_fd, chunk, sizeof chunk) > 0)
        ;
    require(errno == EAGAIN, "a socket that cannot be filled");
}
