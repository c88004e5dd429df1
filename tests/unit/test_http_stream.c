/*
 * Responses in pieces, with back-pressure, and from files.
 */
#include "tests/lib/stage.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE (64 * 1024)

static struct {
    pf_http_request *request; /* the last one */
    int (*script)(pf_http_request *request);
    int result;
    int writable; /* on_writable was called */
    size_t taken; /* bytes that were queued */
    char piece[PIECE];
} app;

static int handle(pf_http_request *request, void *arg)
{
    (void)arg;
    app.request = request;
    return app.script ? app.script(request) : PF_HTTP_LATER;
}

static void open_script(int (*script)(pf_http_request *request))
{
    memset(&app, 0, sizeof app);
    memset(app.piece, 'p', sizeof app.piece);
    app.script = script;
    stage_serve(handle, 0);
}

/* ---- framing --------------------------------------------------------------------- */

static int write_twice(pf_http_request *request)
{
    assert_int_equal(pf_http_set_status(request, 201), 0);
    assert_int_equal(pf_http_set_field(request, "Content-Type", "text/x"), 0);
    assert_int_equal(pf_http_write(request, "hello, ", 7), 0);
    assert_int_equal(pf_http_write(request, "", 0), 0); /* no last chunk */
    assert_int_equal(pf_http_set_status(request, 200), -EALREADY);
    assert_int_equal(pf_http_set_field(request, "A", "b"), -EALREADY);
    assert_int_equal(pf_http_add_field(request, "A", "b"), -EALREADY);
    assert_int_equal(pf_http_set_length(request, 5), -EALREADY);
    assert_int_equal(pf_http_respond(request, 200, NULL, NULL, 0), -EALREADY);
    assert_int_equal(pf_http_respond_error(request, 500), -EALREADY);
    assert_int_equal(pf_http_redirect(request, 302, "/"), -EALREADY);
    assert_int_equal(pf_http_respond_file(request, NULL, dup(0), 0, 0), -EALREADY);
    assert_int_equal(pf_http_flush(request), 0); /* in vain */
    assert_int_equal(pf_http_write(request, "world", 5), 0);
    return pf_http_finish(request);
}

static void a_body_of_unknown_length_is_chunked(void **state)
{
    (void)state;
    open_script(write_twice);
    ask(GET("/") GET("/"));
    for (int i = 0; i < 2; i++) {
        assert_answer(201, "hello, world");
        assert_true(has("\r\nTransfer-Encoding: chunked\r\n"));
        assert_true(has("\r\nContent-Type: text/x\r\n"));
    }
    assert_open();
    stage_close();
}

static void to_an_old_client_it_ends_with_the_connection(void **state)
{
    (void)state;
    open_script(write_twice);
    ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_answer(201, "hello, world");
    assert_false(has("Transfer-Encoding"));
    assert_true(has(CLOSES));
    assert_closed();
    stage_close();
}

static void head_gets_the_head_of_a_streamed_answer(void **state)
{
    (void)state;
    open_script(write_twice);
    ask(HEAD("/") HEAD("/"));
    next_head(201);
    next_head(201);
    assert_true(has("\r\nTransfer-Encoding: chunked\r\n"));
    assert_open();
    stage_close();
}

static int write_length(pf_http_request *request)
{
    assert_int_equal(pf_http_set_length(request, 10), 0);
    assert_int_equal(pf_http_write(request, "01234567890", 11), -EMSGSIZE);
    assert_int_equal(pf_http_write(request, "01234", 5), 0);
    assert_int_equal(pf_http_write(request, "567890", 6), -EMSGSIZE);
    assert_int_equal(pf_http_write(request, "56789", 5), 0);
    assert_int_equal(pf_http_write(request, "x", 1), -EMSGSIZE);
    return pf_http_finish(request);
}

static void an_announced_length_is_kept_to(void **state)
{
    (void)state;
    open_script(write_length);
    ask(GET("/") "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" HEAD("/"));
    assert_answer(200, "0123456789");
    assert_true(has("\r\nContent-Length: 10\r\n"));
    assert_false(has("chunked"));
    assert_answer(200, "0123456789");
    assert_true(has("\r\nConnection: keep-alive\r\n"));
    next_head(200);
    assert_true(has("\r\nContent-Length: 10\r\n"));
    assert_open();
    stage_close();
}

