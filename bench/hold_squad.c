#include "bench/hold_internal.h"

#include "bench/descriptors.h"
#include "bench/footprint.h"
#include "bench/hold_plan.h"
#include "bench/interrupt.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- in a member's process ------------------------------------------------------- */

static struct {
    struct hold_share *share;
    struct squad_member *me;
    struct hold_pool *pool;
} member;

static int member_on_opened(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    member.share->user_after = footprint_user();
    squad_say_ready(member.me);
    return 0;
}

static int member_begin(void *arg, struct squad_member *me, pf_loop *loop)
{
    const struct hold *hold = arg;
    unsigned first, count;
    member.me = me;
    member.share = &((struct hold *)arg)->shares[me->index];
    (void)descriptors_raise();
    hold_plan_sources(hold->source_count, hold->procs, me->index, &first, &count);
    struct hold_options wanted = {
        .target = &hold->target,
        .sources = hold->sources + first,
        .source_count = count,
        .connections = (unsigned)hold_plan_connections((uint64_t)hold->config.connections,
                                                       hold->procs, me->index),
        .rate = hold->config.rate / hold->procs,
        .timeout_ns = hold->timeout_ns,
        .request = hold->request ? hold->request->bytes : NULL,
        .request_len = hold->request ? hold->request->len : 0,
        .request_head = hold->request && hold->request->head,
        .on_opened = member_on_opened,
    };
    member.share->user_before = footprint_user();
    return hold_pool_new(loop, &wanted, &member.share->counts, &member.pool);
}

static void member_end(void *arg, struct squad_member *me, pf_loop *loop)
{
    (void)arg, (void)me, (void)loop;
    hold_pool_free(member.pool);
}

const struct squad_job hold_job = {.begin = member_begin, .end = member_end};

/* ---- in the program -------------------------------------------------------------- */

uint64_t hold_sum(const struct hold *hold, size_t counter)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < hold->procs; i++)
        all +=
            tally_read((const uint64_t *)((const char *)&hold->shares[i].counts + counter));
    return all;
}

unsigned hold_find_gone(struct hold *hold, const struct squad *squad, char *why,
                        size_t room)
{
    unsigned gone = 0;
    int signal;
    for (unsigned i = 0; i < hold->procs; i++) {
        if (!squad_is_gone(squad, i, &signal))
            continue;
        hold->shares[i].gone = true;
        if (gone++ > 0)
            continue;
        const char *name = signal ? sigabbrev_np(signal) : NULL;
        snprintf(why, room,
                 "process %u of %u has ended%s%s, and its %" PRIu64 " connections with it",
                 i + 1, hold->procs, name ? " by SIG" : "", name ? name : "",
                 tally_read(&hold->shares[i].counts.held));
    }
    return gone;
}

bool hold_any_is_gone(const struct hold *hold, const struct squad *squad)
{
    int signal;
    for (unsigned i = 0; i < hold->procs; i++)
        if (squad_is_gone(squad, i, &signal))
            return true;
    return false;
}

/* Until each connection has been tried. Returns 0, -EINTR, or -ECHILD. */
int hold_wait_until_opened(const struct hold *hold, struct squad *squad, bool progress)
{
    int ready = 0;
    while (ready >= 0 && (unsigned)ready < hold->procs && !interrupt_is_noted()) {
        ready = squad_ready(squad, 1000);
        squad_tend(squad);
        if (hold_any_is_gone(hold, squad))
            break;
        if (progress)
            fprintf(stderr,
                    "opening  %" PRIu64 " of %" PRId64 " held  %" PRIu64 " failed\n",
                    HOLD_SUM(hold, held), hold->config.connections, HOLD_SUM(hold, failed));
    }
    if (ready >= 0 && hold_any_is_gone(hold, squad))
        ready = -ECHILD;
    if (interrupt_is_noted())
        return -EINTR;
    return ready < 0 ? ready : 0;
}
