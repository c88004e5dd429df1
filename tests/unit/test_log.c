/* test_log.c - one event, one line, one write. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <prefork/log.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static char got[PF_LOG_LINE_MAX + 16];
static size_t got_len;
static int got_lines;
static enum pf_log_level got_level;

static pf_log_sink_fn keep_line;
static void keep_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    assert_ptr_equal(arg, got);
    assert_int_equal(strlen(line), len);
    assert_true(len <= PF_LOG_LINE_MAX);
    memcpy(got, line, len + 1);
    got_len = len;
    got_level = level;
    got_lines++;
}

static int keep_lines(void **state)
{
    got_lines = 0;
    pf_log_set_role("test");
    pf_log_set_level(PF_LOG_INFO);
    pf_log_set_format(PF_LOG_PLAIN);
    pf_log_set_sink(keep_line, got);
    return pf_test_setup(state);
}

static int leave_lines(void **state)
{
    pf_log_set_format(PF_LOG_PLAIN);
    pf_log_set_sink(NULL, NULL);
    return pf_test_teardown(state);
}

/* Assert that the last line is "<level> test <our pid> <rest>". */
static void assert_line(const char *level, const char *rest)
{
    char expected[2 * PF_LOG_LINE_MAX];
    (void)snprintf(expected, sizeof expected, "%s test %d %s", level, (int)getpid(), rest);
    assert_string_equal(got, expected);
}

static void a_line_names_level_role_pid_and_event(void **state)
{
    (void)state;
    pf_log(PF_LOG_INFO, "worker-ready", "worker=%d cpu=%d", 0, 3);
    assert_line("info", "worker-ready worker=0 cpu=3");
    assert_int_equal(got_level, PF_LOG_INFO);
    pf_log(PF_LOG_ERROR, "gone", "%s", "why=\"no space\"");
    assert_line("error", "gone why=\"no space\"");
}

static void an_event_without_values_has_no_space_at_its_end(void **state)
{
    (void)state;
    const char *empty = "";
    pf_log(PF_LOG_WARN, "bare", "%s", empty);
    assert_line("warn", "bare");
}

static void events_below_the_level_are_dropped(void **state)
{
    (void)state;
    pf_log(PF_LOG_DEBUG, "unseen", "x=%d", 1);
    assert_int_equal(got_lines, 0);
    assert_false(pf_log_enabled(PF_LOG_DEBUG));
    assert_true(pf_log_enabled(PF_LOG_INFO));

    pf_log_set_level(PF_LOG_DEBUG);
    pf_log(PF_LOG_DEBUG, "seen", "x=%d", 1);
    assert_line("debug", "seen x=1");

    pf_log_set_level(PF_LOG_ERROR);
    pf_log(PF_LOG_WARN, "unseen", "x=%d", 1);
    assert_int_equal(got_lines, 1);
}

/* ---- names ----------------------------------------------------------------------- */

static void a_name_stands_in_front_of_the_values(void **state)
{
    (void)state;
    const char *empty = "";
    pf_log_named("app.db", PF_LOG_INFO, "query", "ms=%d", 3);
    assert_line("info", "query log=app.db ms=3");
    assert_int_equal(got_level, PF_LOG_INFO);
    pf_log_named("app", PF_LOG_WARN, "bare", "%s", empty);
    assert_line("warn", "bare log=app");
    pf_log_named(NULL, PF_LOG_WARN, "nobodys", "x=%d", 1);
    assert_line("warn", "nobodys x=1");
    pf_log_named("", PF_LOG_WARN, "nobodys", "x=%d", 2);
    assert_line("warn", "nobodys x=2");
    pf_log_named("a\nb", PF_LOG_INFO, "e", "x=%d", 1); /* whatever it is: one line */
    assert_line("info", "e log=a\\x0ab x=1");
    pf_log_set_format(PF_LOG_PRETTY);
    pf_log_named("app.db", PF_LOG_INFO, "query", "ms=%d", 3);
    assert_non_null(strstr(got, "] query log=app.db ms=3"));
    pf_log_set_format(PF_LOG_JSON);
    pf_log_named("app.db", PF_LOG_INFO, "query", "ms=%d", 3);
    assert_string_equal(strstr(got, "\"event\""),
                        "\"event\":\"query\",\"log\":\"app.db\",\"text\":\"ms=3\"}");
    pf_log_named("a\"b", PF_LOG_INFO, "query", "%s", empty);
    assert_string_equal(strstr(got, "\"event\""),
                        "\"event\":\"query\",\"log\":\"a\\\"b\"}");
}

