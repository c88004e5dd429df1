/*
 * test_tcp.c - connecting over several addresses, and the server: real sockets on the
 * loopback interface, with a clock that the test moves.
 */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <prefork/tcp.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- the kernel, as far as the test directs it ----------------------------------- */

static unsigned connects;
static char tried[64]; /* the last digit of each address that was tried, in order */

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    struct sockaddr_in in = {0};
    memcpy(&in, address.__sockaddr__, len < sizeof in ? len : sizeof in);
    if (connects < sizeof tried - 1)
        tried[connects] =
            in.sin_family == AF_INET6 ? '6' : (char)('0' + (ntohl(in.sin_addr.s_addr) & 7));
    connects++;
    return (int)syscall(SYS_connect, fd, address.__sockaddr__, len);
}

/* ---- the stage ------------------------------------------------------------------- */

static pf_loop *loop;
static pf_resolver *resolver;
static pf_tcp_server *server;
static int64_t now_ns;
static struct pf_endpoint table[8];
static struct pf_resolver_override many = {"many.example", table, 0};

static struct {
    int calls, err;
    pf_stream *stream;
    int served;
    pf_stream *theirs;
    int family;
} seen;

static bool inside_a_call;

static int64_t test_clock(void *arg)
{
    (void)arg;
    return now_ns;
}

static int on_connect(pf_stream *stream, int err, void *arg)
{
    (void)arg;
    assert_false(inside_a_call);
    assert_true((stream == NULL) == (err != 0));
    seen.calls++;
    seen.err = err;
    seen.stream = stream;
    return 0;
}

static void on_connection(pf_tcp_server *from, pf_stream *stream,
                          const struct sockaddr *peer, socklen_t peer_len, void *arg)
{
    assert_ptr_equal(arg, &seen);
    assert_ptr_equal(from, server);
    assert_true(peer_len > 0);
    seen.served++;
    seen.family = peer->sa_family;
    pf_stream_free(seen.theirs);
    seen.theirs = stream;
}

static void open_stage(void)
{
    memset(&seen, 0, sizeof seen);
    memset(tried, 0, sizeof tried);
    connects = 0;
    now_ns = 1000 * PF_SECOND;
    many.count = 0;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.clock = test_clock;
    assert_int_equal(pf_loop_new(&options, &loop), 0);
    assert_true(pf_loop_turn(loop, 0) >= 0); /* opens what a loop opens late */
    struct pf_resolver_options names = {PF_RESOLVER_OPTIONS, .overrides = &many,
                                        .override_count = 1};
    assert_int_equal(pf_resolver_new(loop, &names, &resolver), 0);
    struct pf_tcp_server_options serve = {PF_TCP_SERVER_OPTIONS,
                                          .on_connection = on_connection, .arg = &seen};
    assert_int_equal(pf_tcp_server_new(loop, &serve, &server), 0);
}

static void close_stage(void)
{
    pf_stream_free(seen.stream);
    pf_stream_free(seen.theirs);
    pf_tcp_server_free(server);
    pf_resolver_free(resolver);
    pf_loop_unref(loop);
}

static int64_t real_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * PF_SECOND + t.tv_nsec;
}

static void turn(int times)
{
    while (times-- > 0)
        assert_true(pf_loop_turn(loop, 0) >= 0);
}

#define turn_until(condition)                                                              \
    do {                                                                                   \
        int64_t give_up = real_time() + PF_TEST_DEADLINE_S * PF_SECOND;                    \
        while (!(condition)) {                                                             \
            assert_true(real_time() < give_up);                                            \
            turn(1);                                                                       \
            sched_yield();                                                                 \
        }                                                                                  \
    } while (0)

static void add4(const char *text, unsigned port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, text, &in.sin_addr);
    table[many.count].len = sizeof in;
    memcpy(&table[many.count++].storage, &in, sizeof in);
}

static void add6(const char *text, unsigned port)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, text, &in.sin6_addr);
    table[many.count].len = sizeof in;
    memcpy(&table[many.count++].storage, &in, sizeof in);
}

/* A port at which nobody listens, and stays so while *fd is open. */
static unsigned closed_port(int *fd)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&in, &len), 0);
    return ntohs(in.sin_port);
}

