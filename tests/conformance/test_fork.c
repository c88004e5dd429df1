/*
 * The fork contract: a loop never crosses a fork.
 *
 * A program makes a loop, a timer, a handler, futures, an executor, a connection, a
 * channel, an acceptor and an HTTP server, and forks, by fork(2) or by a raw clone(2). In
 * the child every call of the table below answers -ECHILD, without a system call: a seccomp
 * filter kills the child at the first one. The parent's loop goes on as if nothing had
 * been. What else hangs on a loop belongs into the same table, with a field in `struct
 * inherited` for the object.
 */
#include "tests/lib/test.h"

#include "http/server.h"
#include "net/acceptor.h"
#include "net/conn.h"
#include "net/listener.h"
#include "tests/lib/backend.h"
#include <prefork/executor.h>
#include <prefork/future.h>
#include <prefork/ipc.h>
#include <prefork/log.h>
#include <prefork/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what the parent makes ------------------------------------------------------- */

struct inherited {
    pf_loop *loop;
    pf_timer timer; /* far away */
    int fds[2];     /* a pipe; its read end is watched */
    int handled, called;

    /* what hangs on the loop; the other end of each stays with the test */
    pf_channel *channel;
    int channel_peer, messages;
    pf_conns *conns;
    pf_conn *conn;
    int conn_peer, bytes;
    pf_acceptor *acceptor;
    int listener;
    pf_http_server *http;
    pf_future *future, *whole; /* pending, and waited for */
    pf_executor *executor;
    int answered;
};

static int on_readable(pf_loop *loop, int fd, unsigned events, void *arg)
{
    struct inherited *in = arg;
    char byte;
    (void)loop, (void)events;
    in->handled++;
    return read(fd, &byte, 1) == 1 ? 0 : -EIO;
}

static int on_call(pf_loop *loop, void *arg)
{
    (void)loop;
    ++*(int *)arg;
    return 0;
}

static int do_nothing(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return 0;
}

static void ignore_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)line, (void)len, (void)arg;
}

static void on_message(pf_channel *channel, const struct pf_message *message, void *arg)
{
    struct inherited *in = arg;
    (void)channel, (void)message;
    in->messages++;
}

static void on_closed(pf_channel *channel, int reason, void *arg)
{
    (void)channel, (void)reason, (void)arg;
    fail_msg("a child has closed the channel");
}

static size_t on_data(pf_conn *conn, const char *data, size_t len)
{
    struct inherited *in = pf_conn_arg(conn);
    (void)data;
    in->bytes += (int)len;
    return len;
}

static void on_close(pf_conn *conn, int reason)
{
    struct inherited *in = pf_conn_arg(conn);
    (void)reason;
    in->bytes = -1;
}

static const struct pf_conn_protocol protocol = {
    .name = "test", .on_data = on_data, .on_close = on_close};
static const struct pf_http_route routes[] = {{0}};

static void on_accept(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                      void *arg)
{
    (void)acceptor, (void)peer, (void)arg;
    close(fd);
}

static const struct pf_acceptor_options acceptor_options = {.fn = on_accept};

static int on_answer(pf_loop *loop, pf_future *future, void *arg)
{
    struct inherited *in = arg;
    (void)loop, (void)future;
    in->answered++;
    return 0;
}

static void make_dependents(struct inherited *in)
{
    int ends[2];
    assert_int_equal(pf_ipc_pair(ends), 0);
    in->channel_peer = ends[1];
    struct pf_channel_options channel = {PF_CHANNEL_OPTIONS, .on_message = on_message,
                                         .on_closed = on_closed, .arg = in};
    assert_int_equal(pf_channel_new(in->loop, ends[0], &channel, &in->channel), 0);

    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    in->conn_peer = ends[1];
    struct pf_conns_options conns = {
        .protocol = &protocol, .arg = in, .timeouts_ns = {3600 * PF_SECOND}};
    assert_int_equal(pf_conns_new(in->loop, &conns, &in->conns), 0);
    assert_int_equal(pf_conn_open(in->conns, ends[0], &in->conn), 0);

    struct pf_address address;
    char why[64];
    assert_int_equal(pf_address_parse("127.0.0.1:0", &address, why, sizeof why), 1);
    in->listener = pf_listener_open(&address, &(struct pf_listener_options){.backlog = 1},
                                    PF_LISTENER_JOINS);
    assert_true(in->listener >= 0);
    assert_int_equal(
        pf_acceptor_new(in->loop, in->listener, &acceptor_options, &in->acceptor), 0);

    struct pf_http_server_options http = {.routes = routes};
    assert_int_equal(pf_http_server_new(in->loop, &http, &in->http), 0);

    assert_int_equal(pf_executor_new(NULL, &in->executor), 0);
    assert_int_equal(pf_future_new(in->loop, &in->future), 0);
    assert_int_equal(pf_future_all(in->loop, &in->future, 1, &in->whole), 0);
    assert_int_equal(pf_loop_add_future(in->loop, in->future, on_answer, in), 0);
    assert_int_equal(pf_loop_add_future(in->loop, in->whole, on_answer, in), 0);
}

/* Also what a child does before it discards the loop. */
static void free_dependents(struct inherited *in)
{
    pf_future_unref(in->future);
    pf_future_unref(in->whole);
    pf_executor_free(in->executor);
    pf_http_server_free(in->http);
    pf_acceptor_free(in->acceptor);
    pf_conns_free(in->conns);
    pf_channel_free(in->channel);
}

