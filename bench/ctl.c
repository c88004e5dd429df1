/* ctl.c - see ctl.h. */
#include "bench/ctl.h"

#include "bench/clock.h"
#include "net/holder.h"
#include <errno.h>
#include <jansson.h>
#include <linux/net.h>
#include <prefork/base.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FIRST_ROOM = 64 * 1024,
    ANSWER_MAX = 16 * 1024 * 1024 /* PF__CONTROL_ANSWER_MAX */
};

static const char SUFFIX[] = ".ctl", NEW[] = ".new", REQUEST[] = "status\n";

/* ---- where it is ----------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* The path of a control socket in a line of /proc/net/unix, and its inode; NULL: it is no
 * such line. The server binds "x.ctl.new" and renames it: the kernel keeps the first name.
 */
static char *parse_line(char *line, unsigned long *inode)
{
    unsigned flags;
    int at = 0;
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "%*s %*s %*s %x %*s %*s %lu %n", &flags, inode, &at) != 2 || !at ||
        !(flags & __SO_ACCEPTCON) || line[at] != '/')
        return NULL;
    char *path = line + at;
    if (ends_with(path, NEW))
        path[strlen(path) - strlen(NEW)] = 0;
    return ends_with(path, SUFFIX) && strlen(path) < CTL_PATH_MAX ? path : NULL;
}

int ctl_find(int64_t pid, char path[CTL_PATH_MAX])
{
    char line[512];
    FILE *file = fopen("/proc/net/unix", "re");
    int result = -ENOENT;
    while (file && result != 0 && fgets(line, sizeof line, file)) {
        struct pf_holder_sockets socket;
        socket.count = 1;
        const char *found = parse_line(line, &socket.inodes[0]);
        if (!found || !pf_holder_has((long)pid, &socket))
            continue;
        snprintf(path, CTL_PATH_MAX, "%s", found);
        result = 0;
    }
    if (file)
        fclose(file);
    return result;
}

/* ---- what it says ---------------------------------------------------------------- */

/* unix(7): a full backlog blocks connect(2), for as long as SO_SNDTIMEO says. */
static int connect_to(const char *path, int64_t timeout_ns)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct timeval limit = {.tv_sec = timeout_ns / PF_SECOND,
                            .tv_usec = timeout_ns % PF_SECOND / PF_MICROSECOND};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int err = errno == EAGAIN ? -ETIMEDOUT : -errno;
    close(fd);
    return err;
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

/* All until the end of file. *text is to be freed in any case. */
static int read_all(int fd, int64_t deadline, char **text, size_t *len)
{
    size_t room = 0;
    for (;;) {
        int err = *len == room ? more_room(text, &room) : 0;
        if (err)
            return err;
        ssize_t n = recv(fd, *text + *len, room - *len, 0);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        *len += n > 0 ? (size_t)n : 0;
        if (clock_ns() > deadline)
            return -ETIMEDOUT;
    }
}

int ctl_ask(const char *path, int64_t timeout_ns, struct ctl_status *out)
{
    int64_t deadline = clock_ns() + timeout_ns;
    int fd = connect_to(path, timeout_ns);
    if (fd < 0)
        return fd;
    char *text = NULL;
    size_t len = 0;
    int err = 0;
    if (send(fd, REQUEST, strlen(REQUEST), MSG_NOSIGNAL) != (ssize_t)strlen(REQUEST))
        err = -EPROTO; /* such a short line is taken at once or not at all */
    if (!err)
        err = read_all(fd, deadline, &text, &len);
    close(fd);
    if (!err)
        err = ctl_parse(text, len, out);
    free(text);
    return err;
}

/* An id, -1 if it is not there. False: it cannot be one. */
static bool read_id(const json_t *object, const char *key, int64_t *out)
{
    const json_t *value = json_object_get(object, key);
    *out = json_is_integer(value) ? json_integer_value(value) : -1;
    return *out >= -1 && *out <= CTL_COUNT_MAX;
}

/* Add a count to *sum, 0 if it is not there. False: beyond CTL_COUNT_MAX, or below 0. */
static bool add_count(const json_t *object, const char *key, int64_t *sum)
{
    const json_t *value = json_object_get(object, key);
    int64_t count = json_is_integer(value) ? json_integer_value(value) : 0;
    if (count < 0 || count > CTL_COUNT_MAX - *sum)
        return false;
    *sum += count;
    return true;
}

static bool parse_worker(const json_t *json, struct ctl_worker *out)
{
    const json_t *lanes = json_object_get(json, "lanes"), *lane;
    size_t at;
    *out = (struct ctl_worker){.slot = -1};
    bool right = read_id(json, "worker", &out->slot) && read_id(json, "pid", &out->pid) &&
                 add_count(json, "starts", &out->starts);
    json_array_foreach(lanes, at, lane) right =
        right && add_count(lane, "requests", &out->requests) &&
        add_count(lane, "connections", &out->connections);
    return right;
}

int ctl_parse(const char *text, size_t len, struct ctl_status *out)
{
    json_t *root = json_loadb(text, len, 0, NULL);
    const json_t *workers = json_object_get(root, "workers"), *worker;
    const json_t *totals = json_object_get(root, "totals");
    bool right = json_is_true(json_object_get(root, "ok")) && json_is_array(workers) &&
                 json_array_size(workers) <= CTL_WORKERS_MAX && json_is_object(totals);
    if (right) {
        size_t at;
        out->requests = 0;
        right = read_id(root, "pid", &out->pid) &&
                add_count(totals, "requests", &out->requests);
        out->worker_count = json_array_size(workers);
        json_array_foreach(workers, at, worker) right =
            right && parse_worker(worker, &out->workers[at]);
    }
    json_decref(root);
    return right ? 0 : -EPROTO;
}
