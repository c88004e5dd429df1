#include "bench/hold_pool.h"

#include "bench/descriptors.h"
#include "bench/hold_answer.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Events taken in one call, and bytes thrown away in one. */
#define EVENTS_MAX  256
#define DISCARD_MAX 4096
/* How often the pool looks what it has to open, and which connects have had their time. */
#define TICK_NS PF_MILLISECOND

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum slot_state {
    SLOT_NONE,
    SLOT_CONNECTING,
    SLOT_ASKED, /* its answer is to come */
    SLOT_HELD,
};

/* A connection; its index is its descriptor. */
struct slot {
    uint32_t connecting; /* SLOT_CONNECTING, SLOT_ASKED: index there */
    uint32_t state;
};

/* One that is not held yet. */
struct connecting {
    int fd;
    int64_t since_ns;           /* of the connect, or of the request */
    struct hold_answer *answer; /* owned; NULL: it is not asked yet */
};

struct hold_pool {
    pf_loop *loop;
    struct hold_options options;
    struct hold_counts *counts;
    int epoll_fd;
    struct slot *slots;
    unsigned slot_count;
    unsigned to_start; /* connections not begun yet */
    unsigned started;
    int64_t began_ns;
    pf_timer tick;
    bool opened; /* on_opened was called */
    unsigned connecting_count;
    struct connecting connecting[HOLD_CONNECTING_MAX];
};

static int64_t now_of(const struct hold_pool *pool)
{
    return pf_loop_now(pool->loop);
}

static void count_failed(struct hold_pool *pool, enum tally_phase phase,
                         enum tally_when when, int reason)
{
    hold_counts_add(pool->counts, phase, when, reason, now_of(pool));
    tally_count(&pool->counts->failed, 1);
}

/* ---- opening --------------------------------------------------------------------- */

/* A socket that is connecting from the source whose turn it is. Returns it or a negative
 * errno. */
static int begin_connect(const struct hold_pool *pool)
{
    const struct hold_options *options = &pool->options;
    const struct pf_address *target = options->target;
    int fd =
        socket(target->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = 0;
    if (options->source_count > 0) {
        const struct pf_address *source =
            &options->sources[pool->started % options->source_count];
        int on = 1;
        /* The port is found by connect(2), which knows that only all four numbers must
         * differ. */
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (const struct sockaddr *)&source->storage, source->len) < 0)
            err = -errno;
    }
    if (!err && connect(fd, (const struct sockaddr *)&target->storage, target->len) < 0 &&
        errno != EINPROGRESS)
        err = -errno;
    if (!err && (unsigned)fd >= pool->slot_count)
        err = -EMFILE;
    if (!err)
        return fd;
    close(fd);
    return err;
}

static int watch(const struct hold_pool *pool, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.fd = fd};
    return epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Begin one. False: no more now. */
static bool open_one(struct hold_pool *pool)
{
    int64_t since_ns = 0;
    (void)pf_loop_time(pool->loop, &since_ns); /* our own loop */
    int fd = begin_connect(pool);
    if (fd == -EAGAIN && pf_address_is_unix(pool->options.target))
        return false; /* the server's queue is full: connect(2) of unix sockets */
    pool->started++;
    pool->to_start--;
    tally_count(&pool->counts->started, 1);
    int err = fd < 0 ? fd : watch(pool, fd);
    if (!err) {
        unsigned index = pool->connecting_count++;
        pool->connecting[index] = (struct connecting){.fd = fd, .since_ns = since_ns};
        pool->slots[fd] = (struct slot){index, SLOT_CONNECTING};
        return true;
    }
    if (fd >= 0)
        close(fd);
    count_failed(pool, TALLY_CONNECT, TALLY_OPENING, -err);
    /* None of those that follow would fare better: do not try them. */
    if (err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS)
        for (; pool->to_start > 0; pool->to_start--)
            count_failed(pool, TALLY_CONNECT, TALLY_OPENING, -err);
    return true;
}

