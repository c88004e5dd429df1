/* control.c - see control.h. */
#include "master/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- where it is ----------------------------------------------------------------- */

/* Make it if it is not there; if it is, it must be ours alone. */
static int own_directory(const char *path)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -errno;
    if (lstat(path, &st) != 0)
        return -errno;
    return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022) ? 0
                                                                                : -EPERM;
}

int pf__control_default_path(const char *address, char *path, size_t path_len)
{
    char directory[PF__CONTROL_PATH_MAX];
    const char *given = getenv("RUNTIME_DIRECTORY");
    const char *user = getenv("XDG_RUNTIME_DIR");
    int n;
    if (given && *given) /* systemd.exec(5): several are separated by colons */
        n = snprintf(directory, sizeof directory, "%.*s", (int)strcspn(given, ":"), given);
    else if (user && *user)
        n = snprintf(directory, sizeof directory, "%s/prefork", user);
    else if (geteuid() == 0)
        n = snprintf(directory, sizeof directory, "/run/prefork");
    else
        n = snprintf(directory, sizeof directory, "/tmp/prefork-%u", (unsigned)geteuid());
    if (n < 0 || (size_t)n >= sizeof directory)
        return -ENAMETOOLONG;
    n = snprintf(path, path_len, "%s/%s.ctl", directory, address);
    if (n < 0 || (size_t)n >= path_len)
        return -ENAMETOOLONG;
    return own_directory(directory);
}

/* ---- what it answers ------------------------------------------------------------- */

static size_t client_on_data(pf_conn *conn, const char *data, size_t len)
{
    const char *end = memchr(data, '\n', len);
    if (!end)
        return 0;
    size_t word = (size_t)(end - data);
    if (word > 0 && data[word - 1] == '\r')
        word--;
    char answer[128];
    if (word == 4 && memcmp(data, "ping", 4) == 0)
        snprintf(answer, sizeof answer, "{\"ok\":true,\"pid\":%ld,\"version\":\"%s\"}\n",
                 (long)getpid(), pf_version());
    else
        snprintf(
            answer, sizeof answer,
            "{\"ok\":false,\"error\":\"unknown request; this version knows: ping\"}\n");
    (void)pf_conn_write(conn, answer,
                        strlen(answer)); /* a client that is gone hears nothing */
    pf_conn_close(conn, false);
    return len;
}

static const struct pf_conn_protocol protocol = {.name = "control",
                                                 .on_data = client_on_data};

static void control_on_accept(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                              void *arg)
{
    (void)acceptor, (void)peer;
    const struct pf__control *control = arg;
    pf_conn *conn;
    if (pf_conns_count(control->clients) >= PF__CONTROL_CLIENTS_MAX)
        close(fd);
    else if (pf_conn_open(control->clients, fd, &conn) == 0)
        pf_conn_set_deadline(conn, 0);
}

/* ---- life ------------------------------------------------------------------------ */

int pf__control_open(struct pf__control *control, pf_loop *loop, const char *path,
                     int *holder)
{
    static const struct pf_listener_options socket = {.backlog = PF__CONTROL_CLIENTS_MAX,
                                                      .unix_mode = 0600};
    static const struct pf_conns_options options = {
        .protocol = &protocol,
        .input_max = PF__CONTROL_REQUEST_MAX,
        .timeouts_ns = {PF__CONTROL_TIMEOUT_NS}};
    *control = (struct pf__control)PF__CONTROL_NONE;
    int fd = pf_listener_file_open(&control->file, path, &socket, holder);
    if (fd < 0)
        return fd;
    control->socket_fd = fd;
    int err = pf_conns_new(loop, &options, &control->clients);
    struct pf_acceptor_options acceptor = {.fn = control_on_accept, .arg = control};
    if (!err)
        err = pf_acceptor_new(loop, fd, &acceptor, &control->acceptor);
    if (err)
        pf__control_close(control);
    return err;
}

void pf__control_close(struct pf__control *control)
{
    pf_acceptor_free(control->acceptor);
    pf_conns_free(control->clients);
    pf_listener_file_release(&control->file);
    if (control->socket_fd != -1)
        close(control->socket_fd);
    *control = (struct pf__control)PF__CONTROL_NONE;
}
