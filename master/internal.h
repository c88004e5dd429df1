/*
 * internal.h - the master's inside: one struct, and who does what with it.
 *
 *     master.c    the master's states, what signals mean, what is put in order when
 *     start.c     everything before the first fork, and after the last worker
 *     planning.c  the CPU plan of this machine, made and made anew
 *     slots.c     the workers' places: who is in them, who comes next
 *     workers.c   one worker process: forked, talked to, killed
 *     reap.c      its end: why, and what it means for its slot
 *     lanes.c     who watches whose listeners: adoption and steering
 *     hang.c      the beats: lanes that are stuck, workers that are hung
 *     undead.c    workers that SIGKILL does not end
 *     helper.c    what is too slow for the master is done by a process of its own
 *     wear.c      what a worker has used up: when it is replaced
 *     spawn.c     the fork itself, and what a child does first
 *     oom.c       whom the kernel kills when memory runs out
 *     pid_file.c  that it runs once, and as which process
 *     notify.c    what the service manager is told
 *     privileges.c   what workers give up
 *     title.c     what ps(1) shows
 *     policy.c, plan.c   decisions without system calls
 *     places.c, cgroup.c, nic.c, plan_table.c   what the plan is made from, and shown as
 *     listeners.c, inherited.c, cpus.c, control.c, signals.c, ear.c   one kind of kernel
 * object each view.c      what it tells of itself: view -> status.c -> json.c
 */
#ifndef PREFORK_MASTER_INTERNAL_H
#define PREFORK_MASTER_INTERNAL_H

#include "ipc/catalogue.h"
#include "master/control.h"
#include "master/ear.h"
#include "master/listeners.h"
#include "master/notify.h"
#include "master/pid_file.h"
#include "master/plan.h"
#include "master/policy.h"
#include "master/privileges.h"

#include <prefork/master.h>
#include <signal.h>
#include <sys/types.h>

enum pf__master_state {
    PF__MASTER_STARTING,
    PF__MASTER_RUNNING,
    PF__MASTER_STOPPING,
    PF__MASTER_STATES,
};

const char *pf__master_state_name(enum pf__master_state state);
bool pf__master_may_move(enum pf__master_state from, enum pf__master_state to);

/* How urgently the master stops; each further request may only raise it. */
enum pf__stop {
    PF__STOP_NOT,
    PF__STOP_GRACEFUL, /* finish what is open, within the drain limit */
    PF__STOP_FAST,     /* drop what is open */
    PF__STOP_KILL,     /* SIGKILL */
};

/* A draining worker ends itself at its limit; one that does not is stuck, and is killed
 * this long after. The same for one that was told to drop everything. */
#define PF__STOP_GRACE_NS (2 * PF_SECOND)

/* How often the master looks at the beats, and at what has no event of its own. */
#define PF__TICK_NS (250 * PF_MILLISECOND)

/* Backtraces that are named at the same time. */
#define PF__NAMERS_MAX 4

/* From SIGKILL until a worker that has not ended is given up, and how many of them. */
#define PF__DEATH_NS   (5 * PF_SECOND)
#define PF__UNDEAD_MAX 16

/* What the program had before: given back at the end, and the mask to the workers. */
struct pf__signals {
    int fd; /* -1: not open */
    sigset_t mask;
    struct sigaction child, pipe, file_size;
};

struct pf__master;
struct pf__slot;

/* One worker process; its memory is a seat of its slot. */
struct pf__worker {
    struct pf__slot *slot;
    unsigned seat;              /* which rows of the scoreboard are its */
    pid_t pid;                  /* 0: nobody is here */
    enum pf_worker_state state; /* by its messages */
    enum pf__fate fate;         /* what we have in mind with it */
    bool was_ready;
    int64_t born_ns;
    pf_channel *channel;
    pf_timer
        timer; /* the boot limit, until it accepts; later, the next step of killing it */
    bool was_aborted; /* hung, and told so: see hang.c */
    struct pf__ear ear;
    struct pf__wear wear;     /* its limits */
    uint64_t requests_before; /* its rows' total at its birth */
    int64_t weighed_ns;       /* when its memory was looked at last */
    unsigned over_memory;     /* times in a row that it was over its limit */
};

/* A worker's place. It outlives the processes in it; of two, one is the current. */
struct pf__slot {
    struct pf__master *master;
    unsigned number;
    struct pf__worker seats[2];
    unsigned current;
    unsigned failures;
    char last_end[32];      /* "crash signal 11"; "": none so far */
    int64_t due_ns;         /* not filled before */
    int64_t empty_since_ns; /* nobody has accepted here since */
    pf_timer refill;        /* at due_ns */
};

/* A lane, as slots and threads count them: slot * threads + thread. */
struct pf__lane {
    bool full; /* it has paused; there may be none to take over, which it was told: */
    bool overflow;
    bool stuck;
    bool queue;        /* something waited on its listeners, when that was looked at last */
    bool excluded;     /* from what is steered to it */
    int adopter;       /* lane; PF__NOBODY */
    uint32_t adoption; /* the number of its last one */
    int64_t unable_until_ns; /* it could not adopt a moment ago */
    struct pf__pulse pulse;
};

