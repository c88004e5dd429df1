/* access_log.c - see access_log.h. */
#include "server/access_log.h"

#include "http/escape.h"
#include "http/server.h"
#include "loop/calendar.h"

#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* What a field may take of a line, escaped. Together with the rest they stay below
 * PF__ACCESS_LINE_MAX. */
enum {
    TARGET_MAX = 2048,
    HOST_MAX = 256,
    REFERER_MAX = 640,
    AGENT_MAX = 512
};

/* ---- the file -------------------------------------------------------------------- */

/* A pipe without a reader is refused, not waited for. */
static int open_path(const char *path)
{
    int fd =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    return fd == -1 ? -errno : fd;
}

/* O_NONBLOCK would be everybody's who has the description; of a pipe or terminal another is
 * to be had. Of a file it would not be wanted, for the others' place in it, and of a socket
 * there is none. *waits: what comes of it may block. */
static int open_standard(int fd, bool *waits)
{
    char self[sizeof "/proc/self/fd/" + 11];
    struct stat st;
    int copy = -1;
    *waits = fstat(fd, &st) == 0 && !S_ISREG(st.st_mode);
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (*waits)
        copy = open_path(self);
    if (copy >= 0)
        *waits = false;
    else
        copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return copy == -1 ? -errno : copy;
}

int pf__access_log_open(struct pf__access_log *log, const char *path,
                        enum pf__access_format format)
{
    bool is_output = strcmp(path, "-") == 0, is_error = strcmp(path, "stderr") == 0;
    bool is_standard = is_output || is_error;
    bool waits = false;
    int fd = is_standard ? open_standard(is_output ? STDOUT_FILENO : STDERR_FILENO, &waits)
                         : open_path(path);
    if (fd < 0)
        return fd;
    log->fd = fd;
    log->path = is_standard ? NULL : path;
    log->format = format;
    log->waits = waits;
    return 0;
}

void pf__access_log_close(struct pf__access_log *log)
{
    if (log->fd != -1)
        close(log->fd);
    log->fd = -1;
}

void pf__access_log_reopen(struct pf__access_log *log)
{
    if (log->fd == -1 || !log->path)
        return;
    int fd = open_path(log->path);
    int err = fd < 0 ? fd : 0;
    if (!err && dup3(fd, log->fd, O_CLOEXEC) == -1)
        err = -errno;
    if (fd >= 0)
        close(fd);
    if (err)
        pf_log(PF_LOG_WARN, "access-log-not-reopened", "path=%s error=%s kept=the-old-one",
               log->path, strerror(-err));
}

/* ---- a line ---------------------------------------------------------------------- */

struct line {
    char *text;
    size_t len;
};

/* Shares are counted so that it always fits; if not, it is cut. */
static void put(struct line *line, const char *format, ...) PF_PRINTF(2, 3);
static void put(struct line *line, const char *format, ...)
{
    size_t room = PF__ACCESS_LINE_MAX - line->len;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->text + line->len, room, format, args);
    va_end(args);
    if (n > 0)
        line->len += (size_t)n < room ? (size_t)n : room - 1;
}

typedef int escape_fn(struct pf__text text, char *out, size_t size);

/* As much of it as fits into `share` bytes. */
static void put_escaped(struct line *line, struct pf__text text, size_t share,
                        escape_fn *escape)
{
    size_t room = PF__ACCESS_LINE_MAX - line->len;
    if (room > share)
        room = share;
    int n = escape(text, line->text + line->len, room);
    for (; n < 0 && text.len > 0; n = escape(text, line->text + line->len, room))
        text.len -= text.len / 4 + 1;
    if (n > 0)
        line->len += (size_t)n;
}

static struct pf__text field_of(pf_http_request *request, const char *name)
{
    size_t len = 0;
    const char *value = pf_http_get_field(request, name, &len);
    return (struct pf__text){value, value ? len : 0};
}

/* Path and query, as they came. */
static void put_target(struct line *line, pf_http_request *request, escape_fn *escape)
{
    struct pf__text path, query;
    path.at = pf_http_get_path(request, &path.len);
    query.at = pf_http_get_query(request, &query.len);
    put_escaped(line, path, TARGET_MAX / 2, escape);
    if (query.len == 0)
        return;
    put(line, "?");
    put_escaped(line, query, TARGET_MAX / 2, escape);
}

static const char *method_of(pf_http_request *request, size_t *len)
{
    const char *method = pf_http_get_method(request, len);
    return *len > 0 ? method : (*len = 1, "-");
}

/* ---- combined -------------------------------------------------------------------- */

static void put_or_dash(struct line *line, struct pf__text text, size_t share)
{
    if (text.len == 0)
        put(line, "-");
    else
        put_escaped(line, text, share, pf__escape_log);
}

static void put_request_line(struct line *line, pf_http_request *request)
{
    size_t len;
    const char *method = method_of(request, &len);
    put(line, "%.*s ", (int)len, method);
    put_target(line, request, pf__escape_log);
    put(line, " HTTP/1.%u", pf_http_get_minor(request));
}

/* 10/Oct/2000:13:55:36 +0000; months have no language here. */
static void put_clf_time(struct line *line, int64_t now_s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct pf__date at = pf__date_of(now_s);
    put(line, "[%02d/%.3s/%d:%02d:%02d:%02d +0000]", at.day, months + 3 * (at.month - 1),
        at.year, at.hour, at.minute, at.second);
}

