/*
 * process_probe.c - what bench/process.sh cannot measure from a shell.
 *
 *     process_probe respawn WORKERS SERVER ARGS...   kill each worker once; print for each
 *                                                    the microseconds until its slot
 * accepts process_probe away PORT N         N connections to tests/apps/greeter, one after
 * the other, from each CPU in turn; print how many were accepted away from the CPU that
 * received them process_probe hold PORT N         N connections that asked once; prints
 * "held", then keeps them until standard input ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int die(const char *what)
{
    fprintf(stderr, "process_probe: %s: %s\n", what, strerror(errno));
    return 1;
}

static long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- respawn --------------------------------------------------------------------- */

enum {
    WORKERS_MAX = 64
};

static pid_t start(char **argv, FILE **words)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    *words = pid > 0 ? fdopen(fds[0], "r") : NULL;
    return pid;
}

/* The slot that accepts, and its worker; false at the end of the server's words. */
static int next_accepting(FILE *words, int *slot, int *pid)
{
    static const char word[] = "worker-accepts ";
    char line[1024];
    while (fgets(line, sizeof line, words)) {
        const char *at = strstr(line, word);
        if (at && sscanf(at + strlen(word), "worker=%d pid=%d", slot, pid) == 2)
            return 1;
    }
    return 0;
}

static int respawn(int workers, char **argv)
{
    int pids[WORKERS_MAX] = {0}, slot, pid;
    FILE *words = NULL;
    if (workers < 1 || workers > WORKERS_MAX)
        return die("too many workers");
    pid_t master = start(argv, &words);
    if (!words)
        return die("cannot start the server");
    for (int i = 0; i < workers; i++) {
        if (!next_accepting(words, &slot, &pid) || slot < 0 || slot >= workers)
            return die("the server did not start");
        pids[slot] = pid;
    }
    for (int i = 0; i < workers; i++) {
        long long killed = now_us();
        kill(pids[i], SIGKILL);
        do {
            if (!next_accepting(words, &slot, &pid))
                return die("the server ended");
        } while (slot != i);
        printf("%lld\n", now_us() - killed);
    }
    kill(master, SIGTERM);
    while (next_accepting(words, &slot, &pid))
        ; /* until all have closed it */
    fclose(words);
    return waitpid(master, NULL, 0) == master ? 0 : die("waitpid");
}

/* ---- connections ----------------------------------------------------------------- */

static int connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* The greeter's line: where its lane runs, and where the connection came in. */
static int ask_greeter(int port, int *cpu, int *incoming)
{
    char text[128];
    size_t len = 0;
    int fd = connect_to(port);
    if (fd < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) != 1)
        return -1;
    for (ssize_t n; (n = recv(fd, text + len, sizeof text - 1 - len, 0)) > 0;)
        len += (size_t)n;
    text[len] = 0;
    close(fd);
    return sscanf(text, "A%*d %*d %d %d", cpu, incoming) == 2 ? 0 : -1;
}

static int away(int port, int n)
{
    cpu_set_t all, one;
    int count = 0, on = -1;
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return die("sched_getaffinity");
    for (int i = 0; i < n; i++) {
        int cpu, incoming;
        do
            on = (on + 1) % CPU_SETSIZE;
        while (!CPU_ISSET((unsigned)on, &all));
        CPU_ZERO(&one);
        CPU_SET((unsigned)on, &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0)
            return die("sched_setaffinity");
        if (ask_greeter(port, &cpu, &incoming) != 0)
            return die("no answer from the greeter");
        count += cpu != incoming;
    }
    printf("%d of %d (%.1f %%)\n", count, n, 100.0 * count / n);
    return 0;
}

static int hold(int port, int n)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
    char answer[4096];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < n; i++) {
        int fd = connect_to(port);
        if (fd < 0 || send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0 ||
            recv(fd, answer, sizeof answer, 0) <= 0)
            return die("a connection is not served");
    }
    puts("held");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "respawn") == 0)
        return respawn(atoi(argv[2]), argv + 3);
    if (argc == 4 && strcmp(argv[1], "away") == 0)
        return away(atoi(argv[2]), atoi(argv[3]));
    if (argc == 4 && strcmp(argv[1], "hold") == 0)
        return hold(atoi(argv[2]), atoi(argv[3]));
    fprintf(stderr, "usage: process_probe respawn|away|hold ...\n");
    return 64;
}
