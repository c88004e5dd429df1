#include "bench/search_policy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void search_begin(struct search_policy *policy)
{
    *policy = (struct search_policy){
        .phase = SEARCH_PROBE, .pass_max = NAN, .fail_min = NAN, .step = SEARCH_WIDTH};
}

static void finish(struct search_policy *policy)
{
    policy->phase = SEARCH_DONE;
    policy->rate = NAN;
}

/* Try `rate` next, unless there is nothing left to try it with. */
static void go_on(struct search_policy *policy, enum search_phase phase, double rate)
{
    if (rate < SEARCH_RATE_LEAST || policy->trials >= SEARCH_TRIALS_MAX) {
        if (phase == SEARCH_CONFIRM) /* what is not confirmed is no answer */
            policy->pass_max = NAN;
        finish(policy);
        return;
    }
    policy->phase = phase;
    policy->rate = rate;
}

void search_probed(struct search_policy *policy, double rate)
{
    if (!(rate > 0)) {
        finish(policy);
        return;
    }
    double start = rate * SEARCH_START_SHARE;
    go_on(policy, SEARCH_CLIMB, start < SEARCH_RATE_LEAST ? SEARCH_RATE_LEAST : start);
}

/* Both ends are known, or the lower one is: halve what is between them, or see whether the
 * answer stands. */
static void narrow(struct search_policy *policy)
{
    if (policy->fail_min <= policy->pass_max * SEARCH_WIDTH)
        go_on(policy, SEARCH_CONFIRM, policy->pass_max);
    else
        go_on(policy, SEARCH_BISECT, sqrt(policy->pass_max * policy->fail_min));
}

static void climbed(struct search_policy *policy, bool pass)
{
    if (!isnan(policy->pass_max) && !isnan(policy->fail_min))
        narrow(policy);
    else
        go_on(policy, SEARCH_CLIMB, pass ? policy->rate * 2 : policy->rate / 2);
}

static void confirmed(struct search_policy *policy, bool pass)
{
    if (!pass) {
        policy->confirmed = 0;
        go_on(policy, SEARCH_CONFIRM, policy->rate / policy->step);
        policy->step *= policy->step;
    } else if (++policy->confirmed == SEARCH_CONFIRMATIONS) {
        policy->pass_max = policy->rate;
        finish(policy);
    } else {
        go_on(policy, SEARCH_CONFIRM, policy->rate);
    }
}

void search_tried(struct search_policy *policy, bool pass)
{
    double rate = policy->rate;
    policy->trials++;
    if (pass && !(policy->pass_max >= rate))
        policy->pass_max = rate;
    if (!pass && !(policy->fail_min <= rate))
        policy->fail_min = rate;
    switch (policy->phase) {
    case SEARCH_CLIMB:
        climbed(policy, pass);
        break;
    case SEARCH_BISECT:
        narrow(policy);
        break;
    case SEARCH_CONFIRM:
        confirmed(policy, pass);
        break;
    case SEARCH_PROBE:
    case SEARCH_DONE:
        break;
    }
}

void search_give_up(struct search_policy *policy)
{
    policy->pass_max = NAN; /* what is not confirmed is no answer */
    finish(policy);
}

int64_t search_duration(const struct search_policy *policy, int64_t duration_ns,
                        uint64_t samples)
{
    double needed_ns = (double)samples * SEARCH_SAMPLES_MORE * 1e9 / policy->rate;
    if (needed_ns <= (double)duration_ns)
        return duration_ns;
    return needed_ns <= (double)duration_ns * SEARCH_LONGER_MOST ? (int64_t)needed_ns : -1;
}

const char *search_phase_name(enum search_phase phase)
{
    static const char *const names[] = {"probe", "climb", "bisect", "confirm", "done"};
    return names[phase];
}

bool search_judge(const struct search_outcome *outcome, char *why, size_t why_len)
{
    why[0] = '\0';
    if (outcome->backlog_grew)
        snprintf(why, why_len, "the backlog grew %d s running", SEARCH_GROWING_ROWS);
    else if (outcome->invalid)
        snprintf(why, why_len, "%s", outcome->invalid);
    else if ((double)outcome->ok < (double)outcome->planned * SEARCH_ACHIEVED_LEAST)
        snprintf(why, why_len, "%" PRIu64 " of %" PRIu64 " were answered", outcome->ok,
                 outcome->planned);
    else if (outcome->ok == 0)
        snprintf(why, why_len, "nothing was answered");
    else if (outcome->slo)
        snprintf(why, why_len, "%s", outcome->slo);
    else
        return true;
    return false;
}

bool search_backlog_grows(struct search_backlog *watch, uint64_t backlog, double rate)
{
    bool grew = backlog > watch->last && (double)backlog > rate / 100;
    watch->growing = grew ? watch->growing + 1 : 0;
    watch->last = backlog;
    return watch->growing >= SEARCH_GROWING_ROWS;
}