static void make(struct inherited *in)
{
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    options.error_policy = PF_ERROR_DISABLE; /* a failing handler is deregistered at once */
    options.callbacks_max = 4096;
    *in = (struct inherited){0};
    pf_log_set_sink(ignore_line, NULL); /* start and close say what the mistake was */
    assert_int_equal(pf_loop_new(&options, &in->loop), 0);
    assert_int_equal(pf_loop_turn(in->loop, 0), 0); /* opens the waker pipe */
    assert_int_equal(pipe2(in->fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pf_loop_add_handler(in->loop, in->fds[0], PF_READ, on_readable, in),
                     0);
    assert_int_equal(
        pf_loop_call_later(in->loop, 3600 * PF_SECOND, do_nothing, NULL, &in->timer), 0);
    make_dependents(in);
}

static void drop(struct inherited *in)
{
    assert_int_equal(pf_future_set_value(in->future, NULL, NULL), 0);
    assert_int_equal(pf_loop_turn(in->loop, 0), 2); /* the wait, and that of the whole */
    assert_int_equal(pf_loop_turn(in->loop, 0), 1);
    assert_int_equal(in->answered, 2);
    free_dependents(in);
    close(in->channel_peer);
    close(in->conn_peer);
    close(in->listener);
    assert_int_equal(pf_loop_close(in->loop, false), 0);
    pf_loop_unref(in->loop);
    close(in->fds[0]);
    close(in->fds[1]);
    pf_log_set_sink(NULL, NULL);
}

/* All that a child could have broken: the registration of the pipe, that of the waker, the
 * bytes in it, the timers and the queue. */
static void assert_goes_on(struct inherited *in)
{
    int fired = 0, handled = in->handled, called = in->called;
    assert_int_equal(pf_loop_check(in->loop), 0);
    assert_int_equal(write(in->fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_turn(in->loop, PF_TEST_DEADLINE_S * PF_SECOND), 1);
    assert_int_equal(in->handled, handled + 1);

    int messages = in->messages, bytes = in->bytes;
    struct pf_ipc_header header = {
        .magic = PF_IPC_MAGIC, .version = PF_IPC_VERSION, .sequence = (uint32_t)messages};
    assert_int_equal(send(in->channel_peer, &header, sizeof header, 0), sizeof header);
    assert_int_equal(pf_loop_turn(in->loop, PF_TEST_DEADLINE_S * PF_SECOND), 1);
    assert_int_equal(in->messages, messages + 1);
    assert_int_equal(pf_channel_send(in->channel, 1, NULL, 0, NULL, 0), 0);
    assert_int_equal(recv(in->channel_peer, &header, sizeof header, 0), sizeof header);

    char byte = 0;
    assert_int_equal(send(in->conn_peer, "abc", 3, 0), 3);
    assert_int_equal(pf_loop_turn(in->loop, PF_TEST_DEADLINE_S * PF_SECOND), 1);
    assert_int_equal(in->bytes, bytes + 3);
    assert_int_equal(pf_conn_write(in->conn, "x", 1), 0);
    assert_int_equal(recv(in->conn_peer, &byte, 1, 0), 1);

    assert_int_equal(pf_loop_add_callback_from_signal(in->loop, on_call, &in->called), 0);
    assert_true(pf_backend_polls_readable(in->loop, true));
    assert_int_equal(pf_loop_turn(in->loop, 0), 1);
    assert_int_equal(in->called, called + 1);

    assert_int_equal(pf_loop_call_later(in->loop, 0, on_call, &fired, NULL), 0);
    assert_int_equal(pf_loop_turn(in->loop, 0), 1);
    assert_int_equal(fired, 1);
    assert_int_equal(pf_loop_remove_timeout(in->loop, in->timer), 0);
    assert_int_equal(
        pf_loop_call_later(in->loop, 3600 * PF_SECOND, do_nothing, NULL, &in->timer), 0);
}

/* ---- every call that takes what is inherited ------------------------------------- */

/* An expression of `in` that must come to -ECHILD. */
#define CALL(name, expression)                                                             \
    static int name(struct inherited *in)                                                  \
    {                                                                                      \
        (void)in;                                                                          \
        return (expression);                                                               \
    }

static int give_nothing(pf_loop *loop, void *arg, pf_future **out)
{
    (void)loop, (void)arg, (void)out;
    return 0;
}

static int do_no_work(void *arg, void **value)
{
    (void)arg, (void)value;
    return 0;
}

static int64_t some_ns;
static int some_error;
static uint64_t some_beat;
static struct pf_loop_stats some_stats = {.size = sizeof some_stats};

CALL(call_close, pf_loop_close(in->loop, false))
CALL(call_close_all, pf_loop_close(in->loop, true))
CALL(call_reserve, pf_loop_reserve(in->loop, 1 << 16, 1 << 16, 1 << 16))
CALL(call_make_current, pf_loop_make_current(in->loop))
CALL(call_install, pf_loop_install(in->loop))
CALL(call_start, pf_loop_start(in->loop))
CALL(call_stop, pf_loop_stop(in->loop))
CALL(call_turn, pf_loop_turn(in->loop, -1))
CALL(call_fd, pf_loop_fd(in->loop))
CALL(call_next_deadline, pf_loop_next_deadline(in->loop, &some_ns))
CALL(call_time, pf_loop_time(in->loop, &some_ns))
CALL(call_now, (int)pf_loop_now(in->loop))
CALL(call_check, pf_loop_check(in->loop))
CALL(call_add_handler,
     pf_loop_add_handler(in->loop, in->fds[1], PF_WRITE, on_readable, NULL))
CALL(call_update_handler, pf_loop_update_handler(in->loop, in->fds[0], PF_WRITE))
CALL(call_pause_handler, pf_loop_update_handler(in->loop, in->fds[0], 0))
CALL(call_remove_handler, pf_loop_remove_handler(in->loop, in->fds[0]))
CALL(call_add_callback, pf_loop_add_callback(in->loop, do_nothing, NULL))
CALL(call_from_signal, pf_loop_add_callback_from_signal(in->loop, do_nothing, NULL))
CALL(call_spawn_callback, pf_loop_spawn_callback(in->loop, do_nothing, NULL))
CALL(call_call_at, pf_loop_call_at(in->loop, 0, do_nothing, NULL, NULL))
CALL(call_call_later, pf_loop_call_later(in->loop, 0, do_nothing, NULL, NULL))
CALL(call_remove_timeout, pf_loop_remove_timeout(in->loop, in->timer))
CALL(call_run_sync, pf_loop_run_sync(in->loop, give_nothing, NULL, 0, &some_error, NULL))
CALL(call_stats, pf_loop_stats(in->loop, &some_stats))
CALL(call_set_beat, pf_loop_set_beat(in->loop, &some_beat))

static pf_channel *some_channel;
static pf_conns *some_conns;
static pf_acceptor *some_acceptor;
static pf_http_server *some_server;
static const struct pf_channel_options channel_options = {
    PF_CHANNEL_OPTIONS, .on_message = on_message, .on_closed = on_closed, .arg = NULL};
static const struct pf_conns_options conns_options = {.protocol = &protocol};
static const struct pf_http_server_options http_options = {.routes = routes};

CALL(call_channel_new,
     pf_channel_new(in->loop, in->fds[1], &channel_options, &some_channel))
CALL(call_channel_send, pf_channel_send(in->channel, 1, "x", 1, NULL, 0))
CALL(call_channel_queued, pf_channel_queued(in->channel))
CALL(call_conns_new, pf_conns_new(in->loop, &conns_options, &some_conns))
CALL(call_conn_write, pf_conn_write(in->conn, "x", 1))
CALL(call_conn_close, pf_conn_close(in->conn, true))
CALL(call_conn_abort, pf_conn_abort(in->conn, -EIO))
CALL(call_conn_poll, pf_conn_poll(in->conn))
CALL(call_acceptor_new,
     pf_acceptor_new(in->loop, in->fds[1], &acceptor_options, &some_acceptor))
CALL(call_acceptor_drain, pf_acceptor_drain(in->acceptor, 1))
CALL(call_acceptor_pause, pf_acceptor_pause(in->acceptor))
CALL(call_acceptor_resume, pf_acceptor_resume(in->acceptor))
CALL(call_http_new, pf_http_server_new(in->loop, &http_options, &some_server))
CALL(call_http_drain, pf_http_server_drain(in->http))

static pf_future *some_future;
static size_t some_size;
static void *some_value;

CALL(call_future_new, pf_future_new(in->loop, &some_future))
CALL(call_future_value, pf_future_set_value(in->future, in, NULL))
CALL(call_future_error, pf_future_set_error(in->future, -EIO))
CALL(call_future_on_cancel, pf_future_on_cancel(in->future, NULL, NULL))
CALL(call_future_result, pf_future_result(in->future, &some_error, &some_value))
CALL(call_future_cancel, pf_future_cancel(in->future))
CALL(call_future_all, pf_future_all(in->loop, &in->future, 1, &some_future))
CALL(call_future_any, pf_future_any(in->loop, &in->future, 1, &some_future))
CALL(call_add_future, pf_loop_add_future(in->loop, in->future, on_answer, in))
CALL(call_remove_future, pf_loop_remove_future(in->loop, in->future, on_answer, in))
CALL(call_executor_load, pf_executor_load(in->executor, &some_size, &some_size))
CALL(call_run_in_executor,
     pf_loop_run_in_executor(in->loop, in->executor, do_no_work, in, &some_future))
CALL(call_run_in_default,
     pf_loop_run_in_executor(in->loop, NULL, do_no_work, in, &some_future))

/* These return no error: they do nothing. */
CALL(call_future_done, pf_future_is_done(in->future) ? 0 : -ECHILD)
CALL(call_future_ref, (pf_future_unref(pf_future_ref(in->future)), -ECHILD))
CALL(call_conn_reserve, pf_conn_reserve(in->conn, 1) ? 0 : -ECHILD)
CALL(call_conn_deadline, (pf_conn_set_deadline(in->conn, 0), -ECHILD))
CALL(call_conn_no_deadline, (pf_conn_clear_deadline(in->conn), -ECHILD))
CALL(call_ref, pf_loop_ref(in->loop) == in->loop ? -ECHILD : 0)
CALL(call_unref, (pf_loop_unref(in->loop), -ECHILD))
CALL(call_current, pf_loop_current(false) ? 0 : -ECHILD)
CALL(call_initialized, pf_loop_initialized() ? 0 : -ECHILD)
CALL(call_owned, pf_loop_owned() ? 0 : -ECHILD)

static const struct {
    const char *name;
    int (*call)(struct inherited *in);
    bool logs; /* it asks for the process id, and logs the mistake */
} calls[] = {
    {"check", call_check, false},
    {"stop", call_stop, false},
    {"turn", call_turn, false},
    {"fd", call_fd, false},
    {"next_deadline", call_next_deadline, false},
    {"time", call_time, false},
    {"now", call_now, false},
    {"reserve", call_reserve, false},
    {"install", call_install, false},
    {"add_handler", call_add_handler, false},
    {"update_handler", call_update_handler, false},
    {"update_handler to 0", call_pause_handler, false},
    {"remove_handler", call_remove_handler, false},
    {"add_callback", call_add_callback, false},
    {"add_callback_from_signal", call_from_signal, false},
    {"spawn_callback", call_spawn_callback, false},
    {"call_at", call_call_at, false},
    {"call_later", call_call_later, false},
    {"remove_timeout", call_remove_timeout, false},
    {"stats", call_stats, false},
    {"set_beat", call_set_beat, false},
    {"ref", call_ref, false},
    {"unref", call_unref, false},
    {"current", call_current, false},
    {"initialized", call_initialized, false},
    {"owned", call_owned, false},
    {"channel_new", call_channel_new, false},
    {"channel_send", call_channel_send, false},
    {"channel_queued", call_channel_queued, false},
    {"conns_new", call_conns_new, false},
    {"conn_write", call_conn_write, false},
    {"conn_close", call_conn_close, false},
    {"conn_abort", call_conn_abort, false},
    {"conn_poll", call_conn_poll, false},
    {"conn_reserve", call_conn_reserve, false},
    {"conn_set_deadline", call_conn_deadline, false},
    {"conn_clear_deadline", call_conn_no_deadline, false},
    {"acceptor_new", call_acceptor_new, false},
    {"acceptor_drain", call_acceptor_drain, false},
    {"acceptor_pause", call_acceptor_pause, false},
    {"acceptor_resume", call_acceptor_resume, false},
    {"http_server_new", call_http_new, false},
    {"http_server_drain", call_http_drain, false},
    {"run_sync", call_run_sync, false},
    {"future_new", call_future_new, false},
    {"future_set_value", call_future_value, false},
    {"future_set_error", call_future_error, false},
    {"future_on_cancel", call_future_on_cancel, false},
    {"future_result", call_future_result, false},
    {"future_cancel", call_future_cancel, false},
    {"future_all", call_future_all, false},
    {"future_any", call_future_any, false},
    {"future_is_done", call_future_done, false},
    {"future_ref", call_future_ref, false},
    {"add_future", call_add_future, false},
    {"remove_future", call_remove_future, false},
    {"executor_load", call_executor_load, false},
    {"run_in_executor", call_run_in_executor, false},
    {"run_in_executor by default", call_run_in_default, false},
    {"make_current", call_make_current, true},
    {"start", call_start, true},
    {"close", call_close, true},
    {"close with all_fds", call_close_all, true},
};

enum {
    CALLS = sizeof calls / sizeof *calls
};

static void every_call_is_refused(void *arg)
{
    struct inherited *in = arg;
    some_ns = 77;
    for (size_t i = 0; i < CALLS; i++) {
        int answer = calls[i].call(in);
        if (answer != -ECHILD)
            print_error("%s answered %d\n", calls[i].name, answer);
        assert_int_equal(answer, -ECHILD);
    }
    assert_true(!some_channel && !some_conns && !some_acceptor && !some_server);
    assert_true(!some_future && !some_value && !some_error && !some_size);
    assert_int_equal(pf_conn_open(in->conns, dup(in->fds[1]), NULL), -ECHILD);
    assert_int_equal(pf_http_server_adopt(in->http, dup(in->fds[1]), NULL), -ECHILD);
    assert_int_equal(some_ns, 77); /* out parameters are untouched */
    assert_int_equal(pf_loop_discard(NULL), -EINVAL);
}

static void in_a_child_every_call_answers_echild(void **state)
{
    (void)state;
    struct inherited in;
    make(&in);
    assert_int_equal(pf_loop_install(in.loop), 0);
    pf_test_in_child(every_call_is_refused, &in);
    assert_goes_on(&in);
    pf_test_in_raw_clone(every_call_is_refused, &in);
    assert_goes_on(&in);
    assert_true(pf_loop_initialized());
    assert_ptr_equal(pf_loop_current(false), in.loop);
    drop(&in);
}

static void in_a_grandchild_too(void *arg)
{
    every_call_is_refused(arg);
    pf_test_in_child(every_call_is_refused, arg);
    pf_test_in_raw_clone(every_call_is_refused, arg);
}

static void in_a_grandchild_every_call_answers_echild(void **state)
{
    (void)state;
    struct inherited in;
    make(&in);
    pf_test_in_child(in_a_grandchild_too, &in);
    pf_test_in_raw_clone(in_a_grandchild_too, &in);
    assert_goes_on(&in);
    drop(&in);
}

/* ---- no system call -------------------------------------------------------------- */

enum {
    FILTER_REFUSED = 77
};

/* From here on a system call among `numbers` does `listed`, and any other does `other`. */
static bool filter_system_calls(const int *numbers, size_t count, unsigned listed,
                                unsigned other)
{
    struct sock_filter code[32];
    struct sock_fprog program = {0, code};
    code[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                       offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++) {
        code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                           (unsigned)numbers[i], 0, 1);
        code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
    }
    code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, other);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool forbid_system_calls(bool but_for_ids)
{
    static const int numbers[] = {SYS_exit_group, SYS_getpid, SYS_gettid};
    return filter_system_calls(numbers, but_for_ids ? 3 : 1, SECCOMP_RET_ALLOW,
                               SECCOMP_RET_KILL_PROCESS);
}

/* What could change or steal something of the parent's. */
static bool forbid_touching(void)
{
    static const int numbers[] = {SYS_epoll_ctl, SYS_epoll_wait, SYS_epoll_pwait,
                                  SYS_read,      SYS_write,      SYS_shutdown,
                                  SYS_poll,      SYS_ppoll};
    return filter_system_calls(numbers, sizeof numbers / sizeof *numbers,
                               SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW);
}

/* Children under a filter have no cmocka, which would write, and leave without whatever the
 * sanitizers do at the end. */
static void call_under_a_filter(struct inherited *in, size_t i)
{
    long status = FILTER_REFUSED;
    if (forbid_system_calls(calls[i].logs))
        status = calls[i].call(in) == -ECHILD ? 0 : 1;
    syscall(SYS_exit_group, status);
}

static void discard_under_a_filter(struct inherited *in)
{
    long status = FILTER_REFUSED;
    if (forbid_touching()) {
        free_dependents(in);
        status = pf_loop_discard(in->loop) == 0 ? 0 : 1;
    }
    syscall(SYS_exit_group, status);
}

/* False if there is no seccomp here. */
static bool survived(pid_t pid, const char *what)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == FILTER_REFUSED)
        return false;
    if (status != 0)
        print_error("%s ended the child with status %#x\n", what, (unsigned)status);
    assert_int_equal(status, 0);
    return true;
}

