#include "tests/lib/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- a server that does as it is told -------------------------------------------- */

struct visit {
    struct pf_peer *peer;
    int fd;
    unsigned index;
    pthread_t thread;
};

static void *visit_thread(void *arg)
{
    struct visit *visit = arg;
    visit->peer->serve(visit->peer, visit->fd, visit->index);
    close(visit->fd);
    return NULL;
}

/* Accept until the listener is shut down; then wait for the connections to end. */
static void *peer_thread(void *arg)
{
    struct pf_peer *peer = arg;
    struct visit *visits = calloc(PF_PEER_CONNECTIONS_MAX, sizeof *visits);
    unsigned count = 0;
    while (visits && count < PF_PEER_CONNECTIONS_MAX) {
        int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            break;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        visits[count] = (struct visit){.peer = peer, .fd = fd, .index = count};
        pthread_create(&visits[count].thread, NULL, visit_thread, &visits[count]);
        count++;
        atomic_fetch_add(&peer->connections, 1);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(visits[i].thread, NULL);
    free(visits);
    return NULL;
}

int pf_peer_listen(int family, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, address, len) == 0 && listen(fd, PF_PEER_CONNECTIONS_MAX) == 0)
        return fd;
    close(fd);
    return -1;
}

void pf_peer_start_on(struct pf_peer *peer, int listener)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    peer->listener = listener;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    if (at.ss_family == AF_UNIX) {
        snprintf(peer->url, sizeof peer->url, "http+unix:%s:/",
                 ((const struct sockaddr_un *)&at)->sun_path);
    } else { /* the port stands in the same place in both kinds of addresses */
        peer->port = ntohs(((const struct sockaddr_in *)&at)->sin_port);
        snprintf(peer->url, sizeof peer->url, "http://%s:%u/",
                 at.ss_family == AF_INET6 ? "[::1]" : "127.0.0.1", peer->port);
    }
    assert_int_equal(pipe2(peer->gate, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_thread, peer), 0);
}

void pf_peer_start(struct pf_peer *peer)
{
    struct sockaddr_in any = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = pf_peer_listen(AF_INET, (struct sockaddr *)&any, sizeof any);
    assert_true(listener >= 0);
    pf_peer_start_on(peer, listener);
}

/* Let so many connections pass the gate. */
void pf_peer_open_gate(struct pf_peer *peer, size_t count)
{
    static const char bytes[PF_PEER_CONNECTIONS_MAX];
    assert_int_equal(write(peer->gate[1], bytes, count), count);
}

void pf_peer_stop(struct pf_peer *peer)
{
    shutdown(peer->listener, SHUT_RDWR);
    pf_peer_open_gate(peer, PF_PEER_CONNECTIONS_MAX); /* whoever still waits there */
    assert_int_equal(pthread_join(peer->thread, NULL), 0);
    close(peer->gate[0]);
    close(peer->gate[1]);
    close(peer->listener);
}

void pf_peer_pass_gate(struct pf_peer *peer)
{
    char byte;
    (void)!read(peer->gate[0], &byte, 1);
}

/* The length of the request that begins the text, or 0 if its end is not there yet. */
static size_t request_len(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    return end ? (size_t)(end - text) + 4 : 0;
}

static void remember_first(struct pf_peer *peer, const char *request)
{
    if (atomic_fetch_add(&peer->requests, 1) == 0)
        snprintf(peer->request, sizeof peer->request, "%s", request);
}

/* Read one request, and nothing of the next. False at the end of the connection. */
bool pf_peer_read_request(struct pf_peer *peer, int fd)
{
    char text[PF_PEER_BYTES_MAX];
    size_t len = 0, end = 0;
    while (end == 0) {
        ssize_t seen = recv(fd, text + len, sizeof text - 1 - len, MSG_PEEK);
        if (seen <= 0)
            return false;
        text[len + (size_t)seen] = '\0';
        end = request_len(text);
        size_t take = end ? end - len : (size_t)seen;
        if (recv(fd, text + len, take, 0) != (ssize_t)take)
            return false;
        len += take;
    }
    text[end] = '\0';
    remember_first(peer, text);
    return true;
}

void pf_peer_say(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL); /* the peer may have gone */
}

void pf_peer_wait_for_end(int fd)
{
    char bytes[1024];
    while (read(fd, bytes, sizeof bytes) > 0)
        continue;
}

void pf_peer_serve_always(struct pf_peer *peer, int fd, unsigned index)
{
    (void)index;
    while (pf_peer_read_request(peer, fd))
        pf_peer_say(fd, peer->answer ? peer->answer : PF_PEER_HELLO);
}

/* ---- the program ----------------------------------------------------------------- */

static const char *program(void)
{
    static char path[4096];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/bin/prefork-bench", build ? build : "build/release");
    return path;
}

int64_t pf_bench_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* `line` is split at blanks; a word in it that stands between apostrophes may hold blanks.
 */
