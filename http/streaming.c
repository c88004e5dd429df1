/*
 * streaming.c - responses that are sent piece by piece, and files; see internal.h.
 *
 * The head goes out before the first piece. From then on the only way to say that something
 * went wrong is to cut the connection.
 */
#include "http/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CHUNK_LINES = 24 /* "ffffffffffffffff\r\n" and "\r\n" */
};

/* ---- the head -------------------------------------------------------------------- */

static const struct pf__text no_type = {NULL, 0};

static int check_stream(const pf_http_request *request)
{
    int err = pf__http_check(request);
    if (err)
        return err;
    if (request->blocking)
        return -EPERM;
    return request->conn ? 0 : -EPIPE;
}

static int send_head(pf_http_request *request, struct pf__text content_type)
{
    char small[PF__HTTP_SMALL];
    size_t room = PF__HTTP_HEAD_MAX + request->fields_len;
    char *begin = room <= sizeof small ? small : malloc(room);
    if (!begin)
        return -ENOMEM;
    pf__http_decide_closing(request);
    request->closing = request->closing || pf__http_ends_by_closing(request);
    struct pf__http_answer answer = {.status = pf__http_status_of(request),
                                     .content_type = content_type};
    char *end = pf__http_put_head(begin, request, &answer);
    end = pf__http_put_text(pf__http_put_framing(end, request), "\r\n");
    int err = pf_conn_write(request->conn, begin, (size_t)(end - begin));
    if (!err) {
        request->head_sent = true;
        request->bytes_out += (uint64_t)(end - begin);
    }
    if (begin != small)
        free(begin);
    return err;
}

int pf_http_set_length(pf_http_request *request, uint64_t len)
{
    int err = pf__http_check_unbegun(request);
    if (err)
        return err;
    if (request->blocking)
        return -EPERM;
    if (len == UINT64_MAX)
        return -EINVAL;
    request->length = len;
    return 0;
}

int pf_http_flush(pf_http_request *request)
{
    int err = check_stream(request);
    if (err || request->head_sent)
        return err;
    pf__http_enter(request);
    err = send_head(request, no_type);
    (void)pf__http_leave(request);
    return err;
}

/* ---- pieces ---------------------------------------------------------------------- */

static const char last_chunk[] = "0\r\n\r\n";

/* A chunk in one piece: its size, the data, a line end. The last one always finds room. */
static int write_chunk(pf_http_request *request, const char *data, size_t len)
{
    if (len + CHUNK_LINES + sizeof last_chunk > pf_conn_room(request->conn))
        return -ENOBUFS;
    char small[PF__HTTP_SMALL + CHUNK_LINES];
    char *begin = len <= PF__HTTP_SMALL ? small : malloc(len + CHUNK_LINES);
    if (!begin)
        return -ENOMEM;
    int lines = snprintf(begin, CHUNK_LINES, "%zx\r\n", len);
    char *end = pf__http_put_text(pf__http_put(begin + lines, data, len), "\r\n");
    int err = pf_conn_write(request->conn, begin, (size_t)(end - begin));
    if (!err)
        request->bytes_out += (uint64_t)(end - begin);
    if (begin != small)
        free(begin);
    return err;
}

static int write_piece(pf_http_request *request, const char *data, size_t len)
{
    if (request->no_body || len == 0)
        return 0;
    if (request->chunked)
        return write_chunk(request, data, len);
    int err = pf_conn_write(request->conn, data, len);
    request->bytes_out += err ? 0 : len;
    return err;
}

int pf_http_write(pf_http_request *request, const void *data, size_t len)
{
    int err = check_stream(request);
    if (!err && !data && len)
        err = -EINVAL;
    if (!err &&
        (len > PF_HTTP_RESPONSE_BODY_MAX ||
         (request->length != UINT64_MAX && len > request->length - request->written)))
        err = -EMSGSIZE;
    if (err)
        return err;
    pf__http_enter(request);
    err = pf_http_flush(request);
    if (!err)
        err = write_piece(request, data, len);
    if (!err)
        request->written += len;
    (void)pf__http_leave(request);
    return err;
}

