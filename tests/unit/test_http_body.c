/*
 * Bodies that are handed over as they come: pieces, pauses, early answers, and ends of all
 * kinds.
 */
#include "tests/lib/stage.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <stdio.h>
#include <sys/socket.h>

#define LENGTH(n) "Content-Length: " #n "\r\n"
#define CHUNKED   "Transfer-Encoding: chunked\r\n"
/* stage.h's POST() ends the head itself */
#define UP(fields, body) "POST /up HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body

static struct {
    pf_http_request *request; /* the last one */
    int begun, ends, gone;
    int last_reason;
    char body[8192];
    size_t len, pieces;
    int (*begin)(pf_http_request *request);
    int (*on_piece)(pf_http_request *request);
    int (*on_end)(pf_http_request *request);
} app;

static int respond_body(pf_http_request *request)
{
    return pf_http_respond(request, 200, "text/plain", app.body, app.len);
}

static int on_body(pf_http_request *request, const void *data, size_t len, void *arg)
{
    assert_ptr_equal(arg, &app);
    assert_ptr_equal(request, app.request);
    if (len == 0) {
        app.ends++;
        return app.on_end ? app.on_end(request) : respond_body(request);
    }
    assert_int_equal(app.ends, 0);
    assert_true(app.len + len <= sizeof app.body);
    memcpy(app.body + app.len, data, len);
    app.len += len;
    app.pieces++;
    return app.on_piece ? app.on_piece(request) : 0;
}

static void on_gone(pf_http_request *request, int reason, void *arg)
{
    (void)request, (void)arg;
    app.gone++;
    app.last_reason = reason;
}

static int refuse_401(pf_http_request *request)
{
    return pf_http_respond(request, 401, "text/plain", "no", 2);
}

static int upload(pf_http_request *request, void *arg)
{
    (void)arg;
    app.request = request;
    app.begun++;
    app.len = app.pieces = 0;
    app.ends = 0;
    size_t len = 1;
    (void)pf_http_get_body(request, &len);
    assert_int_equal(len, 0);
    assert_int_equal(pf_http_on_gone(request, on_gone, NULL), 0);
    if (app.begin)
        return app.begin(request);
    assert_int_equal(pf_http_on_body(request, on_body, &app), 0);
    return 0;
}

static int collected(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    assert_int_equal(pf_http_on_body(request, on_body, NULL), -EINVAL);
    const void *body = pf_http_get_body(request, &len);
    return pf_http_respond(request, 200, "text/plain", body, len);
}

static const struct pf_http_route routes[] = {
    {.method = "POST", .path = "/up", .handler = upload, .flags = PF_HTTP_STREAM},
    {.method = "POST",
     .path = "/small",
     .handler = upload,
     .flags = PF_HTTP_STREAM,
     .body_max = 10},
    {.method = "POST", .path = "/large", .handler = collected, .body_max = 2 * 1024 * 1024},
    {.method = "POST", .path = "/collected", .handler = collected},
    {0}};

static void open_upload(void)
{
    memset(&app, 0, sizeof app);
    stage_open(&(struct pf_http_server_options){.routes = routes, .body_max = 4096});
}

/* ---- pieces ---------------------------------------------------------------------- */

static void a_body_is_handed_over_as_it_comes(void **state)
{
    (void)state;
    open_upload();
    ask(UP(LENGTH(10), ""));
    assert_int_equal(app.begun, 1);
    ask("0123");
    assert_int_equal(app.len, 4);
    ask("456");
    assert_int_equal(app.len, 7);
    assert_open();
    assert_int_equal(app.ends, 0);
    ask("789" UP(LENGTH(3), "abc"));
    assert_answer(200, "0123456789");
    assert_answer(200, "abc");
    assert_open();
    assert_int_equal(app.ends, 1);
    stage_close();
}

static const char streamed[] = UP(LENGTH(10), "0123456789")
    UP(CHUNKED, "5\r\nhello\r\n1;x=y\r\n,\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n")
        UP("", "") UP(CHUNKED, "0\r\n\r\n");

static void assert_streamed(void)
{
    assert_answer(200, "0123456789");
    assert_answer(200, "hello, world");
    assert_answer(200, "");
    assert_answer(200, "");
    assert_open();
}

/* A request without a body has its end told, if on_body is there in time. */
static int begin_any(pf_http_request *request)
{
    int err = pf_http_on_body(request, on_body, &app);
    if (err == -EINVAL) /* there is none */
        return pf_http_respond(request, 200, NULL, NULL, 0);
    return err;
}