static void assert_level(const char *name, enum pf_log_level level)
{
    for (enum pf_log_level at = PF_LOG_DEBUG; at <= PF_LOG_ERROR; at++) {
        if (pf_log_named_enabled(name, at) != (at >= level))
            fail_msg("%s at %d", name ? name : "all", at);
        int lines = got_lines;
        pf_log_named(name, at, "e", "x=%d", 1);
        assert_int_equal(got_lines - lines, at >= level);
    }
}

struct level_row {
    const char *levels, *name;
    enum pf_log_level level;
};

static void see_level(void *arg)
{
    const struct level_row *row = arg;
    char why[128] = "unchanged";
    assert_int_equal(pf_log_set_levels(row->levels, why, sizeof why), 0);
    assert_string_equal(why, "unchanged");
    assert_level(row->name, row->level);
}

static void the_level_of_a_name_is_that_of_the_nearest_above_it(void **state)
{
    (void)state;
    static struct level_row rows[] = {
        {"info", "app", PF_LOG_INFO},
        {"error", "app", PF_LOG_ERROR}, /* nobody's is everybody's */
        {"error", NULL, PF_LOG_ERROR},
        {"error", "", PF_LOG_ERROR},
        {"info,app=debug", "app", PF_LOG_DEBUG},
        {"info,app=debug", "app.db", PF_LOG_DEBUG},
        {"info,app=debug", "app.db.pool", PF_LOG_DEBUG},
        {"info,app=debug", "app-db", PF_LOG_INFO},
        {"info,app=debug", "appdb", PF_LOG_INFO},
        {"info,app=debug", "ap", PF_LOG_INFO},
        {"info,app=debug", "a.app", PF_LOG_INFO},
        {"info,app=debug", NULL, PF_LOG_INFO},
        {"info,app=debug,app.db=error", "app.db", PF_LOG_ERROR},
        {"info,app.db=error,app=debug", "app.db", PF_LOG_ERROR}, /* in any order */
        {"info,app.db=error,app=debug", "app.db.pool", PF_LOG_ERROR},
        {"info,app.db=error,app=debug", "app.dbx", PF_LOG_DEBUG},
        {"info,app.db=error,app=debug", "app", PF_LOG_DEBUG},
        {"error,app.db=info,app=warn", "app.db.pool", PF_LOG_INFO}, /* its parent's more */
        {"app=warn", "app", PF_LOG_WARN}, /* alone: the rest stays */
        {"app=warn", NULL, PF_LOG_INFO},
        {"debug,warn,app=info,app=error", "app", PF_LOG_ERROR}, /* the last one counts */
        {"debug,warn,app=info,app=error", NULL, PF_LOG_WARN},
        {"A-9_z.0=warn", "A-9_z.0", PF_LOG_WARN},
        {"App=warn", "app", PF_LOG_INFO}, /* as it is written */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        pf_test_in_child(see_level, &rows[i]); /* names stay */
}

static void levels_that_are_wrong_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *levels, *bad;
    } rows[] = {
        {"", "not \"\""},
        {"loud", "not \"loud\""},
        {"INFO", "not \"INFO\""},
        {"information", "not \"information\""},
        {",error", "not \"\""},
        {"error,", "not \"\""},
        {"error,,w=error", "not \"\""},
        {"error,w", "not \"w\""},
        {"error,w=", "not \"w=\""},
        {"error,=debug", "not \"=debug\""},
        {"error,w=debug=info", "not \"w=debug=info\""},
        {"error,w=debug,w.=info", "not \"w.=info\""},
        {"error,.w=info", "not \".w=info\""},
        {"error,w..x=info", "not \"w..x=info\""},
        {"error,w x=info", "not \"w x=info\""},
        {"error, w=info", "not \" w=info\""},
        {"error,w\xc3\xbc=info", "not \"w\xc3\xbc=info\""},
        {"w.0123456789.0123456789.0123456789.0123456789.0123456789.01234567=info",
         "not \"w.0"},
    };
    assert_int_equal(pf_log_set_levels("warn,w=warn", NULL, 0), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char why[256] = "";
        assert_int_equal(pf_log_set_levels(rows[i].levels, why, sizeof why), -EINVAL);
        if (!strstr(why, rows[i].bad))
            fail_msg("%s: %s", rows[i].levels, why);
        assert_non_null(strstr(why, "info,app.db=debug"));
        assert_int_equal(pf_log_set_levels(rows[i].levels, NULL, 0), -EINVAL);
        assert_level(NULL, PF_LOG_WARN);
        assert_level("w", PF_LOG_WARN);
    }
    assert_int_equal(pf_log_set_levels(NULL, NULL, 0), -EINVAL);
    assert_int_equal(pf_log_set_named_level(NULL, PF_LOG_INFO), -EINVAL);
    assert_int_equal(pf_log_set_named_level("", PF_LOG_INFO), -EINVAL);
    assert_int_equal(pf_log_set_named_level("w=info", PF_LOG_INFO), -EINVAL);
}

