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
 * A REQUEST is made when its head has come and lives until its response is finished; the
 * pointer is good until then, whoever finishes it. A handler that cannot answer yet returns
 * PF_HTTP_LATER and finishes from a timer, a future or any other callback of the loop; from
 * another thread, by pf_loop_add_callback() on pf_http_get_loop(). If the client goes away
 * meanwhile the request stays: finishing it then answers -EPIPE and frees it all the same.
 * So it is if there is no memory to keep it: its client is answered 503, and nothing can be
 * asked of it any more.
 *
 * ORDER. Requests of one connection are answered one after the other, in the order in which
 * they came: the next is read on when the one before is finished.
 *
 * THREADS. All of it on the lane's own thread, except in a handler marked PF_HTTP_BLOCKING.
 * Every call answers -ECHILD in a forked child, -EPERM on a foreign thread.
 */
#ifndef PREFORK_HTTP_H
#define PREFORK_HTTP_H

#include <prefork/loop.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pf_http_request pf_http_request;

/* ---- routes ---------------------------------------------------------------------- */

/* What a handler returns when it will finish the response later. */
#define PF_HTTP_LATER 1

/*
 * Answer a request: called when it is complete, its body collected (but see
 * PF_HTTP_STREAM). Returns 0 with the response finished, PF_HTTP_LATER, or a negative
 * errno: if nothing has been answered the client gets the error page of 500, and the error
 * is logged (all but -EPIPE). 0 without a finished response counts as -ENODATA.
 */
typedef int pf_http_handler_fn(pf_http_request *request, void *arg);

/*
 * A target with Tornado's life cycle, for a group of methods on one path. For each request:
 * prepare, the function of its method, and, when the response is finished, on_finish. Any
 * may be NULL; a method without a function is 405.
 */
struct pf_http_resource {
    size_t size; /* sizeof(struct pf_http_resource) */
    /* Once for each lane, with the route's arg. Non-zero: the worker cannot boot. */
    int (*initialize)(void *arg);
    /* Before the method's function. It may finish the response: then that is not called.
     * Returns 0, or a negative errno as a handler does. */
    int (*prepare)(pf_http_request *request, void *arg);
    pf_http_handler_fn *get, *head, *post, *put, *patch, *del, *options;
    /* The response is finished, or the client has gone; the request is about to go. */
    void (*on_finish)(pf_http_request *request, void *arg);
    /* The client has gone before that: as pf_http_on_gone(). */
    void (*on_connection_close)(pf_http_request *request, int reason, void *arg);
    /* Answer with this status, 400 to 599, instead of the standard page. */
    void (*write_error)(pf_http_request *request, int status, void *arg);
};

enum pf_http_route_flags {
    /* Called when the head has come; the body is handed over as it comes: see
     * pf_http_on_body(). */
    PF_HTTP_STREAM = 1 << 0,
    /* The handler blocks: it runs on a thread of the executor, and may do no more with its
     * request than look at it and build the response, which is sent when it returns. Not
     * for a resource, nor with PF_HTTP_STREAM. */
    PF_HTTP_BLOCKING = 1 << 1,
    /* `path` is a regular expression (PCRE2), matched against the whole path; its groups
     * are the captures "1", "2" ... -ENOTSUP if built without. */
    PF_HTTP_REGEX = 1 << 2,
};

/*
 * A route answers one method on the paths that its pattern matches, without the query:
 *
 *     /about            that path
 *     /users/{id}       one segment, decoded, not empty: pf_http_get_capture("id")
 *     /files/{path...}  the rest, slashes included, which may be empty
 *
 * Literal segments win over captures, captures over a rest; the order of the table does not
 * matter, but for regular expressions, which are tried in order after all others, on the
 * path as it was sent. A literal is found however its letters, digits and -._~ are spelled:
 * /%61bout is /about, and middleware that compares pf_http_get_path() has to know it. GET
 * answers HEAD too. A path that has routes but not for the method is 405 with Allow, and
 * answers OPTIONS with that; one that has none is 404.
 *
 * method is GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, or NULL: all of them. A table
 * ends with {0}; begin with designated initialisers, fields are added at the end.
 */
