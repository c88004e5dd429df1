/*
 * compare.h - two sets of runs, side by side: what changed from A to B, by how much, and
 * whether chance would do.
 *
 * The unit is the run. For each number: the medians, the Hodges-Lehmann shift with its 95 %
 * interval, and p of the exact Mann-Whitney test. A change is told if p is below
 * COMPARE_ALPHA and the shift is at least min_effect of A's median; else it is "~". Three
 * runs a side can never tell (the smallest p there is 0.1): four are needed, of each.
 *
 * Six numbers are six tests: where nothing has changed, one of them is below COMPARE_ALPHA
 * in about one comparison of ten. A verdict is about its number alone. What an exit status
 * rests on is compare_surely_worse(): by Holm's method all of it together is wrong with
 * less than COMPARE_ALPHA; for that five runs are needed, of each. Pure.
 */
#ifndef PREFORK_BENCH_COMPARE_H
#define PREFORK_BENCH_COMPARE_H

#include "bench/result.h"

#define COMPARE_ALPHA      0.05
#define COMPARE_MIN_EFFECT 0.02
#define COMPARE_RUNS_MIN   4 /* to tell of a number by itself */
#define COMPARE_RUNS_SURE  5 /* to be sure of one among all: 2/252 * 6 < COMPARE_ALPHA */

enum compare_verdict {
    COMPARE_UNKNOWN, /* a side has no values */
    COMPARE_SAME,    /* "~": no change that chance, or min_effect, would not account for */
    COMPARE_BETTER,
    COMPARE_WORSE,
};

enum compare_number {
    COMPARE_RATE,
    COMPARE_P50,
    COMPARE_P99,
    COMPARE_MAX,
    COMPARE_MEAN,
    COMPARE_CPU,
    COMPARE_NUMBERS,
};

struct compare_row {
    size_t a_count, b_count; /* runs that know the number */
    double a, b;             /* medians; NAN if there are none */
    double change;           /* of the shift, as a share of a; NAN: unknown */
    double low, high; /* of the same, with 95 %; infinite if there are too few runs */
    double p;
    enum compare_verdict verdict;
};

/* "req/s", "p50" ... */
const char *compare_name(enum compare_number number);

/* The number in its unit, in text[FIGURE_MAX]. */
char *compare_figure(enum compare_number number, double value, char *text);

/*
 * Compare runs of side 'A' with runs of side 'B'; each has at most STATS_RUNS_MAX. Returns
 * 0 and fills in rows[COMPARE_NUMBERS], -E2BIG with too many runs, or -ENOMEM.
 */
int compare_runs(const struct result_run *a, size_t a_count, const struct result_run *b,
                 size_t b_count, double min_effect, struct compare_row *rows);

/*
 * May runs of `b` be set beside those of `a`? Numbers of different modes, or of an open and
 * a closed loop, mean different things, and those of a search are of its last trial. Of one
 * side the whole plan must be the same, but for the target: it is run several times.
 * Returns 0, or -EINVAL with a phrase in `why` that goes behind the name of b's document.
 */
int compare_check(const struct result *a, const struct result *b, bool one_side, char *why,
                  size_t why_len);

/* The runs of one side of a result with several; *out is to be freed. Returns how many, or
 * -ENOMEM. */
int compare_side(const struct result *result, char side, struct result_run **out);

/* A result as one run. */
struct result_run compare_as_run(const struct result *result);

/* How many got worse, each judged alone; and how many of them for sure, judged together. */
unsigned compare_worse(const struct compare_row *rows);
unsigned compare_surely_worse(const struct compare_row *rows);

#endif