static pid_t fork_or_clone(bool raw)
{
    pid_t pid = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
    assert_true(pid >= 0);
    return pid;
}

static void refusing_takes_no_system_call(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* which makes system calls of its own */
    struct inherited in;
    bool filtered = true;
    make(&in);
    for (size_t i = 0; i < CALLS && filtered; i++) {
        pid_t pid = fork_or_clone(i % 2);
        if (pid == 0)
            call_under_a_filter(&in, i);
        filtered = survived(pid, calls[i].name);
    }
    assert_goes_on(&in);
    drop(&in);
    if (!filtered)
        skip();
}

static void discarding_touches_nothing_that_is_shared(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    struct inherited in;
    make(&in);
    pid_t pid = fork_or_clone(false);
    if (pid == 0)
        discard_under_a_filter(&in);
    bool filtered = survived(pid, "discard");
    assert_goes_on(&in);
    drop(&in);
    if (!filtered)
        skip();
}

/* ---- a new life in the child ----------------------------------------------------- */

static void lives_with_a_loop_of_its_own(void *arg)
{
    struct inherited *in = arg, own;
    int before = pf_test_count_fds();
    assert_null(pf_loop_current(false));
    assert_false(pf_loop_initialized());
    assert_null(pf_loop_owned());
    assert_int_equal(pf_loop_discard(in->loop), 0);
    int closed = pf_backend()->inherited + 2; /* a poller and a pipe */
    assert_int_equal(pf_test_count_fds(), before - closed);
    assert_true(fcntl(in->fds[0], F_GETFD) >= 0); /* the registered one stays */
    assert_null(pf_loop_current(false));

    make(&own);
    assert_ptr_equal(pf_loop_current(false), own.loop);
    assert_int_equal(pf_loop_discard(own.loop), -EBUSY);
    assert_goes_on(&own);
    pf_test_in_child(every_call_is_refused, &own);
    assert_goes_on(&own);
    drop(&own);

    pf_loop *instance = pf_loop_instance();
    assert_non_null(instance);
    assert_true(pf_loop_initialized());
    assert_ptr_equal(pf_loop_current(false), instance);
    assert_int_equal(pf_loop_turn(instance, 0), 0);
    assert_int_equal(pf_loop_close(instance, false), 0);

    pf_loop *current = pf_loop_current(true);
    assert_non_null(current);
    assert_int_equal(pf_loop_turn(current, 0), 0);
    assert_int_equal(pf_loop_close(current, false), 0);
    close(in->fds[0]);
    close(in->fds[1]);
}

