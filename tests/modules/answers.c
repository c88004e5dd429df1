/*
 * answers.c - a module with an application under its usual name, one under another, and
 * some symbols that are none.
 *
 *     GET /          what --greeting said, or "hello"
 *     GET /loaded    "yes" if this process loaded it, "no" if one before it did
 *     POST /post     its body
 *     GET /lane, /lane/blocking    what lane_init left with the lane
 *
 * The other one, `raw`, sends "raw" and closes.
 */
#include <prefork.h>

#include <string.h>
#include <unistd.h>

static struct config {
    const char *greeting;
} config = {.greeting = "hello"};

static const struct pf_option options[] = {{.name = "greeting",
                                            .type = PF_OPTION_STRING,
                                            .at = offsetof(struct config, greeting),
                                            .argument = "TEXT",
                                            .help = "what is said (hello)"},
                                           {0}};

static pid_t loaded_by;
static bool is_prepared;

__attribute__((constructor)) static void note_loader(void)
{
    loaded_by = getpid();
}

static int prepare(void *arg)
{
    (void)arg;
    is_prepared = true;
    return 0;
}

static int greet(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_respond(request, 200, "text/plain", config.greeting,
                           strlen(config.greeting));
}

static int tell_loaded(pf_http_request *request, void *arg)
{
    (void)arg;
    const char *text = loaded_by == getpid() ? "yes" : is_prepared ? "prepared" : "no";
    return pf_http_respond(request, 200, "text/plain", text, strlen(text));
}

static int tell_lane(pf_http_request *request, void *arg)
{
    (void)arg;
    const char *text = pf_lane_get_data(pf_http_get_lane(request));
    return pf_http_respond(request, 200, "text/plain", text, strlen(text));
}

static int send_back(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    const void *body = pf_http_get_body(request, &len);
    return pf_http_respond(request, 200, "text/plain", body, len);
}

static int mark(pf_http_request *request, void *arg)
{
    return pf_http_add_field(request, "X-Marked", arg);
}

static void show_error(pf_http_request *request, int status, void *arg)
{
    const char *text = arg;
    (void)pf_http_respond(request, status, "text/plain", text, strlen(text));
}

static char yes[] = "yes", sorry[] = "sorry, from the module";

static const struct pf_http_middleware middleware[] = {{.before = mark, .arg = yes}, {0}};

static const struct pf_http_route routes[] = {
    {.method = "GET", .path = "/", .handler = greet},
    {.method = "GET", .path = "/loaded", .handler = tell_loaded},
    {.method = "POST", .path = "/post", .handler = send_back},
    {.method = "GET", .path = "/lane", .handler = tell_lane},
    {.path = "/lane/blocking", .handler = tell_lane, .flags = PF_HTTP_BLOCKING},
    {0}};

static char left[] = "left here";

static int leave(pf_lane *lane, void *arg)
{
    (void)arg;
    pf_lane_set_data(lane, left);
    return 0;
}

const struct pf_app prefork_app = {PF_APP,
                                   .name = "answers",
                                   .arg = sorry,
                                   .routes = routes,
                                   .pre_fork = prepare,
                                   .lane_init = leave,
                                   .middleware = middleware,
                                   .on_error = show_error,
                                   .body_max = 10,
                                   .requests_max = 3,
                                   .options = options,
                                   .config = &config};

/* ---- under another name ---------------------------------------------------------- */

static const struct pf_column columns[] = {
    {.name = "greetings", .kind = PF_COLUMN_COUNTER, .writer = PF_COLUMN_LANE}};

static void say_raw(pf_lane *lane, int fd, const struct sockaddr *peer, socklen_t peer_len,
                    void *arg)
{
    (void)peer, (void)peer_len, (void)arg;
    ssize_t n = write(fd, "raw", 3);
    (void)n;                         /* the client misses it */
    (void)pf_lane_count(lane, 0, 1); /* before the client sees the end, and asks */
    close(fd);
    (void)pf_lane_closed(lane, fd);
}

PF_API extern const struct pf_app raw, nothing, both, nameless, old, wide;
const struct pf_app raw = {PF_APP, .name = "raw", .on_connection = say_raw,
                           .columns = columns, .column_count = 1};

/* ---- what is none ---------------------------------------------------------------- */

const struct pf_app nothing = {PF_APP, .name = "nothing"};
const struct pf_app both = {PF_APP, .name = "both", .on_connection = say_raw,
                            .routes = routes};
const struct pf_app nameless = {PF_APP, .routes = routes};
const struct pf_app old = {
    .size = sizeof(struct pf_app), .interface = 0, .name = "old", .routes = routes};
static const struct pf_column wrong[] = {
    {.name = "mine", .kind = PF_COLUMN_COUNTER, .writer = PF_COLUMN_MASTER}};
const struct pf_app wide = {PF_APP, .name = "wide", .routes = routes, .columns = wrong,
                            .column_count = 1};

struct more {
    struct pf_app app;
    long more;
};
PF_API extern const struct more newer_with, newer_without;
const struct more newer_with = {.app = {.size = sizeof(struct more),
                                        .interface = PF_APP_INTERFACE,
                                        .name = "newer",
                                        .routes = routes},
                                .more = 1};
const struct more newer_without = {.app = {.size = sizeof(struct more),
                                           .interface = PF_APP_INTERFACE,
                                           .name = "newer",
                                           .routes = routes}};

PF_API extern const int number;
const int number = 1000000000;
PF_API void function(void);
void function(void)
{
}