/* A port at which connecting takes forever: its queue is full. Linux drops what comes then.
 */
static int hanging[4];

static unsigned hanging_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned port = closed_port(&hanging[0]);
    in.sin_port = htons((uint16_t)port);
    assert_int_equal(listen(hanging[0], 0), 0);
    for (int i = 1; i < 4; i++) {
        hanging[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)syscall(SYS_connect, hanging[i], &in, sizeof in);
    }
    return port;
}

static void end_hanging(void)
{
    for (int i = 0; i < 4; i++)
        close(hanging[i]);
}

static unsigned listening(void)
{
    char why[128];
    assert_int_equal(pf_tcp_server_listen(server, "127.0.0.1:0", why, sizeof why), 0);
    unsigned port = pf_tcp_server_port(server);
    assert_true(port > 0);
    return port;
}

static int go(const char *host, unsigned port, const struct pf_tcp_connect_options *options,
              pf_tcp_connecting **out)
{
    inside_a_call = true;
    int err = pf_tcp_connect(loop, host, port, options, on_connect, NULL, out);
    inside_a_call = false;
    return err;
}

static int go_many(pf_tcp_connecting **out)
{
    struct pf_tcp_connect_options options = {PF_TCP_CONNECT_OPTIONS, .resolver = resolver,
                                             .timeout_ns = 5 * PF_SECOND};
    return go("many.example", 1, &options, out);
}

/* ---- connecting ------------------------------------------------------------------ */

static int on_hello(pf_stream *stream, const char *data, size_t len, int err, void *arg)
{
    (void)stream, (void)err;
    assert_int_equal(len, 5);
    assert_memory_equal(data, "hello", 5);
    ++*(int *)arg;
    return 0;
}

static void bytes_go_from_a_client_to_the_server(void **unused)
{
    (void)unused;
    int heard = 0;
    open_stage();
    unsigned port = listening();
    assert_int_equal(go("127.0.0.1", port, NULL, NULL), 0);
    turn_until(seen.calls && seen.served);
    assert_int_equal(seen.err, 0);
    assert_int_equal(seen.family, AF_INET);
    assert_int_equal(pf_stream_write(seen.stream, "hello", 5, NULL, NULL), 0);
    assert_int_equal(pf_stream_read_bytes(seen.theirs, 5, false, on_hello, &heard), 0);
    turn_until(heard == 1);
    close_stage();
}

static void next_address_is_tried_at_once_when_one_refuses(void **unused)
{
    (void)unused;
    int held;
    open_stage();
    unsigned port = listening(), closed = closed_port(&held);
    add4("127.0.0.1", closed);
    add4("127.0.0.2", closed);
    add4("127.0.0.1", port);
    assert_int_equal(go_many(NULL), 0);
    turn_until(seen.calls == 1); /* the clock stands still */
    assert_int_equal(seen.err, 0);
    assert_string_equal(tried, "121");
    close(held);
    close_stage();
}

static void last_refusal_is_told_when_all_refuse(void **unused)
{
    (void)unused;
    int held;
    open_stage();
    unsigned closed = closed_port(&held);
    add4("127.0.0.1", closed);
    add4("127.0.0.2", closed);
    assert_int_equal(go_many(NULL), 0);
    turn_until(seen.calls == 1);
    assert_int_equal(seen.err, -ECONNREFUSED);
    close(held);
    close_stage();
}

static void families_take_turns(void **unused)
{
    (void)unused;
    int held;
    open_stage();
    unsigned closed = closed_port(&held);
    add4("127.0.0.1", closed);
    add4("127.0.0.2", closed);
    add4("127.0.0.3", closed);
    add6("::1", closed);
    add6("::1", closed);
    assert_int_equal(go_many(NULL), 0);
    turn_until(seen.calls == 1);
    assert_string_equal(tried, "16263");
    close(held);
    close_stage();
}

