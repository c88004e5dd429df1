/*
 * run_crew.c - the processes and threads that carry the units.
 *
 * With one process the units are threads beside the coordinator; with more, they are
 * threads of processes that are forked before there is any loop or thread. Either way a
 * unit knows nothing of it: it reads orders from a pipe, and says what it has to say into
 * another.
 */
#include "bench/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A fair part of `whole` for number `index` of `parts`. */
static uint64_t part(uint64_t whole, unsigned index, unsigned parts)
{
    return whole / parts + (index < whole % parts);
}

/* The first of such a part. */
static unsigned part_at(unsigned whole, unsigned index, unsigned parts)
{
    unsigned rest = whole % parts;
    return whole / parts * index + (index < rest ? index : rest);
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- memory and pipes ------------------------------------------------------------ */

static int make_shared(struct run *run)
{
    size_t size = sizeof *run->shared + run->plan->threads * sizeof(struct tally);
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -ENOMEM;
    run->shared = at;
    run->shared_size = size;
    for (unsigned i = 0; i < run->plan->threads; i++)
        tally_init(&run->shared->tallies[i]);
    for (unsigned i = 0; i < REQUESTS_MAX; i++)
        run->shared->hashes[i] = -1;
    return 0;
}

static int make_pipes(struct run *run)
{
    for (unsigned i = 0; i < run->plan->threads; i++)
        if (pipe2(run->units[i].orders, O_CLOEXEC | O_NONBLOCK) != 0)
            return -errno;
    for (unsigned i = 0; i < run->plan->procs; i++)
        if (pipe2(run->processes[i].says, O_CLOEXEC) != 0)
            return -errno;
    return 0;
}

int run_crew_make(struct run *run)
{
    const struct plan *plan = run->plan;
    run->units = calloc(plan->threads, sizeof *run->units);
    run->processes = calloc(plan->procs, sizeof *run->processes);
    if (!run->units || !run->processes)
        return -ENOMEM;
    for (unsigned i = 0; i < plan->threads; i++)
        run->units[i].orders[0] = run->units[i].orders[1] = -1;
    for (unsigned i = 0; i < plan->procs; i++) {
        struct run_process *process = &run->processes[i];
        process->run = run;
        process->first = part_at(plan->threads, i, plan->procs);
        process->count = (unsigned)part(plan->threads, i, plan->procs);
        process->says[0] = process->says[1] = -1;
        for (unsigned j = 0; j < process->count; j++)
            run->units[process->first + j].process = process;
    }
    int err = make_shared(run);
    return err ? err : make_pipes(run);
}

void run_crew_free(struct run *run)
{
    for (unsigned i = 0; run->units && i < run->plan->threads; i++) {
        unit_free(run->units[i].unit);
        close_end(&run->units[i].orders[0]);
        close_end(&run->units[i].orders[1]);
    }
    for (unsigned i = 0; run->processes && i < run->plan->procs; i++) {
        close_end(&run->processes[i].says[0]);
        close_end(&run->processes[i].says[1]);
    }
    if (run->shared)
        munmap(run->shared, run->shared_size);
    free(run->units);
    free(run->processes);
}

/* ---- units in threads ------------------------------------------------------------ */

static void say(const struct run_unit *unit, char what)
{
    /* The pipe has room for all that is ever said in it; who reads it may have gone. */
    (void)!write(unit->process->says[1], &what, 1);
}

static void on_ready(void *arg)
{
    say(arg, RUN_READY);
}

static void on_done(void *arg)
{
    say(arg, RUN_ENDED);
}

static int make_unit(struct run *run, unsigned index)
{
    const struct plan *plan = run->plan;
    struct unit_share share = {
        .plan = plan,
        .index = index,
        .units = plan->threads,
        .connections = (unsigned)part(plan->connections, index, plan->threads),
        .connections_max = (unsigned)part(plan->connections_max, index, plan->threads),
        .requests = part(plan->requests, index, plan->threads),
        .tally = &run->shared->tallies[index],
        .hashes = run->shared->hashes,
        .go_ns = &run->shared->go_ns,
        .steering = run->units[index].orders[0],
        .on_ready = on_ready,
        .on_done = on_done,
        .arg = &run->units[index],
    };
    return unit_new(&share, &run->units[index].unit);
}

static void pin(const struct plan *plan, unsigned index)
{
    if (plan->cpu_count == 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(plan->cpus[index % plan->cpu_count], &set);
    (void)sched_setaffinity(0, sizeof set, &set); /* the list was checked: cli.c */
}

static void *run_thread(void *arg)
{
    struct run_unit *unit = arg;
    struct run *run = unit->process->run;
    pin(run->plan, (unsigned)(unit - run->units));
    int err = unit_run(unit->unit);
    if (err) { /* the coordinator ends the run, and leaves the terminal as it was */
        __atomic_store_n(&run->shared->failed, err, __ATOMIC_RELEASE);
        say(unit, RUN_FAILED);
    }
    return NULL;
}

/* The units of one process. */
static int start_units(struct run *run, const struct run_process *process)
{
    for (unsigned i = 0; i < process->count; i++) {
        int err = make_unit(run, process->first + i);
        if (err)
            return err;
    }
    /* Only the main thread takes signals; the others inherit the mask. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = 0;
    while (run->started < process->count && !err) {
        struct run_unit *unit = &run->units[process->first + run->started];
        err = -pthread_create(&unit->thread, NULL, run_thread, unit);
        run->started += err == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static void join_units(struct run *run, const struct run_process *process)
{
    for (unsigned i = 0; i < run->started; i++)
        pthread_join(run->units[process->first + i].thread, NULL);
}

int run_crew_start(struct run *run)
{
    return run->plan->procs > 1 ? 0 : start_units(run, &run->processes[0]);
}

/* ---- processes ------------------------------------------------------------------- */

/* Keep only the ends that are ours: when the coordinator goes, orders end. */
static void keep_ends(struct run *run, const struct run_process *own)
{
    for (unsigned i = 0; i < run->plan->threads; i++) {
        close_end(&run->units[i].orders[1]);
        if (run->units[i].process != own)
            close_end(&run->units[i].orders[0]);
    }
    for (unsigned i = 0; i < run->plan->procs; i++) {
        close_end(&run->processes[i].says[0]);
        if (&run->processes[i] != own)
            close_end(&run->processes[i].says[1]);
    }
}

static void live(struct run *run, struct run_process *own)
{
    /* An interrupt is the coordinator's; ours is the pipe, or this if it is killed. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGINT, &ignore, NULL);
    (void)sigaction(SIGTERM, &ignore, NULL);
    keep_ends(run, own);
    int err = start_units(run, own);
    if (err) {
        fprintf(stderr, "prefork-bench: a process of the load cannot start: %s\n",
                strerror(-err));
        _exit(PF_EXIT_SOFTWARE);
    }
    join_units(run, own);
    _exit(0);
}

int run_crew_fork(struct run *run)
{
    for (unsigned i = 0; run->plan->procs > 1 && i < run->plan->procs; i++) {
        struct run_process *process = &run->processes[i];
        fflush(NULL); /* what stands in a buffer would be written twice */
        process->pid = fork();
        if (process->pid < 0) {
            process->pid = 0;
            return -errno;
        }
        if (process->pid == 0)
            live(run, process);
        close_end(&process->says[1]);
    }
    return 0;
}

void run_crew_order(struct run *run, char order)
{
    for (unsigned i = 0; i < run->plan->threads; i++)
        if (run->units[i].orders[1] >= 0)
            (void)!write(run->units[i].orders[1], &order, 1); /* it may have ended */
}

static void tell_death(struct run *run, const struct run_process *process, int status)
{
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    if (run->how_died[0])
        return;
    if (process->given_up)
        snprintf(run->how_died, sizeof run->how_died,
                 "process %ld of the load stood still and was given up",
                 (long)process->pid);
    else
        snprintf(run->how_died, sizeof run->how_died, "process %ld of the load %s%s",
                 (long)process->pid, name ? "was killed by SIG" : "has ended too early",
                 name ? name : "");
}

/* What it had under way has no answer, and what it was to ask yet is not sent. Changes
 * nothing in books that are closed. */
static void close_books(const struct run *run, unsigned index, int64_t now)
{
    struct tally *tally = &run->shared->tallies[index];
    const struct plan *plan = run->plan;
    uint64_t asked = part(plan->requests, index, plan->threads), answered = 0;
    if (!tally->began_ns || tally->began_ns < run->began_ns)
        tally_init(tally); /* of the warm-up, or of none */
    for (unsigned i = 0; i < TALLY_STATUS_MAX; i++)
        answered += tally->status[i];
    if (tally->planned < tally->sent + tally->dropped)
        tally->planned = tally->sent + tally->dropped;
    if (tally->planned < asked)
        tally->planned = asked;
    uint64_t ended = answered + tally->failed;
    tally->censored = tally->sent > ended ? tally->sent - ended : 0;
    tally->unsent = tally->planned - tally->sent - tally->dropped;
    tally->in_flight = tally->backlog = 0;
    if (tally->began_ns && !tally->ended_ns) {
        tally->ended_ns = now;
        tally->ok_in_time = tally->ok;
    }
}

void run_crew_bury(struct run *run, struct run_process *process, int64_t now)
{
    int status = 0;
    while (process->pid > 0 && waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    tell_death(run, process, status);
    process->pid = 0;
    for (unsigned i = 0; i < process->count; i++)
        close_books(run, process->first + i, now);
}

void run_crew_give_up(struct run_process *process)
{
    if (process->pid <= 0 || process->gone)
        return;
    process->given_up = true;
    (void)kill(process->pid, SIGKILL);
}

void run_crew_kill(struct run *run)
{
    for (unsigned i = 0; run->plan->procs > 1 && i < run->plan->procs; i++)
        run_crew_give_up(&run->processes[i]);
}

/* One that was stopped on its last steps has told all that it had to. */
static void wait_for_end(pid_t pid)
{
    int status = 0;
    for (;;) {
        pid_t got = pid > 0 ? waitpid(pid, &status, WUNTRACED) : -1;
        if (got == pid && WIFSTOPPED(status))
            (void)kill(pid, SIGKILL);
        else if (got == pid || pid <= 0 || errno != EINTR)
            return;
    }
}

void run_crew_join(struct run *run)
{
    /* The end of the orders ends whoever has not ended by now. */
    for (unsigned i = 0; i < run->plan->threads; i++)
        close_end(&run->units[i].orders[1]);
    if (run->plan->procs == 1) {
        join_units(run, &run->processes[0]);
        return;
    }
    for (unsigned i = 0; i < run->plan->procs; i++)
        wait_for_end(run->processes[i].pid);
}