static int write_too_little(pf_http_request *request)
{
    assert_int_equal(pf_http_set_length(request, 10), 0);
    assert_int_equal(pf_http_write(request, "01234", 5), 0);
    return pf_http_finish(request);
}

static void too_little_is_cut_so_that_the_client_notices(void **state)
{
    (void)state;
    open_script(write_too_little);
    ask(GET("/") GET("/"));
    assert_true(stage.heard.len == 0 || !strstr(stage.heard.bytes + 20, "HTTP/1.1"));
    assert_cut();
    assert_int_equal(stage.observed.responses, 1);
    stage_close();
}

static int finish_only(pf_http_request *request)
{
    if (app.result)
        assert_int_equal(pf_http_set_status(request, app.result), 0);
    return pf_http_finish(request);
}

static void a_finish_alone_is_an_empty_answer(void **state)
{
    (void)state;
    open_script(finish_only);
    ask(GET("/"));
    assert_answer(200, "");
    assert_true(has("\r\nContent-Length: 0\r\n"));
    app.result = 404;
    ask(GET("/"));
    assert_answer(404, "");
    assert_open();
    stage_close();
}

static int write_with_status(pf_http_request *request)
{
    assert_int_equal(pf_http_set_status(request, app.result), 0);
    assert_int_equal(pf_http_write(request, "body", 4), 0);
    return pf_http_finish(request);
}

static void a_status_without_a_body_has_none(void **state)
{
    (void)state;
    static const int statuses[] = {204, 304, 205};
    open_script(write_with_status);
    for (int i = 0; i < 3; i++) {
        app.result = statuses[i];
        ask(GET("/"));
        next_head(statuses[i]);
        assert_false(has("chunked"));
        assert_true(has("Content-Length: 0\r\n") == (statuses[i] == 205));
        assert_open();
        ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        next_head(statuses[i]);
        assert_true(has("\r\nConnection: keep-alive\r\n"));
        assert_open();
    }
    stage_close();
}

static void the_head_can_be_sent_ahead(void **state)
{
    (void)state;
    open_script(NULL);
    ask(GET("/") GET("/"));
    assert_int_equal(pf_http_flush(app.request), 0);
    hear();
    assert_non_null(strstr(stage.heard.bytes, "\r\n\r\n"));
    size_t head = stage.heard.len;
    assert_int_equal(pf_http_write(app.request, "ab", 2), 0);
    hear();
    assert_int_equal(stage.heard.len, head + 7);
    assert_string_equal(stage.heard.bytes + head, "2\r\nab\r\n");
    app.script = finish_only;
    assert_int_equal(pf_http_finish(app.request), 0);
    stage_turn();
    hear();
    assert_answer(200, "ab");
    assert_answer(200, "");
    assert_open();
    stage_close();
}

static void pieces_of_every_size_arrive(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 15, 16, 8191, 8192, 8193, 65535, PIECE};
    open_script(NULL);
    ask(GET("/"));
    size_t sum = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(pf_http_write(app.request, app.piece, sizes[i]), 0);
        sum += sizes[i];
        hear_all();
    }
    assert_int_equal(pf_http_finish(app.request), 0);
    hear_all();
    next_answer(200);
    assert_int_equal(stage.answer.len, sum);
    assert_open();
    stage_close();
}

static char large[PF_HTTP_RESPONSE_BODY_MAX + 1];

static int write_at_once(pf_http_request *request)
{
    assert_int_equal(pf_http_write(request, large, sizeof large), -EMSGSIZE);
    assert_int_equal(pf_http_write(request, large, SIZE_MAX), -EMSGSIZE);
    assert_int_equal(pf_http_write(request, large, sizeof large - 1), 0);
    return pf_http_finish(request);
}

static void the_largest_piece_arrives(void **state)
{
    (void)state;
    open_script(write_at_once);
    ask(GET("/") GET("/"));
    hear_all();
    for (int i = 0; i < 2; i++) {
        next_answer(200);
        assert_int_equal(stage.answer.len, sizeof large - 1);
    }
    assert_open();
    stage_close();
}

static int abort_now(pf_http_request *request)
{
    if (app.result)
        assert_int_equal(pf_http_write(request, "x", 1), 0);
    assert_int_equal(pf_http_abort(request), 0);
    return 0;
}