struct pf_http_route {
    const char *method;
    const char *path;
    pf_http_handler_fn *handler;
    void *arg;                               /* borrowed */
    const struct pf_http_resource *resource; /* instead of handler; method is then NULL */
    const char *host; /* only requests for this host, "*.example.com" for those below it;
                         NULL: any */
    unsigned flags;   /* enum pf_http_route_flags */
    size_t body_max;  /* bytes of a body; 0: the server's limit. Beyond it: 413 */
};

/* Around every handler of an application, in the order of the table, which ends with {0}.
 */
struct pf_http_middleware {
    /* Before the route is called, or the 404. It may finish the response: then no more is
     * called. Returns 0, or a negative errno as a handler does. May be NULL. */
    int (*before)(pf_http_request *request, void *arg);
    /* The response is finished, in reverse order; for counting and logging. May be NULL. */
    void (*after)(pf_http_request *request, int status, void *arg);
    void *arg;
    /* The head of a request with a body has come: before that body is read, and before a
     * client that waits for `100 Continue` is told to send it. It may finish the response:
     * then no more is called, and the connection ends behind it. Returns 0, or a negative
     * errno as a handler does; not PF_HTTP_LATER. May be NULL. */
    int (*before_body)(pf_http_request *request, void *arg);
};

/* ---- what was asked -------------------------------------------------------------- */

/*
 * Parts of the request: not NUL-terminated, *len bytes, valid until the handler returns; a
 * request that lives longer has its own copy, so ask again. The path is as the client sent
 * it, not decoded, but every % in it begins a valid escape; the query is what follows its
 * question mark, of length 0 if there is none; the host is without its port. A request
 * whose first line was not readable, which the log and middleware may see, has a method of
 * length 0.
 */
PF_API const char *pf_http_get_method(pf_http_request *request, size_t *len);
PF_API const char *pf_http_get_path(pf_http_request *request, size_t *len);
PF_API const char *pf_http_get_query(pf_http_request *request, size_t *len);
PF_API const char *pf_http_get_host(pf_http_request *request, size_t *len);

/* NULL if there is no such field; names compare case-insensitively. Of several, the first.
 */
PF_API const char *pf_http_get_field(pf_http_request *request, const char *name,
                                     size_t *len);

/* The n-th field, from 0, in the order sent; false beyond the last. */
PF_API bool pf_http_get_field_at(pf_http_request *request, size_t n, const char **name,
                                 size_t *name_len, const char **value, size_t *value_len);

/* 0 or 1, of HTTP/1.x. */
PF_API unsigned pf_http_get_minor(pf_http_request *request);

/*
 * Decoded text into text[size], with a NUL. Returns its length, or -ENOENT (there is no
 * such one), -EINVAL (a bad escape, or a NUL in it), -ENOBUFS (it does not fit).
 *
 *     capture   of the route's pattern, by its name
 *     argument  of the query, the first of that name
 *     form      of an application/x-www-form-urlencoded body
 *     cookie
 */
PF_API int pf_http_get_capture(pf_http_request *request, const char *name, char *text,
                               size_t size);
PF_API int pf_http_get_argument(pf_http_request *request, const char *name, char *text,
                                size_t size);
PF_API int pf_http_get_form(pf_http_request *request, const char *name, char *text,
                            size_t size);
PF_API int pf_http_get_cookie(pf_http_request *request, const char *name, char *text,
                              size_t size);

/* The same of the n-th of that name, from 0: -ENOENT beyond the last. */
PF_API int pf_http_get_argument_at(pf_http_request *request, const char *name, size_t n,
                                   char *text, size_t size);
PF_API int pf_http_get_form_at(pf_http_request *request, const char *name, size_t n,
                               char *text, size_t size);

/* The collected body; *len 0 if there is none, or it is streamed. */
PF_API const void *pf_http_get_body(pf_http_request *request, size_t *len);

/* "192.0.2.1", "2001:db8::1" or "unix": who asks, as far as trusted: with xheaders or the
 * PROXY protocol what those say. Valid as long as the request. */
