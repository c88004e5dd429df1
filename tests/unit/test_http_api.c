/*
 * What a handler asks and answers at once: arguments, forms, cookies, fields, redirects,
 * errors; all that it might get wrong.
 */
#include "tests/lib/stage.h"

#include "tests/lib/alloc.h"
#include "tests/lib/backend.h"

#include "http/cookie.h"

#include <fcntl.h>
#include <stdio.h>

static int (*script)(pf_http_request *request);

static int handle(pf_http_request *request, void *arg)
{
    (void)arg;
    return script(request);
}

static void open_script(int (*fn)(pf_http_request *request))
{
    script = fn;
    stage_serve(handle, 0);
}

/* Run it once, over an answer without a body. */
static void run_script(int (*fn)(pf_http_request *request), const char *request)
{
    open_script(fn);
    ask(request);
    assert_answer(200, "");
    assert_open();
}

static int ok(pf_http_request *request)
{
    return pf_http_respond(request, 200, NULL, NULL, 0);
}

/* ---- what was asked -------------------------------------------------------------- */

typedef int get_fn(pf_http_request *request, const char *name, char *text, size_t size);

struct lookup {
    const char *name, *text; /* NULL: an error */
    int len;
};

static void check_lookups(pf_http_request *request, get_fn *get, const struct lookup *rows)
{
    char text[16];
    for (; rows->name; rows++) {
        memset(text, '#', sizeof text);
        assert_int_equal(get(request, rows->name, text, 8), rows->len);
        if (rows->text)
            assert_string_equal(text, rows->text);
        assert_int_equal(text[8], '#');
    }
}

static int ask_arguments(pf_http_request *request)
{
    static const struct lookup rows[] = {{"a", "1", 1},          {"b", "x y+z", 5},
                                         {"c", "", 0},           {"d", "", 0},
                                         {"e e", "E", 1},        {"none", NULL, -ENOENT},
                                         {"bad", NULL, -EINVAL}, {"nul", NULL, -EINVAL},
                                         {"full", "1234567", 7}, {"long", NULL, -ENOBUFS},
                                         {"", NULL, -ENOENT},    {0}};
    check_lookups(request, pf_http_get_argument, rows);
    char text[1];
    assert_int_equal(pf_http_get_argument(request, "c", text, 1), 0);
    assert_int_equal(pf_http_get_argument(request, "a", text, 1), -ENOBUFS);
    assert_int_equal(pf_http_get_argument(request, "a", text, 0), -ENOBUFS);
    char nth[8];
    assert_int_equal(pf_http_get_argument_at(request, "a", 0, nth, sizeof nth), 1);
    assert_string_equal(nth, "1");
    assert_int_equal(pf_http_get_argument_at(request, "a", 1, nth, sizeof nth), 1);
    assert_string_equal(nth, "2");
    assert_int_equal(pf_http_get_argument_at(request, "a", 2, nth, sizeof nth), -ENOENT);
    assert_int_equal(pf_http_get_argument_at(request, "a", SIZE_MAX, nth, sizeof nth),
                     -ENOENT);
    assert_int_equal(pf_http_get_argument_at(request, "bad", 1, nth, sizeof nth), 2);
    assert_int_equal(pf_http_get_form(request, "a", text, 1), -ENOENT);
    return ok(request);
}

static void arguments_are_decoded(void **state)
{
    (void)state;
    run_script(ask_arguments,
               GET("/?a=1&b=x+y%2Bz&a=2&c=&d&e%20e=E&bad=%zz&nul=a%00b&full=1234567&"
                   "long=12345678&bad=ok"));
    stage_close();
}

static int ask_form(pf_http_request *request)
{
    static const struct lookup rows[] = {
        {"a", "1", 1},          {"b", "x y", 3},         {"long", NULL, -ENOBUFS},
        {"bad", NULL, -EINVAL}, {"none", NULL, -ENOENT}, {0}};
    check_lookups(request, pf_http_get_form, rows);
    char text[8];
    assert_int_equal(pf_http_get_form_at(request, "b", 0, text, sizeof text), 3);
    assert_int_equal(pf_http_get_form_at(request, "b", 1, text, sizeof text), -ENOENT);
    return ok(request);
}

static int ask_no_form(pf_http_request *request)
{
    char text[8];
    assert_int_equal(pf_http_get_form(request, "a", text, sizeof text), -ENOENT);
    return ok(request);
}

