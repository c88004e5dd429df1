/* wire.c - see wire.h. */
#include "tests/lib/wire.h"

#include "http/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h> /* the names of TCP states, for the same reason */
#include <linux/sockios.h>
#include <linux/tcp.h> /* netinet/tcp.h has half of tcp_info */
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* ---- the application ------------------------------------------------------------- */

static int hello(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_respond(request, 200, "text/plain", "hello", 5);
}

static int echo(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    const void *body = pf_http_get_body(request, &len);
    return pf_http_respond(request, 200, "application/octet-stream", body, len);
}

static int tell_method(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    const char *method = pf_http_get_method(request, &len);
    return pf_http_respond(request, 200, "text/plain", method, len);
}

/* The capture that arg names. */
static int tell_capture(pf_http_request *request, void *arg)
{
    char text[256];
    int len = pf_http_get_capture(request, arg, text, sizeof text);
    if (len < 0)
        return pf_http_respond_error(request, len == -ENOBUFS ? 414 : 400);
    return pf_http_respond(request, 200, "text/plain", text, (size_t)len);
}

static int stream_chunks(pf_http_request *request, void *arg)
{
    (void)arg;
    int err = pf_http_write(request, "one", 3);
    if (!err)
        err = pf_http_write(request, "two", 3);
    if (!err)
        err = pf_http_write(request, "three", 5);
    return err ? err : pf_http_finish(request);
}

static int respond_later(pf_loop *loop, void *arg)
{
    (void)loop;
    int err = pf_http_respond(arg, 200, "text/plain", "later", 5);
    must(err == 0 || err == -EPIPE);
    return 0;
}

static int later(pf_http_request *request, void *arg)
{
    (void)arg;
    pf_timer timer;
    int err = pf_loop_call_later(pf_http_get_loop(request), PF_WIRE_LATER, respond_later,
                                 request, &timer);
    return err ? err : PF_HTTP_LATER;
}

/* Whoever has a request has to finish it, whatever becomes of the client. */
static void give_up(pf_http_request *request, int reason, void *arg)
{
    (void)arg;
    if (reason)
        (void)pf_http_abort(request);
}

static int take_body(pf_http_request *request, pf_http_body_fn *fn)
{
    int err = pf_http_on_body(request, fn, NULL);
    return err ? err : pf_http_on_gone(request, give_up, NULL);
}

/* The application's counter of an upload is its data pointer itself. */
static int count_body(pf_http_request *request, const void *data, size_t len, void *arg)
{
    (void)data, (void)arg;
    uintptr_t count = (uintptr_t)pf_http_get_data(request) + len;
    pf_http_set_data(request, (void *)count); /* NOLINT: a number */
    if (len > 0)
        return 0;
    char text[32];
    int n = snprintf(text, sizeof text, "%zu", (size_t)count);
    return pf_http_respond(request, 200, "text/plain", text, (size_t)n);
}

static int upload(pf_http_request *request, void *arg)
{
    (void)arg;
    return take_body(request, count_body);
}

static int mirror_body(pf_http_request *request, const void *data, size_t len, void *arg)
{
    (void)arg;
    return len > 0 ? pf_http_write(request, data, len) : pf_http_finish(request);
}

static int mirror(pf_http_request *request, void *arg)
{
    (void)arg;
    return take_body(request, mirror_body);
}

static int refuse(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_respond_error(request, 401);
}

/* What a form was made of. */
struct form_told {
    char text[256];
    size_t len;
};

static void tell_part(struct form_told *told, const struct pf_http_part *part)
{
    size_t room = sizeof told->text - told->len;
    int n = snprintf(told->text + told->len, room, "%.8s=%d;", part->name, (int)part->size);
    told->len += n < (int)room ? (size_t)n : 0;
}

static int form_on_field(pf_http_request *request, const struct pf_http_part *part,
                         const char *value, void *arg)
{
    (void)request;
    must(strnlen(value, (size_t)part->size + 1) <= part->size);
    tell_part(arg, part);
    return 0;
}

static int form_on_file(pf_http_request *request, struct pf_http_part *part, void *arg)
{
    (void)request;
    part->data = arg;
    return 0;
}

static int form_on_file_end(pf_http_request *request, const struct pf_http_part *part,
                            int err, void *arg)
{
    (void)request;
    must(part->data == arg && err <= 0);
    tell_part(arg, part);
    return 0;
}