static void fill_names(void *arg)
{
    (void)arg;
    char name[PF_LOG_NAME_MAX], why[128] = "";
    int count = 0, err;
    memset(name, 'n', sizeof name - 1); /* the longest */
    name[sizeof name - 1] = '\0';
    assert_int_equal(pf_log_set_named_level("w", PF_LOG_ERROR), 0);
    do {
        name[sizeof name - 3] = (char)('0' + count / 10);
        name[sizeof name - 2] = (char)('0' + count % 10);
        count++;
        err = pf_log_set_named_level(name, PF_LOG_ERROR);
    } while (!err);
    assert_int_equal(err, -ENOSPC);
    assert_in_range(count, 2, PF_LOG_NAMES_MAX);
    assert_level(name, PF_LOG_INFO);
    assert_int_equal(pf_log_set_levels("error,one.more=debug", why, sizeof why), -ENOSPC);
    assert_string_equal(why, "must have at most 32 names");
    assert_level(NULL, PF_LOG_INFO);
    name[sizeof name - 3] = name[sizeof name - 2] = '0';
    assert_level(name, PF_LOG_ERROR);
    assert_int_equal(pf_log_set_levels("debug,w=warn", why, sizeof why), 0); /* known */
    assert_level("w.x", PF_LOG_WARN);
}

static void there_are_not_more_names_than_places(void **state)
{
    (void)state;
    pf_test_in_child(fill_names, NULL); /* they stay */
}

static void *set_many(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "race.%d", i % 8);
        assert_int_equal(pf_log_set_named_level(name, *(enum pf_log_level *)arg), 0);
        if (!pf_log_named_enabled(name, PF_LOG_ERROR))
            return arg; /* it has never had such a level */
    }
    return NULL;
}

