/* ctl.c - see ctl.h. */
#include "bench/ctl.h"

#include "ipc/ask.h"
#include "net/holder.h"
#include <errno.h>
#include <jansson.h>
#include <linux/net.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MAX = 16 * 1024 * 1024 /* PF__CONTROL_ANSWER_MAX */
};

static const char SUFFIX[] = ".ctl", NEW[] = ".new", REQUEST[] = "status";

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

int ctl_ask(const char *path, int64_t timeout_ns, struct ctl_status *out)
{
    char *text;
    size_t len;
    int err = pf__ask(path, REQUEST, timeout_ns, ANSWER_MAX, &text, &len);
    if (err)
        return err == -ECONNRESET || err == -EPIPE ? -EPROTO : err;
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