static void an_abort_cuts(void **state)
{
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        open_script(abort_now);
        app.result = begun;
        ask(GET("/") GET("/"));
        assert_cut();
        assert_int_equal(stage.logged.lines, 0);
        stage_close();
        open_script(NULL); /* and later */
        ask(GET("/") GET("/"));
        if (begun)
            assert_int_equal(pf_http_write(app.request, "x", 1), 0);
        assert_int_equal(pf_http_abort(app.request), 0);
        stage_turn();
        hear();
        assert_cut();
        assert_int_equal(stage.observed.responses, 1);
        stage_close();
    }
}

static int abort_the_second(pf_http_request *request)
{
    if (app.result++ == 0)
        return pf_http_respond(request, 200, "text/plain", "first", 5);
    assert_int_equal(pf_http_write(request, "x", 1), 0);
    return pf_http_abort(request);
}

static void an_abort_leaves_the_answers_before_it(void **state)
{
    (void)state;
    open_script(abort_the_second);
    ask(GET("/") GET("/"));
    assert_answer(200, "first");
    assert_cut();
    stage_close();
}

/* Nothing else tells this body's end from its being cut off. */
static void an_abort_resets_where_the_end_of_the_connection_is_that_of_the_body(
    void **state)
{
    (void)state;
    open_script(NULL);
    stage_reconnect_tcp();
    ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_int_equal(pf_http_write(app.request, "x", 1), 0);
    stage_turn();
    hear();
    assert_int_equal(pf_http_abort(app.request), 0);
    stage_turn();
    hear();
    assert_int_equal(stage.heard.error, ECONNRESET);
    assert_cut();
    stage_close();
}

static int answer_at_once(pf_http_request *request)
{
    return pf_http_respond(request, 200, "text/plain", "ok", 2);
}

static void a_route_that_streams_what_has_no_body_keeps_the_connection(void **state)
{
    (void)state;
    memset(&app, 0, sizeof app);
    app.script = answer_at_once;
    stage_serve(handle, PF_HTTP_STREAM);
    for (int i = 0; i < 2; i++) {
        ask(GET("/") GET("/"));
        assert_answer(200, "ok");
        assert_answer(200, "ok");
        assert_open();
    }
    ask(POST("/", "Content-Length: 0", ""));
    assert_answer(200, "ok");
    assert_open();
    ask(POST("/", "Content-Length: 2", "ab"));
    assert_answer(200, "ok");
    assert_closed(); /* its body was not wanted */
    stage_close();
}

static void a_response_that_a_drain_finds_begun_does_not_hold_it_up(void **state)
{
    (void)state;
    open_script(NULL);
    ask(GET("/"));
    assert_int_equal(pf_http_write(app.request, "ab", 2), 0);
    stage_turn();
    assert_int_equal(pf_http_server_drain(stage.server), 0);
    assert_int_equal(pf_http_finish(app.request), 0);
    stage_turn();
    hear();
    assert_answer(200, "ab");
    assert_open();
    stage_advance(PF_HTTP_LAME_NS);
    hear();
    assert_closed();
    stage_close();
}

static void a_client_that_half_closes_gets_the_rest_of_a_stream_and_its_end(void **state)
{
    (void)state;
    open_script(NULL);
    ask(GET("/"));
    assert_int_equal(pf_http_write(app.request, "ab", 2), 0);
    shutdown(stage.client, SHUT_WR);
    stage_turn();
    assert_int_equal(pf_http_write(app.request, "cd", 2), 0);
    assert_int_equal(pf_http_finish(app.request), 0);
    stage_turn();
    hear();
    assert_answer(200, "abcd");
    assert_closed();
    stage_close();
}

/* ---- back-pressure --------------------------------------------------------------- */

static void on_writable(pf_http_request *request, void *arg)
{
    assert_ptr_equal(arg, &app);
    assert_ptr_equal(request, app.request);
    assert_false(pf_http_blocked(request));
    app.writable++;
}

/* Until no more is taken. */
static void fill(size_t piece)
{
    int err;
    while ((err = pf_http_write(app.request, app.piece, piece)) == 0)
        app.taken += piece;
    assert_int_equal(err, -ENOBUFS);
}