static void set_in_threads(void *arg)
{
    (void)arg;
    pthread_t threads[2];
    static enum pf_log_level levels[] = {PF_LOG_DEBUG, PF_LOG_ERROR};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, set_many, &levels[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    for (int i = 0; i < 8; i++) { /* whoever was the last: it can be set */
        char name[32];
        (void)snprintf(name, sizeof name, "race.%d", i);
        assert_int_equal(pf_log_set_named_level(name, PF_LOG_WARN), 0);
        assert_level(name, PF_LOG_WARN);
    }
}

static void any_thread_may_set_levels(void **state)
{
    (void)state;
    pf_test_in_child(set_in_threads, NULL);
}

static void control_bytes_cannot_make_a_second_line(void **state)
{
    (void)state;
    pf_log(PF_LOG_INFO, "request", "path=%s", "/a\r\nerror master 1 fake\t\x1b[2J\x7f\x01");
    assert_line("info",
                "request path=/a\\x0d\\x0aerror master 1 fake\\x09\\x1b[2J\\x7f\\x01");
}

static void bytes_above_ascii_pass_unchanged(void **state)
{
    (void)state;
    pf_log(PF_LOG_INFO, "name", "is=%s", "gr\xc3\xbc\xc3\x9f\xff");
    assert_line("info", "name is=gr\xc3\xbc\xc3\x9f\xff");
}

/* The length of "info test <pid> e " */
static int head_len(void)
{
    return snprintf(NULL, 0, "info test %d e ", (int)getpid());
}

static void a_line_of_the_greatest_length_is_whole(void **state)
{
    (void)state;
    char text[PF_LOG_LINE_MAX + 1];
    memset(text, 'x', sizeof text);
    int fits = PF_LOG_LINE_MAX - head_len();
    pf_log(PF_LOG_INFO, "e", "%.*s", fits, text);
    assert_int_equal(got_len, PF_LOG_LINE_MAX);
    assert_int_equal(got[got_len - 1], 'x');

    pf_log(PF_LOG_INFO, "e", "%.*s", fits + 1, text);
    assert_int_equal(got_len, PF_LOG_LINE_MAX);
    assert_string_equal(got + got_len - 4, "x...");
}

static void a_much_longer_line_is_cut(void **state)
{
    (void)state;
    static char text[100000];
    memset(text, 'x', sizeof text - 1);
    pf_log(PF_LOG_INFO, "e", "%s", text);
    assert_int_equal(got_len, PF_LOG_LINE_MAX);
    assert_string_equal(got + got_len - 4, "x...");

    pf_log(PF_LOG_INFO, text, "a=%d", 1);
    assert_int_equal(got_len, PF_LOG_LINE_MAX);
    assert_string_equal(got + got_len - 4, "x...");
}

static void an_escape_is_never_cut_in_half(void **state)
{
    (void)state;
    char text[PF_LOG_LINE_MAX];
    memset(text, '\n', sizeof text);
    for (int shift = 0; shift < 4; shift++) {
        pf_log(PF_LOG_INFO, "e", "%.*s%.*s", shift, "abcd", PF_LOG_LINE_MAX / 2, text);
        assert_in_range(got_len, PF_LOG_LINE_MAX - 3, PF_LOG_LINE_MAX);
        assert_string_equal(got + got_len - 7, "\\x0a...");
    }
}

static void a_long_role_is_cut(void **state)
{
    (void)state;
    char expected[64];
    pf_log_set_role("0123456789012345678901234567890123456789");
    pf_log(PF_LOG_INFO, "e", "%s", "");
    (void)snprintf(expected, sizeof expected, "info 0123456789012345678901234567890 %d e",
                   (int)getpid());
    assert_string_equal(got, expected);
}

static pf_log_sink_fn fail_with_errno;
static void fail_with_errno(enum pf_log_level level, const char *line, size_t len,
                            void *arg)
{
    keep_line(level, line, len, arg);
    errno = EIO;
}

static void errno_is_kept(void **state)
{
    (void)state;
    pf_log_set_sink(fail_with_errno, got);
    errno = ENOSPC;
    pf_log(PF_LOG_INFO, "e", "x=%d", 1);
    assert_int_equal(errno, ENOSPC);
    assert_line("info", "e x=1");
}

static void log_in_child(void *arg)
{
    (void)arg;
    pf_log(PF_LOG_INFO, "child", "x=%d", 1);
    assert_line("info", "child x=1"); /* with the child's pid */
}

static void a_child_logs_as_its_parent_but_with_its_own_pid(void **state)
{
    (void)state;
    pf_test_in_child(log_in_child, NULL);
    pf_test_in_raw_clone(log_in_child, NULL);
}

/* ---- formats --------------------------------------------------------------------- */

/* What stands behind `head` and a time of these minutes. */
static const char *behind_time(const char *line, const char *head, const char *format)
{
    time_t now = time(NULL);
    struct tm tm = {.tm_isdst = -1};
    assert_memory_equal(line, head, strlen(head));
    const char *rest = strptime(line + strlen(head), format, &tm);
    assert_non_null(rest);
    time_t then = format[1] == 'y' ? mktime(&tm) : timegm(&tm);
    assert_true(then <= now + 1 && then > now - 600);
    return rest;
}

static void a_pretty_line_begins_with_level_time_and_who(void **state)
{
    (void)state;
    static const struct {
        enum pf_log_level level;
        const char *head;
    } rows[] = {{PF_LOG_DEBUG, "[D "},
                {PF_LOG_INFO, "[I "},
                {PF_LOG_WARN, "[W "},
                {PF_LOG_ERROR, "[E "}};
    char expected[64];
    (void)snprintf(expected, sizeof expected, " test:%d] e x=\\x0a", (int)getpid());
    pf_log_set_format(PF_LOG_PRETTY);
    pf_log_set_level(PF_LOG_DEBUG);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pf_log(rows[i].level, "e", "x=%s", "\n");
        assert_string_equal(behind_time(got, rows[i].head, "%y%m%d %H:%M:%S"), expected);
    }
}

