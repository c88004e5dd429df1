/*
 * time_wait.h - how long a port rests after its connection was closed on this side.
 */
#ifndef PREFORK_BENCH_TIME_WAIT_H
#define PREFORK_BENCH_TIME_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* How long Linux keeps a port in TIME_WAIT, and until it may be used again; seconds.
 * Source: TCP_TIMEWAIT_LEN in net/tcp.h; tcp_twsk_unique(). */
#define TIME_WAIT_S       60
#define TIME_WAIT_REUSE_S 1

/* net.ipv4.tcp_tw_reuse: 0 no, 1 yes, 2 on loopback; below 0: unknown, as no. */
static inline bool time_wait_may_reuse(int64_t tw_reuse, bool loopback)
{
    return tw_reuse == 1 || (tw_reuse == 2 && loopback);
}

/* Seconds until a port may be used again. */
static inline int time_wait_rest_s(int64_t tw_reuse, bool loopback)
{
    return time_wait_may_reuse(tw_reuse, loopback) ? TIME_WAIT_REUSE_S : TIME_WAIT_S;
}

#endif