#define FORM_TYPE "Content-Type: application/x-www-form-urlencoded"

static void forms_are_decoded(void **state)
{
    (void)state;
    run_script(ask_form, POST("/?none=1", FORM_TYPE "\r\nContent-Length: 34",
                              "a=1&b=x+y&long=0123456789&bad=%z&c"));
    ask("POST / HTTP/1.1\r\nHost: a\r\n" FORM_TYPE "; charset=utf-8\r\n"
        "Transfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n1f\r\n"
        "&b=x%20y&long=0123456789&bad=%z\r\n0\r\n\r\n");
    assert_answer(200, "");
    script = ask_no_form;
    ask(POST("/", "Content-Type: text/plain\r\nContent-Length: 3", "a=1"));
    assert_answer(200, "");
    ask(POST("/", "Content-Length: 3", "a=1"));
    assert_answer(200, "");
    ask(POST("/", FORM_TYPE "\r\nContent-Length: 0", ""));
    assert_answer(200, "");
    ask(POST("/", FORM_TYPE "ed\r\nContent-Length: 3", "a=1"));
    assert_answer(200, "");
    assert_open();
    stage_close();
}

static void secrets_are_random_and_compared_as_a_whole(void **state)
{
    (void)state;
    char one[PF_HTTP_SECRET_MIN], two[PF_HTTP_SECRET_MIN], longest[513], small[31];
    assert_int_equal(pf_http_new_secret(one, sizeof one), 0);
    assert_int_equal(pf_http_new_secret(two, sizeof two), 0);
    assert_int_equal(strspn(one, "0123456789abcdef"), PF_HTTP_SECRET_MIN - 1);
    assert_int_equal(strlen(one), PF_HTTP_SECRET_MIN - 1);
    assert_string_not_equal(one, two);
    assert_int_equal(pf_http_new_secret(longest, sizeof longest), 0);
    assert_int_equal(strlen(longest), sizeof longest - 1);
    assert_int_equal(pf_http_new_secret(small, sizeof small), -EINVAL);
    assert_int_equal(pf_http_new_secret(longest, 512), -EINVAL);
    assert_int_equal(pf_http_new_secret(longest, 515), -EINVAL);
    assert_int_equal(pf_http_new_secret(NULL, 33), -EINVAL);
    assert_true(pf_http_same_secret(one, 32, one, 32));
    assert_false(pf_http_same_secret(one, 32, one, 31));
    for (size_t i = 0; i < 32; i++) {
        memcpy(two, one, sizeof two);
        two[i] ^= 1;
        assert_false(pf_http_same_secret(one, 32, two, 32));
    }
    assert_true(pf_http_same_secret(NULL, 0, "", 0));
}

static int ask_cookies(pf_http_request *request)
{
    static const struct lookup rows[] = {{"a", "1", 1},
                                         {"b", "x%20y", 5},
                                         {"A", NULL, -ENOENT},
                                         {"c", "quoted", 6},
                                         {"d", "4", 1},
                                         {"full", "1234567", 7},
                                         {"long", NULL, -ENOBUFS},
                                         {"empty", "", 0},
                                         {"none", NULL, -ENOENT},
                                         {0}};
    check_lookups(request, pf_http_get_cookie, rows);
    return ok(request);
}

static void cookies_are_found_as_they_were_sent(void **state)
{
    (void)state;
    run_script(ask_cookies,
               "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=x%20y;c=\"quoted\"; empty=\r\n"
               "cookie: d=4; a=2; full=1234567; long=12345678\r\n\r\n");
    stage_close();
}

static int ask_fields(pf_http_request *request)
{
    const char *name, *value;
    size_t len, name_len;
    assert_memory_equal(pf_http_get_field(request, "x-a", &len), "1", 1);
    assert_int_equal(len, 1);
    assert_non_null(pf_http_get_field(request, "X-EMPTY", &len));
    assert_int_equal(len, 0);
    assert_null(pf_http_get_field(request, "X", &len));
    assert_null(pf_http_get_field(request, "", &len));
    assert_true(pf_http_get_field_at(request, 2, &name, &name_len, &value, &len));
    assert_memory_equal(name, "x-a", 3);
    assert_memory_equal(value, "2", 1);
    assert_int_equal(len, 1);
    assert_true(pf_http_get_field_at(request, 3, &name, &name_len, &value, &len));
    assert_false(pf_http_get_field_at(request, 4, &name, &name_len, &value, &len));
    assert_false(pf_http_get_field_at(request, SIZE_MAX, &name, &name_len, &value, &len));
    assert_int_equal(pf_http_get_minor(request), 1);
    assert_string_equal(pf_http_get_scheme(request), "http");
    assert_null(pf_http_get_data(request));
    pf_http_set_data(request, &name);
    assert_ptr_equal(pf_http_get_data(request), &name);
    return ok(request);
}

