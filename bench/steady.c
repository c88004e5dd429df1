#include "bench/steady.h"

#include "bench/stages.h"

void steady_set(struct plan *plan, double rate)
{
    /* By number, what comes behind the last request is never reached. */
    int64_t duration_ns = plan->duration_ns ? plan->duration_ns : STAGES_MOST;
    plan->load = PLAN_OPEN;
    plan->stages[0] = (struct plan_stage){plan->warmup_ns + duration_ns, rate, rate};
    plan->stage_count = 1;
    plan->stages_text = NULL;
    if (plan->burst == 0)
        plan->burst = 1;
}

void steady_unless_open(struct plan *plan)
{
    if (plan->load == PLAN_CLOSED)
        steady_set(plan, STEADY_RATE);
}

void steady_close(struct plan *plan)
{
    plan->load = PLAN_CLOSED;
    plan->stage_count = 0;
}