static void a_stream_waits_for_its_reader(void **state)
{
    (void)state;
    open_script(NULL);
    ask(GET("/"));
    assert_false(pf_http_blocked(app.request));
    fill(PIECE);
    assert_true(app.taken >= 1024 * 1024);
    assert_true(pf_http_blocked(app.request));
    assert_int_equal(pf_http_on_writable(app.request, on_writable, &app), 0);
    stage_turn();
    assert_int_equal(app.writable, 0);
    hear_all();
    assert_int_equal(app.writable, 1);
    fill(PIECE); /* again, and nobody is to be told */
    hear_all();
    assert_int_equal(app.writable, 1);
    assert_int_equal(pf_http_on_writable(app.request, on_writable, &app), 0);
    assert_int_equal(app.writable,
                     1); /* never inside the call, though nothing is blocked */
    stage_turn();
    assert_int_equal(app.writable, 2);
    stage_turn();
    assert_int_equal(app.writable, 2);
    assert_int_equal(pf_http_on_writable(app.request, on_writable, &app), 0);
    assert_int_equal(pf_http_on_writable(app.request, NULL, NULL), 0);
    stage_turn();
    assert_int_equal(app.writable, 2);
    assert_int_equal(pf_http_finish(app.request), 0);
    hear_all();
    next_answer(200);
    assert_int_equal(stage.answer.len, app.taken);
    assert_open();
    stage_close();
}

static void pump(pf_http_request *request, void *arg)
{
    (void)arg;
    if (app.taken == 100 * sizeof app.piece) {
        assert_int_equal(pf_http_finish(request), 0);
        return;
    }
    assert_int_equal(pf_http_write(request, app.piece, sizeof app.piece), 0);
    app.taken += sizeof app.piece;
    assert_int_equal(pf_http_on_writable(request, pump, NULL), 0);
}

static int pump_later(pf_http_request *request)
{
    pump(request, NULL);
    return PF_HTTP_LATER;
}

/* Whether a piece is taken at once is nothing that its writer has to know. */
static void a_stream_may_wait_after_each_piece(void **state)
{
    (void)state;
    open_script(pump_later);
    ask(GET("/"));
    hear_all();
    next_answer(200);
    assert_int_equal(stage.answer.len, 100 * sizeof app.piece);
    assert_open();
    stage_close();
}

static int wait_and_fail(pf_http_request *request)
{
    assert_int_equal(pf_http_on_writable(request, on_writable, &app), 0);
    assert_int_equal(shutdown(pf_conn_fd(request->conn), SHUT_RDWR), 0);
    app.result = pf_http_write(request, app.piece, sizeof app.piece);
    for (int i = 0; i < 100 && app.result == 0; i++)
        app.result = pf_http_write(request, app.piece, sizeof app.piece);
    return PF_HTTP_LATER;
}

/* It waits for the next turn, and so does the news that its client has gone. */
static void a_stream_that_breaks_while_it_waits_is_not_writable(void **state)
{
    (void)state;
    open_script(wait_and_fail);
    ask(GET("/"));
    assert_int_equal(app.result, -EPIPE);
    stage_turn();
    assert_int_equal(app.writable, 0);
    assert_int_equal(pf_http_finish(app.request), -EPIPE);
    assert_null(stage.server->living);
    stage_close();
}

/* What is full to the last byte has room for its end. */
static void a_full_stream_can_be_finished(void **state)
{
    (void)state;
    open_script(NULL);
    ask(GET("/"));
    fill(PIECE);
    fill(100);
    fill(1);
    assert_int_equal(pf_http_finish(app.request), 0);
    hear_all();
    next_answer(200);
    assert_int_equal(stage.answer.len, app.taken);
    assert_open();
    stage_close();
}

static void finish_when_writable(pf_http_request *request, void *arg)
{
    (void)arg;
    app.writable++;
    assert_int_equal(pf_http_finish(request), 0);
}

static void on_writable_may_finish_and_the_next_is_read(void **state)
{
    (void)state;
    open_script(NULL);
    ask(GET("/") GET("/"));
    app.script = write_length;
    fill(PIECE);
    assert_int_equal(pf_http_on_writable(app.request, finish_when_writable, NULL), 0);
    hear_all();
    assert_int_equal(app.writable, 1);
    next_answer(200);
    assert_int_equal(stage.answer.len, app.taken);
    assert_answer(200, "0123456789");
    assert_open();
    stage_close();
}