static void bodies_of_both_kinds_may_come_in_any_pieces(void **state)
{
    (void)state;
    size_t len = sizeof streamed - 1;
    open_upload();
    app.begin = begin_any;
    ask(streamed);
    assert_streamed();
    for (size_t i = 0; i < len; i++) {
        say_bytes(streamed + i, 1);
        stage_turn();
    }
    hear();
    assert_streamed();
    for (size_t at = 1; at < len; at++) {
        say_bytes(streamed, at);
        stage_turn();
        say_bytes(streamed + at, len - at);
        stage_turn();
        hear();
        assert_streamed();
    }
    stage_close();
}

static int begin_without_on_body(pf_http_request *request)
{
    (void)request;
    return PF_HTTP_LATER;
}

static void a_body_nobody_asked_for_is_dropped(void **state)
{
    (void)state;
    open_upload();
    app.begin = begin_without_on_body;
    ask(UP(LENGTH(5), "01234") UP(LENGTH(3), "abc"));
    assert_open();
    assert_int_equal(app.begun, 1);
    assert_int_equal(respond_body(app.request), 0);
    stage_turn();
    hear();
    assert_answer(200, "");
    assert_open();
    assert_int_equal(app.begun, 2);
    stage_close();
}

static int begin_and_forget(pf_http_request *request)
{
    (void)request;
    return 0;
}

static void a_handler_that_forgets_is_a_500_at_the_end(void **state)
{
    (void)state;
    open_upload();
    app.begin = begin_and_forget;
    ask(UP(LENGTH(5), "012"));
    assert_open();
    ask("34");
    assert_answer(500, "Internal Server Error\r\n");
    assert_int_equal(stage.logged.lines, 1);
    assert_open();
    stage_close();
}

static int answer_later(pf_http_request *request)
{
    (void)request;
    return PF_HTTP_LATER;
}

static void the_end_may_be_answered_later(void **state)
{
    (void)state;
    open_upload();
    app.on_end = answer_later;
    ask(UP(LENGTH(3), "abc") UP(LENGTH(3), "def"));
    assert_open();
    assert_int_equal(app.begun, 1);
    assert_int_equal(respond_body(app.request), 0);
    stage_turn();
    assert_int_equal(app.begun, 2);
    assert_int_equal(respond_body(app.request), 0);
    hear();
    assert_answer(200, "abc");
    assert_answer(200, "def");
    assert_open();
    stage_close();
}

static void a_waiting_client_is_told_to_go_on(void **state)
{
    (void)state;
    open_upload();
    ask(UP("Expect: 100-continue\r\n" LENGTH(3), ""));
    next_head(100);
    ask("abc");
    assert_answer(200, "abc");
    assert_open();
    stage_close();
}

static void a_waiting_client_that_is_refused_is_not_told_to_go_on(void **state)
{
    (void)state;
    open_upload();
    app.begin = refuse_401;
    ask(UP("Expect: 100-continue\r\n" LENGTH(3), ""));
    assert_answer(401, "no");
    assert_true(has(CLOSES));
    assert_closed();
    stage_close();
}

static void other_routes_collect(void **state)
{
    (void)state;
    open_upload();
    ask("POST /collected HTTP/1.1\r\nHost: a\r\n" CHUNKED
        "\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n");
    assert_answer(200, "abc");
    assert_open();
    stage_close();
}

/* ---- pauses ---------------------------------------------------------------------- */

static int pause_now(pf_http_request *request)
{
    return pf_http_pause_body(request);
}

static int begin_paused(pf_http_request *request)
{
    assert_int_equal(pf_http_on_body(request, on_body, &app), 0);
    return pf_http_pause_body(request);
}

static void resume(void)
{
    size_t pieces = app.pieces;
    int ends = app.ends;
    assert_int_equal(pf_http_resume_body(app.request), 0);
    assert_int_equal(app.pieces, pieces); /* not inside the call */
    assert_int_equal(app.ends, ends);
    stage_turn();
}

static void nothing_is_handed_over_during_a_pause(void **state)
{
    (void)state;
    open_upload();
    app.on_piece = pause_now;
    ask(UP(CHUNKED, "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"));
    for (size_t i = 1; i <= 3; i++) {
        assert_int_equal(app.len, i);
        assert_int_equal(app.ends, 0);
        assert_open();
        resume();
    }
    hear();
    assert_answer(200, "abc");
    assert_open();
    stage_close();
}

