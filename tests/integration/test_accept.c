/*
 * test_accept.c - who gets a connection, how many fit, and over what they come.
 */
#include "tests/lib/server.h"
#include "tests/lib/swarm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define ANY_PORT    "-b", "127.0.0.1:0"
#define SERVER      "bin/prefork-server"
#define GREETER     "tests/apps/greeter"
#define FAULTY      "tests/apps/faulty"
#define DATAGRAM    "tests/apps/datagram"
#define GET         "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
#define PID_REQUEST "GET /pid HTTP/1.1\r\nHost: test\r\n\r\n"

static struct pf_test_server server;
static char answer[65536];

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- shares ---------------------------------------------------------------------- */

enum {
    SHARES_MAX = 64
};

/* How many connections each lane answered: by process and thread. */
struct shares {
    unsigned count;
    struct share {
        int pid, thread;
        unsigned long served, here, away; /* the CPU that received it was the lane's own */
    } of[SHARES_MAX];
};

static void shares_on_answer(const char *text, void *arg)
{
    struct shares *shares = arg;
    int pid, thread, cpu, incoming;
    assert_int_equal(sscanf(text, "%d %d %d %d", &pid, &thread, &cpu, &incoming), 4);
    unsigned i = 0;
    while (i < shares->count &&
           (shares->of[i].pid != pid || shares->of[i].thread != thread))
        i++;
    assert_true(i < SHARES_MAX);
    if (i == shares->count)
        shares->of[shares->count++] = (struct share){.pid = pid, .thread = thread};
    shares->of[i].served++;
    if (cpu == incoming)
        shares->of[i].here++;
    else
        shares->of[i].away++;
}

/* So many connections to the greeter, all of which must be served. */
static void share_out(unsigned long total, unsigned at_a_time, struct shares *shares)
{
    struct pf_swarm_options options = {.port = server.port,
                                       .connections = at_a_time,
                                       .total = total,
                                       .request = "who\n",
                                       .greeting = true,
                                       .on_answer = shares_on_answer,
                                       .arg = shares};
    *shares = (struct shares){0};
    pf_swarm *swarm = pf_swarm_new(&options);
    assert_int_equal(pf_swarm_run(swarm, PF_TEST_DEADLINE_S * 1000), 0);
    assert_int_equal(pf_swarm_counts(swarm)->served, total);
    pf_swarm_free(swarm);
}

static void start_greeter(const char *const args[])
{
    pf_swarm_records();
    pf_test_program_start(&server, GREETER, args);
}

static void stop_greeter(void)
{
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    pf_swarm_records_end();
}

static void print_shares(const struct shares *shares, const char *what)
{
    print_message("# %s:", what);
    for (unsigned i = 0; i < shares->count; i++)
        print_message(" %lu", shares->of[i].served);
    print_message("\n");
}

static void the_hash_gives_each_worker_its_share(void **state)
{
    (void)state;
    enum {
        TOTAL = 10000,
        WORKERS = 4
    };
    struct shares shares;
    size_t from;
    long long until = now_ms() + PF_TEST_DEADLINE_S * 1000LL;
    start_greeter(ARGS(ANY_PORT, "-w", "4"));
    do { /* what a neighbour had to do for one that was held up says nothing */
        assert_true(now_ms() < until);
        pf_test_server_listen(&server);
        from = server.text_len;
        share_out(TOTAL, 64, &shares);
        pf_test_server_listen(&server);
    } while (strstr(server.text + from, "lane-stuck"));
    print_shares(&shares, "10000 connections over 4 workers by hash");
    assert_int_equal(shares.count, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_true(shares.of[i].served >= TOTAL / WORKERS * 85 / 100);
        assert_true(shares.of[i].served <= TOTAL / WORKERS * 115 / 100);
    }
    stop_greeter();
}

/* This process's CPUs, to which it goes back after a test that gives some up. */
static cpu_set_t all;

static int leave_cpu(void **state)
{
    (void)sched_setaffinity(0, sizeof all, &all);
    return pf_test_teardown(state);
}

