#include "bench/hold_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* A remote server's address and port: only so many from here. */
static int plan_sources(const struct hold_wish *wish, struct hold_plan *plan, char *why,
                        size_t why_len)
{
    unsigned needed = spread_sources_for(&wish->ports, wish->connections);
    plan->sources = 0;
    if (!wish->tcp)
        return 0;
    if (wish->source_count > 0) {
        if (wish->source_count >= needed)
            return 0;
        snprintf(why, why_len,
                 "%u source addresses have %u ports each; --src with %u of them, or widen "
                 "net.ipv4.ip_local_port_range",
                 wish->source_count, spread_ports_each(&wish->ports), needed);
        return -EADDRNOTAVAIL;
    }
    if (wish->loopback) {
        unsigned wanted = spread_sources_fast(&wish->ports, wish->connections);
        /* As many for each process, so that none has more connections than ports. */
        if (wanted > 1 || plan->procs > 1)
            plan->sources = (wanted + plan->procs - 1) / plan->procs * plan->procs;
        return 0;
    }
    if (needed == 1)
        return 0;
    snprintf(why, why_len,
             "one source address has %u ports; --src with %u addresses of this machine, or "
             "widen net.ipv4.ip_local_port_range",
             spread_ports_each(&wish->ports), needed);
    return -EADDRNOTAVAIL;
}

int hold_plan_make(const struct hold_wish *wish, struct hold_plan *out, char *why,
                   size_t why_len)
{
    if (wish->descriptors == 0) {
        snprintf(why, why_len,
                 "this process may have hardly any descriptors; raise the "
                 "limit (ulimit -n)");
        return -EMFILE;
    }
    uint64_t needed = (wish->connections + wish->descriptors - 1) / wish->descriptors;
    struct hold_plan plan = {.procs = wish->procs ? wish->procs : (unsigned)needed};
    if (plan.procs == 0)
        plan.procs = 1;
    if (needed > plan.procs) {
        snprintf(why, why_len,
                 "a process may have %u descriptors; --procs %" PRIu64
                 ", or raise the hard limit (ulimit -n)",
                 wish->descriptors, needed);
        return -EMFILE;
    }
    if (plan.procs > wish->procs_max) {
        snprintf(
            why, why_len,
            "that takes %u processes of %u descriptors, and %u are the most; raise the "
            "hard limit (ulimit -n)",
            plan.procs, wish->descriptors, wish->procs_max);
        return -EMFILE;
    }
    int err = plan_sources(wish, &plan, why, why_len);
    if (!err)
        *out = plan;
    return err;
}

uint64_t hold_plan_connections(uint64_t connections, unsigned procs, unsigned index)
{
    return connections / procs + (index < connections % procs);
}

void hold_plan_sources(unsigned sources, unsigned procs, unsigned index, unsigned *first,
                       unsigned *count)
{
    if (sources < procs) {
        *first = 0;
        *count = sources;
        return;
    }
    *first = index * (sources / procs);
    *count = sources / procs;
}
