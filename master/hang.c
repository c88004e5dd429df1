/*
 * hang.c - lanes that are stuck, workers that are hung.
 *
 * Every PF__TICK_NS the master looks at the beat that each lane's loop leaves in the
 * scoreboard; what that means is for pf__policy_pulse() to say. A stuck lane's listeners
 * are adopted (lanes.c). A hung worker loses its slot at once, and its life in steps:
 *
 *     asked for a backtrace -> SIGABRT -> SIGKILL -> given up (undead.c)
 *
 * What a worker's crash handler writes comes in here too; a process of its own puts names
 * to the addresses (names.c).
 */
#include "master/cpus.h"
#include "master/internal.h"
#include "master/names.h"
#include "master/task.h"

#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A tick that comes so much too late was not the workers' fault: the machine was suspended,
 * or all of us held up. */
#define LATE_NS PF_SECOND
/* From the question for a backtrace to SIGABRT, and on to SIGKILL. */
#define ABORT_AFTER_NS PF_SECOND
#define KILL_AFTER_NS  (5 * PF_SECOND)
/* A sleeper's queue is looked at in one tick of so many. */
enum {
    QUEUE_TICKS = 4
};

static void tell_of_stuck(const struct pf__worker *worker, unsigned thread, int64_t still)
{
    char wchan[64], call[128];
    uint64_t tid = pf__worker_get(worker, thread, PF__COLUMN_TID);
    pf_log(PF_LOG_WARN, "lane-stuck",
           "worker=%u pid=%ld thread=%u for=%.1fs state=%c wchan=%s syscall=%s",
           worker->slot->number, (long)worker->pid, thread, (double)still / 1e9,
           pf__task_state(worker->pid, tid),
           pf__task_read(worker->pid, tid, "wchan", wchan, sizeof wchan),
           pf__task_read(worker->pid, tid, "syscall", call, sizeof call));
}

/* ---- ending a hung worker -------------------------------------------------------- */

static pf_callback_fn worker_on_next_step;

static void step_later(struct pf__worker *worker, int64_t after_ns)
{
    pf_loop *loop = worker->slot->master->loop;
    (void)pf_loop_remove_timeout(loop, worker->timer);
    worker->timer = (pf_timer){0};
    (void)pf_loop_call_later(loop, after_ns, worker_on_next_step, worker, &worker->timer);
}

static int worker_on_next_step(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__worker *worker = arg;
    worker->timer = (pf_timer){0};
    if (worker->was_aborted) {
        pf__worker_kill(worker, SIGKILL, "hung");
        return 0;
    }
    worker->was_aborted = true;
    pf__worker_kill(worker, SIGABRT, "hung");
    step_later(worker, KILL_AFTER_NS);
    return 0;
}

static void begin_to_kill(struct pf__worker *worker, unsigned thread)
{
    uint64_t tid = pf__worker_get(worker, thread, PF__COLUMN_TID);
    worker->fate = PF__FATE_HANG;
    worker->slot->master->tally.hung++;
    pf_log(PF_LOG_ERROR, "worker-hung", "worker=%u pid=%ld thread=%u", worker->slot->number,
           (long)worker->pid, thread);
    (void)syscall(SYS_tgkill, worker->pid, (pid_t)tid, PF_CRASH_SIGNAL_DUMP);
    step_later(worker, ABORT_AFTER_NS);
}

/* ---- the beats ------------------------------------------------------------------- */

/* Has the CPU quota run out since this was asked last? Once a tick is enough. */
static bool is_throttled(struct pf__master *master)
{
    if (master->quota_tick == master->ticks)
        return master->is_throttled;
    master->quota_tick = master->ticks;
    int64_t now = pf__cpus_throttled("/proc/self", "/sys/fs/cgroup");
    master->is_throttled = master->throttled >= 0 && now > master->throttled;
    master->throttled = now;
    return master->is_throttled;
}

static void ping(struct pf__worker *worker, unsigned thread)
{
    struct pf__ipc_lane named = {.thread = thread};
    (void)pf__worker_tell(worker, PF_IPC_PING, &named, sizeof named, NULL, 0);
}

/* By a debugger or SIGSTOP. */
static bool is_stopped(const struct pf__worker *worker, unsigned thread)
{
    char state =
        pf__task_state(worker->pid, pf__worker_get(worker, thread, PF__COLUMN_TID));
    return state == 'T' || state == 't';
}

/* Does something wait for a lane that sleeps? In the ticks between, as it was. */
static bool has_queue(struct pf__master *master, unsigned at)
{
    struct pf__lane *lane = &master->lanes[at];
    if (lane->pulse.pinged_ns || master->ticks % QUEUE_TICKS == 0)
        lane->queue = !lane->full && pf__listeners_wait(&master->listeners, at);
    return lane->queue;
}

/* The facts about a lane; what takes a system call only where it matters. */
static struct pf__pulse_facts facts_of(struct pf__worker *worker, unsigned thread,
                                       unsigned at, int64_t now)
{
    struct pf__master *master = worker->slot->master;
    const struct pf__pulse *pulse = &master->lanes[at].pulse;
    struct pf__pulse_facts facts = {
        .beat = pf__worker_get(worker, thread, PF__COLUMN_BEAT),
        .now_ns = now,
        .busy_until_ns = (int64_t)pf__worker_get(worker, thread, PF__COLUMN_BUSY_UNTIL),
        .soft_ns = master->options->hang_soft_ns,
        .hard_ns = master->options->hang_hard_ns};
    bool sleeps = !(facts.beat & 1);
    if (facts.beat != pulse->beat)
        return facts;
    if (sleeps) {
        facts.queue = has_queue(master, at);
        facts.stopped = pulse->pinged_ns && is_stopped(worker, thread);
    } else if (now - pulse->still_since_ns >= facts.soft_ns / 2) {
        facts.stopped = is_stopped(worker, thread);
        facts.throttled = is_throttled(master);
    }
    return facts;
}

