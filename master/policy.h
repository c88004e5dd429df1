/*
 * policy.h - what to do about workers: pure functions, no system call.
 *
 * Why one ended, how long its slot waits, when the server gives up; when a worker is
 * started, replaced, stopped; when a lane counts as stuck and a worker as hung; who adopts
 * whose listeners. Whoever calls fills in what it sees and does what it is told.
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
/* Forks in ten seconds: one for each slot, and so many. They may come all at once; then one
 * by one, so that a server without workers is not without for long. */
#define PF__FORKS_SPARE     8
#define PF__FORKS_WINDOW_NS (10 * PF_SECOND)
/* A lane nobody serves for so long is adopted; a boot is mostly shorter. */
#define PF__ABSENT_NS (50 * PF_MILLISECOND)

/* ---- ends ------------------------------------------------------------------------ */

/* Why a worker ended. */
enum pf__end {
    PF__END_COMMANDED, /* told to: by the master, or by a signal */
    PF__END_RECYCLED,  /* replaced: it had served its time */
    PF__END_CLEAN,     /* status 0, of its own accord */
    PF__END_CRASH,     /* a signal, or another status, after it was ready */
    PF__END_HUNG,      /* killed by the master: its loop did not turn */
    PF__END_KILLED,    /* SIGKILL after it was ready: from outside */
    PF__END_MEMORY, /* the same, and the kernel has killed for want of memory meanwhile */
    PF__END_BOOT,   /* before it was ready */
    PF__ENDS,
};

const char *pf__end_name(enum pf__end end);

/* How it ended, as waitid(2) says it. */
enum pf__how {
    PF__HOW_ZERO, /* exit status 0 */
    PF__HOW_KILL, /* SIGKILL */
    PF__HOW_OTHER,
};

/* What the master had in mind with it. */
enum pf__fate {
    PF__FATE_LIVE,
    PF__FATE_LEAVE, /* the server stops */
    PF__FATE_RECYCLE,
    PF__FATE_HANG,  /* it is hung */
    PF__FATE_EVICT, /* it leaves too slowly */
    PF__FATE_ASKED, /* nothing: a signal of somebody else's told it to leave */
};

enum pf__end pf__policy_classify(enum pf__fate fate, bool was_ready, enum pf__how how,
                                 bool memory_is_short);

/*
 * How long to wait before a slot is filled again.
 *
 * failures  in a row, this one included: see pf__policy_failures()
 * ready     the worker that ended had been ready
 * siblings  other workers accept
 * spread    0.5 to 1.5: keeps many servers that fail together from returning together
 */
int64_t pf__policy_delay(unsigned failures, bool ready, bool siblings, double spread);

/* Such a spread. The low digits of a moment in nanoseconds are chance enough, and the
 * program's random(3) stays the program's. */
double pf__policy_spread(int64_t now_ns);

/* The slot's failures in a row after this end, given those before it. */
unsigned pf__policy_failures(unsigned before, enum pf__end end, int64_t uptime_ns);

/*
 * May one more be forked now?
 *
 * used_up_ns  when what has been forked will have been made up for; is moved on if it may.
 *             0 at first
 *
 * Returns 0, or how long to wait.
 */
int64_t pf__policy_fork(int64_t *used_up_ns, unsigned slots, int64_t now_ns);

/* Should the server give up? Returns 0, PF_EXIT_CONFIG or PF_EXIT_TEMPFAIL. `stay`: not
 * once it has served. */
int pf__policy_give_up(bool ever_ready, unsigned boot_failures, int64_t all_failing_ns,
                       bool stay);

/* ---- slots ----------------------------------------------------------------------- */

/* What a seat of a slot holds: each slot has two, one of them current. */
enum pf__seat_kind {
    PF__SEAT_EMPTY,
    PF__SEAT_BOOTING,
    PF__SEAT_ACCEPTING,
    PF__SEAT_LEAVING, /* drains, or is hung and about to be killed */
    PF__SEAT_KINDS,
};

