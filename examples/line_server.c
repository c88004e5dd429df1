/*
 * line_server.c - a server of lines over streams: each line comes back in capitals; "quit"
 * says good-bye.
 *
 *     line_server [ADDRESS]        default 127.0.0.1:8888; try: nc 127.0.0.1 8888
 */
#include <ctype.h>
#include <prefork.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* The longest line; a longer one ends the connection. */
#define LINE_MAX_BYTES 4096

static int on_line(pf_stream *stream, const char *line, size_t len, int err, void *arg)
{
    char answer[LINE_MAX_BYTES];
    if (err)
        return 0; /* on_close comes next */
    if (len >= 5 && memcmp(line, "quit", 4) == 0 && isspace((unsigned char)line[4])) {
        err = pf_stream_write(stream, "bye\n", 4, NULL, NULL);
        return err ? err : pf_stream_close_when_written(stream);
    }
    for (size_t i = 0; i < len; i++)
        answer[i] = (char)toupper((unsigned char)line[i]);
    err = pf_stream_write(stream, answer, len, NULL, NULL);
    return err ? err
               : pf_stream_read_until_max(stream, "\n", 1, LINE_MAX_BYTES, on_line, arg);
}

static int on_close(pf_stream *stream, int err, void *arg)
{
    (void)err, (void)arg;
    pf_stream_free(stream);
    return 0;
}

static void on_connection(pf_tcp_server *server, pf_stream *stream,
                          const struct sockaddr *peer, socklen_t peer_len, void *arg)
{
    (void)server, (void)peer, (void)peer_len;
    if (pf_stream_set_close_callback(stream, on_close, NULL) != 0 ||
        pf_stream_read_until_max(stream, "\n", 1, LINE_MAX_BYTES, on_line, arg) != 0)
        pf_stream_free(stream);
}

static int on_signal(pf_loop *loop, int signo, void *arg)
{
    (void)signo, (void)arg;
    return pf_loop_stop(loop);
}

int main(int argc, char **argv)
{
    const char *address = argc > 1 ? argv[1] : "127.0.0.1:8888";
    struct pf_tcp_server_options options = {PF_TCP_SERVER_OPTIONS,
                                            .on_connection = on_connection};
    char why[128] = "no memory";
    pf_loop *loop;
    pf_tcp_server *server;
    if (pf_loop_new(NULL, &loop) != 0 || pf_tcp_server_new(loop, &options, &server) != 0)
        return PF_EXIT_SOFTWARE;
    if (pf_loop_add_signal(loop, SIGINT, on_signal, NULL) != 0 ||
        pf_loop_add_signal(loop, SIGTERM, on_signal, NULL) != 0 ||
        pf_tcp_server_listen(server, address, why, sizeof why) != 0) {
        fprintf(stderr, "%s: %s\n", address, why);
        return PF_EXIT_UNAVAILABLE;
    }
    printf("listening on port %u\n", pf_tcp_server_port(server));
    fflush(stdout);
    int err = pf_loop_start(loop);
    pf_tcp_server_free(server);
    (void)pf_loop_close(loop, false);
    pf_loop_unref(loop);
    return err ? PF_EXIT_SOFTWARE : PF_EXIT_OK;
}