static void slow_address_is_overtaken_by_the_next(void **unused)
{
    (void)unused;
    open_stage();
    unsigned port = listening();
    unsigned hangs = hanging_port();
    add4("127.0.0.1", hangs);
    add4("127.0.0.1", hangs);
    add4("127.0.0.1", port);
    int before = pf_test_count_fds();
    assert_int_equal(go_many(NULL), 0);
    turn(5);
    assert_string_equal(tried, "1");
    now_ns += PF_TCP_CONNECT_DELAY_NS - 1;
    turn(5);
    assert_string_equal(tried, "1");
    now_ns += 1;
    turn(5);
    assert_string_equal(tried, "11");
    now_ns += PF_TCP_CONNECT_DELAY_NS;
    turn_until(seen.calls == 1 && seen.served == 1);
    assert_string_equal(tried, "111");
    assert_int_equal(seen.err, 0);
    assert_int_equal(pf_test_count_fds(), before + 2); /* the others are closed */
    end_hanging();
    close_stage();
}

static void time_runs_out(void **unused)
{
    (void)unused;
    open_stage();
    unsigned hangs = hanging_port();
    add4("127.0.0.1", hangs);
    add4("127.0.0.1", hangs);
    assert_int_equal(go_many(NULL), 0);
    turn(5);
    now_ns += 5 * PF_SECOND - 1;
    turn(5);
    assert_int_equal(seen.calls, 0);
    now_ns += 1;
    turn(5);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.err, -ETIMEDOUT);
    end_hanging();
    close_stage();
}

static void cancelled_connecting_is_not_told(void **unused)
{
    (void)unused;
    pf_tcp_connecting *early, *late;
    open_stage();
    unsigned hangs = hanging_port();
    add4("127.0.0.1", hangs);
    int before = pf_test_count_fds();
    assert_int_equal(go_many(&early), 0);
    assert_int_equal(pf_tcp_connect_cancel(early), 0);
    assert_int_equal(go_many(&late), 0);
    turn(5);
    assert_int_equal(connects, 1);
    assert_int_equal(pf_tcp_connect_cancel(late), 0);
    now_ns += 10 * PF_SECOND;
    turn(5);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(pf_test_count_fds(), before);
    assert_int_equal(pf_tcp_connect_cancel(NULL), 0);
    end_hanging();
    close_stage();
}

static void unknown_name_is_told(void **unused)
{
    (void)unused;
    open_stage();
    assert_int_equal(go_many(NULL), 0);
    turn_until(seen.calls == 1);
    assert_int_equal(seen.err, -ENOENT);
    close_stage();
}

static void source_address_is_bound(void **unused)
{
    (void)unused;
    open_stage();
    unsigned port = listening();
    struct sockaddr_in source = {.sin_family = AF_INET}, peer;
    inet_pton(AF_INET, "127.0.0.5", &source.sin_addr);
    struct pf_tcp_connect_options options = {PF_TCP_CONNECT_OPTIONS,
                                             .source = (struct sockaddr *)&source,
                                             .source_len = sizeof source};
    assert_int_equal(go("127.0.0.1", port, &options, NULL), 0);
    turn_until(seen.calls && seen.served);
    socklen_t len = sizeof peer;
    getpeername(pf_stream_fd(seen.theirs), (struct sockaddr *)&peer, &len);
    assert_int_equal(peer.sin_addr.s_addr, source.sin_addr.s_addr);
    close_stage();
}

static void loop_that_closes_frees_what_connects(void **unused)
{
    (void)unused;
    for (int all_fds = 0; all_fds <= 1; all_fds++) {
        open_stage();
        unsigned hangs = hanging_port();
        (void)listening();
        add4("127.0.0.1", hangs);
        assert_int_equal(go_many(NULL), 0);
        turn(5);
        assert_int_equal(go_many(NULL), 0); /* not yet resolved */
        assert_int_equal(pf_loop_close(loop, all_fds), 0);
        assert_int_equal(go_many(NULL), -ESTALE);
        end_hanging();
        close_stage();
    }
}

static void in_a_child(void *arg)
{
    (void)arg;
    assert_int_equal(go_many(NULL), -ECHILD);
    assert_int_equal(pf_tcp_server_listen(server, "127.0.0.1:0", NULL, 0), -ECHILD);
    assert_int_equal(pf_tcp_server_stop(server), -ECHILD);
    assert_int_equal(pf_loop_discard(loop), 0);
    pf_tcp_server_free(server);
    pf_resolver_free(resolver);
}