static void fields_are_found_by_name_and_by_number(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nX-A:  1 \r\nx-a: 2\r\n"
                                  "X-Empty:\r\n\r\n";
    run_script(ask_fields, request);
    ask(request); /* the pointer of the last one is forgotten */
    assert_answer(200, "");
    stage_close();
}

static int respond_remote(pf_http_request *request)
{
    char text[128];
    int len = snprintf(text, sizeof text, "%s %d %u", pf_http_get_remote_address(request),
                       pf_http_get_remote_port(request) > 0, pf_http_get_number(request));
    return pf_http_respond(request, 200, "text/plain", text, (size_t)len);
}

static void a_handler_sees_who_asks(void **state)
{
    (void)state;
    open_script(respond_remote);
    ask(GET("/") GET("/"));
    assert_answer(200, "unix 0 1");
    assert_answer(200, "unix 0 2");
    stage_reconnect_tcp();
    ask(GET("/"));
    assert_answer(200, "127.0.0.1 1 1");
    stage_close();
}

/* ---- fields of the answer -------------------------------------------------------- */

static int set_and_add(pf_http_request *request)
{
    assert_int_equal(pf_http_add_field(request, "X-Many", "1"), 0);
    assert_int_equal(pf_http_add_field(request, "x-many", "2"), 0);
    assert_int_equal(pf_http_add_field(request, "X-Manyfold", "keep"), 0);
    assert_int_equal(pf_http_add_field(request, "X-One", "a"), 0);
    assert_int_equal(pf_http_add_field(request, "X-One", "b"), 0);
    assert_int_equal(pf_http_set_field(request, "x-oNE", "c"), 0);
    assert_int_equal(pf_http_set_field(request, "X-New", ""), 0);
    assert_int_equal(pf_http_set_field(request, "X-Tab", "a\tb \xc3\xa4"), 0);
    return ok(request);
}

static int set_two_types(pf_http_request *request)
{
    assert_int_equal(pf_http_set_field(request, "content-type", "text/x"), 0);
    assert_int_equal(pf_http_set_field(request, "X-A", "b"), 0);
    return pf_http_respond(request, 200, "text/y", "", 0);
}

static int set_a_type(pf_http_request *request)
{
    assert_int_equal(pf_http_set_field(request, "Content-Type", "text/x"), 0);
    return pf_http_respond(request, 200, NULL, NULL, 0);
}

static int set_the_type_of_a_file(pf_http_request *request)
{
    assert_int_equal(pf_http_set_field(request, "Content-Type", "text/x"), 0);
    return pf_http_respond_file(request, "text/y", open("/dev/null", O_RDONLY | O_CLOEXEC),
                                0, 0);
}

static void there_is_one_content_type(void **state)
{
    (void)state;
    run_script(set_two_types, GET("/"));
    assert_true(has("\r\nContent-Type: text/y\r\n"));
    assert_true(has("\r\nX-A: b\r\n"));
    assert_false(has("text/x"));
    stage_close();
    run_script(set_a_type, GET("/"));
    assert_true(has("\r\nContent-Type: text/x\r\n"));
    stage_close();
    run_script(set_the_type_of_a_file, GET("/"));
    assert_true(has("\r\nContent-Type: text/y\r\n"));
    assert_false(has("text/x"));
    stage_close();
}

static void fields_are_replaced_and_added(void **state)
{
    (void)state;
    run_script(set_and_add, GET("/"));
    assert_true(has("\r\nX-Many: 1\r\nx-many: 2\r\nX-Manyfold: keep\r\nx-oNE: c\r\n"
                    "X-New: \r\nX-Tab: a\tb \xc3\xa4\r\n"));
    assert_false(has("X-One"));
    script = ok; /* and the next answer has none of them */
    ask(GET("/"));
    assert_answer(200, "");
    assert_false(has("X-"));
    assert_open();
    stage_close();
}

