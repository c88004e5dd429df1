/* test_refuse.c - a 503 for connections that are one too many: real TCP connections, a loop
 * with a clock of its own. */
#include "tests/lib/test.h"

#include "tests/lib/alloc.h"

#include "http/internal.h"
#include "net/conn.h"
#include <prefork/testing.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

enum {
    MANY = PF_HTTP_REFUSING_MAX + 6
};

static struct pf_test_clock test_clock;
static pf_loop *loop;
static pf_http_server *server;
static int listener;
static struct sockaddr_in address;
static int clients[MANY], client_count;
static int told; /* to the observer */

static void on_response(void *arg, int status, size_t bytes)
{
    (void)arg, (void)status, (void)bytes;
    told++;
}

static void on_gone(void *arg, int fd)
{
    (void)arg, (void)fd;
    told++;
}

static void open_stage(void)
{
    static const struct pf_http_route routes[] = {{0}};
    static const struct pf_http_observer observer = {.on_response = on_response,
                                                     .on_gone = on_gone};
    const struct pf_http_server_options options = {.routes = routes, .observer = &observer};
    socklen_t len = sizeof address;
    client_count = told = 0;
    test_clock = (struct pf_test_clock){0};
    assert_int_equal(pf_test_loop_new(&test_clock, &loop), 0);
    assert_int_equal(pf_loop_turn(loop, 0), 0); /* it has all its descriptors */
    assert_int_equal(pf_http_server_new(loop, &options, &server), 0);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, MANY), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
}

/* With so many connections that are served. */
static void close_stage_of(int served)
{
    pf_http_server_free(server);
    for (int i = 0; i < client_count; i++)
        if (clients[i] != -1)
            close(clients[i]);
    close(listener);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    assert_int_equal(told, served);
}

static void close_stage(void)
{
    close_stage_of(0);
}

/* One more client, which has said this by then; returns the server's end. */
static int come(const char *said)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    if (*said)
        assert_int_equal(send(fd, said, strlen(said), MSG_NOSIGNAL), strlen(said));
    clients[client_count++] = fd;
    int end = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(end >= 0);
    return end;
}

static void settle(void)
{
    assert_true(pf_test_run_until_idle(loop) >= 0);
}

static void leave(int i)
{
    close(clients[i]);
    clients[i] = -1;
    settle();
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

/* The i-th client has got the answer, all of it and nothing else, then the end: no reset.
 */
static void assert_answered(int i)
{
    char text[512] = "";
    size_t len = 0;
    ssize_t n;
    while ((n = recv(clients[i], text + len, sizeof text - 1 - len, MSG_DONTWAIT)) > 0)
        len += (size_t)n;
    assert_int_equal(n, 0);
    static const char head[] = "HTTP/1.1 503 ";
    assert_memory_equal(text, head, strlen(head));
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(text, "\r\nContent-Length: 0\r\n"));
    assert_non_null(strstr(text, "\r\nRetry-After: "));
    assert_string_equal(text + len - 4, "\r\n\r\n");
}

/* ---- who makes room -------------------------------------------------------------- */

static void serve(const char *said)
{
    assert_int_equal(pf_http_server_adopt(server, come(said), NULL), 0);
    settle();
}

