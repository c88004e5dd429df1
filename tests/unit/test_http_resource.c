/*
 * Who answers: resources with their life cycle, middleware around all, hosts, patterns; and
 * the pages of errors.
 */
#include "tests/lib/stage.h"

#include "tests/lib/backend.h"

#include "http/regex.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

/* What happened, as text. */
static char story[512];
static size_t told;

static void tell(const char *what)
{
    told +=
        (size_t)snprintf(story + told, sizeof story - told, "%s%s", told ? " " : "", what);
    assert_true(told < sizeof story);
}

static void assert_story(const char *expected)
{
    assert_string_equal(story, expected);
    story[told = 0] = 0;
}

static int respond_text(pf_http_request *request, const char *text)
{
    return pf_http_respond(request, 200, "text/plain", text, strlen(text));
}

/* ---- a resource ------------------------------------------------------------------ */

static struct {
    int initialize, prepare, get; /* what they return */
    int page;                     /* the status write_error answers with; 0: nothing */
    bool prepare_answers;
    pf_http_request *request;
} now;

static int my_initialize(void *arg)
{
    tell("initialize");
    tell(arg);
    return now.initialize;
}

static int my_prepare(pf_http_request *request, void *arg)
{
    tell("prepare");
    assert_ptr_equal(pf_http_get_arg(request), arg);
    pf_http_set_data(request, &now);
    if (now.prepare_answers)
        assert_int_equal(respond_text(request, "prepared"), 0);
    return now.prepare;
}

static int my_get(pf_http_request *request, void *arg)
{
    tell("get");
    now.request = request;
    assert_ptr_equal(pf_http_get_data(request), &now);
    return now.get ? now.get : respond_text(request, arg);
}

static int my_head(pf_http_request *request, void *arg)
{
    (void)arg;
    tell("head");
    return respond_text(request, "head!");
}

static int my_post(pf_http_request *request, void *arg)
{
    (void)arg;
    tell("post");
    return respond_text(request, "posted");
}

static int my_put(pf_http_request *request, void *arg)
{
    (void)arg;
    tell("put");
    return pf_http_respond_error(request, 409);
}

static int my_delete(pf_http_request *request, void *arg)
{
    (void)arg;
    tell("delete");
    return pf_http_respond(request, 204, NULL, NULL, 0);
}

static int my_patch(pf_http_request *request, void *arg)
{
    (void)arg;
    tell("patch");
    return respond_text(request, "patched");
}

static int my_options(pf_http_request *request, void *arg)
{
    (void)arg;
    tell("options");
    return respond_text(request, "options!");
}

static void my_on_finish(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    (void)pf_http_get_path(request, &len);
    assert_true(len > 0);
    assert_int_equal(pf_http_respond(request, 200, NULL, NULL, 0), -EALREADY);
    tell("finish");
}

static void my_on_close(pf_http_request *request, int reason, void *arg)
{
    (void)request, (void)arg;
    assert_true(reason < 0);
    tell("close");
}

static void my_write_error(pf_http_request *request, int status, void *arg)
{
    (void)arg;
    char text[32];
    snprintf(text, sizeof text, "error-%d", status);
    tell(text);
    if (now.page)
        assert_int_equal(
            pf_http_respond(request, now.page, "text/plain", text, strlen(text)), 0);
}

static const struct pf_http_resource some = {.size = sizeof some,
                                             .initialize = my_initialize,
                                             .prepare = my_prepare,
                                             .get = my_get,
                                             .post = my_post,
                                             .put = my_put,
                                             .on_finish = my_on_finish,
                                             .on_connection_close = my_on_close,
                                             .write_error = my_write_error};
static const struct pf_http_resource full = {.size = sizeof full,
                                             .get = my_get,
                                             .prepare = my_prepare,
                                             .head = my_head,
                                             .post = my_post,
                                             .put = my_put,
                                             .patch = my_patch,
                                             .del = my_delete,
                                             .options = my_options};
static const struct pf_http_resource bare = {.size = sizeof bare, .post = my_post};

static char one[] = "one", two[] = "two";

static const struct pf_http_route resources[] = {
    {.path = "/one", .resource = &some, .arg = one},
    {.path = "/same", .resource = &some, .arg = one},
    {.path = "/two", .resource = &some, .arg = two},
    {.path = "/full", .resource = &full, .arg = one},
    {.path = "/bare", .resource = &bare},
    {0}};

