/*
 * http_libuv - hello over HTTP on libuv and llhttp: what a careful small server on another
 * loop, with the parser that we use, costs per request. Written for libuv 1.44.
 *
 *     http_libuv PORT             PORT 0: the kernel picks; it is printed
 *
 * It keeps connections alive, takes pipelined requests, answers all that one read brought
 * with one write, and honours `Connection: close`. Server and Date are on; the date is
 * renewed once a second. No routes, no time-outs, no log: a request that llhttp refuses
 * closes its connection.
 *
 * What is done in its favour: TCP_NODELAY is set on the listener and inherited; all
 * connections share one buffer for reading and one for writing; a write is first tried at
 * once, and only what the socket does not take is queued.
 */
#include <err.h>
#include <llhttp/llhttp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#define READ_SIZE   65536
#define ANSWER_MAX  256
#define REQUEST_MIN 18 /* GET / HTTP/1.0 and an empty line */
#define BACKLOG     65535

struct client {
    uv_tcp_t tcp;
    llhttp_t parser;
    uv_write_t write;
    char *rest; /* what a socket did not take, until it did */
    bool last;  /* closes after what is being answered */
};

static uv_loop_t *loop;
static llhttp_settings_t settings;
static char answers[2][ANSWER_MAX]; /* the connection stays; it is closed */
static size_t answer_len[2];
static char in[READ_SIZE];
static char out[(READ_SIZE / REQUEST_MIN + 1) * ANSWER_MAX];
static size_t out_len;

static void require(int status, const char *what)
{
    if (status < 0)
        errx(1, "%s: %s", what, uv_strerror(status));
}

static void on_second(uv_timer_t *timer)
{
    (void)timer;
    char date[64];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    for (int closing = 0; closing < 2; closing++)
        answer_len[closing] =
            (size_t)snprintf(answers[closing], ANSWER_MAX,
                             "HTTP/1.1 200 OK\r\n"
                             "Server: libuv\r\n"
                             "Date: %s\r\n"
                             "Content-Type: text/plain\r\n"
                             "Content-Length: 13\r\n"
                             "%s\r\n"
                             "Hello, World!",
                             date, closing ? "Connection: close\r\n" : "");
}

/* ---- one connection --------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    free(client->rest);
    free(client);
}

static void close_client(struct client *client)
{
    if (!uv_is_closing((uv_handle_t *)&client->tcp))
        uv_close((uv_handle_t *)&client->tcp, on_closed);
}

static int on_request(llhttp_t *parser)
{
    struct client *client = parser->data;
    if (sizeof out - out_len < ANSWER_MAX)
        return HPE_USER; /* shorter requests than there should be */
    client->last = !llhttp_should_keep_alive(parser);
    memcpy(out + out_len, answers[client->last], answer_len[client->last]);
    out_len += answer_len[client->last];
    return client->last ? HPE_PAUSED : HPE_OK; /* what follows a last request is not read */
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buffer)
{
    (void)handle, (void)hint;
    *buffer = uv_buf_init(in, sizeof in);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer);

static void on_written(uv_write_t *write, int status)
{
    struct client *client = write->data;
    free(client->rest);
    client->rest = NULL;
    if (status < 0 || client->last)
        close_client(client);
    else
        require(uv_read_start(write->handle, on_alloc, on_read), "uv_read_start");
}

/* The socket is full: nothing more is read before it took what it is owed. */
static void queue(struct client *client, const char *rest, size_t len)
{
    uv_read_stop((uv_stream_t *)&client->tcp);
    client->rest = malloc(len);
    if (!client->rest)
        err(1, "malloc");
    memcpy(client->rest, rest, len);
    client->write.data = client;
    uv_buf_t buffer = uv_buf_init(client->rest, (unsigned)len);
    require(uv_write(&client->write, (uv_stream_t *)&client->tcp, &buffer, 1, on_written),
            "uv_write");
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct client *client = stream->data;
    if (got <= 0) {
        if (got < 0)
            close_client(client);
        return;
    }
    out_len = 0;
    llhttp_errno_t error = llhttp_execute(&client->parser, buffer->base, (size_t)got);
    client->last |= error != HPE_OK;

    size_t sent = 0;
    if (out_len) {
        uv_buf_t answer = uv_buf_init(out, (unsigned)out_len);
        int status = uv_try_write(stream, &answer, 1);
        if (status < 0 && status != UV_EAGAIN) {
            close_client(client);
            return;
        }
        sent = status < 0 ? 0 : (size_t)status;
    }
    if (sent < out_len)
        queue(client, out + sent, out_len - sent);
    else if (client->last)
        close_client(client);
}

/* ---- the server ------------------------------------------------------------------- */

static void on_connection(uv_stream_t *listener, int status)
{
    struct client *client = status < 0 ? NULL : calloc(1, sizeof *client);
    if (!client)
        return;
    require(uv_tcp_init(loop, &client->tcp), "uv_tcp_init");
    client->tcp.data = client;
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) < 0) {
        close_client(client);
        return;
    }
    llhttp_init(&client->parser, HTTP_REQUEST, &settings);
    client->parser.data = client;
    require(uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read), "uv_read_start");
}

static void start_listener(uv_tcp_t *listener, int port)
{
    struct sockaddr_in at;
    int len = sizeof at;
    require(uv_ip4_addr("127.0.0.1", port, &at), "uv_ip4_addr");
    require(uv_tcp_init(loop, listener), "uv_tcp_init");
    require(uv_tcp_bind(listener, (struct sockaddr *)&at, 0), "uv_tcp_bind");
    require(uv_tcp_nodelay(listener, 1), "uv_tcp_nodelay");
    require(uv_listen((uv_stream_t *)listener, BACKLOG, on_connection), "uv_listen");
    require(uv_tcp_getsockname(listener, (struct sockaddr *)&at, &len),
            "uv_tcp_getsockname");
    printf("listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long port = argc == 2 ? strtol(argv[1], &end, 10) : -1;
    if (port < 0 || port > UINT16_MAX || *end)
        errx(1, "usage: http_libuv PORT");
    (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_request;

    uv_timer_t second;
    uv_tcp_t listener;
    loop = uv_default_loop();
    require(uv_timer_init(loop, &second), "uv_timer_init");
    on_second(&second);
    require(uv_timer_start(&second, on_second, 1000, 1000), "uv_timer_start");
    start_listener(&listener, (int)port);
    return uv_run(loop, UV_RUN_DEFAULT);
}
