/*
 * testing.h - for an application's own tests: time that the test owns, and a look for
 * leaks.
 *
 *     struct pf_test_clock clock = {0};
 *     pf_loop *loop;
 *     pf_test_loop_new(&clock, &loop);
 *     ... start what is to be tested on `loop` ...
 *     pf_test_run_until_idle(loop);                nothing more to do at this moment
 *     pf_test_advance(loop, &clock, 30 * PF_SECOND);   half a minute passes at once
 *
 * Descriptors are real: pipes and sockets between parts of one test work as ever. Only
 * sleeping is not: where the loop would sleep until a timer, the clock moves there instead,
 * and where it would sleep for ever, because no timer waits and nothing is ready,
 * pf_loop_start() fails with -EDEADLK. No test waits, and none depends on the machine's
 * speed.
 */
#ifndef PREFORK_TESTING_H
#define PREFORK_TESTING_H

#include <prefork/base.h>
#include <prefork/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The time of a test; the test may move it as it likes. */
struct pf_test_clock {
    int64_t now_ns;
    /* Real time to wait, where the loop would sleep, for other threads and processes to do
     * something. 0: there are none that matter. */
    int64_t patience_ns;
};

/*
 * Options for a loop on that clock, which is borrowed for the life of the loop: change what
 * else matters and hand them to pf_loop_new().
 */
PF_API struct pf_loop_options pf_test_options(struct pf_test_clock *clock);

/* Make a loop with those options. Returns what pf_loop_new() answers. */
PF_API int pf_test_loop_new(struct pf_test_clock *clock, pf_loop **out);

/* The same, with where it was called. */
PF_API int pf_test_loop_new_at(struct pf_test_clock *clock, const char *where,
                               pf_loop **out);
#define pf_test_loop_new(clock, out) pf_test_loop_new_at((clock), PF_HERE, (out))

/* Turns after which pf_test_run_until_idle() gives up. */
#define PF_TEST_TURNS_MAX 100000

/*
 * Turn until nothing is left to do now: no callback is queued, no descriptor is ready, no
 * timer is due. Time stands still. Returns how many callbacks, timers and handlers ran,
 * -EDEADLK if they went on for PF_TEST_TURNS_MAX turns, or what pf_loop_turn() failed with.
 */
PF_API int pf_test_run_until_idle(pf_loop *loop);

/*
 * Let time pass: the clock moves from timer to timer, each of which runs at its very
 * deadline, and at last to now + ns; after each step as pf_test_run_until_idle(). Returns
 * the same.
 */
PF_API int pf_test_advance(pf_loop *loop, struct pf_test_clock *clock, int64_t ns);

/* Descriptors from this number on are not looked at. */
#define PF_TEST_DESCRIPTORS 1024

/* What a process holds at one moment. */
struct pf_test_mark {
    uint64_t open[PF_TEST_DESCRIPTORS / 64]; /* a bit for each descriptor */
    bool children;                           /* any that is not reaped */
    bool loops; /* does the program own any: then more are not seen */
};

/* Take it now. */
PF_API void pf_test_mark(struct pf_test_mark *mark);

/*
 * Is all that came since the mark gone again? Returns 0, or -EBUSY with what is left in
 * `why`, one line such as "descriptor 7 (pipe), descriptor 8 (pipe), a loop made at
 * app.c:12", cut at why_size.
 */
PF_API int pf_test_check(const struct pf_test_mark *mark, char *why, size_t why_size);

/*
 * Does the loop still have something to call? Returns 0, or -EBUSY and the first of it in
 * `why`: "handler of descriptor 7 (client), registered at app.c:33". The order is that of
 * pf_loop_walk(). Or what that answers.
 */
PF_API int pf_test_check_loop(pf_loop *loop, char *why, size_t why_size);

#ifdef __cplusplus
}
#endif
#endif