static void a_blocked_stream_may_be_finished_and_arrives_whole(void **state)
{
    (void)state;
    open_script(NULL);
    ask(GET("/") GET("/"));
    app.script = write_length;
    fill(PIECE);
    assert_int_equal(pf_http_finish(app.request), 0);
    stage_turn();
    assert_int_equal(stage.observed.responses, 1); /* the next waits for the reader */
    hear_all();
    next_answer(200);
    assert_int_equal(stage.answer.len, app.taken);
    assert_answer(200, "0123456789");
    assert_open();
    stage_close();
}

static void a_reader_that_leaves_ends_a_blocked_stream(void **state)
{
    (void)state;
    open_script(NULL);
    stage_reconnect_tcp();
    ask(GET("/"));
    fill(PIECE);
    assert_int_equal(pf_http_on_writable(app.request, on_writable, &app), 0);
    stage_reset();
    assert_int_equal(pf_http_server_connections(stage.server), 0);
    assert_int_equal(app.writable, 0);
    assert_int_equal(pf_http_on_writable(app.request, on_writable, &app), -EPIPE);
    assert_int_equal(pf_http_finish(app.request), -EPIPE);
    assert_null(stage.server->living);
    stage_close();
}

static void a_reader_that_never_reads_is_cut(void **state)
{
    (void)state;
    open_script(NULL);
    ask(GET("/"));
    fill(PIECE);
    stage_advance(PF_CONN_STALL_NS);
    assert_int_equal(pf_http_server_connections(stage.server), 0);
    assert_int_equal(pf_http_finish(app.request), -EPIPE);
    stage_close();
}

/* ---- files ----------------------------------------------------------------------- */

#define FILE_LEN (3 * 1024 * 1024 + 7)

static int file_of_test;
static struct {
    uint64_t offset, len;
    int status;
    const char *type;
} part;

static char byte_at(size_t at)
{
    return (char)('a' + at % 23);
}

static void make_file(void)
{
    char *bytes = malloc(FILE_LEN);
    assert_non_null(bytes);
    for (size_t i = 0; i < FILE_LEN; i++)
        bytes[i] = byte_at(i);
    file_of_test = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(file_of_test >= 0);
    assert_int_equal(write(file_of_test, bytes, FILE_LEN), FILE_LEN);
    free(bytes);
}

static int respond_part(pf_http_request *request)
{
    int fd = fcntl(file_of_test, F_DUPFD_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (part.status)
        assert_int_equal(pf_http_set_status(request, part.status), 0);
    app.result = pf_http_respond_file(request, part.type, fd, part.offset, part.len);
    return app.result;
}

static void open_file(uint64_t offset, uint64_t len)
{
    make_file();
    part.offset = offset;
    part.len = len;
    part.status = 0;
    part.type = "text/x";
    open_script(respond_part);
}

static void close_file(void)
{
    close(file_of_test);
    stage_close();
}

static void assert_part(int status, size_t offset, size_t len)
{
    next_answer(status);
    assert_int_equal(stage.answer.len, len);
    for (size_t i = 0; i < len; i++)
        if (stage.answer.body[i] != byte_at(offset + i))
            fail_msg("byte %zu differs", i);
}

static void a_file_is_sent_whole_or_in_part(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset, len;
    } rows[] = {
        {0, 1},        {5, 100},      {0, 65536}, {FILE_LEN - 1, 1}, {1, FILE_LEN - 1},
        {0, FILE_LEN}, {FILE_LEN, 0}, {0, 0}};
    open_file(0, 0);
    part.status = 206;
    int fds = pf_test_count_fds();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        part.offset = rows[i].offset;
        part.len = rows[i].len;
        say(GET("/"));
        hear_all();
        assert_part(206, rows[i].offset, rows[i].len);
        assert_true(has("\r\nContent-Type: text/x\r\n"));
        assert_open();
        assert_int_equal(pf_test_count_fds(), fds);
    }
    close_file();
}

static void a_file_over_tcp_to_a_slow_reader(void **state)
{
    (void)state;
    open_file(3, FILE_LEN - 3);
    stage_reconnect_tcp();
    int fds = pf_test_count_fds();
    say(GET("/"));
    stage_turn();
    assert_int_equal(pf_test_count_fds(), fds + 1); /* it is on its way */
    stage_turn_until((hear(), stage.heard.len > FILE_LEN));
    assert_part(200, 3, FILE_LEN - 3);
    assert_open();
    assert_int_equal(pf_test_count_fds(), fds);
    close_file();
}

