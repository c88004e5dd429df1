/*
 * Requests that are answered later than their handler returns, or never; clients that leave
 * meanwhile; what handlers return.
 */
#include "tests/lib/stage.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_MAX 8

static struct {
    pf_http_request *kept[KEPT_MAX];
    int count;       /* of those */
    int gone[2];     /* how often: with 0, with an errno */
    int last_reason; /* negative */
    bool ends_when_gone;
} app;

static void on_gone(pf_http_request *request, int reason, void *arg)
{
    assert_ptr_equal(arg, &app);
    assert_true(reason <= 0);
    app.gone[reason < 0]++;
    if (reason < 0)
        app.last_reason = reason;
    if (reason < 0 && app.ends_when_gone)
        assert_int_equal(pf_http_abort(request), -EPIPE);
}

static int later(pf_http_request *request, void *arg)
{
    (void)arg;
    assert_true(app.count < KEPT_MAX);
    app.kept[app.count++] = request;
    assert_int_equal(pf_http_on_gone(request, on_gone, &app), 0);
    return PF_HTTP_LATER;
}

/* "/later..." is answered later, the rest at once: each with its path. */
static int respond_path(pf_http_request *request)
{
    size_t len;
    const char *path = pf_http_get_path(request, &len);
    return pf_http_respond(request, 200, "text/plain", path, len);
}

static int either(pf_http_request *request, void *arg)
{
    size_t len;
    const char *path = pf_http_get_path(request, &len);
    return memcmp(path, "/later", len < 6 ? len : 6) == 0 && len >= 6
               ? later(request, arg)
               : respond_path(request);
}

static void open_later(void)
{
    memset(&app, 0, sizeof app);
    stage_serve(either, 0);
}

static int respond_on_time(pf_loop *loop, void *arg)
{
    pf_http_request *request = arg;
    assert_ptr_equal(pf_http_get_loop(request), loop);
    assert_int_equal(respond_path(request), 0);
    return 0;
}

/* ---- when it is answered --------------------------------------------------------- */

static void a_timer_may_finish_a_request(void **state)
{
    (void)state;
    open_later();
    ask(GET("/later"));
    assert_open();
    assert_int_equal(
        pf_loop_call_later(stage.loop, PF_SECOND, respond_on_time, app.kept[0], NULL), 0);
    stage_advance(PF_SECOND - 1);
    hear();
    assert_open();
    stage_advance(1);
    hear();
    assert_answer(200, "/later");
    ask(GET("/next"));
    assert_answer(200, "/next");
    assert_open();
    stage_close();
}

/* While the application has it there is no deadline. */
static void a_request_may_be_kept_as_long_as_it_takes(void **state)
{
    (void)state;
    open_later();
    ask(GET("/later"));
    stage_advance(1000 * PF_SECOND);
    hear();
    assert_open();
    assert_int_equal(respond_path(app.kept[0]), 0);
    hear();
    assert_answer(200, "/later");
    stage_advance(PF_HTTP_IDLE_TIMEOUT_NS - 1);
    hear();
    assert_open();
    stage_advance(1);
    hear();
    assert_closed();
    stage_close();
}

static void a_later_answer_has_the_date_of_its_own_time(void **state)
{
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++) {
        open_later();
        ask(GET("/later"));
        pf__http_date_set(&stage.server->date, 0); /* when it was last looked at */
        assert_int_equal(streamed ? pf_http_finish(app.kept[0]) : respond_path(app.kept[0]),
                         0);
        hear();
        next_answer(200);
        assert_true(has("\r\nDate: "));
        assert_false(has(" 1970 "));
        stage_close();
    }
}

static void *post_from_thread(void *arg)
{
    pf_http_request *request = arg;
    assert_int_equal(pf_http_respond(request, 200, NULL, NULL, 0), -EPERM);
    assert_int_equal(pf_http_write(request, "x", 1), -EPERM);
    assert_int_equal(pf_http_finish(request), -EPERM);
    assert_int_equal(pf_http_abort(request), -EPERM);
    assert_int_equal(pf_http_set_field(request, "A", "b"), -EPERM);
    assert_int_equal(pf_http_on_gone(request, NULL, NULL), -EPERM);
    assert_int_equal(
        pf_loop_add_callback(pf_http_get_loop(request), respond_on_time, request), 0);
    return NULL;
}