static void lives_again_one_fork_further(void *arg)
{
    pf_test_in_child(lives_with_a_loop_of_its_own, arg);
    pf_test_in_raw_clone(lives_with_a_loop_of_its_own, arg);
    lives_with_a_loop_of_its_own(arg);
}

static void a_child_discards_the_loop_and_makes_its_own(void **state)
{
    (void)state;
    struct inherited in;
    make(&in);
    assert_int_equal(pf_loop_install(in.loop), 0);
    pf_test_in_child(lives_with_a_loop_of_its_own, &in);
    assert_goes_on(&in);
    pf_test_in_raw_clone(lives_with_a_loop_of_its_own, &in);
    assert_goes_on(&in);
    pf_test_in_child(lives_again_one_fork_further, &in);
    assert_goes_on(&in);
    assert_ptr_equal(pf_loop_instance(), in.loop);
    drop(&in);
}

static void keeps_both_and_tells_them_apart(void *arg)
{
    struct inherited *in = arg, own;
    make(&own);
    assert_int_equal(pf_loop_check(in->loop), -ECHILD);
    assert_int_equal(pf_loop_check(own.loop), 0);
    assert_int_equal(pf_loop_remove_handler(in->loop, in->fds[0]), -ECHILD);
    assert_int_equal(pf_loop_start(in->loop), -ECHILD);
    assert_ptr_equal(pf_loop_current(false), own.loop);
    assert_goes_on(&own);
    assert_int_equal(pf_loop_discard(in->loop), 0);
    assert_ptr_equal(pf_loop_current(false), own.loop);
    assert_goes_on(&own);
    drop(&own);
}

