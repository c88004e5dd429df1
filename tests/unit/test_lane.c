/*
 * test_lane.c - one lane: real listeners and clients, a loop with a clock of its own, a
 * service that keeps what it is given.
 */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"

#include "net/listener.h"
#include "worker/lane.h"
#include <prefork/log.h>
#include <prefork/testing.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a service ------------------------------------------------------------------- */

enum {
    MANY = 64
};

static struct {
    int fds[MANY]; /* open connections, in the order in which they came */
    int count;
    int refused, scarce;
    int datagrams;
    int inits, drains, exits;
    int init_result;
    bool closes_at_once;
} service_saw;

static int on_init(pf_lane *lane, void *arg)
{
    assert_ptr_equal(arg, &service_saw);
    assert_non_null(pf_lane_loop(lane));
    service_saw.inits++;
    return service_saw.init_result;
}

static void on_connection(pf_lane *lane, int fd, const struct sockaddr *peer,
                          socklen_t peer_len, void *arg)
{
    assert_ptr_equal(arg, &service_saw);
    assert_int_equal(peer->sa_family, AF_INET);
    assert_int_equal(peer_len, sizeof(struct sockaddr_in));
    if (service_saw.closes_at_once) {
        close(fd);
        assert_int_equal(pf_lane_closed(lane, fd), 0);
        return;
    }
    service_saw.fds[service_saw.count++] = fd;
}

static void on_drain(pf_lane *lane, void *arg)
{
    (void)lane, (void)arg;
    service_saw.drains++;
}

static void on_exit_lane(pf_lane *lane, void *arg)
{
    (void)lane, (void)arg;
    service_saw.exits++;
}

static void on_datagram(pf_lane *lane, int fd, const void *data, size_t len,
                        const struct sockaddr *peer, socklen_t peer_len, void *arg)
{
    (void)arg;
    service_saw.datagrams++;
    assert_int_equal(sendto(fd, data, len, 0, peer, peer_len), len);
    assert_int_equal(pf_lane_answered(lane, len), 0);
}

static void on_refused(pf_lane *lane, int fd, bool scarce, void *arg)
{
    (void)lane, (void)arg;
    service_saw.refused++;
    service_saw.scarce += scarce;
    close(fd);
}

/* ---- the stage ------------------------------------------------------------------- */

#define DRAIN_NS (30 * PF_SECOND)
#define OWNER    7u
#define OTHER    8u

static struct pf_test_clock test_clock;
static pf_loop *loop;
static pf_scoreboard *board;
static struct pf_service service;
static pf_lane lane;
static struct pf_address address, other_address;
static int ours, theirs; /* the listeners as the master has them: its own copies */
static struct pf__listener own[1], adopted[1];
static int clients[MANY], client_count;
static int moves; /* of the lane's state */
static unsigned warnings;

static void count_warning(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)line, (void)len, (void)arg;
    warnings += level == PF_LOG_WARN;
}

static void on_state(struct pf_lane *moved, void *arg)
{
    assert_ptr_equal(moved, &lane);
    assert_ptr_equal(arg, &moves);
    moves++;
}

static int listen_on(struct pf_address *on)
{
    char why[128];
    const struct pf_listener_options options = {.backlog = MANY};
    assert_int_equal(pf_address_parse("127.0.0.1:0", on, why, sizeof why), 1);
    int fd = pf_listener_open(on, &options, PF_LISTENER_ALONE);
    assert_true(fd >= 0);
    return fd;
}

static int copy(int fd)
{
    int to = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    assert_true(to >= 0);
    return to;
}

enum {
    OWN_COLUMNS = 2
};
static const struct pf_column own_columns[OWN_COLUMNS] = {
    {.name = "greetings", .kind = PF_COLUMN_COUNTER, .writer = PF_COLUMN_LANE},
    {.name = "farewells", .kind = PF_COLUMN_COUNTER, .writer = PF_COLUMN_LANE}};

/* State boot. */
static void open_stage(struct pf__lane_limits limits)
{
    memset(&service_saw, 0, sizeof service_saw);
    client_count = moves = 0;
    warnings = 0;
    pf_log_set_sink(count_warning, NULL);
    test_clock = (struct pf_test_clock){0};
    assert_int_equal(pf_test_loop_new(&test_clock, &loop), 0);
    struct pf_column columns[PF__COLUMNS + OWN_COLUMNS];
    memcpy(columns, pf__columns, sizeof pf__columns);
    memcpy(columns + PF__COLUMNS, own_columns, sizeof own_columns);
    assert_int_equal(pf_scoreboard_new(columns, PF__COLUMNS + OWN_COLUMNS, 2, &board), 0);
    service = (struct pf_service){.size = sizeof service,
                                  .name = "test",
                                  .arg = &service_saw,
                                  .lane_init = on_init,
                                  .on_connection = on_connection,
                                  .on_datagram = on_datagram,
                                  .on_drain = on_drain,
                                  .on_refused = on_refused,
                                  .lane_exit = on_exit_lane,
                                  .columns = own_columns,
                                  .column_count = OWN_COLUMNS};
    struct pf__lane_setup setup = {.service = &service,
                                   .slot = 3,
                                   .thread = 2,
                                   .board = board,
                                   .row = 1,
                                   .limits = limits,
                                   .drain_ns = DRAIN_NS};
    assert_int_equal(pf__lane_init(&lane, &setup), 0);
    lane.on_state = on_state;
    lane.on_state_arg = &moves;
    ours = listen_on(&address);
    theirs = listen_on(&other_address);
    own[0] = (struct pf__listener){.fd = copy(ours), .mode = PF_ACCEPT_OWN};
    adopted[0] = (struct pf__listener){.fd = copy(theirs), .mode = PF_ACCEPT_OWN};
}

