/*
 * byteranges.c - several ranges of a file in one response.
 *
 * Each part is its lines and a piece of the file, which the connection sends by itself; the
 * next part waits until that is out.
 */
#include "http/files.h"

#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART_MAX (256 + PF_HTTP_CONTENT_TYPE_MAX + PF__CONTENT_RANGE_MAX)

struct parts {
    int fd;
    uint64_t size;
    const char *content_type;
    struct pf__ranges ranges;
    size_t next;                       /* the part that is sent next */
    char boundary[PF_HTTP_SECRET_MIN]; /* it must not be in a file */
};

static pf_http_writable_fn parts_on_writable;
static pf_http_gone_fn parts_on_gone;

static void free_parts(struct parts *parts)
{
    close(parts->fd);
    free(parts);
}

/* The lines in front of a part, or behind the last. Returns their length. */
static size_t write_lines(const struct parts *parts, size_t part, char *out)
{
    char range[PF__CONTENT_RANGE_MAX];
    if (part == parts->ranges.count)
        return (size_t)snprintf(out, PART_MAX, "\r\n--%s--\r\n", parts->boundary);
    (void)pf__range_format(&parts->ranges.at[part], parts->size, range);
    return (size_t)snprintf(
        out, PART_MAX, "%s--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n",
        part > 0 ? "\r\n" : "", parts->boundary, parts->content_type, range);
}

static uint64_t length_of(const struct parts *parts)
{
    char lines[PART_MAX];
    uint64_t len = 0;
    for (size_t i = 0; i <= parts->ranges.count; i++) {
        len += write_lines(parts, i, lines);
        len += i < parts->ranges.count ? parts->ranges.at[i].len : 0;
    }
    return len;
}

static int send_part(pf_http_request *request, struct parts *parts)
{
    char lines[PART_MAX];
    size_t part = parts->next++;
    int err = pf_http_write(request, lines, write_lines(parts, part, lines));
    if (err || part == parts->ranges.count)
        return err;
    int fd = fcntl(parts->fd, F_DUPFD_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    const struct pf__range *range = &parts->ranges.at[part];
    return pf__http_write_file(request, fd, range->first, range->len);
}

/* As far as the client takes it. Nobody is told meanwhile that the client has gone: an
 * error says so. Returns 0 (finished) or PF_HTTP_LATER. */
static int send_parts(pf_http_request *request, struct parts *parts)
{
    int err = 0;
    (void)pf_http_on_gone(request, NULL, NULL);
    while (!err && parts->next <= parts->ranges.count) {
        if (pf_http_blocked(request)) {
            (void)pf_http_on_gone(request, parts_on_gone, parts);
            (void)pf_http_on_writable(request, parts_on_writable, parts);
            return PF_HTTP_LATER;
        }
        err = send_part(request, parts);
    }
    free_parts(parts);
    (void)(err ? pf_http_abort(request) : pf_http_finish(request));
    return 0;
}

static void parts_on_writable(pf_http_request *request, void *arg)
{
    (void)send_parts(request, arg);
}

/* One that will send no more may still read. */
static void parts_on_gone(pf_http_request *request, int reason, void *arg)
{
    if (!reason)
        return;
    free_parts(arg);
    (void)pf_http_abort(request);
}

static int begin(pf_http_request *request, struct parts *parts)
{
    char type[sizeof "multipart/byteranges; boundary=" + PF_HTTP_SECRET_MIN];
    /* What fails behind PF_HTTP_LATER ends a request without a word to us. */
    int err = pf__http_request_keep(request);
    if (!err)
        err = pf_http_new_secret(parts->boundary, sizeof parts->boundary);
    if (err)
        return err;
    snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", parts->boundary);
    err = pf_http_set_field(request, "Content-Type", type);
    if (!err)
        err = pf_http_set_status(request, 206);
    return err ? err : pf_http_set_length(request, length_of(parts));
}

int pf__byteranges_respond(pf_http_request *request, int fd, uint64_t size,
                           const char *content_type, const struct pf__ranges *ranges)
{
    struct parts *parts = malloc(sizeof *parts);
    if (!parts) {
        close(fd);
        return -ENOMEM;
    }
    *parts = (struct parts){
        .fd = fd, .size = size, .content_type = content_type, .ranges = *ranges};
    int err = begin(request, parts);
    if (err) {
        free_parts(parts);
        return err;
    }
    return send_parts(request, parts);
}