static void a_line_of_json_has_its_parts(void **state)
{
    (void)state;
    char expected[160];
    pf_log_set_format(PF_LOG_JSON);
    pf_log(PF_LOG_WARN, "e", "why=%s", "\"no\\\n\xc3\xbc\"");
    (void)snprintf(expected, sizeof expected,
                   "Z\",\"level\":\"warn\",\"role\":\"test\",\"pid\":%d,\"event\":\"e\","
                   "\"text\":\"why=\\\"no\\\\\\\\x0a\\\\xc3\\\\xbc\\\"\"}",
                   (int)getpid());
    const char *rest = behind_time(got, "{\"time\":\"", "%Y-%m-%dT%H:%M:%S");
    assert_int_equal(rest[0], '.');
    assert_string_equal(rest + 4, expected);
    const char *empty = "";
    pf_log(PF_LOG_INFO, "e", "%s", empty);
    assert_string_equal(strstr(got, "\"event\""), "\"event\":\"e\"}");
}

/* A string is open at a quote that no backslash precedes. */
static void assert_is_whole_object(void)
{
    bool open = false;
    for (size_t i = 0; i < got_len; i++) {
        if (open && got[i] == '\\')
            i++;
        else if (got[i] == '"')
            open = !open;
    }
    assert_false(open);
    assert_string_equal(got + got_len - 5, "...\"}");
}

static void a_line_of_json_that_is_cut_is_whole(void **state)
{
    (void)state;
    static char text[2 * PF_LOG_LINE_MAX];
    pf_log_set_format(PF_LOG_JSON);
    memset(text, '"', sizeof text - 1);
    for (int shift = 0; shift < 8; shift++) {
        pf_log(PF_LOG_INFO, "e", "%.*s%s", shift, "xxxxxxxx", text);
        assert_in_range(got_len, PF_LOG_LINE_MAX - 8, PF_LOG_LINE_MAX);
        assert_is_whole_object();
        pf_log(PF_LOG_INFO, text + shift, "x=%d", 1);
        assert_is_whole_object();
    }
    memset(text, 'x', sizeof text - 1);
    for (size_t len = PF_LOG_LINE_MAX - 160; len < PF_LOG_LINE_MAX; len++) {
        pf_log(PF_LOG_INFO, text + sizeof text - 1 - len, "%s", text);
        assert_is_whole_object();
    }
}

