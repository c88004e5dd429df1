/* pace.c - see pace.h. */
#include "bench/pace.h"

#include <math.h>
#include <prefork/base.h>

/* ---- stages ------------------------------------------------------------------------ */

static double seconds(int64_t ns)
{
    return (double)ns / (double)PF_SECOND;
}

/* Requests of a stage in its first `ns`. */
static double stage_amount(const struct plan_stage *stage, int64_t ns)
{
    if (stage->from == stage->to)
        return stage->from * (double)ns / (double)PF_SECOND;
    double slope = (stage->to - stage->from) / seconds(stage->duration_ns);
    double t = seconds(ns);
    return t * (stage->from + slope * t / 2);
}

static double stage_total(const struct plan_stage *stage)
{
    if (stage->duration_ns <= 0)
        return 0;
    return stage->from == stage->to
               ? stage_amount(stage, stage->duration_ns)
               : (stage->from + stage->to) / 2 * seconds(stage->duration_ns);
}

/*
 * When a stage has made `amount` requests, 0 < amount < stage_total(): in ns from its
 * start.
 *
 * On a ramp that is the root of from * t + slope * t^2 / 2 = amount. In the form with the
 * root in the denominator nothing of like size is subtracted, be the slope tiny, negative
 * or the start 0.
 */
static int64_t stage_time(const struct plan_stage *stage, double amount)
{
    double ns;
    if (stage->from == stage->to) {
        ns = amount * (double)PF_SECOND / stage->from;
    } else {
        double slope = (stage->to - stage->from) / seconds(stage->duration_ns);
        double square = stage->from * stage->from + 2 * slope * amount;
        double root = square > 0 ? sqrt(square) : 0;
        double t = amount > 0 ? 2 * amount / (stage->from + root) : 0;
        ns = t * (double)PF_SECOND;
    }
    return ns < (double)stage->duration_ns ? llround(ns) : stage->duration_ns;
}

double pace_amount(const struct plan *plan, int64_t at_ns)
{
    double amount = 0;
    for (unsigned i = 0; i < plan->stage_count && at_ns > 0; i++) {
        const struct plan_stage *stage = &plan->stages[i];
        if (at_ns < stage->duration_ns)
            return amount + stage_amount(stage, at_ns);
        amount += stage_total(stage);
        at_ns -= stage->duration_ns;
    }
    return amount;
}

double plan_mean_rate(const struct plan *plan)
{
    int64_t ns = 0;
    if (plan->load != PLAN_OPEN)
        return 0;
    for (unsigned i = 0; i < plan->stage_count; i++)
        ns += plan->stages[i].duration_ns;
    return ns > 0 ? pace_amount(plan, INT64_MAX) / seconds(ns) : 0;
}

/* ---- dice -------------------------------------------------------------------------- */

/* The output function of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom
 * number generators, 2014): every bit of the result depends on every bit of x. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */

static uint64_t dice_of(uint64_t seed, unsigned unit)
{
    return mix(mix(seed + GOLDEN) ^ (unit + UINT64_C(1)) * GOLDEN);
}

/* An exponential step with the mean 1: number `number` of a stream. */
static double exponential(uint64_t dice, uint64_t number)
{
    uint64_t random = mix(dice + (number + 1) * GOLDEN);
    /* 1 to 2^53: never 0, of which there is no logarithm. */
    return -log((double)((random >> 11) + 1) * 0x1p-53);
}

/* ---- the cursor -------------------------------------------------------------------- */

static uint64_t burst_of(const struct pace *pace)
{
    return pace->plan->burst ? pace->plan->burst : 1;
}

static void end(struct pace *pace)
{
    pace->due_ns = INT64_MAX;
}

/* Find when the integral reaches pace->amount. */
static void settle(struct pace *pace)
{
    const struct plan *plan = pace->plan;
    for (; pace->stage < plan->stage_count; pace->stage++) {
        const struct plan_stage *stage = &plan->stages[pace->stage];
        double amount = stage_total(stage);
        if (pace->amount < pace->before + amount) {
            int64_t due = pace->stage_ns + stage_time(stage, pace->amount - pace->before);
            /* Two roots may round to the wrong order by a last bit. */
            if (due > pace->due_ns)
                pace->due_ns = due;
            return;
        }
        pace->before += amount;
        pace->stage_ns += stage->duration_ns;
    }
    end(pace);
}

static void settle_even(struct pace *pace)
{
    uint64_t number = pace->unit + pace->slot * pace->units;
    if ((double)number + 0.5 >= pace->total) {
        end(pace);
        return;
    }
    pace->amount = (double)(number - number % burst_of(pace)) + 0.5;
    settle(pace);
}

static void settle_poisson(struct pace *pace)
{
    uint64_t burst = burst_of(pace);
    if (pace->slot % burst != 0)
        return; /* due with the one before */
    pace->amount +=
        exponential(pace->dice, pace->slot) * (double)pace->units * (double)burst;
    settle(pace);
}

static void settle_next(struct pace *pace)
{
    if (pace->plan->arrival == PLAN_POISSON)
        settle_poisson(pace);
    else
        settle_even(pace);
}

void pace_init(struct pace *pace, const struct plan *plan, unsigned unit, unsigned units)
{
    *pace = (struct pace){.plan = plan, .unit = unit, .units = units};
    pace->total = pace_amount(plan, INT64_MAX);
    pace->dice = dice_of(plan->seed, unit);
    settle_next(pace);
}

void pace_next(struct pace *pace)
{
    if (pace->due_ns == INT64_MAX)
        return;
    pace->slot++;
    settle_next(pace);
}
