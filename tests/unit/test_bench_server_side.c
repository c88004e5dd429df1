/*
 * The load tool looks at servers: at trees of processes that this test forks, which listen
 * and burn CPU time as they are told, and at what a control socket answers.
 */
#include "tests/lib/test.h"

#include "bench/ctl.h"
#include "bench/proc_tree.h"
#include "bench/server_side.h"
#include "net/holder.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <prefork/base.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- a server that does as it is told -------------------------------------------- */

/* Its master forks a worker for each byte 'w' it is sent, and a helper that has closed the
 * listener for each 'h'; a worker burns CPU time for each byte it is sent. Each answers a
 * byte when it has done so. */
struct master {
    pid_t pid;
    int talk; /* to the master */
    struct pf_address address;
};

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

#define BURN_NS (50 * PF_MILLISECOND)

static void burn(int64_t ns)
{
    for (int64_t until = cpu_ns() + ns; cpu_ns() < until;)
        ;
}

static void child_forever(int talk)
{
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)!write(talk, "r", 1);
    while (read(talk, &byte, 1) == 1) {
        burn(BURN_NS);
        (void)!write(talk, "d", 1);
    }
    _exit(0);
}

/* The pid of the new child goes back over `talk`, and its own line of talk with it. */
static void send_child(int talk, pid_t pid, int fd)
{
    char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec iov = {.iov_base = &pid, .iov_len = sizeof pid};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    (void)!sendmsg(talk, &message, 0);
}

static void master_forever(int talk, int listener)
{
    char byte;
    while (read(talk, &byte, 1) == 1) {
        int line[2];
        if (byte == 'x') { /* wait for a child that has ended */
            wait(NULL);
            (void)!write(talk, "d", 1);
            continue;
        }
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) != 0)
            _exit(1);
        pid_t pid = fork();
        if (pid == 0) {
            close(talk);
            close(line[0]);
            if (byte == 'h')
                close(listener);
            child_forever(line[1]);
        }
        close(line[1]);
        send_child(talk, pid, line[0]);
        close(line[0]);
    }
    _exit(0);
}

static int listen_anywhere(struct pf_address *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *address = (struct pf_address){.len = sizeof in};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address->storage, &address->len),
                     0);
    return fd;
}

static void start(struct master *master)
{
    int line[2], listener = listen_anywhere(&master->address);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line), 0);
    master->pid = fork();
    assert_true(master->pid >= 0);
    if (master->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(line[0]);
        master_forever(line[1], listener);
    }
    close(line[1]);
    close(listener);
    master->talk = line[0];
}

static void stop(struct master *master)
{
    kill(master->pid, SIGKILL); /* and its children, by PR_SET_PDEATHSIG */
    waitpid(master->pid, NULL, 0);
    close(master->talk);
}

struct child {
    pid_t pid;
    int talk;
};

static void hear_byte(int talk)
{
    char byte;
    assert_int_equal(read(talk, &byte, 1), 1);
}

static struct child hire(struct master *master, char kind)
{
    struct child child;
    char control[CMSG_SPACE(sizeof child.talk)];
    struct iovec iov = {.iov_base = &child.pid, .iov_len = sizeof child.pid};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    assert_int_equal(write(master->talk, &kind, 1), 1);
    assert_int_equal(recvmsg(master->talk, &message, MSG_CMSG_CLOEXEC), sizeof child.pid);
    assert_non_null(CMSG_FIRSTHDR(&message));
    memcpy(&child.talk, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof child.talk);
    hear_byte(child.talk);
    return child;
}

static void work(const struct child *child)
{
    assert_int_equal(write(child->talk, "b", 1), 1);
    hear_byte(child->talk);
}

/* Killed, and waited for by its master. */
static void dismiss(struct master *master, struct child *child)
{
    kill(child->pid, SIGKILL);
    assert_int_equal(write(master->talk, "x", 1), 1);
    hear_byte(master->talk);
    close(child->talk);
}

