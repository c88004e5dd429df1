/*
 * Handlers that block: on threads, while others are served.
 */
#include "tests/lib/stage.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int (*work)(pf_http_request *request);
    pthread_t owner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int running, done; /* under the lock */
    bool may_end;
    int gone;
} app = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int block(pf_http_request *request, void *arg)
{
    (void)arg;
    assert_false(pthread_equal(pthread_self(), app.owner));
    int result = app.work(request);
    pthread_mutex_lock(&app.lock);
    app.done++;
    pthread_mutex_unlock(&app.lock);
    return result;
}

static int quick(pf_http_request *request, void *arg)
{
    (void)arg;
    assert_true(pthread_equal(pthread_self(), app.owner));
    return pf_http_respond(request, 200, "text/plain", "quick", 5);
}

static void on_gone(pf_http_request *request, int reason, void *arg)
{
    (void)request, (void)reason, (void)arg;
    app.gone++;
}

/* Sees each request first, on the loop's thread. */
static int before(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_on_gone(request, on_gone, NULL);
}

static const struct pf_http_route routes[] = {
    {.path = "/block/{n}", .handler = block, .flags = PF_HTTP_BLOCKING},
    {.path = "/quick", .handler = quick},
    {0}};
static const struct pf_http_middleware middleware[] = {{.before = before}, {0}};

static void open_blocking(int (*work)(pf_http_request *request))
{
    app.work = work;
    app.owner = pthread_self();
    app.running = app.done = app.gone = 0;
    app.may_end = false;
    stage_open(&(struct pf_http_server_options){
        .routes = routes, .middleware = middleware, .threads = 2});
}

static bool is_running(int count)
{
    pthread_mutex_lock(&app.lock);
    bool is = app.running == count;
    pthread_mutex_unlock(&app.lock);
    return is;
}

static void let_go(void)
{
    pthread_mutex_lock(&app.lock);
    app.may_end = true;
    pthread_cond_broadcast(&app.changed);
    pthread_mutex_unlock(&app.lock);
}

/* Blocks until let_go(). */
static void wait_for_end(void)
{
    pthread_mutex_lock(&app.lock);
    app.running++;
    while (!app.may_end)
        pthread_cond_wait(&app.changed, &app.lock);
    pthread_mutex_unlock(&app.lock);
}

static int respond_number(pf_http_request *request)
{
    char text[32];
    int len = pf_http_get_capture(request, "n", text, sizeof text);
    return len < 0 ? len : pf_http_respond(request, 200, "text/plain", text, (size_t)len);
}

static int wait_and_respond(pf_http_request *request)
{
    wait_for_end();
    return respond_number(request);
}

#define heard_answers(count) (hear(), stage.observed.responses == (count))

/* ---- on a thread ----------------------------------------------------------------- */

static void others_are_served_while_one_blocks(void **state)
{
    (void)state;
    open_blocking(wait_and_respond);
    say(GET("/block/1"));
    stage_turn_until(is_running(1));
    int blocked = stage.client;
    stage.client = -1;
    stage_reconnect();
    ask(GET("/quick"));
    assert_answer(200, "quick");
    stage_leave();
    stage.client = blocked;
    hear();
    assert_nothing();
    let_go();
    stage_turn_until(heard_answers(2));
    assert_answer(200, "1");
    ask(GET("/quick"));
    assert_answer(200, "quick");
    stage_close();
}

static void requests_behind_a_blocking_one_keep_their_order(void **state)
{
    (void)state;
    open_blocking(respond_number);
    say(GET("/block/1") GET("/quick") GET("/block/2") GET("/block/3") GET("/quick"));
    stage_turn_until(heard_answers(5));
    assert_answer(200, "1");
    assert_answer(200, "quick");
    assert_answer(200, "2");
    assert_answer(200, "3");
    assert_answer(200, "quick");
    assert_open();
    stage_close();
}