struct pf__slot_view {
    enum pf__seat_kind current, other;
    bool stopping; /* the server is */
    bool due;      /* the back-off is over */
    bool worn;     /* the current worker has served its time */
    bool turn;     /* and no other slot is replacing its own */
};

enum pf__slot_action {
    PF__SLOT_WAIT,
    PF__SLOT_START,   /* a worker in the current seat, which is empty */
    PF__SLOT_PROMOTE, /* the other seat is the current one from now on */
    PF__SLOT_REPLACE, /* a successor in the other seat */
    PF__SLOT_SWAP,    /* promote the successor, and let the old one drain */
    PF__SLOT_EVICT, /* both leave, and the slot needs a seat: the older one goes at once */
    PF__SLOT_ACTIONS,
};

enum pf__slot_action pf__policy_slot(const struct pf__slot_view *slot);

/* When a worker has served its time; 0: never. */
struct pf__wear {
    uint64_t requests;
    int64_t lifetime_ns;
    uint64_t memory_bytes;
};

/* The limits of one worker: each a little less than asked, so that not all are due at once.
 * spread: 0.5 to 1.5. */
struct pf__wear pf__policy_wear(const struct pf__wear *limits, double spread);

/* Which limit it is beyond: "requests", "lifetime", "memory"; NULL: none. */
const char *pf__policy_worn(const struct pf__wear *limits, const struct pf__wear *worker);

/* ---- hung workers ---------------------------------------------------------------- */

/* A lane's beat, as its master looks at it: see pf_loop_set_beat(). */
struct pf__pulse {
    uint64_t beat;
    int64_t still_since_ns; /* when it was first seen as it is */
    int64_t pinged_ns;      /* 0: not since then */
    bool was_stopped;       /* at the last look */
};

struct pf__pulse_facts {
    uint64_t beat;
    int64_t now_ns;
    int64_t busy_until_ns; /* declared: pf_lane_busy() */
    bool queue;            /* connections wait on its listeners */
    bool stopped;          /* by a debugger or SIGSTOP: never hung */
    bool throttled;        /* the CPU quota is used up now and then: limits are doubled */
    int64_t soft_ns, hard_ns;
};

enum pf__verdict {
    PF__PULSE_FINE,
    PF__PULSE_PING,  /* it sleeps although a queue stands: wake it */
    PF__PULSE_STUCK, /* beyond the soft limit */
    PF__PULSE_HUNG,  /* beyond the hard limit */
};

/* Take a look: notes in *pulse what it saw. A lane that sleeps in its poller is never hung,
 * unless it does not wake when connections wait and it is pinged; if it is stopped, it is
 * stuck then at the most. */
enum pf__verdict pf__policy_pulse(struct pf__pulse *pulse,
                                  const struct pf__pulse_facts *facts);

/* The clock has jumped (suspended, or the master itself was held up): start anew. */
void pf__policy_pulse_reset(struct pf__pulse *pulse, int64_t now_ns);

/* ---- adoption -------------------------------------------------------------------- */

#define PF__NOBODY (-1)

struct pf__lane_view {
    bool serves;   /* accepts, is not stuck, not full */
    bool orphaned; /* its listeners need somebody else: absent, stuck or full */
    bool unable;   /* could not adopt, a moment ago */
    int adopter;   /* who watches its listeners too; PF__NOBODY */
};

/* How far apart two lanes are: smaller is nearer. */
typedef int pf__distance_fn(const void *arg, unsigned a, unsigned b);

/*
 * Who is to adopt each lane, into adopters[count]: nobody if the lane serves or all are
 * orphaned; whoever does already, as long as it serves; else the nearest of those that
 * serve, and of these the one with the fewest adopted, then the next in number.
 */
void pf__policy_adopters(const struct pf__lane_view *lanes, unsigned count,
                         pf__distance_fn *distance, const void *arg, int *adopters);

#endif
