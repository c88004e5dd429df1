/* control.c - see control.h. */
#include "master/control.h"

#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

/* The lock file holds the pid of whoever has the lock. It is never removed: a second server
 * might have opened it just before, and would then lock a file that nobody else can see. */
static int take_lock(struct pf__control *control, const char *path, int *holder)
{
    char lock_path[PF__CONTROL_PATH_MAX + 8], text[32] = "";
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd == -1)
        return -errno;
    struct stat st;
    ssize_t len =
        fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof text - 1) : -1;
    if (len < 0 || st.st_size > len || strspn(text, "0123456789\n") != (size_t)len) {
        close(fd);
        return -EEXIST; /* somebody's file, not a lock of ours */
    }
    *holder = (int)strtol(text, NULL, 10);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int err = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
        close(fd);
        return err;
    }
    (void)lseek(fd, 0, SEEK_SET);
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, text, (size_t)n) != n)
        pf_log(PF_LOG_WARN, "lock-unnamed", "path=%s error=%s", lock_path, strerror(errno));
    control->lock_fd = fd;
    return 0;
}

static int bind_socket(struct pf__control *control, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    struct stat st; /* a socket is of a server that was killed: the lock is ours */
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode) ||
            connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
            close(fd);
            return -EEXIST; /* a file, or the socket of a program that lives */
        }
        (void)unlink(path);
    }
    mode_t before = umask(0177);
    int err = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : -errno;
    if (err == -EADDRINUSE)
        err = -EEXIST; /* a directory, or made this moment */
    umask(before);
    if (!err && listen(fd, PF__CONTROL_CLIENTS_MAX) != 0)
        err = -errno;
    if (err) {
        close(fd);
        return err;
    }
    control->socket_fd = fd;
    return 0;
}

int pf__control_open(struct pf__control *control, pf_loop *loop, const char *path,
                     const struct pf__control_command *commands, void *arg, int *holder)
{
    *control = (struct pf__control){.lock_fd = -1,
                                    .socket_fd = -1,
                                    .owner = getpid(),
                                    .commands = commands,
                                    .arg = arg};
    if (!*path)
        return -EINVAL; /* it would name an abstract socket, open to every user */
    if (strlen(path) >= sizeof control->path)
        return -ENAMETOOLONG;
    memcpy(control->path, path, strlen(path) + 1);
    int err = take_lock(control, path, holder);
    if (err)
        return err;
    err = bind_socket(control, path);
    if (err)
        goto fail;
    struct pf_conns_options options = {.protocol = &protocol,
                                       .arg = control,
                                       .input_max = PF__CONTROL_REQUEST_MAX,
                                       .output_max = PF__CONTROL_ANSWER_MAX,
                                       .timeouts_ns = {PF__CONTROL_TIMEOUT_NS}};
    err = pf_conns_new(loop, &options, &control->clients);
    if (err)
        goto fail;
    err = pf_acceptor_new(loop, control->socket_fd, control_on_accept, control,
                          &control->acceptor);
    if (err)
        goto fail;
    return 0;

fail:
    pf__control_close(control);
    return err;
}

void pf__control_close(struct pf__control *control)
{
    pf_acceptor_free(control->acceptor);
    pf_conns_free(control->clients);
    if (control->socket_fd != -1) {
        if (control->owner == getpid())
            (void)unlink(control->path);
        close(control->socket_fd);
    }
    if (control->lock_fd != -1)
        close(control->lock_fd);
    *control = (struct pf__control){.lock_fd = -1, .socket_fd = -1};
}