bool pf_http_blocked(pf_http_request *request)
{
    return check_stream(request) == 0 && pf_conn_blocked(request->conn);
}

int pf_http_on_writable(pf_http_request *request, pf_http_writable_fn *fn, void *arg)
{
    int err = check_stream(request);
    if (!err && fn && !pf_conn_blocked(request->conn))
        err = pf__http_tell_soon(request); /* nobody else will */
    if (err)
        return err;
    request->on_writable = fn;
    request->on_writable_arg = arg;
    return 0;
}

/* ---- the end --------------------------------------------------------------------- */

/* The end of a body that was begun. Returns 0 or what the connection answered. */
static int end_stream(pf_http_request *request)
{
    bool short_of = request->length != UINT64_MAX && request->written < request->length;
    if (short_of && !request->no_body) {
        request->must_cut = true;
        return 0;
    }
    return request->chunked
               ? pf_conn_write(request->conn, last_chunk, sizeof last_chunk - 1)
               : 0;
}

int pf_http_finish(pf_http_request *request)
{
    int err = check_stream(request);
    if (err && err != -EPIPE)
        return err;
    pf__http_enter(request);
    if (!err && !request->head_sent) {
        if (request->length == UINT64_MAX)
            request->length = 0;
        err = send_head(request, no_type);
    }
    if (!err)
        err = end_stream(request);
    if (err)
        request->must_cut = true;
    pf__http_finish(request, pf__http_status_of(request));
    (void)pf__http_leave(request);
    return err;
}

int pf_http_abort(pf_http_request *request)
{
    int err = check_stream(request);
    if (err && err != -EPIPE)
        return err;
    pf__http_enter(request);
    request->must_cut = true;
    pf__http_finish(request, pf__http_status_of(request));
    (void)pf__http_leave(request);
    return err;
}

/* ---- files ----------------------------------------------------------------------- */

static int send_file(pf_http_request *request, struct pf__text content_type, int fd,
                     uint64_t offset, uint64_t len)
{
    request->length = len;
    int err = send_head(request, content_type);
    if (err || request->no_body) {
        close(fd);
        return err;
    }
    request->written = len;
    request->bytes_out += len;
    return pf_conn_send_file(request->conn, fd, offset, len);
}

int pf__http_write_file(pf_http_request *request, int fd, uint64_t offset, uint64_t len)
{
    int err = check_stream(request);
    if (!err && (request->length == UINT64_MAX || len > request->length - request->written))
        err = -EMSGSIZE;
    if (err) {
        close(fd);
        return err;
    }
    pf__http_enter(request);
    err = pf_http_flush(request);
    if (err || request->no_body)
        close(fd);
    else
        err = pf_conn_send_file(request->conn, fd, offset, len);
    if (!err) {
        request->written += len;
        request->bytes_out += request->no_body ? 0 : len;
    }
    (void)pf__http_leave(request);
    return err;
}

int pf_http_respond_file(pf_http_request *request, const char *content_type, int fd,
                         uint64_t offset, uint64_t len)
{
    struct pf__text type;
    int err = pf__http_check_unbegun(request);
    if (!err && (len == UINT64_MAX || offset > INT64_MAX || len > INT64_MAX - offset ||
                 pf__http_take_type(request, content_type, &type) != 0))
        err = -EINVAL;
    if (err) {
        close(fd);
        return err;
    }
    if (request->blocking)
        return pf__http_defer_file(request, content_type, fd, offset, len);
    pf__http_enter(request);
    if (request->conn) {
        err = send_file(request, type, fd, offset, len);
    } else {
        close(fd);
        err = -EPIPE;
    }
    request->must_cut = request->must_cut || (err && request->head_sent);
    if (!err || request->head_sent || !request->conn)
        pf__http_finish(request, pf__http_status_of(request));
    (void)pf__http_leave(request);
    return err;
}