static void child_may_only_discard(void **unused)
{
    (void)unused;
    open_stage();
    unsigned port = listening();
    unsigned hangs = hanging_port();
    add4("127.0.0.1", hangs);
    assert_int_equal(go_many(NULL), 0);
    turn(5);
    pf_test_in_child(in_a_child, NULL);
    assert_int_equal(go("127.0.0.1", port, NULL, NULL), 0);
    turn_until(seen.calls && seen.served);
    end_hanging();
    close_stage();
}

/* ---- serving --------------------------------------------------------------------- */

static void stopping_twice_leaves_connections_alone(void **unused)
{
    (void)unused;
    int heard = 0;
    open_stage();
    unsigned port = listening();
    assert_int_equal(go("127.0.0.1", port, NULL, NULL), 0);
    turn_until(seen.calls && seen.served);
    assert_int_equal(pf_tcp_server_stop(server), 0);
    assert_int_equal(pf_tcp_server_stop(server), 0);
    assert_int_equal(pf_tcp_server_port(server), 0);
    assert_int_equal(pf_stream_write(seen.stream, "hello", 5, NULL, NULL), 0);
    assert_int_equal(pf_stream_read_bytes(seen.theirs, 5, false, on_hello, &heard), 0);
    turn_until(heard == 1);
    pf_stream_free(seen.stream);
    seen.stream = NULL;
    seen.calls = 0;
    assert_int_equal(go("127.0.0.1", port, NULL, NULL), 0);
    turn_until(seen.calls == 1);
    assert_int_equal(seen.err, -ECONNREFUSED);
    close_stage();
}

static void one_text_listens_on_one_port_for_both_families(void **unused)
{
    (void)unused;
    open_stage();
    assert_int_equal(pf_tcp_server_listen(server, ":0", NULL, 0), 0);
    unsigned port = pf_tcp_server_port(server);
    int six = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(go("127.0.0.1", port, NULL, NULL), 0);
    turn_until(seen.calls && seen.served == 1);
    if (six >= 0) {
        close(six);
        pf_stream_free(seen.stream);
        seen.stream = NULL;
        assert_int_equal(go("::1", port, NULL, NULL), 0);
        turn_until(seen.served == 2 && seen.calls == 2);
        assert_int_equal(seen.family, AF_INET6);
    }
    close_stage();
}

