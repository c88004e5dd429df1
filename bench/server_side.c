/*
 * server_side.c - see server_side.h.
 *
 *     holder.h: who listens there    proc_tree.h: its processes, their CPU time and memory
 *     ctl.h: what it says itself     crew.h: whose share is whose     netstat.h: drops
 *
 * All this is done by the coordinator once a second: the threads that make the load have no
 * part in it.
 */
#include "bench/server_side.h"

#include "bench/crew.h"
#include "bench/ctl.h"
#include "bench/local.h"
#include "bench/netstat.h"
#include "bench/proc_tree.h"
#include "net/holder.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct server_side {
    bool wanted;   /* anything at all */
    bool search;   /* "auto": look for the root, again if it is gone */
    bool is_local; /* the target is an address of this machine */
    int64_t root;  /* -1: not found */
    uint64_t root_born;
    struct pf_address target;
    struct pf_holder_sockets sockets; /* that listen on the target */
    char control[CTL_PATH_MAX];       /* "": none */
    int64_t cpu_last;                 /* at the sample before */
    int64_t switches_start;
    struct netstat net;
    struct crew crew;
    struct ctl_status status;         /* scratch */
    struct proc procs[PROC_TREE_MAX]; /* scratch */
    size_t proc_count;
};

/* ---- looking --------------------------------------------------------------------- */

static crew_is_worker_fn is_worker;

/* One below the root that holds the listening socket. */
static bool is_worker(void *arg, const struct proc *proc)
{
    struct server_side *side = arg;
    return proc->pid != side->root && pf_holder_has((long)proc->pid, &side->sockets);
}

static bool has_children(const struct server_side *side, int64_t pid)
{
    for (size_t i = 0; i < side->proc_count; i++)
        if (side->procs[i].parent == pid)
            return true;
    return false;
}

/* Without a listening socket among them to go by: the processes without children. */
static void name_leaves(struct server_side *side)
{
    struct crew *crew = &side->crew;
    for (size_t i = 0; i < crew->process_count; i++)
        if (crew->processes[i].worker)
            return;
    for (size_t i = 0; i < crew->process_count; i++)
        crew->processes[i].worker = !has_children(side, crew->processes[i].pid);
}

static bool is_known(const struct server_side *side)
{
    return side->wanted && side->root > 0;
}

/* The root is gone, or its number is somebody else's by now. */
static bool is_gone(const struct server_side *side)
{
    return side->proc_count == 0 || side->procs[0].born != side->root_born;
}

static void set_root(struct server_side *side, int64_t pid)
{
    struct proc proc;
    if (proc_read(pid, &proc) != 0)
        return;
    side->root = pid;
    side->root_born = proc.born;
}

static void find_root(struct server_side *side)
{
    pf_holder_find(&side->target, &side->sockets);
    long pid = pf_holder_root(&side->sockets);
    if (pid > 0)
        set_root(side, pid);
    if (side->root > 0 && ctl_find(side->root, side->control) != 0)
        side->control[0] = 0;
}

static void read_tree(struct server_side *side)
{
    side->proc_count = proc_tree_read(side->root, side->procs, PROC_TREE_MAX);
    if (!is_gone(side))
        return;
    side->proc_count = 0;
    if (!side->search)
        return;
    find_root(side); /* another may serve there now */
    side->proc_count = proc_tree_read(side->root, side->procs, PROC_TREE_MAX);
    if (is_gone(side))
        side->proc_count = 0;
}

static void look(struct server_side *side, int64_t timeout_ns)
{
    read_tree(side);
    crew_see(&side->crew, side->procs, side->proc_count, is_worker, side);
    if (side->control[0]) {
        if (ctl_ask(side->control, timeout_ns, &side->status) == 0)
            crew_hear(&side->crew, &side->status);
        return; /* no answer in time: what it said before stands */
    }
    name_leaves(side);
    crew_seat(&side->crew);
}

