/*
 * internal.h - the inside of the HTTP server: one struct for it, one for a request.
 *
 *     server.c      life of a server, which gets its connections here
 *     messages.c    what comes on a connection, taken as messages
 *     pool.c        requests: taken, and given back
 *     dispatch.c    a request is there: which route, who is called, what came of it
 *     body.c        the bytes behind a head: collected, streamed or dropped
 *     form.c        a streamed body that is a form with files
 *     response.c    a response at once, and what follows every response
 *     head.c        what stands in front of a body; status.c: status lines
 *     fields.c      what the application adds to that
 *     streaming.c   a response piece by piece, and files
 *     error_page.c  what is shown of an error
 *     ending.c      what becomes of request and connection when one of them ends
 *     blocking.c    handlers on threads of the executor
 *     request.c     what a handler may ask
 *     secret.c      what must not be guessed
 *     files.c       a handler: the files below a directory; file_answer.c: an open one
 *     route.c, pattern.c, regex.c, parser.c ...   without a connection in sight
 *
 * LIFE OF A REQUEST. Taken from the server's free ones when the first byte of a head has
 * come; read; dispatched when complete (a streamed one: when its head is); finished; given
 * back. Who gives it back: pf__http_request_end(), called when it is both finished and no
 * handler of its is running.
 */
#ifndef PREFORK_HTTP_INTERNAL_H
#define PREFORK_HTTP_INTERNAL_H

#include "http/date.h"
#include "http/parser.h"
#include "http/route.h"
#include "http/server.h"
#include "loop/guard.h"
#include "net/conn.h"

#include <prefork/executor.h>

/* More than the longest head takes, without the fields that the application sets: its own
 * lines, and the longest Content-Type. */
#define PF__HTTP_HEAD_MAX (512 + PF_HTTP_CONTENT_TYPE_MAX)

/* What is put together on the stack. */
enum {
    PF__HTTP_SMALL = 8192,
};

/* Deadline classes of connections. */
enum pf__http_deadline {
    PF__HTTP_IDLE, /* between requests */
    PF__HTTP_HEAD, /* from a head's first byte to its last */
    PF__HTTP_BODY, /* from any byte of a body to the next */
    PF__HTTP_LAME, /* idle in a drain */
};

/* Behind each connection. An idle one is to cost little. */
struct pf__http_client {
    struct pf_http_request *request; /* being read, or to be answered; NULL: idle */
    int64_t born_ns;
    uint32_t requests;
    uint16_t port;
    uint8_t family;    /* AF_INET, AF_INET6, AF_UNIX */
    bool half_closed;  /* no more will come than stands */
    bool awaits_proxy; /* a PROXY header, in front of all else */
    uint8_t address[16];
};

/* A response of a blocking handler, until the loop has it. */
struct pf__http_deferred {
    bool is_page; /* an error's, to be asked for */
    int status;
    char content_type[PF_HTTP_CONTENT_TYPE_MAX + 1];
    bool has_type;
    char *body; /* ours; or */
    int fd;     /* a file's, ours; -1 */
    uint64_t offset, len;
};

enum pf__http_stage {
    PF__HTTP_READING,
    PF__HTTP_DISPATCHED, /* the application has it, or has had it */
    PF__HTTP_FINISHED,   /* answered, or given up */
};

struct pf_http_request {
    pf_http_server *server;
    pf_conn *conn;                  /* NULL: the client is gone */
    struct pf__http_client *client; /* behind conn, as long as that is there */
    pf_http_request *next, *prev;   /* of the server's living, or its free ones (next) */

    /* what has come */
    const char *head; /* the parser's spans are offsets into it */
    char *head_copy;  /* ours, once the connection's bytes of it are used up; else NULL */
    bool head_done;
    size_t used;       /* of the bytes at hand: what the parser has passed */
    uint64_t body_len; /* so far */
    const char *body;  /* collected; what is in body_copy, or what stands at hand */
    char *body_copy;
    size_t body_room, body_held; /* bytes it has room for, and those that are in it */
    int64_t body_began_ns, began_ns;

