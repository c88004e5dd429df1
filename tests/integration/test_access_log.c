/* test_access_log.c - the log of requests that the built server writes. */
#include "tests/lib/server.h"

#include "server/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char answer[65536], text[1 << 20];

/* ---- a directory for the log ----------------------------------------------------- */

static char directory[32], path[64], old_path[64];

static void make_directory(void)
{
    snprintf(directory, sizeof directory, "/tmp/prefork-log-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/log", directory);
    snprintf(old_path, sizeof old_path, "%s/log.1", directory);
}

static void remove_directory(void)
{
    (void)unlink(path);
    (void)unlink(old_path);
    assert_int_equal(rmdir(directory), 0);
}

/* All of it, with a NUL; "" if there is none. */
static char *contents(const char *name)
{
    size_t len = 0;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    while (fd >= 0 && (n = read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    if (fd >= 0)
        close(fd);
    text[len] = '\0';
    return text;
}

static unsigned lines_in(const char *name)
{
    unsigned count = 0;
    for (const char *at = contents(name); (at = strchr(at, '\n')); at++)
        count++;
    return count;
}

/* ---- a client -------------------------------------------------------------------- */

static void ask_on(int fd, const char *request)
{
    assert_int_equal(pf_test_send_text(fd, request), 0);
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
}

static void ask(int port, const char *request)
{
    int fd = pf_test_connect(port);
    assert_true(fd >= 0);
    ask_on(fd, request);
    close(fd);
}

static void assert_says(const char *all, const char *part)
{
    if (!strstr(all, part))
        fail_msg("no \"%s\" in: %s", part, all);
}

/* ---- the lines ------------------------------------------------------------------- */

static void a_line_in_the_combined_format_tells_all_of_a_request(void **state)
{
    (void)state;
    make_directory();
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", "--access-log", path));
    ask(server.port, "GET /?a=1&b HTTP/1.1\r\nHost: a\r\nReferer: http://b/\r\n"
                     "User-Agent: test \"quoted\" \\ \x80\x81\r\n\r\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    const char *line = contents(path);
    assert_memory_equal(line, "127.0.0.1 - - [", 15);
    struct tm tm = {0};
    const char *rest = strptime(line + 15, "%d/%b/%Y:%H:%M:%S +0000]", &tm);
    assert_non_null(rest);
    time_t then = timegm(&tm), now = time(NULL);
    assert_true(then <= now && then > now - 600);
    char expected[256];
    const char *body = strstr(answer, "hello");
    snprintf(expected, sizeof expected,
             " \"GET /?a=1&b HTTP/1.1\" 200 %zu \"http://b/\" "
             "\"test \\x22quoted\\x22 \\x5C \\x80\\x81\"\n",
             (size_t)(body + 5 - answer));
    assert_string_equal(rest, expected);
    remove_directory();
}

static void what_a_client_does_not_say_is_a_dash(void **state)
{
    (void)state;
    make_directory();
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", "--access-log", path));
    ask(server.port, "GET / HTTP/1.0\r\n\r\n");
    ask(server.port, "no request at all\r\n\r\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    const char *lines = contents(path);
    assert_says(lines, "\"GET / HTTP/1.0\" 200 ");
    assert_says(lines, "] \"-\" 400 ");
    assert_says(lines, " \"-\" \"-\"\n");
    assert_int_equal(lines_in(path), 2);
    remove_directory();
}

/* 200, 404, 400, and so on, of the lines. */
static void assert_statuses(const char *levels, const char *expected)
{
    make_directory();
    struct pf_test_server server;
    char statuses[64] = "";
    pf_test_server_start(&server, ARGS("-w", "1", "--log", levels, "--access-log", path));
    ask(server.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ask(server.port, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    ask(server.port, "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    for (const char *at = contents(path); (at = strstr(at, "HTTP/1.1\" ")); at++)
        strncat(statuses, at + 10, 4);
    assert_string_equal(statuses, expected);
    remove_directory();
}

static void requests_have_lines_by_the_level_of_their_name(void **state)
{
    (void)state;
    assert_statuses("info", "200 404 501 ");
    assert_statuses("error", "200 404 501 "); /* the level for all is not theirs */
    assert_statuses("access=warn", "404 501 ");
    assert_statuses("debug,access=error", "501 ");
}

static const char *string_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void a_line_of_json_is_an_object(void **state)
{
    (void)state;
    make_directory();
    struct pf_test_server server;
    pf_test_server_start(
        &server, ARGS("-w", "1", "--access-log", path, "--access-log-format", "json"));
    ask(server.port, "GET /none?x=\"1\" HTTP/1.1\r\nHost: a\r\n"
                     "User-Agent: \"\\\xff\xc3\xa4\r\n\r\n");
    if (!strstr(answer, " 404 ")) /* quotes in a target may be refused */
        ask(server.port, "GET /none?x=1 HTTP/1.1\r\nHost: a\r\n"
                         "User-Agent: \"\\\xff\xc3\xa4\r\n\r\n");
    ask(server.port, "nonsense\r\n\r\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    unsigned objects = 0, found = 0;
    char *rest = contents(path), *line;
    while ((line = strsep(&rest, "\n")) && *line) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        objects++;
        assert_string_equal(string_of(object, "remote"), "127.0.0.1");
        if (json_integer_value(json_object_get(object, "status")) == 404) {
            found++;
            assert_string_equal(string_of(object, "method"), "GET");
            assert_memory_equal(string_of(object, "target"), "/none?x=", 8);
            assert_string_equal(string_of(object, "protocol"), "HTTP/1.1");
            assert_string_equal(string_of(object, "user_agent"),
                                "\"\\\xef\xbf\xbd\xc3\xa4");
            assert_true(json_is_null(json_object_get(object, "referer")));
            assert_true(json_integer_value(json_object_get(object, "bytes")) > 0);
        }
        json_decref(object);
    }
    assert_true(objects >= 2);
    assert_int_equal(found, 1);
    remove_directory();
}

static void a_line_tells_how_long_a_handler_took_that_answered_at_once(void **state)
{
    (void)state;
    make_directory();
    struct pf_test_server server;
    pf_test_program_start(&server, "examples/demo",
                          ARGS("-b", "127.0.0.1:0", "-w", "1", "--unsafe", "--access-log",
                               path, "--access-log-format", "json"));
    ask(server.port, "GET /block/20 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    json_t *object = json_loads(contents(path), JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(object);
    assert_in_range(json_integer_value(json_object_get(object, "duration_us")), 20000,
                    PF_TEST_DEADLINE_S * 1000000);
    json_decref(object);
    remove_directory();
}

static void what_is_too_long_is_cut_and_the_line_stays_whole(void **state)
{
    (void)state;
    static char request[8192];
    char quotes[1501], slashes[2001];
    memset(quotes, '"', sizeof quotes - 1);
    quotes[sizeof quotes - 1] = '\0';
    memset(slashes, 'x', sizeof slashes - 1);
    slashes[sizeof slashes - 1] = '\0';
    snprintf(request, sizeof request,
             "GET /%s?%s HTTP/1.1\r\nHost: a\r\nReferer: %s\r\nUser-Agent: %s\r\n\r\n",
             slashes, slashes, quotes, quotes);
    for (int json = 0; json < 2; json++) {
        make_directory();
        struct pf_test_server server;
        pf_test_server_start(&server,
                             ARGS("-w", "1", "--access-log", path, "--access-log-format",
                                  json ? "json" : "combined"));
        ask(server.port, request);
        assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
        assert_int_equal(lines_in(path), 1);
        char *line = contents(path);
        assert_true(strlen(line) <= PF__ACCESS_LINE_MAX);
        json_t *object = json_loads(line, 0, NULL);
        assert_int_equal(object != NULL, json);
        json_decref(object);
        remove_directory();
    }
}

/* ---- the file -------------------------------------------------------------------- */

/* Ask until the file has a line: the worker hears of the signal later than the master. */
static unsigned ask_until_written(const struct pf_test_server *server)
{
    time_t deadline = time(NULL) + PF_TEST_DEADLINE_S;
    unsigned asked = 0;
    for (; lines_in(path) == 0; asked++) {
        assert_true(time(NULL) < deadline);
        ask(server->port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    return asked;
}

static void usr1_opens_it_anew_and_no_line_is_lost(void **state)
{
    (void)state;
    make_directory();
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", "--threads", "2", "--access-log", path));
    unsigned asked = ask_until_written(&server);
    assert_int_equal(rename(path, old_path), 0);
    assert_int_equal(kill(server.pid, SIGUSR1), 0);
    pf_test_server_expect(&server, 0, "logs-reopen");
    asked += ask_until_written(&server);
    size_t from = server.text_len;
    assert_int_equal(kill(server.workers[0], SIGKILL), 0);
    pf_test_server_expect(&server, from, "worker-accepts");
    unsigned before = lines_in(path);
    ask(server.port,
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); /* the next one has the new file */
    asked++;
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_int_equal(lines_in(path), before + 1);
    assert_int_equal(lines_in(path) + lines_in(old_path), asked);
    assert_null(strstr(server.text, "signal-ignored"));
    remove_directory();
}

static void if_it_cannot_be_opened_anew_the_old_one_is_written_on(void **state)
{
    (void)state;
    make_directory();
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", "--access-log", path));
    (void)ask_until_written(&server);
    assert_int_equal(rename(path, old_path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(kill(server.pid, SIGUSR1), 0);
    pf_test_server_expect(&server, 0, "access-log-not-reopened");
    unsigned before = lines_in(old_path);
    ask(server.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_int_equal(lines_in(old_path), before + 1);
    assert_int_equal(rmdir(path), 0);
    remove_directory();
}

static void dash_is_standard_output(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", "--access-log", "-"));
    ask(server.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pf_test_server_expect(&server, 0, "\"GET / HTTP/1.1\" 200 ");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* The pipe is full: lines are dropped and requests answered; room again: that is said. */
static void a_log_that_nobody_reads_holds_up_nobody(void **state)
{
    (void)state;
    make_directory();
    assert_int_equal(mkfifo(path, 0600), 0);
    struct pf_test_server server;
    assert_int_equal(pf_test_server_run(&server, ARGS("--access-log", path)), 69);
    assert_says(server.text, "nobody reads this pipe; start its reader before");
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_true(fcntl(reader, F_SETPIPE_SZ, 4096) > 0);
    pf_test_server_start(&server, ARGS("-w", "1", "--access-log", path));
    int fd = pf_test_connect(server.port);
    assert_true(fd >= 0);
    for (int i = 0; i < 4096 / 60 + 100; i++) /* no line is shorter */
        ask_on(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pf_test_server_expect(&server, 0, "access-log-not-written");
    ssize_t n;
    while ((n = read(reader, text, sizeof text)) > 0)
        assert_int_equal(text[n - 1], '\n'); /* whole lines */
    ask_on(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pf_test_server_expect(&server, 0, "access-log-lines-lost count=");
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    close(reader);
    remove_directory();
}

/* As on a disk that is full: half a line is there, and no more until there is room. */
static void half_a_line_is_not_continued_by_the_next(void **state)
{
    (void)state;
    make_directory();
    struct pf_test_server server;
    struct rlimit before, small;
    pf_test_server_start(&server, ARGS("-w", "1", "--access-log", path));
    (void)ask_until_written(&server);
    assert_int_equal(prlimit(server.workers[0], RLIMIT_FSIZE, NULL, &before), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    small = before;
    small.rlim_cur = (rlim_t)st.st_size + 10;
    assert_int_equal(prlimit(server.workers[0], RLIMIT_FSIZE, &small, NULL), 0);
    for (int i = 0; i < 2; i++) /* the second one finds no room at all */
        ask(server.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pf_test_server_expect(&server, 0, "access-log-not-written");
    assert_int_equal(prlimit(server.workers[0], RLIMIT_FSIZE, &before, NULL), 0);
    ask(server.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pf_test_server_expect(&server, 0, "access-log-lines-lost count=2");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    char whole[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, whole, sizeof whole - 1);
    close(fd);
    assert_true(n > st.st_size + 11);
    whole[n] = '\0';
    assert_int_equal(whole[st.st_size + 10], '\n');
    assert_memory_equal(whole + st.st_size + 11, "127.0.0.1 - - [", 15);
    remove_directory();
}

static void the_client_is_who_trusted_proxies_say(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", "--access-log", "-", "--xheaders"));
    ask(server.port, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.77\r\n\r\n");
    pf_test_server_expect(&server, 0, "\n192.0.2.77 - - [");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    pf_test_server_start(&server, ARGS("-w", "1", "--access-log", "-", "--proxy-protocol"));
    ask(server.port,
        "PROXY TCP4 192.0.2.78 127.0.0.1 5 6\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pf_test_server_expect(&server, 0, "\n192.0.2.78 - - [");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    pf_test_server_start(&server, ARGS("-w", "1", "--access-log", "-", "--xheaders",
                                       "--trusted", "10.0.0.0/8"));
    ask(server.port, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.79\r\n\r\n");
    pf_test_server_expect(&server, 0, "\n127.0.0.1 - - [");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_int_equal(
        pf_test_server_run(&server, ARGS("--xheaders", "--trusted", "10.0.0.0/8, ten")),
        64);
    assert_says(server.text, "not ten");
}

static void a_wrong_log_is_refused(void **state)
{
    (void)state;
    struct pf_test_server server;
    assert_int_equal(pf_test_server_run(&server, ARGS("--access-log", "/nonexistent/log")),
                     69);
    assert_says(server.text,
                "--access-log /nonexistent/log: No such file or directory; name");
    assert_int_equal(pf_test_server_run(&server, ARGS("--access-log", "-", "echo")), 64);
    assert_says(server.text, "no HTTP");
    assert_int_equal(pf_test_server_run(&server, ARGS("--proxy-protocol", "echo")), 64);
    assert_says(server.text, "--proxy-protocol: echo speaks no HTTP");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_line_in_the_combined_format_tells_all_of_a_request),
        pf_test(what_a_client_does_not_say_is_a_dash),
        pf_test(requests_have_lines_by_the_level_of_their_name),
        pf_test(a_line_of_json_is_an_object),
        pf_test(a_line_tells_how_long_a_handler_took_that_answered_at_once),
        pf_test(what_is_too_long_is_cut_and_the_line_stays_whole),
        pf_test(usr1_opens_it_anew_and_no_line_is_lost),
        pf_test(if_it_cannot_be_opened_anew_the_old_one_is_written_on),
        pf_test(dash_is_standard_output),
        pf_test(a_log_that_nobody_reads_holds_up_nobody),
        pf_test(half_a_line_is_not_continued_by_the_next),
        pf_test(the_client_is_who_trusted_proxies_say),
        pf_test(a_wrong_log_is_refused),
    };
    return cmocka_run_group_tests_name("access_log", tests, NULL, NULL);
}