/* Returns whether something is another way now. */
static bool look_at_lane(struct pf__worker *worker, unsigned thread, int64_t now)
{
    struct pf__master *master = worker->slot->master;
    unsigned at = worker->slot->number * master->threads + thread;
    struct pf__lane *lane = &master->lanes[at];
    struct pf__pulse_facts facts = facts_of(worker, thread, at, now);
    int64_t still = now - lane->pulse.still_since_ns;
    enum pf__verdict verdict = pf__policy_pulse(&lane->pulse, &facts);
    bool was_stuck = lane->stuck;
    lane->stuck = verdict == PF__PULSE_STUCK || verdict == PF__PULSE_HUNG;
    if (verdict == PF__PULSE_PING)
        ping(worker, thread);
    if (lane->stuck && !was_stuck) {
        master->tally.stuck++;
        tell_of_stuck(worker, thread, still);
    }
    if (was_stuck && !lane->stuck)
        pf_log(PF_LOG_INFO, "lane-recovered", "worker=%u thread=%u", worker->slot->number,
               thread);
    if (verdict == PF__PULSE_HUNG)
        begin_to_kill(worker, thread);
    return was_stuck != lane->stuck || verdict == PF__PULSE_HUNG;
}

static void look_at_lanes(struct pf__master *master, int64_t now)
{
    for (unsigned i = 0; i < master->slot_count; i++)
        for (unsigned thread = 0; thread < master->threads; thread++) {
            struct pf__worker *worker = pf__slot_worker(&master->slots[i]);
            if (pf__worker_accepts(worker)) /* asked anew: the last one may have hung */
                (void)look_at_lane(worker, thread, now);
        }
}

static void start_anew(struct pf__master *master, int64_t now)
{
    pf_log(PF_LOG_INFO, "clock-jumped", "for=%.1fs no-lane-is-judged",
           (double)(now - master->ticked_ns) / 1e9);
    master->healthy_at_ns += now - master->ticked_ns;
    for (unsigned i = 0; i < master->lane_count; i++)
        pf__policy_pulse_reset(&master->lanes[i].pulse, now);
}

/* ---- the tick -------------------------------------------------------------------- */

bool pf__tick_is_late(const struct pf__master *master)
{
    return pf__master_now(master) - master->ticked_ns > PF__TICK_NS + LATE_NS;
}

static int master_on_tick(pf_loop *loop, void *arg)
{
    struct pf__master *master = arg;
    int64_t now = pf__master_now(master);
    if (pf__tick_is_late(master))
        start_anew(master, now);
    else if (master->stop == PF__STOP_NOT)
        look_at_lanes(master, now);
    master->ticked_ns = now;
    master->ticks++;
    pf__planning_again(master);
    pf__notify_again(&master->notify);
    pf__master_review(master);
    return pf_loop_call_later(loop, PF__TICK_NS, master_on_tick, master,
                              &master->tick_timer);
}

int pf__tick_start(struct pf__master *master)
{
    master->ticked_ns = pf__master_now(master);
    master->ticks = 1;
    return pf_loop_call_later(master->loop, PF__TICK_NS, master_on_tick, master,
                              &master->tick_timer);
}

/* ---- backtraces ------------------------------------------------------------------ */

/* More than a pipe holds; what comes faster than it is read has to wait for its turn. */
enum {
    RECORDS_MAX = 128
};

static void let_go(void *arg)
{
    struct pf__master *master = arg;
    pf__let_go(master, master->slot_count);
    pf__signals_reset();
}

/* Whoever is free names it; of many at once some stay without names. */
static void name(struct pf__master *master, const struct pf_crash_record *record,
                 unsigned slot)
{
    for (int i = 0; i < PF__NAMERS_MAX; i++) {
        if (master->namers[i])
            continue;
        int pid = pf__names_start(record, (int)slot, let_go, master);
        if (pid > 0)
            master->namers[i] = pid;
        return;
    }
}

/* A hung worker was asked where it is before it is aborted: that says nothing new. */
static void tell_of(struct pf__master *master, const struct pf_crash_record *record)
{
    const struct pf__worker *worker = pf__slots_find(master, record->pid);
    if (!worker)
        return; /* long reaped, or nonsense */
    pf_log(PF_LOG_WARN, "worker-was-at",
           "worker=%u pid=%d cause=%s signal=%d frames=%u address=0x%llx",
           worker->slot->number, record->pid, pf__crash_cause_name(record->cause),
           record->signo, record->count, (unsigned long long)record->address);
    if (worker->fate != PF__FATE_HANG || record->cause == PF_CRASH_DUMP)
        name(master, record, worker->slot->number);
}

/* Returns false when there is nothing more. */
static bool read_record(struct pf__master *master)
{
    int fd = master->crash_pipe[0];
    char bytes[sizeof(struct pf_crash_record)];
    struct pf_crash_record record;
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n > 0 && pf__crash_valid(bytes, (size_t)n, 0, &record))
        tell_of(master, &record);
    else /* written by who is out of his mind: begin at the next record */
        for (int i = 0; n > 0 && i < RECORDS_MAX; i++)
            n = read(fd, bytes, sizeof bytes);
    return n > 0;
}

void pf__crash_read(struct pf__master *master)
{
    for (int i = 0; i < RECORDS_MAX && read_record(master); i++)
        continue;
}

int pf__crash_on_record(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    pf__crash_read(arg);
    return 0;
}