static void the_end_waits_for_a_pause_too(void **state)
{
    (void)state;
    open_upload();
    app.on_piece = pause_now;
    ask(UP(LENGTH(3), "abc"));
    assert_int_equal(app.len, 3);
    assert_int_equal(app.ends, 0);
    resume();
    hear();
    assert_answer(200, "abc");
    ask(UP(LENGTH(3), "abc") UP(LENGTH(3), "def")); /* with another one behind */
    assert_int_equal(app.ends, 0);
    resume();
    hear();
    assert_answer(200, "abc");
    assert_open();
    resume();
    hear();
    assert_answer(200, "def");
    assert_open();
    stage_close();
}

static void a_handler_may_pause_before_the_first_byte(void **state)
{
    (void)state;
    open_upload();
    app.begin = begin_paused;
    ask(UP(LENGTH(6), "abc"));
    ask("def" UP(LENGTH(3), "ghi"));
    assert_int_equal(app.len, 0);
    assert_open();
    resume();
    hear();
    assert_answer(200, "abcdef");
    assert_open();
    assert_int_equal(app.begun, 2);
    assert_int_equal(app.len, 0);
    resume();
    hear();
    assert_answer(200, "ghi");
    assert_int_equal(pf_http_server_connections(stage.server), 1);
    stage_close();
}

static void a_pause_stops_the_client(void **state)
{
    (void)state;
    static char much[64 * 1024];
    memset(&app, 0, sizeof app);
    stage_open(
        &(struct pf_http_server_options){.routes = routes, .body_max = 64 * 1024 * 1024});
    app.begin = begin_paused;
    ask(UP(LENGTH(30000000), ""));
    size_t sent = 0;
    ssize_t n;
    while ((n = send(stage.client, much, sizeof much, MSG_NOSIGNAL)) > 0) {
        sent += (size_t)n;
        stage_turn();
        assert_true(sent < 30000000);
    }
    assert_int_equal(app.len, 0);
    stage_advance(1000 * PF_SECOND); /* nothing is due */
    assert_open();
    assert_int_equal(pf_http_abort(app.request), 0);
    hear();
    assert_cut();
    stage_close();
}

static void a_pause_that_is_over_at_once_is_none(void **state)
{
    (void)state;
    open_upload();
    ask(UP(LENGTH(6), "abc"));
    assert_int_equal(pf_http_resume_body(app.request), 0); /* in vain */
    assert_int_equal(pf_http_pause_body(app.request), 0);
    assert_int_equal(pf_http_pause_body(app.request), 0);
    assert_int_equal(pf_http_resume_body(app.request), 0);
    ask("def");
    assert_answer(200, "abcdef");
    assert_open();
    stage_close();
}

static void a_paused_body_of_a_client_that_half_closes_is_whole(void **state)
{
    (void)state;
    for (int with_more = 0; with_more < 2; with_more++) {
        open_upload();
        app.on_piece = pause_now;
        say(with_more ? UP(CHUNKED, "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")
                      : UP(LENGTH(3), "abc"));
        shutdown(stage.client, SHUT_WR);
        stage_turn();
        assert_int_equal(app.gone, 1);
        assert_int_equal(app.last_reason, 0);
        resume();
        if (with_more)
            resume();
        hear();
        assert_answer(200, "abc");
        assert_closed();
        assert_int_equal(app.gone, 1);
        stage_close();
    }
}

static void a_paused_body_that_will_never_be_whole_is_cut_when_it_goes_on(void **state)
{
    (void)state;
    open_upload();
    app.begin = begin_paused;
    say(UP(LENGTH(10), "abc"));
    shutdown(stage.client, SHUT_WR);
    stage_turn();
    resume();
    assert_int_equal(app.len, 3);
    assert_int_equal(app.ends, 0);
    assert_int_equal(pf_http_server_connections(stage.server), 0);
    assert_int_equal(app.last_reason, -ECONNRESET);
    assert_int_equal(respond_body(app.request), -EPIPE);
    stage_close();
}

/* ---- early answers --------------------------------------------------------------- */

