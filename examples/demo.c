/* demo.c - a server that shows what handlers can do, and that tests and benchmarks ask.
 *
 *     build/release/examples/demo --workers 2 --bind :8888
 *
 *     /               hello
 *     /echo           the request's body, with its content type; any method
 *     /sleep/{ms}     answers later, by a timer: nobody else waits
 *     /stream/{n}     so many lines, chunked, as fast as the client takes them
 *     /big/{bytes}    the same with a length
 *     /static/{path}  a file of examples/www, or of --www DIR
 *     /whoami         who answers: worker, thread, pid, CPU; and whom: the connection
 *     /block/{ms}     blocks its loop, for whoever wants to see a hung worker
 *     /crash          kills its worker
 *
 * The last two only with --unsafe; else they are 404. As a module it takes its options
 * behind its name: prefork-server ./demo.so --unsafe. With -DPREFORK_MODULE it is a module,
 * which exports its application and has no main().
 */
#include <prefork.h>

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ECHO_MAX   (1000 * 1000) /* an answer in one piece has a limit, too */
#define SLEEP_MAX  60000         /* ms */
#define LINES_MAX  (1000 * 1000)
#define BYTES_MAX  (1024 * 1024 * 1024)
#define PIECE      16384         /* bytes of a streamed response at a time */
#define PIECES_MAX 16            /* in one turn of the loop */
#define LINE       "line %07u\n" /* of 13 bytes */
#define LINE_LEN   13

static struct settings {
    bool unsafe;
    const char *www;
} settings;

static const struct pf_option options[] = {
    {.name = "unsafe",
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct settings, unsafe),
     .help = "/block/{ms} and /crash, too (off)"},
    {.name = "www",
     .type = PF_OPTION_STRING,
     .at = offsetof(struct settings, www),
     .argument = "DIR",
     .help = "what is below /static/ (examples/www)"},
    {0}};

/* A captured number of at most `max`; false: it is none, and 400 is the answer. */
static bool get_number(pf_http_request *request, const char *name, uint64_t max,
                       uint64_t *out)
{
    char text[16];
    int len = pf_http_get_capture(request, name, text, sizeof text);
    if (len <= 0 || strspn(text, "0123456789") != (size_t)len)
        return false;
    *out = strtoull(text, NULL, 10);
    return *out <= max;
}

/* ---- at once --------------------------------------------------------------------- */

static int hello(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_respond(request, 200, "text/plain", "hello", 5);
}

static int echo(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len, body_len;
    char type[PF_HTTP_CONTENT_TYPE_MAX + 1] = "application/octet-stream";
    const char *sent = pf_http_get_field(request, "Content-Type", &len);
    if (sent && len >= sizeof type)
        return pf_http_respond_error(request, 415);
    if (sent)
        snprintf(type, sizeof type, "%.*s", (int)len, sent);
    const void *body = pf_http_get_body(request, &body_len);
    return pf_http_respond(request, 200, type, body, body_len);
}

static int whoami(pf_http_request *request, void *arg)
{
    (void)arg;
    char json[256];
    const pf_lane *here = pf_http_get_lane(request);
    int len = snprintf(json, sizeof json,
                       "{\"worker\":%u,\"thread\":%u,\"pid\":%d,\"cpu\":%d,\"connection\":"
                       "{\"address\":\"%s\",\"port\":%u,\"request\":%u}}\n",
                       pf_lane_slot(here), pf_lane_thread(here), (int)getpid(),
                       sched_getcpu(), pf_http_get_remote_address(request),
                       pf_http_get_remote_port(request), pf_http_get_number(request));
    int err = pf_http_set_field(request, "Cache-Control", "no-store");
    return err ? err : pf_http_respond_json(request, 200, json, (size_t)len);
}

/* ---- later ----------------------------------------------------------------------- */

/* A client that has gone meanwhile is no failure: the request is finished all the same. */
static int request_on_slept(pf_loop *loop, void *arg)
{
    (void)loop;
    (void)pf_http_respond(arg, 200, "text/plain", "slept\n", 6);
    return 0;
}

static int sleep_for(pf_http_request *request, void *arg)
{
    (void)arg;
    uint64_t ms;
    if (!get_number(request, "ms", SLEEP_MAX, &ms))
        return pf_http_respond_error(request, 400);
    int err = pf_loop_call_later(pf_http_get_loop(request), (int64_t)ms * PF_MILLISECOND,
                                 request_on_slept, request, NULL);
    return err ? err : PF_HTTP_LATER;
}

/* ---- streamed -------------------------------------------------------------------- */

/* What a stream is made of: write what stands from *at on, before `end`, into text[PIECE],
 * move *at behind it, and return its length. */
typedef size_t fill_fn(uint64_t *at, uint64_t end, char *text);

struct source {
    const char *capture; /* how long it is, in units of its own */
    uint64_t max;
    fill_fn *fill;
    bool is_bytes; /* its length is known before */
};

static size_t fill_lines(uint64_t *at, uint64_t end, char *text)
{
    size_t len = 0;
    for (; *at < end && len + LINE_LEN < PIECE; ++*at)
        len += (size_t)snprintf(text + len, PIECE - len, LINE, (unsigned)*at);
    return len;
}

static size_t fill_bytes(uint64_t *at, uint64_t end, char *text)
{
    size_t len = end - *at < PIECE ? (size_t)(end - *at) : PIECE;
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + (*at + i) % 26);
    *at += len;
    return len;
}