void pf_bench_start(struct pf_bench *bench, const char *line)
{
    int out[2], err[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    fflush(NULL);
    bench->pid = fork();
    assert_true(bench->pid >= 0);
    if (bench->pid == 0) {
        char command[8192];
        snprintf(command, sizeof command, "exec %s %s", program(), line);
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    bench->out_fd = out[0];
    bench->err_fd = err[0];
}

void pf_bench_start_at(struct pf_bench *bench, const char *options,
                       const struct pf_peer *peer)
{
    char line[1024];
    snprintf(line, sizeof line, "%s --server none %s", options, peer->url);
    memset(bench, 0, sizeof *bench);
    pf_bench_start(bench, line);
}

/* Take what is there to read; false at the end. What there is no room for is not kept. */
static bool drain(int fd, char *text)
{
    char beyond[4096];
    size_t len = strlen(text), room = PF_PEER_BYTES_MAX - 1 - len;
    ssize_t got = room ? read(fd, text + len, room) : read(fd, beyond, sizeof beyond);
    if (got > 0 && room)
        text[len + (size_t)got] = '\0';
    return got > 0;
}

/* Collect its output until it ends; after the deadline it is killed and the test fails. */
void pf_bench_wait(struct pf_bench *bench)
{
    int64_t deadline = pf_bench_now_ms() + PF_TEST_DEADLINE_S * 1000;
    struct pollfd fds[] = {{.fd = bench->out_fd, .events = POLLIN},
                           {.fd = bench->err_fd, .events = POLLIN}};
    char *texts[] = {bench->out, bench->err};
    bool late = false;
    while (!late && (fds[0].fd >= 0 || fds[1].fd >= 0)) {
        int64_t left = deadline - pf_bench_now_ms();
        late = left <= 0 || poll(fds, 2, (int)left) == 0;
        for (int i = 0; i < 2; i++)
            if (fds[i].fd >= 0 && fds[i].revents && !drain(fds[i].fd, texts[i]))
                fds[i].fd = -1;
    }
    if (late)
        kill(bench->pid, SIGKILL);
    assert_int_equal(waitpid(bench->pid, &bench->status, 0), bench->pid);
    close(bench->out_fd);
    close(bench->err_fd);
    assert_false(late);
    assert_true(WIFEXITED(bench->status));
    bench->status = WEXITSTATUS(bench->status);
}

static void read_json(struct pf_bench *bench, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, bench->json, sizeof bench->json - 1);
    bench->json[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
    unlink(path);
}

/* Run it to its end with these options, and the server's URL if there is one. Its own
 * timeout and drain are set where no test waits for them: a slow machine is no error. */
void pf_bench_run(struct pf_bench *bench, const char *options, const struct pf_peer *peer)
{
    char line[4096], path[64];
    snprintf(path, sizeof path, "/tmp/prefork-test-bench.%ld.json", (long)getpid());
    snprintf(line, sizeof line, "--timeout 60s --drain 60s --server none -o %s %s %s", path,
             options, peer ? peer->url : "");
    memset(bench, 0, sizeof *bench);
    pf_bench_start(bench, line);
    pf_bench_wait(bench);
    read_json(bench, path);
}

/* A signal is on its way for a moment: until the kernel says "stopped". */
void pf_bench_stop_process(pid_t pid)
{
    char path[64], state = '?';
    int64_t deadline = pf_bench_now_ms() + PF_TEST_DEADLINE_S * 1000;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    kill(pid, SIGSTOP);
    while (state != 'T' && pf_bench_now_ms() < deadline) {
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%*d %*s %c", &state), 1);
        fclose(file);
    }
    assert_int_equal(state, 'T');
}

void pf_bench_says(const char *text, const char *what)
{
    if (!strstr(text, what))
        print_error("no \"%s\" in:\n%s\n", what, text);
    assert_non_null(strstr(text, what));
}

void pf_bench_silent_about(const char *text, const char *what)
{
    if (strstr(text, what))
        print_error("\"%s\" in:\n%s\n", what, text);
    assert_null(strstr(text, what));
}

void pf_bench_exits(const struct pf_bench *bench, int status)
{
    if (bench->status != status)
        print_error("standard output:\n%s\nstandard error:\n%s\n", bench->out, bench->err);
    assert_int_equal(bench->status, status);
}

/* Wait until the counter has come so far, or a deadline that no working program meets. */
void pf_peer_wait_until(atomic_uint *counter, unsigned least)
{
    int64_t deadline = pf_bench_now_ms() + PF_TEST_DEADLINE_S * 1000;
    while (atomic_load(counter) < least && pf_bench_now_ms() < deadline)
        (void)poll(NULL, 0, 1);
    assert_true(atomic_load(counter) >= least);
}

bool pf_bench_blames_machine(const char *text)
{
    static const char *const phrases[] = {"lag p", "was busy for", "stood still for"};
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (strstr(text, phrases[i]))
            return true;
    return false;
}

void pf_bench_measured(const struct pf_bench *bench)
{
    bool late = pf_bench_blames_machine(bench->out) ||
                pf_bench_blames_machine(bench->err) || pf_bench_blames_machine(bench->json);
    if (bench->status != 3 || !late)
        pf_bench_exits(bench, 0);
}

double pf_bench_number(const struct pf_bench *bench, const char *object, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", object);
    const char *at = strstr(bench->json, key);
    snprintf(key, sizeof key, "\"%s\":", name);
    at = at ? strstr(at, key) : NULL;
    if (!at)
        print_error("no %s.%s in:\n%s\n%s\n", object, name, bench->json, bench->out);
    assert_non_null(at);
    at += strlen(key);
    at += strspn(at, " ");
    if (strncmp(at, "null", 4) == 0)
        return (double)NAN;
    char *end;
    double number = strtod(at, &end);
    assert_ptr_not_equal(end, at);
    return number;
}
