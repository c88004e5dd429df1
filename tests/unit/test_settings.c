/* test_settings.c - a server's options, taken together: which ones contradict. */
#include "tests/lib/test.h"

#include "server/settings.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX 8

/* What is wrong with this command line, "" if nothing is. NULL: not even that can be read.
 */
static const char *check(const char *const words[WORDS_MAX])
{
    static char error[1024];
    static struct pf__settings settings;
    char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "prefork-server"};
    int argc = 1;
    for (; argc <= WORDS_MAX && words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    memset(&settings, 0, sizeof settings);
    error[0] = '\0';
    if (pf__settings_parse(argc, argv, pf__apps, &settings, error) != argc)
        return NULL;
    int status = pf__settings_check(&settings, error, sizeof error);
    assert_int_equal(status, *error ? PF_EXIT_USAGE : PF_EXIT_OK);
    return error;
}

static void options_that_contradict_are_refused_with_a_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX + 1];
        const char *says; /* how the line begins */
        const char *remedy;
    } rows[] = {
        {{"--hang-soft", "5", "--hang-hard", "4s"},
         "--hang-soft 5s: more than --hang-hard, which is 4s",
         "lower it, or raise the other"},
        {{"--hang-soft", "31"}, "--hang-soft 31s: more than --hang-hard, which is 30s", ""},
        {{"--hang-hard", "1.5s"},
         "--hang-hard 1500ms: less than --hang-soft, which is 2s",
         "raise it, or lower the other"},
        {{"--soft-connections", "51", "--max-connections", "50"},
         "--soft-connections 51: never reached, for --max-connections is 50",
         "lower it"},
        {{"--client-connections", "51", "--max-connections", "50"},
         "--client-connections 51: never reached, for --max-connections is 50",
         "lower it"},
        {{"--unix-mode", "660"},
         "--unix-mode 660: no address is a unix socket",
         "add --bind unix:/PATH, or leave it out"},
        {{"--unix-mode", "7", "-b", ":80", "-b", "unix:@x"},
         "--unix-mode 7: no address is",
         "leave it out"},
        {{"--defer-accept", "5", "-b", "unix:/x"},
         "--defer-accept 5s: no address is TCP",
         "add one, or leave it out"},
        {{"--defer-accept", "5", "-b", "udp::80", "-b", "unix:@x"},
         "--defer-accept 5s: no",
         "leave it out"},
        {{"--fast-open", "9", "-b", "unix:/x"},
         "--fast-open 9: no address is TCP",
         "add one, or leave it out"},
        {{"--steer", "cpu", "--accept", "exclusive"},
         "--steer cpu: ",
         "with --accept exclusive there is one; leave one of the two out"},
        {{"--steer", "cpu", "--accept", "shared"}, "--steer cpu: ", "--accept shared"},
        {{"--steer", "cpu", "--pin", "none"},
         "--steer cpu: needs loops that are pinned",
         "leave out --pin none"},
        {{"--nic", "lo", "--pin", "none"},
         "--nic lo: chooses CPUs, and --pin none wants",
         "leave one of the two out"},
        {{"--nic", "lo", "--pin", "1,0"},
         "--nic lo: chooses CPUs, and --pin 1,0 names",
         "leave one of the two out"},
        {{"--access-log-format", "json"},
         "--access-log-format json: there is no such log",
         "add --access-log PATH, or leave it out"},
        {{"--daemon", "--access-log", "-"},
         "--access-log -: is standard output",
         "name a file, or stderr"},
        {{"--trusted", "10.0.0.0/8,::1"},
         "--trusted 10.0.0.0/8,::1: nothing is taken",
         "add --xheaders or --proxy-protocol, or leave it out"},
        {{"--pid-file", "/x", "--ctl", "/x"},
         "--ctl /x: is the path of --pid-file",
         "name another"},
        {{"--pid-file", "/x", "--access-log", "/x"},
         "--access-log /x: is the path of --pid",
         "name another"},
        {{"--ctl", "/x", "--access-log", "/x"},
         "--access-log /x: is the path of --ctl",
         "name another"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *says = check(rows[i].words);
        if (!says || strncmp(says, rows[i].says, strlen(rows[i].says)) != 0 ||
            !strstr(says, rows[i].remedy))
            fail_msg("not \"%s\": %s", rows[i].says, says ? says : "unreadable");
        assert_non_null(strstr(says, "; ")); /* in front of the remedy */
        assert_null(strchr(says, '\n'));
    }
}

