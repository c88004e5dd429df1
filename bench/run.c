#include "bench/run.h"

#include "bench/client.h"
#include <errno.h>
#include <inttypes.h>
#include <prefork/loop.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run {
    const struct plan *plan;
    pf_loop *loop; /* the main thread's */
    struct client **clients;
    pthread_t *threads;
    unsigned started, ready, done; /* threads */
    bool interrupted;
    unsigned seconds; /* of progress shown */
    uint64_t answers; /* by then */
};

static pf_callback_fn run_on_ready, run_on_done, run_on_second;

/* A message between loops that is lost would leave the run waiting for ever. */
static void post(pf_loop *loop, pf_callback_fn *fn, void *arg)
{
    int err = pf_loop_add_callback(loop, fn, arg);
    if (err == 0 || err == -ESTALE) /* closed: that client has ended anyway */
        return;
    fprintf(stderr, "prefork-bench: cannot wake a thread: %s\n", strerror(-err));
    _exit(PF_EXIT_SOFTWARE);
}

static void post_to_all(struct run *run, pf_callback_fn *fn)
{
    for (unsigned i = 0; i < run->plan->threads; i++)
        post(client_loop(run->clients[i]), fn, run->clients[i]);
}

static void client_says_ready(void *arg)
{
    struct run *run = arg;
    post(run->loop, run_on_ready, run);
}

static void client_says_done(void *arg)
{
    struct run *run = arg;
    post(run->loop, run_on_done, run);
}

static int run_on_ready(pf_loop *loop, void *arg)
{
    struct run *run = arg;
    if (++run->ready < run->plan->threads || run->interrupted)
        return 0;
    uint64_t connected = 0;
    for (unsigned i = 0; i < run->plan->threads; i++)
        connected += client_tally(run->clients[i])->connect.count;
    if (connected == 0) {
        post_to_all(run, client_on_stop);
        return 0;
    }
    post_to_all(run, client_on_go);
    if (!isatty(STDERR_FILENO))
        return 0;
    return pf_loop_call_later(loop, PF_SECOND, run_on_second, run, NULL);
}

static int run_on_done(pf_loop *loop, void *arg)
{
    struct run *run = arg;
    if (++run->done == run->plan->threads)
        return pf_loop_stop(loop);
    return 0;
}

static int run_on_second(pf_loop *loop, void *arg)
{
    struct run *run = arg;
    uint64_t answers = 0, failures = 0;
    for (unsigned i = 0; i < run->plan->threads; i++) {
        answers += client_answers(run->clients[i]);
        failures += client_failures(run->clients[i]);
    }
    fprintf(stderr, "%4us  %" PRIu64 "/s  %" PRIu64 " failed\n", ++run->seconds,
            answers - run->answers, failures);
    run->answers = answers;
    return pf_loop_call_later(loop, PF_SECOND, run_on_second, run, NULL);
}

/* A second one ends the program: by then it is not taken any more. */
static int run_on_interrupt(pf_loop *loop, int signo, void *arg)
{
    (void)loop, (void)signo;
    struct run *run = arg;
    run->interrupted = true;
    post_to_all(run, client_on_stop);
    return PF_DONE;
}

static void *run_thread(void *arg)
{
    int err = client_run(arg);
    if (err) {
        fprintf(stderr, "prefork-bench: the loop of a thread failed: %s\n", strerror(-err));
        _exit(PF_EXIT_SOFTWARE);
    }
    return NULL;
}

/* A fair part of `whole` for thread `index` of `threads`. */
static uint64_t part(uint64_t whole, unsigned index, unsigned threads)
{
    return whole / threads + (index < whole % threads);
}

static int make_clients(struct run *run)
{
    const struct plan *plan = run->plan;
    for (unsigned i = 0; i < plan->threads; i++) {
        struct client_share share = {
            .plan = plan,
            .connections = (unsigned)part(plan->connections, i, plan->threads),
            .requests = part(plan->requests, i, plan->threads),
            .on_ready = client_says_ready,
            .on_done = client_says_done,
            .arg = run,
        };
        int err = client_new(&share, &run->clients[i]);
        if (err)
            return err;
    }
    return 0;
}

static int start_threads(struct run *run)
{
    /* Only the main thread takes signals; the others inherit the mask. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = 0;
    while (run->started < run->plan->threads && !err) {
        unsigned i = run->started;
        err = -pthread_create(&run->threads[i], NULL, run_thread, run->clients[i]);
        run->started += err == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static void add_up(const struct run *run, struct run_result *result)
{
    tally_init(&result->tally);
    for (unsigned i = 0; i < run->plan->threads; i++)
        tally_merge(&result->tally, client_tally(run->clients[i]));
    result->interrupted = run->interrupted;
}

int run_plan(const struct plan *plan, struct run_result *result)
{
    struct run run = {.plan = plan};
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    int err = pf_loop_new(&options, &run.loop);
    if (err)
        return err;
    run.clients = calloc(plan->threads, sizeof(struct client *));
    run.threads = calloc(plan->threads, sizeof(pthread_t));
    err = run.clients && run.threads ? make_clients(&run) : -ENOMEM;
    if (err)
        goto out;
    err = pf_loop_add_signal(run.loop, SIGINT, run_on_interrupt, &run);
    if (!err)
        err = start_threads(&run);
    if (!err)
        err = pf_loop_start(run.loop);
    if (err)
        post_to_all(&run, client_on_stop);
    for (unsigned i = 0; i < run.started; i++)
        pthread_join(run.threads[i], NULL);
    if (!err)
        add_up(&run, result);

out:
    for (unsigned i = 0; run.clients && i < plan->threads; i++)
        client_free(run.clients[i]);
    free(run.clients);
    free(run.threads);
    pf_loop_close(run.loop, false);
    pf_loop_unref(run.loop);
    return err;
}