    /* what it is for */
    const struct pf__http_path *path; /* NULL: nothing is there */
    const struct pf_http_route *route;
    uint8_t stage;   /* enum pf__http_stage */
    uint8_t running; /* handlers of it that run */
    bool later;      /* a handler has said so */
    bool body_paused, body_ended;
    bool continue_due; /* its client waits for a 100, which waits for the end of a pause */
    bool blocking;     /* on a thread of the executor: the loop leaves it alone */
    size_t middleware; /* how many have seen it */

    /* what it is answered with */
    int status; /* 0: 200 */
    char *fields;
    size_t fields_len, fields_room;
    uint64_t length; /* announced; UINT64_MAX: not */
    uint64_t written;
    bool head_sent, chunked, no_body;
    bool closing;  /* the connection ends behind the response */
    bool must_cut; /* not with a good end */
    size_t rest;   /* bytes that stood behind it when it was dispatched */
    uint64_t bytes_out;
    struct pf__http_deferred *deferred; /* NULL: none */
    pf_future *worked;                  /* of a handler on a thread; NULL: there is none */
    bool asked_for_page;
    unsigned number; /* of its connection's, from 1 */

    /* the application's */
    void *data;
    pf_http_body_fn *on_body;
    void *on_body_arg;
    struct pf__http_form *form; /* NULL: the body is none, or nobody has asked */
    pf_http_writable_fn *on_writable;
    void *on_writable_arg;
    pf_http_gone_fn *on_gone;
    void *on_gone_arg;
    int gone_due; /* why it lost its client, inside a call: told in the next turn */
    bool is_soon; /* by `soon`, which is armed; or else, that it can be written to */
    pf_timer soon;
    uint16_t remote_port;
    const char *scheme;

    char remote[46]; /* INET6_ADDRSTRLEN; "": not asked for so far */

    /* Cleared for each request are all that is above, and the parser up to its fields. */
    struct pf_http_parser parser;
    struct pf__captures captures; /* of these, the count */
};

/* A content type that was found to be good. */
struct pf__http_type {
    size_t len;
    char text[PF_HTTP_CONTENT_TYPE_MAX + 1];
};

struct pf_http_server {
    pf_loop *loop;
    uint64_t cookie; /* of the process that made it: loop/guard.h */
    int64_t now_ns;  /* the loop's, when its last bytes or deadline came */
    pf_conns *conns;
    pf_conns *refused; /* refuse.c's; NULL: none so far */
    struct pf__http_routes *routes;
    struct pf_http_server_options options; /* with the defaults filled in */
    size_t middleware_count;
    bool asks_for_bodies; /* some middleware has a before_body */
    bool draining;
    struct pf__http_date date;
    struct pf__http_type type; /* of the last answer */
    pf_http_request *living, *free;
    size_t free_count;
    size_t bodies;         /* body_held of all that live */
    pf_executor *executor; /* blocking.c's; NULL: none so far */
};

/* A handler may fork, and return in the child too. There the connections are the parent's.
 */
static inline bool pf__http_is_inherited(const pf_http_server *server)
{
    return !pf__process_is(server->cookie);
}

static inline struct pf__http_client *pf__http_client_of(pf_conn *conn)
{
    return pf_conn_state(conn);
}

/* ---- server.c -------------------------------------------------------------------- */

/* As little of it as is asked for later. */
void pf__http_note_peer(struct pf__http_client *client, const struct sockaddr *peer);

/* ---- messages.c ------------------------------------------------------------------ */

extern const struct pf_conn_protocol pf__http_protocol;

/* Tell a client that waits for it to send the body. Returns as pf_conn_write() does. */
int pf__http_go_on(pf_http_request *request);

/* ---- pool.c ---------------------------------------------------------------------- */

/* For a message that begins; NULL: no memory. */
pf_http_request *pf__http_request_new(pf_http_server *server, pf_conn *conn);

/* Back to the free ones; and all of a server, at its end. */
void pf__http_request_free(pf_http_request *request);
void pf__http_requests_fini(pf_http_server *server);

/* Its own copy of head and body: it outlives the bytes at hand. Returns 0 or -ENOMEM. */
int pf__http_request_keep(pf_http_request *request);

/* ---- ending.c -------------------------------------------------------------------- */

