/*
 * blocking.c - handlers that block: each runs on a thread of the server's executor, with
 * the request to itself, and its response is sent when it returns.
 */
#include "http/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what it answers, kept for the loop ------------------------------------------ */

void pf__http_deferred_drop(struct pf__http_deferred *deferred)
{
    if (!deferred)
        return;
    free(deferred->body);
    if (deferred->fd >= 0)
        close(deferred->fd);
    free(deferred);
}

static struct pf__http_deferred *new_deferred(pf_http_request *request, int status,
                                              const char *content_type)
{
    struct pf__http_deferred *deferred = calloc(1, sizeof *deferred);
    if (!deferred)
        return NULL;
    deferred->fd = -1;
    deferred->status = status;
    deferred->has_type = content_type != NULL;
    if (content_type)
        memcpy(deferred->content_type, content_type, strlen(content_type) + 1);
    request->deferred = deferred;
    return deferred;
}

int pf__http_defer(pf_http_request *request, int status, const char *content_type,
                   const void *body, size_t len)
{
    if (request->deferred)
        return -EALREADY;
    char *copy = len ? malloc(len) : NULL;
    if (len && !copy)
        return -ENOMEM;
    struct pf__http_deferred *deferred = new_deferred(request, status, content_type);
    if (!deferred) {
        free(copy);
        return -ENOMEM;
    }
    if (len)
        memcpy(copy, body, len);
    deferred->body = copy;
    deferred->len = len;
    return 0;
}

int pf__http_defer_file(pf_http_request *request, const char *content_type, int fd,
                        uint64_t offset, uint64_t len)
{
    struct pf__http_deferred *deferred =
        request->deferred
            ? NULL
            : new_deferred(request, request->status ? request->status : 200, content_type);
    if (!deferred) {
        close(fd);
        return request->deferred ? -EALREADY : -ENOMEM;
    }
    deferred->fd = fd;
    deferred->offset = offset;
    deferred->len = len;
    return 0;
}

static int respond(pf_http_request *request, struct pf__http_deferred *deferred)
{
    const char *type = deferred->has_type ? deferred->content_type : NULL;
    int fd = deferred->fd;
    if (fd >= 0) {
        deferred->fd = -1;
        return pf_http_respond_file(request, type, fd, deferred->offset, deferred->len);
    }
    if (deferred->is_page)
        return pf_http_respond_error(request, deferred->status);
    return pf_http_respond(request, deferred->status, type, deferred->body,
                           (size_t)deferred->len);
}

/* ---- there and back -------------------------------------------------------------- */

static int work(void *arg, void **value)
{
    (void)value;
    pf_http_request *request = arg;
    const struct pf_http_route *route = request->route;
    int result = route->handler(request, route->arg);
    return result < 0 ? result : 0;
}

/* Back on the loop. The handler's result is the future's. */
static int request_on_worked(pf_loop *loop, pf_future *future, void *arg)
{
    (void)loop;
    pf_http_request *request = arg;
    int result = 0;
    (void)pf_future_result(future, &result, NULL);
    struct pf__http_deferred *deferred = request->deferred;
    request->blocking = false;
    request->deferred = NULL;
    request->worked = NULL; /* and ours, until the end */
    pf__http_enter(request);
    if (result >= 0 && deferred)
        result = respond(request, deferred);
    pf__http_deferred_drop(deferred);
    pf__http_take_result(request, result, false);
    (void)pf__http_leave(request);
    pf_future_unref(future);
    return 0;
}

static int make_executor(pf_http_server *server)
{
    struct pf_executor_options options = {
        PF_EXECUTOR_OPTIONS, .threads = server->options.threads, .name = "pf-handler"};
    return server->executor ? 0 : pf_executor_new(&options, &server->executor);
}

int pf__http_run_blocking(pf_http_request *request)
{
    pf_http_server *server = request->server;
    if (!request->route->handler)
        return -EINVAL;
    int err = make_executor(server);
    if (!err)
        err = pf__http_request_keep(request);
    if (err)
        return err;
    request->blocking = true; /* before it can begin: then the request is the thread's */
    request->later = true;
    err = pf_loop_run_in_executor(server->loop, server->executor, work, request,
                                  &request->worked);
    if (err) {
        request->blocking = false;
        return err;
    }
    pf_future *worked = request->worked;
    err = pf_loop_add_future(server->loop, worked, request_on_worked, request);
    if (!err || pf_future_cancel(worked) == -EBUSY)
        return PF_HTTP_LATER; /* if it runs there is no way back, and it is cut at the
                                 server's end */
    request->blocking = false;
    request->worked = NULL;
    pf_future_unref(worked);
    return err;
}

/* Asked for, so that nobody reports that nobody did. */
static int on_forgotten(pf_loop *loop, pf_future *future, void *arg)
{
    (void)loop, (void)arg;
    int error;
    (void)pf_future_result(future, &error, NULL);
    return 0;
}

/* What the threads have told the loop in the meantime is not to find the requests gone. */
void pf__http_blocking_fini(pf_http_server *server)
{
    pf_executor_free(server->executor);
    server->executor = NULL;
    for (pf_http_request *request = server->living; request; request = request->next) {
        if (!request->worked)
            continue;
        (void)pf_loop_remove_future(server->loop, request->worked, request_on_worked,
                                    request);
        (void)pf_loop_add_future(server->loop, request->worked, on_forgotten, NULL);
        pf_future_unref(request->worked);
        request->worked = NULL;
        request->blocking = false;
    }
}
