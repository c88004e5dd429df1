/* server.c - see server.h. */
#include "tests/lib/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *path_of(const char *program)
{
    static char path[256];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/%s", build ? build : "build/release", program);
    return path;
}

static const char prefork_server[] = "bin/prefork-server";

enum {
    ARGS_MAX = 48
};

/* The words of WRAP (valgrind and its options), which the server runs under too. */
static size_t wrap(const char **argv)
{
    static char words[512];
    const char *given = getenv("WRAP");
    size_t n = 0;
    snprintf(words, sizeof words, "%s", given ? given : "");
    char *rest = words;
    for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(rest, " ", &rest))
        if (n < ARGS_MAX / 2)
            argv[n++] = word;
    return n;
}

static void spawn(struct pf_test_server *server, const char *const under[],
                  const char *program, const char *const before[], const char *const args[])
{
    *server = (struct pf_test_server){.port = -1};
    snprintf(server->directory, sizeof server->directory, "/tmp/prefork-test-XXXXXX");
    assert_non_null(mkdtemp(server->directory));
    const char *argv[ARGS_MAX] = {0};
    size_t n = 0;
    if (!under)
        n = wrap(argv);
    for (; under && *under; under++)
        argv[n++] = *under;
    argv[n++] = path_of(program);
    for (; before && *before; before++)
        argv[n++] = *before;
    for (; *args && n < ARGS_MAX - 1; args++) {
        server->drain_limit |= strcmp(*args, "--drain-timeout") == 0;
        argv[n++] = *args;
    }
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fflush(NULL);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        setenv("XDG_RUNTIME_DIR", server->directory, 1);
        unsetenv("RUNTIME_DIRECTORY");
        int nothing = open("/dev/null", O_RDONLY);
        dup2(nothing, STDIN_FILENO);
        close(nothing);
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* what the test itself inherited */
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(fds[1]);
    server->output = fds[0];
}

/* Read some more; false at the end of file. */
static bool read_more(struct pf_test_server *server, long long deadline)
{
    struct pollfd wait = {.fd = server->output, .events = POLLIN};
    long long left = deadline - now_ms();
    if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
        fail_msg("the server did not say it in time; it said: %s", server->text);
    size_t room = sizeof server->text - 1 - server->text_len;
    if (room == 0)
        fail_msg("the server says more than %zu bytes", sizeof server->text);
    ssize_t n = read(server->output, server->text + server->text_len, room);
    if (n <= 0)
        return false;
    server->text_len += (size_t)n;
    server->text[server->text_len] = 0;
    return true;
}

void pf_test_server_listen(struct pf_test_server *server)
{
    struct pollfd wait = {.fd = server->output, .events = POLLIN};
    while (poll(&wait, 1, 0) == 1 && read_more(server, now_ms() + 1000))
        ;
}

void pf_test_server_expect(struct pf_test_server *server, size_t from, const char *text)
{
    long long deadline = now_ms() + PF_TEST_DEADLINE_S * 1000;
    while (!strstr(server->text + from, text))
        if (!read_more(server, deadline))
            fail_msg("the server ended without saying \"%s\"; it said: %s", text,
                     server->text);
}

static void read_banner(struct pf_test_server *server)
{
    pf_test_server_expect(server, 0, "  stop ");
    const char *on = strstr(server->text, "127.0.0.1:");
    if (on) /* or it is on a socket that has no port */
        server->port = (int)strtol(on + strlen("127.0.0.1:"), NULL, 10);
    const char *line = strstr(server->text, "\n  worker ");
    for (; line && server->worker_count < 64; line = strstr(line + 1, "\n  worker ")) {
        int slot, pid, cpu = -1;
        assert_true(sscanf(line, "\n  worker %d pid %d  cpu %d", &slot, &pid, &cpu) >= 2);
        assert_int_equal(slot, server->worker_count);
        server->workers[server->worker_count] = pid;
        server->cpus[server->worker_count++] = cpu;
    }
    const char *control = strstr(server->text, "\n  control ");
    assert_non_null(control);
    assert_int_equal(sscanf(control, "\n  control %127s", server->control), 1);
}

