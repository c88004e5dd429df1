/*
 * watch.h - two watchers of a run as one: the command line's own, which looks after the
 * server, and a mode's.
 */
#ifndef PREFORK_BENCH_WATCH_H
#define PREFORK_BENCH_WATCH_H

#include "bench/run.h"

struct watch {
    struct run_watcher first, second;
};

/* Make `out` call both, the first one first. `watch` is to live as long; copies are kept of
 * what is given. An error of the first keeps the second from being called; if the second
 * fails to begin, the first is ended. */
void watch_join(struct watch *watch, const struct run_watcher *first,
                const struct run_watcher *second, struct run_watcher *out);

#endif