static struct server_side *open_side(const char *spec, const struct pf_address *address)
{
    struct server_side *side;
    char why[256] = "";
    if (server_side_open(spec, address, &side, why, sizeof why) != 0)
        fail_msg("%s: %s", spec, why);
    return side;
}

static const struct result_worker *worker_of(const struct result_server *server, pid_t pid)
{
    for (unsigned i = 0; i < server->worker_count; i++)
        if (server->workers[i].pid == pid)
            return &server->workers[i];
    fail_msg("no worker %d", (int)pid);
    return NULL;
}

static void forget(struct result_server *server)
{
    free(server->name);
    free(server->workers);
}

/* ---- of any server --------------------------------------------------------------- */

static void whoever_listens_is_found_with_its_workers(void **state)
{
    (void)state;
    struct master master;
    start(&master);
    struct child one = hire(&master, 'w'), two = hire(&master, 'w'),
                 helper = hire(&master, 'h');
    struct server_side *side = open_side("auto", &master.address);
    assert_int_equal(server_side_pid(side), master.pid);
    server_side_begin(side);
    work(&one);
    work(&one);
    work(&two);
    work(&helper);
    struct result_row row = {.server_cpu_ns = RESULT_UNKNOWN, .server_rss = RESULT_UNKNOWN};
    server_side_sample(side, &row);
    assert_true(row.server_cpu_ns >= 4 * BURN_NS);
    assert_true(row.server_rss > 0);
    int64_t first = row.server_cpu_ns;
    work(&two);
    server_side_sample(side, &row);
    assert_true(row.server_cpu_ns >= BURN_NS);
    struct result_server server;
    server_side_end(side, &server);
    assert_int_equal(server.source, RESULT_SOURCE_PROC);
    char name[PROC_NAME_MAX];
    proc_name(getpid(), name); /* its children go by it, too */
    assert_string_equal(server.name, name);
    assert_true(server.cpu_ns >= first + row.server_cpu_ns);
    assert_int_equal(server.cpu_user_ns + server.cpu_system_ns, server.cpu_ns);
    assert_int_equal(server.worker_count, 2); /* the helper is none */
    assert_true(worker_of(&server, one.pid)->cpu_ns >= 2 * BURN_NS);
    assert_true(worker_of(&server, two.pid)->cpu_ns >= 2 * BURN_NS);
    assert_int_equal(worker_of(&server, one.pid)->requests, RESULT_UNKNOWN);
    assert_true(worker_of(&server, one.pid)->rss > 0);
    assert_true(server.rss_max >= worker_of(&server, one.pid)->rss * 2);
    assert_true(server.jain > 0.5 && server.jain <= 1);
    assert_int_equal(server.requests, RESULT_UNKNOWN);
    assert_true(server.context_switches >= 0);
    assert_true(server.listen_drops >= 0 && server.syn_retries >= 0);
    assert_string_equal(server.unseen, "");
    forget(&server);
    server_side_close(side);
    close(one.talk);
    close(two.talk);
    close(helper.talk);
    stop(&master);
}

/* As root: nobody else can become another user. */
static void what_another_user_hides_is_said(void **state)
{
    (void)state;
    static const char *const says[] = {"whose processes are not to be seen: another user's",
                                       "2 of its 2 processes are another user's"};
    struct master master;
    struct result_server server;
    char spec[32];
    if (geteuid() != 0)
        skip();
    start(&master);
    struct child one = hire(&master, 'w');
    snprintf(spec, sizeof spec, "pid:%d", (int)master.pid);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(seteuid(61234), 0);
        struct server_side *side = open_side(i ? spec : "auto", &master.address);
        server_side_begin(side);
        work(&one);
        server_side_end(side, &server);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(server.source, i ? RESULT_SOURCE_PROC : RESULT_SOURCE_NONE);
        if (!strstr(server.unseen, says[i]))
            fail_msg("\"%s\" lacks \"%s\"", server.unseen, says[i]);
        forget(&server);
        server_side_close(side);
    }
    close(one.talk);
    stop(&master);
}

