/*
 * serve_script.h - when the null server stands still. Pure.
 *
 * Times count from the first request that came, so that what a client sees can be computed:
 * one that sends at a constant rate and never waits sees, of a stall of length D, response
 * times that fall evenly from D to nothing, for as many requests as it sends in D.
 */
#ifndef PREFORK_BENCH_SERVE_SCRIPT_H
#define PREFORK_BENCH_SERVE_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#define SERVE_STALLS_MAX 64

struct serve_stall {
    int64_t at_ns, for_ns; /* it begins, and lasts */
};

struct serve_script {
    size_t count;
    struct serve_stall stalls[SERVE_STALLS_MAX];
    struct serve_stall every; /* at each multiple of at_ns, but not at 0; for_ns 0: none */
};

/* "1s@5s": for a second, five seconds after the first request. Returns 0; -EINVAL with a
 * phrase in `why`, also if there are SERVE_STALLS_MAX already. */
int serve_script_add(struct serve_script *script, const char *text, char *why,
                     size_t why_len);

/* "50ms/1s": for 50 ms each second. The same. */
int serve_script_every(struct serve_script *script, const char *text, char *why,
                       size_t why_len);

/* When it may go on that stands still at this time: the end of the stall, and of those that
 * begin before that one ends; `now_ns` itself if there is none. */
int64_t serve_script_resume(const struct serve_script *script, int64_t now_ns);

#endif
