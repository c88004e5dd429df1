/* ask.c - see ask.h. */
#include "ipc/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <prefork/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Of a question, with its newline. */
#define QUESTION_MAX 64
#define FIRST_ROOM   ((size_t)64 * 1024)

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * PF_SECOND + now.tv_nsec;
}

int pf__ask_connect(const char *path, int64_t timeout_ns)
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
        int err = errno == EAGAIN ? -ETIMEDOUT : -errno;
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

static int send_line(int fd, const char *question, int64_t deadline)
{
    char line[QUESTION_MAX + 1];
    int len = snprintf(line, sizeof line, "%s\n", question);
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

static int more_room(char **text, size_t *room, size_t most)
{
    size_t wanted = *room ? *room * 2 : FIRST_ROOM;
    if (wanted > most)
        return -EPROTO;
    char *grown = realloc(*text, wanted);
    if (!grown)
        return -ENOMEM;
    *text = grown;
    *room = wanted;
    return 0;
}

/* All until the end of file, with a NUL. *text is to be freed in any case. */
static int read_all(int fd, int64_t deadline, size_t most, char **text, size_t *len)
{
    size_t room = 0;
    *len = 0;
    for (;;) {
        int err = *len + 1 >= room ? more_room(text, &room, most) : 0;
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

int pf__ask(const char *path, const char *question, int64_t timeout_ns, size_t most,
            char **answer, size_t *len)
{
    int64_t deadline = now_ns() + timeout_ns;
    if (strlen(question) >= QUESTION_MAX)
        return -EINVAL;
    int fd = pf__ask_connect(path, timeout_ns);
    if (fd < 0)
        return fd;
    char *text = NULL;
    size_t got;
    int err = send_line(fd, question, deadline);
    if (!err)
        err = read_all(fd, deadline, most, &text, &got);
    close(fd);
    if (err) {
        free(text);
        return err;
    }
    *answer = text;
    *len = got;
    return 0;
}