static void a_callback_of_another_thread_may_finish_a_request(void **state)
{
    (void)state;
    pthread_t thread;
    open_later();
    ask(GET("/later"));
    assert_int_equal(pthread_create(&thread, NULL, post_from_thread, app.kept[0]), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(stage.observed.responses, 0);
    stage_turn();
    hear();
    assert_answer(200, "/later");
    assert_open();
    stage_close();
}

static void requests_behind_it_wait_and_keep_their_order(void **state)
{
    (void)state;
    open_later();
    ask(GET("/1") GET("/later2") GET("/3") GET("/later4") GET("/5"));
    assert_answer(200, "/1");
    assert_open();
    assert_int_equal(app.count, 1);
    ask(GET("/6")); /* that what comes meanwhile stays behind */
    assert_open();
    assert_int_equal(respond_path(app.kept[0]), 0);
    hear();
    assert_answer(200, "/later2");
    assert_nothing(); /* in a later turn, not inside the call */
    assert_int_equal(app.count, 1);
    stage_turn();
    hear();
    assert_answer(200, "/3");
    assert_open();
    assert_int_equal(app.count, 2);
    assert_int_equal(respond_path(app.kept[1]), 0);
    stage_turn();
    hear();
    assert_answer(200, "/later4");
    assert_answer(200, "/5");
    assert_answer(200, "/6");
    assert_open();
    assert_int_equal(stage.observed.responses, 6);
    stage_close();
}

static void a_kept_request_can_still_be_asked(void **state)
{
    (void)state;
    open_later();
    ask("POST /later?a=b%20c HTTP/1.1\r\nHost: h:80\r\nX: y\r\nCookie: k=v\r\n"
        "Content-Length: 4\r\n\r\nbody");
    ask(GET("/"
            "................................................................"));
    pf_http_request *request = app.kept[0];
    char text[16];
    size_t len;
    assert_int_equal(pf_http_get_argument(request, "a", text, sizeof text), 3);
    assert_string_equal(text, "b c");
    assert_int_equal(pf_http_get_cookie(request, "k", text, sizeof text), 1);
    assert_int_equal(pf_http_get_capture(request, "rest", text, sizeof text), 5);
    assert_string_equal(text, "later");
    assert_memory_equal(pf_http_get_field(request, "x", &len), "y", 1);
    assert_memory_equal(pf_http_get_body(request, &len), "body", 4);
    assert_int_equal(len, 4);
    assert_memory_equal(pf_http_get_host(request, &len), "h", 1);
    assert_int_equal(len, 1);
    stage_leave();
    assert_memory_equal(pf_http_get_body(request, &len), "body", 4);
    assert_string_equal(pf_http_get_remote_address(request), "unix");
    assert_int_equal(pf_http_abort(request), 0); /* it has half-closed, for all we know */
    stage_close();
}

/* ---- a client that goes ---------------------------------------------------------- */

static void a_client_that_is_gone_is_an_error_and_the_request_is_freed(void **state)
{
    (void)state;
    open_later();
    stage_reconnect_tcp();
    ask(GET("/later"));
    stage_reset();
    assert_int_equal(app.gone[0], 0);
    assert_int_equal(app.gone[1], 1);
    assert_int_equal(app.last_reason, -ECONNRESET);
    assert_int_equal(pf_http_server_connections(stage.server), 0);
    assert_non_null(stage.server->living);
    assert_int_equal(pf_http_respond(app.kept[0], 200, NULL, NULL, 0), -EPIPE);
    assert_null(stage.server->living);
    assert_int_equal(app.gone[1], 1);
    assert_int_equal(stage.logged.lines, 0);
    stage_close();
}

static void every_way_to_finish_frees_a_request_whose_client_is_gone(void **state)
{
    (void)state;
    for (int way = 0; way < 6; way++) {
        open_later();
        stage_reconnect_tcp();
        ask(GET("/later"));
        pf_http_request *request = app.kept[0];
        if (way == 5) /* in the midst of a response */
            assert_int_equal(pf_http_write(request, "x", 1), 0);
        stage_reset();
        assert_int_equal(pf_http_write(request, "x", 1), -EPIPE);
        assert_int_equal(pf_http_flush(request), -EPIPE);
        assert_false(pf_http_blocked(request));
        int fd = way == 2 ? dup(0) : -1;
        int err = way == 0   ? pf_http_finish(request)
                  : way == 1 ? pf_http_abort(request)
                  : way == 2 ? pf_http_respond_file(request, NULL, fd, 0, 1)
                  : way == 3 ? pf_http_respond_error(request, 404)
                  : way == 4 ? pf_http_redirect(request, 302, "/")
                             : pf_http_finish(request);
        assert_int_equal(err, -EPIPE);
        assert_null(stage.server->living);
        assert_int_equal(stage.observed.responses, 1);
        stage_close();
    }
}

static void a_client_that_half_closes_is_told_once_and_gets_its_answer(void **state)
{
    (void)state;
    open_later();
    ask(GET("/later"));
    shutdown(stage.client, SHUT_WR);
    stage_turn();
    stage_turn();
    assert_int_equal(app.gone[0], 1);
    assert_int_equal(app.gone[1], 0);
    assert_int_equal(respond_path(app.kept[0]), 0);
    stage_turn();
    hear();
    assert_answer(200, "/later");
    assert_true(has(CLOSES));
    assert_closed();
    assert_int_equal(app.gone[0], 1);
    assert_int_equal(app.gone[1], 0);
    stage_close();
}

static void a_client_that_half_closes_and_then_resets_is_told_so(void **state)
{
    (void)state;
    open_later();
    stage_reconnect_tcp();
    ask(GET("/later"));
    shutdown(stage.client, SHUT_WR);
    stage_turn();
    assert_int_equal(app.gone[0], 1);
    stage_advance(PF_CONN_PROBE_NS);
    stage_advance(PF_CONN_PROBE_NS);
    assert_int_equal(app.gone[1], 0); /* it may be waiting still */
    stage_reset();
    stage_advance(PF_CONN_PROBE_NS);
    assert_int_equal(app.gone[1], 1);
    assert_int_equal(respond_path(app.kept[0]), -EPIPE);
    assert_int_equal(pf_http_server_connections(stage.server), 0);
    stage_close();
}

static void requests_behind_a_kept_one_are_answered_to_a_half_closed_client(void **state)
{
    (void)state;
    open_later();
    say(GET("/later1") GET("/2") GET("/later3") GET("/4"));
    shutdown(stage.client, SHUT_WR);
    stage_turn();
    assert_int_equal(app.gone[0], 1);
    assert_int_equal(respond_path(app.kept[0]), 0);
    stage_turn();
    hear();
    assert_answer(200, "/later1");
    assert_false(has(CLOSES));
    assert_answer(200, "/2");
    assert_false(has(CLOSES));
    assert_nothing();
    assert_int_equal(app.count, 2);
    assert_int_equal(respond_path(app.kept[1]), 0);
    stage_turn();
    hear();
    assert_answer(200, "/later3");
    assert_answer(200, "/4");
    assert_closed();
    stage_close();
}

static void half_a_request_behind_a_kept_one_is_not_answered(void **state)
{
    (void)state;
    open_later();
    say(GET("/later1") "GET /2 HTT");
    shutdown(stage.client, SHUT_WR);
    stage_turn();
    assert_int_equal(respond_path(app.kept[0]), 0);
    stage_turn();
    hear();
    assert_answer(200, "/later1");
    assert_closed();
    stage_close();
}

/* The first write finds out that there is nobody; whoever goes on from there is told in the
 * next turn, and who answered for good knows it from that. */
static void on_gone_comes_behind_the_call_that_finds_out(void **state)
{
    (void)state;
    for (int way = 0; way < 2; way++) {
        open_later();
        ask(GET("/later"));
        close(stage.client);
        stage.client = -1;
        assert_int_equal(way == 0 ? respond_path(app.kept[0])
                                  : pf_http_write(app.kept[0], "x", 1),
                         -EPIPE);
        assert_int_equal(app.gone[1], 0);
        assert_int_equal(stage.server->living != NULL, way == 1);
        stage_turn();
        assert_int_equal(app.gone[0], 0);
        assert_int_equal(app.gone[1], way);
        if (way == 1)
            assert_int_equal(pf_http_finish(app.kept[0]), -EPIPE);
        assert_null(stage.server->living);
        stage_close();
    }
}

static void on_gone_may_finish_the_request(void **state)
{
    (void)state;
    for (int way = 0; way < 5; way++) {
        open_later();
        app.ends_when_gone = true;
        ask(GET("/later"));
        pf_http_request *request = app.kept[0];
        close(stage.client);
        stage.client = -1;
        int err = way == 0   ? respond_path(request)
                  : way == 1 ? pf_http_write(request, "x", 1)
                  : way == 2 ? pf_http_flush(request)
                  : way == 3 ? pf_http_finish(request)
                             : pf_http_respond_file(request, NULL, dup(0), 0, 1);
        assert_int_equal(err, -EPIPE);
        stage_turn();
        assert_int_equal(app.gone[1], way == 1 || way == 2);
        assert_null(stage.server->living);
        assert_int_equal(stage.observed.responses, 1);
        stage_close();
    }
}

static void a_server_takes_kept_requests_with_it(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) { /* kept to the end, and given up when told */
        open_later();
        app.ends_when_gone = i == 1;
        stage_reconnect_tcp();
        ask(GET("/later"));
        stage_reset();
        stage_reconnect(); /* one with a client, one without */
        ask(GET("/later"));
        assert_int_equal(app.count, 2);
        stage_close(); /* the sanitizers see whether anything is left */
        assert_int_equal(app.gone[1], 2);
    }
}