/* How many may be begun now. */
static unsigned due(const struct hold_pool *pool)
{
    unsigned room = HOLD_CONNECTING_MAX - pool->connecting_count;
    unsigned count = pool->to_start < room ? pool->to_start : room;
    if (pool->options.rate > 0) {
        double planned =
            (double)(now_of(pool) - pool->began_ns) * pool->options.rate / 1e9 + 1;
        double behind = planned - pool->started;
        if (behind < count)
            count = behind > 0 ? (unsigned)behind : 0;
    }
    return count;
}

/* It connects no more: the last of the list takes its place. */
static void leave_connecting(struct hold_pool *pool, int fd)
{
    unsigned index = pool->slots[fd].connecting;
    const struct connecting *last = &pool->connecting[--pool->connecting_count];
    free(pool->connecting[index].answer);
    pool->connecting[index] = *last;
    pool->slots[last->fd].connecting = index;
}

static void fail(struct hold_pool *pool, int fd, enum tally_phase phase, int reason)
{
    const struct hold_answer *answer = pool->connecting[pool->slots[fd].connecting].answer;
    enum tally_when when = !answer                     ? TALLY_OPENING
                           : phase == TALLY_VALIDATE   ? TALLY_ANSWERED
                           : hold_answer_begun(answer) ? TALLY_PARTIAL
                                                       : TALLY_SENT;
    leave_connecting(pool, fd);
    pool->slots[fd].state = SLOT_NONE;
    close(fd);
    count_failed(pool, phase, when, reason);
}

static void give_up_old_ones(struct hold_pool *pool)
{
    int64_t oldest_ns = now_of(pool) - pool->options.timeout_ns;
    for (unsigned i = pool->connecting_count; i-- > 0;)
        if (pool->connecting[i].since_ns < oldest_ns)
            fail(pool, pool->connecting[i].fd, TALLY_TIMEOUT, ETIMEDOUT);
}

static int pool_on_tick(pf_loop *loop, void *arg)
{
    struct hold_pool *pool = arg;
    give_up_old_ones(pool);
    for (unsigned count = due(pool); count > 0 && pool->to_start > 0; count--)
        if (!open_one(pool))
            break;
    if (pool->to_start > 0 || pool->connecting_count > 0)
        return pf_loop_call_later(loop, TICK_NS, pool_on_tick, pool, &pool->tick);
    pool->opened = true;
    pool->counts->opened_ns = now_of(pool);
    return pool->options.on_opened ? pool->options.on_opened(loop, pool->options.arg) : 0;
}

/* ---- holding --------------------------------------------------------------------- */

static void lose(struct hold_pool *pool, int fd, int reason)
{
    pool->slots[fd].state = SLOT_NONE;
    close(fd);
    hold_counts_add(pool->counts, TALLY_READ, TALLY_IDLE, reason, now_of(pool));
    tally_set(&pool->counts->held, tally_read(&pool->counts->held) - 1);
    tally_count(&pool->counts->lost, 1);
}

static void hold(struct hold_pool *pool, int fd)
{
    leave_connecting(pool, fd);
    pool->slots[fd].state = SLOT_HELD;
    tally_count(&pool->counts->held, 1);
}

/* Its answer, or a part. */
static void read_answer(struct hold_pool *pool, int fd)
{
    const struct connecting *asked = &pool->connecting[pool->slots[fd].connecting];
    char bytes[DISCARD_MAX];
    ssize_t len;
    int end = 0;
    do {
        len = recv(fd, bytes, sizeof bytes, 0);
        if (len <= 0)
            continue;
        tally_count(&pool->counts->bytes_in, (uint64_t)len);
        end = hold_answer_take(asked->answer, bytes, (size_t)len);
    } while (end == 0 && (len > 0 || (len < 0 && errno == EINTR)));
    if (end > 0)
        hold(pool, fd);
    else if (end < 0)
        fail(pool, fd, end == -TALLY_STATUS ? TALLY_VALIDATE : TALLY_PARSE, -end);
    else if (len == 0 || errno != EAGAIN)
        fail(pool, fd, TALLY_READ, len == 0 ? 0 : errno);
}

/* Whatever it says is thrown away. */
static void read_from(struct hold_pool *pool, int fd)
{
    char bytes[DISCARD_MAX];
    ssize_t len;
    do {
        len = recv(fd, bytes, sizeof bytes, 0);
        if (len > 0)
            tally_count(&pool->counts->bytes_in, (uint64_t)len);
    } while (len > 0 || (len < 0 && errno == EINTR));
    if (len == 0)
        lose(pool, fd, 0);
    else if (errno != EAGAIN)
        lose(pool, fd, errno);
}

