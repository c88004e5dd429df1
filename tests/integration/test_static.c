/* test_static.c - prefork-server static:DIR as curl meets it, and its command line. */
#include "tests/lib/server.h"
#include "tests/lib/tree.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define BIG       (4 * 1024 * 1024)

static struct pf_test_server server;
static char said[2 * BIG];

static void start_with(const char *const options[])
{
    const char *args[16] = {"-w", "2"};
    static char app[PATH_MAX + 16];
    size_t count = 2;
    for (; *options; options++)
        args[count++] = *options;
    snprintf(app, sizeof app, "static:%s/www", pf_tree_root);
    args[count] = app;
    pf_test_server_start(&server, args);
}

static void stop(void)
{
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* Run curl with these arguments and the URL of `path` at the end; what it says is in
 * `said`. Returns how much. */
static size_t curl(const char *path, const char *const args[])
{
    char url[512];
    const char *argv[24] = {"curl", "--silent", "--show-error", "--path-as-is",
                            "--max-time"};
    size_t count = 5, len = 0;
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", PF_TEST_DEADLINE_S);
    argv[count++] = seconds;
    for (; *args; args++)
        argv[count++] = *args;
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port, path);
    argv[count] = url;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (dup2(pipes[1], STDOUT_FILENO) >= 0 && close(pipes[0]) == 0 &&
            close(pipes[1]) == 0)
            execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(pipes[1]);
    ssize_t n;
    while ((n = read(pipes[0], said + len, sizeof said - 1 - len)) > 0)
        len += (size_t)n;
    close(pipes[0]);
    said[len] = '\0';
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return len;
}

#define curl(path, ...) (curl)((path), ((const char *const[]){__VA_ARGS__, NULL}))

static bool has(const char *text)
{
    return strstr(said, text) != NULL;
}

static void plant(void)
{
    pf_tree_put("www/index.html", "<p>index");
    pf_tree_put("www/site.css", "p {}");
    pf_tree_put("www/sub/a.txt", "0123456789");
    pf_tree_put("www/.hidden", "hidden");
    pf_tree_put("outside.txt", "outside");
    pf_tree_link("www/out", "../outside.txt");
}

/* ---- serving --------------------------------------------------------------------- */