/* Is it still that: a number that was closed may be a connection's by now. */
static bool is_listener(int fd)
{
    int on = 0;
    socklen_t len = sizeof on;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

static void close_all(int *fds, int count)
{
    for (int i = 0; i < count; i++)
        if (fds[i] != -1)
            close(fds[i]);
}

/* What the lane has not taken is ours to close. */
static void close_stage(void)
{
    pf__lane_end(&lane);
    close_all(service_saw.fds, service_saw.count);
    close_all(clients, client_count);
    if (is_listener(own[0].fd))
        close(own[0].fd);
    if (is_listener(adopted[0].fd))
        close(adopted[0].fd);
    close(ours);
    close(theirs);
    pf__lane_fini(&lane);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    pf_scoreboard_free(board);
    pf_log_set_sink(NULL, NULL);
}

static void open_ready(struct pf__lane_limits limits)
{
    open_stage(limits);
    assert_int_equal(pf__lane_start(&lane, loop), 0);
}

static int go(void)
{
    return pf__lane_go(&lane, OWNER, own, 1);
}

static int adopt(void)
{
    return pf__lane_adopt(&lane, OTHER, adopted, 1);
}

static void open_accepting(struct pf__lane_limits limits)
{
    open_ready(limits);
    assert_int_equal(go(), 0);
}

static const struct pf__lane_limits no_limits = {0};

static void settle(void)
{
    assert_true(pf_test_run_until_idle(loop) >= 0);
}

/* From 127.0.0.`host`. On loopback the connection is in the queue when this returns. */
static void connect_from(const struct pf_address *to, unsigned host, int count)
{
    while (count-- > 0) {
        struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(0x7f000000 + host)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0 && client_count < MANY);
        assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&to->storage, to->len), 0);
        clients[client_count++] = fd;
    }
}

static void come(int count)
{
    connect_from(&address, 1, count);
    settle();
}

/* The i-th connection that the service has. */
static void end(int i)
{
    int fd = service_saw.fds[i];
    service_saw.fds[i] = -1;
    close(fd);
    assert_int_equal(pf_lane_closed(&lane, fd), 0);
    settle();
}

static uint64_t cell(enum pf__column column)
{
    return pf_scoreboard_get(board, 1, column);
}

static void assert_state(enum pf_worker_state state)
{
    assert_string_equal(pf__worker_state_name(lane.state), pf__worker_state_name(state));
    assert_int_equal(cell(PF__COLUMN_STATE), state);
}

/* ---- states ---------------------------------------------------------------------- */

enum command {
    GO,
    OVERFLOW,
    ADOPT,
    RELEASE,
    DRAIN,
    DRAIN_LAST,
    STOP,
    COMMANDS
};

static int command(enum command what)
{
    switch (what) {
    case GO:
        return go();
    case OVERFLOW:
        pf__lane_overflow(&lane);
        return 0;
    case ADOPT:
        return adopt();
    case RELEASE:
        pf__lane_release(&lane, OTHER);
        return 0;
    case DRAIN:
    case DRAIN_LAST:
        pf__lane_drain(&lane, what == DRAIN_LAST);
        return 0;
    case STOP:
        pf__lane_stop(&lane);
        return 0;
    case COMMANDS:
        break;
    }
    return -ENOSYS;
}

/* A lane in this state, with one connection if it can have one by then. */
static void bring(enum pf_worker_state state)
{
    open_stage((struct pf__lane_limits){.soft = state == PF_WORKER_PAUSED});
    if (state > PF_WORKER_BOOT)
        assert_int_equal(pf__lane_start(&lane, loop), 0);
    if (state > PF_WORKER_READY) {
        assert_int_equal(go(), 0);
        come(1);
    }
    if (state == PF_WORKER_DRAINING)
        pf__lane_drain(&lane, false);
    if (state == PF_WORKER_EXITING)
        pf__lane_stop(&lane);
    assert_state(state);
}

