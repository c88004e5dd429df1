#include "bench/adversary.h"

#include "bench/quantity.h"
#include "bench/tally.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A tenth of them has its turn at each tick, so that the load is even. */
#define TICKS   10
#define TICK_NS (ADVERSARY_TURN_NS / TICKS)

#define REQUEST_MAX 8600 /* a path of URL_PATH_MAX, and the rest */

/* What a slow reader takes at its turn, and what its kernel may hold for it. */
#define SIP_BYTES    64
#define SIP_RCVBUF   4096
#define SIP_REQUESTS 64 /* asked for at a turn, at the most */

/* What a slow poster says it will send. */
#define POST_BYTES 1000000

#define GARBAGE_BYTES 512

enum state {
    STATE_DOWN,
    STATE_CONNECTING,
    STATE_OPEN,
};

struct adversary {
    struct adversaries *all;
    int fd; /* -1 when down */
    uint8_t kind, state;
    bool tried;
    uint32_t at;      /* of a slow reader: sent of a request */
    int64_t since_ns; /* of its opening */
};

/* What it does. A function that answers false has found that the server cut it off, or has
 * made an end itself: see leave(). NULL: nothing. */
struct kind {
    const char *name;
    bool by_rate;
    bool deaf; /* not told when something comes */
    bool (*open)(struct adversary *);
    bool (*on_turn)(struct adversary *);
};

struct adversaries {
    pf_loop *loop;
    struct adversary_options options;
    struct adversary_counts *counts;
    struct adversary *list;
    unsigned count, untried;
    unsigned first[ADVERSARY_KINDS + 1]; /* those of a kind lie together */
    uint64_t dice;
    int64_t began_ns;
    uint64_t ticks;
    uint64_t made[ADVERSARY_KINDS]; /* of kinds by the second */
    pf_timer tick;
    bool ready;
    size_t request_len;
    char request[REQUEST_MAX];
};

/* ---- what each kind does --------------------------------------------------------- */

/* Send what fits. False: the server has cut it off. */
static bool say(struct adversary *adversary, const char *bytes, size_t len)
{
    ssize_t sent = send(adversary->fd, bytes, len, MSG_NOSIGNAL);
    return sent >= 0 || errno == EAGAIN || errno == EINTR;
}

static bool say_text(struct adversary *adversary, const char *text)
{
    return say(adversary, text, strlen(text));
}

/* Its request without the empty line that would end it. */
static bool begin_request(struct adversary *adversary)
{
    const struct adversaries *all = adversary->all;
    return say(adversary, all->request, all->request_len - 2);
}

static bool slowloris_on_turn(struct adversary *adversary)
{
    return say_text(adversary, "X-Slow: y\r\n");
}

static bool slowpost_open(struct adversary *adversary)
{
    char head[REQUEST_MAX];
    const struct adversary_options *options = &adversary->all->options;
    int len = snprintf(head, sizeof head,
                       "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n",
                       options->path, options->authority, POST_BYTES);
    return len > 0 && (size_t)len < sizeof head && say(adversary, head, (size_t)len);
}

static bool slowpost_on_turn(struct adversary *adversary)
{
    return say_text(adversary, "x");
}

/* Ask until the server takes no more, because its answers have nowhere to go; where a send
 * ended in the middle of a request, the next one goes on. */