static void options_that_go_together_do(void **state)
{
    (void)state;
    static const char *const rows[][WORDS_MAX + 1] = {
        {NULL},
        {"--hang-soft", "5", "--hang-hard", "5s"},
        {"--hang-soft", "30"},
        {"--hang-hard", "2"},
        {"--soft-connections", "50", "--max-connections", "50"},
        {"--soft-connections", "50", "--client-connections", "70"},
        {"--client-connections", "50", "--max-connections", "50"},
        {"--unix-mode", "660", "-b", ":80", "-b", "unix:/x"},
        {"--defer-accept", "5"},
        {"--defer-accept", "5", "-b", "unix:/x", "-b", "[::1]:80"},
        {"--fast-open", "5", "-b", "a:80", "-b", "unix:/x"},
        {"--steer", "cpu"},
        {"--steer", "cpu", "--pin", "1,0"},
        {"--steer", "hash", "--accept", "shared", "--pin", "none"},
        {"--nic", "lo"},
        {"--nic", "lo", "--pin", "strict"},
        {"--access-log-format", "combined"},
        {"--access-log-format", "json", "--access-log", "/x"},
        {"--access-log", "-"},
        {"--daemon", "--access-log", "stderr"},
        {"--trusted", "::1", "--xheaders"},
        {"--trusted", "::1", "--proxy-protocol"},
        {"--xheaders"},
        {"--pid-file", "/x", "--ctl", "/y", "--access-log", "/z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(check(rows[i]), "");
}

static const struct pf__facts http = {.name = "web", .http = true};
static const struct pf__facts raw = {.name = "lines", .http = false};

static void what_the_application_would_not_heed_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct pf__settings settings;
        const struct pf__facts *facts;
        bool is_module;
        const char *says; /* "": nothing */
    } rows[] = {
        {{0}, &http, false, ""},
        {{0}, &raw, true, ""},
        {{.http = {.xheaders = true}},
         &raw,
         false,
         "--xheaders: lines speaks no HTTP; leave"},
        {{.http = {.proxy_protocol = true}}, &raw, false, "--proxy-protocol: lines speaks"},
        {{.access_log = "-"}, &raw, true, "--access-log: lines speaks no HTTP; leave"},
        {{.http = {.head_timeout_ns = 1}}, &raw, false, "--head-timeout: lines speaks no"},
        {{.http = {.idle_timeout_ns = 1}}, &raw, false, "--idle-timeout: lines speaks no"},
        {{.http = {.body_timeout_ns = 1}}, &raw, false, "--body-timeout: lines speaks no"},
        {{.http = {.body_max = 1}}, &raw, false, "--body-max: lines speaks no HTTP"},
        {{.http = {.requests_max = 1}},
         &raw,
         false,
         "--requests-max: lines speaks no HTTP"},
        {{.http = {.age_max_ns = 1}}, &raw, false, "--age-max: lines speaks no HTTP"},
        {{.http = {.xheaders = true, .body_max = 1}, .access_log = "-"}, &http, false, ""},
        {{.preload = true}, &http, true, ""},
        {{.preload = true}, &http, false, "--preload: web is no module; leave it out"},
        {{.chroot = "/none"}, &http, false, ""},
        {{.chroot = "/none"},
         &http,
         true,
         "--chroot /none: has no /proc, which workers need "
         "to load web; add --preload"},
        {{.chroot = "/none", .preload = true}, &http, true, ""},
        {{.chroot = "/"}, &http, true, ""}, /* has /proc */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char error[512] = "";
        int status = pf__settings_check_app(&rows[i].settings, rows[i].facts,
                                            rows[i].is_module, error, sizeof error);
        assert_int_equal(status, *rows[i].says ? PF_EXIT_USAGE : PF_EXIT_OK);
        if (strncmp(error, rows[i].says, strlen(rows[i].says)) != 0 ||
            !*error != !*rows[i].says)
            fail_msg("not \"%s\": %s", rows[i].says, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(options_that_contradict_are_refused_with_a_remedy),
        pf_test(options_that_go_together_do),
        pf_test(what_the_application_would_not_heed_is_refused),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