static void every_command_in_every_state_does_what_the_table_says(void **state)
{
    (void)state;
    enum {
        B = PF_WORKER_BOOT,
        R = PF_WORKER_READY,
        A = PF_WORKER_ACCEPTING,
        P = PF_WORKER_PAUSED,
        D = PF_WORKER_DRAINING,
        E = PF_WORKER_EXITING
    };
    /* clang-format off */
    static const int then[PF_WORKER_STATES][COMMANDS] = {
        /*                       go overflow adopt release drain last stop */
        [PF_WORKER_BOOT]      = { B, B,       B,    B,      E,    E,   E },
        [PF_WORKER_READY]     = { A, R,       R,    R,      E,    E,   E },
        [PF_WORKER_ACCEPTING] = { A, A,       A,    A,      D,    D,   E },
        [PF_WORKER_PAUSED]    = { P, P,       P,    P,      D,    D,   E },
        [PF_WORKER_DRAINING]  = { D, D,       D,    D,      D,    D,   E },
        [PF_WORKER_EXITING]   = { E, E,       E,    E,      E,    E,   E },
    };
    /* clang-format on */
    for (enum pf_worker_state from = 0; from < PF_WORKER_STATES; from++)
        for (enum command what = 0; what < COMMANDS; what++) {
            bring(from);
            int before = moves, drains = service_saw.drains;
            int result = command(what), to = then[from][what];
            bool may = from == PF_WORKER_ACCEPTING || from == PF_WORKER_PAUSED;
            if (lane.state != (enum pf_worker_state)to)
                fail_msg("state %u, command %u: state %u", from, what, lane.state);
            assert_int_equal(result, what == ADOPT && !may ? -ESHUTDOWN : 0);
            assert_int_equal(moves - before, (int)from != to);
            assert_int_equal(service_saw.drains - drains, to == D && may);
            settle();
            assert_state((enum pf_worker_state)to);
            close_stage();
        }
}

static void a_lane_says_in_its_row_what_it_does(void **state)
{
    (void)state;
    open_accepting(no_limits);
    come(3);
    end(0);
    assert_int_equal(pf_lane_answered(&lane, 100), 0);
    assert_int_equal(pf_lane_answered(&lane, 23), 0);
    pf__lane_on_shortage(NULL, copy(ours), NULL, &lane);
    assert_int_equal(cell(PF__COLUMN_ACCEPTED), 3);
    assert_int_equal(cell(PF__COLUMN_CONNECTIONS), 2);
    assert_int_equal(cell(PF__COLUMN_REQUESTS), 2);
    assert_int_equal(cell(PF__COLUMN_BYTES_OUT), 123);
    assert_int_equal(cell(PF__COLUMN_REFUSED), 1);
    assert_int_equal(cell(PF__COLUMN_DATAGRAMS), 0);
    assert_int_equal(cell(PF__COLUMN_TID), gettid());
    assert_int_equal(cell(PF__COLUMN_SAMPLED), 1); /* the first of them */
    assert_true(cell(PF__COLUMN_BEAT) > 0);
    assert_int_equal(pf_lane_count(&lane, 1, 5), 0);
    assert_int_equal(pf_lane_count(&lane, 1, 2), 0);
    assert_int_equal(pf_lane_count(&lane, OWN_COLUMNS, 1), -EINVAL);
    assert_int_equal(cell(PF__COLUMNS), 0);
    assert_int_equal(cell(PF__COLUMNS + 1), 7);
    for (unsigned column = 0; column < PF__COLUMNS + OWN_COLUMNS; column++)
        assert_int_equal(pf_scoreboard_get(board, 0, column), 0); /* nobody else's */
    assert_ptr_equal(pf_lane_loop(&lane), loop);
    assert_int_equal(pf_lane_slot(&lane), 3);
    assert_int_equal(pf_lane_thread(&lane), 2);
    assert_null(pf_lane_get_data(&lane));
    pf_lane_set_data(&lane, &lane);
    assert_ptr_equal(pf_lane_get_data(&lane), &lane);
    close_stage();
}

static void a_lane_whose_init_fails_is_exiting_and_is_not_ended(void **state)
{
    (void)state;
    static const int results[] = {-ENOENT, ENOENT};
    for (int i = 0; i < 2; i++) {
        open_stage(no_limits);
        service_saw.init_result = results[i];
        assert_int_equal(pf__lane_start(&lane, loop), -ENOENT);
        assert_state(PF_WORKER_EXITING);
        close_stage();
        assert_int_equal(service_saw.exits, 0);
    }
}

static void a_lane_is_ended_once(void **state)
{
    (void)state;
    open_accepting(no_limits);
    pf__lane_end(&lane);
    pf__lane_end(&lane);
    assert_int_equal(service_saw.exits, 1);
    assert_false(is_listener(own[0].fd));
    close_stage();
    assert_int_equal(service_saw.exits, 1);
}

static void a_service_without_hooks_lives_through_all_states(void **state)
{
    (void)state;
    open_stage(no_limits);
    service.lane_init = NULL;
    service.on_drain = NULL;
    service.lane_exit = NULL;
    assert_int_equal(pf__lane_start(&lane, loop), 0);
    assert_int_equal(go(), 0);
    come(1);
    pf__lane_drain(&lane, true);
    assert_state(PF_WORKER_DRAINING);
    end(0);
    assert_state(PF_WORKER_EXITING);
    close_stage();
}

