/*
 * client.h - one thread's share of the load: its connections, on a loop of its own.
 *
 *     client_new(&share, &client);      in the main thread
 *     client_run(client);               in its own thread; returns when it is done
 *     client_tally(client), client_free(client);     in the main thread again
 *
 * In between the main thread steers by posting callbacks on client_loop(): the client sets
 * up its connections, calls on_ready, waits for client_on_go, asks until its time or number
 * is over or client_on_stop comes, and calls on_done.
 *
 * Closed loop: a connection sends a batch of `pipeline` requests in one send, and the next
 * when all of them are answered. The path from "readable" to "sent" is one recv and one
 * send, reads the clock twice, and neither allocates nor touches a timer: timeouts are
 * found by a scan a few times per timeout.
 *
 *     down --> connecting --> idle <--> busy      any of them --> down
 */
#ifndef PREFORK_BENCH_CLIENT_H
#define PREFORK_BENCH_CLIENT_H

#include "bench/plan.h"
#include "bench/tally.h"
#include <prefork/loop.h>

struct client;

/* Called on the client's thread, each once; they must not block. */
typedef void client_event_fn(void *arg);

struct client_share {
    const struct plan *plan;   /* borrowed until client_free() */
    unsigned connections;      /* of plan->connections */
    uint64_t requests;         /* of plan->requests; not read when the plan goes by time */
    client_event_fn *on_ready; /* set up: each connection was tried, or none can be made */
    client_event_fn *on_done;
    void *arg;
};

/* Returns 0, -ENOMEM, or what pf_loop_new() answers. */
int client_new(const struct client_share *share, struct client **out);
void client_free(struct client *client);

/* Borrowed; closed when client_run() returns. */
pf_loop *client_loop(struct client *client);

/* Take the loop over and run it to the end. Returns 0 or the loop's error; on_done is
 * called only with 0. */
int client_run(struct client *client);

/* To be posted on the client's loop, with the client as arg. Stop may come at any time, any
 * number of times. */
pf_callback_fn client_on_go, client_on_stop;

/* All that was counted; complete after client_run() has returned. */
const struct tally *client_tally(const struct client *client);

/* For a look while it runs, from any thread. */
uint64_t client_answers(const struct client *client);
uint64_t client_failures(const struct client *client);

#endif