static void requests_behind_a_file_wait_for_it(void **state)
{
    (void)state;
    open_file(0, FILE_LEN);
    say(GET("/") GET("/") HEAD("/") GET("/"));
    stage_turn();
    assert_int_equal(stage.observed.responses, 1);
    hear_all();
    assert_part(200, 0, FILE_LEN);
    assert_part(200, 0, FILE_LEN);
    next_head(200);
    assert_part(200, 0, FILE_LEN);
    assert_open();
    close_file();
}

static void head_and_statuses_without_a_body_send_nothing_of_a_file(void **state)
{
    (void)state;
    open_file(0, 100);
    ask(HEAD("/"));
    next_head(200);
    assert_true(has("\r\nContent-Length: 100\r\n"));
    assert_open();
    part.status = 304;
    ask(GET("/"));
    next_head(304);
    assert_open();
    close_file();
}

static void an_old_client_gets_a_file_with_its_length(void **state)
{
    (void)state;
    open_file(0, 100);
    ask("GET / HTTP/1.0\r\n\r\n");
    assert_part(200, 0, 100);
    assert_true(has("\r\nContent-Length: 100\r\n"));
    assert_closed();
    close_file();
}

static void a_file_that_is_too_short_cuts(void **state)
{
    (void)state;
    open_file(FILE_LEN - 10, 20);
    int fds = pf_test_count_fds();
    ask(GET("/") GET("/"));
    assert_cut();
    assert_int_equal(pf_test_count_fds(), fds - 2); /* both ends of the connection */
    stage_reconnect();
    part.offset = 0; /* and one that becomes so meanwhile */
    part.len = FILE_LEN;
    ask(GET("/"));
    assert_int_equal(ftruncate(file_of_test, 2 * 1024 * 1024), 0);
    hear_all();
    assert_true(stage.heard.len < FILE_LEN);
    assert_cut();
    close_file();
}

static void a_client_that_leaves_closes_its_file(void **state)
{
    (void)state;
    open_file(0, FILE_LEN);
    stage_reconnect_tcp();
    int fds = pf_test_count_fds();
    ask(GET("/"));
    assert_int_equal(pf_test_count_fds(), fds + 1);
    stage_reset();
    assert_int_equal(pf_test_count_fds(), fds - 2);
    stage_reconnect();
    ask(GET("/")); /* and one who reads never */
    stage_advance(PF_CONN_STALL_NS);
    assert_int_equal(pf_http_server_connections(stage.server), 0);
    stage_reconnect();
    ask(GET("/")); /* and the server's end; the fixture counts */
    close_file();
}

static int respond_in_vain(pf_http_request *request)
{
    static char long_type[PF_HTTP_CONTENT_TYPE_MAX + 2];
    memset(long_type, 'x', sizeof long_type - 1);
    int fds = pf_test_count_fds();
    assert_int_equal(pf_http_respond_file(request, "a\r\nb", dup(0), 0, 1), -EINVAL);
    assert_int_equal(pf_http_respond_file(request, long_type, dup(0), 0, 1), -EINVAL);
    assert_int_equal(pf_http_respond_file(request, NULL, dup(0), UINT64_MAX, 1), -EINVAL);
    assert_int_equal(pf_http_respond_file(request, NULL, dup(0), 0, UINT64_MAX), -EINVAL);
    assert_int_equal(pf_http_respond_file(request, NULL, dup(0), INT64_MAX, 1), -EINVAL);
    assert_int_equal(pf_test_count_fds(), fds);
    assert_int_equal(pf_http_respond(request, 200, NULL, NULL, 0), 0);
    assert_int_equal(pf_http_respond_file(request, NULL, dup(0), 0, 1), -EALREADY);
    assert_int_equal(pf_test_count_fds(), fds);
    return 0;
}

static void a_file_is_closed_whatever_is_answered(void **state)
{
    (void)state;
    open_script(respond_in_vain);
    ask(GET("/"));
    assert_answer(200, "");
    assert_open();
    stage_close();
}

static void a_file_is_sent_later_too_and_drains(void **state)
{
    (void)state;
    open_file(0, FILE_LEN);
    app.script = NULL;
    ask(GET("/") GET("/"));
    assert_int_equal(respond_part(app.request), 0);
    stage_turn();
    assert_int_equal(pf_http_server_drain(stage.server), 0);
    app.script = respond_part;
    hear_all();
    assert_part(200, 0, FILE_LEN);
    assert_part(200, 0, FILE_LEN);
    assert_true(has(CLOSES));
    assert_closed();
    close_file();
}