static bool slowread_open(struct adversary *adversary)
{
    const struct adversaries *all = adversary->all;
    for (int i = 0; i < SIP_REQUESTS; i++) {
        size_t len = all->request_len - adversary->at;
        ssize_t sent = send(adversary->fd, all->request + adversary->at, len, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        adversary->at = (size_t)sent < len ? adversary->at + (uint32_t)sent : 0;
    }
    return true;
}

static bool slowread_on_turn(struct adversary *adversary)
{
    char sip[SIP_BYTES];
    struct pollfd poll_fd = {.fd = adversary->fd, .events = POLLRDHUP};
    /* Behind what it has not read yet an end would not be seen for hours. */
    if (poll(&poll_fd, 1, 0) > 0)
        return false;
    ssize_t len = recv(adversary->fd, sip, sizeof sip, 0);
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    return slowread_open(adversary);
}

static bool halfopen_open(struct adversary *adversary)
{
    return shutdown(adversary->fd, SHUT_WR) == 0;
}

/* xorshift64*. */
static uint64_t roll(struct adversaries *all)
{
    all->dice ^= all->dice >> 12;
    all->dice ^= all->dice << 25;
    all->dice ^= all->dice >> 27;
    return all->dice * UINT64_C(2685821657736338717);
}

static bool garbage_open(struct adversary *adversary)
{
    char bytes[GARBAGE_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(roll(adversary->all) >> 56);
    return say(adversary, bytes, sizeof bytes);
}

static bool reset_open(struct adversary *adversary)
{
    (void)begin_request(adversary); /* whatever came of it, it ends here */
    return false;
}

static const struct kind kinds[ADVERSARY_KINDS] = {
    [ADVERSARY_SLOWLORIS] = {"slowloris", false, false, begin_request, slowloris_on_turn},
    [ADVERSARY_SLOWREAD] = {"slowread", false, true, slowread_open, slowread_on_turn},
    [ADVERSARY_SLOWPOST] = {"slowpost", false, false, slowpost_open, slowpost_on_turn},
    [ADVERSARY_HALFOPEN] = {"halfopen", false, false, halfopen_open, NULL},
    [ADVERSARY_IDLE] = {"idle", false, false, NULL, NULL},
    [ADVERSARY_GARBAGE] = {"garbage", false, false, garbage_open, NULL},
    [ADVERSARY_RESET] = {"reset", true, false, reset_open, NULL},
};

const char *adversary_name(enum adversary_kind kind)
{
    return kinds[kind].name;
}

/* ---- one's life ------------------------------------------------------------------ */

static pf_io_fn adversary_on_event;

static void count_tried(struct adversary *adversary)
{
    if (!adversary->tried && !kinds[adversary->kind].by_rate)
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
    adversary->state = STATE_DOWN;
    tally_set(&counts->open[kind], tally_read(&counts->open[kind]) - 1);
    if (kinds[kind].by_rate)
        return;
    tally_count(&counts->cut[kind], 1);
    hdr_record(&counts->cut_after[kind],
               pf_loop_now(adversary->all->loop) - adversary->since_ns, 1);
}

static void fail_connect(struct adversary *adversary)
{
    if (adversary->fd >= 0)
        close_reset(adversary);
    adversary->state = STATE_DOWN;
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
    if (adversary->kind == ADVERSARY_SLOWREAD) {
        int bytes = SIP_RCVBUF; /* before connect: it settles the window */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
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
    adversary->state = STATE_CONNECTING;
}

static void adversary_on_connected(struct adversary *adversary)
{
    struct adversaries *all = adversary->all;
    const struct kind *kind = &kinds[adversary->kind];
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(adversary->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
        fail_connect(adversary);
        return;
    }
    adversary->state = STATE_OPEN;
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
    if (adversary->state == STATE_CONNECTING) {
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
    const struct kind *kind = &kinds[adversary->kind];
    if (adversary->state == STATE_DOWN)
        start(adversary);
    else if (adversary->state == STATE_OPEN && kind->on_turn && !kind->on_turn(adversary))
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
        if (all->list[i].state != STATE_DOWN)
            continue;
        all->made[kind]++;
        start(&all->list[i]);
    }
}

static int all_on_tick(pf_loop *loop, void *arg)
{
    struct adversaries *all = arg;
    for (unsigned kind = 0; kind < ADVERSARY_KINDS; kind++) {
        if (kinds[kind].by_rate) {
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
    return kinds[kind].by_rate && count > ADVERSARY_RATE_OPEN_MAX ? ADVERSARY_RATE_OPEN_MAX
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
        all->untried += kinds[kind].by_rate ? 0 : slots;
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

/* ---- the mix --------------------------------------------------------------------- */

static int find_kind(const char *name, size_t len)
{
    for (int kind = 0; kind < ADVERSARY_KINDS; kind++)
        if (strlen(kinds[kind].name) == len && strncmp(kinds[kind].name, name, len) == 0)
            return kind;
    return -1;
}

int adversary_parse(const char *text, struct adversary_mix *out, char *why, size_t why_len)
{
    struct adversary_mix mix = {0};
    for (const char *at = text;;) {
        size_t name_len = strcspn(at, ":,");
        int kind = find_kind(at, name_len);
        if (kind < 0) {
            snprintf(why, why_len,
                     "\"%.*s\" is no kind: slowloris, slowread, slowpost, halfopen, idle, "
                     "garbage, reset",
                     (int)(name_len < 32 ? name_len : 32), at);
            return -EINVAL;
        }
        double count = 0;
        const char *number = at + name_len + (at[name_len] == ':');
        size_t len = quantity_read(number, kinds[kind].by_rate, &count);
        if (at[name_len] != ':' || len == 0 || !(count >= 1) || count > 1e6 ||
            (number[len] != ',' && number[len] != '\0')) {
            snprintf(why, why_len, "%s needs a number: %s:%s", kinds[kind].name,
                     kinds[kind].name, kinds[kind].by_rate ? "200/s" : "500");
            return -EINVAL;
        }
        if (mix.count[kind] > 0) {
            snprintf(why, why_len, "%s is there twice", kinds[kind].name);
            return -EINVAL;
        }
        mix.count[kind] = (unsigned)count;
        if (number[len] == '\0')
            break;
        at = number + len + 1;
    }
    *out = mix;
    return 0;
}