static void what_was_before_the_beginning_does_not_count(void **state)
{
    (void)state;
    struct master master;
    start(&master);
    struct child one = hire(&master, 'w');
    for (int i = 0; i < 4; i++)
        work(&one);
    struct server_side *side = open_side("auto", &master.address);
    server_side_begin(side);
    struct result_server server;
    server_side_end(side, &server);
    assert_true(server.cpu_ns < 4 * BURN_NS);
    assert_true(worker_of(&server, one.pid)->cpu_ns < 4 * BURN_NS);
    forget(&server);
    server_side_close(side);
    close(one.talk);
    stop(&master);
}

static void a_worker_that_is_replaced_keeps_its_share(void **state)
{
    (void)state;
    struct master master;
    start(&master);
    struct child one = hire(&master, 'w'), two = hire(&master, 'w');
    struct server_side *side = open_side("auto", &master.address);
    struct result_row row;
    server_side_begin(side);
    work(&one);
    work(&two);
    server_side_sample(side, &row);
    dismiss(&master, &one);
    struct child three = hire(&master, 'w');
    work(&three);
    server_side_sample(side, &row);
    struct result_server server;
    server_side_end(side, &server);
    assert_int_equal(server.worker_count, 2);
    assert_int_equal(worker_of(&server, three.pid)->restarts, 1);
    assert_true(worker_of(&server, three.pid)->cpu_ns >= 2 * BURN_NS);
    assert_int_equal(worker_of(&server, two.pid)->restarts, 0);
    assert_true(server.cpu_ns >= 3 * BURN_NS);
    forget(&server);
    server_side_close(side);
    close(two.talk);
    close(three.talk);
    stop(&master);
}

/* Nobody has seen it at work: its parent's account has what it had, to a tick or two. */
static void a_worker_that_came_and_went_between_two_samples_counts(void **state)
{
    (void)state;
    struct master master;
    start(&master);
    struct child one = hire(&master, 'w');
    struct server_side *side = open_side("auto", &master.address);
    server_side_begin(side);
    struct child two = hire(&master, 'w');
    work(&two);
    work(&two);
    dismiss(&master, &two);
    struct result_server server;
    server_side_end(side, &server);
    assert_true(server.cpu_ns >= 2 * BURN_NS - 20 * PF_MILLISECOND);
    forget(&server);
    server_side_close(side);
    close(one.talk);
    stop(&master);
}

static void without_a_listener_to_go_by_the_leaves_are_the_workers(void **state)
{
    (void)state;
    struct master master;
    start(&master);
    struct child one = hire(&master, 'h'), two = hire(&master, 'h');
    struct pf_address elsewhere = master.address;
    pf_address_set_port(&elsewhere, 1); /* nobody is there */
    char spec[32];
    snprintf(spec, sizeof spec, "pid:%d", (int)master.pid);
    struct server_side *side = open_side(spec, &elsewhere);
    server_side_begin(side);
    work(&two);
    struct result_server server;
    server_side_end(side, &server);
    assert_int_equal(server_side_pid(side), master.pid);
    assert_int_equal(server.worker_count, 2);
    assert_true(worker_of(&server, two.pid)->cpu_ns >= BURN_NS);
    forget(&server);
    server_side_close(side);
    close(one.talk);
    close(two.talk);
    stop(&master);
}

static void a_server_of_one_process_is_its_own_worker(void **state)
{
    (void)state;
    struct master master;
    start(&master);
    struct server_side *side = open_side("auto", &master.address);
    server_side_begin(side);
    struct result_server server;
    server_side_end(side, &server);
    assert_int_equal(server.worker_count, 1);
    assert_int_equal(server.workers[0].pid, master.pid);
    forget(&server);
    server_side_close(side);
    stop(&master);
}