static void open_resources(void)
{
    memset(&now, 0, sizeof now);
    story[told = 0] = 0;
    stage_open(&(struct pf_http_server_options){.routes = resources});
    assert_story("initialize one initialize two");
}

static void a_resource_is_prepared_called_and_finished(void **state)
{
    (void)state;
    open_resources();
    ask(GET("/one"));
    assert_answer(200, "one");
    assert_story("prepare get finish");
    ask(GET("/two"));
    assert_answer(200, "two");
    assert_story("prepare get finish");
    ask(HEAD("/same")); /* get's, without the body */
    next_head(200);
    assert_true(has("\r\nContent-Length: 3\r\n"));
    assert_story("prepare get finish");
    ask(POST("/one", "Content-Length: 0", ""));
    assert_answer(200, "posted");
    assert_story("prepare post finish");
    assert_open();
    stage_close();
}

static void every_method_has_its_function(void **state)
{
    (void)state;
    open_resources();
    ask(GET("/full") HEAD("/full"));
    assert_answer(200, "one");
    next_head(200);
    assert_true(has("\r\nContent-Length: 5\r\n"));
    ask("PUT /full HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        "PATCH /full HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        "DELETE /full HTTP/1.1\r\nHost: a\r\n\r\n"
        "OPTIONS /full HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_answer(409, "Conflict\r\n");
    assert_answer(200, "patched");
    next_head(204);
    assert_answer(200, "options!");
    assert_story("prepare get prepare head prepare put prepare patch prepare delete "
                 "prepare options");
    assert_open();
    stage_close();
}

static void a_method_without_a_function_is_a_405_that_says_which_there_are(void **state)
{
    (void)state;
    open_resources();
    ask("DELETE /one HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_answer(405, "Method Not Allowed\r\n");
    assert_true(has("\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"));
    assert_story("error-405");
    ask("OPTIONS /one HTTP/1.1\r\nHost: a\r\n\r\n");
    next_head(204);
    assert_true(has("\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"));
    ask(GET("/bare"));
    next_answer(405);
    assert_true(has("\r\nAllow: POST, OPTIONS\r\n"));
    ask(HEAD("/bare"));
    next_head(405);
    assert_story("");
    assert_open();
    stage_close();
}

static void on_error(pf_http_request *request, int status, void *arg);

/* Of the resource, though none of its functions is there; else of the application. */
static void a_405_may_have_a_page_and_keeps_its_field(void **state)
{
    (void)state;
    open_resources();
    now.page = 405;
    ask("DELETE /one HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_answer(405, "error-405");
    assert_true(has("\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"));
    assert_story("error-405");
    assert_open();
    stage_close();
    stage_open(&(struct pf_http_server_options){
        .routes = resources, .on_error = on_error, .on_error_arg = two});
    story[told = 0] = 0;
    ask(GET("/bare"));
    assert_answer(405, "page 405");
    assert_true(has("\r\nAllow: POST, OPTIONS\r\n"));
    ask("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_answer(405, "page 405");
    assert_true(has("\r\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"));
    assert_story("page 405 page 405");
    stage_close();
}

static void prepare_may_answer_or_fail(void **state)
{
    (void)state;
    open_resources();
    now.prepare_answers = true;
    ask(GET("/one"));
    assert_answer(200, "prepared");
    assert_story("prepare finish");
    now.prepare = -EIO; /* behind an answer */
    ask(GET("/one"));
    assert_answer(200, "prepared");
    assert_story("prepare finish");
    assert_int_equal(stage.logged.lines, 1);
    now.prepare_answers = false;
    ask(GET("/one"));
    assert_answer(500, "Internal Server Error\r\n");
    assert_story("prepare error-500 finish");
    assert_int_equal(stage.logged.lines, 2);
    assert_open();
    stage_close();
}

static void a_resource_writes_its_own_errors(void **state)
{
    (void)state;
    open_resources();
    now.page = 418;
    now.get = -EIO;
    ask(GET("/one"));
    assert_answer(418, "error-500");
    assert_story("prepare get error-500 finish");
    ask("PUT /one HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_answer(418, "error-409");
    assert_story("prepare put error-409 finish");
    now.page = 0; /* it does not care: the standard one */
    ask(GET("/one"));
    assert_answer(500, "Internal Server Error\r\n");
    assert_open();
    stage_close();
}

static void the_end_of_a_connection_is_told_before_the_requests(void **state)
{
    (void)state;
    open_resources();
    stage_reconnect_tcp();
    now.get = PF_HTTP_LATER;
    ask(GET("/one"));
    stage_reset();
    assert_story("prepare get close");
    assert_int_equal(respond_text(now.request, "x"), -EPIPE);
    assert_story("finish");
    stage_reconnect(); /* a half-closed client is not gone */
    ask(GET("/one"));
    shutdown(stage.client, SHUT_WR);
    stage_turn();
    assert_int_equal(respond_text(now.request, "x"), 0);
    assert_story("prepare get finish");
    stage_close();
}

static void an_initialize_that_fails_is_the_servers_failure(void **state)
{
    (void)state;
    static const int rows[][2] = {{-EIO, -EIO}, {ENOMEM, -ENOMEM}, {1, -EPERM}};
    pf_http_server *server = NULL;
    open_resources();
    for (int i = 0; i < 3; i++) {
        now.initialize = rows[i][0];
        assert_int_equal(
            pf_http_server_new(
                stage.loop, &(struct pf_http_server_options){.routes = resources}, &server),
            rows[i][1]);
        assert_null(server);
        assert_story("initialize one");
    }
    stage_close();
}

/* ---- middleware ------------------------------------------------------------------ */

static struct {
    int result[2];
    bool answers[2];
} before;
static int handler_result;

static int before_of(pf_http_request *request, int n)
{
    tell(n ? "before2" : "before1");
    if (before.answers[n])
        assert_int_equal(respond_text(request, "before"), 0);
    return before.result[n];
}

static int before1(pf_http_request *request, void *arg)
{
    assert_ptr_equal(arg, one);
    return before_of(request, 0);
}

static int before2(pf_http_request *request, void *arg)
{
    (void)arg;
    return before_of(request, 1);
}

static void tell_after(const char *who, int status)
{
    char text[32];
    snprintf(text, sizeof text, "%s-%d", who, status);
    tell(text);
}

static void after1(pf_http_request *request, int status, void *arg)
{
    assert_int_equal(pf_http_respond(request, 200, NULL, NULL, 0), -EALREADY);
    assert_ptr_equal(arg, one);
    tell_after("after1", status);
}

static void after2(pf_http_request *request, int status, void *arg)
{
    (void)request, (void)arg;
    tell_after("after2", status);
}

static void after3(pf_http_request *request, int status, void *arg)
{
    (void)request, (void)arg;
    tell_after("after3", status);
}

static const struct pf_http_middleware middleware[] = {
    {.before = before1, .after = after1, .arg = one},
    {.before = before2, .after = after2},
    {.after = after3},
    {0}};

static int before_body1(pf_http_request *request, void *arg)
{
    size_t len;
    assert_ptr_equal(arg, one);
    assert_null(pf_http_get_body(request, &len));
    tell("body1");
    if (before.answers[0])
        assert_int_equal(respond_text(request, "refused"), 0);
    return before.result[0];
}

static int before_body2(pf_http_request *request, void *arg)
{
    (void)request, (void)arg;
    tell("body2");
    return before.result[1];
}

static const struct pf_http_middleware guards[] = {
    {.before_body = before_body1, .after = after1, .arg = one},
    {.before = before2, .after = after2, .before_body = before_body2},
    {.before = before1, .arg = one},
    {0}};

static int handler(pf_http_request *request, void *arg)
{
    (void)arg;
    tell("handler");
    now.request = request;
    return handler_result ? handler_result : respond_text(request, "handled");
}

static void on_error(pf_http_request *request, int status, void *arg)
{
    assert_ptr_equal(arg, two);
    char text[32];
    int len = snprintf(text, sizeof text, "page %d", status);
    tell(text);
    if (now.page)
        assert_int_equal(pf_http_respond(request, now.page, "text/html", text, (size_t)len),
                         0);
}

static const struct pf_http_route handled[] = {
    {.path = "/", .handler = handler},
    {.path = "/resource", .resource = &some, .arg = one},
    {0}};

static void open_middleware(void)
{
    memset(&now, 0, sizeof now);
    memset(&before, 0, sizeof before);
    handler_result = 0;
    stage_open(&(struct pf_http_server_options){.routes = handled,
                                                .middleware = middleware,
                                                .on_error = on_error,
                                                .on_error_arg = two});
    story[told = 0] = 0;
}

static void middleware_is_around_every_handler(void **state)
{
    (void)state;
    open_middleware();
    ask(GET("/"));
    assert_answer(200, "handled");
    assert_story("before1 before2 handler after3-200 after2-200 after1-200");
    ask(GET("/resource"));
    assert_answer(200, "one");
    assert_story("before1 before2 prepare get finish after3-200 after2-200 after1-200");
    ask(GET("/nothing"));
    assert_answer(404, "Not Found\r\n");
    assert_story("before1 before2 page 404 after3-404 after2-404 after1-404");
    assert_open();
    stage_close();
}

static void middleware_may_answer_for_all_behind_it(void **state)
{
    (void)state;
    open_middleware();
    before.answers[0] = true;
    ask(GET("/"));
    assert_answer(200, "before");
    assert_story("before1 after1-200");
    before.answers[0] = false;
    before.answers[1] = true;
    ask(GET("/nothing"));
    assert_answer(200, "before");
    assert_story("before1 before2 after2-200 after1-200");
    assert_open();
    stage_close();
}

static void middleware_that_fails_is_a_500(void **state)
{
    (void)state;
    open_middleware();
    before.result[0] = -EIO;
    ask(GET("/"));
    assert_answer(500, "Internal Server Error\r\n");
    assert_story("before1 page 500 after1-500");
    before.result[0] = 0;
    before.result[1] = -EIO;
    ask(GET("/"));
    assert_answer(500, "Internal Server Error\r\n");
    assert_story("before1 before2 page 500 after2-500 after1-500");
    assert_int_equal(stage.logged.lines, 2);
    assert_open();
    stage_close();
}

static void open_guards(void)
{
    memset(&now, 0, sizeof now);
    memset(&before, 0, sizeof before);
    handler_result = 0;
    stage_open(&(struct pf_http_server_options){.routes = handled, .middleware = guards});
    story[told = 0] = 0;
}

#define WAITS POST("/", "Expect: 100-continue\r\nContent-Length: 3", "")

static void middleware_is_asked_before_a_body_comes(void **state)
{
    (void)state;
    open_guards();
    ask(GET("/"));
    assert_answer(200, "handled");
    assert_story("before2 before1 handler after2-200 after1-200");
    ask(POST("/", "Content-Length: 3", "abc") POST("/", "Content-Length: 0", ""));
    assert_answer(200, "handled");
    assert_answer(200, "handled");
    assert_story("body1 body2 before2 before1 handler after2-200 after1-200 "
                 "before2 before1 handler after2-200 after1-200");
    ask(WAITS);
    next_head(100);
    assert_story("body1 body2");
    ask("abc");
    assert_answer(200, "handled");
    assert_story("before2 before1 handler after2-200 after1-200");
    assert_open();
    stage_close();
}

static void middleware_may_refuse_a_body_before_it_is_sent(void **state)
{
    (void)state;
    static const char *const said[] = {WAITS, POST("/", "Content-Length: 3", "abc"),
                                       POST("/", "Content-Length: 3", "a"),
                                       POST("/none", "Content-Length: 3", "")};
    open_guards();
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        before.answers[0] = true;
        ask(said[i]);
        assert_answer(200, "refused");
        assert_true(has(CLOSES));
        assert_closed();
        assert_story("body1 after1-200");
        before.answers[0] = false;
        before.result[1] = -EIO;
        stage_reconnect();
        ask(said[i]);
        assert_answer(500, "Internal Server Error\r\n");
        assert_closed();
        assert_story("body1 body2 after2-500 after1-500");
        before.result[1] = 0;
        stage_reconnect();
    }
    stage_close();
}

static void middleware_sees_later_answers_and_clients_that_left(void **state)
{
    (void)state;
    open_middleware();
    handler_result = PF_HTTP_LATER;
    ask(GET("/"));
    assert_story("before1 before2 handler");
    assert_int_equal(pf_http_set_status(now.request, 201), 0);
    assert_int_equal(pf_http_finish(now.request), 0);
    assert_story("after3-201 after2-201 after1-201");
    hear();
    assert_answer(201, "");
    stage_reconnect_tcp();
    ask(GET("/"));
    stage_reset();
    assert_story("before1 before2 handler");
    assert_int_equal(pf_http_finish(now.request), -EPIPE);
    assert_story("after3-200 after2-200 after1-200");
    handler_result = 0;
    stage_close();
}

static void middleware_sees_nothing_of_what_is_not_http(void **state)
{
    (void)state;
    open_middleware();
    ask("nonsense\r\n\r\n");
    next_answer(400);
    assert_story("");
    stage_close();
}

/* ---- pages ----------------------------------------------------------------------- */

static void the_application_has_its_own_pages(void **state)
{
    (void)state;
    open_middleware();
    now.page = 404;
    ask(GET("/nothing"));
    assert_answer(404, "page 404");
    assert_true(has("\r\nContent-Type: text/html\r\n"));
    handler_result = -EIO;
    now.page = 503;
    ask(GET("/"));
    assert_answer(503, "page 500");
    assert_story("before1 before2 page 404 after3-404 after2-404 after1-404 "
                 "before1 before2 handler page 500 after3-503 after2-503 after1-503");
    now.get = -EIO; /* a resource's go first */
    ask(GET("/resource"));
    assert_answer(503, "error-500");
    assert_open();
    handler_result = 0;
    stage_close();
}

static int sets_and_fails(pf_http_request *request, void *arg)
{
    (void)arg;
    assert_int_equal(pf_http_set_field(request, "X-Good", "yes"), 0);
    return -EIO;
}

static void pages_have_none_of_the_fields_meant_for_another_answer(void **state)
{
    (void)state;
    stage_serve(sets_and_fails, 0);
    ask(GET("/"));
    next_answer(500);
    assert_false(has("X-Good"));
    stage_close();
}

static int sets_and_refuses(pf_http_request *request, void *arg)
{
    (void)arg;
    static const char *const names[] = {"WWW-Authenticate",
                                        "Content-Security-Policy",
                                        "Vary",
                                        "content-encoding",
                                        "Content-Type",
                                        "ETag",
                                        "Last-Modified",
                                        "Accept-Ranges",
                                        "Cache-Control",
                                        "Expires"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(pf_http_set_field(request, names[i], "mine"), 0);
    return pf_http_respond_error(request, 401);
}

static void a_page_has_the_fields_that_are_not_about_a_body(void **state)
{
    (void)state;
    stage_serve(sets_and_refuses, 0);
    ask(GET("/"));
    next_answer(401);
    assert_true(has("\r\nWWW-Authenticate: mine\r\nContent-Security-Policy: mine\r\n"
                    "Vary: mine\r\n"));
    assert_true(has("\r\nContent-Type: text/plain\r\n"));
    int count = 0;
    for (const char *at = stage.answer.head; (at = strstr(at, ": mine")); at++)
        count++;
    assert_int_equal(count, 3);
    assert_open();
    stage_close();
}

static void page_fails(pf_http_request *request, int status, void *arg)
{
    (void)arg;
    tell("page");
    assert_int_equal(pf_http_respond_error(request, status), 0); /* the standard one */
}

static void a_page_may_ask_for_the_standard_one(void **state)
{
    (void)state;
    story[told = 0] = 0;
    stage_open(&(struct pf_http_server_options){.routes = handled, .on_error = page_fails});
    story[told = 0] = 0;
    ask(GET("/nothing"));
    assert_answer(404, "Not Found\r\n");
    assert_story("page");
    assert_open();
    stage_close();
}

/* ---- hosts ----------------------------------------------------------------------- */

static int respond_arg(pf_http_request *request, void *arg)
{
    return respond_text(request, arg);
}

static char any[] = "any", exact[] = "exact", star[] = "star", deep[] = "deep",
            six[] = "six";
static const struct pf_http_route hosts[] = {
    {.path = "/", .handler = respond_arg, .arg = any},
    {.path = "/only", .handler = respond_arg, .arg = exact, .host = "example.com"},
    {.path = "/", .handler = respond_arg, .arg = star, .host = "*.example.com"},
    {.path = "/", .handler = respond_arg, .arg = exact, .host = "example.com"},
    {.path = "/", .handler = respond_arg, .arg = deep, .host = "*.a.example.com"},
    {.path = "/", .handler = respond_arg, .arg = six, .host = "[::1]"},
    {0}};

static void a_route_may_be_for_one_host(void **state)
{
    (void)state;
    static const struct {
        const char *host, *answer;
    } rows[] = {{"example.com", "exact"},
                {"EXAMPLE.com:8080", "exact"},
                {"www.example.com", "star"},
                {"b.www.example.com:1", "star"},
                {"x.a.example.com", "deep"},
                {"a.example.com", "star"},
                {"xexample.com", "any"},
                {"example.org", "any"},
                {"example.com.evil", "any"},
                {"[::1]:80", "six"},
                {"[::1]", "six"},
                {"127.0.0.1:1", "any"},
                {".example.com", "star"}};
    char text[256];
    stage_open(&(struct pf_http_server_options){.routes = hosts});
    for (size_t i = 0; i + 1 < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].host);
        ask(text);
        assert_answer(200, rows[i].answer);
        snprintf(text, sizeof text, "GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n",
                 rows[i].host); /* which wins over the field */
        ask(text);
        assert_answer(200, rows[i].answer);
    }
    ask("GET /only HTTP/1.1\r\nHost: other\r\n\r\n");
    next_answer(404);
    ask("GET /only HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_answer(200, "exact");
    ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"); /* without any */
    assert_answer(200, "any");
    assert_open();
    stage_close();
}

/* ---- patterns -------------------------------------------------------------------- */

/* "name=text" or "name!errno" of every capture. */
static int captures(pf_http_request *request, void *arg)
{
    static const char *const names[] = {"id", "path", "1", "2"};
    char text[64], line[512];
    int at = snprintf(line, sizeof line, "%s", (const char *)arg);
    for (int i = 0; i < 4; i++) {
        int len = pf_http_get_capture(request, names[i], text, sizeof text);
        if (len >= 0)
            at += snprintf(line + at, sizeof line - (size_t)at, " %s=%.*s", names[i], len,
                           text);
        else if (len != -ENOENT)
            at += snprintf(line + at, sizeof line - (size_t)at, " %s!%d", names[i], -len);
    }
    return pf_http_respond(request, 200, "text/plain", line, (size_t)at);
}

static char user[] = "user", me[] = "me", files[] = "files", both[] = "both", re[] = "re";
static const struct pf_http_route patterns[] = {
    {.path = "/files/{path...}", .handler = captures, .arg = files},
    {.path = "/users/{id}", .handler = captures, .arg = user},
    {.path = "/users/me", .handler = captures, .arg = me},
    {.path = "/users/{id}/{path...}", .handler = captures, .arg = both},
    {0}};

static void captures_are_decoded_segments_and_rests(void **state)
{
    (void)state;
    static const struct {
        const char *path, *answer;
    } rows[] = {
        {"/users/7", "user id=7"},
        {"/users/a%20b+c", "user id=a b+c"},
        {"/users/a%2Fb", "user id=a/b"},
        {"/users/me", "me"},
        {"/users/mee?id=9", "user id=mee"},
        {"/users/%00", "user id!22"},
        {"/users/1/", "both id=1 path="},
        {"/users/me/x/y", "both id=me path=x/y"},
        {"/files/", "files path="},
        {"/files/a/b//c%21", "files path=a/b//c!"},
        {"/users/0123456789012345678901234567890123456789012345678901234567890123",
         "user id!105"},
        {"/users/012345678901234567890123456789012345678901234567890123456789012",
         "user id=012345678901234567890123456789012345678901234567890123456789012"},
        {"/users/", NULL},
        {"/users", NULL},
        {"/files", NULL},
        {"/users/1/2", "both id=1 path=2"},
    };
    char text[256];
    stage_open(&(struct pf_http_server_options){.routes = patterns});
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].path);
        ask(text);
        if (rows[i].answer)
            assert_answer(200, rows[i].answer);
        else
            next_answer(404);
    }
    assert_open();
    ask("GET /users/%zz HTTP/1.1\r\nHost: a\r\n\r\n");
    next_answer(400);
    stage_close();
}

static const struct pf_http_route expressions[] = {
    {.path = "/([a-z]+)/([0-9]*)", .handler = captures, .arg = re, .flags = PF_HTTP_REGEX},
    {.path = "/(.*)", .handler = captures, .arg = files, .flags = PF_HTTP_REGEX},
    {.path = "/users/{id}", .handler = captures, .arg = user},
    {0}};

static void regular_expressions_come_after_patterns_in_their_order(void **state)
{
    (void)state;
    struct pf__regex *regex;
    int err = pf__regex_new("a", NULL, 0, &regex);
    if (err == -ENOTSUP)
        skip();
    pf__regex_free(regex);
    stage_open(&(struct pf_http_server_options){.routes = expressions});
    ask(GET("/users/7") GET("/user/7") GET("/user/x") GET("/x/") GET("/a%20b/"));
    assert_answer(200, "user id=7");
    assert_answer(200, "re 1=user 2=7");
    assert_answer(200, "files 1=user/x");
    assert_answer(200, "re 1=x 2=");
    assert_answer(200, "files 1=a b/");
    assert_open();
    stage_close();
}

static void routes_that_are_wrong_are_told_in_words(void **state)
{
    (void)state;
    char why[128] = "";
    pf_http_server *server = NULL;
    const struct pf_http_route wrong[] = {
        {.path = "/a", .handler = handler}, {.path = "/a", .handler = handler}, {0}};
    stage_open(&(struct pf_http_server_options){.routes = handled});
    assert_int_equal(
        pf_http_server_new(stage.loop,
                           &(struct pf_http_server_options){
                               .routes = wrong, .error = why, .error_len = sizeof why},
                           &server),
        -EEXIST);
    assert_non_null(strstr(why, "/a"));
    const struct pf_http_route blocking[] = {
        {.path = "/b", .resource = &some, .flags = PF_HTTP_BLOCKING},
        {0},
        {.path = "/c", .handler = handler, .flags = PF_HTTP_BLOCKING | PF_HTTP_STREAM},
        {0}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            pf_http_server_new(stage.loop,
                               &(struct pf_http_server_options){.routes = &blocking[2 * i],
                                                                .error = why,
                                                                .error_len = sizeof why},
                               &server),
            -EINVAL);
        assert_non_null(strstr(why, i ? "/c" : "/b"));
    }
    assert_null(server);
    stage_close();
}