static void an_early_answer_reaches_a_client_that_goes_on_sending(void **state)
{
    (void)state;
    static char much[16 * 1024];
    for (int when = 0; when < 3; when++) { /* at the head, at a piece, later */
        open_upload();
        app.begin = when == 0 ? refuse_401 : NULL;
        app.on_piece = when == 1 ? refuse_401 : NULL;
        stage_reconnect_tcp();
        ask(UP(LENGTH(4000), "abc"));
        if (when == 2)
            assert_int_equal(refuse_401(app.request), 0);
        say_bytes(much, 2000);
        stage_turn();
        say_bytes(much, 1000);
        stage_turn();
        hear();
        assert_answer(401, "no");
        assert_true(has(CLOSES));
        assert_closed();
        assert_int_equal(app.ends, 0);
        assert_int_equal(app.gone, 0);
        stage_close();
    }
}

static int answer_in_time(pf_http_request *request)
{
    return app.len == 3 ? respond_body(request) : 0;
}

/* Its last byte has been read, but not yet its end: whoever answers then gets no more. */
static void an_answer_at_the_last_piece_is_the_answer(void **state)
{
    (void)state;
    open_upload();
    app.on_piece = answer_in_time;
    ask(UP(LENGTH(3), "abc"));
    assert_answer(200, "abc");
    assert_int_equal(app.ends, 0);
    stage_close();
}

static int fail_now(pf_http_request *request)
{
    (void)request;
    return -EIO;
}

static void an_error_from_on_body_is_a_500(void **state)
{
    (void)state;
    open_upload();
    app.on_piece = fail_now;
    ask(UP(LENGTH(10), "abc"));
    assert_answer(500, "Internal Server Error\r\n");
    assert_true(has(CLOSES));
    assert_closed();
    assert_int_equal(stage.logged.lines, 1);
    app.on_piece = NULL;
    app.on_end = fail_now;
    stage_reconnect();
    ask(UP(LENGTH(3), "abc") UP(LENGTH(3), "abc"));
    assert_answer(500, "Internal Server Error\r\n");
    assert_answer(500, "Internal Server Error\r\n");
    assert_open();
    assert_int_equal(stage.logged.lines, 3);
    stage_close();
}

static int respond_and_fail(pf_http_request *request)
{
    assert_int_equal(respond_body(request), 0);
    return -EIO;
}

static void an_error_behind_the_answer_is_a_line(void **state)
{
    (void)state;
    open_upload();
    app.on_end = respond_and_fail;
    ask(UP(LENGTH(3), "abc"));
    assert_answer(200, "abc");
    assert_open();
    assert_int_equal(stage.logged.lines, 1);
    stage_close();
}

/* An answer may begin while the body comes: an echo. */
static int write_body(pf_http_request *request)
{
    int err = pf_http_write(request, app.body, app.len);
    app.len = 0;
    return err;
}

static int finish(pf_http_request *request)
{
    return pf_http_finish(request);
}

static void a_body_may_be_answered_while_it_comes(void **state)
{
    (void)state;
    open_upload();
    app.on_piece = write_body;
    app.on_end = finish;
    ask(UP(LENGTH(6), "abc"));
    hear();
    assert_non_null(strstr(stage.heard.bytes, "3\r\nabc\r\n"));
    ask("def");
    assert_answer(200, "abcdef");
    /* It was not known then that the body would end. */
    assert_true(has(CLOSES));
    assert_closed();
    stage_close();
}

/* ---- limits ---------------------------------------------------------------------- */

static void a_route_has_its_own_limit(void **state)
{
    (void)state;
    open_upload();
    ask("POST /small HTTP/1.1\r\nHost: a\r\n" LENGTH(10) "\r\n0123456789");
    assert_answer(200, "0123456789");
    ask("POST /small HTTP/1.1\r\nHost: a\r\n" LENGTH(11) "\r\n0123456789a");
    next_answer(413);
    assert_closed();
    assert_int_equal(app.begun, 1);
    stage_reconnect();
    ask(UP(LENGTH(11), "0123456789a"));
    assert_answer(200, "0123456789a");
    ask(UP(LENGTH(4097), ""));
    next_answer(413);
    assert_closed();
    stage_close();
}

static void a_larger_limit_than_the_servers_holds(void **state)
{
    (void)state;
    static char much[8192];
    char head[128];
    memset(much, 'm', sizeof much);
    open_upload();
    snprintf(head, sizeof head,
             "POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
             100 * sizeof much);
    ask(head);
    for (int i = 0; i < 100; i++) {
        say_bytes(much, sizeof much);
        stage_turn();
    }
    hear_all();
    next_answer(200);
    assert_int_equal(stage.answer.len, 100 * sizeof much);
    assert_open();
    stage_close();
}