static void a_childs_own_loop_stands_beside_the_inherited_one(void **state)
{
    (void)state;
    struct inherited in;
    make(&in);
    pf_test_in_child(keeps_both_and_tells_them_apart, &in);
    pf_test_in_raw_clone(keeps_both_and_tells_them_apart, &in);
    assert_goes_on(&in);
    drop(&in);
}

static void count_destroyed(void *arg)
{
    ++*(int *)arg;
}

static void discards_three_registrations(void *arg)
{
    struct inherited *in = arg;
    assert_int_equal(pf_loop_discard(in->loop), 0);
    assert_int_equal(in->called, 3);
}

static void discarding_runs_the_destroy_functions_in_the_child(void **state)
{
    (void)state;
    struct inherited in;
    make(&in);
    pf_loop_remove_handler(in.loop, in.fds[0]);
    assert_int_equal(pf_loop_add_handler_full(in.loop, in.fds[0], PF_READ, on_readable,
                                              &in.called, count_destroyed, NULL),
                     0);
    assert_int_equal(pf_loop_call_at_full(in.loop, PF_NEVER, do_nothing, &in.called,
                                          count_destroyed, NULL, NULL),
                     0);
    assert_int_equal(
        pf_loop_add_callback_full(in.loop, do_nothing, &in.called, count_destroyed, NULL),
        0);
    pf_test_in_child(discards_three_registrations, &in);
    assert_int_equal(in.called, 0); /* here they still wait */
    assert_int_equal(pf_loop_turn(in.loop, 0), 1);
    assert_int_equal(in.called, 1);
    drop(&in);
}