static int look_at_all(pf_http_request *request)
{
    char text[32];
    size_t len;
    pf_http_get_method(request, &len);
    assert_int_equal(len, 4);
    pf_http_get_path(request, &len);
    assert_int_equal(len, 8);
    assert_int_equal(pf_http_get_argument(request, "a", text, sizeof text), 1);
    assert_int_equal(pf_http_get_cookie(request, "k", text, sizeof text), 1);
    assert_string_equal(text, "v");
    assert_memory_equal(pf_http_get_body(request, &len), "body", 4);
    assert_int_equal(len, 4);
    assert_string_equal(pf_http_get_remote_address(request), "unix");
    assert_int_equal(pf_http_get_number(request), 1);
    assert_ptr_equal(pf_http_get_loop(request), stage.loop);
    assert_int_equal(pf_http_set_field(request, "X", "1"), 0);
    assert_int_equal(pf_http_set_field(request, "x", "2"), 0);
    assert_int_equal(pf_http_set_field(request, "y", "\r\n"), -EINVAL);
    const struct pf_http_cookie cookie = {.name = "c", .value = "d"};
    assert_int_equal(pf_http_set_cookie(request, &cookie), 0);
    assert_int_equal(pf_http_respond_json(request, 201, "{}", 2), 0);
    assert_int_equal(pf_http_respond(request, 200, NULL, NULL, 0), -EALREADY);
    assert_int_equal(pf_http_respond_error(request, 500), -EALREADY);
    assert_int_equal(pf_http_respond_file(request, NULL, dup(0), 0, 0), -EALREADY);
    return 0;
}

static void a_blocking_handler_looks_at_its_request_and_builds_the_response(void **state)
{
    (void)state;
    open_blocking(look_at_all);
    say("POST /block/1?a=b HTTP/1.1\r\nHost: a\r\nCookie: k=v\r\nContent-Length: 4\r\n\r\n"
        "body");
    stage_turn_until(heard_answers(1));
    assert_answer(201, "{}");
    assert_true(has("\r\nx: 2\r\n"));
    assert_false(has("\r\nX: 1\r\n"));
    assert_true(has("\r\nSet-Cookie: c=d\r\n"));
    assert_true(has("\r\nContent-Type: application/json\r\n"));
    assert_open();
    stage_close();
}

static int stream_in_vain(pf_http_request *request)
{
    assert_int_equal(pf_http_write(request, "x", 1), -EPERM);
    assert_int_equal(pf_http_flush(request), -EPERM);
    assert_int_equal(pf_http_set_length(request, 1), -EPERM);
    assert_int_equal(pf_http_finish(request), -EPERM);
    assert_int_equal(pf_http_abort(request), -EPERM);
    assert_false(pf_http_blocked(request));
    return respond_number(request);
}

static void a_blocking_handler_cannot_stream(void **state)
{
    (void)state;
    open_blocking(stream_in_vain);
    say(GET("/block/1"));
    stage_turn_until(heard_answers(1));
    assert_answer(200, "1");
    stage_close();
}

static int respond_error(pf_http_request *request)
{
    return pf_http_respond_error(request, 404);
}

static int respond_redirect(pf_http_request *request)
{
    return pf_http_redirect(request, 303, "/elsewhere");
}

static int respond_empty_error(pf_http_request *request)
{
    return pf_http_respond(request, 404, NULL, NULL, 0);
}

static int respond_file(pf_http_request *request)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    assert_int_equal(pf_http_set_status(request, 206), 0);
    return pf_http_respond_file(request, "text/x", fd, 3, 4);
}

static void a_blocking_handler_answers_in_every_way(void **state)
{
    (void)state;
    open_blocking(respond_error);
    say(GET("/block/1"));
    stage_turn_until(heard_answers(1));
    assert_answer(404, "Not Found\r\n");
    app.work = respond_redirect;
    say(GET("/block/1"));
    stage_turn_until(heard_answers(2));
    assert_answer(303, "");
    assert_true(has("\r\nLocation: /elsewhere\r\n"));
    app.work = respond_file;
    say(GET("/block/1"));
    stage_turn_until(heard_answers(3));
    assert_answer(206, "3456");
    assert_true(has("\r\nContent-Type: text/x\r\n"));
    app.work = respond_empty_error;
    say(GET("/block/1"));
    stage_turn_until(heard_answers(4));
    assert_answer(404, "");
    assert_open();
    stage_close();
}

static int result;

static int return_result(pf_http_request *request)
{
    (void)request;
    return result;
}

static int respond_and_fail(pf_http_request *request)
{
    assert_int_equal(respond_number(request), 0);
    return -EIO;
}

