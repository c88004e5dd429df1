/*
 * policy.h - what to do about a worker that is gone: pure functions, no system call.
 */
#ifndef PREFORK_MASTER_POLICY_H
#define PREFORK_MASTER_POLICY_H

#include <prefork/base.h>

/* A worker that lived this long was healthy: its end is no link of a crash loop. */
#define PF__MIN_UPTIME_NS (10 * PF_SECOND)
/* Failures in a row that a kill from outside counts for at the most: it says little about
 * the program, so the slot is not kept empty for long. */
#define PF__KILLED_FAILURES_MAX 2
/* Back-off: the first delay, doubled each time, and where it stops growing. */
#define PF__BACKOFF_FIRST_NS (100 * PF_MILLISECOND)
#define PF__BACKOFF_MAX_NS   (60 * PF_SECOND)
/* While other workers are healthy, so that no request pattern can close a slot for long. */
#define PF__BACKOFF_SIBLINGS_NS (2 * PF_SECOND)
/* Failed boots of one slot after which a server that never served gives up. */
#define PF__BOOT_FAILURES_MAX 5
/* All workers failing for this long ends a server that did serve. */
#define PF__ALL_FAILING_NS (60 * PF_SECOND)

/* Why a worker ended. */
enum pf__end {
    PF__END_COMMANDED, /* told to: by the master */
    PF__END_CLEAN,     /* status 0, of its own accord */
    PF__END_CRASH,     /* a signal, or another status, after it was ready */
    PF__END_KILLED,    /* SIGKILL after it was ready: from outside, or out of memory */
    PF__END_BOOT,      /* before it was ready */
};

const char *pf__end_name(enum pf__end end);

/* How it ended, as waitid(2) says it. */
enum pf__how {
    PF__HOW_ZERO, /* exit status 0 */
    PF__HOW_KILL, /* SIGKILL */
    PF__HOW_OTHER,
};

enum pf__end pf__policy_classify(bool commanded, bool was_ready, enum pf__how how);

/*
 * How long to wait before a slot is filled again.
 *
 * failures  in a row, this one included: see pf__policy_failures()
 * ready     the worker that ended had been ready
 * siblings  other workers accept
 * spread    0.5 to 1.5: keeps many servers that fail together from returning together
 */
int64_t pf__policy_delay(unsigned failures, bool ready, bool siblings, double spread);

/* The slot's failures in a row after this end, given those before it. */
unsigned pf__policy_failures(unsigned before, enum pf__end end, int64_t uptime_ns);

/* Should the server give up? Returns 0, PF_EXIT_CONFIG or PF_EXIT_TEMPFAIL. */
int pf__policy_give_up(bool ever_ready, unsigned boot_failures, int64_t all_failing_ns);

#endif