/* ---- drain, fork ----------------------------------------------------------------- */

static void a_drain_waits_for_a_kept_request_and_those_behind_it(void **state)
{
    (void)state;
    open_later();
    ask(GET("/later1") GET("/2"));
    assert_int_equal(pf_http_server_drain(stage.server), 0);
    stage_advance(100 * PF_SECOND);
    hear();
    assert_open();
    assert_int_equal(respond_path(app.kept[0]), 0);
    stage_turn();
    hear();
    assert_answer(200, "/later1");
    assert_false(has(CLOSES));
    assert_answer(200, "/2");
    assert_true(has(CLOSES));
    assert_closed();
    stage_close();
}

static void a_drain_ends_the_connection_of_a_kept_request(void **state)
{
    (void)state;
    open_later();
    ask(GET("/later1"));
    assert_int_equal(pf_http_server_drain(stage.server), 0);
    assert_int_equal(respond_path(app.kept[0]), 0);
    stage_turn();
    hear();
    assert_answer(200, "/later1");
    assert_true(has(CLOSES));
    assert_closed();
    stage_close();
}

static void use_in_child(void *arg)
{
    pf_http_request *request = arg;
    assert_int_equal(respond_path(request), -ECHILD);
    assert_int_equal(pf_http_write(request, "x", 1), -ECHILD);
    assert_int_equal(pf_http_flush(request), -ECHILD);
    assert_int_equal(pf_http_finish(request), -ECHILD);
    assert_int_equal(pf_http_abort(request), -ECHILD);
    assert_int_equal(pf_http_redirect(request, 302, "/"), -ECHILD);
    assert_int_equal(pf_http_respond_file(request, NULL, dup(0), 0, 0), -ECHILD);
    assert_int_equal(pf_http_set_status(request, 200), -ECHILD);
    assert_int_equal(pf_http_on_body(request, NULL, NULL), -ECHILD);
    assert_int_equal(pf_http_resume_body(request), -ECHILD);
    pf_http_server_free(stage.server);
    pf_loop_discard(stage.loop);
    assert_int_equal(app.gone[0] + app.gone[1], 0);
}

