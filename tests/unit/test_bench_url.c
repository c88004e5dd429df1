/* What prefork-bench is pointed at: every form, and what is wrong with the others. */
#include "tests/lib/test.h"

#include "bench/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char why[256];

static void every_form_is_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum plan_protocol protocol;
        const char *authority, *address, *path;
    } rows[] = {
        {"http://a", PLAN_HTTP, "a", "a:80", "/"},
        {"http://a/", PLAN_HTTP, "a", "a:80", "/"},
        {"HTTP://a:8080/x?y=1", PLAN_HTTP, "a:8080", "a:8080", "/x?y=1"},
        {"http://a:/", PLAN_HTTP, "a", "a:80", "/"},
        {"http://a:?q", PLAN_HTTP, "a", "a:80", "/?q"},
        {"http://[::1]:/b", PLAN_HTTP, "[::1]", "[::1]:80", "/b"},
        {"http://a?q", PLAN_HTTP, "a", "a:80", "/?q"},
        {"http://a/b#c", PLAN_HTTP, "a", "a:80", "/b"},
        {"http://a#c", PLAN_HTTP, "a", "a:80", "/"},
        {"http://a/@b:c", PLAN_HTTP, "a", "a:80", "/@b:c"},
        {"http://127.0.0.1:1/", PLAN_HTTP, "127.0.0.1:1", "127.0.0.1:1", "/"},
        {"http://[::1]", PLAN_HTTP, "[::1]", "[::1]:80", "/"},
        {"http://[::1]:65535/a", PLAN_HTTP, "[::1]:65535", "[::1]:65535", "/a"},
        {"http://unixes/", PLAN_HTTP, "unixes", "unixes:80", "/"},
        {"http+unix:/run/a.sock:/b?c", PLAN_HTTP, "localhost", "unix:/run/a.sock", "/b?c"},
        {"http+unix:/run/a.sock", PLAN_HTTP, "localhost", "unix:/run/a.sock", "/"},
        {"http+unix:/run/a:b:/", PLAN_HTTP, "localhost", "unix:/run/a:b", "/"},
        {"http+unix:/a b:/", PLAN_HTTP, "localhost", "unix:/a b", "/"},
        {"http+unix:@name:/x#y", PLAN_HTTP, "localhost", "unix:@name", "/x"},
        {"http+unix:@name", PLAN_HTTP, "localhost", "unix:@name", "/"},
        {"tcp://a:7", PLAN_ECHO, "a:7", "a:7", ""},
        {"tcp://[::1]:7/", PLAN_ECHO, "[::1]:7", "[::1]:7", ""},
        {"tcp+unix:/run/echo", PLAN_ECHO, "localhost", "unix:/run/echo", ""},
        {"tcp+unix:@echo", PLAN_ECHO, "localhost", "unix:@echo", ""},
    };
    static struct url url;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        why[0] = 0;
        assert_int_equal(url_parse(rows[i].text, &url, why, sizeof why), 0);
        assert_string_equal(why, "");
        assert_int_equal(url.protocol, rows[i].protocol);
        assert_string_equal(url.authority, rows[i].authority);
        assert_string_equal(url.address, rows[i].address);
        assert_string_equal(url.path, rows[i].path);
    }
}

/* A row of a thousand bytes. */
#define TEN(x)      x x x x x x x x x x
#define THOUSAND(x) TEN(TEN(TEN(x)))

