/*
 * loop_bench.c - main() of every loop_* program, and the catalogue of jobs.
 *
 *     loop_x -l            list the jobs, a line each: name, "peers" or "own", operations,
 *                          operations enough for a trace or 0, "threads" or "single"
 *     loop_x -v            who I am, as JSON
 *     loop_x JOB [OPS]     do it, with so many operations; print one line of JSON
 *
 * "own" jobs compare our own pollers and are not for other libraries. Exits with 1 if
 * something went wrong or a result was not what it must be, with 2 for a wrong argument.
 */
#include "bench/loop_bench.h"

#include "bench/loop_dice.h"
#include "bench/loop_pairs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ALL = -1,         /* active: as many as there are pairs */
    JOB_LIMIT_S = 100 /* none takes a hundredth of it */
};

/* What one operation is, for the reader of the JSON. */
static const char *const units[FAMILIES] = {
    [PIPES] = "byte",   [FIRE] = "timer",     [CANCEL] = "timer",
    [REARM] = "re-arm", [POSTS] = "item",     [CHURN] = "add, modify, remove",
    [TURNS] = "turn",   [SIGNALS] = "signal", [LOOPS] = "loop",
};

/* clang-format off */
#define PIPES_JOB(n, a) .family = PIPES, .ops = 30000, .pairs = (n), .active = (a)
static const struct job jobs[] = {
    {.name = "pipes-100-1",      PIPES_JOB(100, 1), .ops_traced = 500},
    {.name = "pipes-100-all",    PIPES_JOB(100, ALL), .ops_traced = 500},
    {.name = "pipes-1000-1",     PIPES_JOB(1000, 1)},
    {.name = "pipes-1000-100",   PIPES_JOB(1000, 100)},
    {.name = "pipes-1000-all",   PIPES_JOB(1000, ALL)},
    {.name = "pipes-10000-1",    PIPES_JOB(10000, 1)},
    {.name = "pipes-10000-100",  PIPES_JOB(10000, 100)},
    {.name = "pipes-10000-all",  PIPES_JOB(10000, ALL)},
    {.name = "timers-fire-random", .family = FIRE, .ops = 1000000, .ops_traced = 2000},
    {.name = "timers-fire-same", .family = FIRE, .ops = 1000000, .constant = true},
    {.name = "timers-cancel",    .family = CANCEL, .ops = 1000000},
    {.name = "timers-rearm-random", .family = REARM, .timers = 1000000, .ops = 1000000},
    {.name = "timers-rearm-idle", .family = REARM, .timers = 1000000, .ops = 1000000, .constant = true},
    {.name = "posts-1",          .family = POSTS, .ops = 1000000, .ops_traced = 20000, .producers = 1},
    {.name = "posts-4",          .family = POSTS, .ops = 1000000, .ops_traced = 20000, .producers = 4},
    {.name = "posts-one-by-one", .family = POSTS, .ops = 10000, .ops_traced = 200, .producers = 1, .one_by_one = true},
    {.name = "churn",            .family = CHURN, .ops = 30000, .ops_traced = 100},
    {.name = "turns",            .family = TURNS, .ops = 300000, .ops_traced = 500},
    {.name = "signals",          .family = SIGNALS, .ops = 30000, .ops_traced = 100},
    {.name = "loops",            .family = LOOPS, .ops = 10000, .ops_traced = 100},
    {.name = "loops-used",       .family = LOOPS, .ops = 10000, .ops_traced = 100, .used = true},
    {.name = "epoll-10",         PIPES_JOB(10, 1), .poller = "epoll"},
    {.name = "epoll-100",        PIPES_JOB(100, 1), .poller = "epoll"},
    {.name = "epoll-500",        PIPES_JOB(500, 1), .poller = "epoll"},
    {.name = "kqueue-10",        PIPES_JOB(10, 1), .poller = "kqueue"},
    {.name = "kqueue-100",       PIPES_JOB(100, 1), .poller = "kqueue"},
    {.name = "kqueue-500",       PIPES_JOB(500, 1), .poller = "kqueue"},
    {.name = "select-10",        PIPES_JOB(10, 1), .poller = "select"},
    {.name = "select-100",       PIPES_JOB(100, 1), .poller = "select"},
    {.name = "select-500",       PIPES_JOB(500, 1), .poller = "select"},
};
/* clang-format on */
enum {
    JOBS = sizeof jobs / sizeof jobs[0]
};