static void closed_once_too_often_is_an_error(void **state)
{
    (void)state;
    open_accepting(no_limits);
    assert_int_equal(pf_lane_closed(&lane, 5), -EINVAL);
    come(1);
    end(0);
    assert_int_equal(pf_lane_closed(&lane, 5), -EINVAL);
    assert_int_equal(cell(PF__COLUMN_CONNECTIONS), 0);
    close_stage();
}

/* ---- limits ---------------------------------------------------------------------- */

static void at_the_soft_limit_it_pauses_until_a_tenth_has_gone(void **state)
{
    (void)state;
    static const int soft[] = {1, 2, 9, 10, 20, 30}, resumes_at[] = {0, 1, 8, 8, 17, 26};
    for (size_t row = 0; row < sizeof soft / sizeof *soft; row++) {
        open_accepting((struct pf__lane_limits){.soft = (size_t)soft[row]});
        come(soft[row] - 1);
        assert_state(PF_WORKER_ACCEPTING);
        come(1);
        assert_state(PF_WORKER_PAUSED);
        come(2); /* they stand in the queue */
        assert_int_equal(service_saw.count, soft[row]);
        assert_true(pf_test_advance(loop, &test_clock, PF__LANE_REST_NS) >= 0);
        int left = soft[row];
        for (int before = moves; moves == before && left > 0; left--) {
            assert_state(PF_WORKER_PAUSED);
            assert_int_equal(service_saw.count, soft[row]);
            int fd = service_saw.fds[left - 1];
            service_saw.fds[left - 1] = -1;
            close(fd);
            assert_int_equal(pf_lane_closed(&lane, fd), 0);
        }
        assert_int_equal(left, resumes_at[row]);
        settle();
        assert_true(service_saw.count > soft[row]);
        assert_int_equal(service_saw.refused, 0);
        close_stage();
    }
}

static void a_service_that_closes_at_once_is_never_paused(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.soft = 1, .hard = 1, .per_client = 1});
    service_saw.closes_at_once = true;
    come(10);
    assert_int_equal(cell(PF__COLUMN_ACCEPTED), 10);
    assert_int_equal(cell(PF__COLUMN_CONNECTIONS), 0);
    assert_state(PF_WORKER_ACCEPTING);
    assert_int_equal(moves, 2);
    close_stage();
}

static void told_that_nobody_else_can_it_accepts_up_to_the_hard_limit(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.soft = 2, .hard = 4});
    come(2);
    pf__lane_overflow(&lane);
    pf__lane_overflow(&lane);
    come(2);
    assert_int_equal(service_saw.count, 4);
    assert_state(PF_WORKER_PAUSED);
    come(2);
    assert_int_equal(service_saw.count, 4);
    assert_int_equal(service_saw.refused, 2);
    assert_int_equal(service_saw.scarce, 0);
    assert_int_equal(cell(PF__COLUMN_REFUSED), 2);
    assert_int_equal(cell(PF__COLUMN_CONNECTIONS), 4);
    close_stage();
}

static void overflow_ends_when_there_is_room_again(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.soft = 2});
    come(2);
    pf__lane_overflow(&lane);
    come(1);
    end(0);
    assert_state(PF_WORKER_PAUSED); /* two are left */
    end(1);
    assert_state(PF_WORKER_PAUSED); /* not so soon */
    assert_true(pf_test_advance(loop, &test_clock, PF__LANE_REST_NS) >= 0);
    settle();
    assert_state(PF_WORKER_ACCEPTING);
    come(1);
    assert_state(PF_WORKER_PAUSED);
    come(1); /* this one waits, */
    assert_int_equal(service_saw.count, 4);
    pf__lane_overflow(&lane); /* until nobody else can, again */
    settle();
    assert_int_equal(service_saw.count, 5);
    close_stage();
}

static void overflow_before_the_limit_is_not_remembered(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.soft = 2});
    pf__lane_overflow(&lane);
    come(3);
    assert_state(PF_WORKER_PAUSED);
    assert_int_equal(service_saw.count, 2);
    close_stage();
}

/* What came of the i-th client: 1 it can speak, 0 it was sent away. */
static bool is_connected(int i)
{
    char c;
    return recv(clients[i], &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
}

static void over_the_hard_limit_each_is_refused_and_counts_nowhere(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.hard = 2});
    come(4);
    assert_int_equal(service_saw.count, 2);
    assert_int_equal(service_saw.refused, 2);
    assert_true(is_connected(0) && is_connected(1));
    assert_false(is_connected(2) || is_connected(3));
    assert_state(PF_WORKER_ACCEPTING);
    end(0);
    come(1);
    assert_int_equal(service_saw.count, 3);
    assert_int_equal(cell(PF__COLUMN_REFUSED), 2);
    close_stage();
}