static void what_is_wrong_is_said_and_nothing_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *text, *phrase;
    } rows[] = {
        {"", "an empty URL"},
        {"http:", "must begin with http://"},
        {"127.0.0.1:80", "or tcp+unix:; write http://127.0.0.1:80"},
        {"ftp://a/", "must begin with http://"},
        {" http://a/", "must begin with http://"},
        {"https://a/", "TLS is not supported; use http://"},
        {"https+unix:/a", "TLS is not supported"},
        {"ws://a/", "WebSocket is not supported"},
        {"wss://a/", "WebSocket and TLS are not supported"},
        {"http://", "has no host"},
        {"http:///a", "has no host"},
        {"http://:80/", "has no host"},
        {"http://*:80/", "has no host to connect to"},
        {"http://u:p@a/", "has a user name"},
        {"http://:/", "has no host"},
        {"http://a::/", "1 to 65535"},
        {"tcp://a:", "has no port; write tcp://HOST:PORT"},
        {"http://a:0/", "1 to 65535"},
        {"http://a:65536/", "1 to 65535"},
        {"http://a:99999999999999999999/", "1 to 65535"},
        {"http://a:-1/", "1 to 65535"},
        {"http://a:8o/", "1 to 65535"},
        {"http://::1/", "in brackets"},
        {"http://udp:a:80/", "in brackets"},
        {"http://[::1/", "bracket"},
        {"http://[", "bracket"},
        {"http://udp:80/", "reads like a scheme"},
        {"http://UNIX/", "reads like a scheme"},
        {"http://a b/", "blanks"},
        {"http://a\r\nX: y/", "blanks"},
        {"http://a/b c", "percent-encode"},
        {"http://a/\r\nX:", "percent-encode"},
        {"http://a/\xc3\xa4", "percent-encode"},
        {"http://" THOUSAND("a"), "too long a host"},
        {"http+unix:", "must name a socket"},
        {"http+unix:a", "must name a socket"},
        {"http+unix:///run/a", "must name a socket"},
        {"http+unix:/", "no socket's name"},
        {"http+unix:@:/", "no socket's name"},
        {"http+unix:/a\n:/", "control characters"},
        {"http+unix:/a:/b c", "percent-encode"},
        {"http+unix:/" THOUSAND("a") ":/", "too long a socket's name"},
        {"tcp://a", "has no port"},
        {"tcp://", "has no host"},
        {"tcp://a:7/x", "has a path"},
        {"tcp://a:7?x", "has a path"},
        {"tcp+unix:a", "must name a socket"},
        {"tcp+unix:/a:/b", "has a path behind"},
    };
    static struct url url, before;
    memset(&url, 'x', sizeof url);
    before = url;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        why[0] = 0;
        assert_int_equal(url_parse(rows[i].text, &url, why, sizeof why), -EINVAL);
        if (!strstr(why, rows[i].phrase))
            fail_msg("%.60s: \"%s\" lacks \"%s\"", rows[i].text, why, rows[i].phrase);
        assert_memory_equal(&url, &before, sizeof url);
    }
}

static void a_path_has_a_limit(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        size_t most; /* bytes behind it */
    } rows[] = {
        {"http://a/", URL_PATH_MAX - 3},
        {"http://a?", URL_PATH_MAX - 3},
        {"http+unix:/a:/", URL_PATH_MAX - 3},
    };
    static char text[URL_PATH_MAX + 100];
    static struct url url;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t head = strlen(rows[i].head);
        memcpy(text, rows[i].head, head);
        memset(text + head, 'a', rows[i].most);
        text[head + rows[i].most] = 0;
        assert_int_equal(url_parse(text, &url, why, sizeof why), 0);
        assert_int_equal(url.path[strlen(url.path) - 1], 'a');
        assert_true(strlen(url.path) >= rows[i].most + 1);
        text[head + rows[i].most] = 'a';
        text[head + rows[i].most + 1] = 0;
        assert_int_equal(url_parse(text, &url, why, sizeof why), -EINVAL);
        assert_non_null(strstr(why, "too long a path"));
    }
}

/* Nothing that is accepted can break a request's head or reach another kind of socket. */
static void hostile_text_never_gets_through(void **state)
{
    (void)state;
    static const char alphabet[] = "/:@[]?#.*%-ax0 \r\n\t\x7f\xff";
    static const char *const schemes[] = {"http://", "http+unix:", "tcp://", "tcp+unix:"};
    static struct url url;
    unsigned seed = 1, accepted = 0;
    for (int i = 0; i < 200000; i++) {
        char text[64];
        size_t len = (size_t)snprintf(text, sizeof text, "%s", schemes[(unsigned)i % 4]);
        for (int n = rand_r(&seed) % 16; n > 0; n--)
            text[len++] = alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
        text[len] = 0;
        if (url_parse(text, &url, why, sizeof why) != 0) {
            assert_true(*why);
            continue;
        }
        accepted++;
        assert_null(strpbrk(url.authority, " \r\n\t\x7f\xff"));
        assert_null(strpbrk(url.path, " \r\n\t\x7f\xff#"));
        assert_int_equal(strncmp(url.address, "unix:", 5) == 0, i % 2);
        assert_int_not_equal(strncmp(url.address, "udp:", 4), 0);
    }
    assert_true(accepted > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(every_form_is_taken_apart),
        pf_test(what_is_wrong_is_said_and_nothing_is_written),
        pf_test(a_path_has_a_limit),
        pf_test(hostile_text_never_gets_through),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