static void a_child_answers_nothing_that_was_kept(void **state)
{
    (void)state;
    open_later();
    ask(GET("/later1") GET("/2"));
    pf_test_in_child(use_in_child, app.kept[0]);
    assert_int_equal(respond_path(app.kept[0]), 0);
    stage_turn();
    hear();
    assert_answer(200, "/later1");
    assert_answer(200, "/2");
    assert_open();
    stage_close();
}

static pid_t forked;

static int fork_and_return(pf_http_request *request, void *arg)
{
    (void)arg;
    forked = fork();
    assert_true(forked >= 0);
    int err = pf_http_respond(request, 200, "text/plain", "x", 1);
    assert_int_equal(err, forked ? 0 : -ECHILD);
    return 0;
}

static void a_child_that_is_forked_in_a_handler_answers_nothing(void **state)
{
    (void)state;
    stage_serve(fork_and_return, 0);
    say(GET("/"));
    (void)pf_loop_turn(stage.loop, 0);
    if (forked == 0)
        _exit(stage.observed.responses == 0 && stage.logged.lines == 0 ? 0 : 1);
    int how = -1;
    assert_int_equal(waitpid(forked, &how, 0), forked);
    assert_int_equal(how, 0);
    stage_turn();
    hear();
    assert_answer(200, "x");
    assert_open();
    stage_close();
}

