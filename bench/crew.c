/* crew.c - see crew.h. */
#include "bench/crew.h"

#include "bench/stats.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NO_PLACE = -1
};

void crew_init(struct crew *crew)
{
    memset(crew, 0, sizeof *crew);
    crew->requests_start = crew->requests_now = RESULT_UNKNOWN;
}

/* ---- processes ------------------------------------------------------------------- */

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct crew_process *find(struct crew *crew, int64_t pid, uint64_t born)
{
    for (size_t i = 0; i < crew->process_count; i++)
        if (crew->processes[i].pid == pid && crew->processes[i].born == born)
            return &crew->processes[i];
    return NULL;
}

/* A process that has ended is told in ticks: nothing goes backwards for that. */
static void update(struct crew_process *process, const struct proc *proc)
{
    process->here = true;
    process->rss = proc->rss;
    process->now.cpu_ns = max(process->now.cpu_ns, proc->cpu_ns);
    process->now.user_ns = max(process->now.user_ns, proc->user_ns);
    process->now.system_ns = max(process->now.system_ns, proc->system_ns);
}

static struct crew_use used(const struct crew_process *process)
{
    return (struct crew_use){process->now.cpu_ns - process->start.cpu_ns,
                             process->now.user_ns - process->start.user_ns,
                             process->now.system_ns - process->start.system_ns};
}

static void add_use(struct crew_use *to, struct crew_use use)
{
    to->cpu_ns += use.cpu_ns;
    to->user_ns += use.user_ns;
    to->system_ns += use.system_ns;
}

/* It has ended: what it had stays where it sat. */
static void leave(struct crew *crew, size_t at)
{
    struct crew_process *process = &crew->processes[at];
    add_use(&crew->gone, used(process));
    if (process->place != NO_PLACE)
        crew->places[process->place].cpu_gone += used(process).cpu_ns;
    *process = crew->processes[--crew->process_count];
}

static struct crew_process *enter(struct crew *crew, const struct proc *proc, bool worker)
{
    if (crew->process_count == PROC_TREE_MAX)
        return NULL;
    struct crew_process *process = &crew->processes[crew->process_count++];
    *process = (struct crew_process){
        .pid = proc->pid, .born = proc->born, .worker = worker, .place = NO_PLACE};
    return process;
}

void crew_see(struct crew *crew, const struct proc *procs, size_t count,
              crew_is_worker_fn *is_worker, void *arg)
{
    for (size_t i = 0; i < crew->process_count; i++)
        crew->processes[i].here = false;
    crew->rss_now = crew->kept_now = 0;
    for (size_t i = 0; i < count; i++) {
        struct crew_process *process = find(crew, procs[i].pid, procs[i].born);
        if (!process)
            process = enter(crew, &procs[i], is_worker(arg, &procs[i]));
        if (process)
            update(process, &procs[i]);
        crew->rss_now += procs[i].rss;
        crew->kept_now += procs[i].cpu_ns + procs[i].waited_ns;
    }
    for (size_t i = crew->process_count; i-- > 0;)
        if (!crew->processes[i].here)
            leave(crew, i);
    crew->rss_max = max(crew->rss_max, crew->rss_now);
}

/* ---- places ---------------------------------------------------------------------- */

static int new_place(struct crew *crew)
{
    if (crew->place_count == CREW_PLACES_MAX)
        return NO_PLACE;
    crew->places[crew->place_count] =
        (struct crew_place){.pid = -1,
                            .young = crew->begun,
                            .requests_start = RESULT_UNKNOWN,
                            .requests_now = RESULT_UNKNOWN,
                            .connections_min = RESULT_UNKNOWN,
                            .connections_max = RESULT_UNKNOWN};
    return (int)crew->place_count++;
}

static void sit(struct crew *crew, int64_t pid, int place)
{
    for (size_t i = 0; i < crew->process_count; i++)
        if (crew->processes[i].pid == pid)
            crew->processes[i].place = place;
}