/* A process that reads how much memory a worker has: see wear.c. */
struct pf__scale {
    pid_t pid;                 /* 0: none */
    struct pf__worker *worker; /* whose memory ... */
    pid_t of;                  /* ... unless it is another one by now */
    int fd;                    /* tells it; -1: not any more */
};

/* Counted since the start, for the status. */
struct pf__tally {
    uint64_t crashes, adoptions, stuck, hung, recycled, undead;
};

struct pf__master {
    const struct pf_master_options *options;
    enum pf__master_state state;
    enum pf__stop stop;
    int status; /* what pf_master_run() returns */
    pf_loop *loop;
    struct pf__signals signals;
    int death_pipe[2]; /* workers watch [0]; [1] is held here alone */
    int crash_pipe[2]; /* workers write [1]: records of ipc/crash.h */
    struct pf__listeners listeners;
    struct pf__control control;
    struct pf__notify notify;
    struct pf__pid_file pid_file;
    struct pf__privileges privileges; /* of the workers */
    pf_scoreboard *board;
    hwloc_topology_t topology; /* NULL: not known */
    struct pf_cpu_plan plan;
    struct pf__slot *slots;
    unsigned slot_count;
    struct pf__lane *lanes;
    unsigned threads, lane_count;
    bool begun; /* each slot has been forked for the first time; that must not fail */
    bool ever_ready;
    bool is_reaper; /* of what workers leave behind; not if it was before */
    int64_t started_ns;
    int64_t healthy_at_ns; /* when a worker was last known to be past PF__MIN_UPTIME_NS */
    int64_t forks_used_up_ns;     /* see pf__policy_fork() */
    int64_t fork_limit_ns;        /* when it was told last that there were too many */
    int64_t oom_kills, throttled; /* as the cgroup counted them last; -1: not known */
    bool is_throttled;
    pf_timer stop_timer, tick_timer;
    int64_t ticked_ns, worn_ns, planned_ns;
    unsigned quota_tick;    /* the tick in which the quota was looked at last */
    hwloc_bitmap_t allowed; /* CPUs, when they were planned; and the quota */
    unsigned quota_milli;
    unsigned ticks;               /* from 1 on */
    bool lanes_have_own;          /* listeners: some are not shared by all */
    bool steered;                 /* the groups have had a program for the first time */
    pid_t namers[PF__NAMERS_MAX]; /* processes that name backtraces; 0: none */
    pid_t undead[PF__UNDEAD_MAX]; /* workers that were given up; 0: none */
    struct pf__scale scale;
    struct pf__tally tally;
    char last_words[PF__EAR_TAIL + 2]; /* of the worker that failed to boot last */
};

#define PF__MASTER_INIT                                                                    \
    {                                                                                      \
        .signals = {.fd = -1}, .death_pipe = {-1, -1}, .crash_pipe = {-1, -1},             \
        .control = PF__CONTROL_NONE, .notify = PF__NOTIFY_NONE,                            \
        .pid_file = PF__PID_FILE_NONE, .scale = {.fd = -1}, .oom_kills = -1,               \
        .throttled = -1                                                                    \
    }

/* ---- start.c --------------------------------------------------------------------- */

/* The options with their defaults, and the service as far as the program knows it, which
 * *out borrows. Returns 0 or -EINVAL. */
int pf__start_options(const struct pf_master_options *given, struct pf_master_options *out,
                      struct pf_service *service);

/* Everything that can fail before the first fork. Returns an exit status; what was made is
 * given back by pf__end(), whatever it is. */
int pf__start(struct pf__master *master);
void pf__end(struct pf__master *master);

/* "cannot start: WHAT: why" into options->error; returns PF_EXIT_SOFTWARE. */
int pf__start_failed(const struct pf__master *master, const char *what, int err);

/* ---- planning.c ------------------------------------------------------------------ */

/* Plan: how many slots and lanes, and where they run. Returns an exit status. */
int pf__planning(struct pf__master *master);

/* Has the machine changed? Looks now and then; if so plans anew, and pins who runs. */
void pf__planning_again(struct pf__master *master);

/* ---- slots.c --------------------------------------------------------------------- */

static inline struct pf__worker *pf__slot_worker(struct pf__slot *slot)
{
    return &slot->seats[slot->current];
}

static inline struct pf__worker *pf__slot_other(struct pf__slot *slot)
{
    return &slot->seats[!slot->current];
}

/* Do what policy wants with each slot now. Returns 0, or why a first fork failed: then the
 * slots behind it have none. */
int pf__slots_review(struct pf__master *master);

/* Tell all workers to leave, as urgently as master->stop says. */
void pf__slots_stop(struct pf__master *master);

/* Worker processes that live; slots whose current worker accepts. */
unsigned pf__slots_alive(const struct pf__master *master);
unsigned pf__slots_accepting(const struct pf__master *master);

/* The worker that is this process; NULL: none is. */
struct pf__worker *pf__slots_find(struct pf__master *master, pid_t pid);