/* ---- how long a connection lasts -------------------------------------------------- */

static void a_connection_ends_by_count(void **state)
{
    (void)state;
    stage_open(&(struct pf_http_server_options){.routes = handled, .requests_max = 3});
    ask(GET("/") GET("/") GET("/") GET("/"));
    for (int i = 1; i <= 3; i++) {
        assert_answer(200, "handled");
        assert_true(has(CLOSES) == (i == 3));
    }
    assert_closed();
    stage_close();
}

static void a_connection_ends_by_age(void **state)
{
    (void)state;
    stage_open(
        &(struct pf_http_server_options){.routes = handled, .age_max_ns = 100 * PF_SECOND});
    for (int i = 0; i < 2; i++) {
        ask(GET("/"));
        assert_answer(200, "handled");
        assert_false(has(CLOSES));
        stage_advance(50 * PF_SECOND);
    }
    ask(GET("/"));
    assert_answer(200, "handled");
    assert_true(has(CLOSES));
    assert_closed();
    stage_close();
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(a_resource_is_prepared_called_and_finished),
        pf_test(every_method_has_its_function),
        pf_test(a_method_without_a_function_is_a_405_that_says_which_there_are),
        pf_test(a_405_may_have_a_page_and_keeps_its_field),
        pf_test(prepare_may_answer_or_fail),
        pf_test(a_resource_writes_its_own_errors),
        pf_test(the_end_of_a_connection_is_told_before_the_requests),
        pf_test(an_initialize_that_fails_is_the_servers_failure),
        pf_test(middleware_is_around_every_handler),
        pf_test(middleware_may_answer_for_all_behind_it),
        pf_test(middleware_that_fails_is_a_500),
        pf_test(middleware_is_asked_before_a_body_comes),
        pf_test(middleware_may_refuse_a_body_before_it_is_sent),
        pf_test(middleware_sees_later_answers_and_clients_that_left),
        pf_test(middleware_sees_nothing_of_what_is_not_http),
        pf_test(the_application_has_its_own_pages),
        pf_test(pages_have_none_of_the_fields_meant_for_another_answer),
        pf_test(a_page_has_the_fields_that_are_not_about_a_body),
        pf_test(a_page_may_ask_for_the_standard_one),
        pf_test(a_route_may_be_for_one_host),
        pf_test(captures_are_decoded_segments_and_rests),
        pf_test(regular_expressions_come_after_patterns_in_their_order),
        pf_test(routes_that_are_wrong_are_told_in_words),
        pf_test(a_connection_ends_by_count),
        pf_test(a_connection_ends_by_age),
    };
    return cmocka_run_group_tests_name("http_resource", tests, NULL, NULL);
}
