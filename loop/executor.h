/*
 * executor.h - work that owns its argument, for the floors above.
 *
 * Work may never run: it is cancelled, or the executor ends before its turn, with or
 * without the loop still there to hear of it. Whoever hands over memory with it does not
 * learn that in each case; so the executor gives the argument back.
 */
#ifndef PREFORK_LOOP_EXECUTOR_H
#define PREFORK_LOOP_EXECUTOR_H

#include <prefork/executor.h>

struct pf__work {
    pf_work_fn *run;
    void *arg;
    pf_destroy_fn *destroy;     /* of the value; may be NULL */
    pf_destroy_fn *destroy_arg; /* the same, of arg: once if run() is never called, on
                                   whichever thread comes last; else arg is run()'s */
    const char *where;
};

/* pf_loop_run_in_executor_full(). After an error arg is the caller's, as before. */
int pf__loop_run_work(pf_loop *loop, pf_executor *executor, const struct pf__work *work,
                      pf_future **out);

#endif
