/*
 * http.h - HTTP/1.1 for applications: routes, requests, responses.
 *
 *     static int hello(pf_http_request *request, void *arg)
 *     {
 *         return pf_http_respond(request, 200, "text/plain", "hello", 5);
 *     }
 *     static const struct pf_http_route routes[] = {
 *         {.method = "GET", .path = "/", .handler = hello}, {0}};
 *
 * All of it on the lane's own thread. A request answers -ECHILD in a forked child.
 */
#ifndef PREFORK_HTTP_H
#define PREFORK_HTTP_H

#include <prefork/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One request; valid until its handler returns. */
typedef struct pf_http_request pf_http_request;

/*
 * Answer a request, with pf_http_respond(). Called when the request is complete, in the
 * order of arrival on each connection; a body has been read and dropped. Returns 0, or a
 * negative errno: the client gets 500, unless it has an answer, and the error is logged
 * (all but -EPIPE). Returning without an answer counts as -ENODATA.
 */
typedef int pf_http_handler_fn(pf_http_request *request, void *arg);

/*
 * A route answers one method on one path, matched exactly, without the query. GET answers
 * HEAD too. A path that has routes but not for the method is 405 with Allow, and answers
 * OPTIONS with that; one that has none is 404. method is GET, HEAD, POST, PUT, DELETE,
 * PATCH or OPTIONS; path begins with a slash. A table ends with {0}; begin with designated
 * initialisers, fields are added at the end.
 */
struct pf_http_route {
    const char *method;
    const char *path;
    pf_http_handler_fn *handler;
    void *arg; /* borrowed */
};

/* Limits of an answer. */
#define PF_HTTP_RESPONSE_BODY_MAX (1024 * 1024)
#define PF_HTTP_CONTENT_TYPE_MAX  256

/*
 * The whole answer: status line, Server, Date, Content-Type, Content-Length, body. For HEAD
 * the body is left out, as it is with the statuses that may have none: 204, 205, 304.
 * `body` is copied; content_type may be NULL if len is 0.
 *
 * Returns 0, -EALREADY (answered before), -EINVAL (status not 200..599, or CR, LF or NUL
 * in content_type), -ENOBUFS (more than a connection may have waiting), -EPIPE (the client
 * is gone), -ENOMEM, or the guards of the lane's loop: -ECHILD, -EPERM, -ESTALE.
 */
PF_API int pf_http_respond(pf_http_request *request, int status, const char *content_type,
                           const void *body, size_t len);

/*
 * The request's parts: not NUL-terminated, *len bytes, valid until the handler returns. The
 * path is as the client sent it, not decoded, but every % in it begins a valid escape; the
 * query is what follows its question mark, of length 0 if there is none.
 */
PF_API const char *pf_http_get_method(pf_http_request *request, size_t *len);
PF_API const char *pf_http_get_path(pf_http_request *request, size_t *len);
PF_API const char *pf_http_get_query(pf_http_request *request, size_t *len);
/* NULL if there is no such field; names compare case-insensitively. */
PF_API const char *pf_http_get_field(pf_http_request *request, const char *name,
                                     size_t *len);

#ifdef __cplusplus
}
#endif
#endif
