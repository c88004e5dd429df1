/* test_control.c - the control socket: requests from a table, answers of any length, and
 * who may ask. */
#include "tests/lib/test.h"

#include "master/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct rig {
    char directory[64], path[96];
    pf_loop *loop;
    struct pf__control control;
    size_t answer_len; /* of the command "fill" */
    int answer_error;
    char *heard; /* the last answer */
    size_t heard_len;
};

static int answer_fill(void *arg, char **out, size_t *len)
{
    const struct rig *rig = arg;
    if (rig->answer_error)
        return rig->answer_error;
    *out = malloc(rig->answer_len + 1);
    assert_non_null(*out);
    memset(*out, 'x', rig->answer_len);
    *len = rig->answer_len;
    return 0;
}

static int answer_short(void *arg, char **out, size_t *len)
{
    (void)arg;
    *out = strdup("{\"ok\":true}");
    *len = strlen(*out);
    return 0;
}

static const struct pf__control_command commands[] = {
    {"fill", answer_fill}, {"short", answer_short}, {0}};

static void rig_up(struct rig *rig)
{
    *rig = (struct rig){.answer_len = 10};
    int holder = 0;
    snprintf(rig->directory, sizeof rig->directory, "/tmp/prefork-test-XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    snprintf(rig->path, sizeof rig->path, "%s/x.ctl", rig->directory);
    assert_int_equal(pf_loop_new(NULL, &rig->loop), 0);
    assert_int_equal(
        pf__control_open(&rig->control, rig->loop, rig->path, commands, rig, &holder), 0);
}

static void rig_down(struct rig *rig)
{
    char lock[128];
    snprintf(lock, sizeof lock, "%s.lock", rig->path);
    pf__control_close(&rig->control);
    assert_int_equal(pf_loop_close(rig->loop, false), 0);
    pf_loop_unref(rig->loop);
    unlink(lock);
    assert_int_equal(rmdir(rig->directory), 0);
    free(rig->heard);
}

static int client(const struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, rig->path, strlen(rig->path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Send the request, read to the end; returns the answer, valid until the next. */
static const char *ask(struct rig *rig, const char *request)
{
    enum {
        MAX = 17 * 1024 * 1024
    };
    if (!rig->heard)
        rig->heard = malloc(MAX);
    assert_non_null(rig->heard);
    int fd = client(rig);
    assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
    rig->heard_len = 0;
    for (ssize_t n = 1; n > 0;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        while (poll(&wait, 1, 0) == 0)
            assert_true(pf_loop_turn(rig->loop, 10 * PF_MILLISECOND) >= 0);
        n = recv(fd, rig->heard + rig->heard_len, MAX - 1 - rig->heard_len, 0);
        assert_true(n >= 0);
        rig->heard_len += (size_t)n;
    }
    rig->heard[rig->heard_len] = 0;
    close(fd);
    return rig->heard;
}

static void requests_are_answered_from_the_table(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    char ping[96];
    snprintf(ping, sizeof ping, "{\"ok\":true,\"pid\":%ld,\"version\":\"%s\"}\n",
             (long)getpid(), pf_version());
    assert_string_equal(ask(&rig, "ping\n"), ping);
    assert_string_equal(ask(&rig, "ping\r\n"), ping);
    assert_string_equal(ask(&rig, "short\n"), "{\"ok\":true}\n");
    assert_string_equal(ask(&rig, "fill\n"), "xxxxxxxxxx\n");
    static const char *const unknown[] = {"shor\n", "shorts\n", "\n", "SHORT\n", " ping\n"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_string_equal(
            ask(&rig, unknown[i]),
            "{\"ok\":false,\"error\":\"unknown request; this version knows: "
            "ping, fill, short\"}\n");
    rig.answer_error = -ENOMEM;
    assert_string_equal(ask(&rig, "fill\n"),
                        "{\"ok\":false,\"error\":\"fill: Cannot allocate memory\"}\n");
    rig_down(&rig);
}

static void a_long_answer_arrives_whole_and_one_beyond_the_limit_is_an_error(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    static const size_t fit[] = {PF_CONN_BATCH_MAX, PF_CONN_OUTPUT_MAX + 1,
                                 PF__CONTROL_ANSWER_MAX - 1};
    for (size_t i = 0; i < sizeof fit / sizeof *fit; i++) {
        rig.answer_len = fit[i];
        const char *answer = ask(&rig, "fill\n");
        assert_int_equal(rig.heard_len, fit[i] + 1);
        assert_int_equal(strspn(answer, "x"), fit[i]);
        assert_int_equal(answer[fit[i]], '\n');
    }
    rig.answer_len = PF__CONTROL_ANSWER_MAX;
    assert_string_equal(ask(&rig, "fill\n"),
                        "{\"ok\":false,\"error\":\"fill: Message too long\"}\n");
    rig_down(&rig);
}

static void a_request_without_end_is_not_waited_for(void **state)
{
    (void)state;
    struct rig rig;
    rig_up(&rig);
    char request[PF__CONTROL_REQUEST_MAX];
    memset(request, 'a', sizeof request);
    int fd = client(&rig);
    assert_int_equal(send(fd, request, sizeof request, 0), sizeof request);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, 0) == 0)
        assert_true(pf_loop_turn(rig.loop, 10 * PF_MILLISECOND) >= 0);
    char c;
    assert_true(recv(fd, &c, 1, 0) <= 0);
    close(fd);
    rig_down(&rig);
}

/* The file's mode keeps other users out; should that fail, so does what the kernel says of
 * them. */
static void another_user_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0 || seteuid(61234) != 0)
        skip(); /* or a user namespace that has no other users */
    assert_int_equal(seteuid(0), 0);
    struct rig rig;
    rig_up(&rig);
    struct stat st;
    assert_int_equal(stat(rig.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(chmod(rig.directory, 0755), 0);
    assert_int_equal(chmod(rig.path, 0666), 0);
    assert_int_equal(seteuid(61234), 0); /* the kernel notes who connects */
    int fd = client(&rig);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(send(fd, "short\n", 6, 0), 6);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, 0) == 0)
        assert_true(pf_loop_turn(rig.loop, 10 * PF_MILLISECOND) >= 0);
    char text[128] = "";
    assert_true(recv(fd, text, sizeof text - 1, 0) > 0);
    assert_string_equal(text,
                        "{\"ok\":false,\"error\":\"only the server's own user and root "
                        "may ask\"}\n");
    close(fd);
    assert_string_equal(ask(&rig, "short\n"), "{\"ok\":true}\n");
    rig_down(&rig);
}

static void a_name_is_made_of_any_address(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"127.0.0.1:8888", "127.0.0.1:8888.ctl"},
        {"[::1]:80", "[::1]:80.ctl"},
        {"unix:/run/a/b.sock", "unix:_run_a_b.sock.ctl"},
    };
    char name[PF__CONTROL_PATH_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pf__control_name(rows[i][0], name, sizeof name);
        assert_string_equal(name, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(requests_are_answered_from_the_table),
        pf_test(a_long_answer_arrives_whole_and_one_beyond_the_limit_is_an_error),
        pf_test(a_request_without_end_is_not_waited_for),
        pf_test(another_user_is_refused),
        pf_test(a_name_is_made_of_any_address),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