/* A request that does not fit into an empty socket is not gone on with. Returns 0 or a
 * negative errno. */
static int ask(struct hold_pool *pool, int fd)
{
    const struct hold_options *options = &pool->options;
    struct connecting *asked = &pool->connecting[pool->slots[fd].connecting];
    ssize_t sent = send(fd, options->request, options->request_len, MSG_NOSIGNAL);
    if (sent < 0)
        return -errno;
    if ((size_t)sent < options->request_len)
        return -ENOBUFS;
    asked->answer = hold_answer_new(options->request_head);
    asked->since_ns = now_of(pool);
    pool->slots[fd].state = SLOT_ASKED;
    return asked->answer ? 0 : -ENOMEM;
}

static void connection_on_event(struct hold_pool *pool, int fd, uint32_t events)
{
    struct slot *slot = &pool->slots[fd];
    if (slot->state == SLOT_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        if ((events & (EPOLLERR | EPOLLHUP)) &&
            (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)) {
            fail(pool, fd, TALLY_CONNECT, error);
            return;
        }
        if (!(events & EPOLLOUT))
            return;
        hdr_record(&pool->counts->connect,
                   now_of(pool) - pool->connecting[slot->connecting].since_ns, 1);
        int err = 0;
        if (!pool->options.request)
            hold(pool, fd);
        else
            err = ask(pool, fd);
        if (err) {
            fail(pool, fd, TALLY_WRITE, -err);
            return;
        }
    }
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)))
        return;
    if (slot->state == SLOT_ASKED)
        read_answer(pool, fd);
    if (slot->state == SLOT_HELD) /* perhaps since now */
        read_from(pool, fd);
}

static int pool_on_events(pf_loop *loop, int epoll_fd, unsigned ready, void *arg)
{
    (void)loop, (void)ready;
    struct hold_pool *pool = arg;
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(epoll_fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++)
        connection_on_event(pool, events[i].data.fd, events[i].events);
    return 0;
}

/* ---- life ------------------------------------------------------------------------ */

int hold_pool_new(pf_loop *loop, const struct hold_options *options,
                  struct hold_counts *counts, struct hold_pool **out)
{
    struct hold_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    pool->loop = loop;
    pool->options = *options;
    pool->counts = counts;
    pool->to_start = options->connections;
    /* Those that are not used are in pages that are never touched. */
    pool->slot_count = descriptors_raise();
    pool->slots = calloc(pool->slot_count + 1, sizeof *pool->slots);
    int err = pool->slots ? 0 : -ENOMEM;
    if (err)
        goto free_pool;
    pool->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (pool->epoll_fd < 0) {
        err = -errno;
        goto free_slots;
    }
    err = pf_loop_add_handler(loop, pool->epoll_fd, PF_READ, pool_on_events, pool);
    if (err)
        goto close_epoll;
    pool->began_ns = now_of(pool);
    err = pf_loop_call_later(loop, 0, pool_on_tick, pool, &pool->tick);
    if (err)
        goto remove_handler;
    *out = pool;
    return 0;

remove_handler:
    (void)pf_loop_remove_handler(loop, pool->epoll_fd);
close_epoll:
    close(pool->epoll_fd);
free_slots:
    free(pool->slots);
free_pool:
    free(pool);
    return err;
}

void hold_pool_free(struct hold_pool *pool)
{
    if (!pool)
        return;
    (void)pf_loop_remove_timeout(pool->loop, pool->tick); /* it may have fired */
    (void)pf_loop_remove_handler(pool->loop, pool->epoll_fd);
    for (unsigned fd = 0; fd < pool->slot_count; fd++) {
        if (pool->slots[fd].state == SLOT_NONE)
            continue;
        struct linger reset = {.l_onoff = 1};
        (void)setsockopt((int)fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close((int)fd);
    }
    for (unsigned i = 0; i < pool->connecting_count; i++)
        free(pool->connecting[i].answer);
    close(pool->epoll_fd);
    free(pool->slots);
    free(pool);
}
