/*
 * search_policy.h - which rate to try next, to find the highest one that holds its goals.
 *
 *     SEARCH_PROBE     a closed loop tells about where the end is
 *     SEARCH_CLIMB     from a tenth of that: twice as much while trials pass; half as much
 *                      until one does
 *     SEARCH_BISECT    between the highest that passed and the lowest that failed, in
 *                      ratios, until they are within the width
 *     SEARCH_CONFIRM   longer trials of what was found, all of which must pass; else step
 *                      down, each time twice as far
 *     SEARCH_DONE      pass_max and fail_min tell: the former none (NAN) if no rate held
 *
 * What a trial passes by is the caller's to judge: search_judge() has the rules that all
 * have in common. Pure: reads no clock and runs nothing.
 */
#ifndef PREFORK_BENCH_SEARCH_POLICY_H
#define PREFORK_BENCH_SEARCH_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum search_phase {
    SEARCH_PROBE,
    SEARCH_CLIMB,
    SEARCH_BISECT,
    SEARCH_CONFIRM,
    SEARCH_DONE,
};

/* The first trial, as a share of what the probe reached. */
#define SEARCH_START_SHARE 0.10
/* The end of the search: the lowest that failed is at most so many times the highest that
 * passed. */
#define SEARCH_WIDTH 1.05
/* Trials of the answer. */
#define SEARCH_CONFIRMATIONS 2
/* A rate below that, per second, is none. */
#define SEARCH_RATE_LEAST 1.0
/* Trials in all: a server whose answers change at random must not keep us for ever. */
#define SEARCH_TRIALS_MAX 60
/* Share of the requests planned that must be answered, for a trial to have had its rate. */
#define SEARCH_ACHIEVED_LEAST 0.99
/* A trial may last so many times as long as asked for, to have the samples that its goals
 * need; and so many more of them are planned, for those that do not come in time. */
#define SEARCH_LONGER_MOST  10
#define SEARCH_SAMPLES_MORE 1.2
/* Trials on end in which nothing was answered: nobody is there any more. */
#define SEARCH_UNANSWERED_MOST 2
/* Rows in which the backlog grows, one after the other, until a trial is given up. */
#define SEARCH_GROWING_ROWS 3

struct search_policy {
    enum search_phase phase;
    double rate;               /* of the next trial, per second */
    double pass_max, fail_min; /* NAN: none */
    double step;               /* SEARCH_CONFIRM: a failure divides the rate by that */
    unsigned confirmed;        /* trials that passed at this rate */
    unsigned trials;
};

void search_begin(struct search_policy *policy);

/* The probe's result: ok answers per second. 0 ends the search. */
void search_probed(struct search_policy *policy, double rate);

/* The trial at policy->rate has passed, or not: go on. */
void search_tried(struct search_policy *policy, bool pass);

/* There is no answer to be had: the end. */
void search_give_up(struct search_policy *policy);

/* How long a trial at the policy's rate must last, to be `duration_ns` at least and to have
 * that many samples. -1: longer than SEARCH_LONGER_MOST allows. */
int64_t search_duration(const struct search_policy *policy, int64_t duration_ns,
                        uint64_t samples);

const char *search_phase_name(enum search_phase phase); /* "probe" ... */

/* What a trial came to. */
struct search_outcome {
    uint64_t planned, ok; /* a Poisson stream has not just rate * time requests */
    const char *slo;      /* the first goal missed: "p99<5ms (was 7.1ms)"; NULL: none */
    const char *invalid;  /* what is wrong with the generator; NULL: nothing */
    bool backlog_grew;    /* it was given up for it */
};

/* Has it passed? If not, why_len bytes at `why` say what was the matter, else "". */
bool search_judge(const struct search_outcome *outcome, char *why, size_t why_len);

/* Watches the backlog of a trial. Starts zeroed. */
struct search_backlog {
    uint64_t last;
    unsigned growing; /* rows on end */
};

/* A row has come: true if the backlog has grown SEARCH_GROWING_ROWS times running. What is
 * below a hundredth of a second's requests is no backlog but chance. */
bool search_backlog_grows(struct search_backlog *watch, uint64_t backlog, double rate);

#endif