/* Ends the first connection that is still there, up to `spares` times. */
static int spares, asked;
static bool on_full(pf_lane *full, void *arg)
{
    assert_ptr_equal(full, &lane);
    assert_ptr_equal(arg, &service_saw);
    asked++;
    for (int i = 0; spares > 0 && i < service_saw.count; i++) {
        if (service_saw.fds[i] == -1)
            continue;
        spares--;
        close(service_saw.fds[i]);
        assert_int_equal(pf_lane_closed(full, service_saw.fds[i]), 0);
        service_saw.fds[i] = -1;
        return true;
    }
    return false;
}

static void over_the_hard_limit_one_that_can_be_spared_makes_room(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.hard = 2, .per_client = 2});
    service.on_full = on_full;
    asked = 0;
    spares = 1;
    connect_from(&address, 1, 2);
    settle();
    assert_int_equal(asked, 0);
    connect_from(&address, 2, 1);
    settle();
    assert_int_equal(asked, 1);
    assert_int_equal(service_saw.count, 3);
    assert_int_equal(service_saw.refused, 0);
    assert_int_equal(cell(PF__COLUMN_CONNECTIONS), 2);
    connect_from(&address, 3, 1); /* nothing can be spared any more */
    settle();
    assert_int_equal(asked, 2);
    assert_int_equal(service_saw.refused, 1);
    spares = 1;
    connect_from(&address, 1, 1); /* of its two one has gone */
    settle();
    assert_int_equal(asked, 3);
    assert_int_equal(service_saw.count, 4);
    close_stage();
}

/* Or it could have those of others closed one after the other. */
static void nobody_makes_room_for_a_client_that_has_too_many(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.hard = 2, .per_client = 1});
    service.on_full = on_full;
    asked = 0;
    spares = 1;
    connect_from(&address, 1, 1);
    connect_from(&address, 2, 2);
    settle();
    assert_int_equal(service_saw.refused, 1);
    assert_int_equal(asked, 0);
    connect_from(&address, 2, 1);
    settle();
    assert_int_equal(service_saw.refused, 2);
    assert_int_equal(asked, 0);
    close_stage();
}

static void a_service_without_on_refused_has_them_closed(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.hard = 1});
    service.on_refused = NULL;
    come(3);
    assert_int_equal(service_saw.count, 1);
    assert_false(is_connected(1) || is_connected(2));
    assert_int_equal(cell(PF__COLUMN_REFUSED), 2);
    close_stage();
}

static void a_client_that_has_too_many_is_refused_and_others_are_not(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.per_client = 2});
    connect_from(&address, 1, 3);
    connect_from(&address, 2, 3);
    settle();
    assert_int_equal(service_saw.count, 4);
    assert_int_equal(service_saw.refused, 2);
    end(0); /* of the first client */
    connect_from(&address, 2, 1);
    connect_from(&address, 1, 2);
    settle();
    assert_int_equal(service_saw.count, 5);
    assert_int_equal(service_saw.refused, 4);
    assert_int_equal(cell(PF__COLUMN_CONNECTIONS), 4);
    close_stage();
}

static void whom_the_hard_limit_refuses_does_not_count_for_its_client(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.hard = 1, .per_client = 2});
    come(4);
    end(0);
    come(1);
    assert_int_equal(service_saw.count, 2);
    end(1);
    come(1);
    assert_int_equal(service_saw.count, 3);
    assert_int_equal(service_saw.refused, 3);
    close_stage();
}

static void when_descriptors_run_out_the_service_is_told_so(void **state)
{
    (void)state;
    open_accepting(no_limits);
    int fd = copy(ours);
    pf__lane_on_shortage(NULL, fd, NULL, &lane);
    assert_int_equal(service_saw.refused, 1);
    assert_int_equal(service_saw.scarce, 1);
    assert_int_equal(cell(PF__COLUMN_CONNECTIONS), 0);
    close_stage();
}

/* ---- draining -------------------------------------------------------------------- */

static void a_drain_without_connections_is_over_at_once(void **state)
{
    (void)state;
    open_accepting(no_limits);
    pf__lane_drain(&lane, true);
    assert_state(PF_WORKER_EXITING);
    assert_int_equal(service_saw.drains, 1);
    assert_false(is_listener(own[0].fd));
    assert_true(is_listener(ours));
    close_stage();
}