PF_API const char *pf_http_get_remote_address(pf_http_request *request);
PF_API unsigned pf_http_get_remote_port(pf_http_request *request); /* 0: not known */
PF_API const char *pf_http_get_scheme(pf_http_request *request);   /* "http", "https" */

/* The route's arg. */
PF_API void *pf_http_get_arg(pf_http_request *request);

/* The lane's loop, borrowed; from any thread. */
PF_API pf_loop *pf_http_get_loop(pf_http_request *request);

/* The n-th request of its connection, from 1. */
PF_API unsigned pf_http_get_number(pf_http_request *request);

/* A pointer of the application's, NULL at first. */
PF_API void pf_http_set_data(pf_http_request *request, void *data);
PF_API void *pf_http_get_data(pf_http_request *request);

/* ---- a body as it comes ---------------------------------------------------------- */

/*
 * Bytes of the body, borrowed for the call; len 0: it is complete, and now the response is
 * due. Returns what a handler does; before the end, and if the handler has said
 * PF_HTTP_LATER, 0 will do.
 */
typedef int pf_http_body_fn(pf_http_request *request, const void *data, size_t len,
                            void *arg);

/*
 * For a handler with PF_HTTP_STREAM, before it returns: call fn for each piece of the body,
 * and at its end, also of an empty one. Without it the body is dropped. Returns 0, -EINVAL
 * (the body was collected), or the guards' errors.
 *
 * If the client goes before that end, it is told by pf_http_on_gone(), or a resource's
 * on_connection_close. Where neither is there, and nobody has said PF_HTTP_LATER or paused
 * the body, the request is finished then and there: the log has a 400.
 */
PF_API int pf_http_on_body(pf_http_request *request, pf_http_body_fn *fn, void *arg);

/* Hand over nothing for a while, not even the end; the client's sending stops when the
 * buffers are full, and one that waits for a 100 is told to begin when the pause ends. */
PF_API int pf_http_pause_body(pf_http_request *request);
PF_API int pf_http_resume_body(pf_http_request *request);

/* ---- forms with files ------------------------------------------------------------- */

/* Limits of a form that does not say otherwise. */
#define PF_HTTP_FORM_PARTS_MAX 100
#define PF_HTTP_FORM_FIELD_MAX 65536

/* A part of a form; the texts are as sent, where browsers write %22, %0D and %0A for a
 * quote, CR and LF. */
struct pf_http_part {
    const char *name;
    const char *filename;     /* NULL: no file. Never to be opened as it is */
    const char *content_type; /* "": not said */
    uint64_t size;            /* bytes of its data so far */
    int fd;     /* -1. on_file may put an open file there, which its data is written to */
    void *data; /* the application's, NULL at first */
};

/*
 * What a form is handed over to as it comes. Each function but destroy returns what a
 * handler does; a function that finishes the response gets no more. All but on_complete may
 * be NULL: what it is for is passed over.
 */
struct pf_http_form {
    size_t size;
    /* A field: value[0..part->size), and a NUL behind that. */
    int (*on_field)(pf_http_request *request, const struct pf_http_part *part,
                    const char *value, void *arg);
    /* A file begins. NULL: files are passed over. */
    int (*on_file)(pf_http_request *request, struct pf_http_part *part, void *arg);
    /* Some bytes of it, if there is no part->fd. */
    int (*on_data)(pf_http_request *request, const struct pf_http_part *part,
                   const void *data, size_t len, void *arg);
    /* Its end, once for each that on_file has taken: 0, or why it is not whole: -ECANCELED
     * (the response is finished: the client has gone, the form was malformed ...), or what
     * write(2) answered. Closes part->fd; keeps the file or not. */
    int (*on_file_end)(pf_http_request *request, const struct pf_http_part *part, int err,
                       void *arg);
    /* All has come: the response is due. */
    pf_http_handler_fn *on_complete;
    /* Nothing more is called, with the request about to go: once, however it ended. */
    void (*destroy)(void *arg);
    unsigned parts_max; /* beyond: 413. 0: PF_HTTP_FORM_PARTS_MAX */
    size_t field_max;   /* bytes of one field; beyond: 413. 0: PF_HTTP_FORM_FIELD_MAX */
};
#define PF_HTTP_FORM .size = sizeof(struct pf_http_form)