static void a_chunked_body_beyond_the_limit_is_refused_in_its_midst(void **state)
{
    (void)state;
    open_upload();
    ask("POST /small HTTP/1.1\r\nHost: a\r\n" CHUNKED "\r\n8\r\n01234567\r\n");
    assert_int_equal(app.len, 8);
    ask("3\r\n012\r\n0\r\n\r\n");
    next_answer(413);
    assert_true(has(CLOSES));
    assert_int_equal(app.gone, 1);
    assert_int_equal(app.last_reason, -EBADMSG);
    assert_int_equal(app.ends, 0);
    assert_int_equal(respond_body(app.request), -EPIPE);
    assert_null(stage.server->living);
    assert_closed();
    stage_close();
}

static void a_broken_body_is_refused_in_its_midst(void **state)
{
    (void)state;
    open_upload();
    ask(UP(CHUNKED, "3\r\nabc\r\nnonsense"));
    next_answer(400);
    assert_int_equal(app.last_reason, -EBADMSG);
    assert_int_equal(respond_body(app.request), -EPIPE);
    assert_closed();
    stage_reconnect();
    app.on_piece = write_body; /* behind the head of a response nothing can be said */
    ask(UP(CHUNKED, "3\r\nabc\r\n"));
    ask("nonsense");
    assert_cut();
    assert_int_equal(pf_http_finish(app.request), -EPIPE);
    stage_close();
}

static void a_body_that_stops_or_is_too_slow_is_a_408(void **state)
{
    (void)state;
    open_upload();
    ask(UP(LENGTH(100), "abc"));
    stage_advance(PF_HTTP_BODY_TIMEOUT_NS);
    hear();
    next_answer(408);
    assert_closed();
    assert_int_equal(app.last_reason, -EBADMSG);
    assert_int_equal(respond_body(app.request), -EPIPE);
    stage_reconnect();
    ask(UP(LENGTH(4000), "abc"));
    for (int i = 0; i < 5 && stage.heard.len == 0; i++) {
        stage_advance(PF_SECOND);
        ask("x");
    }
    assert_true(PF_HTTP_BODY_GRACE_NS == 5 * PF_SECOND);
    next_answer(408);
    assert_closed();
    assert_int_equal(respond_body(app.request), -EPIPE);
    stage_reconnect();
    app.begin = begin_paused; /* the application's pause is not the client's */
    ask(UP(LENGTH(3), "abc"));
    stage_advance(100 * PF_SECOND);
    app.on_piece = NULL;
    resume();
    hear();
    assert_answer(200, "abc");
    stage_close();
}

/* ---- clients that leave ---------------------------------------------------------- */

static void a_client_that_leaves_in_the_midst_is_told(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        open_upload();
        stage_reconnect_tcp();
        ask(UP(LENGTH(10), "abc"));
        if (reset)
            stage_reset();
        else
            stage_leave();
        assert_int_equal(app.gone, 1);
        assert_int_equal(app.last_reason, -ECONNRESET);
        assert_int_equal(app.ends, 0);
        assert_int_equal(pf_http_resume_body(app.request), 0);
        assert_int_equal(pf_http_pause_body(app.request), 0);
        assert_int_equal(respond_body(app.request), -EPIPE);
        assert_null(stage.server->living);
        stage_close();
    }
}

static int upload_blindly(pf_http_request *request)
{
    assert_int_equal(pf_http_on_gone(request, NULL, NULL), 0);
    return pf_http_on_body(request, on_body, &app);
}

static int drop_blindly(pf_http_request *request)
{
    return pf_http_on_gone(request, NULL, NULL);
}

/* Nobody asks to be told, and whoever would answer at the end will not be called. */
static void a_client_that_leaves_in_the_midst_leaves_nothing_behind(void **state)
{
    (void)state;
    int (*const begin[])(pf_http_request *) = {upload_blindly, drop_blindly};
    for (int i = 0; i < 2; i++) {
        open_upload();
        app.begin = begin[i];
        ask(UP(LENGTH(10), "abc"));
        assert_int_equal(app.begun, 1);
        stage_leave();
        assert_null(stage.server->living);
        assert_int_equal(app.gone + app.ends, 0);
        assert_int_equal(stage.observed.responses, 1);
        assert_int_equal(stage.observed.last_status, 400);
        stage_close();
    }
}