static void hear_worker(const struct crew *crew, const struct ctl_worker *worker,
                        struct crew_place *place)
{
    place->requests_now = worker->requests;
    place->starts_now = worker->starts;
    if (place->requests_start < 0 && !crew->begun) {
        place->requests_start = worker->requests;
        place->starts_start = worker->starts;
    } else if (place->requests_start < 0 && crew->requests_start >= 0) {
        place->requests_start = 0; /* a slot that came later counts from nought */
        place->starts_start = 1;
    }
    if (worker->pid > 0)
        place->pid = worker->pid;
    if (crew->ended)
        return;
    place->connections_max = max(place->connections_max, worker->connections);
    if (place->connections_min < 0 || worker->connections < place->connections_min)
        place->connections_min = worker->connections;
}

/* Another server speaks: it counts anew, and what there is to subtract, nobody knows. */
static void forget_counts(struct crew *crew)
{
    crew->requests_start = RESULT_UNKNOWN;
    for (size_t i = 0; i < crew->place_count; i++)
        crew->places[i].requests_start = RESULT_UNKNOWN;
}

void crew_hear(struct crew *crew, const struct ctl_status *status)
{
    if (crew->heard && status->pid != crew->server)
        forget_counts(crew);
    crew->heard = true;
    crew->server = status->pid;
    crew->requests_now = status->requests;
    if (!crew->begun) /* what is heard for the first time later is since no one knows when
                       */
        crew->requests_start = status->requests;
    for (size_t i = 0; i < status->worker_count; i++) {
        const struct ctl_worker *worker = &status->workers[i];
        if (worker->slot < 0 || worker->slot >= CREW_PLACES_MAX)
            continue;
        while ((size_t)worker->slot >= crew->place_count)
            (void)new_place(crew); /* there is room: the slot is below the most */
        hear_worker(crew, worker, &crew->places[worker->slot]);
        if (worker->pid > 0)
            sit(crew, worker->pid, (int)worker->slot);
    }
}

static bool is_vacant(const struct crew *crew, int place)
{
    for (size_t i = 0; i < crew->process_count; i++)
        if (crew->processes[i].place == place)
            return false;
    return true;
}

static int find_vacant(const struct crew *crew)
{
    for (size_t i = 0; i < crew->place_count; i++)
        if (is_vacant(crew, (int)i))
            return (int)i;
    return NO_PLACE;
}

/* The successor moves from its young place, which is no more, into the vacant one; the last
 * place fills the gap. */
static void take_over(struct crew *crew, int vacant, int young)
{
    struct crew_place *to = &crew->places[vacant], *from = &crew->places[young];
    int last = (int)--crew->place_count;
    to->pid = from->pid;
    to->cpu_gone += from->cpu_gone;
    to->restarts += from->restarts + 1;
    to->young = to->young && from->young;
    *from = crew->places[last];
    for (size_t i = 0; i < crew->process_count; i++) {
        int *place = &crew->processes[i].place;
        if (*place == young)
            *place = vacant;
        if (*place == last)
            *place = young;
    }
}

/* Places may be vacant while successors sit in young ones: a server may start new workers
 * before the old ones end. */
static void settle(struct crew *crew)
{
    for (int young = (int)crew->place_count; young-- > 0;) {
        int vacant = find_vacant(crew);
        if (vacant == NO_PLACE)
            return;
        if (crew->places[young].young && young != vacant && !is_vacant(crew, young))
            take_over(crew, vacant, young);
    }
}

void crew_seat(struct crew *crew)
{
    for (size_t i = 0; i < crew->process_count; i++) {
        struct crew_process *process = &crew->processes[i];
        if (!process->worker || process->place != NO_PLACE)
            continue;
        process->place = new_place(crew);
        if (process->place != NO_PLACE)
            crew->places[process->place].pid = process->pid;
    }
    settle(crew);
}

/* ---- the measurement ------------------------------------------------------------- */

/* Who left before the beginning is none of its workers. */
static void seat_anew(struct crew *crew)
{
    crew->place_count = 0;
    for (size_t i = 0; i < crew->process_count; i++)
        crew->processes[i].place = NO_PLACE;
    crew_seat(crew);
}