static void a_drain_closes_the_listeners_and_ends_with_the_last_connection(void **state)
{
    (void)state;
    open_accepting(no_limits);
    assert_int_equal(adopt(), 0);
    come(2);
    pf__lane_drain(&lane, false);
    assert_state(PF_WORKER_DRAINING);
    assert_false(is_listener(own[0].fd));
    assert_false(is_listener(adopted[0].fd));
    assert_int_equal(service_saw.drains, 1);
    come(1); /* the master's copy keeps it */
    assert_int_equal(service_saw.count, 2);
    end(0);
    assert_state(PF_WORKER_DRAINING);
    end(1);
    assert_state(PF_WORKER_EXITING);
    int fd = accept4(ours, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    close_stage();
}

static void what_is_open_at_the_drain_limit_does_not_hold_it_up(void **state)
{
    (void)state;
    open_accepting(no_limits);
    come(1);
    pf__lane_drain(&lane, false);
    assert_true(pf_test_advance(loop, &test_clock, DRAIN_NS - 1) >= 0);
    assert_state(PF_WORKER_DRAINING);
    assert_int_equal(warnings, 0);
    assert_true(pf_test_advance(loop, &test_clock, 1) >= 0);
    assert_state(PF_WORKER_EXITING);
    assert_int_equal(warnings, 1);
    close_stage();
}

static void a_drain_that_was_in_time_hears_no_more_of_its_limit(void **state)
{
    (void)state;
    open_accepting(no_limits);
    pf__lane_drain(&lane, false);
    int before = moves;
    assert_true(pf_test_advance(loop, &test_clock, 2 * DRAIN_NS) >= 0);
    assert_int_equal(moves, before);
    assert_int_equal(warnings, 0);
    close_stage();
}

static void end_all_in_drain(pf_lane *drained, void *arg)
{
    (void)arg;
    service_saw.drains++;
    for (int i = 0; i < service_saw.count; i++) {
        close(service_saw.fds[i]);
        assert_int_equal(pf_lane_closed(drained, service_saw.fds[i]), 0);
        service_saw.fds[i] = -1;
    }
}

static void a_service_may_close_its_connections_when_told_of_the_drain(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.soft = 3, .per_client = 3});
    service.on_drain = end_all_in_drain;
    come(3);
    assert_state(PF_WORKER_PAUSED);
    pf__lane_drain(&lane, true);
    assert_state(PF_WORKER_EXITING);
    assert_int_equal(service_saw.drains, 1);
    close_stage();
}

/* With the soft limit far away, at it, reached by what comes in the drain itself; and at
 * it, but told to overflow. */
static void a_last_drain_serves_what_stands_in_the_queue(void **state)
{
    (void)state;
    static const size_t soft[] = {0, 2, 4, 2};
    for (int row = 0; row < 4; row++) {
        open_accepting((struct pf__lane_limits){.soft = soft[row]});
        assert_int_equal(adopt(), 0);
        come(2);
        if (row == 3)
            pf__lane_overflow(&lane);
        connect_from(&address, 1, 3);
        connect_from(&other_address, 1, 2);
        pf__lane_drain(&lane, true);
        assert_int_equal(service_saw.count, 7);
        assert_int_equal(service_saw.refused, 0);
        assert_state(PF_WORKER_DRAINING);
        close_stage();
    }
}

static void a_last_drain_still_keeps_the_hard_limit(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.soft = 1, .hard = 3});
    come(1);
    connect_from(&address, 1, 4);
    pf__lane_drain(&lane, true);
    assert_int_equal(service_saw.count, 3);
    assert_int_equal(service_saw.refused, 2);
    assert_state(PF_WORKER_DRAINING);
    close_stage();
}

static void a_drain_that_is_not_the_last_leaves_the_queue_to_others(void **state)
{
    (void)state;
    open_accepting(no_limits);
    connect_from(&address, 1, 1);
    pf__lane_drain(&lane, false);
    settle();
    assert_state(PF_WORKER_EXITING);
    assert_int_equal(service_saw.count, 0);
    int fd = accept4(ours, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    close_stage();
}

static void a_last_drain_whose_connections_end_at_once_is_over(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.soft = 2});
    service_saw.closes_at_once = true;
    connect_from(&address, 1, 5);
    pf__lane_drain(&lane, true);
    assert_int_equal(cell(PF__COLUMN_ACCEPTED), 5);
    assert_int_equal(service_saw.drains, 1);
    assert_state(PF_WORKER_EXITING);
    close_stage();
}

/* ---- listeners ------------------------------------------------------------------- */

static void an_adopted_listener_is_served_and_closed_when_given_back(void **state)
{
    (void)state;
    open_accepting(no_limits);
    assert_int_equal(adopt(), 0);
    struct pf__listener again = {.fd = copy(theirs), .mode = PF_ACCEPT_OWN};
    assert_int_equal(pf__lane_adopt(&lane, OTHER, &again, 1), -EEXIST);
    close(again.fd);
    connect_from(&other_address, 1, 2);
    settle();
    assert_int_equal(service_saw.count, 2);
    pf__lane_release(&lane, OTHER + 1); /* an unknown one: nothing */
    assert_true(is_listener(adopted[0].fd));
    pf__lane_release(&lane, OTHER);
    assert_false(is_listener(adopted[0].fd));
    pf__lane_release(&lane, OTHER);
    connect_from(&other_address, 1, 1);
    come(1); /* its own goes on */
    assert_int_equal(service_saw.count, 3);
    assert_state(PF_WORKER_ACCEPTING);
    adopted[0].fd = copy(theirs); /* and again */
    assert_int_equal(adopt(), 0);
    settle();
    assert_int_equal(service_saw.count, 4);
    close_stage();
}

static void what_is_adopted_while_paused_waits_too(void **state)
{
    (void)state;
    open_accepting((struct pf__lane_limits){.soft = 1});
    come(1);
    assert_int_equal(adopt(), 0);
    connect_from(&other_address, 1, 1);
    settle();
    assert_int_equal(service_saw.count, 1);
    pf__lane_overflow(&lane);
    settle();
    assert_int_equal(service_saw.count, 2);
    close_stage();
}

