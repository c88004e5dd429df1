/*
 * Forms with files, handed over as they come: whole, byte by byte, cut at every place, and
 * ended by all that may end them.
 */
#include "tests/lib/stage.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TYPE     "Content-Type: multipart/form-data; boundary=xyz\r\n"
#define FIELD(n) "--xyz\r\nContent-Disposition: form-data; name=\"" n "\"\r\n\r\n"
#define FILE_PART(n, f)                                                                    \
    "--xyz\r\nContent-Disposition: form-data; name=\"" n "\"; filename=\"" f "\"\r\n"
#define END    "\r\n--xyz--\r\n"
#define PLAIN  "Content-Type: text/plain\r\n\r\n"
#define A_FILE FILE_PART("doc", "a.txt") PLAIN

static struct {
    char told[4096]; /* what the functions below were told */
    size_t len;
    int open_fd; /* -1, or what files are written to */
    int destroyed, refused;
    int field_result, file_result, data_result, end_result;
    int respond_in; /* the function, by its letter, that answers 403 */
    int gone;
    bool watches; /* pf_http_on_gone() */
} app;

static void tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    app.len +=
        (size_t)vsnprintf(app.told + app.len, sizeof app.told - app.len, format, args);
    va_end(args);
    assert_true(app.len < sizeof app.told);
}

static void maybe_respond(pf_http_request *request, int where)
{
    if (app.respond_in == where)
        assert_int_equal(pf_http_respond(request, 403, "text/plain", "no", 2), 0);
}

static int on_field(pf_http_request *request, const struct pf_http_part *part,
                    const char *value, void *arg)
{
    assert_ptr_equal(arg, &app);
    assert_null(part->filename);
    assert_int_equal(value[part->size], '\0');
    tell("%s=%s;", part->name, value);
    maybe_respond(request, 'f');
    return app.field_result;
}

static int on_file(pf_http_request *request, struct pf_http_part *part, void *arg)
{
    assert_ptr_equal(arg, &app);
    assert_int_equal(part->fd, -1);
    assert_null(part->data);
    tell("%s=%s(%s)", part->name, part->filename, part->content_type);
    part->fd = app.open_fd;
    part->data = &app;
    maybe_respond(request, 'b');
    return app.file_result;
}

static int on_data(pf_http_request *request, const struct pf_http_part *part,
                   const void *data, size_t len, void *arg)
{
    assert_ptr_equal(arg, &app);
    assert_ptr_equal(part->data, &app);
    assert_true(len > 0);
    tell("%.*s", (int)len, (const char *)data);
    maybe_respond(request, 'd');
    return app.data_result;
}

static int on_file_end(pf_http_request *request, const struct pf_http_part *part, int err,
                       void *arg)
{
    assert_ptr_equal(arg, &app);
    tell("[%d:%d];", (int)part->size, err);
    maybe_respond(request, 'e');
    return app.end_result;
}

static int on_complete(pf_http_request *request, void *arg)
{
    assert_ptr_equal(arg, &app);
    return pf_http_respond(request, 200, "text/plain", app.told, app.len);
}

static void destroy(void *arg)
{
    assert_ptr_equal(arg, &app);
    app.destroyed++;
}

static void on_gone(pf_http_request *request, int reason, void *arg)
{
    (void)arg;
    app.gone++;
    if (reason)
        assert_int_equal(pf_http_abort(request), -EPIPE);
}

static const struct pf_http_form form = {PF_HTTP_FORM,
                                         .on_field = on_field,
                                         .on_file = on_file,
                                         .on_data = on_data,
                                         .on_file_end = on_file_end,
                                         .on_complete = on_complete,
                                         .destroy = destroy,
                                         .parts_max = 3,
                                         .field_max = 10};

static int take_form(pf_http_request *request, void *arg)
{
    app.len = 0;
    app.told[0] = '\0';
    if (app.watches)
        (void)pf_http_on_gone(request, on_gone, NULL);
    int err = pf_http_on_form(request, arg ? arg : &form, &app);
    app.refused = err;
    if (err == -ENOTSUP)
        return pf_http_respond_error(request, 415);
    return err == -EBADMSG ? pf_http_respond_error(request, 400) : err;
}

static struct pf_http_form blind = {PF_HTTP_FORM, .on_complete = on_complete};

static const struct pf_http_route routes[] = {
    {.method = "POST", .path = "/form", .handler = take_form, .flags = PF_HTTP_STREAM},
    {.method = "POST",
     .path = "/blind",
     .handler = take_form,
     .arg = &blind,
     .flags = PF_HTTP_STREAM},
    {.method = "POST", .path = "/collected", .handler = take_form},
    {0}};

static void open_form(void)
{
    memset(&app, 0, sizeof app);
    app.open_fd = -1;
    stage_open(&(struct pf_http_server_options){.routes = routes});
}

static char message[8192];

