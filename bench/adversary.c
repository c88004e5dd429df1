#include "bench/adversary_internal.h"

#include "bench/tally.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A tenth of them has its turn at each tick, so that the load is even. */
#define TICKS   10
#define TICK_NS (ADVERSARY_TURN_NS / TICKS)

/* ---- one's life ------------------------------------------------------------------ */

static pf_io_fn adversary_on_event;

static void count_tried(struct adversary *adversary)
{
    if (!adversary->tried && !adversary_behaviours[adversary->kind].by_rate)
        adversary->all->untried--;
    adversary->tried = true;
}

static void close_reset(struct adversary *adversary)
{
    struct linger reset = {.l_onoff = 1};
    (void)setsockopt(adversary->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    (void)pf_loop_remove_handler(adversary->all->loop, adversary->fd); /* or not added */
    close(adversary->fd);
    adversary->fd = -1;
}

/* It is over with it: cut by the server, or, of kinds by the second, done. */
static void leave(struct adversary *adversary)
{
    struct adversary_counts *counts = adversary->all->counts;
    unsigned kind = adversary->kind;
    close_reset(adversary);
    adversary->state = ADVERSARY_DOWN;
    tally_set(&counts->open[kind], tally_read(&counts->open[kind]) - 1);
    if (adversary_behaviours[kind].by_rate)
        return;
    tally_count(&counts->cut[kind], 1);
    hdr_record(&counts->cut_after[kind],
               pf_loop_now(adversary->all->loop) - adversary->since_ns, 1);
}

static void fail_connect(struct adversary *adversary)
{
    if (adversary->fd >= 0)
        close_reset(adversary);
    adversary->state = ADVERSARY_DOWN;
    tally_count(&adversary->all->counts->refused[adversary->kind], 1);
    count_tried(adversary);
}

static int begin_connect(const struct adversary *adversary)
{
    const struct adversary_options *options = &adversary->all->options;
    const struct pf_address *target = options->target;
    int fd =
        socket(target->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (options->sources) {
        const struct pf_address *source = &options->sources[adversary->kind];
        int on = 1;
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        /* From anywhere rather than not at all. */
        (void)bind(fd, (const struct sockaddr *)&source->storage, source->len);
    }
    int bytes = adversary_behaviours[adversary->kind].rcvbuf;
    if (bytes > 0) /* before connect: it settles the window */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (connect(fd, (const struct sockaddr *)&target->storage, target->len) == 0 ||
        errno == EINPROGRESS)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

static void start(struct adversary *adversary)
{
    adversary->fd = begin_connect(adversary);
    if (adversary->fd < 0 || pf_loop_add_handler(adversary->all->loop, adversary->fd,
                                                 PF_WRITE, adversary_on_event, adversary)) {
        fail_connect(adversary);
        return;
    }
    adversary->state = ADVERSARY_CONNECTING;
}

static void adversary_on_connected(struct adversary *adversary)
{
    struct adversaries *all = adversary->all;
    const struct adversary_behaviour *kind = &adversary_behaviours[adversary->kind];
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(adversary->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
        fail_connect(adversary);
        return;
    }
    adversary->state = ADVERSARY_OPEN;
    adversary->at = 0;
    adversary->since_ns = pf_loop_now(all->loop);
    tally_count(&all->counts->opened[adversary->kind], 1);
    tally_count(&all->counts->open[adversary->kind], 1);
    count_tried(adversary);
    if (kind->open && !kind->open(adversary)) {
        leave(adversary);
        return;
    }
    /* With no events it is not watched at all. */
    if (pf_loop_update_handler(all->loop, adversary->fd, kind->deaf ? 0 : PF_READ))
        leave(adversary);
}

static int adversary_on_event(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)events;
    struct adversary *adversary = arg;
    char bytes[4096];
    if (adversary->state == ADVERSARY_CONNECTING) {
        adversary_on_connected(adversary);
        return 0;
    }
    ssize_t len = recv(fd, bytes, sizeof bytes, 0);
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
        leave(adversary);
    return 0;
}

/* ---- all of them ----------------------------------------------------------------- */

static void take_turn(struct adversary *adversary)
{
    const struct adversary_behaviour *kind = &adversary_behaviours[adversary->kind];
    if (adversary->state == ADVERSARY_DOWN)
        start(adversary);
    else if (adversary->state == ADVERSARY_OPEN && kind->on_turn &&
             !kind->on_turn(adversary))
        leave(adversary);
}

/* As many of a kind by the second as are due by now. */
static void make_up_rate(struct adversaries *all, unsigned kind)
{
    double rate = all->options.mix.count[kind];
    double seconds = (double)(pf_loop_now(all->loop) - all->began_ns) / 1e9;
    uint64_t due = (uint64_t)(rate * seconds);
    for (unsigned i = all->first[kind]; i < all->first[kind + 1]; i++) {
        if (all->made[kind] >= due)
            break;
        if (all->list[i].state != ADVERSARY_DOWN)
            continue;
        all->made[kind]++;
        start(&all->list[i]);
    }
}

static int all_on_tick(pf_loop *loop, void *arg)
{
    struct adversaries *all = arg;
    for (unsigned kind = 0; kind < ADVERSARY_KINDS; kind++) {
        if (adversary_behaviours[kind].by_rate) {
            make_up_rate(all, kind);
            continue;
        }
        unsigned begin = all->first[kind] + (unsigned)(all->ticks % TICKS);
        for (unsigned i = begin; i < all->first[kind + 1]; i += TICKS)
            take_turn(&all->list[i]);
    }
    all->ticks++;
    int err = pf_loop_call_later(loop, TICK_NS, all_on_tick, all, &all->tick);
    if (!err && !all->ready && all->untried == 0) {
        all->ready = true;
        if (all->options.on_ready)
            return all->options.on_ready(loop, all->options.arg);
    }
    return err;
}

void adversary_counts_init(struct adversary_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    for (unsigned kind = 0; kind < ADVERSARY_KINDS; kind++)
        hdr_init(&counts->cut_after[kind]);
}

static unsigned slots_of(const struct adversary_mix *mix, unsigned kind)
{
    unsigned count = mix->count[kind];
    return adversary_behaviours[kind].by_rate && count > ADVERSARY_RATE_OPEN_MAX
               ? ADVERSARY_RATE_OPEN_MAX
               : count;
}

unsigned adversary_descriptors(const struct adversary_mix *mix)
{
    unsigned count = 0;
    for (unsigned kind = 0; kind < ADVERSARY_KINDS; kind++)
        count += slots_of(mix, kind);
    return count;
}

int adversaries_new(pf_loop *loop, const struct adversary_options *options,
                    struct adversary_counts *counts, struct adversaries **out)
{
    struct adversaries *all = calloc(1, sizeof *all);
    if (!all)
        return -ENOMEM;
    all->loop = loop;
    all->options = *options;
    all->counts = counts;
    all->dice = 88172645463325252u; /* the same garbage each time */
    all->began_ns = pf_loop_now(loop);
    all->count = adversary_descriptors(&options->mix);
    all->list = calloc(all->count ? all->count : 1, sizeof *all->list);
    int len =
        snprintf(all->request, sizeof all->request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
                 options->path, options->authority);
    int err = all->list && len > 0 && (size_t)len < sizeof all->request ? 0 : -ENOMEM;
    all->request_len = (size_t)len;
    unsigned at = 0;
    for (unsigned kind = 0; kind < ADVERSARY_KINDS && !err; kind++) {
        unsigned slots = slots_of(&options->mix, kind);
        all->first[kind] = at;
        for (unsigned i = 0; i < slots; i++, at++)
            all->list[at] = (struct adversary){.all = all, .fd = -1, .kind = (uint8_t)kind};
        all->untried += adversary_behaviours[kind].by_rate ? 0 : slots;
    }
    all->first[ADVERSARY_KINDS] = at;
    if (!err)
        err = pf_loop_call_later(loop, 0, all_on_tick, all, &all->tick);
    if (err) {
        free(all->list);
        free(all);
        return err;
    }
    *out = all;
    return 0;
}

void adversaries_free(struct adversaries *all)
{
    if (!all)
        return;
    (void)pf_loop_remove_timeout(all->loop, all->tick); /* it may be running */
    for (unsigned i = 0; i < all->count; i++)
        if (all->list[i].fd >= 0)
            close_reset(&all->list[i]);
    free(all->list);
    free(all);
}