static void what_cannot_be_watched_is_not_adopted_and_stays_open(void **state)
{
    (void)state;
    open_accepting(no_limits);
    struct pf__listener two[] = {adopted[0], {.fd = -1, .mode = PF_ACCEPT_OWN}};
    assert_int_equal(pf__lane_adopt(&lane, OTHER, two, 2), -EBADF);
    assert_true(is_listener(adopted[0].fd));
    assert_state(PF_WORKER_ACCEPTING);
    assert_int_equal(adopt(), 0); /* nothing of it stayed */
    close_stage();
}

static void a_lane_that_cannot_watch_its_own_listeners_is_exiting(void **state)
{
    (void)state;
    open_ready(no_limits);
    struct pf__listener two[] = {own[0], {.fd = -1, .mode = PF_ACCEPT_OWN}};
    assert_int_equal(pf__lane_go(&lane, OWNER, two, 2), -EBADF);
    assert_state(PF_WORKER_EXITING);
    assert_true(is_listener(own[0].fd));
    close_stage();
}

static void a_listener_that_lanes_share_is_not_the_lanes_to_close(void **state)
{
    (void)state;
    static const enum pf_accept_mode modes[] = {PF_ACCEPT_SHARED, PF_ACCEPT_EXCLUSIVE};
    for (int i = 0; i < 2; i++) {
        open_ready(no_limits);
        own[0].mode = modes[i];
        assert_int_equal(go(), 0);
        come(1);
        assert_int_equal(service_saw.count, 1);
        pf__lane_drain(&lane, false);
        assert_true(is_listener(own[0].fd));
        close_stage();
    }
}

static void datagrams_are_handed_over_and_counted(void **state)
{
    (void)state;
    char why[128], back[8] = "";
    struct pf_address udp;
    const struct pf_listener_options options = {0};
    open_ready(no_limits);
    assert_int_equal(pf_address_parse("udp:127.0.0.1:0", &udp, why, sizeof why), 1);
    int fd = pf_listener_open(&udp, &options, PF_LISTENER_ALONE);
    struct pf__listener two[] = {own[0],
                                 {.fd = fd, .mode = PF_ACCEPT_OWN, .datagram = true}};
    assert_int_equal(pf__lane_go(&lane, OWNER, two, 2), 0);
    int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&udp.storage, udp.len), 0);
    assert_int_equal(send(client, "ping", 4, 0), 4);
    settle();
    assert_int_equal(recv(client, back, sizeof back, MSG_DONTWAIT), 4);
    assert_string_equal(back, "ping");
    assert_int_equal(service_saw.datagrams, 1);
    assert_int_equal(cell(PF__COLUMN_DATAGRAMS), 1);
    assert_int_equal(cell(PF__COLUMN_REQUESTS), 1);
    assert_int_equal(cell(PF__COLUMN_CONNECTIONS), 0);
    pf__lane_drain(&lane, true);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    close(client);
    close_stage();
}

/* ---- busy ------------------------------------------------------------------------ */

static void a_lane_that_says_it_is_busy_is_so_until_then(void **state)
{
    (void)state;
    open_accepting(no_limits);
    test_clock.now_ns = 1000 * PF_SECOND;
    assert_int_equal(pf_lane_busy(&lane, 5 * PF_SECOND), 0);
    assert_int_equal(cell(PF__COLUMN_BUSY_UNTIL), 1005 * PF_SECOND);
    assert_int_equal(pf_lane_busy(&lane, -1), -EINVAL);
    assert_int_equal(pf_lane_busy(&lane, PF_LANE_BUSY_MAX_NS + 1), -EINVAL);
    assert_int_equal(cell(PF__COLUMN_BUSY_UNTIL), 1005 * PF_SECOND);
    assert_int_equal(pf_lane_busy(&lane, 0), 0);
    assert_int_equal(cell(PF__COLUMN_BUSY_UNTIL), 0);
    assert_int_equal(pf_lane_busy(&lane, PF_LANE_BUSY_MAX_NS), 0);
    assert_int_equal(cell(PF__COLUMN_BUSY_UNTIL), 1000 * PF_SECOND + PF_LANE_BUSY_MAX_NS);
    close_stage();
}

static void use_the_parents(void *arg)
{
    (void)arg;
    assert_int_equal(pf_lane_closed(&lane, 5), -ECHILD);
    assert_int_equal(pf_lane_answered(&lane, 1), -ECHILD);
    assert_int_equal(pf_lane_count(&lane, 0, 1), -ECHILD);
    assert_int_equal(pf_lane_busy(&lane, 1), -ECHILD);
}

static void a_child_cannot_use_its_parents_lane(void **state)
{
    (void)state;
    open_accepting(no_limits);
    come(1);
    pf_test_in_child(use_the_parents, NULL);
    assert_int_equal(cell(PF__COLUMN_CONNECTIONS), 1);
    assert_int_equal(cell(PF__COLUMN_REQUESTS), 0);
    close_stage();
}

