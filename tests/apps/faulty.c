/*
 * faulty.c - an HTTP server that does what one should not, when it is asked to.
 *
 *     /pid            the worker's process id
 *     /block?ms=N     blocks in a handler
 *     /block          the same, while the file exists that PF_FAULTY_WHILE names
 *     /spin?ms=N      computes in a handler, until it has used so much CPU time
 *     /eat            takes memory until it is killed
 *     /crash          abort(3)
 *     /exit?status=N  leaves
 *     /deaf           closes what its master talks to it through
 *
 * The first three write a line to standard error when they begin. PF_FAULTY_BOOT makes
 * workers fail at boot: "error" (worker_init returns one), "crash", "exit" or "block". With
 * PF_FAULTY_SLOT only the worker of that slot, in lane_init. With PF_FAULTY_IF only while
 * that file exists. PF_FAULTY_BOOT "stall": the second lane of each worker
 * gets ready and then blocks for ever. "stop": the first lane's loop is stopped before it
 * runs, while the second lane is not ready yet. "wait": the second lane's lane_init waits
 * while the file exists that PF_FAULTY_WHILE names.
 */
#include <prefork.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The number behind NAME= in the query, or 0. */
static long parameter(pf_http_request *request, const char *name)
{
    char text[128];
    size_t len;
    const char *query = pf_http_get_query(request, &len);
    snprintf(text, sizeof text, "%.*s", (int)len, query ? query : "");
    const char *at = strstr(text, name);
    return at && at[strlen(name)] == '=' ? strtol(at + strlen(name) + 1, NULL, 10) : 0;
}

static int respond(pf_http_request *request)
{
    char text[32];
    int len = snprintf(text, sizeof text, "pid=%d\n", getpid());
    return pf_http_respond(request, 200, "text/plain", text, (size_t)len);
}

static int on_pid(pf_http_request *request, void *arg)
{
    (void)arg;
    return respond(request);
}

/* Static, and looked for by name in backtraces: never inlined, its calls no tail calls. */
__attribute__((noinline)) static int block_for_long(long ms)
{
    const char *file = ms ? NULL : getenv("PF_FAULTY_WHILE");
    while (file && access(file, F_OK) == 0)
        (void)poll(NULL, 0, 10);
    long long end = now_ms(CLOCK_MONOTONIC) + ms, left;
    while ((left = end - now_ms(CLOCK_MONOTONIC)) > 0)
        (void)poll(NULL, 0, (int)left);
    return (int)left;
}

__attribute__((noinline)) static unsigned spin_for_long(long ms)
{
    volatile unsigned n = 0;
    long long end = now_ms(CLOCK_THREAD_CPUTIME_ID) + ms;
    /* Seldom in the clock's code, which a backtrace may not find its way out of. */
    while (now_ms(CLOCK_THREAD_CPUTIME_ID) < end)
        for (int i = 0; i < 2000000; i++)
            n++;
    return n;
}

static int on_block(pf_http_request *request, void *arg)
{
    (void)arg;
    fprintf(stderr, "faulty: blocks pid=%d\n", getpid());
    if (block_for_long(parameter(request, "ms")) > 0)
        return -EIO;
    return respond(request);
}

static int on_spin(pf_http_request *request, void *arg)
{
    (void)arg;
    fprintf(stderr, "faulty: spins pid=%d\n", getpid());
    if (spin_for_long(parameter(request, "ms")) == 1)
        return -EIO;
    return respond(request);
}

static int on_eat(pf_http_request *request, void *arg)
{
    (void)arg;
    enum {
        PIECE = 1 << 20,
        PIECES_MAX = 4096 /* nobody kills it: no machine is to suffer */
    };
    for (int i = 0; i < PIECES_MAX; i++) {
        char *piece =
            mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (piece == MAP_FAILED)
            break;
        memset(piece, 1, PIECE);
    }
    return respond(request);
}

static int on_crash(pf_http_request *request, void *arg)
{
    (void)request, (void)arg;
    abort();
}

static int on_deaf(pf_http_request *request, void *arg)
{
    (void)arg;
    int type;
    for (int fd = 3; fd < 64; fd++) {
        socklen_t len = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET)
            close(fd);
    }
    return respond(request);
}

static int on_exit_request(pf_http_request *request, void *arg)
{
    (void)arg;
    _exit((int)parameter(request, "status"));
}

/* How to fail now, or NULL. */
static const char *fault(void)
{
    const char *file = getenv("PF_FAULTY_IF");
    return file && access(file, F_OK) != 0 ? NULL : getenv("PF_FAULTY_BOOT");
}

static int fail_at_boot(void)
{
    const char *how = fault();
    if (!how || strcmp(how, "stall") == 0 || strcmp(how, "stop") == 0 ||
        strcmp(how, "wait") == 0)
        return 0;
    fprintf(stderr, "faulty: there is no database here\n");
    if (strcmp(how, "crash") == 0)
        abort();
    if (strcmp(how, "exit") == 0)
        _exit(3);
    while (strcmp(how, "block") == 0)
        pause();
    return -ENOENT;
}

static int worker_init(void *arg)
{
    (void)arg;
    return getenv("PF_FAULTY_SLOT") ? 0 : fail_at_boot();
}

static int on_stall(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    return block_for_long(INT_MAX) < 0;
}

static int lane_init(pf_lane *lane, void *arg)
{
    (void)arg;
    const char *how = fault();
    if (how && strcmp(how, "stall") == 0 && pf_lane_thread(lane) == 1)
        return pf_loop_call_later(pf_lane_loop(lane), 0, on_stall, NULL, NULL);
    if (how && strcmp(how, "wait") == 0 && pf_lane_thread(lane) == 1) {
        fprintf(stderr, "faulty: waits pid=%d\n", getpid());
        (void)block_for_long(0);
    }
    if (how && strcmp(how, "stop") == 0 && pf_lane_thread(lane) == 0)
        pf_loop_stop(pf_lane_loop(lane));
    const char *slot = getenv("PF_FAULTY_SLOT");
    return slot && (unsigned)strtol(slot, NULL, 10) == pf_lane_slot(lane) ? fail_at_boot()
                                                                          : 0;
}

static const struct pf_http_route routes[] = {
    {.method = "GET", .path = "/pid", .handler = on_pid},
    {.method = "GET", .path = "/block", .handler = on_block},
    {.method = "GET", .path = "/spin", .handler = on_spin},
    {.method = "GET", .path = "/eat", .handler = on_eat},
    {.method = "GET", .path = "/crash", .handler = on_crash},
    {.method = "GET", .path = "/deaf", .handler = on_deaf},
    {.method = "GET", .path = "/exit", .handler = on_exit_request},
    {0}};

static const struct pf_app app = {PF_APP, .name = "faulty", .routes = routes,
                                  .worker_init = worker_init, .lane_init = lane_init};

int main(int argc, char **argv)
{
    return pf_main(argc, argv, &app);
}
