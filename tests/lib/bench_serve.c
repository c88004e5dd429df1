#include "tests/lib/bench_serve.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Its first line says where it listens. */
static void read_line(struct pf_bench *server)
{
    struct pollfd wait = {.fd = server->out_fd, .events = POLLIN};
    while (!strchr(server->out, '\n')) {
        size_t len = strlen(server->out);
        assert_int_equal(poll(&wait, 1, PF_TEST_DEADLINE_S * 1000), 1);
        ssize_t n = read(server->out_fd, server->out + len, sizeof server->out - 1 - len);
        assert_true(n > 0);
        server->out[len + (size_t)n] = 0;
    }
}

void pf_bench_serve(struct pf_bench *server, const char *options, char *url, size_t url_len)
{
    char line[512], address[128] = "";
    memset(server, 0, sizeof *server);
    snprintf(line, sizeof line, "serve %s", options);
    pf_bench_start(server, line);
    read_line(server);
    assert_int_equal(sscanf(server->out, "listening on %127s", address), 1);
    if (strncmp(address, "unix:", 5) == 0)
        snprintf(url, url_len, "http+%s:/", address);
    else
        snprintf(url, url_len, "http://%s/", address);
}