static void another_server_at_the_address_is_found_when_the_first_is_gone(void **state)
{
    (void)state;
    struct master first, second;
    start(&first);
    struct server_side *side = open_side("auto", &first.address);
    struct result_row row;
    server_side_begin(side);
    stop(&first);
    server_side_sample(side, &row);
    assert_int_equal(row.server_rss, 0);

    /* In its place: another process, on the same port. */
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), line[2];
    assert_int_equal(
        bind(listener, (struct sockaddr *)&first.address.storage, first.address.len), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line), 0);
    second.pid = fork();
    if (second.pid == 0) {
        close(line[0]);
        master_forever(line[1], listener);
    }
    close(line[1]);
    close(listener);
    second.talk = line[0];
    server_side_sample(side, &row);
    assert_int_equal(server_side_pid(side), second.pid);
    assert_true(row.server_rss > 0);
    server_side_close(side);
    stop(&second);
}

static void where_nobody_listens_all_is_unknown(void **state)
{
    (void)state;
    static const char *const specs[] = {"auto", "none"};
    for (size_t i = 0; i < 2; i++) {
        struct pf_address address;
        close(listen_anywhere(&address));
        struct server_side *side = open_side(specs[i], &address);
        struct result_row row = {.server_cpu_ns = RESULT_UNKNOWN,
                                 .server_rss = RESULT_UNKNOWN};
        server_side_begin(side);
        server_side_sample(side, &row);
        assert_int_equal(row.server_cpu_ns, RESULT_UNKNOWN);
        assert_int_equal(row.server_rss, RESULT_UNKNOWN);
        struct result_server server;
        server_side_end(side, &server);
        assert_int_equal(server_side_pid(side), -1);
        assert_int_equal(server.source, RESULT_SOURCE_NONE);
        assert_int_equal(server.cpu_ns, RESULT_UNKNOWN);
        assert_true(isnan(server.jain));
        assert_null(server.workers);
        assert_null(server.name);
        server_side_close(side);
    }
}

static void what_is_no_server_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int err;
        const char *says;
    } rows[] = {
        {"", -EINVAL, "auto"},
        {"http://127.0.0.1/status", -EINVAL, "pid:N"},
        {"pid:", -EINVAL, "number"},
        {"pid:12x", -EINVAL, "number"},
        {"pid:0", -EINVAL, "number"},
        {"pid:-4", -EINVAL, "number"},
        {"pid:99999999999999999999", -EINVAL, "number"},
        {"pid:99999999999", -ESRCH, "no such process"},
        {"unix:relative", -EINVAL, "absolute"},
        {"unix:/nowhere/at/all.ctl", -ESRCH, "No such file"},
    };
    struct pf_address address;
    int listener = listen_anywhere(&address);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server_side *side = NULL;
        char why[256] = "";
        assert_int_equal(server_side_open(rows[i].spec, &address, &side, why, sizeof why),
                         rows[i].err);
        assert_null(side);
        assert_non_null(strstr(why, rows[i].says));
    }
    close(listener);
}

/* Of a measurement that never began nothing is known: least of all what the kernel has
 * counted since it was started. */
static void what_never_began_has_no_numbers(void **state)
{
    (void)state;
    struct pf_address address;
    int listener = listen_anywhere(&address);
    struct server_side *side = open_side("auto", &address);
    struct result_server server = {0};
    server_side_end(side, &server);
    assert_int_equal(server.syn_retries, RESULT_UNKNOWN);
    assert_int_equal(server.listen_drops, RESULT_UNKNOWN);
    assert_int_equal(server.listen_overflows, RESULT_UNKNOWN);
    server_side_close(side);
    forget(&server);
    close(listener);
}

/* ---- of a server that answers ---------------------------------------------------- */

static const char answer[] =
    "{\"ok\":true,\"pid\":77,\"totals\":{\"accepted\":9,\"connections\":3,\"requests\":50},"
    "\"workers\":[{\"worker\":0,\"pid\":78,\"starts\":1,\"lanes\":["
    "{\"thread\":0,\"connections\":1,\"requests\":20},"
    "{\"thread\":1,\"connections\":2,\"requests\":10}]},"
    "{\"worker\":1,\"pid\":null,\"starts\":4,\"lanes\":["
    "{\"thread\":0,\"connections\":0,\"requests\":20}]}]}\n";