/* A request with this body. */
static const char *post(const char *path, const char *body)
{
    snprintf(message, sizeof message,
             "POST %s HTTP/1.1\r\nHost: a\r\n" TYPE "Content-Length: %zu\r\n\r\n%s", path,
             strlen(body), body);
    return message;
}

static void assert_ended(int destroyed)
{
    assert_null(stage.server->living);
    assert_int_equal(app.destroyed, destroyed);
    assert_int_equal(stage.server->bodies, 0);
}

/* ---- what comes ------------------------------------------------------------------ */

static const char two_fields_and_a_file[] =
    FIELD("a") "1\r\n" A_FILE "hello\r\n-world\r\n" FIELD("b") END;
static const char as_told[] = "a=1;doc=a.txt(text/plain)hello\r\n-world[13:0];b=;";

static void fields_and_files_are_told_apart(void **state)
{
    (void)state;
    open_form();
    ask(post("/form", two_fields_and_a_file));
    assert_answer(200, as_told);
    assert_open();
    assert_ended(1);
    ask(post("/form", FIELD("a") "x\r\n" FILE_PART("f", "") "\r\n" END));
    assert_answer(200, "a=x;f=()[0:0];");
    ask(post("/form", "--xyz--\r\n"));
    assert_answer(200, "");
    assert_ended(3);
    stage_close();
}

static void a_form_may_come_in_any_pieces(void **state)
{
    (void)state;
    size_t len = strlen(post("/form", two_fields_and_a_file));
    open_form();
    for (size_t cut = 1; cut < len; cut++) {
        post("/form", two_fields_and_a_file);
        say_bytes(message, cut);
        stage_turn();
        ask(message + cut);
        assert_answer(200, as_told);
    }
    for (size_t i = 0; i < len; i++) {
        say_bytes(message + i, 1);
        stage_turn();
    }
    hear_all();
    assert_answer(200, as_told);
    ask("POST /form HTTP/1.1\r\nHost: a\r\n" TYPE "Transfer-Encoding: chunked\r\n\r\n");
    for (const char *p = two_fields_and_a_file; *p; p++) {
        char chunk[16];
        snprintf(chunk, sizeof chunk, "1\r\n%c\r\n", *p);
        ask(chunk);
    }
    ask("0\r\n\r\n");
    assert_answer(200, as_told);
    assert_open();
    stage_close();
}

static void what_nobody_asks_for_is_passed_over(void **state)
{
    (void)state;
    open_form();
    ask(post("/blind", two_fields_and_a_file));
    assert_answer(200, "");
    assert_open();
    assert_ended(0);
    stage_close();
}

static void a_file_may_be_written_as_it_comes(void **state)
{
    (void)state;
    char path[] = "/tmp/prefork-form-XXXXXX", text[32] = "";
    open_form();
    app.open_fd = mkostemp(path, O_CLOEXEC);
    assert_true(app.open_fd >= 0);
    ask(post("/form", A_FILE "hello\r\n-world" END));
    assert_answer(200, "doc=a.txt(text/plain)[13:0];");
    assert_int_equal(pread(app.open_fd, text, sizeof text, 0), 13);
    assert_string_equal(text, "hello\r\n-world");
    close(app.open_fd);
    unlink(path);
    stage_close();
}

static void a_disk_that_is_full_is_a_500_and_told(void **state)
{
    (void)state;
    open_form();
    app.open_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(app.open_fd >= 0);
    ask(post("/form", A_FILE "hello" END));
    next_answer(500);
    assert_closed();
    char expected[64];
    snprintf(expected, sizeof expected, "doc=a.txt(text/plain)[5:%d];", -ENOSPC);
    assert_string_equal(app.told, expected);
    assert_int_equal(stage.logged.lines, 1);
    assert_ended(1);
    close(app.open_fd);
    stage_close();
}

/* ---- what is refused ------------------------------------------------------------- */

static void what_is_beyond_a_limit_is_too_large(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        FIELD("a") "0123456789a" END,
        FIELD("a") "1\r\n" FIELD("b") "2\r\n" FIELD("c") "3\r\n" FIELD("d") "4" END,
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        open_form();
        ask(post("/form", bodies[i]));
        next_answer(413);
        assert_ended(1);
        stage_close();
    }
    open_form();
    ask(post("/form", FIELD("a") "0123456789" END));
    assert_answer(200, "a=0123456789;");
    stage_close();
}

static void what_is_no_form_is_refused(void **state)
{
    (void)state;
    open_form();
    ask(POST("/form", "Content-Type: text/plain\r\nContent-Length: 1", "x"));
    next_answer(415);
    assert_int_equal(app.refused, -ENOTSUP);
    stage_close();
    open_form();
    ask(POST("/form", "Content-Type: multipart/form-data\r\nContent-Length: 1", "x"));
    next_answer(400);
    assert_int_equal(app.refused, -EBADMSG);
    stage_close();
    open_form();
    ask(POST("/form", "Content-Length: 1", "x"));
    next_answer(415);
    stage_close();
    open_form();
    ask(post("/collected", two_fields_and_a_file));
    next_answer(500);
    assert_int_equal(app.refused, -EINVAL);
    assert_ended(0);
    stage_close();
}