/* ---- standard error -------------------------------------------------------------- */

static int saved_stderr;

static void replace_stderr(int fd)
{
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(saved_stderr >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    pf_log_set_sink(NULL, NULL);
}

static void restore_stderr(void)
{
    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(close(saved_stderr), 0);
}

static void a_line_is_one_write_to_standard_error(void **state)
{
    (void)state;
    char line[2048];
    int pair[2]; /* keeps each write apart */
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    replace_stderr(pair[1]);
    pf_log(PF_LOG_INFO, "first", "a=%d", 1);
    pf_log(PF_LOG_INFO, "second", "%s", "");
    restore_stderr();

    ssize_t n = recv(pair[0], line, sizeof line - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    line[n] = '\0';
    assert_string_equal(strstr(line, "first"), "first a=1\n");
    n = recv(pair[0], line, sizeof line - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    line[n] = '\0';
    assert_string_equal(strstr(line, "second"), "second\n");
    assert_int_equal(recv(pair[0], line, sizeof line, MSG_DONTWAIT), -1);
    close(pair[0]);
    close(pair[1]);
}

static void a_log_that_cannot_be_written_harms_nobody(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    replace_stderr(full);
    errno = EXDEV;
    pf_log(PF_LOG_ERROR, "lost", "%s", "");
    assert_int_equal(errno, EXDEV);
    restore_stderr();
    close(full);
}

static void a_log_that_nobody_reads_holds_up_nobody_and_says_what_it_lost(void **state)
{
    (void)state;
    int ends[2];
    char bytes[4096];
    memset(bytes, 'f', sizeof bytes);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        ;
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0); /* a write would block from now on */
    replace_stderr(ends[1]);
    pf_log(PF_LOG_INFO, "first", "%s", "");
    pf_log(PF_LOG_INFO, "second", "%s", "");
    while (read(ends[0], bytes, sizeof bytes) > 0)
        ;
    pf_log(PF_LOG_INFO, "third", "%s", "");
    restore_stderr();

    ssize_t n = read(ends[0], bytes, sizeof bytes - 1);
    assert_true(n > 0);
    bytes[n] = '\0';
    assert_non_null(strstr(bytes, "log-lines-lost count=2\n"));
    assert_non_null(strstr(bytes, "third"));
    assert_null(strstr(bytes, "second"));
    close(ends[1]);
    close(ends[0]);
}

/* Returns the side of its user; *end is the side of programs. */
static int open_terminal(int *end)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0);
    assert_int_equal(grantpt(terminal), 0);
    assert_int_equal(unlockpt(terminal), 0);
    *end = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(*end >= 0);
    return terminal;
}

/* It says that it has room when it has some, but not for a line. */
static void a_terminal_that_nobody_reads_holds_up_nobody(void **state)
{
    (void)state;
    static char bytes[65536];
    int end, terminal = open_terminal(&end);
    assert_int_equal(fcntl(terminal, F_SETFL, O_NONBLOCK), 0);
    replace_stderr(end);
    for (int i = 0; i < 4096; i++)
        pf_log(PF_LOG_INFO, "a-line-of-some-length", "i=%d", i);
    while (read(terminal, bytes, sizeof bytes) > 0)
        ;
    pf_log(PF_LOG_INFO, "last", "%s", "");
    restore_stderr();
    size_t len = 0;
    ssize_t n;
    while ((n = read(terminal, bytes + len, sizeof bytes - 1 - len)) > 0)
        len += (size_t)n;
    bytes[len] = '\0';
    assert_non_null(strstr(bytes, "log-lines-lost count="));
    assert_non_null(strstr(bytes, "last\r\n"));
    close(end);
    close(terminal);
}

int __real_isatty(int fd);
int __wrap_isatty(int fd);
static int asked;

int __wrap_isatty(int fd)
{
    asked++;
    return __real_isatty(fd);
}

