/*
 * plan.h - what a run shall do: settled before it begins, and only read from then on, by
 * all threads.
 */
#ifndef PREFORK_BENCH_PLAN_H
#define PREFORK_BENCH_PLAN_H

#include "net/address.h"
#include <stddef.h>
#include <stdint.h>

struct plan {
    const char *url; /* as given */
    struct pf_address target;
    unsigned connections, threads;
    unsigned pipeline;   /* requests sent at once on a connection */
    int64_t duration_ns; /* 0: until `requests` have been made */
    uint64_t requests;   /* 0: until the time is over */
    int64_t timeout_ns;

    /* The request, `pipeline` times. Any whole number of requests is the end of it. */
    char *batch;
    size_t batch_len, request_len;
};

#endif
