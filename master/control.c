/* control.c - see control.h. */
#include "master/control.h"

#include <errno.h>
#include <stdarg.h>
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

int pf__control_directory(char *path, size_t path_len)
{
    const char *given = getenv("RUNTIME_DIRECTORY");
    const char *user = getenv("XDG_RUNTIME_DIR");
    int n;
    if (given && *given) /* systemd.exec(5): several are separated by colons */
        n = snprintf(path, path_len, "%.*s", (int)strcspn(given, ":"), given);
    else if (user && *user)
        n = snprintf(path, path_len, "%s/prefork", user);
    else if (geteuid() == 0)
        n = snprintf(path, path_len, "/run/prefork");
    else
        n = snprintf(path, path_len, "/tmp/prefork-%u", (unsigned)geteuid());
    return n < 0 || (size_t)n >= path_len ? -ENAMETOOLONG : 0;
}

void pf__control_name(const char *address, char *name, size_t name_len)
{
    snprintf(name, name_len, "%s" PF__CONTROL_SUFFIX, address);
    for (char *at = name; *at; at++)
        if (*at == '/')
            *at = '_';
}

int pf__control_default_path(const char *address, char *path, size_t path_len)
{
    char directory[PF__CONTROL_PATH_MAX], name[PF__CONTROL_PATH_MAX];
    int err = pf__control_directory(directory, sizeof directory);
    if (err)
        return err;
    pf__control_name(address, name, sizeof name);
    int n = snprintf(path, path_len, "%s/%s", directory, name);
    if (n < 0 || (size_t)n >= path_len)
        return -ENAMETOOLONG;
    return own_directory(directory);
}

/* ---- what it answers ------------------------------------------------------------- */

struct client {
    bool refused; /* another user's */
};

static void answer(pf_conn *conn, const char *text, size_t len)
{
    if (pf_conn_write(conn, text, len) == 0) /* one that is gone hears nothing */
        (void)pf_conn_write(conn, "\n", 1);
    pf_conn_close(conn, false);
}

static PF_PRINTF(2, 3) void answer_line(pf_conn *conn, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    answer(conn, text, strlen(text));
}

static const struct pf__control_command *find(const struct pf__control *control,
                                              const char *word, size_t len)
{
    const struct pf__control_command *command = control->commands;
    for (; command->name; command++)
        if (strlen(command->name) == len && memcmp(command->name, word, len) == 0)
            return command;
    return NULL;
}

static void answer_unknown(pf_conn *conn, const struct pf__control *control)
{
    char known[256] = "ping";
    const struct pf__control_command *command = control->commands;
    for (size_t len = 4; command->name && len < sizeof known; command++)
        len += (size_t)snprintf(known + len, sizeof known - len, ", %s", command->name);
    answer_line(conn,
                "{\"ok\":false,\"error\":\"unknown request; this version knows: %s\"}",
                known);
}

static void answer_request(pf_conn *conn, const char *word, size_t len)
{
    const struct pf__control *control = pf_conn_arg(conn);
    const struct client *client = pf_conn_state(conn);
    if (client->refused) {
        answer_line(conn, "{\"ok\":false,\"error\":\"only the server's own user and root "
                          "may ask\"}");
        return;
    }
    if (len == 4 && memcmp(word, "ping", 4) == 0) {
        answer_line(conn, "{\"ok\":true,\"pid\":%ld,\"version\":\"%s\"}", (long)getpid(),
                    pf_version());
        return;
    }
    const struct pf__control_command *command = find(control, word, len);
    if (!command) {
        answer_unknown(conn, control);
        return;
    }
    char *text = NULL;
    size_t text_len = 0;
    int err = command->fn(control->arg, &text, &text_len);
    if (!err && text_len >= PF__CONTROL_ANSWER_MAX)
        err = -EMSGSIZE;
    if (err)
        answer_line(conn, "{\"ok\":false,\"error\":\"%s: %s\"}", command->name,
                    strerror(-err));
    else
        answer(conn, text, text_len);
    free(text);
}

static size_t client_on_data(pf_conn *conn, const char *data, size_t len)
{
    const char *end = memchr(data, '\n', len);
    if (!end)
        return 0;
    size_t word = (size_t)(end - data);
    if (word > 0 && data[word - 1] == '\r')
        word--;
    answer_request(conn, data, word);
    return len;
}

static const struct pf_conn_protocol protocol = {
    .name = "control", .state_size = sizeof(struct client), .on_data = client_on_data};

/* unix(7), SO_PEERCRED: who it was that connected. */
static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void control_on_accept(pf_acceptor *acceptor, int fd, const struct pf_address *peer,
                              void *arg)
{
    (void)acceptor, (void)peer;
    const struct pf__control *control = arg;
    if (pf_conns_count(control->clients) >= PF__CONTROL_CLIENTS_MAX) {
        close(fd);
        return;
    }
    bool allowed = is_allowed(fd);
    pf_conn *conn;
    if (pf_conn_open(control->clients, fd, &conn) != 0)
        return;
    struct client *client = pf_conn_state(conn);
    client->refused = !allowed;
    pf_conn_set_deadline(conn, 0);
}

/* ---- life ------------------------------------------------------------------------ */

int pf__control_open(struct pf__control *control, pf_loop *loop, const char *path,
                     const struct pf__control_command *commands, void *arg, int *holder)
{
    static const struct pf_listener_options socket = {.backlog = PF__CONTROL_CLIENTS_MAX,
                                                      .unix_mode = 0600};
    *control = (struct pf__control)PF__CONTROL_NONE;
    control->commands = commands;
    control->arg = arg;
    struct pf_conns_options options = {.protocol = &protocol,
                                       .arg = control,
                                       .input_max = PF__CONTROL_REQUEST_MAX,
                                       .output_max = PF__CONTROL_ANSWER_MAX,
                                       .timeouts_ns = {PF__CONTROL_TIMEOUT_NS}};
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