/* The slot is to be filled again, so much later. */
void pf__slot_refill(struct pf__slot *slot, int64_t delay_ns);

/* ---- workers.c ------------------------------------------------------------------- */

/* Fork one into its seat, which is empty. Returns 0 or a negative errno. */
int pf__worker_start(struct pf__worker *worker);

/* Send a message to a worker. One that cannot be sent is noted, and its error returned. */
int pf__worker_tell(struct pf__worker *worker, enum pf_ipc_type type, const void *payload,
                    size_t len, const int *fds, size_t fd_count);

/* Let it leave; `last`: nobody else accepts from its listeners. */
void pf__worker_drain(struct pf__worker *worker, bool last);

/* It is leaving, told by us or by a signal: if it has not by its limit, it is killed. */
void pf__worker_limit_leaving(struct pf__worker *worker);

/* SIGABRT, or SIGKILL: then it ends, or is given up PF__DEATH_NS later. */
void pf__worker_kill(struct pf__worker *worker, int signal_number, const char *why);

/* Its process is reaped: forget all about it. */
void pf__worker_clear(struct pf__worker *worker);

bool pf__worker_accepts(const struct pf__worker *worker);

/* Its lane's cell in the scoreboard. */
uint64_t pf__worker_get(const struct pf__worker *worker, unsigned thread,
                        enum pf__column column);

/* ---- reap.c ---------------------------------------------------------------------- */

/* Reap every child that has ended. */
void pf__reap(struct pf__master *master);

/* ---- lanes.c --------------------------------------------------------------------- */

static inline struct pf__worker *pf__lane_worker(struct pf__master *master, unsigned lane)
{
    return pf__slot_worker(&master->slots[lane / master->threads]);
}

/* Who watches whose listeners: put in order what policy and facts say now. */
void pf__lanes_review(struct pf__master *master);

/* A worker said that this lane of its cannot adopt what is named; a worker's lanes watch
 * nobody's any more, for it has ended or is leaving. */
void pf__lanes_unable(struct pf__master *master, unsigned adopter,
                      const struct pf__ipc_lane *named);
void pf__lanes_forget(struct pf__worker *worker);

/* The slot's lanes are another worker's from now on, or nobody's: what was known of the
 * last one's is past. */
void pf__lanes_anew(struct pf__slot *slot);

/* ---- hang.c ---------------------------------------------------------------------- */

/* Begin to look at the beats, every PF__TICK_NS. Returns 0 or a negative errno. */
int pf__tick_start(struct pf__master *master);

/* Has the master itself been held up? Then nobody is to be blamed for time that has passed.
 */
bool pf__tick_is_late(const struct pf__master *master);

/* What a worker's crash handler wrote. */
int pf__crash_on_record(pf_loop *loop, int fd, unsigned events, void *arg);

/* The same, without waiting for the loop: all that stands in the pipe. */
void pf__crash_read(struct pf__master *master);

/* ---- undead.c -------------------------------------------------------------------- */

/* SIGKILL has not ended the worker: go on without it. */
void pf__undead_give_up(struct pf__worker *worker);

/* Was it one of these that was reaped? */
bool pf__undead_ended(struct pf__master *master, pid_t pid);

/* ---- wear.c ---------------------------------------------------------------------- */

/* What its rows have counted, its predecessors' included. */
uint64_t pf__worker_requests(const struct pf__worker *worker);

/* Why the worker is to be replaced; NULL: it is not. Looks at its memory now and then. */
const char *pf__worker_worn(struct pf__worker *worker);

/* Was it the process that weighs a worker that was reaped? */
bool pf__scale_reaped(struct pf__master *master, pid_t pid);

/* Hear it no more. */
void pf__scale_close(struct pf__master *master);

/* ---- spawn.c --------------------------------------------------------------------- */

/* What the master and a worker it forked talk through, the master's ends. */
struct pf__lines {
    int channel_fd;
    int stderr_fd;
};

/* Fork a worker. Returns its pid, in the master only; or a negative errno. */
int pf__spawn(struct pf__worker *worker, struct pf__lines *lines);

/* In a child: let go of everything of the master's but the listeners of one slot (none:
 * slot_count), the death pipe's reading end, and what is for all. arg: the master. */
void pf__let_go(struct pf__master *master, unsigned kept_slot);

/* ---- signals.c ------------------------------------------------------------------- */

/* Block the master's signals and open a descriptor that tells of them. Returns 0 or a
 * negative errno. */
int pf__signals_open(struct pf__signals *signals);

/* In a child: default dispositions for all that the master handles. Leaves them blocked. */
void pf__signals_reset(void);

/* Close, and put mask and dispositions back. */
void pf__signals_close(struct pf__signals *signals);

/* ---- master.c -------------------------------------------------------------------- */

pf_io_fn pf__master_on_signal;

int64_t pf__master_now(const struct pf__master *master);

/* Something has changed: fill slots, adopt, steer; is everything up, or over, or hopeless?
 */
void pf__master_review(struct pf__master *master);

#endif