static void discards_a_closed_loop(void *arg)
{
    assert_int_equal(pf_loop_check(arg), -ECHILD);
    assert_int_equal(pf_loop_add_callback(arg, do_nothing, NULL), -ECHILD);
    assert_int_equal(pf_loop_discard(arg), 0);
}

static void a_loop_that_was_closed_before_the_fork_can_be_discarded(void **state)
{
    (void)state;
    pf_loop *loop;
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_test_in_child(discards_a_closed_loop, loop);
    pf_loop_unref(loop);
}

static void exits(void *arg)
{
    (void)arg;
    exit(0); /* not _exit(2): with whatever runs at the end */
}

static void a_child_that_exits_takes_nothing_along(void **state)
{
    (void)state;
    struct inherited in;
    make(&in);
    pf_test_in_child(exits, &in);
    assert_goes_on(&in);
    drop(&in);
}

static void what_a_loop_opens_is_closed_on_exec(void **state)
{
    (void)state;
    enum {
        LOOKED_AT = 256
    };
    bool open_before[LOOKED_AT];
    int found = 0;
    struct inherited in;
    for (int fd = 0; fd < LOOKED_AT; fd++)
        open_before[fd] = fcntl(fd, F_GETFD) >= 0;
    make(&in);
    for (int fd = 0; fd < LOOKED_AT; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (open_before[fd] || flags == -1)
            continue;
        assert_int_equal(flags, FD_CLOEXEC);
        found++;
    }
    /* The loop's own, our pipe, what hangs on it. */
    assert_int_equal(found, pf_backend()->descriptors + 2 + 2 + 5);
    drop(&in);
}

/* ---- forking while other threads are at work ------------------------------------- */

struct busy {
    struct inherited in;
    atomic_bool end;
};

static void *add_all_the_time(void *arg)
{
    struct busy *busy = arg;
    while (!atomic_load(&busy->end))
        pf_loop_add_callback(busy->in.loop, do_nothing, NULL);
    return NULL;
}

/* The fork may have caught the other thread with the queue's lock in its hands. */
static void discards_and_turns_its_own(void *arg)
{
    struct busy *busy = arg;
    pf_loop *own;
    int ran = 0;
    assert_int_equal(pf_loop_add_callback(busy->in.loop, do_nothing, NULL), -ECHILD);
    assert_int_equal(pf_loop_discard(busy->in.loop), 0);
    assert_int_equal(pf_loop_new(NULL, &own), 0);
    assert_int_equal(pf_loop_add_callback(own, on_call, &ran), 0);
    assert_int_equal(pf_loop_turn(own, 0), 1);
    assert_int_equal(ran, 1);
    assert_int_equal(pf_loop_close(own, false), 0);
    pf_loop_unref(own);
}

static void a_fork_while_another_thread_adds_leaves_the_child_no_lock(void **state)
{
    (void)state;
    static struct busy busy; /* static, for the thread outlives a test that fails */
    pthread_t thread;
    pf_test_skip_under_valgrind(); /* a queue found locked is left alone, and lost to the
                                      child */
    atomic_store(&busy.end, false);
    make(&busy.in);
    /* So that it holds no lock of the allocator's, which a sanitizer leaves to the child.
     */
    assert_int_equal(pf_loop_reserve(busy.in.loop, 0, 0, 4096), 0);
    assert_int_equal(pthread_create(&thread, NULL, add_all_the_time, &busy), 0);
    for (int i = 0; i < 20; i++) {
        pf_test_in_child(discards_and_turns_its_own, &busy);
        (void)pf_loop_turn(busy.in.loop, 0);
    }
    atomic_store(&busy.end, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)pf_loop_turn(busy.in.loop, 0);
    (void)pf_loop_turn(busy.in.loop, 0);
    assert_goes_on(&busy.in);
    drop(&busy.in);
}

/* ---- forking inside a callback --------------------------------------------------- */

/* What the child does inside the callback in which it was made. */
enum child_does {
    RETURNS,  /* goes on as if nothing had been: start must end there and then */
    LOOKS,    /* tries every call, and leaves */
    DISCARDS, /* discards, lives on with a loop of its own, and leaves */
};

enum place {
    IN_CALLBACK,
    IN_SIGNAL_CALLBACK,
    IN_TIMER,
    IN_HANDLER,
};

struct scene {
    struct inherited in;
    enum child_does child_does;
    bool raw;
    int result; /* what the callback returns in the child */
    bool is_child;
    int status;     /* of the child */
    uint64_t *beat; /* shared with the child */
    int runs_later; /* callbacks, timers and handlers that ran after the fork */
    bool has_forked;
};