/* ---- what handlers return -------------------------------------------------------- */

static int result;

static int returns(pf_http_request *request, void *arg)
{
    (void)request, (void)arg;
    return result;
}

static void no_answer_and_errors_are_a_500_and_a_line(void **state)
{
    (void)state;
    static const struct {
        int result;
        const char *logged;
    } rows[] = {{0, "returned 0 without an answer"},
                {-EIO, "Input/output error"},
                {-ENOMEM, "Cannot allocate memory"}};
    stage_serve(returns, 0);
    for (int i = 0; i < 3; i++) {
        result = rows[i].result;
        ask(GET("/fails"));
        assert_answer(500, "Internal Server Error\r\n");
        assert_open();
        assert_int_equal(stage.logged.lines, i + 1);
        assert_non_null(strstr(stage.logged.last, rows[i].logged));
        assert_non_null(strstr(stage.logged.last, "path=/fails"));
    }
    result = -EPIPE; /* a client that is gone is no news */
    ask(GET("/"));
    assert_answer(500, "Internal Server Error\r\n");
    assert_int_equal(stage.logged.lines, 3);
    stage_close();
}

static int begins_and_fails(pf_http_request *request, void *arg)
{
    (void)arg;
    assert_int_equal(pf_http_write(request, "some", 4), 0);
    return -EIO;
}

static void a_failure_behind_the_head_cuts_the_connection(void **state)
{
    (void)state;
    stage_serve(begins_and_fails, 0);
    ask(GET("/") GET("/"));
    assert_cut();
    assert_int_equal(stage.logged.lines, 1);
    assert_int_equal(stage.observed.responses, 1);
    stage_close();
}

static int begins_and_returns(pf_http_request *request, void *arg)
{
    (void)arg;
    assert_int_equal(pf_http_write(request, "some", 4), 0);
    return 0;
}

static void a_response_that_is_not_finished_is_cut(void **state)
{
    (void)state;
    stage_serve(begins_and_returns, 0);
    ask(GET("/"));
    assert_cut();
    assert_int_equal(stage.logged.lines, 1);
    stage_close();
}

static int answers_and_says_later(pf_http_request *request, void *arg)
{
    (void)arg;
    assert_int_equal(respond_path(request), 0);
    assert_int_equal(respond_path(request), -EALREADY);
    assert_int_equal(pf_http_finish(request), -EALREADY);
    assert_int_equal(pf_http_abort(request), -EALREADY);
    assert_int_equal(pf_http_write(request, "x", 1), -EALREADY);
    assert_int_equal(pf_http_set_status(request, 201), -EALREADY);
    assert_int_equal(pf_http_set_field(request, "A", "b"), -EALREADY);
    assert_int_equal(pf_http_respond_error(request, 404), -EALREADY);
    return PF_HTTP_LATER;
}