static int set_wrong(pf_http_request *request)
{
    static const char *const names[] = {"",
                                        "a b",
                                        "a:",
                                        "a\r",
                                        "a\n",
                                        "\x80",
                                        "a\tb",
                                        "Date",
                                        "date",
                                        "DATE",
                                        "Content-Length",
                                        "content-LENGTH",
                                        "Transfer-Encoding",
                                        "Connection",
                                        "Server",
                                        NULL};
    static const char *const values[] = {"a\rb", "a\nb", "\r\nX: y", "a\x01",
                                         "\x7f", "\n",   NULL};
    for (int i = 0; names[i]; i++) {
        assert_int_equal(pf_http_set_field(request, names[i], "x"), -EINVAL);
        assert_int_equal(pf_http_add_field(request, names[i], "x"), -EINVAL);
    }
    for (int i = 0; values[i]; i++) {
        assert_int_equal(pf_http_set_field(request, "X-A", values[i]), -EINVAL);
        assert_int_equal(pf_http_add_field(request, "X-A", values[i]), -EINVAL);
    }
    assert_int_equal(pf_http_set_field(request, NULL, "x"), -EINVAL);
    assert_int_equal(pf_http_set_field(request, "X-A", NULL), -EINVAL);
    assert_int_equal(pf_http_set_field(NULL, "X-A", "x"), -EINVAL);
    static const int statuses[] = {-1, 0, 99, 100, 101, 199, 600, 1000};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        assert_int_equal(pf_http_set_status(request, statuses[i]), -EINVAL);
        assert_int_equal(pf_http_respond(request, statuses[i], NULL, NULL, 0), -EINVAL);
    }
    static const int errors[] = {200, 302, 399, 600};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        assert_int_equal(pf_http_respond_error(request, errors[i]), -EINVAL);
    assert_int_equal(pf_http_set_length(request, UINT64_MAX), -EINVAL);
    assert_int_equal(pf_http_respond(request, 200, "a/b\r\nX: y", "x", 1), -EINVAL);
    assert_int_equal(pf_http_respond(request, 200, "a/b\x01", "x", 1), -EINVAL);
    assert_int_equal(pf_http_respond(request, 200, NULL, "x", 1), -EINVAL);
    assert_int_equal(pf_http_respond(request, 200, "a/b", NULL, 1), -EINVAL);
    assert_int_equal(pf_http_write(request, NULL, 1), -EINVAL);
    return ok(request);
}

static void what_would_break_the_head_is_refused(void **state)
{
    (void)state;
    run_script(set_wrong, GET("/"));
    assert_false(has("X-A"));
    assert_true(has("\r\nContent-Length: 0\r\n"));
    stage_close();
}

static char value[PF_HTTP_RESPONSE_HEAD_MAX + 1];

static int set_much(pf_http_request *request)
{
    memset(value, 'v', sizeof value - 1);
    assert_int_equal(pf_http_set_field(request, "X-A", value), -ENOBUFS);
    value[PF_HTTP_RESPONSE_HEAD_MAX - 7] = 0; /* "X-A: " and the line's end */
    assert_int_equal(pf_http_set_field(request, "X-A", value), 0);
    assert_int_equal(pf_http_add_field(request, "B", ""), -ENOBUFS);
    value[PF_HTTP_RESPONSE_HEAD_MAX - 8] = 'w';
    assert_int_equal(pf_http_set_field(request, "x-a", value), 0); /* in its place */
    assert_int_equal(pf_http_set_field(request, "x-aa", value), -ENOBUFS);
    memset(value, 'v', sizeof value - 1);
    assert_int_equal(pf_http_set_field(request, "x-a", value), -ENOBUFS);
    return ok(request);
}

static void fields_have_a_limit_and_stay_if_they_cannot_be_replaced(void **state)
{
    (void)state;
    run_script(set_much, GET("/"));
    assert_true(has("\r\nx-a: vvvv"));
    assert_true(has("vvvw\r\n"));
    stage_close();
}

/* ---- cookies for the client ------------------------------------------------------ */