static void act_as_child(pf_loop *loop, struct scene *scene)
{
    for (size_t i = 0; i < CALLS && scene->child_does == LOOKS; i++)
        if (calls[i].call(&scene->in) != -ECHILD)
            _exit(10);
    if (scene->child_does == DISCARDS) {
        int ran = 0;
        pf_loop *own;
        if (pf_loop_discard(loop) != 0 || pf_loop_new(NULL, &own) != 0 ||
            pf_loop_current(false) != own ||
            pf_loop_add_callback(own, on_call, &ran) != 0 || pf_loop_turn(own, 0) != 1 ||
            ran != 1 || pf_loop_close(own, false) != 0)
            _exit(11);
    }
    _exit(0);
}

static int fork_inside(pf_loop *loop, struct scene *scene)
{
    assert_int_equal(pf_loop_stop(loop), 0);
    scene->has_forked = true;
    pid_t pid = fork_or_clone(scene->raw);
    if (pid == 0) {
        alarm(PF_TEST_DEADLINE_S);
        scene->is_child = true;
        if (scene->child_does != RETURNS)
            act_as_child(loop, scene);
        return scene->result;
    }
    /* Before the parent goes on, so that all the child may do has been done. */
    assert_int_equal(waitpid(pid, &scene->status, 0), pid);
    assert_int_equal(*scene->beat % 2, 1); /* still inside a callback, whoever looks */
    return 0;
}

static int fork_in_callback(pf_loop *loop, void *arg)
{
    return fork_inside(loop, arg);
}

static int fork_in_handler(pf_loop *loop, int fd, unsigned events, void *arg)
{
    char byte;
    (void)events;
    assert_int_equal(read(fd, &byte, 1), 1);
    return fork_inside(loop, arg);
}

static int run_later(pf_loop *loop, void *arg)
{
    struct scene *scene = arg;
    (void)loop;
    scene->runs_later += scene->has_forked;
    return 0;
}

static int handle_later(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)fd, (void)events;
    return run_later(loop, arg);
}

/* One that forks, and another of the same kind behind it. */
static void prepare(struct scene *scene, enum place place)
{
    pf_loop *loop = scene->in.loop;
    const int *fds = scene->in.fds;
    switch (place) {
    case IN_CALLBACK:
        assert_int_equal(pf_loop_add_callback(loop, fork_in_callback, scene), 0);
        assert_int_equal(pf_loop_add_callback(loop, run_later, scene), 0);
        break;
    case IN_SIGNAL_CALLBACK:
        assert_int_equal(pf_loop_add_callback_from_signal(loop, fork_in_callback, scene),
                         0);
        assert_int_equal(pf_loop_add_callback_from_signal(loop, run_later, scene), 0);
        break;
    case IN_TIMER:
        assert_int_equal(pf_loop_call_at(loop, 0, fork_in_callback, scene, NULL), 0);
        assert_int_equal(pf_loop_call_at(loop, 1, run_later, scene, NULL), 0);
        break;
    case IN_HANDLER:
        assert_int_equal(pf_loop_remove_handler(loop, fds[0]), 0);
        assert_int_equal(pf_loop_add_handler(loop, fds[0], PF_READ, fork_in_handler, scene),
                         0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_int_equal(pf_loop_add_handler(loop, fds[1], PF_WRITE, handle_later, scene),
                         0);
        break;
    }
}

/* Handlers as assert_goes_on() wants them. That they are removed from the kernel's set
 * shows that they had been in it. */
static void put_handlers_back(struct scene *scene)
{
    struct inherited *in = &scene->in;
    assert_int_equal(write(in->fds[1], "x", 1), 1);
    assert_int_equal(pf_loop_remove_handler(in->loop, in->fds[1]), 0);
    assert_true(pf_backend_polls_readable(in->loop, true));
    char byte;
    assert_int_equal(read(in->fds[0], &byte, 1), 1);
    assert_int_equal(pf_loop_remove_handler(in->loop, in->fds[0]), 0);
    assert_int_equal(pf_loop_add_handler(in->loop, in->fds[0], PF_READ, on_readable, in),
                     0);
}

static void leave_child(const struct scene *scene, int started)
{
    bool good = started == -ECHILD && scene->runs_later == 0 &&
                pf_loop_check(scene->in.loop) == -ECHILD &&
                pf_loop_current(false) == NULL && pf_loop_discard(scene->in.loop) == 0;
    _exit(good ? 0 : 12);
}

static void play(struct scene scene, enum place place)
{
    scene.beat = mmap(NULL, sizeof *scene.beat, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(scene.beat != MAP_FAILED);
    make(&scene.in);
    assert_int_equal(pf_loop_set_beat(scene.in.loop, scene.beat), 0);
    prepare(&scene, place);

    int started = pf_loop_start(scene.in.loop);
    if (scene.is_child)
        leave_child(&scene, started);
    if (scene.status != 0)
        print_error("place %d: the child ended with status %#x\n", (int)place,
                    (unsigned)scene.status);
    assert_int_equal(scene.status, 0);
    assert_int_equal(started, 0);
    assert_true(scene.runs_later >= 1);

    if (place == IN_HANDLER)
        put_handlers_back(&scene);
    assert_goes_on(&scene.in);
    drop(&scene.in);
    munmap(scene.beat, sizeof *scene.beat);
}

static void play_everywhere(enum child_does child_does, int result)
{
    for (enum place place = IN_CALLBACK; place <= IN_HANDLER; place++)
        for (int raw = 0; raw < 2; raw++)
            play((struct scene){.child_does = child_does, .raw = raw, .result = result},
                 place);
}

static void a_child_made_inside_a_callback_has_no_loop(void **state)
{
    (void)state;
    play_everywhere(LOOKS, 0);
}

static void a_child_made_inside_a_callback_can_discard_and_live_on(void **state)
{
    (void)state;
    play_everywhere(DISCARDS, 0);
}

static void a_child_that_returns_from_the_callback_leaves_start_at_once(void **state)
{
    (void)state;
    play_everywhere(RETURNS, 0);
    play_everywhere(RETURNS, PF_DONE);
    play_everywhere(RETURNS, -EIO); /* which would disable a handler */
}

/* ---- forking inside the error hook ----------------------------------------------- */

struct hooked {
    bool raw;
    int children, status;
};

static void fork_in_hook(pf_loop *loop, const struct pf_loop_error *error, void *arg)
{
    struct hooked *hooked = arg;
    (void)error;
    pid_t pid = fork_or_clone(hooked->raw);
    if (pid == 0) {
        alarm(PF_TEST_DEADLINE_S);
        hooked->children = -1;
        if (pf_loop_discard(loop) != 0)
            _exit(14);
        return;
    }
    hooked->children++;
    assert_int_equal(waitpid(pid, &hooked->status, 0), pid);
    (void)pf_loop_stop(loop);
}

static int fail_here(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return -EIO;
}

static int fail_on_signal(pf_loop *loop, int signo, void *arg)
{
    (void)signo;
    return fail_here(loop, arg);
}

static int fail_on_event(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)fd, (void)events;
    return fail_here(loop, arg);
}

/* What is reported, and whether by a loop that runs. */
static bool make_failure(pf_loop *loop, int which, const int fds[2])
{
    pf_future *future;
    switch (which) {
    case 0:
        assert_int_equal(pf_loop_add_callback(loop, fail_here, NULL), 0);
        return true;
    case 1:
        assert_int_equal(pf_loop_call_later(loop, 0, fail_here, NULL, NULL), 0);
        return true;
    case 2:
        assert_int_equal(pf_loop_add_handler(loop, fds[1], PF_WRITE, fail_on_event, NULL),
                         0);
        return true;
    case 3:
        assert_int_equal(pf_loop_add_signal(loop, SIGUSR1, fail_on_signal, NULL), 0);
        assert_int_equal(raise(SIGUSR1), 0);
        return true;
    default:
        assert_int_equal(pf_future_new(loop, &future), 0);
        assert_int_equal(pf_future_set_error(future, -EIO), 0);
        pf_future_unref(future); /* nobody has asked */
        return false;
    }
}

static void a_child_made_inside_the_error_hook_may_discard_there(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct hooked hooked = {.raw = i % 2};
        struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
        options.on_error = fork_in_hook;
        options.on_error_arg = &hooked;
        pf_loop *loop;
        int fds[2];
        assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(pf_loop_new(&options, &loop), 0);
        int started = make_failure(loop, i / 2, fds) ? pf_loop_start(loop) : -ECHILD;
        if (hooked.children < 0)
            _exit(started == -ECHILD ? 0 : 15);
        assert_int_equal(hooked.children, 1);
        assert_int_equal(hooked.status, 0);
        assert_int_equal(pf_loop_close(loop, false), 0);
        pf_loop_unref(loop);
        close(fds[0]);
        close(fds[1]);
    }
}

