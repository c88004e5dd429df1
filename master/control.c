/* control.c - see control.h. */
#include "master/control.h"

#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
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
                     int *holder)
{
    *control = (struct pf__control){.lock_fd = -1, .socket_fd = -1, .owner = getpid()};
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
                                       .input_max = PF__CONTROL_REQUEST_MAX,
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
