/* gate.c - see gate.h. */
#include "net/gate.h"

#include <prefork/log.h>

#include <string.h>

/* A shortage that lasts is told this often at the most. */
#define REPORT_EVERY_NS (10 * PF_SECOND)

static pf_callback_fn gate_on_rest_end;

/* The timer first: without memory for it, nothing would end the rest. */
static void shut(struct pf__gate *gate)
{
    if (!gate->rest.id && pf_loop_call_later(gate->loop, gate->rest_ns, gate_on_rest_end,
                                             gate, &gate->rest) == 0)
        (void)pf_loop_update_handler(gate->loop, gate->fd, 0); /* cannot fail */
}

/* As watched as it should be; without memory for that it is tried again after a rest. */
static void settle(struct pf__gate *gate)
{
    if (gate->rest.id)
        return;
    unsigned events = gate->paused ? 0 : gate->events;
    if (pf_loop_update_handler(gate->loop, gate->fd, events) != 0)
        shut(gate);
}

static int gate_on_rest_end(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__gate *gate = arg;
    gate->rest = (pf_timer){0};
    settle(gate);
    return 0;
}

int pf__gate_open(struct pf__gate *gate, pf_io_fn *fn, void *arg)
{
    return pf_loop_add_handler(gate->loop, gate->fd, gate->events, fn, arg);
}

void pf__gate_close(struct pf__gate *gate)
{
    (void)pf_loop_remove_handler(gate->loop, gate->fd); /* in a child: refused */
    (void)pf_loop_remove_timeout(gate->loop, gate->rest);
}

static int set_paused(struct pf__gate *gate, bool paused)
{
    int err = pf_loop_check(gate->loop);
    if (err)
        return err;
    gate->paused = paused;
    settle(gate);
    return 0;
}

int pf__gate_pause(struct pf__gate *gate)
{
    return set_paused(gate, true);
}

int pf__gate_resume(struct pf__gate *gate)
{
    return set_paused(gate, false);
}

static void tell(struct pf__gate *gate, int err, const char *event)
{
    int64_t now = pf_loop_now(gate->loop);
    if (gate->rests++ > 0 && now - gate->told_ns < REPORT_EVERY_NS)
        return;
    gate->told_ns = now;
    pf_log(PF_LOG_WARN, event, "error=%s for=%lldms pauses=%llu", strerror(err),
           (long long)(gate->rest_ns / PF_MILLISECOND), (unsigned long long)gate->rests);
}

void pf__gate_rest(struct pf__gate *gate, int err, const char *event)
{
    if (gate->rest.id)
        return;
    tell(gate, err, event);
    shut(gate);
}

void pf__gate_requeue(struct pf__gate *gate)
{
    if (gate->paused || gate->rest.id)
        return;
    (void)pf_loop_update_handler(gate->loop, gate->fd, 0); /* cannot fail */
    settle(gate);
}