/* A file that has begun is told that it is not whole. */
static void a_form_that_breaks_off_is_a_400(void **state)
{
    (void)state;
    static const struct {
        const char *body, *told;
    } rows[] = {
        {"", ""},
        {"--xyz", ""},
        {"--xyz\r\nnonsense\r\n\r\n" END, ""},
        {FIELD("a") "1", ""},
        {FIELD("a") "1\r\n--xyz\r\n", "a=1;"},
        {A_FILE "12", "doc=a.txt(text/plain)12[2:-125];"},
        {A_FILE "12\r\n--xyz!", "doc=a.txt(text/plain)12[2:0];"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_form();
        ask(post("/form", rows[i].body));
        next_answer(400);
        assert_string_equal(app.told, rows[i].told);
        assert_ended(1);
        stage_close();
    }
}

/* ---- what the application decides ------------------------------------------------- */

static void a_function_may_answer_early_and_hears_no_more(void **state)
{
    (void)state;
    static const struct {
        int where;
        const char *told;
    } rows[] = {
        {'f', "a=1;"},
        {'b', "a=1;doc=a.txt(text/plain)"},
        {'d', "a=1;doc=a.txt(text/plain)hello[5:-125];"},
        {'e', "a=1;doc=a.txt(text/plain)hello\r\n-world[13:0];"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_form();
        app.respond_in = rows[i].where;
        ask(post("/form", two_fields_and_a_file));
        assert_answer(403, "no");
        assert_string_equal(app.told, rows[i].told);
        assert_ended(1);
        stage_close();
    }
}

static void an_error_of_a_function_is_a_500(void **state)
{
    (void)state;
    int *const results[] = {&app.field_result, &app.file_result, &app.data_result,
                            &app.end_result};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        open_form();
        *results[i] = -EIO;
        ask(post("/form", two_fields_and_a_file));
        next_answer(500);
        assert_int_equal(stage.logged.lines, 1);
        assert_ended(1);
        stage_close();
    }
}

static void calls_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    assert_int_equal(pf_http_on_form(NULL, &form, NULL), -EINVAL);
}

/* ---- clients that leave ----------------------------------------------------------- */

static void a_client_that_leaves_ends_its_file(void **state)
{
    (void)state;
    for (int watches = 0; watches < 2; watches++) {
        open_form();
        app.watches = watches;
        stage_reconnect();
        size_t len = strlen(post("/form", A_FILE "hello and much more" END));
        say_bytes(message, len - sizeof(" more" END) + 1);
        stage_turn();
        assert_int_equal(app.destroyed, 0);
        stage_leave();
        stage_turn();
        assert_string_equal(app.told, "doc=a.txt(text/plain)hello and much[14:-125];");
        assert_int_equal(app.gone, watches);
        assert_ended(1);
        stage_close();
    }
}

static void a_server_may_go_amid_a_form(void **state)
{
    (void)state;
    open_form();
    size_t len = strlen(post("/form", A_FILE "hello" END));
    say_bytes(message, len - 3);
    stage_turn();
    stage_close();
    assert_int_equal(app.destroyed, 1);
}

static void a_form_for_which_memory_is_short_is_refused(void **state)
{
    (void)state;
    pf_alloc_needed();
    bool whole = false;
    for (int n = 1; !whole; n++) {
        open_form();
        say(post("/form", two_fields_and_a_file));
        pf_alloc_fail(n);
        stage_turn();
        whole = pf_alloc_stop() < n;
        hear_all();
        if (whole)
            assert_answer(200, as_told);
        assert_ended(app.refused == 0 && app.told[0] ? 1 : app.destroyed);
        stage_close();
    }
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(fields_and_files_are_told_apart),
        pf_test(a_form_may_come_in_any_pieces),
        pf_test(what_nobody_asks_for_is_passed_over),
        pf_test(a_file_may_be_written_as_it_comes),
        pf_test(a_disk_that_is_full_is_a_500_and_told),
        pf_test(what_is_beyond_a_limit_is_too_large),
        pf_test(what_is_no_form_is_refused),
        pf_test(a_form_that_breaks_off_is_a_400),
        pf_test(a_function_may_answer_early_and_hears_no_more),
        pf_test(an_error_of_a_function_is_a_500),
        pf_test(calls_that_make_no_sense_are_refused),
        pf_test(a_client_that_leaves_ends_its_file),
        pf_test(a_server_may_go_amid_a_form),
        pf_test(a_form_for_which_memory_is_short_is_refused),
    };
    return cmocka_run_group_tests_name("http_form", tests, NULL, NULL);
}