static const struct source lines = {"n", LINES_MAX, fill_lines, false};
static const struct source bytes = {"bytes", BYTES_MAX, fill_bytes, true};

static void send_more(pf_http_request *request, void *arg);

static int request_on_turn(pf_loop *loop, void *arg)
{
    (void)loop;
    send_more(arg, pf_http_get_arg(arg));
    return 0;
}

/* While it waits for its client. One that has only closed its half may still read. */
static void request_on_gone(pf_http_request *request, int reason, void *arg)
{
    (void)arg;
    if (reason)
        (void)pf_http_finish(request);
}

/* Go on when the client has taken all that stands; or, if it is fast, when the loop has
 * looked after others. */
static int wait_for_room(pf_http_request *request, const void *arg)
{
    if (!pf_http_blocked(request))
        return pf_loop_add_callback(pf_http_get_loop(request), request_on_turn, request);
    int err = pf_http_on_gone(request, request_on_gone, NULL);
    return err ? err : pf_http_on_writable(request, send_more, (void *)(uintptr_t)arg);
}

/* How far it has come stands in the request's data. */
static void send_more(pf_http_request *request, void *arg)
{
    const struct source *source = arg;
    char text[PIECE];
    uint64_t at = (uintptr_t)pf_http_get_data(request), end = 0;
    (void)get_number(request, source->capture, source->max, &end);
    int err = pf_http_on_gone(request, NULL, NULL); /* the next write tells as well */
    for (int i = 0; !err && i < PIECES_MAX && at < end && !pf_http_blocked(request); i++) {
        size_t len = source->fill(&at, end, text);
        err = pf_http_write(request, text, len);
    }
    pf_http_set_data(request, (void *)(uintptr_t)at);
    if (!err && at < end)
        err = wait_for_room(request, source);
    else if (!err)
        (void)pf_http_finish(request);
    if (err)
        (void)pf_http_abort(request);
}

static int stream(pf_http_request *request, void *arg)
{
    const struct source *source = arg;
    uint64_t end;
    if (!get_number(request, source->capture, source->max, &end))
        return pf_http_respond_error(request, 400);
    int err = pf_http_set_field(request, "Content-Type", "text/plain");
    if (!err && source->is_bytes)
        err = pf_http_set_length(request, end);
    if (!err)
        err = pf_http_flush(request);
    if (err)
        return err;
    send_more(request, arg);
    return PF_HTTP_LATER; /* or finished already */
}

/* ---- on purpose ------------------------------------------------------------------ */

static void block_on_purpose(uint64_t ms)
{
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static int block(pf_http_request *request, void *arg)
{
    (void)arg;
    uint64_t ms;
    if (!settings.unsafe)
        return pf_http_respond_error(request, 404);
    if (!get_number(request, "ms", SLEEP_MAX, &ms))
        return pf_http_respond_error(request, 400);
    block_on_purpose(ms);
    return pf_http_respond(request, 200, "text/plain", "blocked\n", 8);
}

static int crash(pf_http_request *request, void *arg)
{
    (void)arg;
    if (!settings.unsafe)
        return pf_http_respond_error(request, 404);
    abort();
}

/* ---- files ----------------------------------------------------------------------- */

/* Opened once in each worker. Without the directory there are none: the rest goes on. */
static pf_http_files *files;

static int open_files(void *arg)
{
    (void)arg;
    const char *root = settings.www ? settings.www : "examples/www";
    const struct pf_http_files_options how = {PF_HTTP_FILES_OPTIONS,
                                              .cache_control = "max-age=60"};
    int err = pf_http_files_new(root, &how, &files);
    if (err)
        pf_log(PF_LOG_WARN, "no-files", "www=%s error=%s", root, strerror(-err));
    return 0;
}

static void close_files(void *arg)
{
    (void)arg;
    pf_http_files_free(files);
}

static int serve_file(pf_http_request *request, void *arg)
{
    (void)arg;
    return files ? pf_http_files_handler(request, files)
                 : pf_http_respond_error(request, 404);
}

/* ---- the application ------------------------------------------------------------- */

static const struct pf_http_route routes[] = {
    {.method = "GET", .path = "/", .handler = hello},
    {.path = "/echo", .handler = echo, .body_max = ECHO_MAX},
    {.method = "GET", .path = "/sleep/{ms}", .handler = sleep_for},
    {.method = "GET",
     .path = "/stream/{n}",
     .handler = stream,
     .arg = (void *)(uintptr_t)&lines},
    {.method = "GET",
     .path = "/big/{bytes}",
     .handler = stream,
     .arg = (void *)(uintptr_t)&bytes},
    {.method = "GET", .path = "/whoami", .handler = whoami},
    {.method = "GET", .path = "/block/{ms}", .handler = block},
    {.method = "GET", .path = "/crash", .handler = crash},
    {.method = "GET", .path = "/static/{path...}", .handler = serve_file},
    {0}};

PF_API extern const struct pf_app prefork_app;
const struct pf_app prefork_app = {PF_APP,
                                   .name = "demo",
                                   .summary = "HTTP; what handlers can do, at /echo, "
                                              "/sleep, /stream, /big, /whoami, /static",
                                   .routes = routes,
                                   .worker_init = open_files,
                                   .worker_exit = close_files,
                                   .options = options,
                                   .config = &settings};

#ifndef PREFORK_MODULE
int main(int argc, char **argv)
{
    return pf_main(argc, argv, &prefork_app);
}
#endif