/*
 * For a handler with PF_HTTP_STREAM, before it returns: read its body as
 * multipart/form-data (RFC 7578). Instead of pf_http_on_body(). The form is copied, arg
 * borrowed until destroy.
 *
 * A malformed form is answered 400. That an unwritable file is a 500, and a line in the
 * log, is as with any handler that fails. Files are written on the lane's thread, as they
 * come; a pause takes effect behind the bytes of one read. The route needs a body_max that
 * is large enough.
 *
 * Returns 0, -ENOTSUP (the request has another Content-Type: 415), -EBADMSG (it names no
 * boundary, or a bad one: 400), -EINVAL (the body is collected, on_complete is missing),
 * -EALREADY, -ENOMEM, or the guards; then destroy is not called.
 */
PF_API int pf_http_on_form(pf_http_request *request, const struct pf_http_form *form,
                           void *arg);

/* ---- the response ---------------------------------------------------------------- */

/* Limits. */
/* Of pf_http_respond(), and of one pf_http_write(). */
#define PF_HTTP_RESPONSE_BODY_MAX (1024 * 1024)
#define PF_HTTP_RESPONSE_HEAD_MAX 16384 /* of all fields set */
#define PF_HTTP_CONTENT_TYPE_MAX  256

/*
 * The whole response: status line, Server, Date, Content-Type, the fields set before,
 * Content-Length, body. For HEAD the body is left out, as it is with the statuses that may
 * have none: 204, 205, 304. `body` is copied; content_type may be NULL if len is 0, and
 * goes before a Content-Type that was set as a field. The response is finished.
 *
 * Returns 0, -EALREADY (answered before), -EINVAL (status not 200..599, or a control
 * character in content_type), -ENOBUFS (more than a connection may have waiting: nothing
 * was done), -EPIPE (the client is gone: the request is finished), -ENOMEM, or the guards.
 */
PF_API int pf_http_respond(pf_http_request *request, int status, const char *content_type,
                           const void *body, size_t len);

/* The same with JSON text, as application/json. */
PF_API int pf_http_respond_json(pf_http_request *request, int status, const char *json,
                                size_t len);

/* 301, 302, 303, 307 or 308 with a Location: an absolute URL, or a path of this server. A
 * location that begins with // or /\ is taken for a path: the slashes become one. One with
 * a blank or a control character in it is -EINVAL: browsers pass over some. */
PF_API int pf_http_redirect(pf_http_request *request, int status, const char *location);

/*
 * An error page: the resource's write_error, or the application's, or the standard text.
 * The 404 and 405 of a path or method without a route are such pages, too; what is refused
 * before that has the standard text. A 503 with that has a Retry-After of a second, unless
 * one of the others set it. Fields that were set before are sent, such as WWW-Authenticate,
 * but for those about the body that was to come: Content-* (not Content-Security-Policy),
 * Accept-Ranges, ETag, Last-Modified, Cache-Control, Expires. The page may set them anew.
 * The 500 of a handler that fails has none of the fields that the handler set.
 */
PF_API int pf_http_respond_error(pf_http_request *request, int status);

/*
 * Before the response begins: its status, if not 200, and its fields; set replaces those of
 * the name, add adds one. Returns 0, -EALREADY (it has begun), -EINVAL (no token, a control
 * character but a tab, or a field that the server itself is answerable for: Content-Length,
 * Transfer-Encoding, Connection, Date, Server), -ENOBUFS (over PF_HTTP_RESPONSE_HEAD_MAX),
 * -ENOMEM, or the guards; then nothing has changed.
 */
PF_API int pf_http_set_status(pf_http_request *request, int status);
PF_API int pf_http_set_field(pf_http_request *request, const char *name, const char *value);
PF_API int pf_http_add_field(pf_http_request *request, const char *name, const char *value);