static struct ctl_status status; /* large */

static void a_status_is_read(void **state)
{
    (void)state;
    assert_int_equal(ctl_parse(answer, strlen(answer), &status), 0);
    assert_int_equal(status.pid, 77);
    assert_int_equal(status.requests, 50);
    assert_int_equal(status.worker_count, 2);
    assert_int_equal(status.workers[0].slot, 0);
    assert_int_equal(status.workers[0].pid, 78);
    assert_int_equal(status.workers[0].requests, 30);
    assert_int_equal(status.workers[0].connections, 3);
    assert_int_equal(status.workers[0].starts, 1);
    assert_int_equal(status.workers[1].pid, -1);
    assert_int_equal(status.workers[1].starts, 4);
}

static void what_is_no_status_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "7",
                                        "{\"ok\":false,\"error\":\"busy\"}",
                                        "{\"ok\":true,\"workers\":[]}",
                                        "{\"ok\":true,\"totals\":{},\"workers\":7}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(ctl_parse(texts[i], strlen(texts[i]), &status), -EPROTO);
    /* Members of another type are as if they were not there. */
    static const char odd[] = "{\"ok\":true,\"totals\":{\"requests\":\"x\"},"
                              "\"workers\":[7,{\"worker\":0,\"lanes\":3}]}";
    assert_int_equal(ctl_parse(odd, strlen(odd), &status), 0);
    assert_int_equal(status.workers[0].slot, -1);
    assert_int_equal(status.workers[1].requests, 0);
}

/* No server counts so far: sums of what it says must not overflow. */
static void numbers_beyond_all_measure_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *lanes;
        int err;
    } rows[] = {
        {"{\"requests\":1000000000000000}", 0},
        {"{\"requests\":9223372036854775807}", -EPROTO},
        {"{\"requests\":-1}", -EPROTO},
        {"{\"connections\":-9223372036854775808}", -EPROTO},
        {"{\"requests\":1000000000000000},{\"requests\":1000000000000000}", -EPROTO},
        {"{\"connections\":9223372036854775807},{\"connections\":1}", -EPROTO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"ok\":true,\"totals\":{},\"workers\":[{\"lanes\":[%s]}]}",
                 rows[i].lanes);
        if (ctl_parse(text, strlen(text), &status) != rows[i].err)
            fail_msg("%s", rows[i].lanes);
    }
    static const char *const texts[] = {
        "{\"ok\":true,\"workers\":[],\"totals\":{\"requests\":9223372036854775807}}",
        "{\"ok\":true,\"workers\":[],\"totals\":{\"requests\":-5}}",
        "{\"ok\":true,\"workers\":[],\"totals\":{},\"pid\":-2}",
        "{\"ok\":true,\"workers\":[{\"starts\":-1}],\"totals\":{}}",
        "{\"ok\":true,\"workers\":[{\"worker\":9223372036854775807}],\"totals\":{}}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(ctl_parse(texts[i], strlen(texts[i]), &status), -EPROTO);
}

/* A control socket that gives one answer, or none at all. */
struct oracle {
    char directory[64], path[CTL_PATH_MAX];
    int listener;
    const char *says;
    pthread_t thread;
};

static void *oracle_thread(void *arg)
{
    struct oracle *oracle = arg;
    int fd = accept4(oracle->listener, NULL, NULL, SOCK_CLOEXEC);
    char line[64];
    if (fd >= 0 && recv(fd, line, sizeof line, 0) > 0)
        (void)!send(fd, oracle->says, strlen(oracle->says), MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void oracle_open(struct oracle *oracle)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(oracle->directory, sizeof oracle->directory, "/tmp/prefork-test-XXXXXX");
    assert_non_null(mkdtemp(oracle->directory));
    snprintf(oracle->path, sizeof oracle->path, "%s/a.ctl", oracle->directory);
    memcpy(address.sun_path, oracle->path, strlen(oracle->path));
    oracle->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(oracle->listener, (struct sockaddr *)&address, sizeof address),
                     0);
    assert_int_equal(listen(oracle->listener, 8), 0);
}