static int form_on_complete(pf_http_request *request, void *arg)
{
    const struct form_told *told = arg;
    return pf_http_respond(request, 200, "text/plain", told->text, told->len);
}

static int take_form(pf_http_request *request, void *arg)
{
    static const struct pf_http_form form = {PF_HTTP_FORM,
                                             .on_field = form_on_field,
                                             .on_file = form_on_file,
                                             .on_file_end = form_on_file_end,
                                             .on_complete = form_on_complete,
                                             .destroy = free,
                                             .parts_max = 8,
                                             .field_max = 64};
    (void)arg;
    struct form_told *told = calloc(1, sizeof *told);
    must(told != NULL);
    int err = pf_http_on_form(request, &form, told);
    if (err)
        free(told);
    return err ? pf_http_respond_error(request, 415) : 0;
}

static char id[] = "id", path[] = "path";

static const struct pf_http_resource table = {
    .size = sizeof table, .get = tell_method, .put = tell_method, .del = tell_method};

const struct pf_http_route pf_wire_routes[] = {
    {.method = "GET", .path = "/", .handler = hello},
    {.method = "GET", .path = "/chunks", .handler = stream_chunks},
    {.method = "GET", .path = "/users/{id}", .handler = tell_capture, .arg = id},
    {.method = "GET", .path = "/files/{path...}", .handler = tell_capture, .arg = path},
    {.method = "POST", .path = "/echo", .handler = echo},
    {.method = "POST", .path = "/upload", .handler = upload, .flags = PF_HTTP_STREAM},
    {.method = "POST", .path = "/mirror", .handler = mirror, .flags = PF_HTTP_STREAM},
    {.method = "POST", .path = "/refuse", .handler = refuse, .flags = PF_HTTP_STREAM},
    {.method = "POST", .path = "/form", .handler = take_form, .flags = PF_HTTP_STREAM},
    {.path = "/later", .handler = later},
    {.path = "/any", .handler = tell_method},
    {.path = "/table", .resource = &table},
    {0}};

/* ---- the server ------------------------------------------------------------------ */

static int64_t read_clock(void *arg)
{
    const struct pf_wire *wire = arg;
    return wire->now;
}

static void on_request(void *arg, pf_http_request *request, int status, uint64_t bytes,
                       int64_t began_ns)
{
    (void)status, (void)bytes, (void)began_ns;
    struct pf_wire *wire = arg;
    size_t len, path_len;
    const char *method = pf_http_get_method(request, &len);
    const char *target = pf_http_get_path(request, &path_len);
    must(len < sizeof wire->method && (path_len == 0 || target[0]));
    memcpy(wire->method, method, len);
    wire->method[len] = '\0';
    wire->responses++;
    if (wire->said < PF_WIRE_ANSWERS_MAX)
        wire->to_head[wire->said++] =
            request->head_done && request->parser.method == PF_HTTP_HEAD;
}

static void on_gone(void *arg, int fd)
{
    struct pf_wire *wire = arg;
    wire->gone++;
    if (fd == wire->served)
        wire->served = -1;
}

static const struct pf_http_observer observer = {.on_request = on_request,
                                                 .on_gone = on_gone};

void pf_wire_options(struct pf_http_server_options *options)
{
    *options = (struct pf_http_server_options){.routes = pf_wire_routes,
                                               .head_timeout_ns = PF_WIRE_HEAD_TIMEOUT,
                                               .idle_timeout_ns = PF_WIRE_IDLE_TIMEOUT,
                                               .body_timeout_ns = PF_WIRE_BODY_TIMEOUT,
                                               .body_max = PF_WIRE_BODY_MAX};
}

void pf_wire_start(struct pf_wire *wire, const struct pf_http_server_options *options)
{
    struct pf_http_server_options http;
    memset(wire, 0, sizeof *wire);
    wire->now = 1000 * PF_SECOND;
    wire->listener = wire->client = wire->served = -1;
    pf_wire_options(&http);
    if (options)
        http = *options;
    http.observer = &observer;
    http.observer_arg = wire;
    struct pf_loop_options loop = PF_LOOP_OPTIONS_INIT;
    loop.clock = read_clock;
    loop.clock_arg = wire;
    must(pf_loop_new(&loop, &wire->loop) == 0);
    must(pf_http_server_new(wire->loop, &http, &wire->server) == 0);
}