void pf_test_server_start(struct pf_test_server *server, const char *const args[])
{
    static const char *const bind[] = {"--bind", "127.0.0.1:0", NULL};
    spawn(server, NULL, prefork_server, bind, args);
    read_banner(server);
}

void pf_test_program_spawn(struct pf_test_server *server, const char *const under[],
                           const char *program, const char *const args[])
{
    spawn(server, under, program, NULL, args);
}

void pf_test_program_start(struct pf_test_server *server, const char *program,
                           const char *const args[])
{
    spawn(server, NULL, program, NULL, args);
    read_banner(server);
}

void pf_test_server_read_banner(struct pf_test_server *server)
{
    read_banner(server);
}

static void remove_directory(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        char file[512];
        snprintf(file, sizeof file, "%s/%s", path, d->d_name);
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (unlink(file) != 0)
            remove_directory(file);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

int pf_test_server_wait(struct pf_test_server *server)
{
    long long deadline = now_ms() + PF_TEST_DEADLINE_S * 1000;
    while (read_more(server, deadline))
        ; /* the pipe ends when the last process that holds it has ended */
    int status = 0;
    assert_int_equal(waitpid(server->pid, &status, 0), server->pid);
    if (strstr(server->text, "Sanitizer") || strstr(server->text, "runtime error:"))
        fail_msg("a sanitizer has found something: %s", server->text);
    if (strstr(server->text, "drain-limit") && !server->drain_limit)
        fail_msg("it has stopped at its drain limit only: %s", server->text);
    close(server->output);
    remove_directory(server->directory);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int pf_test_server_stop(struct pf_test_server *server, int signal_number)
{
    assert_int_equal(kill(server->pid, signal_number), 0);
    return pf_test_server_wait(server);
}

void pf_test_server_kill(struct pf_test_server *server)
{
    siginfo_t ended;
    assert_int_equal(kill(server->pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)server->pid, &ended, WEXITED | WNOWAIT), 0);
}

int pf_test_server_run(struct pf_test_server *server, const char *const args[])
{
    spawn(server, NULL, prefork_server, NULL, args);
    return pf_test_server_wait(server);
}

unsigned pf_test_children(pid_t parent, pid_t *pids, unsigned max)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)parent, (long)parent);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    unsigned count = 0;
    char *at = text, *end;
    for (long pid = strtol(at, &end, 10); end != at && count < max;
         at = end, pid = strtol(at, &end, 10))
        pids[count++] = (pid_t)pid;
    return count;
}

int pf_test_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval limit = {.tv_sec = PF_TEST_DEADLINE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

int pf_test_send(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0)
            return -1;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int pf_test_send_text(int fd, const char *text)
{
    return pf_test_send(fd, text, strlen(text));
}

ssize_t pf_test_read_all(int fd, char *text, size_t len)
{
    size_t got = 0;
    while (got < len - 1) {
        ssize_t n = recv(fd, text + got, len - 1 - got, 0);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    text[got] = 0;
    return (ssize_t)got;
}

/* Byte by byte, so that nothing of the next response is taken. */
ssize_t pf_test_read_response(int fd, char *text, size_t len)
{
    size_t got = 0, wanted = len - 1;
    text[0] = 0;
    while (got < wanted) {
        ssize_t n = recv(fd, text + got, 1, 0);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        text[++got] = 0;
        if (wanted == len - 1 && got >= 4 && strcmp(text + got - 4, "\r\n\r\n") == 0) {
            const char *length = strstr(text, "Content-Length: ");
            wanted = got + (length ? strtoul(length + 16, NULL, 10) : 0);
            if (wanted > len - 1)
                wanted = len - 1;
        }
    }
    return (ssize_t)got;
}
