/*
 * wear.c - what a worker has used up: when it is to be replaced.
 *
 * Memory is what would come back if the worker ended: pages that it has written and that
 * are its alone. What it shares, such as what was loaded before the fork, counts for
 * nobody. The exact number is in smaps_rollup, which takes some 30 ms for each GiB, and
 * longer while the worker's mappings change: a process of its own reads it. statm is quick,
 * and its resident pages that are of no file are at least as many, so it is asked first.
 * Source: proc(5).
 */
#include "master/helper.h"
#include "master/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often one worker's memory is looked at, and how often in a row it must be over. */
#define WEIGH_NS (2 * PF_SECOND)
enum {
    OVER_TIMES = 3,
    HELPER_LIMIT_S = 30 /* it may wait for the worker */
};

static const char *read_file(pid_t pid, const char *name, char *text, size_t len)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? -1 : read(fd, text, len - 1);
    if (fd != -1)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Resident and not of a file: at least what is its alone, and more by what is shared. */
static uint64_t at_most(pid_t pid)
{
    char text[256];
    unsigned long resident = 0, shared = 0;
    if (sscanf(read_file(pid, "statm", text, sizeof text), "%*u %lu %lu", &resident,
               &shared) != 2 ||
        shared > resident)
        return 0;
    return (uint64_t)(resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t line_of(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

static uint64_t exactly(pid_t pid)
{
    char text[4096];
    return line_of(read_file(pid, "smaps_rollup", text, sizeof text), "Private_Dirty:");
}

/* One worker at a time, so that the master never spends long on this. */
static bool is_turn(struct pf__worker *worker)
{
    struct pf__master *master = worker->slot->master;
    int64_t now = pf__master_now(master);
    if (now - worker->weighed_ns < WEIGH_NS ||
        now - master->worn_ns < WEIGH_NS / (int64_t)master->slot_count)
        return false;
    master->worn_ns = worker->weighed_ns = now;
    return true;
}

/* ---- the helper that reads it ---------------------------------------------------- */

static void stop_weighing(struct pf__master *master)
{
    struct pf__scale *scale = &master->scale;
    if (scale->fd == -1)
        return;
    (void)pf_loop_remove_handler(master->loop, scale->fd); /* in a child: refused */
    close(scale->fd);
    scale->fd = -1;
}

static void note(struct pf__worker *worker, bool is_over)
{
    worker->over_memory = is_over ? worker->over_memory + 1 : 0;
}

static int scale_on_weight(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)events;
    struct pf__master *master = arg;
    const struct pf__scale *scale = &master->scale;
    uint64_t weight;
    if (read(fd, &weight, sizeof weight) == (ssize_t)sizeof weight &&
        scale->worker->pid == scale->of)
        note(scale->worker, weight >= scale->worker->wear.memory_bytes);
    stop_weighing(master); /* it has ended if it has not said anything */
    return 0;
}

static void be_helper(struct pf__master *master, pid_t of, int fd)
{
    pf__let_go(master, master->slot_count);
    pf__signals_reset();
    pf__helper_limit(HELPER_LIMIT_S);
    uint64_t weight = exactly(of);
    _exit(write(fd, &weight, sizeof weight) == (ssize_t)sizeof weight ? 0 : 1);
}

/* One at a time. If it cannot be done, this look is left out. */
static void weigh(struct pf__worker *worker)
{
    struct pf__master *master = worker->slot->master;
    struct pf__scale *scale = &master->scale;
    int ends[2];
    if (scale->pid || scale->fd != -1 || pipe2(ends, O_CLOEXEC) != 0)
        return;
    fflush(NULL); /* as at each fork: see pf__spawn() */
    pid_t pid = fork();
    if (pid == 0)
        be_helper(master, worker->pid, ends[1]);
    close(ends[1]);
    if (pid == -1 ||
        pf_loop_add_handler(master->loop, ends[0], PF_READ, scale_on_weight, master) != 0) {
        close(ends[0]);
        ends[0] = -1;
    }
    *scale = (struct pf__scale){
        .pid = pid == -1 ? 0 : pid, .worker = worker, .of = worker->pid, .fd = ends[0]};
}

bool pf__scale_reaped(struct pf__master *master, pid_t pid)
{
    if (master->scale.pid != pid)
        return false;
    master->scale.pid = 0;
    return true;
}

void pf__scale_close(struct pf__master *master)
{
    stop_weighing(master);
}

/* ---- what wears a worker out ----------------------------------------------------- */

static uint64_t memory_of(struct pf__worker *worker)
{
    uint64_t limit = worker->wear.memory_bytes;
    if (!limit)
        return 0;
    if (is_turn(worker)) {
        if (at_most(worker->pid) >= limit)
            weigh(worker);
        else
            note(worker, false);
    }
    return worker->over_memory >= OVER_TIMES ? limit : 0;
}

uint64_t pf__worker_requests(const struct pf__worker *worker)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < worker->slot->master->threads; i++)
        sum += pf__worker_get(worker, i, PF__COLUMN_REQUESTS);
    return sum;
}

const char *pf__worker_worn(struct pf__worker *worker)
{
    struct pf__wear now = {
        .requests = pf__worker_requests(worker) - worker->requests_before,
        .lifetime_ns = pf__master_now(worker->slot->master) - worker->born_ns,
        .memory_bytes = memory_of(worker)};
    return pf__policy_worn(&worker->wear, &now);
}