void pf_wire_stop(struct pf_wire *wire)
{
    pf_wire_leave(wire);
    pf_http_server_free(wire->server);
    must(pf_loop_close(wire->loop, false) == 0);
    pf_loop_unref(wire->loop);
    if (wire->listener >= 0)
        close(wire->listener);
    wire->listener = -1;
    free(wire->heard);
    wire->heard = NULL;
}

/* ---- TCP ------------------------------------------------------------------------- */

/*
 * What one end has sent is not at the other when send(2) returns, though on the loopback it
 * mostly is. Nobody waits for that by time: the ends' own counts say whether something is
 * under way.
 */
struct end {
    uint64_t sent, received;
    uint32_t unsent; /* the other has no room for it yet; a FIN counts as a byte */
    bool ended;      /* by this end: a FIN is sent, or in `unsent` */
    bool was_ended;  /* by the other: its FIN, or a reset, has come */
};

static struct end look_at(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
    must(len >= offsetof(struct tcp_info, tcpi_bytes_retrans) + 8); /* Linux 4.19 */
    struct end end = {.sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans,
                      .received = info.tcpi_bytes_received,
                      .unsent = info.tcpi_notsent_bytes};
    switch (info.tcpi_state) {
    case BPF_TCP_FIN_WAIT1:
    case BPF_TCP_FIN_WAIT2:
        end.ended = true;
        break;
    case BPF_TCP_CLOSE_WAIT:
        end.was_ended = true;
        break;
    case BPF_TCP_CLOSING:
    case BPF_TCP_LAST_ACK:
    case BPF_TCP_TIME_WAIT:
    case BPF_TCP_CLOSE:
        end.ended = end.was_ended = true;
        break;
    default:
        break;
    }
    return end;
}

static bool has_unread(int fd)
{
    int unread;
    must(ioctl(fd, SIOCINQ, &unread) == 0);
    return unread > 0;
}

static bool is_under_way(int from, int to)
{
    struct end sender = look_at(from), receiver = look_at(to);
    if (receiver.was_ended)
        return false;
    return sender.sent > receiver.received || sender.ended ||
           (sender.unsent > 0 && !has_unread(to));
}

/* To the server. A client that has left is told it by an end of the connection. */
static bool is_server_to_hear(const struct pf_wire *wire)
{
    if (wire->served < 0)
        return false;
    return wire->client < 0 ? !look_at(wire->served).was_ended
                            : is_under_way(wire->client, wire->served);
}

static bool is_client_to_hear(const struct pf_wire *wire)
{
    if (wire->listener < 0)
        return false;
    return wire->served < 0 ? !look_at(wire->client).was_ended
                            : is_under_way(wire->served, wire->client);
}

