/*
 * test_privileges.c - workers that give up what their master has. As root alone: else most
 * of it is skipped.
 */
#include "tests/lib/server.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define USER      "nobody"
#define FAULTY    "tests/apps/faulty"

static char status_text[8192];
static char answer[4096];

/* The line of /proc/PID/status that begins with `key`, behind it. */
static const char *status_of(pid_t pid, const char *key)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, status_text, sizeof status_text - 1);
    close(fd);
    status_text[n > 0 ? n : 0] = 0;
    char *at = strstr(status_text, key);
    assert_non_null(at);
    at += strlen(key);
    at[strcspn(at, "\n")] = 0;
    return at;
}

static void assert_ids(pid_t pid, const char *key, unsigned wanted)
{
    unsigned real, effective, saved, fs;
    assert_int_equal(
        sscanf(status_of(pid, key), " %u %u %u %u", &real, &effective, &saved, &fs), 4);
    assert_int_equal(real, wanted);
    assert_int_equal(effective, wanted);
    assert_int_equal(saved, wanted);
    assert_int_equal(fs, wanted);
}

static const struct passwd *user(void)
{
    const struct passwd *nobody = getpwnam(USER);
    if (geteuid() != 0 || !nobody)
        skip();
    return nobody;
}

static void get(int port)
{
    int fd = pf_test_connect(port);
    assert_true(fd >= 0);
    assert_int_equal(pf_test_send_text(fd, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"), 0);
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    close(fd);
}

static void workers_are_the_user_and_the_master_stays_root(void **state)
{
    (void)state;
    const struct passwd *nobody = user();
    unsigned uid = nobody->pw_uid, gid = nobody->pw_gid;
    static struct pf_test_server server;
    pf_test_server_start(&server, ARGS("--workers", "2", "--user", USER));
    for (unsigned i = 0; i < server.worker_count; i++) {
        assert_ids(server.workers[i], "\nUid:", uid);
        assert_ids(server.workers[i], "\nGid:", gid);
        assert_int_equal(strtoul(status_of(server.workers[i], "\nGroups:"), NULL, 10), gid);
        assert_int_equal(strtol(status_of(server.workers[i], "\nNoNewPrivs:"), NULL, 10),
                         1);
        assert_int_equal(strtoull(status_of(server.workers[i], "\nCapEff:"), NULL, 16), 0);
        assert_int_equal(strtoull(status_of(server.workers[i], "\nCapPrm:"), NULL, 16), 0);
    }
    assert_ids(server.pid, "\nUid:", 0);
    assert_int_equal(strtol(status_of(server.pid, "\nNoNewPrivs:"), NULL, 10), 0);
    get(server.port);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* A killed worker's successor is dressed the same. */
static void a_successor_gives_up_the_same(void **state)
{
    (void)state;
    unsigned uid = user()->pw_uid;
    static struct pf_test_server server;
    pf_test_server_start(&server, ARGS("--workers", "1", "--user", USER));
    size_t from = server.text_len;
    assert_int_equal(kill(server.workers[0], SIGKILL), 0);
    pf_test_server_expect(&server, from, "worker-accepts worker=0 pid=");
    const char *at = strstr(server.text + from, "worker-accepts worker=0 pid=");
    pid_t pid = (pid_t)strtol(at + strlen("worker-accepts worker=0 pid="), NULL, 10);
    assert_ids(pid, "\nUid:", uid);
    get(server.port);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void no_new_privileges_is_a_matter_of_its_own(void **state)
{
    (void)state;
    static struct pf_test_server server;
    pf_test_server_start(&server, ARGS("--workers", "1", "--no-new-privileges", "yes"));
    assert_int_equal(strtol(status_of(server.workers[0], "\nNoNewPrivs:"), NULL, 10), 1);
    assert_ids(server.workers[0], "\nUid:", geteuid());
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);

    (void)user();
    pf_test_server_start(
        &server, ARGS("--workers", "1", "--user", USER, "--no-new-privileges", "no"));
    assert_int_equal(strtol(status_of(server.workers[0], "\nNoNewPrivs:"), NULL, 10), 0);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void users_and_groups_may_be_numbers_without_a_name(void **state)
{
    (void)state;
    (void)user();
    static struct pf_test_server server;
    pf_test_server_start(&server,
                         ARGS("--workers", "1", "--user", "54321", "--group", "54322"));
    assert_ids(server.workers[0], "\nUid:", 54321);
    assert_ids(server.workers[0], "\nGid:", 54322);
    assert_int_equal(strtoul(status_of(server.workers[0], "\nGroups:"), NULL, 10), 54322);
    get(server.port);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_group_alone_leaves_the_user(void **state)
{
    (void)state;
    (void)user();
    static struct pf_test_server server;
    pf_test_server_start(&server, ARGS("--workers", "1", "--group", "54322"));
    assert_ids(server.workers[0], "\nUid:", 0);
    assert_ids(server.workers[0], "\nGid:", 54322);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void workers_are_shut_in_a_directory(void **state)
{
    (void)state;
    (void)user();
    static struct pf_test_server server;
    char directory[] = "/tmp/prefork-root-XXXXXX", link[64], target[128] = "";
    assert_non_null(mkdtemp(directory));
    /* A leak checker reads /proc, which is not there. */
    pf_test_program_spawn(&server, ARGS("env", "ASAN_OPTIONS=detect_leaks=0"),
                          "bin/prefork-server",
                          ARGS("--workers", "1", "--bind", "127.0.0.1:0", "--user", USER,
                               "--chroot", directory));
    pf_test_server_read_banner(&server);
    static const char *const names[] = {"root", "cwd"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(link, sizeof link, "/proc/%ld/%s", (long)server.workers[0], names[i]);
        ssize_t n = readlink(link, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        assert_string_equal(target, directory);
    }
    get(server.port);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_int_equal(rmdir(directory), 0);
}

/* The kernel forgets at setuid(2) that a process wants to know of its parent's death. */
static void a_blocked_worker_of_another_user_still_leaves_without_its_master(void **state)
{
    (void)state;
    (void)user();
    static struct pf_test_server server;
    pf_test_program_start(&server, FAULTY,
                          ARGS("-b", "127.0.0.1:0", "-w", "1", "--user", USER,
                               "--drain-timeout", "200ms", "--hang-hard", "1h"));
    int fd = pf_test_connect(server.port);
    assert_int_equal(
        pf_test_send_text(fd, "GET /block?ms=3600000 HTTP/1.1\r\nHost: test\r\n\r\n"), 0);
    pf_test_server_expect(&server, 0, "faulty: blocks");
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    assert_int_equal(pf_test_server_wait(&server), 128 + SIGKILL);
    close(fd);
}

/* The master may end a worker that is another user's, and one that crashes is named. */
static void a_worker_of_another_user_is_killed_and_its_crash_told(void **state)
{
    (void)state;
    (void)user();
    static struct pf_test_server server;
    pf_test_program_start(
        &server, FAULTY,
        ARGS("-b", "127.0.0.1:0", "-w", "1", "--user", USER, "--drain-timeout", "1h"));
    int fd = pf_test_connect(server.port);
    assert_int_equal(pf_test_send_text(fd, "GET /crash HTTP/1.1\r\nHost: test\r\n\r\n"), 0);
    pf_test_server_expect(&server, 0, "cause=crash");
    close(fd);
    fd = pf_test_connect(server.port);
    assert_int_equal(
        pf_test_send_text(fd, "GET /block?ms=3600000 HTTP/1.1\r\nHost: test\r\n\r\n"), 0);
    pf_test_server_expect(&server, 0, "faulty: blocks");
    for (int i = 0; i < 3; i++)
        assert_int_equal(kill(server.pid, i ? SIGINT : SIGTERM), 0);
    assert_int_equal(pf_test_server_wait(&server), 0);
    close(fd);
}

static void a_unix_sockets_file_is_the_masters_with_its_mode(void **state)
{
    (void)state;
    (void)user();
    static struct pf_test_server server;
    char directory[] = "/tmp/prefork-unix-XXXXXX", path[64], bind[80];
    struct stat st;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s", directory);
    snprintf(bind, sizeof bind, "unix:%s", path);
    pf_test_server_start(&server, ARGS("--workers", "1", "--user", USER, "--unix-mode",
                                       "660", "--bind", bind));
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    get(server.port);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    assert_int_equal(lstat(path, &st), -1); /* removed by its owner, the master */
    snprintf(path, sizeof path, "%s/s.lock", directory);
    (void)unlink(path);
    assert_int_equal(rmdir(directory), 0);
}

static bool capable_of_tracing(void)
{
    enum {
        CAP_SYS_PTRACE_BIT = 19
    };
    return strtoull(status_of(getpid(), "\nCapEff:"), NULL, 16) >> CAP_SYS_PTRACE_BIT & 1;
}

static bool says_that_memory_is_hidden(const char *capabilities, const char *const args[])
{
    static struct pf_test_server server;
    pf_test_program_spawn(&server, ARGS("setpriv", capabilities), "bin/prefork-server",
                          args);
    pf_test_server_read_banner(&server);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    const char *said = strstr(server.text, "memory-hidden option=--recycle-memory");
    assert_true(!said || !strstr(said + 1, "memory-hidden")); /* once */
    return said != NULL;
}

static void a_limit_of_memory_that_cannot_be_seen_is_told_at_the_start(void **state)
{
    (void)state;
    (void)user();
    pf_test_skip_without("setpriv");
    pf_test_skip_under_valgrind();
#define LACKING        "--bounding-set=-sys_ptrace"
#define SERVER_OF(...) ARGS("-b", "127.0.0.1:0", "-w", "1", __VA_ARGS__)
    assert_true(says_that_memory_is_hidden(
        LACKING, SERVER_OF("--user", USER, "--recycle-memory", "1g")));
    assert_false(says_that_memory_is_hidden(LACKING, SERVER_OF("--user", USER)));
    assert_false(says_that_memory_is_hidden(LACKING, SERVER_OF("--recycle-memory", "1g")));
    if (capable_of_tracing())
        assert_false(says_that_memory_is_hidden(
            "--bounding-set=+all", SERVER_OF("--user", USER, "--recycle-memory", "1g")));
}

static void assert_refused(const char *const args[], const char *words)
{
    static struct pf_test_server server;
    assert_int_equal(pf_test_server_run(&server, args), 64);
    if (!strstr(server.text, words))
        fail_msg("it does not say \"%s\": %s", words, server.text);
}

static void what_is_not_there_is_named(void **state)
{
    (void)state;
    assert_refused(ARGS("--user", "nobody-such"), "--user nobody-such: no such user; use");
    assert_refused(ARGS("--group", "none-such"), "--group none-such: no such group; use");
    assert_refused(ARGS("--user", "54321"), "--user 54321: has no entry");
    assert_refused(ARGS("--user", "4294967295"), "--user 4294967295: no such user; use");
    assert_refused(ARGS("--user", ""), "--user : ");
    assert_refused(ARGS("--chroot", "/none-such"), "--chroot /none-such: No such file");
    assert_refused(ARGS("--chroot", "tmp"), "--chroot tmp: must begin with /");
    assert_refused(ARGS("--chroot", "/dev/null"), "--chroot /dev/null: Not a directory");
}

static void be_refused(void *arg)
{
    (void)arg;
    const struct passwd *nobody = getpwnam(USER);
    gid_t gid = nobody->pw_gid;
    uid_t uid = nobody->pw_uid;
    assert_int_equal(setgroups(1, &gid), 0);
    assert_int_equal(setresgid(gid, gid, gid), 0);
    assert_int_equal(setresuid(uid, uid, uid), 0);
    assert_refused(ARGS("--user", "root"), "--user root: not allowed; start as root");
    assert_refused(ARGS("--group", "54322"), "--group 54322: not allowed; start as root");
    assert_refused(ARGS("--chroot", "/tmp"), "--chroot /tmp: not allowed; start as root");

    static struct pf_test_server server;
    pf_test_server_start(&server, ARGS("--workers", "1", "--user", USER)); /* who we are */
    assert_int_equal(strtol(status_of(server.workers[0], "\nNoNewPrivs:"), NULL, 10), 1);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void one_who_may_not_is_refused(void **state)
{
    (void)state;
    (void)user();
    pf_test_in_child(be_refused, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(workers_are_the_user_and_the_master_stays_root),
        pf_test(a_successor_gives_up_the_same),
        pf_test(no_new_privileges_is_a_matter_of_its_own),
        pf_test(users_and_groups_may_be_numbers_without_a_name),
        pf_test(a_group_alone_leaves_the_user),
        pf_test(workers_are_shut_in_a_directory),
        pf_test(a_blocked_worker_of_another_user_still_leaves_without_its_master),
        pf_test(a_worker_of_another_user_is_killed_and_its_crash_told),
        pf_test(a_unix_sockets_file_is_the_masters_with_its_mode),
        pf_test(a_limit_of_memory_that_cannot_be_seen_is_told_at_the_start),
        pf_test(what_is_not_there_is_named),
        pf_test(one_who_may_not_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