void require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "loop_%s: %s\n", subject.name, what);
    exit(1);
}

int *job_delays_ms(const struct job *job, long count)
{
    bool fires = job->family == FIRE;
    int most = fires ? DELAY_NEAR_MAX_MS : DELAY_FAR_MAX_MS;
    int least = fires ? DELAY_NEAR_MIN_MS : DELAY_FAR_MIN_MS;
    if (job->constant)
        least = most = fires ? DELAY_NEAR_SAME_MS : DELAY_FAR_MAX_MS;
    return dice_delays_ms((size_t)count, least, most);
}

void *new_array(size_t count, size_t size)
{
    void *array = calloc(count, size);
    require(array != NULL, "no memory");
    volatile char *touched = array;
    for (size_t at = 0; at < count * size; at += 4096)
        touched[at] = 0;
    return array;
}

static bool is_possible(const struct job *job)
{
    return !job->poller || (subject.has_poller && subject.has_poller(job->poller));
}

static int list(void)
{
    for (int i = 0; i < JOBS; i++)
        if (is_possible(&jobs[i]))
            printf("%s %s %ld %ld %s\n", jobs[i].name, jobs[i].poller ? "own" : "peers",
                   jobs[i].ops, jobs[i].ops_traced,
                   jobs[i].producers ? "threads" : "single");
    return 0;
}

static int introduce(void)
{
    printf("{\"subject\":\"%s\",\"version\":\"%s\",\"backend\":\"%s\"}\n", subject.name,
           subject.version(), subject.backend());
    return 0;
}

static const struct job *find(const char *name)
{
    for (int i = 0; i < JOBS; i++)
        if (strcmp(jobs[i].name, name) == 0 && is_possible(&jobs[i]))
            return &jobs[i];
    return NULL;
}

static void report(const struct job *job, const struct watch *watch)
{
    int64_t cpu_ns = 0, wall_ns = 0;
    for (int i = 0; i < watch->count; i++) {
        cpu_ns += watch->laps[i].cpu_ns;
        wall_ns += watch->laps[i].wall_ns;
    }
    printf("{\"subject\":\"%s\",\"job\":\"%s\",\"unit\":\"%s\",\"ops\":%ld,\"pairs\":%d,"
           "\"cpu_ns\":%lld,\"wall_ns\":%lld",
           subject.name, job->name, units[job->family], job->ops, job->pairs,
           (long long)cpu_ns, (long long)wall_ns);
    for (int i = 0; i < watch->count; i++)
        printf(",\"%s_ns\":%lld", watch->laps[i].name, (long long)watch->laps[i].cpu_ns);
    printf("}\n");
}

static int do_job(const struct job *listed, long ops)
{
    struct job job = *listed;
    struct watch watch = {.count = 0};
    if (ops)
        job.ops = ops;
    job.pairs = pairs_allowed(job.pairs);
    if (job.active == ALL)
        job.active = job.pairs;
    alarm(JOB_LIMIT_S);
    subject.run[job.family](&job, &watch);
    report(&job, &watch);
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: loop_%s -l | -v | JOB [OPS]\n", subject.name);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "-l") == 0)
        return list();
    if (argc == 2 && strcmp(argv[1], "-v") == 0)
        return introduce();
    const struct job *job = argc == 2 || argc == 3 ? find(argv[1]) : NULL;
    long ops = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (!job || ops < 0 || (argc == 3 && ops == 0))
        return usage();
    return do_job(job, ops);
}