static int pause_blindly(pf_http_request *request)
{
    assert_int_equal(upload_blindly(request), 0);
    return pf_http_pause_body(request);
}

static int later_blindly(pf_http_request *request)
{
    assert_int_equal(upload_blindly(request), 0);
    return PF_HTTP_LATER;
}

/* Somebody else has the pointer. */
static void what_is_paused_or_for_later_waits_for_its_end(void **state)
{
    (void)state;
    int (*const begin[])(pf_http_request *) = {pause_blindly, later_blindly};
    for (int i = 0; i < 2; i++) {
        open_upload();
        app.begin = begin[i];
        stage_reconnect_tcp();
        ask(UP(LENGTH(10), "abc"));
        stage_reset();
        stage_advance(2 * PF_SECOND); /* a pause hears no reset before it looks */
        assert_ptr_equal(stage.server->living, app.request);
        assert_int_equal(respond_body(app.request), -EPIPE);
        assert_null(stage.server->living);
        stage_close();
    }
}

static void a_server_takes_a_body_with_it(void **state)
{
    (void)state;
    open_upload();
    ask(UP(LENGTH(10), "abc"));
    stage_close();
    assert_int_equal(app.gone, 1);
}

static void a_drain_waits_for_a_body(void **state)
{
    (void)state;
    open_upload();
    ask(UP(LENGTH(6), "abc"));
    assert_int_equal(pf_http_server_drain(stage.server), 0);
    stage_advance(PF_SECOND);
    assert_open();
    ask("def");
    assert_answer(200, "abcdef");
    assert_true(has(CLOSES));
    assert_closed();
    stage_close();
}

static void a_body_for_which_memory_is_short_is_refused(void **state)
{
    (void)state;
    pf_alloc_needed();
    for (int n = 1;; n++) {
        open_upload();
        ask(UP(LENGTH(1), "w"));
        assert_answer(200, "w");
        say(UP(LENGTH(6), "abc"));
        pf_alloc_fail(n);
        stage_turn();
        int allocated = pf_alloc_stop();
        hear();
        if (allocated < n) {
            assert_true(n > 1);
            ask("def");
            assert_answer(200, "abcdef");
            stage_close();
            return;
        }
        next_answer(503);
        assert_closed();
        assert_null(stage.server->living);
        stage_close();
    }
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(a_body_is_handed_over_as_it_comes),
        pf_test(bodies_of_both_kinds_may_come_in_any_pieces),
        pf_test(a_body_nobody_asked_for_is_dropped),
        pf_test(a_handler_that_forgets_is_a_500_at_the_end),
        pf_test(the_end_may_be_answered_later),
        pf_test(a_waiting_client_is_told_to_go_on),
        pf_test(a_waiting_client_that_is_refused_is_not_told_to_go_on),
        pf_test(other_routes_collect),
        pf_test(nothing_is_handed_over_during_a_pause),
        pf_test(the_end_waits_for_a_pause_too),
        pf_test(a_handler_may_pause_before_the_first_byte),
        pf_test(a_pause_stops_the_client),
        pf_test(a_pause_that_is_over_at_once_is_none),
        pf_test(a_paused_body_of_a_client_that_half_closes_is_whole),
        pf_test(a_paused_body_that_will_never_be_whole_is_cut_when_it_goes_on),
        pf_test(an_early_answer_reaches_a_client_that_goes_on_sending),
        pf_test(an_answer_at_the_last_piece_is_the_answer),
        pf_test(an_error_from_on_body_is_a_500),
        pf_test(an_error_behind_the_answer_is_a_line),
        pf_test(a_body_may_be_answered_while_it_comes),
        pf_test(a_route_has_its_own_limit),
        pf_test(a_larger_limit_than_the_servers_holds),
        pf_test(a_chunked_body_beyond_the_limit_is_refused_in_its_midst),
        pf_test(a_broken_body_is_refused_in_its_midst),
        pf_test(a_body_that_stops_or_is_too_slow_is_a_408),
        pf_test(a_client_that_leaves_in_the_midst_is_told),
        pf_test(a_client_that_leaves_in_the_midst_leaves_nothing_behind),
        pf_test(what_is_paused_or_for_later_waits_for_its_end),
        pf_test(a_server_takes_a_body_with_it),
        pf_test(a_drain_waits_for_a_body),
        pf_test(a_body_for_which_memory_is_short_is_refused),
    };
    return cmocka_run_group_tests_name("http_body", tests, NULL, NULL);
}