static int64_t switches(const struct server_side *side)
{
    int64_t sum = 0;
    for (size_t i = 0; i < side->proc_count; i++) {
        int64_t n = proc_switches(side->procs[i].pid);
        sum += n > 0 ? n : 0;
    }
    return sum;
}

/* ---- open, close ----------------------------------------------------------------- */

static int open_pid(struct server_side *side, const char *text, char *why, size_t why_len)
{
    char *end;
    errno = 0;
    int64_t pid = strtoll(text, &end, 10);
    if (end == text || *end || errno || pid <= 0) {
        snprintf(why, why_len, "must be a process's number, such as pid:4711");
        return -EINVAL;
    }
    set_root(side, pid);
    if (side->root <= 0) {
        snprintf(why, why_len, "no such process; give the server's main one");
        return -ESRCH;
    }
    if (ctl_find(pid, side->control) != 0)
        side->control[0] = 0;
    return 0;
}

static int open_control(struct server_side *side, const char *path, char *why,
                        size_t why_len)
{
    if (path[0] != '/' || strlen(path) >= sizeof side->control) {
        snprintf(why, why_len, "must be an absolute path of at most %d bytes",
                 CTL_PATH_MAX - 1);
        return -EINVAL;
    }
    int err = ctl_ask(path, CTL_WAIT_OPEN_NS, &side->status);
    if (err) {
        snprintf(why, why_len, "%s; give the control socket that the server's banner names",
                 err == -EPROTO ? "no server of prefork answers there" : strerror(-err));
        return -ESRCH;
    }
    snprintf(side->control, sizeof side->control, "%s", path);
    set_root(side, side->status.pid);
    return 0;
}

static int open_spec(struct server_side *side, const char *spec, char *why, size_t why_len)
{
    static const char pid[] = "pid:", path[] = "unix:";
    if (strcmp(spec, "none") == 0)
        return 0;
    side->wanted = true;
    side->is_local = local_is_ours(&side->target);
    if (side->is_local)
        pf_holder_find(&side->target, &side->sockets);
    if (strncmp(spec, pid, strlen(pid)) == 0)
        return open_pid(side, spec + strlen(pid), why, why_len);
    if (strncmp(spec, path, strlen(path)) == 0)
        return open_control(side, spec + strlen(path), why, why_len);
    if (strcmp(spec, "auto") != 0) {
        snprintf(why, why_len, "must be auto, none, pid:N or unix:PATH");
        return -EINVAL;
    }
    side->search = side->is_local;
    if (side->search)
        find_root(side);
    return 0;
}

int server_side_open(const char *spec, const struct pf_address *target,
                     struct server_side **out, char *why, size_t why_len)
{
    struct server_side *side = calloc(1, sizeof *side);
    if (!side) {
        snprintf(why, why_len, "out of memory");
        return -ENOMEM;
    }
    side->root = -1;
    side->net = (struct netstat){-1, -1, -1};
    side->target = *target;
    crew_init(&side->crew);
    int err = open_spec(side, spec, why, why_len);
    if (err) {
        free(side);
        return err;
    }
    if (is_known(side) || side->control[0])
        look(
            side,
            CTL_WAIT_END_NS); /* while its processes have few descriptors to look through */
    *out = side;
    return 0;
}

void server_side_close(struct server_side *side)
{
    free(side);
}

int64_t server_side_pid(const struct server_side *side)
{
    return side->root;
}

/* ---- the measurement ------------------------------------------------------------- */

void server_side_begin(struct server_side *side)
{
    if (!side->wanted)
        return;
    netstat_read(&side->net);
    if (side->root <= 0 && !side->control[0]) {
        if (side->search)
            find_root(side); /* it came up since */
        if (side->root <= 0)
            return;
    }
    look(side, CTL_WAIT_END_NS);
    crew_begin(&side->crew);
    side->cpu_last = 0;
    side->switches_start = switches(side);
}