/* How often, for some lines each: before a format is set, in each, and with a sink. Lines
 * themselves ask nothing. */
static void count_questions(int fd, int counts[6])
{
    static const enum pf_log_format formats[] = {PF_LOG_PLAIN, PF_LOG_PRETTY, PF_LOG_JSON,
                                                 PF_LOG_AUTO};
    replace_stderr(fd);
    for (int i = 0; i < 6; i++) {
        asked = 0;
        if (i > 0 && i < 5)
            pf_log_set_format(formats[i - 1]);
        if (i == 5)
            pf_log_set_sink(keep_line, got);
        for (int line = 0; line < 3; line++)
            pf_log(PF_LOG_INFO, "e", "line=%d", line);
        counts[i] = asked;
    }
    pf_log_set_format(PF_LOG_PLAIN);
    restore_stderr();
}

static void standard_error_is_asked_once_whether_it_is_a_terminal(void **state)
{
    (void)state;
    int end, terminal = open_terminal(&end), ends[2], counts[6];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    for (int is_pipe = 0; is_pipe < 2; is_pipe++) {
        count_questions(is_pipe ? ends[1] : end, counts);
        assert_int_equal(counts[0], 0);
        for (int i = 1; i < 5; i++)
            assert_int_equal(counts[i], 1);
        assert_int_equal(counts[5], 0);
    }
    close(end);
    close(terminal);
    close(ends[0]);
    close(ends[1]);
}

/* Somebody has put it in the place of the terminal, and has not said so. */
static void a_file_in_the_place_of_a_terminal_is_written_to_its_end(void **state)
{
    (void)state;
    char bytes[256] = "";
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_true(fputs("before\n", file) >= 0 && fflush(file) == 0);
    int end, terminal = open_terminal(&end);
    replace_stderr(end);
    pf_log(PF_LOG_INFO, "e", "i=%d", 0);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    pf_log(PF_LOG_INFO, "e", "i=%d", 1);
    restore_stderr();
    rewind(file);
    size_t len = fread(bytes, 1, sizeof bytes - 1, file);
    assert_true(len > 0);
    assert_memory_equal(bytes, "before\ninfo test ", 17);
    assert_int_equal(fclose(file), 0);
    close(end);
    close(terminal);
}

/* What a line looks like to a terminal that is standard error. */
static void read_terminal(enum pf_log_format format, char *line, size_t len)
{
    int end, terminal = open_terminal(&end);
    replace_stderr(end);
    pf_log_set_format(format);
    pf_log(PF_LOG_WARN, "e", "x=%d", 1);
    restore_stderr();
    ssize_t n = read(terminal, line, len - 1);
    assert_true(n > 0);
    line[n] = '\0';
    close(end);
    close(terminal);
}

static void on_a_terminal_lines_are_coloured_unless_that_is_not_wanted(void **state)
{
    (void)state;
    char line[256], plain[64];
    const char *before = getenv("NO_COLOR");
    (void)snprintf(plain, sizeof plain, "warn test %d e x=1\r\n", (int)getpid());
    unsetenv("NO_COLOR");
    read_terminal(PF_LOG_AUTO, line, sizeof line);
    assert_memory_equal(line, "\x1b[33m[W ", 8);
    assert_non_null(strstr(line, "]\x1b[0m e x=1"));
    read_terminal(PF_LOG_PLAIN, line, sizeof line);
    assert_string_equal(line, plain);
    setenv("NO_COLOR", "1", 1);
    read_terminal(PF_LOG_AUTO, line, sizeof line);
    assert_memory_equal(line, "[W ", 3);
    assert_null(strchr(line, '\x1b'));
    if (before)
        setenv("NO_COLOR", before, 1);
    else
        unsetenv("NO_COLOR");
}