/* ---- without memory -------------------------------------------------------------- */

static void a_lane_for_whose_table_memory_is_short_is_not_made(void **state)
{
    (void)state;
    pf_alloc_needed();
    open_stage(no_limits);
    pf_lane other;
    struct pf__lane_setup setup = {
        .service = &service, .board = board, .limits = {.per_client = 1}};
    pf_alloc_fail(1);
    int err = pf__lane_init(&other, &setup);
    pf_alloc_stop();
    assert_int_equal(err, -ENOMEM);
    pf__lane_fini(&other);
    close_stage();
}

static void each_allocation_that_fails_leaves_a_lane_that_is_whole(void **state)
{
    (void)state;
    pf_alloc_needed();
    int failures = 0;
    for (int n = 1;; n++) {
        open_ready(no_limits);
        pf_alloc_fail(n);
        int err = go();
        int adopted_err = err ? 0 : adopt();
        bool failed = pf_alloc_stop() >= n;
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_state(PF_WORKER_EXITING);
            assert_true(is_listener(own[0].fd));
        } else {
            assert_state(PF_WORKER_ACCEPTING);
            if (adopted_err) {
                assert_int_equal(adopted_err, -ENOMEM);
                assert_true(is_listener(adopted[0].fd));
                assert_int_equal(adopt(), 0);
            }
            come(1);
            assert_int_equal(service_saw.count, 1);
        }
        close_stage();
        failures += err || adopted_err;
        if (!failed)
            break;
        assert_true(n < 100);
    }
    assert_true(failures > 1);
}

static void a_drain_without_memory_for_its_limit_ends_at_once(void **state)
{
    (void)state;
    pf_alloc_needed();
    open_accepting(no_limits);
    come(1);
    pf_alloc_fail(-1);
    pf__lane_drain(&lane, false);
    assert_true(pf_alloc_stop() > 0);
    assert_state(PF_WORKER_EXITING);
    assert_int_equal(service_saw.drains, 0);
    assert_false(is_listener(own[0].fd));
    close_stage();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(every_command_in_every_state_does_what_the_table_says),
        pf_test(a_lane_says_in_its_row_what_it_does),
        pf_test(a_lane_whose_init_fails_is_exiting_and_is_not_ended),
        pf_test(a_lane_is_ended_once),
        pf_test(a_service_without_hooks_lives_through_all_states),
        pf_test(closed_once_too_often_is_an_error),
        pf_test(at_the_soft_limit_it_pauses_until_a_tenth_has_gone),
        pf_test(a_service_that_closes_at_once_is_never_paused),
        pf_test(told_that_nobody_else_can_it_accepts_up_to_the_hard_limit),
        pf_test(overflow_ends_when_there_is_room_again),
        pf_test(overflow_before_the_limit_is_not_remembered),
        pf_test(over_the_hard_limit_each_is_refused_and_counts_nowhere),
        pf_test(over_the_hard_limit_one_that_can_be_spared_makes_room),
        pf_test(nobody_makes_room_for_a_client_that_has_too_many),
        pf_test(a_service_without_on_refused_has_them_closed),
        pf_test(a_client_that_has_too_many_is_refused_and_others_are_not),
        pf_test(whom_the_hard_limit_refuses_does_not_count_for_its_client),
        pf_test(when_descriptors_run_out_the_service_is_told_so),
        pf_test(a_drain_without_connections_is_over_at_once),
        pf_test(a_drain_closes_the_listeners_and_ends_with_the_last_connection),
        pf_test(what_is_open_at_the_drain_limit_does_not_hold_it_up),
        pf_test(a_drain_that_was_in_time_hears_no_more_of_its_limit),
        pf_test(a_service_may_close_its_connections_when_told_of_the_drain),
        pf_test(a_last_drain_serves_what_stands_in_the_queue),
        pf_test(a_last_drain_still_keeps_the_hard_limit),
        pf_test(a_drain_that_is_not_the_last_leaves_the_queue_to_others),
        pf_test(a_last_drain_whose_connections_end_at_once_is_over),
        pf_test(an_adopted_listener_is_served_and_closed_when_given_back),
        pf_test(what_is_adopted_while_paused_waits_too),
        pf_test(what_cannot_be_watched_is_not_adopted_and_stays_open),
        pf_test(a_lane_that_cannot_watch_its_own_listeners_is_exiting),
        pf_test(a_listener_that_lanes_share_is_not_the_lanes_to_close),
        pf_test(datagrams_are_handed_over_and_counted),
        pf_test(a_lane_that_says_it_is_busy_is_so_until_then),
        pf_test(a_child_cannot_use_its_parents_lane),
        pf_test(a_lane_for_whose_table_memory_is_short_is_not_made),
        pf_test(each_allocation_that_fails_leaves_a_lane_that_is_whole),
        pf_test(a_drain_without_memory_for_its_limit_ends_at_once),
    };
    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
