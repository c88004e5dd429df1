/*
 * run_internal.h - the inside of a run, in four files:
 *
 *     run.c           the coordinator: begin, rows, stop, end
 *     run_crew.c      the processes and threads that carry the units
 *     run_progress.c  lines on standard error, or a screen
 *     run_result.c    from tallies to the result
 *
 * Who talks to whom: the coordinator writes orders into a pipe of each unit (unit.h), and
 * reads what units have to say from one pipe per process, whose end also says that the
 * process has gone. Numbers lie in memory that all share.
 */
#ifndef PREFORK_BENCH_RUN_INTERNAL_H
#define PREFORK_BENCH_RUN_INTERNAL_H

#include "bench/requests.h"
#include "bench/run.h"
#include "bench/series.h"
#include "bench/unit.h"
#include <pthread.h>
#include <sys/types.h>

/* What a unit says. */
#define RUN_READY  'r'
#define RUN_ENDED  'd'
#define RUN_FAILED 'f' /* ended, too: why is in struct run_shared */

struct run_shared {
    int64_t go_ns;
    int failed;                   /* a negative errno of a unit's loop; 0: none */
    int64_t hashes[REQUESTS_MAX]; /* expect.h: of each request of the mix */
    struct tally tallies[];       /* one for each unit */
};

struct run_unit {
    struct unit *unit; /* in the process that carries it */
    int orders[2];     /* a pipe to it */
    struct run_process *process;
    pthread_t thread;
};

struct run_process {
    struct run *run;
    unsigned first, count; /* units */
    int says[2];           /* a pipe from it */
    pid_t pid;             /* 0: it is this one */
    bool gone, given_up;
    unsigned stopped; /* child_is_stuck() */
    unsigned ended;   /* units */
};

struct run {
    const struct plan *plan;
    const struct run_watcher *watcher;
    enum run_progress progress;
    struct result *result;
    pf_loop *loop;
    struct run_shared *shared;
    size_t shared_size;
    struct run_unit *units;
    struct run_process *processes;
    unsigned started; /* threads of this process */
    unsigned ready, ended;
    bool begun, interrupted, stopping, died;
    char how_died[64]; /* the first of them: result_validity.died */
    int error;         /* of the watcher, or of a unit */
    int64_t began_ns;
    int64_t seconds; /* rows by the clock so far */
    struct series series;
    struct series_sample over; /* when the planned time was over; without a histogram: it is
                                  not */
    struct result_row over_row; /* what was known of the server then */
    struct hdr *over_hdr;
    struct tally *sum;
    struct screen *screen; /* NULL: lines, or nothing */
    int64_t drawn_ns;      /* when it was last, and what was ok then */
    uint64_t drawn_ok;
    struct result *so_far; /* for the watcher's judge; NULL without one */
};

/* ---- run_crew.c */

/* Pipes and memory, then processes and, with one process, threads. The coordinator's loop
 * must not exist before run_crew_fork(). Each returns 0 or a negative errno. */
int run_crew_make(struct run *run);
int run_crew_fork(struct run *run);
int run_crew_start(struct run *run);
void run_crew_order(struct run *run, char order);
/* A process has gone before its units ended, by itself or killed: wait for it, and close
 * the books of its units at `now`. */
void run_crew_bury(struct run *run, struct run_process *process, int64_t now);
/* It will not go on: kill it. Its pipe tells when it has gone. */
void run_crew_give_up(struct run_process *process);
/* The same for all that have not ended. */
void run_crew_kill(struct run *run);
/* All have ended, or are told to: wait for them. */
void run_crew_join(struct run *run);
void run_crew_free(struct run *run);

/* ---- run_progress.c */

void run_progress_open(struct run *run);
void run_progress_close(struct run *run);
/* A second is over; failed: of all so far. */
void run_progress_line(const struct run *run, const struct result_row *row,
                       uint64_t failed);
/* With a screen: show run->sum. */
void run_progress_draw(struct run *run, int64_t now);

/* ---- run_result.c */

/* Add up the live counters, and the histogram that rows are made of. */
void run_sum_live(struct run *run);
/* The histogram that rows are made of. */
const struct hdr *run_main_hdr(const struct run *run, const struct tally *tally);
/* Fill in what is known at `elapsed_ns`: totals and latencies. Returns 0 or -ENOMEM. */
int run_fill_so_far(struct run *run, int64_t elapsed_ns, struct result *result);
/* All is over: fill in the result. Returns 0 or -ENOMEM. */
int run_fill_result(struct run *run);

#endif
