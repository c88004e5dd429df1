/*
 * loop_pairs.h - socket pairs, and the game of libevent's test/bench.c: some bytes go round
 * a ring of pairs, each handler reading one and writing it to the next pair.
 *
 *     pairs_open(&pairs, n);
 *     ...watch pairs.at[i].read_fd of all i; a handler calls pairs_pass(&pairs, i)...
 *     pairs_begin(&pairs, active, ops);
 *     ...run the loop until pairs_pass() says true...
 */
#ifndef PREFORK_BENCH_LOOP_PAIRS_H
#define PREFORK_BENCH_LOOP_PAIRS_H

#include <stdbool.h>

struct pair {
    int read_fd, write_fd; /* two ends of an AF_UNIX stream socket, non-blocking */
};

struct pairs {
    struct pair *at;
    int count;
    long to_read, to_write;
};

/* How many pairs this process may open, up to `wanted`: raises its own soft limit. */
int pairs_allowed(int wanted);

void pairs_open(struct pairs *pairs, int count);

/* Put `active` bytes on their way, evenly spread; `ops` will have been read at the end. */
void pairs_begin(struct pairs *pairs, int active, long ops);

/* Pair i is readable: read a byte, and pass one on while there are any to write. Returns
 * true for the last one of all. */
bool pairs_pass(struct pairs *pairs, int i);

/* Fill what read_fd of pair i can send, so that it is neither readable nor writable. */
void pairs_stuff(struct pairs *pairs, int i);

#endif
