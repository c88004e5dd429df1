#include "bench/steady.h"

#include "bench/result.h"

void steady_set(struct plan *plan, double rate)
{
    double least_ns = (double)plan->requests / rate * 1e9;
    int64_t duration_ns = plan->duration_ns;
    if (duration_ns == 0) /* what comes behind the last request is never reached */
        duration_ns = least_ns < 4e17 ? 2 * (int64_t)least_ns + PF_SECOND : RESULT_MOST;
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
