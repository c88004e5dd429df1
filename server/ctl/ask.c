/* ask.c - see ask.h. */
#include "server/ctl/ask.h"

#include "server/ctl/find.h"

#include <prefork/base.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_ROOM = 64 * 1024,
    ANSWER_MAX = 64 * 1024 * 1024 /* a server says far less */
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

int connect_socket(const char *path, int64_t timeout_ns)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    /* unix(7): a full backlog blocks connect(2), for as long as this says. */
    struct timeval limit = {.tv_sec = timeout_ns / PF_SECOND,
                            .tv_usec = timeout_ns % PF_SECOND / 1000};
    int flags = fcntl(fd, F_GETFL);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0 || flags == -1 ||
        fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

/* Wait until the descriptor is ready for `events`. */
static int wait_for(int fd, short events, int64_t deadline)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = events};
        int64_t left = deadline - now_ns();
        struct timespec limit = {.tv_sec = left / PF_SECOND, .tv_nsec = left % PF_SECOND};
        int n = left > 0 ? ppoll(&wait, 1, &limit, NULL) : 0;
        if (n > 0)
            return 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static int send_request(int fd, const char *request, int64_t deadline)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%s\n", request);
    for (int at = 0; at < len;) {
        ssize_t n = send(fd, line + at, (size_t)(len - at), MSG_NOSIGNAL);
        int err = n == -1 ? -errno : 0;
        if (err == -EAGAIN)
            err = wait_for(fd, POLLOUT, deadline);
        if (err && err != -EINTR)
            return err;
        at += n > 0 ? (int)n : 0;
    }
    return 0;
}

static int more_room(char **text, size_t *room)
{
    size_t wanted = *room ? *room * 2 : FIRST_ROOM;
    if (wanted > ANSWER_MAX)
        return -EPROTO;
    char *grown = realloc(*text, wanted);
    if (!grown)
        return -ENOMEM;
    *text = grown;
    *room = wanted;
    return 0;
}

/* All until the end of file, with a NUL. *text is to be freed in any case. */
static int read_all(int fd, int64_t deadline, char **text, size_t *len)
{
    size_t room = 0;
    for (;;) {
        int err = *len + 1 >= room ? more_room(text, &room) : 0;
        if (err)
            return err;
        ssize_t n = recv(fd, *text + *len, room - *len - 1, 0);
        if (n == -1)
            err = errno == EAGAIN ? wait_for(fd, POLLIN, deadline) : -errno;
        if (err && err != -EINTR)
            return err;
        *len += n > 0 ? (size_t)n : 0;
        (*text)[*len] = 0;
        if (n == 0)
            return 0;
    }
}

static int cut_line(char *text, size_t len)
{
    if (len == 0)
        return -ENODATA;
    if (strlen(text) != len || strchr(text, '\n') != text + len - 1)
        return -EPROTO;
    text[len - 1] = 0;
    return 0;
}

static int explain(int err, const char *path, char *error)
{
    const char *why = strerror(-err), *then = "";
    int status = PF_EXIT_UNAVAILABLE;
    if (err == -ENOENT || err == -ENOTDIR) {
        why = "no such socket", then = "; is the server running?";
    } else if (err == -ECONNREFUSED) {
        why = "no server listens there", then = "; it was killed, or this is another file";
    } else if (err == -EACCES || err == -EPERM) {
        why = "not yours", then = "; ask as the server's user, or as root";
    } else if (err == -EAGAIN || err == -ETIMEDOUT) {
        why = "no answer in time",
        then = "; see whether the server hangs, or use --timeout";
    } else if (err == -ENODATA || err == -ECONNRESET || err == -EPIPE) {
        why = "closed without an answer", then = "; too many clients at a time? try again";
    } else if (err == -ENAMETOOLONG) {
        why = "too long for a socket's path", then = "; use one of 107 bytes at most";
        status = PF_EXIT_USAGE;
    } else if (err == -EPROTO) {
        why = "what came is not one line", then = "; is this a server of prefork?";
        status = PF_EXIT_SOFTWARE;
    } else if (err == -ENOMEM) {
        status = PF_EXIT_SOFTWARE;
    }
    snprintf(error, CTL_ERROR_MAX, "%s: %s%s", path, why, then);
    return status;
}

int ask_server(const char *path, const char *request, int64_t timeout_ns, char **answer,
               char *error)
{
    int64_t deadline = now_ns() + timeout_ns;
    int fd = connect_socket(path, timeout_ns);
    if (fd < 0)
        return explain(fd, path, error);
    char *text = NULL;
    size_t len = 0;
    int err = send_request(fd, request, deadline);
    if (!err)
        err = read_all(fd, deadline, &text, &len);
    if (!err)
        err = cut_line(text, len);
    close(fd);
    if (err) {
        free(text);
        return explain(err, path, error);
    }
    *answer = text;
    return PF_EXIT_OK;
}