void crew_begin(struct crew *crew)
{
    crew->begun = true;
    crew->ended = false;
    crew->gone = (struct crew_use){0};
    crew->kept_start = crew->kept_now;
    crew->rss_max = crew->rss_now;
    crew->requests_start = crew->requests_now;
    for (size_t i = 0; i < crew->process_count; i++)
        crew->processes[i].start = crew->processes[i].now;
    if (!crew->heard)
        seat_anew(crew);
    for (size_t i = 0; i < crew->place_count; i++) {
        struct crew_place *place = &crew->places[i];
        place->young = false;
        place->cpu_gone = place->restarts = 0;
        place->requests_start = place->requests_now;
        place->starts_start = place->starts_now;
        place->connections_min = place->connections_max = RESULT_UNKNOWN;
    }
}

void crew_end(struct crew *crew)
{
    crew->ended = true;
}

static struct crew_use use_of_all(const struct crew *crew)
{
    struct crew_use sum = crew->gone;
    for (size_t i = 0; i < crew->process_count; i++)
        add_use(&sum, used(&crew->processes[i]));
    return sum;
}

int64_t crew_cpu_ns(const struct crew *crew)
{
    return max(use_of_all(crew).cpu_ns, crew->kept_now - crew->kept_start);
}

static int64_t since(int64_t now, int64_t start)
{
    return start >= 0 && now >= start ? now - start : RESULT_UNKNOWN;
}

static void tell_worker(const struct crew *crew, int at, struct result_worker *out)
{
    const struct crew_place *place = &crew->places[at];
    *out = (struct result_worker){.pid = place->pid > 0 ? place->pid : RESULT_UNKNOWN,
                                  .requests =
                                      since(place->requests_now, place->requests_start),
                                  .connections_min = place->connections_min,
                                  .connections_max = place->connections_max,
                                  .cpu_ns = place->cpu_gone,
                                  .restarts = place->restarts};
    if (crew->heard && place->requests_start >= 0)
        out->restarts = since(place->starts_now, place->starts_start);
    for (size_t i = 0; i < crew->process_count; i++) {
        const struct crew_process *process = &crew->processes[i];
        if (process->place != at)
            continue;
        out->cpu_ns += used(process).cpu_ns;
        out->rss += process->rss;
    }
}

/* Over the requests if they are known and there were any, else over CPU time. */
static double jain(const struct result_server *server)
{
    double shares[CREW_PLACES_MAX];
    for (unsigned i = 0; i < server->worker_count; i++) {
        const struct result_worker *worker = &server->workers[i];
        shares[i] =
            (double)max(server->requests > 0 ? worker->requests : worker->cpu_ns, 0);
    }
    return stats_jain(shares, server->worker_count);
}

int crew_tell(const struct crew *crew, struct result_server *out)
{
    struct crew_use sum = use_of_all(crew);
    int64_t ticks = sum.user_ns + sum.system_ns;
    out->cpu_ns = crew_cpu_ns(crew);
    out->cpu_user_ns = out->cpu_system_ns = RESULT_UNKNOWN;
    if (ticks > 0) { /* the two are known to a tick: taken as shares of what is exact */
        out->cpu_user_ns =
            (int64_t)((double)out->cpu_ns * (double)sum.user_ns / (double)ticks);
        out->cpu_system_ns = out->cpu_ns - out->cpu_user_ns;
    }
    out->rss_max = crew->rss_max;
    out->requests = since(crew->requests_now, crew->requests_start);
    out->jain = NAN;
    out->worker_count = 0;
    out->workers = calloc(crew->place_count ? crew->place_count : 1, sizeof *out->workers);
    if (!out->workers)
        return -ENOMEM;
    out->worker_count = (unsigned)crew->place_count;
    for (unsigned i = 0; i < out->worker_count; i++)
        tell_worker(crew, (int)i, &out->workers[i]);
    out->jain = jain(out);
    return 0;
}