enum pf_http_same_site {
    PF_HTTP_SAME_SITE_UNSET,
    PF_HTTP_SAME_SITE_LAX,
    PF_HTTP_SAME_SITE_STRICT,
    PF_HTTP_SAME_SITE_NONE,
};
struct pf_http_cookie {
    const char *name, *value;
    const char *path, *domain; /* NULL: not sent */
    int64_t max_age_s;         /* 0: until the browser ends; negative: to be forgotten */
    bool secure, http_only;
    enum pf_http_same_site same_site;
};
/* Add a Set-Cookie. Returns as pf_http_add_field() does. */
PF_API int pf_http_set_cookie(pf_http_request *request,
                              const struct pf_http_cookie *cookie);

/*
 * Stream a response. Before the first write its length may be announced; without that it is
 * chunked, or for HTTP/1.0 ends with the connection. The first write, or pf_http_flush(),
 * sends the head.
 *
 * write returns 0 (queued), -ENOBUFS (too much waits: nothing was taken, wait for
 * on_writable), -EMSGSIZE (more than was announced, or than PF_HTTP_RESPONSE_BODY_MAX at
 * once), -EPIPE (the client is gone), -EALREADY (finished), -ENOMEM, or the guards.
 * pf_http_blocked(): the client does not take what stands; fn is called once when all of it
 * is out, in the next turn of the loop if it is already, but not if the client goes before:
 * see pf_http_on_gone(). The Content-Type is a field, to be set before like the others.
 */
PF_API int pf_http_set_length(pf_http_request *request, uint64_t len);
PF_API int pf_http_flush(pf_http_request *request);
PF_API int pf_http_write(pf_http_request *request, const void *data, size_t len);
PF_API bool pf_http_blocked(pf_http_request *request);
typedef void pf_http_writable_fn(pf_http_request *request, void *arg);
PF_API int pf_http_on_writable(pf_http_request *request, pf_http_writable_fn *fn,
                               void *arg);

/*
 * The end of a streamed response; without one so far, an empty one. With less than was
 * announced the connection is cut, so that the client notices. The request is gone
 * afterwards. Returns 0, -EPIPE (the client was gone), -EALREADY, or the guards.
 */
PF_API int pf_http_finish(pf_http_request *request);

/* Cut the connection behind what has been written: no more is sent, and the client notices.
 * The request is gone. */
PF_API int pf_http_abort(pf_http_request *request);

/*
 * The whole response from an open regular file: `len` bytes from `offset` on, as the body
 * of the status set (200). fd is the server's from now on, whatever is returned, and so is
 * the duty to send it as the client takes it, without a copy (sendfile(2)). A file that
 * becomes shorter meanwhile cuts the connection. Fields are set before; the content type
 * too. Returns as pf_http_respond() does.
 */
PF_API int pf_http_respond_file(pf_http_request *request, const char *content_type, int fd,
                                uint64_t offset, uint64_t len);

/* ---- the files below a directory -------------------------------------------------- */

/*
 * A directory whose files are served:
 *
 *     static struct pf_http_route routes[] = {
 *         {.method = "GET", .path = "/static/{path...}",
 *          .handler = pf_http_files_handler}, {0}};
 *     ... pf_http_files_new("www", NULL, &files); routes[0].arg = files;
 *
 * Make it before the fork, in main or pre_fork: children inherit it. It never changes, so
 * all lanes use it at once. It holds one descriptor, the root's.
 */
typedef struct pf_http_files pf_http_files;

struct pf_http_files_options {
    size_t size;
    const char *index;         /* the file that is served for its directory; NULL:
                                  "index.html"; "": none is */
    const char *cache_control; /* Cache-Control of files; NULL: not sent */
    bool listing;              /* answer directories that have no index with their names */
};
#define PF_HTTP_FILES_OPTIONS .size = sizeof(struct pf_http_files_options)

