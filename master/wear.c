/*
 * wear.c - what a worker has used up: when it is to be replaced.
 *
 * Memory is what would come back if the worker ended: pages that it has written and that
 * are its alone. What it shares, such as what was loaded before the fork, counts for
 * nobody. The exact number is in smaps_rollup, which is slow; statm is quick, and its
 * resident pages that are of no file are at least as many, so it is asked first. Source:
 * proc(5).
 */
#include "master/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often one worker's memory is looked at, and how often in a row it must be over. */
#define WEIGH_NS (2 * PF_SECOND)
enum {
    OVER_TIMES = 3
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

static uint64_t memory_of(struct pf__worker *worker)
{
    uint64_t limit = worker->wear.memory_bytes;
    if (!limit)
        return 0;
    if (is_turn(worker)) {
        bool over = at_most(worker->pid) >= limit && exactly(worker->pid) >= limit;
        worker->over_memory = over ? worker->over_memory + 1 : 0;
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
