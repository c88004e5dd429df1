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
#include "loop/calendar.h"
#include "loop/offer.h"

#include <errno.h>
#include <prefork/log.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROLE_MAX 32    /* with the NUL */
#define ELLIPSIS "..." /* ends a line that was cut */

static pf_log_sink_fn *sink;
static void *sink_arg;
static char role[ROLE_MAX] = "main";
static enum pf_log_format format = PF_LOG_PLAIN;
static bool coloured;
static long offset_s; /* of the local time from UTC */

/* A line in the making, of at most `max` bytes. `keep` is the longest length seen that
 * leaves room for ELLIPSIS. */
struct line {
    size_t len, keep, max;
    bool cut;
    char text[PF_LOG_LINE_MAX + 2]; /* and a newline and a NUL */
};

/* Append n bytes that belong together, or none of them. */
static void put(struct line *line, const char *bytes, size_t n)
{
    if (line->cut || n > line->max - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->len, bytes, n);
    line->len += n;
    if (line->len <= line->max - strlen(ELLIPSIS))
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

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_json(struct line *line, const char *text)
{
    for (const char *at = text; *at; at++) {
        unsigned char byte = (unsigned char)*at;
        char escape[sizeof "\\\\xNN"] = {'\\', *at};
        if (byte == '"' || byte == '\\') {
            put(line, escape, 2);
        } else if (byte >= 0x20 && byte < 0x7f) {
            put(line, at, 1);
        } else {
            (void)snprintf(escape, sizeof escape, "\\\\x%02x", byte); /* always fits */
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

/* ---- formats --------------------------------------------------------------------- */

/* What is to be said. */
struct event {
    enum pf_log_level level;
    const char *name; /* whose it is; "": nobody's in particular */
    const char *event, *values;
};

/* ` log=NAME key=value...` */
static void put_values(struct line *line, const struct event *event)
{
    if (*event->name) {
        put_text(line, " log=");
        put_escaped(line, event->name);
    }
    if (*event->values) {
        put(line, " ", 1);
        put_escaped(line, event->values);
    }
}

static void compose_plain(struct line *line, const struct event *event)
{
    char pid[sizeof " -2147483648 "];
    (void)snprintf(pid, sizeof pid, " %d ", (int)getpid()); /* always fits */
    put_escaped(line, level_name(event->level));
    put(line, " ", 1);
    put_escaped(line, role);
    put_escaped(line, pid);
    put_escaped(line, event->event);
    put_values(line, event);
}

/* As Tornado's LogFormatter has it, colours and all. */
static void compose_pretty(struct line *line, const struct event *event)
{
    static const char letters[] = "DIWE";
    static const char *const colours[] = {"\x1b[34m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
    bool in_colour = coloured && !sink;
    int severity = event->level < PF_LOG_ERROR ? (int)event->level : PF_LOG_ERROR;
    struct pf__date at = pf__date_of(time(NULL) + offset_s);
    char text[96];
    if (in_colour)
        put_text(line, colours[severity]);
    (void)snprintf(text, sizeof text, "[%c %02d%02d%02d %02d:%02d:%02d ", letters[severity],
                   at.year % 100, at.month, at.day, at.hour, at.minute, at.second);
    put_text(line, text);
    put_escaped(line, role);
    (void)snprintf(text, sizeof text, ":%d]%s ", (int)getpid(), in_colour ? "\x1b[0m" : "");
    put_text(line, text);
    put_escaped(line, event->event);
    put_values(line, event);
}

/* Only event, name and values can be long: a cut is in one of their strings, and closed. */
static void compose_json(struct line *line, const struct event *event)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct pf__date at = pf__date_of(now.tv_sec);
    char text[96];
    (void)snprintf(text, sizeof text, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"",
                   at.year, at.month, at.day, at.hour, at.minute, at.second,
                   (int)(now.tv_nsec / PF_MILLISECOND));
    put_text(line, text);
    put_text(line, ",\"level\":\"");
    put_text(line, level_name(event->level));
    put_text(line, "\",\"role\":\"");
    put_json(line, role);
    (void)snprintf(text, sizeof text, "\",\"pid\":%d,\"event\":\"", (int)getpid());
    put_text(line, text);
    put_json(line, event->event);
    if (*event->name) {
        put_text(line, "\",\"log\":\"");
        put_json(line, event->name);
    }
    if (*event->values) {
        put_text(line, "\",\"text\":\"");
        put_json(line, event->values);
    }
}

static void compose(struct line *line, const struct event *event)
{
    static const char end[] = "\"}";
    bool json = format == PF_LOG_JSON;
    *line = (struct line){.max = PF_LOG_LINE_MAX - (json ? sizeof end - 1 : 0)};
    if (json)
        compose_json(line, event);
    else if (format == PF_LOG_PRETTY)
        compose_pretty(line, event);
    else
        compose_plain(line, event);
    finish(line);
    if (json) {
        line->max = PF_LOG_LINE_MAX;
        put_text(line, end);
        line->text[line->len] = '\0';
    }
}

/* ---- writing --------------------------------------------------------------------- */

/* Lines that nobody took, since the last one that somebody did. */
static atomic_uint lost;

/* A log that is not read must not hold up whoever writes it; one that cannot be written has
 * nowhere to say so. Returns false if nobody took it. */
static bool offer(struct line *line)
{
    line->text[line->len] = '\n';
    return pf__offer(STDERR_FILENO, line->text, line->len + 1);
}

static void write_line(struct line *line)
{
    unsigned before = atomic_exchange(&lost, 0);
    if (before) {
        struct line note;
        char count[sizeof "count=4294967295"];
        (void)snprintf(count, sizeof count, "count=%u", before); /* always fits */
        compose(&note, &(struct event){PF_LOG_WARN, "", "log-lines-lost", count});
        if (!offer(&note))
            atomic_fetch_add(&lost, before);
    }
    if (!offer(line))
        atomic_fetch_add(&lost, 1);
}

static void log_it(struct event *event, const char *format_of_values, va_list args)
    PF_PRINTF(2, 0);
static void log_it(struct event *event, const char *format_of_values, va_list args)
{
    int saved_errno = errno;
    struct line line;
    char text[PF_LOG_LINE_MAX + 2]; /* one byte over the line shows that it is cut */
    if (vsnprintf(text, sizeof text, format_of_values, args) < 0)
        text[0] = '\0';
    event->values = text;
    compose(&line, event);
    if (sink)
        sink(event->level, line.text, line.len, sink_arg);
    else
        write_line(&line);
    errno = saved_errno;
}

void pf_log(enum pf_log_level level, const char *event, const char *values, ...)
{
    if (!pf_log_enabled(level))
        return;
    va_list args;
    va_start(args, values);
    log_it(&(struct event){.level = level, .name = "", .event = event}, values, args);
    va_end(args);
}

void pf_log_named(const char *name, enum pf_log_level level, const char *event,
                  const char *values, ...)
{
    if (!pf_log_named_enabled(name, level))
        return;
    va_list args;
    va_start(args, values);
    log_it(&(struct event){.level = level, .name = name ? name : "", .event = event},
           values, args);
    va_end(args);
}

void pf_log_set_format(enum pf_log_format wanted)
{
    const char *no_colour = getenv("NO_COLOR");
    time_t now = time(NULL);
    struct tm local;
    bool is_terminal = isatty(STDERR_FILENO) == 1;
    if (wanted == PF_LOG_AUTO)
        wanted = is_terminal ? PF_LOG_PRETTY : PF_LOG_PLAIN;
    format = wanted;
    coloured = is_terminal && !(no_colour && *no_colour);
    offset_s = localtime_r(&now, &local) ? local.tm_gmtoff : 0;
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