/*
 * Open the directory `root`, and read /etc/mime.types. `options` may be NULL; its texts are
 * copied.
 *
 * Returns 0 and *out, or -EINVAL (index is hidden, or more than a name; cache_control is
 * no value of a field), -ENOMEM, or what open(2) answered: -ENOENT, -ENOTDIR, -EACCES,
 * -EMFILE ... Any thread. Blocks on files: for start-up.
 */
PF_API int pf_http_files_new(const char *root, const struct pf_http_files_options *options,
                             pf_http_files **out);

/* When no request is being served from it. In each process once: a child's is its own. NULL
 * is fine. */
PF_API void pf_http_files_free(pf_http_files *files);

/*
 * Answer a GET or HEAD with the file `name` below the root: "css/site.css", decoded, with
 * no slash in front; "" is the root itself. Links are followed as long as they stay below
 * the root; a name that leads out of it, or to what is no regular file, is not there.
 *
 *     200, 206     the file, or what Range asks of it: one range, or several as
 *                  multipart/byteranges
 *     301          a directory whose name does not end with a slash: the request's own
 *                  path, with one
 *     304, 412     by If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, in
 *                  the order of RFC 9110 section 13.2.2
 *     403          hidden (a segment begins with a dot, whether it is there or not), or
 *                  not to be read
 *     404          not there; a directory without an index, unless they are listed
 *     416          no byte of what Range asks is there
 *     503          out of descriptors or memory
 *
 * Every file has a Last-Modified and an ETag of its size, its time of modification and its
 * inode; the tag is weak while that time is less than a second ago, for the file may change
 * again within it. Of types that compress well, name.br or name.gz is sent instead if it is
 * there and the client prefers it: as the same type with Content-Encoding, its own tag,
 * and, whichever is sent, Vary. Whoever makes them keeps them up to date.
 *
 * Fields that were set before are sent, too. On the lane's thread or in a handler marked
 * PF_HTTP_BLOCKING, where several ranges are answered with the whole.
 *
 * Returns as a handler does: hand it on. 0, PF_HTTP_LATER, -EINVAL, -EALREADY, -EPIPE, the
 * guards, or an error of open(2) or read(2) that is none of the above: it becomes 500.
 * Cost: openat2(2), fstat(2), sendfile(2), close(2); openat2(2) for each coding tried.
 */
PF_API int pf_http_serve_file(pf_http_request *request, pf_http_files *files,
                              const char *name);

/* The same as a handler, with a pf_http_files for arg: the name is the route's last
 * capture, decoded once; an encoded slash, a backslash, a NUL, `..` or what is not UTF-8
 * is 404. */
PF_API int pf_http_files_handler(pf_http_request *request, void *arg);

/* ---- secrets --------------------------------------------------------------------- */

/* With room for 128 bits. */
#define PF_HTTP_SECRET_MIN 33

/*
 * Fill text[size] with random hexadecimal digits and a NUL: for the identifiers of sessions
 * and tokens against forged requests. size is odd, PF_HTTP_SECRET_MIN to 513.
 *
 * Returns 0, -EINVAL, or what getrandom(2) answered: -EAGAIN (the system has just started),
 * -ENOSYS. Any thread.
 */
PF_API int pf_http_new_secret(char *text, size_t size);

/* Are they the same? Takes as long wherever they differ, and so tells a client nothing of
 * how much of a guess was right; it does tell the length. Any thread. */
PF_API bool pf_http_same_secret(const void *a, size_t a_len, const void *b, size_t b_len);

/* ---- a client that goes ---------------------------------------------------------- */

/*
 * While a response is not finished: reason 0, the client has sent all it will (half-closed,
 * or gone: finishing may still reach it); else a negative errno, it is gone for sure: at
 * once, or, of one that had half-closed, within a second of its reset. At most once each.
 * The request is still to be finished, and may be in here. Never inside a call or a
 * handler: one that finds the client gone answers -EPIPE, and this is told in the next turn
 * of the loop, unless the request is finished by then. fn NULL: nobody is told any more.
 */
typedef void pf_http_gone_fn(pf_http_request *request, int reason, void *arg);
PF_API int pf_http_on_gone(pf_http_request *request, pf_http_gone_fn *fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