/* A finished request, of which nothing runs any more: what becomes of its connection, and
 * back to the free ones. */
void pf__http_request_end(pf_http_request *request);

/* In a drain not for long: its next request may be on its way. */
void pf__http_wait_for_next(pf_conn *conn);

/* The application keeps it, without its connection. If that broke inside a call, the
 * application is told behind it, in the next turn; without memory it has only what that
 * call answers. */
void pf__http_detach(pf_http_request *request, int reason);

/* In the next turn: that the client has gone, if it has, else that it can be written to.
 * Returns as pf_loop_call_later() does. */
int pf__http_tell_soon(pf_http_request *request);

/* Answer with an error and close, without losing the answer to a reset. What has been read
 * so far is nothing; a request that the application has loses its connection. */
void pf__http_refuse_message(pf_conn *conn, int status);

/* There is no memory to keep it. The application has it nevertheless, and will finish it:
 * it stays, without its connection, and with nothing to be asked of it. The client is
 * answered 503. */
void pf__http_request_lose(pf_http_request *request);

/* ---- request.c ------------------------------------------------------------------- */

/* Fill in request->remote and scheme, while its connection is there. */
void pf__http_note_remote(pf_http_request *request);

/* What is known of its peer, as an address; without one it is a unix socket's. */
struct pf_address pf__http_client_address(const struct pf__http_client *client);

/* ---- dispatch.c ------------------------------------------------------------------ */

/* The head is there: find the route, which says what to do with a body. */
void pf__http_route_request(pf_http_request *request);

/* May the body come? Returns 0 or -status. */
int pf__http_admit_body(const pf_http_request *request);

/* A body is to come: ask the middleware whether it may. Afterwards the request is as it
 * was, or finished. */
void pf__http_ask_for_body(pf_http_request *request);

/* Call whoever answers it. Afterwards it is finished and ended, or it is the application's
 * and the connection held. */
void pf__http_dispatch(pf_http_request *request);

/* Something of the application is called on behalf of the request: between the two it is
 * not ended. leave() returns whether it is still there; last_leaves() is its rare half. */
static inline void pf__http_enter(pf_http_request *request)
{
    request->running++;
}

bool pf__http_last_leaves(pf_http_request *request);
static inline bool pf__http_leave(pf_http_request *request)
{
    return --request->running > 0 || pf__http_last_leaves(request);
}

/* A handler has answered so: see pf_http_handler_fn. */
void pf__http_take_result(pf_http_request *request, int result, bool may_be_later);

/* Without the port; and is the n-th capture of a path called so? */
struct pf__text pf__http_host(const pf_http_request *request);

/* The client has gone, or has sent all it will (0). */
void pf__http_tell_gone(pf_http_request *request, int reason);

/* All that was written is out, if it is. */
void pf__http_tell_writable(pf_http_request *request);

/* ---- body.c ---------------------------------------------------------------------- */

/* The route's limit, or the server's. */
size_t pf__http_body_max(const pf_http_request *request);

/* Room for a body of `len` bytes in body_copy, if those of all requests leave it. */
bool pf__http_body_hold(pf_http_request *request, size_t len);

/* A piece of the body stands at data[0..len). Returns 0 or -status. */
int pf__http_body_piece(pf_http_request *request, const char *data, size_t len);

/* It is complete. */
void pf__http_body_end(pf_http_request *request);

/* ---- form.c ---------------------------------------------------------------------- */

/* The response to one that has a form is finished: a file that comes is not whole. */
void pf__http_form_end(pf_http_request *request);

void pf__http_form_free(struct pf__http_form *form);

/* ---- response.c ------------------------------------------------------------------ */

struct pf__http_answer {
    int status;
    struct pf__text content_type; /* NULL: no such field */
    const char *field;            /* one more, with its CRLF; or NULL */
    const void *body;
    size_t len;
};

/* Queue an answer, and finish. Returns as pf_http_respond() does. */
int pf__http_answer(pf_http_request *request, const struct pf__http_answer *answer);

/* Finished: nothing may be done with it any more, and when whoever calls this leaves, it
 * goes, unless a handler of its runs. The application may have done so itself, when told
 * that the client has gone. */