static void unix_sockets_are_listened_on(void **unused)
{
    (void)unused;
    char dir[] = "/tmp/pf-test-XXXXXX", path[64], text[80], lock[80];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(text, sizeof text, "unix:%s", path);
    snprintf(lock, sizeof lock, "%s.lock", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    open_stage();
    assert_int_equal(pf_tcp_server_listen(server, text, NULL, 0), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    turn_until(seen.served == 1);
    close(fd);
    assert_int_equal(pf_tcp_server_stop(server), 0);
    assert_int_equal(access(path, F_OK), -1);
    unlink(lock);
    assert_int_equal(rmdir(dir), 0);
    close_stage();
}

static void sockets_that_listen_already_are_taken(void **unused)
{
    (void)unused;
    int fds[2];
    open_stage();
    unsigned port = closed_port(&fds[0]);
    assert_int_equal(listen(fds[0], 5), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    fds[1] = -1;
    assert_int_equal(pf_tcp_server_add_sockets(server, fds, 2), -EBADF);
    assert_int_equal(pf_tcp_server_port(server), 0);
    assert_int_not_equal(fcntl(fds[0], F_GETFD), -1); /* still the caller's */
    assert_int_equal(pf_tcp_server_add_sockets(server, fds, 1), 0);
    assert_int_equal(pf_tcp_server_port(server), port);
    assert_int_equal(go("127.0.0.1", port, NULL, NULL), 0);
    turn_until(seen.calls && seen.served);
    close_stage();
}

static void listening_that_fails_listens_nowhere(void **unused)
{
    (void)unused;
    char why[128] = "", text[32];
    int held;
    open_stage();
    unsigned port = closed_port(&held);
    assert_int_equal(listen(held, 1), 0);
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    assert_int_equal(pf_tcp_server_listen(server, text, why, sizeof why), -EADDRINUSE);
    assert_true(why[0]);
    assert_int_equal(pf_tcp_server_listen(server, "8888", why, sizeof why), -EINVAL);
    assert_int_equal(pf_tcp_server_listen(server, "udp:127.0.0.1:0", why, sizeof why),
                     -EINVAL);
    assert_int_equal(pf_tcp_server_port(server), 0);
    close(held);
    close_stage();
}

static void free_server(pf_tcp_server *from, pf_stream *stream, const struct sockaddr *peer,
                        socklen_t peer_len, void *arg)
{
    (void)peer, (void)peer_len, (void)arg;
    pf_stream_free(stream);
    pf_tcp_server_free(from);
    server = NULL;
    seen.served++;
}

static void server_may_be_freed_when_somebody_connects(void **unused)
{
    (void)unused;
    open_stage();
    pf_tcp_server_free(server);
    struct pf_tcp_server_options options = {PF_TCP_SERVER_OPTIONS,
                                            .on_connection = free_server};
    assert_int_equal(pf_tcp_server_new(loop, &options, &server), 0);
    unsigned port = listening();
    assert_int_equal(go("127.0.0.1", port, NULL, NULL), 0);
    turn_until(seen.calls && seen.served);
    assert_null(server);
    close_stage();
}

static void mistakes_are_answered(void **unused)
{
    (void)unused;
    struct pf_tcp_server_options nobody = {PF_TCP_SERVER_OPTIONS};
    struct pf_tcp_connect_options bad = {PF_TCP_CONNECT_OPTIONS, .timeout_ns = -1};
    pf_tcp_server *none;
    open_stage();
    assert_int_equal(pf_tcp_server_new(loop, &nobody, &none), -EINVAL);
    assert_int_equal(pf_tcp_server_new(loop, NULL, &none), -EINVAL);
    assert_int_equal(pf_tcp_server_listen(server, NULL, NULL, 0), -EINVAL);
    assert_int_equal(go("127.0.0.1", 1, &bad, NULL), -EINVAL);
    assert_int_equal(go("", 1, NULL, NULL), -EINVAL);
    assert_int_equal(go("127.0.0.1", 70000, NULL, NULL), -EINVAL);
    assert_int_equal(pf_tcp_connect(loop, "127.0.0.1", 1, NULL, NULL, NULL, NULL), -EINVAL);
    pf_tcp_server_free(NULL);
    close_stage();
}

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    pf_alloc_needed();
    for (int n = 1, allocated = 1; n <= allocated; n++) {
        open_stage();
        unsigned port = listening();
        add4("127.0.0.1", port);
        add4("127.0.0.2", port);
        pf_alloc_fail(n);
        int err = go_many(NULL);
        for (int i = 0; i < 8; i++)
            (void)pf_loop_turn(loop, 0);
        allocated = pf_alloc_stop();
        if (err)
            assert_int_equal(err, -ENOMEM);
        else
            turn_until(seen.calls == 1);
        assert_true(seen.err == 0 || seen.err == -ENOMEM);
        close_stage();
    }
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(bytes_go_from_a_client_to_the_server),
        pf_test(next_address_is_tried_at_once_when_one_refuses),
        pf_test(last_refusal_is_told_when_all_refuse),
        pf_test(families_take_turns),
        pf_test(slow_address_is_overtaken_by_the_next),
        pf_test(time_runs_out),
        pf_test(cancelled_connecting_is_not_told),
        pf_test(unknown_name_is_told),
        pf_test(source_address_is_bound),
        pf_test(loop_that_closes_frees_what_connects),
        pf_test(child_may_only_discard),
        pf_test(stopping_twice_leaves_connections_alone),
        pf_test(one_text_listens_on_one_port_for_both_families),
        pf_test(unix_sockets_are_listened_on),
        pf_test(sockets_that_listen_already_are_taken),
        pf_test(listening_that_fails_listens_nowhere),
        pf_test(server_may_be_freed_when_somebody_connects),
        pf_test(mistakes_are_answered),
        pf_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