static void put_combined(struct line *line, pf_http_request *request,
                         const struct pf__access *access)
{
    bool has_head = pf__http_request_has_head(request);
    put(line, "%s - - ", pf_http_get_remote_address(request));
    put_clf_time(line, access->now_s);
    put(line, " \"");
    if (has_head)
        put_request_line(line, request);
    else
        put(line, "-");
    put(line, "\" %d %" PRIu64 " \"", access->status, access->bytes);
    put_or_dash(line, has_head ? field_of(request, "Referer") : (struct pf__text){0},
                REFERER_MAX);
    put(line, "\" \"");
    put_or_dash(line, has_head ? field_of(request, "User-Agent") : (struct pf__text){0},
                AGENT_MAX);
    put(line, "\"");
}

/* ---- JSON ------------------------------------------------------------------------ */

static void put_member(struct line *line, const char *key, struct pf__text text,
                       size_t share)
{
    put(line, ",\"%s\":", key);
    if (!text.at) {
        put(line, "null");
        return;
    }
    put(line, "\"");
    put_escaped(line, text, share, pf__escape_json);
    put(line, "\"");
}

static void put_request(struct line *line, pf_http_request *request)
{
    size_t len;
    const char *method = method_of(request, &len);
    put(line, ",\"method\":\"%.*s\",\"target\":\"", (int)len, method);
    put_target(line, request, pf__escape_json);
    put(line, "\",\"protocol\":\"HTTP/1.%u\"", pf_http_get_minor(request));
    put_member(line, "host", field_of(request, "Host"), HOST_MAX);
    put_member(line, "referer", field_of(request, "Referer"), REFERER_MAX);
    put_member(line, "user_agent", field_of(request, "User-Agent"), AGENT_MAX);
}

static void put_json(struct line *line, pf_http_request *request,
                     const struct pf__access *access)
{
    struct pf__date at = pf__date_of(access->now_s);
    put(line, "{\"time\":\"%d-%02d-%02dT%02d:%02d:%02dZ\",\"remote\":\"%s\"", at.year,
        at.month, at.day, at.hour, at.minute, at.second,
        pf_http_get_remote_address(request));
    put(line,
        ",\"status\":%d,\"bytes\":%" PRIu64 ",\"duration_us\":%" PRId64 ",\"worker\":%u",
        access->status, access->bytes, access->duration_ns / PF_MICROSECOND,
        access->worker);
    if (pf__http_request_has_head(request))
        put_request(line, request);
    put(line, "}");
}

size_t pf__access_log_format(enum pf__access_format format, pf_http_request *request,
                             const struct pf__access *access, char *text)
{
    struct line line = {.text = text};
    if (format == PF__ACCESS_JSON)
        put_json(&line, request, access);
    else
        put_combined(&line, request, access);
    if (line.len > PF__ACCESS_LINE_MAX - 2)
        line.len = PF__ACCESS_LINE_MAX - 2;
    memcpy(text + line.len, "\n", 2);
    return line.len + 1;
}

/* ---- writing --------------------------------------------------------------------- */

/* poll(2) promises room for PIPE_BUF bytes in a pipe. */
static bool has_room(const struct pf__access_log *log)
{
    struct pollfd out = {.fd = log->fd, .events = POLLOUT};
    return !log->waits || poll(&out, 1, 0) != 0;
}

/* Behind half a line the next one begins on a line of its own. */
static int write_line(struct pf__access_log *log, const char *text, size_t len)
{
    if (!has_room(log))
        return EAGAIN;
    bool torn = atomic_exchange_explicit(&log->torn, false, memory_order_relaxed);
    const struct iovec parts[] = {{.iov_base = (void *)(uintptr_t) "\n", .iov_len = torn},
                                  {.iov_base = (void *)(uintptr_t)text, .iov_len = len}};
    ssize_t n;
    do
        n = writev(log->fd, parts, 2);
    while (n == -1 && errno == EINTR);
    if (n == (ssize_t)(torn + len))
        return 0;
    int err = n == -1 ? errno : ENOSPC;
    atomic_store_explicit(&log->torn, n == -1 ? torn : n > torn, memory_order_relaxed);
    return err;
}

/* Said once at the first, and when one is taken again. */
static void lose(struct pf__access_log *log, int error)
{
    if (atomic_fetch_add(&log->lost, 1) == 0)
        pf_log(PF_LOG_WARN, "access-log-not-written", "error=%s lines=dropped",
               strerror(error));
}

static enum pf_log_level level_of(int status)
{
    return status < 400 ? PF_LOG_INFO : status < 500 ? PF_LOG_WARN : PF_LOG_ERROR;
}

void pf__access_log_write(struct pf__access_log *log, pf_http_request *request,
                          const struct pf__access *access)
{
    char text[PF__ACCESS_LINE_MAX];
    if (log->fd == -1 || !pf_log_named_enabled(PF__ACCESS_NAME, level_of(access->status)))
        return;
    size_t len = pf__access_log_format(log->format, request, access, text);
    int error = write_line(log, text, len);
    if (error) {
        lose(log, error);
        return;
    }
    unsigned long lost = atomic_load_explicit(&log->lost, memory_order_relaxed);
    if (lost > 0 && (lost = atomic_exchange(&log->lost, 0)) > 0)
        pf_log(PF_LOG_WARN, "access-log-lines-lost", "count=%lu", lost);
}