/* Has the i-th client got so many answers, and is it still connected? */
static void assert_heard(int i, int answers, bool connected)
{
    char text[2048];
    ssize_t n = recv(clients[i], text, sizeof text - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    for (const char *p = text; (p = strstr(p, "HTTP/1.1 404 ")); p++)
        answers--;
    assert_int_equal(answers, 0);
    n = recv(clients[i], text, sizeof text, MSG_DONTWAIT);
    assert_int_equal(n, connected ? -1 : 0);
}

static void the_one_that_has_been_idle_longest_makes_room(void **state)
{
    (void)state;
    open_stage();
    assert_false(pf_http_server_spare(server));
    serve("");
    serve("GET / HTTP/1.1\r\n");
    assert_false(pf_http_server_spare(server)); /* these are about to ask */
    for (int i = 0; i < 3; i++) {
        serve(GET);
        assert_true(pf_test_advance(loop, &test_clock, PF_MILLISECOND) >= 0);
    }
    assert_true(pf_http_server_spare(server));
    assert_heard(2, 1, false);
    assert_heard(3, 1, true);
    assert_int_equal(send(clients[3], GET, strlen(GET), MSG_NOSIGNAL), strlen(GET));
    assert_true(pf_http_server_spare(server)); /* not the one that has just asked again */
    assert_heard(4, 1, false);
    assert_heard(3, 1, true);
    assert_int_equal(send(clients[3], GET, strlen(GET), MSG_NOSIGNAL), strlen(GET));
    assert_false(pf_http_server_spare(server));
    assert_heard(3, 1, true);
    assert_heard(0, 0, true);
    assert_heard(1, 0, true);
    assert_int_equal(pf_http_server_connections(server), 3);
    leave(3);
    assert_int_equal(pf_http_server_connections(server), 2);
    told = 0;
    close_stage_of(2);
}

/* ---- who is refused -------------------------------------------------------------- */

static void who_has_sent_a_request_gets_the_answer_and_no_reset(void **state)
{
    (void)state;
    for (int scarce = 0; scarce <= 1; scarce++) {
        open_stage();
        int fd = come(GET);
        pf_http_server_refuse(server, fd, scarce);
        assert_int_equal(is_open(fd), !scarce);
        settle();
        assert_answered(0);
        leave(0);
        assert_false(is_open(fd));
        assert_int_equal(pf_http_server_connections(server), 0);
        close_stage();
    }
}

static void who_has_sent_nothing_yet_gets_it_too(void **state)
{
    (void)state;
    for (int scarce = 0; scarce <= 1; scarce++) {
        open_stage();
        pf_http_server_refuse(server, come(""), scarce);
        settle();
        assert_answered(0);
        close_stage();
    }
}

/* What comes later is dropped, and does not reset what was said. */
static void who_goes_on_sending_still_gets_the_answer(void **state)
{
    (void)state;
    static char much[100000];
    open_stage();
    int fd = come("");
    pf_http_server_refuse(server, fd, false);
    for (int i = 0; i < 5; i++) {
        assert_true(send(clients[0], much, sizeof much, MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
        settle();
    }
    assert_true(is_open(fd));
    assert_answered(0);
    leave(0);
    assert_false(is_open(fd));
    close_stage();
}

static void who_stays_is_closed_after_a_while(void **state)
{
    (void)state;
    open_stage();
    int fd = come(GET);
    pf_http_server_refuse(server, fd, false);
    assert_true(pf_test_advance(loop, &test_clock, PF_CONN_LINGER_NS - 1) >= 0);
    assert_true(is_open(fd));
    assert_true(pf_test_advance(loop, &test_clock, 2 * PF_SECOND) >= 0);
    assert_false(is_open(fd));
    assert_answered(0);
    close_stage();
}

static void beyond_so_many_at_a_time_they_are_closed_at_once(void **state)
{
    (void)state;
    int fds[MANY];
    open_stage();
    for (int i = 0; i < MANY; i++) {
        fds[i] = come(GET);
        pf_http_server_refuse(server, fds[i], false);
        assert_int_equal(is_open(fds[i]), i < PF_HTTP_REFUSING_MAX);
        if (i >= PF_HTTP_REFUSING_MAX) /* or the next one gets its number */
            fds[i] = fcntl(listener, F_DUPFD_CLOEXEC, 0);
    }
    settle();
    for (int i = 0; i < MANY; i++)
        assert_answered(i);
    leave(0); /* there is room for one */
    client_count--;
    close(clients[MANY - 1]);
    int fd = come(GET);
    pf_http_server_refuse(server, fd, false);
    assert_true(is_open(fd));
    settle();
    assert_answered(MANY - 1);
    for (int i = PF_HTTP_REFUSING_MAX; i < MANY; i++)
        close(fds[i]);
    close_stage();
    assert_false(is_open(fd)); /* the server's end ends them */
}

static void who_is_refused_does_not_hold_up_a_drain(void **state)
{
    (void)state;
    open_stage();
    pf_http_server_refuse(server, come(""), false);
    assert_int_equal(pf_http_server_drain(server), 0);
    settle();
    assert_int_equal(pf_http_server_connections(server), 0);
    assert_answered(0);
    close_stage();
}

static void without_memory_the_connection_is_answered_or_closed(void **state)
{
    (void)state;
    pf_alloc_needed();
    bool failed = true;
    for (int n = 1; failed; n++) {
        open_stage();
        int fd = come(GET);
        pf_alloc_fail(n);
        pf_http_server_refuse(server, fd, false);
        failed = pf_alloc_stop() >= n;
        bool lingers = is_open(fd);
        settle();
        if (lingers)
            assert_answered(0);
        assert_true(lingers || failed);
        leave(0);
        assert_false(is_open(fd));
        close_stage();
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_one_that_has_been_idle_longest_makes_room),
        pf_test(who_has_sent_a_request_gets_the_answer_and_no_reset),
        pf_test(who_has_sent_nothing_yet_gets_it_too),
        pf_test(who_goes_on_sending_still_gets_the_answer),
        pf_test(who_stays_is_closed_after_a_while),
        pf_test(beyond_so_many_at_a_time_they_are_closed_at_once),
        pf_test(who_is_refused_does_not_hold_up_a_drain),
        pf_test(without_memory_the_connection_is_answered_or_closed),
    };
    return cmocka_run_group_tests_name("refuse", tests, NULL, NULL);
}