static void elsewhere_auto_is_plain(void **state)
{
    (void)state;
    char line[256], plain[64];
    int ends[2];
    (void)snprintf(plain, sizeof plain, "warn test %d e x=1\n", (int)getpid());
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    replace_stderr(ends[1]);
    pf_log_set_format(PF_LOG_AUTO);
    pf_log(PF_LOG_WARN, "e", "x=%d", 1);
    restore_stderr();
    ssize_t n = read(ends[0], line, sizeof line - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_string_equal(line, plain);
    close(ends[0]);
    close(ends[1]);
}

#define THREADS 4
#define LINES   200

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES; i++)
        pf_log(PF_LOG_INFO, "race", "thread=%d i=%d end", *(int *)arg, i);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fcntl(fileno(file), F_SETFL, O_APPEND), 0);
    replace_stderr(fileno(file));
    pthread_t threads[THREADS];
    int ids[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, &ids[i]), 0);
    }
    pf_log_set_level(PF_LOG_INFO); /* any thread, at any time */
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    restore_stderr();

    char line[256], text[64];
    int next[THREADS] = {0}, lines = 0;
    rewind(file);
    while (fgets(line, sizeof line, file)) {
        int thread = -1, i = -1, pid = -1;
        assert_int_equal(
            sscanf(line, "info test %d race thread=%d i=%d", &pid, &thread, &i), 3);
        assert_in_range(thread, 0, THREADS - 1);
        assert_int_equal(i, next[thread]++);
        (void)snprintf(text, sizeof text, "thread=%d i=%d end\n", thread, i);
        assert_string_equal(strstr(line, "thread="), text);
        lines++;
    }
    assert_int_equal(lines, THREADS * LINES);
    assert_int_equal(fclose(file), 0);
}

static void the_version_is_that_of_the_headers(void **state)
{
    (void)state;
    char numbers[32];
    (void)snprintf(numbers, sizeof numbers, "%d.%d.%d", PF_VERSION_MAJOR, PF_VERSION_MINOR,
                   PF_VERSION_PATCH);
    assert_string_equal(pf_version(), PF_VERSION);
    assert_string_equal(pf_version(), numbers);
}

#define log_test(name) cmocka_unit_test_setup_teardown(name, keep_lines, leave_lines)

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_test(a_line_names_level_role_pid_and_event),
        log_test(an_event_without_values_has_no_space_at_its_end),
        log_test(events_below_the_level_are_dropped),
        log_test(a_name_stands_in_front_of_the_values),
        log_test(the_level_of_a_name_is_that_of_the_nearest_above_it),
        log_test(levels_that_are_wrong_change_nothing),
        log_test(there_are_not_more_names_than_places),
        log_test(any_thread_may_set_levels),
        log_test(control_bytes_cannot_make_a_second_line),
        log_test(bytes_above_ascii_pass_unchanged),
        log_test(a_line_of_the_greatest_length_is_whole),
        log_test(a_much_longer_line_is_cut),
        log_test(an_escape_is_never_cut_in_half),
        log_test(a_long_role_is_cut),
        log_test(errno_is_kept),
        log_test(a_child_logs_as_its_parent_but_with_its_own_pid),
        log_test(a_line_is_one_write_to_standard_error),
        log_test(a_log_that_cannot_be_written_harms_nobody),
        log_test(a_log_that_nobody_reads_holds_up_nobody_and_says_what_it_lost),
        log_test(a_terminal_that_nobody_reads_holds_up_nobody),
        log_test(standard_error_is_asked_once_whether_it_is_a_terminal),
        log_test(a_file_in_the_place_of_a_terminal_is_written_to_its_end),
        log_test(a_pretty_line_begins_with_level_time_and_who),
        log_test(a_line_of_json_has_its_parts),
        log_test(a_line_of_json_that_is_cut_is_whole),
        log_test(on_a_terminal_lines_are_coloured_unless_that_is_not_wanted),
        log_test(elsewhere_auto_is_plain),
        log_test(lines_of_threads_do_not_mix),
        pf_test(the_version_is_that_of_the_headers),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