void pf_wire_listen(struct pf_wire *wire)
{
    const int on = 1;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    pf_wire_leave(wire);
    wire->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(wire->listener >= 0);
    /* As net/listener.c has it; inherited by what is accepted. */
    must(setsockopt(wire->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    must(bind(wire->listener, (const struct sockaddr *)&address, sizeof address) == 0);
    must(listen(wire->listener, 1) == 0);
}

static void connect_tcp(struct pf_wire *wire)
{
    const int on = 1;
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    must(getsockname(wire->listener, (struct sockaddr *)&address, &len) == 0);
    wire->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(wire->client >= 0);
    must(setsockopt(wire->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    must(connect(wire->client, (const struct sockaddr *)&address, len) == 0);
    must(ioctl(wire->client, FIONBIO, &on) == 0);
    wire->served = accept4(wire->listener, (struct sockaddr *)&address, &len,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    must(wire->served >= 0);
    must(pf_http_server_adopt(wire->server, wire->served,
                              (const struct sockaddr *)&address) == 0);
}

/* ---- the client ------------------------------------------------------------------ */

#define GIVE_UP_S 60 /* of real time, in which what is under way has not come */

static void give_way(time_t *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!*since)
        *since = now.tv_sec;
    must(now.tv_sec - *since < GIVE_UP_S);
    sched_yield();
}

/* Returns whether there was anything to do. */
static bool turn(struct pf_wire *wire)
{
    int n, sum = 0;
    while ((n = pf_loop_turn(wire->loop, 0)) > 0)
        sum += n;
    must(n == 0);
    return sum > 0;
}

/* Asked first, then looked at: what had arrived by the answer is not overlooked. */
void pf_wire_turn(struct pf_wire *wire)
{
    time_t since = 0;
    bool is_coming;
    do {
        bool is_there = wire->served >= 0 && has_unread(wire->served);
        is_coming = is_server_to_hear(wire);
        if (!turn(wire) && is_there)
            break; /* it does not want to read */
        if (is_coming)
            give_way(&since);
    } while (is_coming);
}

void pf_wire_await(struct pf_wire *wire)
{
    time_t since = 0;
    while (wire->served >= 0 && !has_unread(wire->served))
        give_way(&since);
}

/* All that there is, and all that comes while there is room for more. */
static void hear(struct pf_wire *wire)
{
    static char piece[65536];
    time_t since = 0;
    ssize_t n;
    if (wire->client < 0 || wire->ended || wire->error)
        return;
    for (;;) {
        bool is_coming = is_client_to_hear(wire);
        n = recv(wire->client, piece, sizeof piece, 0);
        if (n == -1 && errno == EAGAIN && is_coming) {
            give_way(&since);
            continue;
        }
        if (n <= 0)
            break;
        wire->heard = realloc(wire->heard, wire->len + (size_t)n);
        must(wire->heard != NULL);
        memcpy(wire->heard + wire->len, piece, (size_t)n);
        wire->len += (size_t)n;
        pf_wire_turn(wire); /* there may be more, now that there is room */
    }
    wire->ended = n == 0;
    wire->error = n == -1 && errno != EAGAIN ? errno : 0;
}

void pf_wire_advance(struct pf_wire *wire, int64_t ns)
{
    wire->now += ns;
    pf_wire_turn(wire);
    hear(wire);
}

/* Of thousands of exchanges each would leave its ports in TIME-WAIT for a minute. */
static void leave_no_trace(struct pf_wire *wire)
{
    const struct linger reset = {.l_onoff = 1};
    if (wire->client >= 0 && wire->listener >= 0)
        must(setsockopt(wire->client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
}

void pf_wire_leave(struct pf_wire *wire)
{
    if (wire->client >= 0)
        close(wire->client);
    wire->client = -1;
    pf_wire_turn(wire);
    for (int n = 0; wire->server && wire->server->living;
         n++) { /* what the application has, it finishes */
        must(n < 100);
        pf_wire_advance(wire, PF_WIRE_LATER);
    }
}

void pf_wire_connect(struct pf_wire *wire)
{
    pf_wire_leave(wire);
    free(wire->heard);
    wire->heard = NULL;
    wire->len = 0;
    wire->ended = false;
    wire->error = wire->said = 0;
    if (wire->listener >= 0) {
        connect_tcp(wire);
        return;
    }
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    must(pf_http_server_adopt(wire->server, pair[0], NULL) == 0);
    wire->client = pair[1];
}

bool pf_wire_say(struct pf_wire *wire, const char *bytes, size_t len)
{
    for (int stuck = 0; len > 0 && stuck < 2;) {
        ssize_t n = send(wire->client, bytes, len, MSG_NOSIGNAL);
        if (n == -1 && errno != EAGAIN)
            return false;
        stuck = n > 0 ? 0 : stuck + 1;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        pf_wire_turn(wire);
        hear(wire);
    }
    return len == 0;
}

static bool application_has_one(const struct pf_wire *wire)
{
    const pf_http_request *request = wire->server->living;
    while (request && (!request->conn || request->stage == PF__HTTP_READING ||
                       !request->later || !request->body_ended))
        request = request->next;
    return request != NULL;
}

void pf_wire_settle(struct pf_wire *wire)
{
    pf_wire_turn(wire);
    hear(wire);
    while (application_has_one(wire))
        pf_wire_advance(wire, PF_WIRE_LATER);
}

/* ---- what was said --------------------------------------------------------------- */

struct telling {
    struct pf_wire *wire;
    FILE *out;
    enum pf_wire_detail detail;
    size_t at;
    int answers;
    bool over; /* the last answer said that it was the last */
};

static void put_fields(struct telling *telling, const struct pf_http_parser *parser)
{
    const char *base = telling->wire->heard + telling->at;
    for (uint32_t i = 0; i < parser->field_count; i++) {
        const struct pf_http_field *field = &parser->fields[i];
        if (field->name.len == 4 && strncasecmp(base + field->name.at, "Date", 4) == 0)
            continue;
        fprintf(telling->out, " {%.*s: %.*s}", (int)field->name.len, base + field->name.at,
                (int)field->value.len, base + field->value.at);
    }
}

/* Returns what ended it: PF_HTTP_DONE, PF_HTTP_MORE, or something negative. */
static int read_answer(struct telling *telling, struct pf_http_parser *parser, size_t *used,
                       FILE *body)
{
    const struct pf_wire *wire = telling->wire;
    for (;;) {
        struct pf_http_span span;
        int progress = pf__http_parser_run(parser, wire->heard + telling->at,
                                           wire->len - telling->at, used, &span);
        if (progress == PF_HTTP_BODY)
            fwrite(wire->heard + telling->at + span.at, 1, span.len, body);
        else if (progress == PF_HTTP_MORE && wire->ended)
            return pf__http_parser_eof(parser) == PF_HTTP_DONE ? PF_HTTP_DONE : progress;
        else if (progress != PF_HTTP_HEAD_DONE)
            return progress;
    }
}

/* Returns whether another one may follow. */
static bool tell_one(struct telling *telling)
{
    struct pf_wire *wire = telling->wire;
    struct pf_http_parser parser;
    char *body = NULL;
    size_t body_len, used = 0;
    bool to_head = telling->answers < wire->said && wire->to_head[telling->answers];
    if (telling->over) {
        wire->spilled = true;
        fputs("spilled ", telling->out);
        return false;
    }
    FILE *sink = open_memstream(&body, &body_len);
    must(sink != NULL);
    pf__http_parser_start(&parser, PF_HTTP_RESPONSE, to_head);
    int progress = read_answer(telling, &parser, &used, sink);
    fclose(sink);
    if (progress == PF_HTTP_DONE && parser.status < 200) {
        wire->interim++;
    } else if (progress >= 0 && parser.head_len > 0) {
        bool is_full = telling->detail == PF_WIRE_FULL;
        fprintf(telling->out, "%u", parser.status);
        if (is_full)
            put_fields(telling, &parser);
        if (body_len > 0 && (is_full || parser.status < 300)) {
            fputc('[', telling->out);
            for (size_t i = 0; i < body_len; i++)
                fputc(body[i] ? body[i] : '@', telling->out);
            fputc(']', telling->out);
        }
        fputc(' ', telling->out);
        telling->answers++;
        telling->over = !parser.keep_alive;
    }
    free(body);
    telling->at += used;
    wire->cut = progress == PF_HTTP_MORE;
    wire->malformed = progress < 0;
    fputs(wire->cut ? "cut " : wire->malformed ? "malformed " : "", telling->out);
    return progress == PF_HTTP_DONE;
}

char *pf_wire_tell(struct pf_wire *wire, enum pf_wire_detail detail)
{
    char *text = NULL;
    size_t len;
    struct telling telling = {.wire = wire, .detail = detail};
    telling.out = open_memstream(&text, &len);
    must(telling.out != NULL);
    wire->interim = 0;
    wire->cut = wire->malformed = wire->spilled = false;
    while (telling.at < wire->len && tell_one(&telling))
        ;
    fputs(wire->error ? "reset" : wire->ended ? "closed" : "open", telling.out);
    fclose(telling.out);
    return text;
}

char *pf_wire_exchange(struct pf_wire *wire, const char *in, size_t len, size_t cut,
                       enum pf_wire_detail detail)
{
    pf_wire_connect(wire);
    size_t at = 0;
    bool taken = true;
    while (cut == PF_WIRE_BYTES && at < len && taken)
        taken = pf_wire_say(wire, in + at++, 1);
    if (cut < len && cut != PF_WIRE_BYTES) {
        taken = pf_wire_say(wire, in, cut);
        at = cut;
    }
    if (taken)
        (void)pf_wire_say(wire, in + at, len - at);
    pf_wire_settle(wire);
    leave_no_trace(wire);
    return pf_wire_tell(wire, detail);
}
