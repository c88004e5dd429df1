/*
 * fake.h - a clock and a poller that a test moves by hand.
 *
 *     struct pf_fake_clock clock = {0};
 *     struct pf_fake_poller poller = {.clock = &clock};
 *     struct pf_loop_options options = pf_fake_options(&poller);
 *     pf_loop_new(&options, &loop);
 *     pf_fake_poller_ready(&poller, fd, PF_READ);
 *
 * Nothing sleeps: a sleep with a limit moves the clock to its end, one without fails with
 * -EDEADLK, because nothing in the test could ever end it. The loop's waker is not asked.
 */
#ifndef PREFORK_TESTS_LIB_FAKE_H
#define PREFORK_TESTS_LIB_FAKE_H

#include <prefork/loop.h>
#include <prefork/poller.h>

struct pf_fake_clock {
    int64_t now;
    unsigned reads; /* how often it was asked */
};

/* Descriptors that may be ready at once. */
#define PF_FAKE_READY_MAX 16
/* Descriptors above this cannot be watched: -ENOSPC. */
#define PF_FAKE_FD_MAX 1023

struct pf_fake_ready {
    int fd;
    unsigned events;
};

struct pf_fake_poller {
    struct pf_fake_clock *clock;
    int wait_error; /* the next wait() fails with it, once */
    int add_error;  /* the next add() or modify() fails with it, once */

    /* what the loop did */
    unsigned waits;
    unsigned controls;     /* add, modify and remove */
    int64_t last_limit_ns; /* how long the last wait() was allowed to sleep */

    struct pf_fake_ready ready[PF_FAKE_READY_MAX];
    unsigned ready_count;
};

extern const struct pf_poller_ops pf_poller_fake; /* poller_arg: a struct pf_fake_poller */

/* PF_LOOP_OPTIONS_INIT with this poller and its clock. */
struct pf_loop_options pf_fake_options(struct pf_fake_poller *poller);

/* From now on fd is ready for `events`, 0: no more. Reported in the order in which the
 * descriptors became ready. */
void pf_fake_poller_ready(struct pf_fake_poller *poller, int fd, unsigned events);

#endif