/* ---- when memory is short -------------------------------------------------------- */

static void run_out_of_memory(const char *request, int (*script)(pf_http_request *),
                              int max)
{
    for (int n = 1;; n++) {
        open_script(script);
        ask("GET / HTTP/1.1\r\nHost: a\r\nX: warm\r\n\r\n");
        hear_all();
        next_answer(200);
        int fds = pf_test_count_fds();
        say(request);
        pf_alloc_fail(n);
        stage_turn();
        int allocated = pf_alloc_stop();
        hear_all();
        if (allocated < n) {
            next_answer(200);
            assert_open();
            assert_true(n > 1);
            stage_close();
            return;
        }
        assert_true(n <= max);
        if (!stage.heard.ended && !stage.heard.error) { /* a whole answer, or a cut */
            next_answer(500);
            assert_open();
            assert_int_equal(pf_test_count_fds(), fds);
        } else {
            assert_cut();
        }
        stage_close();
    }
}

static int write_large(pf_http_request *request)
{
    int err = pf_http_write(request, app.piece, PIECE);
    if (err)
        return err;
    return pf_http_finish(request);
}

static int respond_with_fields(pf_http_request *request)
{
    int err = pf_http_set_field(request, "A", "b");
    if (!err)
        err = pf_http_add_field(request, "B", "c");
    if (!err)
        err = respond_part(request);
    return err;
}

static void a_stream_or_file_for_which_memory_is_short_is_a_500_or_cut(void **state)
{
    (void)state;
    pf_alloc_needed();
    run_out_of_memory(GET("/"), write_large, 10);
    make_file();
    part.status = 0;
    part.offset = 0;
    part.len = FILE_LEN;
    run_out_of_memory(GET("/"), respond_part, 10);
    run_out_of_memory(GET("/"), respond_with_fields, 10);
    close(file_of_test);
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(a_body_of_unknown_length_is_chunked),
        pf_test(to_an_old_client_it_ends_with_the_connection),
        pf_test(head_gets_the_head_of_a_streamed_answer),
        pf_test(an_announced_length_is_kept_to),
        pf_test(too_little_is_cut_so_that_the_client_notices),
        pf_test(a_finish_alone_is_an_empty_answer),
        pf_test(a_status_without_a_body_has_none),
        pf_test(the_head_can_be_sent_ahead),
        pf_test(pieces_of_every_size_arrive),
        pf_test(the_largest_piece_arrives),
        pf_test(an_abort_cuts),
        pf_test(an_abort_leaves_the_answers_before_it),
        pf_test(an_abort_resets_where_the_end_of_the_connection_is_that_of_the_body),
        pf_test(a_route_that_streams_what_has_no_body_keeps_the_connection),
        pf_test(a_response_that_a_drain_finds_begun_does_not_hold_it_up),
        pf_test(a_client_that_half_closes_gets_the_rest_of_a_stream_and_its_end),
        pf_test(a_stream_waits_for_its_reader),
        pf_test(a_stream_may_wait_after_each_piece),
        pf_test(a_stream_that_breaks_while_it_waits_is_not_writable),
        pf_test(a_full_stream_can_be_finished),
        pf_test(on_writable_may_finish_and_the_next_is_read),
        pf_test(a_blocked_stream_may_be_finished_and_arrives_whole),
        pf_test(a_reader_that_leaves_ends_a_blocked_stream),
        pf_test(a_reader_that_never_reads_is_cut),
        pf_test(a_file_is_sent_whole_or_in_part),
        pf_test(a_file_over_tcp_to_a_slow_reader),
        pf_test(requests_behind_a_file_wait_for_it),
        pf_test(head_and_statuses_without_a_body_send_nothing_of_a_file),
        pf_test(an_old_client_gets_a_file_with_its_length),
        pf_test(a_file_that_is_too_short_cuts),
        pf_test(a_client_that_leaves_closes_its_file),
        pf_test(a_file_is_closed_whatever_is_answered),
        pf_test(a_file_is_sent_later_too_and_drains),
        pf_test(a_stream_or_file_for_which_memory_is_short_is_a_500_or_cut),
    };
    return cmocka_run_group_tests_name("http_stream", tests, NULL, NULL);
}