static int set_cookies(pf_http_request *request)
{
    static const struct pf_http_cookie good[] = {
        {.name = "a", .value = "1"},
        {.name = "b",
         .value = "2",
         .path = "/p",
         .domain = "example.com",
         .max_age_s = 60,
         .secure = true,
         .http_only = true,
         .same_site = PF_HTTP_SAME_SITE_NONE},
        {.name = "c", .value = "", .max_age_s = -1, .same_site = PF_HTTP_SAME_SITE_LAX},
        {.name = "d", .value = "3", .same_site = PF_HTTP_SAME_SITE_STRICT}};
    static const struct pf_http_cookie bad[] = {
        {.name = NULL, .value = "1"},
        {.name = "", .value = "1"},
        {.name = "a b", .value = "1"},
        {.name = "a=", .value = "1"},
        {.name = "a", .value = "1; Path=/"},
        {.name = "a", .value = "1\r\nX: y"},
        {.name = "a", .value = "1,2"},
        {.name = "a", .value = "1", .path = "p"},
        {.name = "a", .value = "1", .path = "/;x"},
        {.name = "a", .value = "1", .domain = "a\n"},
        {.name = "a", .value = "1", .same_site = PF_HTTP_SAME_SITE_NONE},
        {.name = "a", .value = "1", .same_site = (enum pf_http_same_site)4},
        {.name = "a", .value = "1", .same_site = (enum pf_http_same_site)77}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(pf_http_set_cookie(request, &good[i]), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pf_http_set_cookie(request, &bad[i]), -EINVAL);
    assert_int_equal(pf_http_set_cookie(request, NULL), -EINVAL);
    memset(value, 'v', PF__COOKIE_MAX);
    value[PF__COOKIE_MAX] = 0;
    const struct pf_http_cookie large = {.name = "a", .value = value};
    assert_int_equal(pf_http_set_cookie(request, &large), -ENOBUFS);
    assert_int_equal(ok(request), 0);
    assert_int_equal(pf_http_set_cookie(request, &good[0]), -EALREADY);
    return 0;
}

static void cookies_are_written_and_checked(void **state)
{
    (void)state;
    run_script(set_cookies, GET("/"));
    assert_true(has("\r\nSet-Cookie: a=1\r\n"
                    "Set-Cookie: b=2; Path=/p; Domain=example.com; Max-Age=60; Secure; "
                    "HttpOnly; SameSite=None\r\n"
                    "Set-Cookie: c=; Max-Age=0; SameSite=Lax\r\n"
                    "Set-Cookie: d=3; SameSite=Strict\r\n"));
    stage_close();
}

/* ---- redirects ------------------------------------------------------------------- */

static const char *location;
static int redirect_status;

static int redirect(pf_http_request *request)
{
    int err = pf_http_redirect(request, redirect_status, location);
    return err == -EINVAL || err == -ENOBUFS ? ok(request) : err;
}

static void a_redirect_stays_here_unless_its_url_is_absolute(void **state)
{
    (void)state;
    static const struct {
        const char *location, *sent; /* NULL: refused */
    } rows[] = {{"/path?q=1#f", "/path?q=1#f"},
                {"", ""},
                {"relative", "relative"},
                {"?q", "?q"},
                {"https://example.com/", "https://example.com/"},
                {"//evil.com", "/evil.com"},
                {"///evil.com", "/evil.com"},
                {"/\\evil.com", "/evil.com"},
                {"\\/evil.com", "/evil.com"},
                {"\\\\evil.com", "/evil.com"},
                {"/\\/\\//evil.com/a//b", "/evil.com/a//b"},
                {"//", "/"},
                /* browsers drop these, and read on */
                {"/\t/evil.com", NULL},
                {" //evil.com", NULL},
                {"\t//evil.com", NULL},
                {"/a\r\nX: y", NULL},
                {"/a\nb", NULL},
                {"/a b", NULL},
                {"/\x7f", NULL}};
    char line[128];
    open_script(redirect);
    redirect_status = 302;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        location = rows[i].location;
        ask(GET("/"));
        assert_answer(rows[i].sent ? 302 : 200, "");
        if (rows[i].sent) {
            snprintf(line, sizeof line, "\r\nLocation: %s\r\n", rows[i].sent);
            assert_true(has(line));
        } else {
            assert_false(has("Location"));
        }
    }
    assert_open();
    stage_close();
}

static void a_redirect_has_a_status_that_redirects(void **state)
{
    (void)state;
    open_script(redirect);
    location = "/";
    for (redirect_status = 100; redirect_status < 600; redirect_status++) {
        int s = redirect_status;
        ask(GET("/"));
        next_answer(s == 301 || s == 302 || s == 303 || s == 307 || s == 308 ? s : 200);
    }
    redirect_status = 302;
    location = NULL;
    ask(GET("/"));
    assert_answer(200, "");
    assert_open();
    stage_close();
}

