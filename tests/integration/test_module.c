/* test_module.c - applications in files of their own, loaded by the built server. */
#include "tests/lib/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char answer[65536];

/* "build/release/tests/modules/NAME.so", with ./ in front if it has no slash there. */
static const char *module(const char *name, const char *symbol)
{
    static char path[512];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/tests/modules/%s.so%s%s",
             build ? build : "build/release", name, symbol ? ":" : "",
             symbol ? symbol : "");
    return path;
}

static const char *ask(int port, const char *method, const char *path, const char *body)
{
    char request[1024];
    snprintf(
        request, sizeof request,
        "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
        method, path, strlen(body), body);
    int fd = pf_test_connect(port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, request), 0);
    assert_true(pf_test_read_all(fd, answer, sizeof answer) > 0);
    close(fd);
    return answer;
}

static void assert_body(const char *text, const char *body)
{
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end + 4, body);
}

static const char *ask_status(const struct pf_test_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", server->control);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(pf_test_send_text(fd, "status\n"), 0);
    assert_true(pf_test_read_all(fd, answer, sizeof answer) > 0);
    close(fd);
    return answer;
}

static void assert_says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in: %s", part, text);
}

/* ---- what it does ---------------------------------------------------------------- */

static void a_module_is_loaded_in_each_worker(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2", module("answers", NULL)));
    assert_says(server.text, "serves answers on http://");
    for (int i = 0; i < 8; i++)
        assert_body(ask(server.port, "GET", "/loaded", ""), "yes");
    assert_body(ask(server.port, "GET", "/", ""), "hello");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_preloaded_module_is_loaded_once_and_its_pre_fork_runs(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2", "--preload", module("answers", NULL)));
    for (int i = 0; i < 8; i++)
        assert_body(ask(server.port, "GET", "/loaded", ""), "prepared");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_module_may_have_several_applications(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", module("answers", "raw")));
    assert_says(server.text, "serves raw on ");
    int fd = pf_test_connect(server.port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_read_all(fd, answer, sizeof answer), 3);
    close(fd);
    assert_says(ask_status(&server), "\"columns\":{\"greetings\":1}");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_larger_application_is_taken_if_it_asks_for_nothing_new(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", module("answers", "newer_without")));
    assert_body(ask(server.port, "GET", "/", ""), "hello");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void what_stands_behind_a_module_are_its_own_options(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(
        &server, ARGS("-w", "1", module("answers", NULL), "--greeting", "good morning"));
    assert_body(ask(server.port, "GET", "/", ""), "good morning");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_int_equal(
        pf_test_server_run(&server, ARGS(module("answers", NULL), "--greting=x")), 64);
    assert_says(server.text, "--greeting?");
    assert_int_equal(pf_test_server_run(&server, ARGS(module("answers", "raw"), "-w", "1")),
                     64);
    assert_says(server.text, "come before APP");
    assert_int_equal(pf_test_server_run(&server, ARGS(module("answers", NULL), "more")),
                     64);
    assert_int_equal(pf_test_server_run(&server, ARGS(module("answers", NULL), "--help")),
                     0);
    assert_says(server.text, "--workers");
    assert_says(server.text, "--greeting TEXT");
}

static void a_programs_own_options_stand_among_the_servers(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_program_start(
        &server, "tests/apps/greeting",
        ARGS("-b", "127.0.0.1:0", "--greeting", "good day", "--workers", "2"));
    assert_int_equal(server.worker_count, 2);
    assert_body(ask(server.port, "GET", "/", ""), "good day");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    pf_test_program_spawn(&server, NULL, "tests/apps/greeting", ARGS("--help"));
    assert_int_equal(pf_test_server_wait(&server), 0);
    assert_says(server.text, "-g, --greeting TEXT");
    assert_says(server.text, "Options of the server:");
    pf_test_program_spawn(&server, NULL, "tests/apps/greeting", ARGS("-g", "x", "more"));
    assert_int_equal(pf_test_server_wait(&server), 64);
}

static void the_applications_middleware_error_pages_and_limits_hold(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", module("answers", NULL)));
    assert_says(ask(server.port, "GET", "/", ""), "\r\nX-Marked: yes\r\n");
    assert_body(ask(server.port, "POST", "/post", "ten bytes!"), "ten bytes!");
    assert_says(ask(server.port, "POST", "/post", "eleven byte"), "HTTP/1.1 413 ");
    assert_says(ask(server.port, "GET", "/none", ""), "HTTP/1.1 404 ");
    assert_body(answer, "sorry, from the module");
    int fd = pf_test_connect(server.port);
    assert_true(fd >= 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
        assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
        assert_int_equal(strstr(answer, "Connection: close") != NULL, i == 2);
    }
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_handler_finds_what_was_left_with_its_lane(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server,
                         ARGS("-w", "1", "--threads", "2", module("answers", NULL)));
    assert_body(ask(server.port, "GET", "/lane", ""), "left here");
    assert_body(ask(server.port, "GET", "/lane/blocking", ""), "left here");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void the_command_line_goes_before_the_applications_limits(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", "--body-max", "11", "--requests-max", "1",
                                       module("answers", NULL)));
    assert_body(ask(server.port, "POST", "/post", "eleven byte"), "eleven byte");
    assert_says(ask(server.port, "POST", "/post", "twelve bytes"), "HTTP/1.1 413 ");
    int fd = pf_test_connect(server.port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    assert_says(answer, "Connection: close");
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void each_route_is_counted_over_all_workers_past_ones_too(void **state)
{
    (void)state;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", module("answers", NULL)));
    for (int i = 0; i < 3; i++)
        (void)ask(server.port, "GET", "/", "");
    (void)ask(server.port, "POST", "/post", "x");
    (void)ask(server.port, "GET", "/none", "");
    static const char all[] = "\"columns\":{\"route-0 GET /\":3,\"route-1 GET /loaded\":0,"
                              "\"route-2 POST /post\":1,";
    assert_says(ask_status(&server), all);
    size_t from = server.text_len;
    assert_int_equal(kill(server.workers[0], SIGKILL), 0);
    pf_test_server_expect(&server, from, "worker-accepts");
    assert_says(ask_status(&server), all);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- a file that changes --------------------------------------------------------- */

static void write_file(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static void copy_file(const char *from, const char *to)
{
    static char data[1 << 24];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, data, sizeof data);
    assert_true(n > 0 && (size_t)n < sizeof data);
    close(fd);
    write_file(to, data, (size_t)n);
}

static void a_file_that_is_rebuilt_or_removed_changes_nothing_that_runs(void **state)
{
    (void)state;
    char directory[] = "/tmp/prefork-module-XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/app.so", directory);
    copy_file(module("answers", NULL), path);
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1", path));
    write_file(path, "garbage", 7); /* the same inode */
    assert_body(ask(server.port, "GET", "/", ""), "hello");
    size_t from = server.text_len;
    assert_int_equal(kill(server.workers[0], SIGKILL), 0);
    pf_test_server_expect(&server, from, "worker-accepts");
    assert_body(ask(server.port, "GET", "/", ""), "hello");
    assert_int_equal(unlink(path), 0);
    assert_body(ask(server.port, "GET", "/loaded", ""), "yes");
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_int_equal(rmdir(directory), 0);
}

/* ---- what is none ---------------------------------------------------------------- */

static void what_cannot_be_served_gets_one_line_that_says_why(void **state)
{
    (void)state;
    char text[] = "/tmp/prefork-module-XXXXXX";
    int fd = mkstemp(text);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "no shared object\n", 17), 17);
    close(fd);
    static const struct {
        const char *name, *symbol; /* NULL: the text file */
        int status;
        const char *says;
    } rows[] = {
        {"none", NULL, 64, "No such file"},
        {NULL, NULL, 78, "; name a shared object, built with -shared -fPIC"},
        {"lacking", NULL, 78,
         "undefined symbol: function_that_nobody_has; link what defines it"},
        {"crashing", NULL, 78, "ended by signal 6"},
        {"answers", "no_such_symbol", 78, "has no symbol no_such_symbol"},
        {"answers", "function", 78, "no struct pf_app"},
        {"answers", "number", 78, "no struct pf_app"},
        {"answers", "nothing", 78, "neither routes nor"},
        {"answers", "both", 78, "or both"},
        {"answers", "nameless", 78, "no name"},
        {"answers", "old", 78, "compile it again"},
        {"answers", "newer_with", 78, "use a newer one"},
        {"answers", "wide", 78, "columns are wrong"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pf_test_server server;
        const char *word = rows[i].name ? module(rows[i].name, rows[i].symbol) : text;
        int status = pf_test_server_run(&server, ARGS(word));
        if (status != rows[i].status)
            fail_msg("%s: status %d, said: %s", word, status, server.text);
        assert_says(server.text, rows[i].says);
        assert_says(server.text, "prefork-server: APP ");
        const char *newline = strchr(server.text, '\n');
        assert_non_null(newline);
        assert_int_equal(newline[1], 0);
    }
    struct pf_test_server server;
    assert_int_equal(pf_test_server_run(&server, ARGS("/tmp")), 64);
    assert_says(server.text, "not a file");
    assert_int_equal(
        pf_test_server_run(&server, ARGS("--chroot", "/tmp", module("answers", NULL))), 64);
    assert_says(server.text, "--chroot /tmp: has no /proc");
    assert_says(server.text, "; add --preload\n");
    assert_int_equal(pf_test_server_run(
                         &server, ARGS("--boot-timeout", "50ms", module("hanging", NULL))),
                     78);
    assert_says(server.text, "not loaded in time");
    assert_int_equal(unlink(text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(a_module_is_loaded_in_each_worker),
        pf_test(a_preloaded_module_is_loaded_once_and_its_pre_fork_runs),
        pf_test(a_module_may_have_several_applications),
        pf_test(a_larger_application_is_taken_if_it_asks_for_nothing_new),
        pf_test(what_stands_behind_a_module_are_its_own_options),
        pf_test(a_programs_own_options_stand_among_the_servers),
        pf_test(the_applications_middleware_error_pages_and_limits_hold),
        pf_test(a_handler_finds_what_was_left_with_its_lane),
        pf_test(the_command_line_goes_before_the_applications_limits),
        pf_test(each_route_is_counted_over_all_workers_past_ones_too),
        pf_test(a_file_that_is_rebuilt_or_removed_changes_nothing_that_runs),
        pf_test(what_cannot_be_served_gets_one_line_that_says_why),
    };
    return cmocka_run_group_tests_name("module", tests, NULL, NULL);
}
