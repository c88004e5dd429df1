/*
 * contest.h - programs that do the same jobs and say how long they took: the loop_* of
 * `make bench-loop`, one for each event loop.
 *
 * Each run is a process of its own, so that nobody's memory is warm from another's work;
 * the programs are asked as loop_bench.c says: -v who they are, -l what there is to do, or
 * a job's name.
 */
#ifndef PREFORK_BENCH_CONTEST_H
#define PREFORK_BENCH_CONTEST_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTEST_SUBJECTS_MAX 16
#define CONTEST_JOBS_MAX     128
#define CONTEST_NAME_MAX     48

/* The program of our own loop, which all are compared with. */
#define CONTEST_OURS "prefork"

struct contest_subject {
    char name[CONTEST_NAME_MAX]; /* "prefork": of the program loop_prefork */
    char title[96];              /* "prefork 0.1.0 (epoll)" */
    char path[PATH_MAX];
};

struct contest_job {
    char name[CONTEST_NAME_MAX];
    bool peers;   /* for all libraries; else of our own pollers */
    bool threads; /* it runs several threads: not to be pinned */
    int64_t ops;  /* operations of a run */
};

/* One run. */
struct contest_time {
    double cpu_ns, wall_ns; /* per operation */
    char unit[32];          /* what that is */
};

/*
 * The programs in a folder, ours first, the others by name, with their titles. Returns how
 * many; a negative errno of opendir(3). One that cannot be run is not among them.
 */
int contest_find(const char *folder, struct contest_subject *out, size_t max);

/* What this one can do. Returns how many jobs, or -EPROTO. */
int contest_list(const struct contest_subject *subject, struct contest_job *out,
                 size_t max);

/*
 * Let it do the job once, with so many operations (0: as many as it says), on one CPU
 * unless the job has threads. Returns 0; -EPROTO: it failed, or did something else than
 * was asked, and has said why on standard error; or the errno of fork(2), pipe(2).
 */
int contest_run(const struct contest_subject *subject, const struct contest_job *job,
                int64_t ops, struct contest_time *out);

/* Read what a run says: one line of JSON. Returns 0 or -EPROTO. */
int contest_parse(const char *text, const char *job, struct contest_time *out);

#endif
