/*
 * cli_machine.c - what the command line asks of this machine: CPUs, descriptors, files.
 */
#include "bench/cli_internal.h"

#include "bench/descriptors.h"
#include "bench/preflight.h"
#include "bench/report_files.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* --overflow connect: so many times the connections that were asked for. */
#define GROWTH_MOST 16

/* "4-7,9" into plan->cpus, allocated. */
static int read_cpus(const char *text, struct plan *plan)
{
    cpu_set_t allowed;
    unsigned *cpus = calloc(CPU_SETSIZE, sizeof *cpus), count = 0;
    if (!cpus)
        return cli_fail("out of memory");
    plan->cpus = cpus;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        CPU_ZERO(&allowed);
    for (const char *at = text;; at++) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = first;
        bool ok = end != at && *at >= '0' && *at <= '9';
        if (ok && *end == '-') {
            at = end + 1;
            last = strtoul(at, &end, 10);
            ok = end != at && *at >= '0' && *at <= '9';
        }
        if (!ok || last < first || last >= CPU_SETSIZE || (*end && *end != ','))
            return cli_fail("--cpus %s: must be a list such as 4-7,9", text);
        for (; first <= last && count < CPU_SETSIZE; first++) {
            if (!CPU_ISSET(first, &allowed))
                return cli_fail("--cpus %s: this program may not run on CPU %lu", text,
                                first);
            cpus[count++] = (unsigned)first;
        }
        if (*end == '\0')
            break;
        at = end;
    }
    plan->cpu_count = count;
    return 0;
}

/* Descriptors as many as there may be. */
static void make_room(const struct cli_config *config, struct plan *plan)
{
    int64_t limit = descriptors_raise();
    plan->connections_max = plan->connections;
    if (plan->overflow != PLAN_CONNECT || limit == 0)
        return;
    int64_t most = config->connections * GROWTH_MOST;
    /* Each thread has an equal part of them; some processes have a thread more. */
    int64_t threads = (config->threads + config->procs - 1) / config->procs;
    int64_t beside = threads * PREFLIGHT_FDS_PER_THREAD + PREFLIGHT_FDS_BESIDE;
    if (limit < most + beside) {
        int64_t room = (limit - beside) / threads * config->threads;
        most = room < most ? room : most;
    }
    if (most > CLI_CONNECTIONS_MAX)
        most = CLI_CONNECTIONS_MAX;
    if (most > config->connections)
        plan->connections_max = (unsigned)most;
}

/* Would it only measure that this machine is out of something? */
int cli_check_machine(const struct plan *plan)
{
    char why[2 * PREFLIGHT_TEXT_MAX + PHRASE_MAX];
    if (preflight_check(plan, why, sizeof why) == 0)
        return 0;
    (void)cli_fail("%s", why);
    return EXIT_INVALID;
}

int cli_set_machine(const struct cli_config *config, struct plan *plan)
{
    if (config->nice && setpriority(PRIO_PROCESS, 0, (int)config->nice) != 0)
        return cli_fail("--nice %" PRId64 ": %s", config->nice, strerror(errno));
    make_room(config, plan);
    return config->cpus ? read_cpus(config->cpus, plan) : 0;
}

/* Better to know before the run than behind it. */
static int check_file(const char *option, const char *path, int flags)
{
    struct stat about;
    if (!path || strcmp(path, "-") == 0)
        return 0;
    /* Whoever reads a pipe would be waited for, and then be told that this was all. */
    if (stat(path, &about) == 0 && S_ISFIFO(about.st_mode))
        return 0;
    int fd = open(path, flags | O_CLOEXEC, 0666);
    if (fd < 0)
        return cli_fail("%s %s: %s", option, path, strerror(errno));
    close(fd);
    return 0;
}

int cli_check_files(const struct cli *cli)
{
    int write = O_WRONLY | O_CREAT;
    int err = check_file("--json", cli->json, write);
    err = err ? err : check_file("--csv", cli->csv, write);
    err = err ? err : check_file("--html", cli->html, write);
    err = err ? err : check_file("--hlog", cli->hlog, write);
    err = err ? err : check_file("--hgrm", cli->hgrm, write);
    err = err ? err : check_file("--events", cli->events, write);
    if (err)
        return err;
    return report_files_check(&(struct report_files){.json = cli->json,
                                                     .html = cli->html,
                                                     .csv = cli->csv,
                                                     .events = cli->events,
                                                     .hlog = cli->hlog,
                                                     .hgrm = cli->hgrm,
                                                     .baseline = cli->baseline});
}