static void an_answered_request_is_answered_once_whatever_is_returned(void **state)
{
    (void)state;
    stage_serve(answers_and_says_later, 0);
    ask(GET("/1") GET("/2"));
    assert_answer(200, "/1");
    assert_answer(200, "/2");
    assert_open();
    assert_int_equal(stage.observed.responses, 2);
    stage_close();
}

/* ---- when memory is short -------------------------------------------------------- */

/* The application cannot know, and finishes it in its own time. */
static void a_request_that_cannot_be_kept_is_a_503_and_stays_the_applications(void **state)
{
    (void)state;
    pf_alloc_needed();
    int refused = 0;
    for (int n = 1;; n++) {
        open_later();
        ask(GET("/warm"));
        assert_answer(200, "/warm");
        say(POST("/later", "Content-Length: 1", "x"));
        pf_alloc_fail(n);
        stage_turn();
        int allocated = pf_alloc_stop();
        hear();
        assert_int_equal(app.count, 1);
        if (allocated < n)
            break;
        refused++;
        assert_answer(503, "Service Unavailable\r\n");
        assert_true(has(CLOSES));
        assert_closed();
        assert_int_equal(app.gone[1], 1);
        assert_int_equal(app.last_reason, -ENOMEM);
        stage_reconnect(); /* the next client's request is not the one that is kept */
        ask(GET("/later/next"));
        assert_int_equal(app.count, 2);
        assert_ptr_not_equal(app.kept[0], app.kept[1]);
        size_t len;
        assert_null(pf_http_get_body(app.kept[0], &len));
        assert_int_equal(len, 0);
        assert_int_equal(respond_path(app.kept[0]), -EPIPE);
        hear();
        assert_open();
        assert_int_equal(respond_path(app.kept[1]), 0);
        hear();
        assert_answer(200, "/later/next");
        assert_open();
        stage_close();
    }
    assert_int_equal(refused, 2); /* its head, its body */
    assert_int_equal(respond_path(app.kept[0]), 0);
    hear();
    assert_answer(200, "/later");
    assert_open();
    stage_close();
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(a_timer_may_finish_a_request),
        pf_test(a_request_may_be_kept_as_long_as_it_takes),
        pf_test(a_later_answer_has_the_date_of_its_own_time),
        pf_test(a_callback_of_another_thread_may_finish_a_request),
        pf_test(requests_behind_it_wait_and_keep_their_order),
        pf_test(a_kept_request_can_still_be_asked),
        pf_test(a_client_that_is_gone_is_an_error_and_the_request_is_freed),
        pf_test(every_way_to_finish_frees_a_request_whose_client_is_gone),
        pf_test(a_client_that_half_closes_is_told_once_and_gets_its_answer),
        pf_test(a_client_that_half_closes_and_then_resets_is_told_so),
        pf_test(requests_behind_a_kept_one_are_answered_to_a_half_closed_client),
        pf_test(half_a_request_behind_a_kept_one_is_not_answered),
        pf_test(on_gone_comes_behind_the_call_that_finds_out),
        pf_test(on_gone_may_finish_the_request),
        pf_test(a_server_takes_kept_requests_with_it),
        pf_test(a_drain_waits_for_a_kept_request_and_those_behind_it),
        pf_test(a_drain_ends_the_connection_of_a_kept_request),
        pf_test(a_child_answers_nothing_that_was_kept),
        pf_test(a_child_that_is_forked_in_a_handler_answers_nothing),
        pf_test(no_answer_and_errors_are_a_500_and_a_line),
        pf_test(a_failure_behind_the_head_cuts_the_connection),
        pf_test(a_response_that_is_not_finished_is_cut),
        pf_test(an_answered_request_is_answered_once_whatever_is_returned),
        pf_test(a_request_that_cannot_be_kept_is_a_503_and_stays_the_applications),
    };
    return cmocka_run_group_tests_name("http_later", tests, NULL, NULL);
}