void pf__http_finish(pf_http_request *request, int status);

/* The guards, and whether it may be answered still: 0, -EALREADY, -EINVAL, ...; and with
 * another head than what has been sent. */
int pf__http_check(const pf_http_request *request);
int pf__http_check_unbegun(const pf_http_request *request);

/* A content type; NULL is none. Returns 0 or -EINVAL. */
int pf__http_take_type(const pf_http_request *request, const char *type,
                       struct pf__text *out);

/* ---- status.c -------------------------------------------------------------------- */

struct pf__http_status_line {
    int status;
    size_t len;
    char text[56];
};

/* Where the phrase begins, which takes the line's end with it. */
#define PF__HTTP_PHRASE_AT (sizeof "HTTP/1.1 200 " - 1)

/* Not of 200, which head.c has; NULL: unknown. */
const struct pf__http_status_line *pf__http_find_status_line(int status);

/* 204 and 304 end behind their head: RFC 9110 sections 8.6 and 6.4.1. */
static inline bool pf__http_has_length(int status)
{
    return status != 204 && status != 304;
}

static inline bool pf__http_has_body(int status)
{
    return pf__http_has_length(status) && status != 205;
}

/* ---- head.c ---------------------------------------------------------------------- */

static inline char *pf__http_put(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

#define pf__http_put_text(to, literal) pf__http_put((to), (literal), sizeof(literal) - 1)

static inline bool pf__http_is_head_only(const pf_http_request *request)
{
    return request->head_done && request->parser.method == PF_HTTP_HEAD;
}

static inline int pf__http_status_of(const pf_http_request *request)
{
    return request->status ? request->status : 200;
}

/* The last moment to decide whether the connection goes on: a drain may have begun, the
 * client have said that this was all, and a body may be left unread. */
void pf__http_decide_closing(pf_http_request *request);

/* All but the framing and the empty line. Like the others: returns where it ends. */
char *pf__http_put_head(char *to, const pf_http_request *request,
                        const struct pf__http_answer *answer);
char *pf__http_put_length(char *to, uint64_t len);

/* Of a streamed response: how the client is to know where the body ends. */
char *pf__http_put_framing(char *to, pf_http_request *request);

/* Is its connection's end that of its body? */
bool pf__http_ends_by_closing(const pf_http_request *request);

/* ---- fields.c -------------------------------------------------------------------- */

/* How long it is as the value of a field; -1 if it cannot be one. */
ptrdiff_t pf__http_value_len(const char *value);

/* How many bytes the fields of that name take. */
size_t pf__http_len_of_fields(const pf_http_request *request, const char *name);

/* All of them; without a Content-Type if one stands in front of them. Returns where they
 * end. */
char *pf__http_put_fields(char *to, const pf_http_request *request, bool has_type);

/* Take away those that are about another body. */
void pf__http_remove_fields_of_body(pf_http_request *request);

/* ---- error_page.c ---------------------------------------------------------------- */

/* pf__http_answer() with the status's phrase for a body. `field` may be NULL. */
int pf__http_answer_status(pf_http_request *request, int status, const char *field);

/* ---- streaming.c ----------------------------------------------------------------- */

/* A piece of a streamed response whose length is announced, from a file: as
 * pf_http_write(), but that fd is the server's from now on, and that nothing may follow
 * until it is out: see pf_http_blocked(). */
int pf__http_write_file(pf_http_request *request, int fd, uint64_t offset, uint64_t len);

/* ---- blocking.c ------------------------------------------------------------------ */

/* Run the route's handler on a thread. Returns 0 (later), or a negative errno. */
int pf__http_run_blocking(pf_http_request *request);

/* In such a handler: note the response. Returns as pf_http_respond() does. */
int pf__http_defer(pf_http_request *request, int status, const char *content_type,
                   const void *body, size_t len);
int pf__http_defer_file(pf_http_request *request, const char *content_type, int fd,
                        uint64_t offset, uint64_t len);
void pf__http_deferred_drop(struct pf__http_deferred *deferred);

/* Wait for what runs, give back the threads. */
void pf__http_blocking_fini(pf_http_server *server);

#endif