static void oracle_close(struct oracle *oracle)
{
    close(oracle->listener);
    unlink(oracle->path);
    rmdir(oracle->directory);
}

static void a_control_socket_is_found_and_asked(void **state)
{
    (void)state;
    struct oracle oracle = {.says = answer};
    char path[CTL_PATH_MAX];
    assert_int_equal(ctl_find(getpid(), path), -ENOENT);
    oracle_open(&oracle);
    assert_int_equal(ctl_find(getpid(), path), 0);
    assert_string_equal(path, oracle.path);
    assert_int_equal(pthread_create(&oracle.thread, NULL, oracle_thread, &oracle), 0);
    assert_int_equal(ctl_ask(path, PF_TEST_DEADLINE_S * PF_SECOND, &status), 0);
    assert_int_equal(status.requests, 50);
    pthread_join(oracle.thread, NULL);
    oracle_close(&oracle);
    assert_int_equal(ctl_ask(path, CTL_WAIT_SAMPLE_NS, &status), -ENOENT);
}

static void one_that_does_not_answer_is_not_waited_for(void **state)
{
    (void)state;
    struct oracle oracle = {.says = ""};
    oracle_open(&oracle); /* connections wait in its queue: nobody accepts them */
    assert_int_equal(ctl_ask(oracle.path, CTL_WAIT_SAMPLE_NS, &status), -ETIMEDOUT);
    oracle_close(&oracle);
}

/* The kernel lists listeners first, in no order of their own: all are found, whatever other
 * sockets there are on their ports. */
static void each_listener_is_found_beside_others_and_their_connections(void **state)
{
    (void)state;
    enum {
        LISTENERS = 40
    };
    int listeners[LISTENERS], clients[LISTENERS];
    struct pf_address at[LISTENERS];
    for (int i = 0; i < LISTENERS; i++) {
        struct sockaddr_in any = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        at[i] = (struct pf_address){.len = sizeof any};
        listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listeners[i], (struct sockaddr *)&any, sizeof any), 0);
        assert_int_equal(listen(listeners[i], 1), 0);
        assert_int_equal(
            getsockname(listeners[i], (struct sockaddr *)&at[i].storage, &at[i].len), 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&at[i].storage, at[i].len),
                         0);
    }
    static struct pf_holder_sockets found; /* large */
    for (int i = 0; i < LISTENERS; i++) {
        struct stat about;
        pf_holder_find(&at[i], &found);
        assert_int_equal(fstat(listeners[i], &about), 0);
        assert_int_equal(found.count, 1);
        assert_int_equal(found.inodes[0], about.st_ino);
    }
    for (int i = 0; i < LISTENERS; i++) {
        close(clients[i]);
        close(listeners[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(whoever_listens_is_found_with_its_workers),
        pf_test(what_another_user_hides_is_said),
        pf_test(each_listener_is_found_beside_others_and_their_connections),
        pf_test(what_was_before_the_beginning_does_not_count),
        pf_test(a_worker_that_is_replaced_keeps_its_share),
        pf_test(a_worker_that_came_and_went_between_two_samples_counts),
        pf_test(without_a_listener_to_go_by_the_leaves_are_the_workers),
        pf_test(a_server_of_one_process_is_its_own_worker),
        pf_test(another_server_at_the_address_is_found_when_the_first_is_gone),
        pf_test(where_nobody_listens_all_is_unknown),
        pf_test(what_is_no_server_is_refused),
        pf_test(what_never_began_has_no_numbers),
        pf_test(a_status_is_read),
        pf_test(what_is_no_status_is_refused),
        pf_test(numbers_beyond_all_measure_are_refused),
        pf_test(a_control_socket_is_found_and_asked),
        pf_test(one_that_does_not_answer_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