void server_side_sample(struct server_side *side, struct result_row *row)
{
    if (!is_known(side))
        return;
    look(side, CTL_WAIT_SAMPLE_NS);
    int64_t cpu = crew_cpu_ns(&side->crew);
    row->server_cpu_ns = cpu > side->cpu_last ? cpu - side->cpu_last : 0;
    row->server_rss = side->crew.rss_now;
    side->cpu_last = cpu;
}

static int64_t since(int64_t now, int64_t start)
{
    return now >= 0 && start >= 0 && now >= start ? now - start : RESULT_UNKNOWN;
}

static void tell_net(const struct server_side *side, struct result_server *out)
{
    struct netstat now;
    netstat_read(&now);
    out->syn_retries = since(now.syn_retries, side->net.syn_retries);
    if (!side->is_local)
        return; /* the drops here are not the server's */
    out->listen_drops = since(now.listen_drops, side->net.listen_drops);
    out->listen_overflows = since(now.listen_overflows, side->net.listen_overflows);
}

static void tell_nothing(struct result_server *out)
{
    *out = (struct result_server){.source = RESULT_SOURCE_NONE,
                                  .cpu_ns = RESULT_UNKNOWN,
                                  .cpu_user_ns = RESULT_UNKNOWN,
                                  .cpu_system_ns = RESULT_UNKNOWN,
                                  .rss_max = RESULT_UNKNOWN,
                                  .context_switches = RESULT_UNKNOWN,
                                  .requests = RESULT_UNKNOWN,
                                  .listen_drops = RESULT_UNKNOWN,
                                  .listen_overflows = RESULT_UNKNOWN,
                                  .syn_retries = RESULT_UNKNOWN,
                                  .jain = NAN};
}

/* Of a server whose processes are not to be seen here: in another pid namespace. */
static void forget_processes(struct result_server *out)
{
    out->cpu_ns = out->cpu_user_ns = out->cpu_system_ns = out->rss_max = RESULT_UNKNOWN;
    for (unsigned i = 0; i < out->worker_count; i++)
        out->workers[i].cpu_ns = out->workers[i].rss = RESULT_UNKNOWN;
}

/* Descriptors are for the eyes of the process's user, and for root's; a process of another
 * pid namespace is for nobody's here. Then workers are guessed from the tree alone, and a
 * control socket is not found. */
static void tell_unseen(const struct server_side *side, struct result_server *out)
{
    if (side->root <= 0) {
        if (side->search && !side->control[0] && side->sockets.count > 0)
            snprintf(out->unseen, sizeof out->unseen,
                     "somebody listens there whose processes are not to be seen: another "
                     "user's, or in a container; run this as root, or give --server pid:N");
        return;
    }
    size_t hidden = 0;
    for (size_t i = 0; i < side->proc_count; i++)
        hidden += !proc_is_open(side->procs[i].pid);
    if (hidden)
        snprintf(out->unseen, sizeof out->unseen,
                 "%zu of its %zu processes are another user's: which are workers, and what "
                 "they counted, is guessed or unknown; run this as root",
                 hidden, side->proc_count);
}

void server_side_end(struct server_side *side, struct result_server *out)
{
    tell_nothing(out);
    if (!side->wanted)
        return;
    tell_net(side, out);
    if (!side->crew.begun) {
        tell_unseen(side, out);
        return;
    }
    crew_end(&side->crew);
    look(side, CTL_WAIT_END_NS);
    tell_unseen(side, out);
    if (crew_tell(&side->crew, out) != 0)
        return; /* no memory for the workers: the rest is known */
    out->source = side->crew.heard ? RESULT_SOURCE_STATS : RESULT_SOURCE_PROC;
    if (side->root <= 0) {
        forget_processes(out);
        return;
    }
    out->context_switches = since(switches(side), side->switches_start);
    char name[PROC_NAME_MAX];
    proc_name(side->root, name);
    out->name = name[0] ? strdup(name) : NULL;
}