static void a_blocking_handler_that_fails_or_forgets_is_a_500(void **state)
{
    (void)state;
    static const int results[] = {-EIO, 0, PF_HTTP_LATER};
    open_blocking(return_result);
    for (int i = 0; i < 3; i++) {
        result = results[i];
        say(GET("/block/1"));
        stage_turn_until(heard_answers(i + 1));
        assert_answer(500, "Internal Server Error\r\n");
        assert_int_equal(stage.logged.lines, i + 1);
    }
    app.work = respond_and_fail; /* what it has built is dropped with it */
    say(GET("/block/1"));
    stage_turn_until(heard_answers(4));
    assert_answer(500, "Internal Server Error\r\n");
    assert_open();
    stage_close();
}

static int respond_too_much(pf_http_request *request)
{
    static char much[PF_HTTP_RESPONSE_BODY_MAX + 1];
    assert_int_equal(pf_http_respond(request, 200, "a", much, sizeof much), -ENOBUFS);
    assert_int_equal(pf_http_respond(request, 100, NULL, NULL, 0), -EINVAL);
    assert_int_equal(pf_http_respond(request, 200, "a\n", "", 1), -EINVAL);
    return pf_http_respond(request, 200, "a/b", much, sizeof much - 1);
}

static void a_large_answer_of_a_blocking_handler_arrives(void **state)
{
    (void)state;
    open_blocking(respond_too_much);
    say(GET("/block/1"));
    stage_turn_until(heard_answers(1));
    hear_all();
    next_answer(200);
    assert_int_equal(stage.answer.len, PF_HTTP_RESPONSE_BODY_MAX);
    assert_open();
    stage_close();
}

/* ---- ends ------------------------------------------------------------------------ */

static void a_client_that_leaves_meanwhile_is_no_harm(void **state)
{
    (void)state;
    open_blocking(wait_and_respond);
    stage_reconnect_tcp();
    say(GET("/block/1"));
    stage_turn_until(is_running(1));
    stage_reset();
    assert_int_equal(pf_http_server_connections(stage.server), 0);
    assert_int_equal(app.gone, 0); /* the request is the thread's */
    let_go();
    stage_turn_until(stage.observed.responses == 1);
    assert_null(stage.server->living);
    assert_int_equal(stage.logged.lines, 0);
    stage_close();
}

static int wait_and_respond_file(pf_http_request *request)
{
    wait_for_end();
    return respond_file(request);
}

static void a_client_that_leaves_meanwhile_costs_no_descriptor(void **state)
{
    (void)state;
    open_blocking(wait_and_respond_file);
    stage_reconnect_tcp();
    say(GET("/block/1"));
    stage_turn_until(is_running(1));
    stage_reset();
    let_go();
    stage_turn_until(stage.observed.responses == 1);
    stage_close(); /* the fixture counts */
}

static void a_client_that_half_closes_gets_its_answer(void **state)
{
    (void)state;
    open_blocking(wait_and_respond);
    say(GET("/block/1") GET("/quick"));
    stage_turn_until(is_running(1));
    shutdown(stage.client, SHUT_WR);
    stage_turn();
    let_go();
    stage_turn_until(heard_answers(2));
    stage_turn();
    hear();
    assert_answer(200, "1");
    assert_answer(200, "quick");
    assert_closed();
    stage_close();
}

static void *let_go_soon(void *arg)
{
    (void)arg;
    let_go();
    return NULL;
}

/* It waits for what runs; what waits for a thread is dropped; the loop lives on. */
static void a_server_that_is_freed_waits_for_what_runs(void **state)
{
    (void)state;
    static const struct {
        int (*work)(pf_http_request *request);
    } rows[] = {{wait_and_respond}, {wait_and_respond_file}};
    for (int i = 0; i < 2; i++) {
        open_blocking(rows[i].work);
        int clients[3];
        for (int c = 0; c < 3; c++) {
            say(GET("/block/1"));
            stage_turn();
            clients[c] = stage.client;
            stage.client = -1;
            stage_reconnect();
        }
        stage_turn_until(is_running(2)); /* threads */
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, let_go_soon, NULL), 0);
        pf_http_server_free(stage.server);
        stage.server = NULL;
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(app.done, app.running); /* two, or the third was quick */
        stage_turn(); /* what the threads have posted finds nothing to touch */
        for (int c = 0; c < 3; c++)
            close(clients[c]);
        stage_close();
    }
}