static void curl_gets_files_below_the_directory_and_no_others(void **state)
{
    (void)state;
    pf_test_skip_without("curl");
    static const struct {
        const char *path, *answer;
    } rows[] = {
        {"/", "<p>index 200 text/html; charset=utf-8"},
        {"/index.html?x", "<p>index 200 text/html; charset=utf-8"},
        {"/site.css", "p {} 200 text/css; charset=utf-8"},
        {"/sub/a.txt", "0123456789 200 text/plain; charset=utf-8"},
        {"/none", "Not Found\r\n 404 text/plain"},
        {"/out", "Not Found\r\n 404 text/plain"},
        {"/../outside.txt", "Not Found\r\n 404 text/plain"},
        {"/%2e%2e/outside.txt", "Not Found\r\n 404 text/plain"},
        {"/sub/", "Not Found\r\n 404 text/plain"},
        {"/.hidden", "Forbidden\r\n 403 text/plain"},
    };
    plant();
    start_with(ARGS("--pin", "none"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        curl(rows[i].path, "-w", " %{http_code} %{content_type}");
        assert_string_equal(said, rows[i].answer);
    }
    stop();
}

static void curl_resumes_revalidates_and_follows(void **state)
{
    (void)state;
    pf_test_skip_without("curl");
    char tag[64];
    plant();
    start_with(ARGS("--cache-control", "max-age=60"));
    curl("/sub/a.txt", "-I");
    assert_true(has("HTTP/1.1 200 OK\r\n"));
    assert_true(has("\r\nContent-Length: 10\r\n"));
    assert_true(has("\r\nAccept-Ranges: bytes\r\n"));
    assert_true(has("\r\nCache-Control: max-age=60\r\n"));
    curl("/sub/a.txt", "-C", "7");
    assert_string_equal(said, "789");
    curl("/sub/a.txt", "-r", "2-3", "-i");
    assert_true(has("HTTP/1.1 206 Partial Content\r\n"));
    assert_true(has("\r\nContent-Range: bytes 2-3/10\r\n"));
    curl("/sub/a.txt", "-r", "0-1,4-5", "-w", "%{http_code} %{content_type}");
    assert_true(has("206 multipart/byteranges; boundary="));
    curl("/sub/a.txt", "-D-", "-o", "/dev/null");
    const char *at = strstr(said, "\r\nETag: ");
    assert_non_null(at);
    snprintf(tag, sizeof tag, "If-None-Match: %.*s", (int)strcspn(at + 8, "\r"), at + 8);
    curl("/sub/a.txt", "-H", tag, "-w", "%{http_code} %{size_download}");
    assert_string_equal(said, "304 0");
    curl("/sub", "-L", "-w", " %{num_redirects} %{http_code}");
    assert_string_equal(said, "Not Found\r\n 1 404");
    stop();
}

static void a_big_file_comes_whole_over_tcp(void **state)
{
    (void)state;
    pf_test_skip_without("curl");
    char *content = malloc(BIG + 1);
    assert_non_null(content);
    for (size_t i = 0; i < BIG; i++)
        content[i] = (char)('a' + i * 7 % 26 + i / 65536 % 5);
    content[BIG] = '\0';
    pf_tree_put("www/big.bin", content);
    start_with(ARGS("--threads", "2"));
    assert_int_equal(curl("/big.bin", "--limit-rate", "100M"), BIG);
    assert_memory_equal(said, content, BIG);
    free(content);
    stop();
}

static void index_and_listing_are_as_the_options_say(void **state)
{
    (void)state;
    pf_test_skip_without("curl");
    plant();
    start_with(ARGS("--index", "a.txt", "--listing"));
    curl("/sub/", "-w", " %{content_type}");
    assert_string_equal(said, "0123456789 text/plain; charset=utf-8");
    curl("/", "-i");
    assert_true(has("<a href=\"sub/\">sub/</a>"));
    assert_false(has("hidden"));
    stop();
    start_with(ARGS("--index", ""));
    curl("/", "-w", " %{http_code}");
    assert_string_equal(said, "Not Found\r\n 404");
    stop();
}

/* ---- the command line ------------------------------------------------------------ */

static void a_directory_or_option_that_is_wrong_is_told_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *args[4];
        const char *message;
    } rows[] = {
        {{"static:"}, "APP static:: has no directory; use static:DIR"},
        {{"static:/none/there"},
         "APP static:/none/there: No such file or directory; name a directory"},
        {{"static:/dev/null"}, "APP static:/dev/null: Not a directory"},
        {{"--index", "a/b", "static:/"}, "--index a/b: must be the name of a file"},
        {{"--index", ".a", "static:/"}, "--index .a: must be the name of a file"},
        {{"--cache-control", "a\nb", "static:/"}, "must be the value of a field"},
        {{"static:/", "hello"}, "hello: unexpected after APP static:/"},
        {{"--listing", "hello"}, "--listing: only for APP static:DIR"},
        {{"--index", "a"}, "--index: only for APP static:DIR"},
        {{"static"}, "APP static: unknown; use hello, echo, static:DIR, or a module"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(pf_test_server_run(&server, rows[i].args), 64);
        if (!strstr(server.text, rows[i].message))
            fail_msg("%s: said %s", rows[i].message, server.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_tree_test(curl_gets_files_below_the_directory_and_no_others),
        pf_tree_test(curl_resumes_revalidates_and_follows),
        pf_tree_test(a_big_file_comes_whole_over_tcp),
        pf_tree_test(index_and_listing_are_as_the_options_say),
        pf_tree_test(a_directory_or_option_that_is_wrong_is_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
