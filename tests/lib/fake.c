#include "tests/lib/fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int64_t read_clock(void *arg)
{
    struct pf_fake_clock *clock = arg;
    clock->reads++;
    return clock->now;
}

struct watched {
    bool active;
    unsigned events;
    uint64_t tag;
};

struct state {
    struct pf_fake_poller *poller;
    struct watched by_fd[PF_FAKE_FD_MAX + 1];
};

static int fake_open(void *arg, void **state)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->poller = arg;
    *state = s;
    return 0;
}

static void fake_close(void *state)
{
    free(state);
}

static int control(struct state *s, int fd, bool known, struct watched now)
{
    int err = s->poller->add_error;
    s->poller->add_error = 0;
    s->poller->controls++;
    if (err)
        return err;
    if (fd > PF_FAKE_FD_MAX)
        return -ENOSPC;
    if (s->by_fd[fd].active != known)
        return known ? -ENOENT : -EEXIST;
    s->by_fd[fd] = now;
    return 0;
}

static int fake_add(void *state, int fd, unsigned events, uint64_t tag)
{
    return control(state, fd, false, (struct watched){true, events | PF_ERROR, tag});
}

static int fake_modify(void *state, int fd, unsigned events, uint64_t tag)
{
    return control(state, fd, true, (struct watched){true, events | PF_ERROR, tag});
}

static int fake_remove(void *state, int fd)
{
    struct state *s = state;
    s->poller->controls++;
    s->by_fd[fd].active = false;
    return 0;
}

static int fill(const struct state *s, struct pf_poll_event *events, int max)
{
    int n = 0;
    for (unsigned i = 0; i < s->poller->ready_count && n < max; i++) {
        const struct pf_fake_ready *ready = &s->poller->ready[i];
        const struct watched *watched = &s->by_fd[ready->fd];
        if (watched->active && (watched->events & ready->events))
            events[n++] =
                (struct pf_poll_event){watched->tag, watched->events & ready->events};
    }
    return n;
}

static int fake_wait(void *state, struct pf_poll_event *events, int max, int64_t timeout_ns)
{
    const struct state *s = state;
    struct pf_fake_poller *poller = s->poller;
    int err = poller->wait_error;
    poller->wait_error = 0;
    poller->waits++;
    poller->last_limit_ns = timeout_ns;
    if (err)
        return err;
    int n = fill(s, events, max);
    if (n > 0 || timeout_ns == 0)
        return n;
    if (timeout_ns < 0)
        return -EDEADLK;
    poller->clock->now += timeout_ns;
    return 0;
}

static int fake_fd(void *state)
{
    (void)state;
    return -ENOTSUP;
}

const struct pf_poller_ops pf_poller_fake = {
    PF_POLLER_OPS,         .name = "fake",    .open = fake_open,
    .close = fake_close,   .add = fake_add,   .modify = fake_modify,
    .remove = fake_remove, .wait = fake_wait, .fd = fake_fd,
};

struct pf_loop_options pf_fake_options(struct pf_fake_poller *poller)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.clock = read_clock;
    options.clock_arg = poller->clock;
    options.poller = &pf_poller_fake;
    options.poller_arg = poller;
    return options;
}

void pf_fake_poller_ready(struct pf_fake_poller *poller, int fd, unsigned events)
{
    struct pf_fake_ready *ready = poller->ready;
    unsigned i = 0;
    while (i < poller->ready_count && ready[i].fd != fd)
        i++;
    if (events == 0 && i < poller->ready_count) {
        memmove(&ready[i], &ready[i + 1], (--poller->ready_count - i) * sizeof *ready);
        return;
    }
    if (events == 0 || i == PF_FAKE_READY_MAX)
        return;
    ready[i] = (struct pf_fake_ready){fd, events};
    if (i == poller->ready_count)
        poller->ready_count++;
}