static void go_to_cpu(int cpu)
{
    cpu_set_t one;
    assert_true(cpu >= 0);
    CPU_ZERO(&one);
    CPU_SET((unsigned)cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
}

/* One that was long in coming, or was held up, is helped by a neighbour, which lets go a
 * moment after the log says that it accepts: soon all who come from its CPU are its own. */
static void expect_all_from(int cpu, pid_t pid)
{
    struct shares shares;
    long long until = now_ms() + PF_TEST_DEADLINE_S * 1000LL;
    go_to_cpu(cpu);
    do {
        assert_true(now_ms() < until);
        share_out(200, 8, &shares);
    } while (shares.count != 1 || shares.of[0].pid != pid);
    assert_int_equal(shares.of[0].away, 0);
}

static void clients_reach_the_worker_of_their_cpu(void **state)
{
    (void)state;
    int cpus = CPU_COUNT(&all) < SHARES_MAX ? CPU_COUNT(&all) : SHARES_MAX;
    if (cpus < 2)
        skip();
    char workers[16];
    snprintf(workers, sizeof workers, "%d", cpus);
    start_greeter(ARGS(ANY_PORT, "-w", workers, "--steer", "cpu", "--pin", "strict"));
    assert_int_equal(server.worker_count, cpus);
    for (unsigned i = 0; i < server.worker_count; i++)
        expect_all_from(server.cpus[i], server.workers[i]);
    stop_greeter();
}

static void the_steering_follows_a_worker_that_is_replaced(void **state)
{
    (void)state;
    if (CPU_COUNT(&all) < 2)
        skip();
    start_greeter(ARGS(ANY_PORT, "-w", "2", "--steer", "cpu", "--pin", "strict"));
    size_t from = server.text_len;
    assert_int_equal(kill(server.workers[0], SIGKILL), 0);
    pf_test_server_expect(&server, from, "worker-accepts worker=0 pid=");
    const char *named = strstr(server.text + from, "worker-accepts worker=0 pid=");
    pid_t pid = (pid_t)strtol(named + strlen("worker-accepts worker=0 pid="), NULL, 10);
    expect_all_from(server.cpus[0], pid);
    stop_greeter();
}

/* So many lanes serve, be it that one was held up for a while. */
static void expect_lanes(unsigned count, unsigned at_a_time, struct shares *shares)
{
    long long until = now_ms() + PF_TEST_DEADLINE_S * 1000LL;
    do {
        assert_true(now_ms() < until);
        share_out(2000, at_a_time, shares);
        assert_true(shares->count <= count);
    } while (shares->count < count);
}

static void a_shared_listener_serves_all_and_starves_nobody(void **state)
{
    (void)state;
    static const char *const ways[] = {"exclusive", "shared"};
    for (size_t i = 0; i < 2; i++) {
        struct shares shares;
        start_greeter(ARGS(ANY_PORT, "-w", "4", "--accept", ways[i]));
        expect_lanes(4, 64, &shares);
        print_shares(&shares, ways[i]);
        stop_greeter();
    }
}

static void each_lane_of_each_worker_serves(void **state)
{
    (void)state;
    struct shares shares;
    start_greeter(ARGS(ANY_PORT, "-w", "2", "--threads", "2"));
    pid_t pids[8];
    assert_int_equal(pf_test_children(server.pid, pids, 8), 2);
    expect_lanes(4, 32, &shares);
    print_shares(&shares, "2 workers of 2 lanes");
    for (unsigned i = 0; i < 4; i++)
        assert_true(shares.of[i].pid == pids[0] || shares.of[i].pid == pids[1]);

    /* Both lanes go with their process, and both come back. */
    size_t from = server.text_len;
    assert_int_equal(kill(pids[0], SIGKILL), 0);
    pf_test_server_expect(&server, from, "worker-accepts");
    expect_lanes(4, 32, &shares);
    for (unsigned i = 0; i < 4; i++)
        assert_int_not_equal(shares.of[i].pid, pids[0]);
    stop_greeter();
}

/* ---- many that are idle ---------------------------------------------------------- */

enum {
    HOLDERS = 2,
    HELD = 9500, /* by each */
    BYTES_MAX = 1024
};

/* In a process of its own: so many connections, each answered once, then idle. It says
 * "k" through `ready`, and leaves when `end` ends. */
static void hold(unsigned number, int ready, int end)
{
    struct rlimit limit;
    char c = 'k';
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        _exit(1);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        _exit(2);
    for (unsigned i = 0; i < HELD; i++) {
        /* Ports are for each address: no need to care how many there are. */
        struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr.s_addr =
                                       htonl(INADDR_LOOPBACK + 1 + number * 4 + i % 4)};
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)server.port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int one = 1;
        struct timeval patience = {.tv_sec = PF_TEST_DEADLINE_S};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
            connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
            pf_test_send_text(fd, GET) != 0 || recv(fd, answer, sizeof answer, 0) <= 0)
            _exit(3);
    }
    if (write(ready, &c, 1) != 1)
        _exit(4);
    (void)!read(end, &c, 1);
    _exit(0);
}