struct owned {
    int destroyed_before, destroyed_after;
    int status;
};

static int fork_and_discard(pf_loop *loop, void *arg)
{
    struct owned *owned = arg;
    pid_t pid = fork_or_clone(false);
    if (pid == 0) {
        bool good = pf_loop_discard(loop) == 0 && owned->destroyed_before == 1 &&
                    owned->destroyed_after == 1;
        _exit(good ? 0 : 13);
    }
    assert_int_equal(waitpid(pid, &owned->status, 0), pid);
    return 0;
}

static void discarding_inside_a_callback_destroys_only_what_has_not_run(void **state)
{
    (void)state;
    struct inherited in;
    struct owned owned = {0};
    make(&in);
    assert_int_equal(pf_loop_add_callback_full(in.loop, do_nothing, &owned.destroyed_before,
                                               count_destroyed, NULL),
                     0);
    assert_int_equal(pf_loop_add_callback(in.loop, fork_and_discard, &owned), 0);
    assert_int_equal(pf_loop_add_callback_full(in.loop, do_nothing, &owned.destroyed_after,
                                               count_destroyed, NULL),
                     0);
    assert_int_equal(pf_loop_turn(in.loop, 0), 3);
    assert_int_equal(owned.status, 0);
    assert_int_equal(owned.destroyed_before, 1);
    assert_int_equal(owned.destroyed_after, 1);
    assert_goes_on(&in);
    drop(&in);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(in_a_child_every_call_answers_echild),
        pf_test(in_a_grandchild_every_call_answers_echild),
        pf_test(refusing_takes_no_system_call),
        pf_test(discarding_touches_nothing_that_is_shared),
        pf_test(a_child_discards_the_loop_and_makes_its_own),
        pf_test(a_childs_own_loop_stands_beside_the_inherited_one),
        pf_test(discarding_runs_the_destroy_functions_in_the_child),
        pf_test(a_loop_that_was_closed_before_the_fork_can_be_discarded),
        pf_test(a_child_that_exits_takes_nothing_along),
        pf_test(what_a_loop_opens_is_closed_on_exec),
        pf_test(a_fork_while_another_thread_adds_leaves_the_child_no_lock),
        pf_test(a_child_made_inside_a_callback_has_no_loop),
        pf_test(a_child_made_inside_a_callback_can_discard_and_live_on),
        pf_test(a_child_that_returns_from_the_callback_leaves_start_at_once),
        pf_test(a_child_made_inside_the_error_hook_may_discard_there),
        pf_test(discarding_inside_a_callback_destroys_only_what_has_not_run),
    };
    return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