/* Its result is on its way to the loop when the server goes. */
static void a_server_may_be_freed_with_a_result_on_its_way(void **state)
{
    (void)state;
    open_blocking(respond_number);
    say(GET("/block/1"));
    stage_turn_until((pthread_mutex_lock(&app.lock), result = app.done,
                      pthread_mutex_unlock(&app.lock), result == 1));
    stage_close();
    open_blocking(wait_and_respond);
    say(GET("/block/1"));
    stage_turn_until(is_running(1));
    let_go();
    int64_t give_up = stage_real_time() + PF_TEST_DEADLINE_S * PF_SECOND;
    for (int done = 0; done == 0;) { /* the loop stands still */
        pthread_mutex_lock(&app.lock);
        done = app.done;
        pthread_mutex_unlock(&app.lock);
        assert_true(stage_real_time() < give_up);
    }
    pf_http_server_free(stage.server);
    stage.server = NULL;
    stage_turn();
    stage_close();
}

static void use_in_child(void *arg)
{
    (void)arg;
    pf_http_server_free(stage.server);
    pf_loop_discard(stage.loop);
}

static void a_child_frees_a_server_whose_handler_runs(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    open_blocking(wait_and_respond);
    say(GET("/block/1"));
    stage_turn_until(is_running(1));
    pf_test_in_child(use_in_child, NULL);
    let_go();
    stage_turn_until(heard_answers(1));
    assert_answer(200, "1");
    assert_open();
    stage_close();
}

static void a_drain_waits_for_a_blocking_handler(void **state)
{
    (void)state;
    open_blocking(wait_and_respond);
    say(GET("/block/1"));
    stage_turn_until(is_running(1));
    assert_int_equal(pf_http_server_drain(stage.server), 0);
    stage_turn();
    assert_int_equal(pf_http_server_connections(stage.server), 1);
    let_go();
    stage_turn_until(heard_answers(1));
    stage_turn();
    hear();
    assert_answer(200, "1");
    assert_true(has(CLOSES));
    assert_closed();
    stage_close();
}

static void a_blocking_request_for_which_memory_is_short_is_a_500(void **state)
{
    (void)state;
    pf_alloc_needed();
    int failed = 0;
    for (int n = 1;; n++) {
        open_blocking(wait_and_respond);
        ask(GET("/quick"));
        assert_answer(200, "quick");
        int occupied[2]; /* both threads: what fails has not begun */
        for (int i = 0; i < 2; i++) {
            say(GET("/block/9"));
            stage_turn_until(is_running(i + 1));
            occupied[i] = stage.client;
            stage.client = -1;
            stage_reconnect();
        }
        app.work = respond_number;
        say(GET("/block/1"));
        pf_alloc_fail(n);
        stage_turn();
        int allocated = pf_alloc_stop();
        let_go();
        stage_turn_until(heard_answers(4));
        for (int i = 0; i < 2; i++)
            close(occupied[i]);
        stage_turn();
        if (allocated < n) {
            assert_answer(200, "1");
            assert_open();
            stage_close();
            break;
        }
        failed++;
        next_answer(n == 1 ? 503 : 500); /* there was not even a request to be had */
        stage_close();
    }
    assert_true(failed >= 3);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(others_are_served_while_one_blocks),
        pf_test(requests_behind_a_blocking_one_keep_their_order),
        pf_test(a_blocking_handler_looks_at_its_request_and_builds_the_response),
        pf_test(a_blocking_handler_cannot_stream),
        pf_test(a_blocking_handler_answers_in_every_way),
        pf_test(a_blocking_handler_that_fails_or_forgets_is_a_500),
        pf_test(a_large_answer_of_a_blocking_handler_arrives),
        pf_test(a_client_that_leaves_meanwhile_is_no_harm),
        pf_test(a_client_that_leaves_meanwhile_costs_no_descriptor),
        pf_test(a_client_that_half_closes_gets_its_answer),
        pf_test(a_server_that_is_freed_waits_for_what_runs),
        pf_test(a_server_may_be_freed_with_a_result_on_its_way),
        pf_test(a_child_frees_a_server_whose_handler_runs),
        pf_test(a_drain_waits_for_a_blocking_handler),
        pf_test(a_blocking_request_for_which_memory_is_short_is_a_500),
    };
    return cmocka_run_group_tests_name("http_blocking", tests, NULL, NULL);
}
