/* embed.c - a program of its own that becomes a server: embed [ADDRESS [PRIMES]]
 *
 * Whoever connects is told a prime number, and each time a greater one. The table of them
 * is made once, before the fork, and is one piece of memory for both workers.
 */
#include <prefork.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct primes {
    size_t wanted, count;
    unsigned *table;
};

/* What each lane has of its own. */
struct desk {
    pf_periodic *timer;
    size_t answered, told;
};

/* ---- in the master --------------------------------------------------------------- */

static bool is_prime(const struct primes *primes, unsigned n)
{
    for (size_t i = 0; i < primes->count && primes->table[i] <= n / primes->table[i]; i++)
        if (n % primes->table[i] == 0)
            return false;
    return true;
}

static int pre_fork(void *arg)
{
    struct primes *primes = arg;
    primes->table = calloc(primes->wanted, sizeof *primes->table);
    if (!primes->table)
        return -ENOMEM;
    for (unsigned n = 2; primes->count < primes->wanted; n++)
        if (is_prime(primes, n))
            primes->table[primes->count++] = n;
    return 0;
}

static void print_banner(const struct pf_master_status *status, void *arg)
{
    const struct primes *primes = arg;
    printf("%zu primes on %s, workers", primes->count, status->addresses[0]);
    const char *at = (const char *)status->workers;
    for (unsigned i = 0; i < status->worker_count; i++, at += status->worker_size)
        printf(" %d", ((const struct pf_worker_status *)(const void *)at)->pid);
    puts("");
    fflush(stdout);
}

static void on_crash(const struct pf_crash *crash, void *arg)
{
    (void)arg;
    printf("worker %u (pid %d): %s, signal %d, status %d\n", crash->slot, crash->pid,
           crash->cause, crash->signal, crash->status);
    fflush(stdout);
}

/* ---- in each worker -------------------------------------------------------------- */

static int worker_init(void *arg)
{
    const struct primes *primes = arg; /* and a real one would open its database */
    pf_log(PF_LOG_INFO, "worker-init", "primes=%zu", primes->count);
    return 0;
}

static void on_ready(void *arg)
{
    const struct primes *primes = arg;
    pf_log(PF_LOG_INFO, "worker-open", "primes=%zu", primes->count);
}

/* ---- on each worker's lane, a loop and its sockets ------------------------------- */

static int on_second(pf_loop *loop, void *arg)
{
    (void)loop;
    struct desk *desk = arg;
    if (desk->answered != desk->told)
        pf_log(PF_LOG_INFO, "answered", "total=%zu", desk->answered);
    desk->told = desk->answered;
    return 0;
}

static void lane_exit(pf_lane *lane, void *arg)
{
    (void)arg;
    struct desk *desk = pf_lane_get_data(lane);
    pf_periodic_free(desk->timer);
    free(desk);
}

static int lane_init(pf_lane *lane, void *arg)
{
    struct desk *desk = calloc(1, sizeof *desk);
    if (!desk)
        return -ENOMEM;
    pf_lane_set_data(lane, desk);
    int err = pf_periodic_new(pf_lane_loop(lane), PF_SECOND, on_second, desk, &desk->timer);
    if (!err)
        err = pf_periodic_start(desk->timer);
    if (err)
        lane_exit(lane, arg);
    return err;
}

static void on_connection(pf_lane *lane, int fd, const struct sockaddr *peer,
                          socklen_t peer_len, void *arg)
{
    (void)peer, (void)peer_len;
    const struct primes *primes = arg;
    struct desk *desk = pf_lane_get_data(lane);
    char text[64];
    int len = snprintf(text, sizeof text, "worker %u: %u\n", pf_lane_slot(lane),
                       primes->table[desk->answered++ % primes->count]);
    if (send(fd, text, (size_t)len, MSG_NOSIGNAL) == len)
        (void)pf_lane_answered(lane, (size_t)len);
    close(fd);
    (void)pf_lane_closed(lane, fd);
}

/* ---- the program ----------------------------------------------------------------- */

int main(int argc, char **argv)
{
    struct primes primes = {.wanted = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000};
    const struct pf_service service = {.size = sizeof service,
                                       .name = "primes",
                                       .arg = &primes,
                                       .pre_fork = pre_fork,
                                       .worker_init = worker_init,
                                       .lane_init = lane_init,
                                       .on_ready = on_ready,
                                       .on_connection = on_connection,
                                       .lane_exit = lane_exit,
                                       .on_crash = on_crash};
    const char *const bind = argc > 1 ? argv[1] : "127.0.0.1:8888";
    char error[512] = "";
    struct pf_master_options options = PF_MASTER_OPTIONS_INIT;
    options.service = &service;
    options.binds = &bind;
    options.bind_count = 1;
    options.workers = 2;
    options.on_ready = print_banner;
    options.arg = &primes;
    options.error = error;
    options.error_len = sizeof error;
    int status = primes.wanted ? pf_master_run(&options) : PF_EXIT_USAGE;
    if (error[0])
        fprintf(stderr, "%s: %s\n", argv[0], error);
    free(primes.table);
    return status < 0 ? PF_EXIT_SOFTWARE : status;
}