/* ---- answers --------------------------------------------------------------------- */

static int too_much_then_right(pf_http_request *request)
{
    static char much[PF_HTTP_RESPONSE_BODY_MAX + 1];
    assert_int_equal(pf_http_respond(request, 200, "a/b", much, sizeof much), -ENOBUFS);
    memset(value, 't', PF_HTTP_CONTENT_TYPE_MAX + 1);
    value[PF_HTTP_CONTENT_TYPE_MAX + 1] = 0;
    assert_int_equal(pf_http_respond(request, 200, value, "x", 1), -EINVAL);
    value[PF_HTTP_CONTENT_TYPE_MAX] = 0;
    return pf_http_respond(request, 200, value, "", 0);
}

static void a_mistake_leaves_room_for_the_right_answer(void **state)
{
    (void)state;
    run_script(too_much_then_right, GET("/"));
    assert_true(has("\r\nContent-Type: tttt"));
    stage_close();
}

static int respond_json(pf_http_request *request)
{
    return pf_http_respond_json(request, 202, "{\"a\":1}", 7);
}

static void json_says_that_it_is(void **state)
{
    (void)state;
    open_script(respond_json);
    ask(GET("/") HEAD("/"));
    assert_answer(202, "{\"a\":1}");
    assert_true(has("\r\nContent-Type: application/json\r\n"));
    next_head(202);
    assert_true(has("\r\nContent-Length: 7\r\n"));
    assert_open();
    stage_close();
}

static int error_status;

static int respond_error(pf_http_request *request)
{
    return pf_http_respond_error(request, error_status);
}

static void every_error_has_a_page(void **state)
{
    (void)state;
    open_script(respond_error);
    for (error_status = 400; error_status < 600; error_status++) {
        ask(GET("/"));
        next_answer(error_status);
    }
    assert_open();
    stage_close();
}

/* respond() has its own status; set_status() is for streams and files. */
static int set_status_and_respond(pf_http_request *request)
{
    assert_int_equal(pf_http_set_status(request, 404), 0);
    return ok(request);
}

static void respond_has_its_own_status(void **state)
{
    (void)state;
    run_script(set_status_and_respond, GET("/"));
    stage_close();
}

/* ---- when memory is short -------------------------------------------------------- */

static int set_under_pressure(pf_http_request *request)
{
    pf_alloc_fail(-1);
    int err = pf_http_set_field(request, "X-A", "b");
    (void)pf_alloc_stop();
    assert_int_equal(err, -ENOMEM);
    assert_int_equal(pf_http_set_field(request, "X-A", "c"), 0);
    memset(value, 'v', 4096);
    value[4096] = 0;
    pf_alloc_fail(-1);
    err = pf_http_set_field(request, "x-a", value); /* needs more room */
    (void)pf_alloc_stop();
    assert_int_equal(err, -ENOMEM);
    return ok(request);
}

static void a_field_for_which_memory_is_short_changes_nothing(void **state)
{
    (void)state;
    pf_alloc_needed();
    run_script(set_under_pressure, GET("/"));
    assert_true(has("\r\nX-A: c\r\n"));
    stage_close();
}

int main(void)
{
    pf_backend_configure();
    const struct CMUnitTest tests[] = {
        pf_test(arguments_are_decoded),
        pf_test(forms_are_decoded),
        pf_test(secrets_are_random_and_compared_as_a_whole),
        pf_test(cookies_are_found_as_they_were_sent),
        pf_test(fields_are_found_by_name_and_by_number),
        pf_test(a_handler_sees_who_asks),
        pf_test(fields_are_replaced_and_added),
        pf_test(there_is_one_content_type),
        pf_test(what_would_break_the_head_is_refused),
        pf_test(fields_have_a_limit_and_stay_if_they_cannot_be_replaced),
        pf_test(cookies_are_written_and_checked),
        pf_test(a_redirect_stays_here_unless_its_url_is_absolute),
        pf_test(a_redirect_has_a_status_that_redirects),
        pf_test(a_mistake_leaves_room_for_the_right_answer),
        pf_test(json_says_that_it_is),
        pf_test(every_error_has_a_page),
        pf_test(respond_has_its_own_status),
        pf_test(a_field_for_which_memory_is_short_changes_nothing),
    };
    return cmocka_run_group_tests_name("http_api", tests, NULL, NULL);
}
