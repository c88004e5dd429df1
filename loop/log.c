/*
 * log.c - one event, one line, one write(2).
 *
 * A line is built on the stack and written whole, so that lines of many processes that
 * share one log never mix: POSIX keeps writes of up to PIPE_BUF (at least 4096 on Linux)
 * bytes to a pipe in one piece. There is no buffer to flush and no lock that a fork could
 * copy while it is held.
 *
 * Every byte of the line passes put_escaped(), which is what keeps an event one line.
 */
#include <errno.h>
#include <poll.h>
#include <prefork/log.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROLE_MAX 32    /* with the NUL */
#define ELLIPSIS "..." /* ends a line that was cut */

static atomic_int level_min = PF_LOG_INFO;
static pf_log_sink_fn *sink;
static void *sink_arg;
static char role[ROLE_MAX] = "main";

/* A line in the making. `keep` is the longest length seen that leaves room for ELLIPSIS. */
struct line {
    size_t len, keep;
    bool cut;
    char text[PF_LOG_LINE_MAX + 2]; /* and a newline and a NUL */
};

/* Append n bytes that belong together, or none of them. */
static void put(struct line *line, const char *bytes, size_t n)
{
    if (line->cut || n > PF_LOG_LINE_MAX - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->len, bytes, n);
    line->len += n;
    if (line->len <= PF_LOG_LINE_MAX - strlen(ELLIPSIS))
        line->keep = line->len;
}

static void put_escaped(struct line *line, const char *text)
{
    for (const char *at = text; *at; at++) {
        unsigned char byte = (unsigned char)*at;
        char escape[sizeof "\\xNN"];
        if (byte >= 0x20 && byte != 0x7f) {
            put(line, at, 1);
        } else {
            (void)snprintf(escape, sizeof escape, "\\x%02x", byte); /* always fits */
            put(line, escape, sizeof escape - 1);
        }
    }
}

static void finish(struct line *line)
{
    if (line->cut) {
        line->len = line->keep;
        line->cut = false;
        put(line, ELLIPSIS, strlen(ELLIPSIS));
    }
    line->text[line->len] = '\0';
}

static const char *level_name(enum pf_log_level level)
{
    switch (level) {
    case PF_LOG_DEBUG:
        return "debug";
    case PF_LOG_INFO:
        return "info";
    case PF_LOG_WARN:
        return "warn";
    case PF_LOG_ERROR:
        break;
    }
    return "error";
}

/* Lines that nobody took, since the last one that somebody did. */
static atomic_uint lost;

/* A log that is not read must not hold up whoever writes it: poll(2) promises room for
 * PIPE_BUF bytes in a pipe, more than a line has. O_NONBLOCK is no way: it would be set for
 * everybody who has this standard error. */
static bool has_room(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) != 0;
}

/* A log that cannot be written has nowhere to say so: all errors but EINTR are ignored. */
static void write_all(const char *text, size_t len)
{
    while (write(STDERR_FILENO, text, len) < 0 && errno == EINTR)
        ;
}

static void write_line(struct line *line)
{
    if (!has_room()) {
        atomic_fetch_add(&lost, 1);
        return;
    }
    unsigned before = atomic_exchange(&lost, 0);
    if (before) {
        char note[96];
        int n = snprintf(note, sizeof note, "warn %s %ld log-lines-lost count=%u\n", role,
                         (long)getpid(), before);
        write_all(note, (size_t)n);
    }
    line->text[line->len] = '\n';
    write_all(line->text, line->len + 1);
}

void pf_log(enum pf_log_level level, const char *event, const char *format, ...)
{
    if (!pf_log_enabled(level))
        return;
    int saved_errno = errno;
    struct line line = {0};
    char values[PF_LOG_LINE_MAX + 2] =
        " "; /* one byte over the line shows that it is cut */
    char pid[sizeof " -2147483648 "];

    va_list args;
    va_start(args, format);
    if (vsnprintf(values + 1, sizeof values - 1, format, args) < 0)
        values[1] = '\0';
    va_end(args);
    (void)snprintf(pid, sizeof pid, " %d ", (int)getpid()); /* always fits */

    put_escaped(&line, level_name(level));
    put(&line, " ", 1);
    put_escaped(&line, role);
    put_escaped(&line, pid);
    put_escaped(&line, event);
    if (values[1])
        put_escaped(&line, values);
    finish(&line);

    if (sink)
        sink(level, line.text, line.len, sink_arg);
    else
        write_line(&line);
    errno = saved_errno;
}

void pf_log_set_level(enum pf_log_level level)
{
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

bool pf_log_enabled(enum pf_log_level level)
{
    return (int)level >= atomic_load_explicit(&level_min, memory_order_relaxed);
}

void pf_log_set_sink(pf_log_sink_fn *new_sink, void *arg)
{
    sink = new_sink;
    sink_arg = arg;
}

void pf_log_set_role(const char *name)
{
    (void)snprintf(role, sizeof role, "%s", name); /* cut, as promised */
}
