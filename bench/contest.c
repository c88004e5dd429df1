/* contest.c - see contest.h. */
#include "bench/contest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX "loop_"

enum {
    SAYS_MAX = 16 * 1024 /* a catalogue has some 30 lines */
};

/* ---- a process ------------------------------------------------------------------- */

/* The last CPU that it may use: the first has most of the machine's other work. */
static void pin(void)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    size_t cpu = CPU_SETSIZE - 1;
    while (cpu > 0 && !CPU_ISSET(cpu, &allowed))
        cpu--;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)sched_setaffinity(0, sizeof one, &one); /* refused: then it runs anywhere */
}

/* What would make a library choose otherwise than by itself. */
static void clean_environment(void)
{
    static const char event[] = "EVENT_";
    unsetenv("LIBEV_FLAGS");
    for (char **at = environ; at && *at;) {
        char name[64];
        size_t len = strcspn(*at, "=");
        if (strncmp(*at, event, strlen(event)) != 0 || len >= sizeof name) {
            at++;
            continue;
        }
        memcpy(name, *at, len);
        name[len] = 0;
        unsetenv(name); /* the next one has moved to this place */
    }
}

static void become(const struct contest_subject *subject, const char *const argv[],
                   bool pinned, int out)
{
    if (pinned)
        pin();
    clean_environment();
    if (dup2(out, STDOUT_FILENO) < 0)
        _exit(127);
    execv(subject->path, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "%s: %s\n", subject->path, strerror(errno));
    _exit(127);
}

static size_t read_all(int fd, char *text, size_t room)
{
    size_t len = 0;
    for (ssize_t n = 1; n > 0 || (n < 0 && errno == EINTR);) {
        char beyond[256];
        bool full = len == room - 1; /* what it says beyond is thrown away */
        n = full ? read(fd, beyond, sizeof beyond) : read(fd, text + len, room - 1 - len);
        len += n > 0 && !full ? (size_t)n : 0;
    }
    text[len] = 0;
    return len;
}

/* Run it to its end; what it says goes to text. Returns 0 or as contest_run(). */
static int run(const struct contest_subject *subject, const char *argument,
               const char *number, bool pinned, char text[SAYS_MAX])
{
    const char *const argv[] = {subject->path, argument, number, NULL};
    int fds[2], status;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -errno;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become(subject, argv, pinned, fds[1]);
    int err = pid < 0 ? -errno : 0;
    close(fds[1]);
    if (!err)
        read_all(fds[0], text, SAYS_MAX);
    close(fds[0]);
    while (!err && waitpid(pid, &status, 0) < 0)
        err = errno == EINTR ? 0 : -errno;
    if (err)
        return err;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
}

/* ---- who there is ---------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "?";
}

static bool introduce(struct contest_subject *subject)
{
    char text[SAYS_MAX];
    if (run(subject, "-v", NULL, false, text) != 0)
        return false;
    json_t *root = json_loads(text, 0, NULL);
    bool right = json_is_object(root);
    if (right)
        snprintf(subject->title, sizeof subject->title, "%s %s (%s)",
                 text_of(root, "subject"), text_of(root, "version"),
                 text_of(root, "backend"));
    json_decref(root);
    return right;
}

/* A program, and none of the files it was made from. */
static bool is_subject(const char *name)
{
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 && !strchr(name, '.') &&
           strlen(name) - strlen(PREFIX) < CONTEST_NAME_MAX;
}

static int by_name(const void *a, const void *b)
{
    const struct contest_subject *x = a, *y = b;
    bool ours_x = strcmp(x->name, CONTEST_OURS) == 0;
    bool ours_y = strcmp(y->name, CONTEST_OURS) == 0;
    return ours_x != ours_y ? ours_y - ours_x : strcmp(x->name, y->name);
}

int contest_find(const char *folder, struct contest_subject *out, size_t max)
{
    DIR *dir = opendir(folder);
    size_t count = 0;
    if (!dir)
        return -errno;
    for (struct dirent *d = readdir(dir); d && count < max; d = readdir(dir)) {
        struct contest_subject *subject = &out[count];
        if (!is_subject(d->d_name))
            continue;
        snprintf(subject->name, sizeof subject->name, "%s", d->d_name + strlen(PREFIX));
        int n = snprintf(subject->path, sizeof subject->path, "%s/%s", folder, d->d_name);
        if (n > 0 && (size_t)n < sizeof subject->path && access(subject->path, X_OK) == 0)
            count += introduce(subject);
    }
    closedir(dir);
    qsort(out, count, sizeof *out, by_name);
    return (int)count;
}

/* ---- what they do ---------------------------------------------------------------- */

int contest_list(const struct contest_subject *subject, struct contest_job *out, size_t max)
{
    char text[SAYS_MAX];
    int count = 0;
    if (run(subject, "-l", NULL, false, text) != 0)
        return -EPROTO;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) && (size_t)count < max;) {
        struct contest_job job = {.ops = 0};
        char kind[16], threads[16];
        if (sscanf(line, "%47s %15s %" SCNd64 " %*s %15s", job.name, kind, &job.ops,
                   threads) != 4)
            continue;
        job.peers = strcmp(kind, "peers") == 0;
        job.threads = strcmp(threads, "threads") == 0;
        out[count++] = job;
    }
    return count ? count : -EPROTO;
}

int contest_parse(const char *text, const char *job, struct contest_time *out)
{
    json_t *root = json_loads(text, 0, NULL);
    const json_t *cpu = json_object_get(root, "cpu_ns"),
                 *wall = json_object_get(root, "wall_ns"),
                 *ops = json_object_get(root, "ops");
    bool right = json_is_integer(cpu) && json_is_integer(wall) && json_is_integer(ops) &&
                 json_integer_value(ops) > 0 && strcmp(text_of(root, "job"), job) == 0;
    if (right) {
        double each = (double)json_integer_value(ops);
        out->cpu_ns = (double)json_integer_value(cpu) / each;
        out->wall_ns = (double)json_integer_value(wall) / each;
        snprintf(out->unit, sizeof out->unit, "%s", text_of(root, "unit"));
    }
    json_decref(root);
    return right ? 0 : -EPROTO;
}

int contest_run(const struct contest_subject *subject, const struct contest_job *job,
                int64_t ops, struct contest_time *out)
{
    char text[SAYS_MAX], number[24];
    snprintf(number, sizeof number, "%" PRId64, ops ? ops : job->ops);
    int err = run(subject, job->name, number, !job->threads, text);
    return err ? err : contest_parse(text, job->name, out);
}