static pid_t start_holder(unsigned number, int ready, const int end[2])
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(end[1]); /* the test's alone: its end is the sign */
        hold(number, ready, end[0]);
    }
    return pid;
}

/* Memory that is this process's alone, in bytes. */
static unsigned long own_memory(pid_t pid)
{
    char path[64], line[256];
    unsigned long sum = 0, kb;
    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Private_Clean: %lu", &kb) == 1 ||
            sscanf(line, "Private_Dirty: %lu", &kb) == 1)
            sum += kb * 1024;
    fclose(file);
    return sum;
}

static void many_idle_connections_are_cheap(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their memory is not ours */
#endif
    pf_test_skip_under_valgrind();
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < HOLDERS * HELD + 200) {
        print_message("# skipped: the hard limit of descriptors is %lu\n",
                      (unsigned long)limit.rlim_max);
        skip();
    }
    pf_test_program_start(&server, SERVER,
                          ARGS(ANY_PORT, "-w", "1", "--idle-timeout", "10m"));
    int fd = pf_test_connect(server.port); /* what the first one costs is no part of it */
    assert_int_equal(pf_test_send_text(fd, GET), 0);
    assert_true(pf_test_read_response(fd, answer, sizeof answer) > 0);
    unsigned long before = own_memory(server.workers[0]);
    int ready[2], end[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    pid_t holders[HOLDERS];
    for (unsigned i = 0; i < HOLDERS; i++)
        holders[i] = start_holder(i, ready[1], end);
    close(ready[1]);
    unsigned held = 0;
    for (char c; held < HOLDERS && read(ready[0], &c, 1) == 1;)
        held++;
    unsigned long after = own_memory(server.workers[0]);
    close(ready[0]);
    close(end[0]);
    close(end[1]);
    for (unsigned i = 0; i < HOLDERS; i++) {
        int status = 0;
        assert_int_equal(waitpid(holders[i], &status, 0), holders[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(held, HOLDERS);
    double each = ((double)after - (double)before) / (HOLDERS * HELD);
    print_message("# %d idle connections on one worker: %.0f bytes of its own for each\n",
                  HOLDERS * HELD, each);
    assert_true(each <= BYTES_MAX);
    close(fd);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- limits ---------------------------------------------------------------------- */

/* A connection from that loopback address, its first request answered: an idle one. */
static int open_idle(const char *from, const char *request)
{
    struct sockaddr_in own = {.sin_family = AF_INET}, to = own;
    to.sin_port = htons((uint16_t)server.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(inet_pton(AF_INET, from, &own.sin_addr), 1);
    struct timeval patience = {.tv_sec = PF_TEST_DEADLINE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    (void)pf_test_send_text(fd, request); /* it may be refused unread */
    ssize_t n = pf_test_read_response(fd, answer, sizeof answer);
    assert_true(n > 0);
    return fd;
}

static void assert_ok(void)
{
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
}

static void assert_turned_away(int fd)
{
    assert_memory_equal(answer, "HTTP/1.1 503", 12);
    char c;
    assert_int_equal(recv(fd, &c, 1, 0), 0); /* closed, and not by a reset */
    close(fd);
}

/* A place is free again when the server has seen the end: asked until it has. */
static int open_until_ok(const char *from)
{
    for (long long end = now_ms() + PF_TEST_DEADLINE_S * 1000; now_ms() < end;) {
        int fd = open_idle(from, GET);
        if (strncmp(answer, "HTTP/1.1 200", 12) == 0)
            return fd;
        assert_turned_away(fd);
    }
    fail_msg("no place becomes free");
    return -1;
}

static void one_too_many_is_told_so(void **state)
{
    (void)state;
    enum {
        LIMIT = 50
    };
    int fds[LIMIT];
    pf_test_program_start(
        &server, SERVER,
        ARGS(ANY_PORT, "-w", "1", "--max-connections", "50", "--head-timeout", "10m"));
    for (int i = 0; i < LIMIT; i++) {
        fds[i] = open_idle("127.0.0.1", GET);
        assert_ok();
    }
    /* One more takes the place of the one that has been idle longest. */
    int more = open_idle("127.0.0.1", GET);
    assert_ok();
    assert_int_equal(recv(fds[0], answer, sizeof answer, 0), 0);
    close(fds[0]);
    fds[0] = more;
    for (int i = 0; i < LIMIT; i++) /* now none is idle */
        assert_int_equal(pf_test_send_text(fds[i], "GET / HTTP/1.1\r\n"), 0);
    assert_turned_away(open_idle("127.0.0.1", GET));
    /* Those that are in are none the worse. */
    assert_int_equal(pf_test_send_text(fds[7], "Host: a\r\n\r\n"), 0);
    assert_true(pf_test_read_response(fds[7], answer, sizeof answer) > 0);
    assert_ok();
    close(fds[0]);
    fds[0] = open_until_ok("127.0.0.1");
    for (int i = 0; i < LIMIT; i++)
        close(fds[i]);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void one_client_takes_no_more_than_its_part(void **state)
{
    (void)state;
    enum {
        LIMIT = 10
    };
    int fds[LIMIT];
    pf_test_program_start(&server, SERVER,
                          ARGS(ANY_PORT, "-w", "1", "--client-connections", "10"));
    for (int i = 0; i < LIMIT; i++) {
        fds[i] = open_idle("127.0.0.1", GET);
        assert_ok();
    }
    assert_turned_away(open_idle("127.0.0.1", GET));
    int other = open_idle("127.0.0.2", GET);
    assert_ok();
    close(other);
    close(fds[0]);
    fds[0] = open_until_ok("127.0.0.1");
    for (int i = 0; i < LIMIT; i++)
        close(fds[i]);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static void a_worker_that_has_enough_leaves_the_rest_to_the_others(void **state)
{
    (void)state;
    enum {
        SOFT = 20,
        OPEN = 2 * SOFT - 2
    };
    int fds[OPEN];
    unsigned served[2] = {0};
    pf_test_program_start(&server, FAULTY,
                          ARGS(ANY_PORT, "-w", "2", "--soft-connections", "20"));
    for (int i = 0; i < OPEN; i++) {
        fds[i] = open_idle("127.0.0.1", PID_REQUEST);
        assert_ok();
        const char *pid = strstr(answer, "pid=");
        assert_non_null(pid);
        for (int w = 0; w < 2; w++)
            served[w] += strtol(pid + 4, NULL, 10) == server.workers[w];
    }
    print_message("# 38 connections, 20 are enough for a worker: %u %u\n", served[0],
                  served[1]);
    assert_int_equal(served[0] + served[1], OPEN);
    assert_true(served[0] <= SOFT);
    assert_true(served[1] <= SOFT);
    for (int i = 0; i < OPEN; i++)
        close(fds[i]);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

static long long cpu_ms(pid_t pid)
{
    char path[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%ld/schedstat", (long)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%llu", &ns), 1);
    fclose(file);
    return (long long)(ns / 1000000);
}

static void out_of_descriptors_it_neither_spins_nor_forgets_who_waits(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* which has descriptors of its own */
    enum {
        CLIENTS = 100
    };
    int fds[CLIENTS];
    unsigned answered = 0;
    pf_test_program_spawn(&server, ARGS("prlimit", "--nofile=64:64"), SERVER,
                          ARGS(ANY_PORT, "-w", "1"));
    pf_test_server_read_banner(&server);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = pf_test_connect(server.port);
        assert_true(fds[i] >= 0);
        assert_int_equal(pf_test_send_text(fds[i], GET), 0);
    }
    pf_test_server_expect(&server, 0, "accept-paused");
    long long before = cpu_ms(server.workers[0]);
    (void)poll(NULL, 0, 1000); /* a second of life, not a wait for something */
    long long used = cpu_ms(server.workers[0]) - before;
    print_message("# out of descriptors: %lld ms of CPU in a second\n", used);
    assert_true(used < 300);
    /* The answered ones leave, as they have their answer, and make room. */
    for (int i = 0; i < CLIENTS; i++) {
        ssize_t n = pf_test_read_response(fds[i], answer, sizeof answer);
        answered += n > 0 && strncmp(answer, "HTTP/1.1 200", 12) == 0;
        close(fds[i]);
    }
    assert_int_equal(answered, CLIENTS);
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

/* ---- unix sockets ---------------------------------------------------------------- */

/* curl's exit status; what it prints is the answer. */
static int curl(const char *option, const char *name)
{
    int fds[2];
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", PF_TEST_DEADLINE_S);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execlp("curl", "curl", "--silent", "--show-error", "--max-time", seconds, option,
               name, "http://localhost/", (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    size_t len = 0;
    for (ssize_t n; (n = read(fds[0], answer + len, sizeof answer - 1 - len)) > 0;)
        len += (size_t)n;
    answer[len] = 0;
    close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void assert_curl_is_answered(const char *option, const char *name)
{
    assert_int_equal(curl(option, name), 0);
    assert_string_equal(answer, "hello");
}

static void a_unix_socket_is_served_by_all_and_outlives_a_killed_master(void **state)
{
    (void)state;
    pf_test_skip_without("curl");
    static struct pf_test_server next;
    char directory[] = "/tmp/prefork-unix-XXXXXX", path[64], address[80];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/sock", directory);
    snprintf(address, sizeof address, "unix:%s", path);
    pf_test_program_start(&server, SERVER, ARGS("-b", address, "-w", "2"));
    for (int i = 0; i < 4; i++)
        assert_curl_is_answered("--unix-socket", path);

    /* What it leaves behind is in nobody's way, and the workers' leave touches nothing of
     * the next one's. */
    pf_test_server_kill(&server);
    pf_test_program_start(&next, SERVER, ARGS("-b", address, "-w", "2"));
    assert_int_equal(pf_test_server_wait(&server), 128 + SIGKILL);
    for (int i = 0; i < 4; i++)
        assert_curl_is_answered("--unix-socket", path);
    assert_int_equal(pf_test_server_stop(&next, SIGTERM), 0);
    assert_int_equal(access(path, F_OK), -1); /* a proper end takes it away */

    char rest[96];
    snprintf(rest, sizeof rest, "%s/.sock.lock", directory);
    (void)unlink(rest);
    snprintf(rest, sizeof rest, "%s.lock", path);
    (void)unlink(rest);
    assert_int_equal(rmdir(directory), 0);
}

static void a_unix_socket_in_use_is_refused(void **state)
{
    (void)state;
    pf_test_skip_without("curl");
    static struct pf_test_server second;
    char path[64], address[80];
    snprintf(path, sizeof path, "/tmp/prefork-unix-%d.sock", getpid());
    snprintf(address, sizeof address, "unix:%s", path);
    pf_test_program_start(&server, SERVER, ARGS("-b", address, "-w", "1"));
    assert_int_equal(pf_test_server_run(&second, ARGS("-b", address, "-w", "1")), 69);
    assert_curl_is_answered("--unix-socket", path); /* the first one's still */
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
    char lock[80];
    snprintf(lock, sizeof lock, "%s.lock", path);
    (void)unlink(lock);
}

static void an_abstract_unix_socket_is_served(void **state)
{
    (void)state;
    pf_test_skip_without("curl");
    static struct pf_test_server next;
    char name[48], address[64];
    snprintf(name, sizeof name, "prefork-test-%d", getpid());
    snprintf(address, sizeof address, "unix:@%s", name);
    pf_test_program_start(&server, SERVER, ARGS("-b", address, "-w", "2"));
    assert_curl_is_answered("--abstract-unix-socket", name);
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    assert_int_equal(pf_test_server_wait(&server), 128 + SIGKILL);
    pf_test_program_start(&next, SERVER, ARGS("-b", address, "-w", "2"));
    assert_curl_is_answered("--abstract-unix-socket", name);
    assert_int_equal(pf_test_server_stop(&next, SIGTERM), 0);
}

/* ---- datagrams ------------------------------------------------------------------- */

enum {
    SOURCES = 20,
    DATAGRAMS = 50 /* from each */
};

/* The answer to `text`, which is sent again as long as there is none: they may get lost. */
static void assert_echoed(int fd, const char *text)
{
    char back[64];
    size_t len = strlen(text);
    for (long long end = now_ms() + PF_TEST_DEADLINE_S * 1000; now_ms() < end;) {
        assert_int_equal(send(fd, text, len, 0), (ssize_t)len);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        while (poll(&wait, 1, 500) == 1) {
            ssize_t n = recv(fd, back, sizeof back, 0);
            if (n == (ssize_t)len && memcmp(back, text, len) == 0)
                return;
            assert_true(n > 0); /* the answer to one that was sent again */
        }
    }
    fail_msg("no answer to %s", text);
}

static void datagrams_are_answered_from_the_address_they_came_to(void **state)
{
    (void)state;
    pf_test_program_start(&server, DATAGRAM, ARGS("-b", "udp:127.0.0.1:0", "-w", "2"));
    assert_true(server.port > 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)server.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int source = 0; source < SOURCES; source++) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        /* Connected: what comes from elsewhere is not received. */
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        for (int i = 0; i < DATAGRAMS; i++) {
            char text[64];
            snprintf(text, sizeof text, "datagram %d of %d", i, source);
            assert_echoed(fd, text);
        }
        close(fd);
    }
    assert_int_equal(pf_test_server_stop(&server, SIGTERM), 0);
}

#define on_cpus(name) cmocka_unit_test_setup_teardown(name, pf_test_setup, leave_cpu)

int main(void)
{
    CPU_ZERO(&all);
    (void)sched_getaffinity(0, sizeof all, &all);
    const struct CMUnitTest tests[] = {
        pf_test(the_hash_gives_each_worker_its_share),
        on_cpus(clients_reach_the_worker_of_their_cpu),
        on_cpus(the_steering_follows_a_worker_that_is_replaced),
        pf_test(a_shared_listener_serves_all_and_starves_nobody),
        pf_test(each_lane_of_each_worker_serves),
        pf_test(many_idle_connections_are_cheap),
        pf_test(one_too_many_is_told_so),
        pf_test(one_client_takes_no_more_than_its_part),
        pf_test(a_worker_that_has_enough_leaves_the_rest_to_the_others),
        pf_test(out_of_descriptors_it_neither_spins_nor_forgets_who_waits),
        pf_test(a_unix_socket_is_served_by_all_and_outlives_a_killed_master),
        pf_test(a_unix_socket_in_use_is_refused),
        pf_test(an_abstract_unix_socket_is_served),
        pf_test(datagrams_are_answered_from_the_address_they_came_to),
    };
    return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}
