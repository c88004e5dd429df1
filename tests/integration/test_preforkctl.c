/* test_preforkctl.c - the program asks a real server: counts, tables, and one line for each
 * thing that may be wrong. */
#include "tests/lib/server.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define PATIENTLY "--timeout", "60s" /* of a server that may be slow, but is there */

/* ---- running it ------------------------------------------------------------------ */

struct said {
    int status;
    char out[65536], err[4096];
};

static void read_to_end(int fd, char *text, size_t len)
{
    size_t got = 0;
    for (ssize_t n = 1; n > 0 && got<len - 1; got += n> 0 ? (size_t)n : 0)
        n = read(fd, text + got, len - 1 - got);
    text[got] = 0;
    close(fd);
}

/* Run preforkctl with XDG_RUNTIME_DIR=runtime_dir. */
static void run(struct said *said, const char *runtime_dir, const char *const args[])
{
    char program[256];
    const char *argv[16] = {program}, *build = getenv("BUILD");
    snprintf(program, sizeof program, "%s/bin/preforkctl", build ? build : "build/release");
    for (size_t n = 1; *args && n < 15; n++)
        argv[n] = *args++;
    int out[2], err[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("XDG_RUNTIME_DIR", runtime_dir, 1);
        unsetenv("RUNTIME_DIRECTORY");
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        execv(program, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    read_to_end(out[0], said->out, sizeof said->out); /* what is in err fits the pipe */
    read_to_end(err[0], said->err, sizeof said->err);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    said->status = WEXITSTATUS(status);
}

static json_t *status_of(const struct pf_test_server *server)
{
    static struct said said;
    run(&said, "/nonexistent",
        ARGS("--ctl", server->control, PATIENTLY, "status", "--json"));
    if (said.status != 0)
        fail_msg("status %d: %s", said.status, said.err);
    assert_string_equal(said.err, "");
    json_error_t why;
    json_t *root = json_loads(said.out, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        fail_msg("%s in %s", why.text, said.out);
    return root;
}

static json_int_t total_of(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(json_object_get(root, "totals"), key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

/* ---- requests -------------------------------------------------------------------- */

static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

static void request_on(int fd)
{
    char text[1024];
    assert_int_equal(pf_test_send_text(fd, get), 0);
    assert_true(pf_test_read_response(fd, text, sizeof text) > 0);
}

/* One connection and one request, for as far as they come: its worker may be killed. */
static bool try_request(int port)
{
    char text[1024];
    int fd = pf_test_connect(port);
    if (fd < 0)
        return false;
    bool answered =
        pf_test_send_text(fd, get) == 0 && pf_test_read_response(fd, text, sizeof text) > 0;
    close(fd);
    return answered;
}

static void status_has_the_counts_of_what_was_served(void **state)
{
    (void)state;
    enum {
        OPEN = 4,
        REQUESTS = 5
    };
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2"));
    int fds[OPEN];
    for (int i = 0; i < OPEN; i++) {
        fds[i] = pf_test_connect(server.port);
        assert_true(fds[i] >= 0);
        for (int n = 0; n < REQUESTS; n++)
            request_on(fds[i]);
    }
    json_t *root = status_of(&server);
    assert_int_equal(total_of(root, "accepted"), OPEN);
    assert_int_equal(total_of(root, "connections"), OPEN);
    assert_int_equal(total_of(root, "requests"), OPEN * REQUESTS);
    assert_true(total_of(root, "bytes_out") > 5 * OPEN * REQUESTS);
    assert_int_equal(json_integer_value(json_object_get(root, "pid")), server.pid);
    assert_string_equal(json_string_value(json_object_get(root, "state")), "running");
    const json_t *workers = json_object_get(root, "workers"), *worker, *lane;
    size_t i, k;
    json_int_t requests = 0;
    assert_int_equal(json_array_size(workers), 2);
    json_array_foreach(workers, i, worker)
    {
        assert_int_equal(json_integer_value(json_object_get(worker, "pid")),
                         server.workers[i]);
        assert_string_equal(json_string_value(json_object_get(worker, "state")),
                            "accepting");
        assert_int_equal(json_integer_value(json_object_get(worker, "starts")), 1);
        json_array_foreach(json_object_get(worker, "lanes"), k, lane) requests +=
            json_integer_value(json_object_get(lane, "requests"));
    }
    assert_int_equal(requests, OPEN * REQUESTS);
    json_decref(root);
    for (int n = 0; n < OPEN; n++)
        close(fds[n]);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void totals_never_go_back_while_workers_are_killed(void **state)
{
    (void)state;
    static const char *const keys[] = {"accepted", "requests", "bytes_out"};
    enum {
        POLLS = 100,
        KILL_EACH = 10,
        KEYS = sizeof keys / sizeof *keys
    };
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "2"));
    json_int_t last[KEYS] = {0}, answered = 0;
    for (int i = 0; i < POLLS; i++) {
        if (i % KILL_EACH == KILL_EACH - 1) {
            pid_t pids[8];
            if (pf_test_children(server.pid, pids, 8) > 0)
                kill(pids[0], SIGKILL);
        }
        for (int n = 0; n < 5; n++)
            answered += try_request(server.port);
        json_t *root = status_of(&server);
        for (int k = 0; k < KEYS; k++) {
            json_int_t now = total_of(root, keys[k]);
            if (now < last[k])
                fail_msg("%s went back from %lld to %lld", keys[k], (long long)last[k],
                         (long long)now);
            last[k] = now;
        }
        assert_int_equal(json_array_size(json_object_get(root, "workers")), 2);
        json_decref(root);
    }
    assert_true(answered > 0);
    assert_true(last[1] >= answered); /* what was answered has been counted */
    json_t *root = status_of(&server);
    const json_t *supervision = json_object_get(root, "supervision");
    assert_true(json_integer_value(json_object_get(supervision, "restarts")) > 0);
    json_decref(root);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void the_table_has_a_row_for_each_worker(void **state)
{
    (void)state;
    static struct said said;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "3"));
    assert_true(try_request(server.port));
    run(&said, "/nonexistent", ARGS("status", PATIENTLY, "--ctl", server.control));
    assert_int_equal(said.status, 0);
    char text[128];
    snprintf(text, sizeof text, "running  pid %ld  up ", (long)server.pid);
    assert_non_null(strstr(said.out, text));
    snprintf(text, sizeof text, "\nlistens     tcp 127.0.0.1:%d", server.port);
    assert_non_null(strstr(said.out, text));
    assert_non_null(strstr(said.out, " 1 accepted, 1 requests, "));
    const char *line = strstr(said.out, "\nWORKER");
    assert_non_null(line);
    for (unsigned i = 0; i < server.worker_count; i++) {
        unsigned worker;
        long pid;
        char name[16];
        line = strchr(line + 1, '\n');
        assert_non_null(line);
        assert_int_equal(sscanf(line, "\n%u %ld %15s", &worker, &pid, name), 3);
        assert_int_equal(worker, i);
        assert_int_equal(pid, server.workers[i]);
        assert_string_equal(name, "accepting");
    }
    run(&said, "/nonexistent", ARGS("--ctl", server.control, PATIENTLY, "ping"));
    assert_int_equal(said.status, 0);
    snprintf(text, sizeof text, " answers, pid %ld\n", (long)server.pid);
    assert_non_null(strstr(said.out, text));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- which server ---------------------------------------------------------------- */

static void the_server_is_found_by_itself_or_by_its_address(void **state)
{
    (void)state;
    static struct said said;
    char address[64], port[16], *slash;
    struct pf_test_server server;
    pf_test_server_start(&server, ARGS("-w", "1"));
    snprintf(address, sizeof address, "127.0.0.1:%d", server.port);
    snprintf(port, sizeof port, ":%d", server.port);
    run(&said, server.directory, ARGS(PATIENTLY, "ping"));
    assert_int_equal(said.status, 0);
    run(&said, server.directory, ARGS("--server", address, PATIENTLY, "ping"));
    assert_int_equal(said.status, 0);
    run(&said, server.directory, ARGS("--server", port, PATIENTLY, "ping"));
    assert_int_equal(said.status, 0);
    run(&said, server.directory, ARGS("--server", "127.0.0.1:1", "ping"));
    assert_int_equal(said.status, 69);
    assert_non_null(strstr(said.err, "--server 127.0.0.1:1: not found"));

    /* A second, in the same directory; and one that was killed there, which does not count.
     */
    struct pf_test_server second;
    char control[128];
    memcpy(control, server.control, sizeof control);
    slash = strrchr(control, '/');
    assert_non_null(slash);
    snprintf(slash, sizeof control - (size_t)(slash - control), "/other:1.ctl");
    pf_test_server_start(&second, ARGS("-w", "1", "--ctl", control));
    run(&said, server.directory, ARGS("status"));
    assert_int_equal(said.status, 64);
    assert_non_null(strstr(said.err, "several servers in "));
    assert_non_null(strstr(said.err, address));
    assert_non_null(strstr(said.err, "other:1"));
    run(&said, server.directory, ARGS("--server", "other:1", PATIENTLY, "ping"));
    assert_int_equal(said.status, 0);
    assert_int_equal(pf_test_server_stop(&second, SIGKILL), 128 + SIGKILL);
    assert_int_equal(access(control, F_OK), 0);
    run(&said, server.directory, ARGS(PATIENTLY, "ping"));
    assert_int_equal(said.status, 0);
    run(&said, server.directory, ARGS("--ctl", control, "ping"));
    assert_int_equal(said.status, 69);
    assert_non_null(strstr(said.err, "no server listens there"));
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_int_equal(access(control, F_OK), -1); /* with the first one's directory */
}

/* ---- what may be wrong ----------------------------------------------------------- */

static void bad_command_lines_are_one_line_each(void **state)
{
    (void)state;
    static const struct {
        const char *args[5];
        int status;
        const char *line; /* what it begins with, behind the name */
    } rows[] = {
        {{NULL}, 64, "COMMAND: missing; use status or ping"},
        {{"stats"}, 64, "COMMAND stats: unknown; use status or ping"},
        {{"status", "ping"}, 64, "ping: unexpected behind status"},
        {{"--jason", "status"}, 64, "--jason: unknown option; did you mean --json?"},
        {{"status", "--timeout", "0"}, 64, "--timeout 0: "},
        {{"status", "--ctl"}, 64, "--ctl: "},
        {{"--ctl", "a", "--server", "b", "ping"},
         64,
         "--server b: --ctl names one already"},
        {{"--server", "", "ping"}, 64, "--server '': empty"},
        {{"--ctl", "/nonexistent/x.ctl", "ping"}, 69, "/nonexistent/x.ctl: no such socket"},
        {{"--ctl", "/dev/null", "ping"}, 69, "/dev/null: no server listens there"},
        {{"ping"}, 69, "no server found; is it running? looked in /nonexistent/prefork"},
    };
    static struct said said;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *args[6] = {0};
        memcpy(args, rows[i].args, sizeof rows[i].args);
        run(&said, "/nonexistent", args);
        assert_int_equal(said.status, rows[i].status);
        assert_string_equal(said.out, "");
        assert_int_equal(strncmp(said.err, "preforkctl: ", 12), 0);
        said.err[12 + strlen(rows[i].line)] =
            said.err[strlen(said.err) - 1] == '\n' ? 0 : '?';
        assert_string_equal(said.err + 12, rows[i].line);
    }
    char path[256];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    run(&said, "/nonexistent", ARGS("--ctl", path, "ping"));
    assert_int_equal(said.status, 64);
    assert_non_null(strstr(said.err, "too long for a socket's path"));
}

static void help_and_version_need_no_server(void **state)
{
    (void)state;
    static struct said said;
    run(&said, "/nonexistent", ARGS("--help"));
    assert_int_equal(said.status, 0);
    assert_non_null(strstr(said.out, "usage: preforkctl "));
    assert_non_null(strstr(said.out, "--json"));
    run(&said, "/nonexistent", ARGS("-V"));
    assert_int_equal(said.status, 0);
    assert_int_equal(strncmp(said.out, "preforkctl ", 11), 0);
}

/* Listens, and says `answer` to whoever connects; or nothing, and keeps the connection. */
static pid_t fake_server(const char *path, const char *answer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char request[64];
        int client = accept(fd, NULL, NULL);
        ssize_t n = read(client, request, sizeof request);
        if (!answer)
            n = read(client, request, sizeof request); /* until it gives up */
        else
            n = write(client, answer, strlen(answer));
        _exit(n < 0);
    }
    close(fd);
    return pid;
}

static void answers_that_are_none_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *command;
        int status;
        const char *text;
    } rows[] = {
        {"{\"ok\":false,\"error\":\"not\\u001b[31m today\"}\n", "status", 70,
         "the server refuses: not?[31m today"},
        {"{\"ok\":false}\n", "ping", 70, "the server refuses: no reason"},
        {"{\"ok\":true}\n", "status", 70,
         "the answer is not understood: it has no workers"},
        {"{\"ok\":true,\"workers\":7}\n", "status", 70, "it has no workers"},
        {"{\"workers\":[]}\n", "status", 70, "not understood"},
        {"[]\n", "ping", 70, "not understood"},
        {"hello\n", "status", 70, "the answer is not understood: "},
        {"{\"ok\":true", "status", 70, "what came is not one line"},
        {"{}\n{}\n", "status", 70, "what came is not one line"},
        {"", "status", 69, "closed without an answer"},
        {NULL, "status", 69, "no answer in time"},
        {"{\"ok\":true,\"workers\":[7,{\"lanes\":8},{\"lanes\":[9]}]}\n", "status", 0, ""},
    };
    static struct said said;
    char directory[] = "/tmp/prefork-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/x.ctl", directory);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pid_t pid = fake_server(path, rows[i].answer);
        run(&said, "/nonexistent",
            rows[i].answer ? ARGS("--ctl", path, rows[i].command)
                           : ARGS("--ctl", path, "--timeout", "50ms", rows[i].command));
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(said.status, rows[i].status);
        assert_non_null(strstr(said.err, rows[i].text));
        assert_true(!*said.err ||
                    strchr(said.err, '\n') == said.err + strlen(said.err) - 1);
        unlink(path);
    }
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(status_has_the_counts_of_what_was_served),
        pf_test(totals_never_go_back_while_workers_are_killed),
        pf_test(the_table_has_a_row_for_each_worker),
        pf_test(the_server_is_found_by_itself_or_by_its_address),
        pf_test(bad_command_lines_are_one_line_each),
        pf_test(help_and_version_need_no_server),
        pf_test(answers_that_are_none_are_told_apart),
    };
    return cmocka_run_group_tests_name("preforkctl", tests, NULL, NULL);
}
