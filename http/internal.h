/*
 * internal.h - what server.c (connections, messages) and request.c (answers) share.
 */
#ifndef PREFORK_HTTP_INTERNAL_H
#define PREFORK_HTTP_INTERNAL_H

#include "http/date.h"
#include "http/parser.h"
#include "http/route.h"
#include "http/server.h"
#include "net/conn.h"

/* More than the longest head takes: its lines, and the longest Content-Type. */
#define PF__HTTP_HEAD_MAX (512 + PF_HTTP_CONTENT_TYPE_MAX)

/*
 * A message while it is read. One that comes whole is read in the server's own; one that
 * goes on in a later read gets a copy on the heap, which lives until it is answered.
 */
struct pf__http_message {
    struct pf_http_parser parser;
    bool head_done;
    size_t used;       /* of the bytes at hand: what the parser has passed */
    uint64_t body_len; /* so far; the bytes themselves are dropped */
    char *head; /* a copy, once the connection's bytes of it are used up; else NULL */
    struct pf__http_message *next, *prev; /* in the server's list, if on the heap */
};

struct pf_http_server {
    pf_loop *loop;
    pf_conns *conns;
    pf_conns *refused; /* refuse.c's; NULL: none so far */
    struct pf__http_routes *routes;
    struct pf_http_observer observer;
    void *observer_arg;
    uint64_t body_max;
    bool draining;
    struct pf__http_date date;
    struct pf__http_message *unfinished; /* those on the heap */
    struct pf__http_message scratch;
};

/* On the stack of whoever answers it. */
struct pf_http_request {
    pf_http_server *server;
    pf_conn *conn;
    const struct pf_http_parser *parser; /* NULL: what came is no request */
    const char *head;                    /* the parser's spans are offsets into it */
    bool closing;                        /* the connection ends behind the answer */
    bool answered;
};

struct pf__http_answer {
    int status;
    const char *content_type; /* NULL: no such field */
    const char *field;        /* one more, with its CRLF; or NULL */
    const void *body;
    size_t len;
};

/* Queue an answer. Returns 0, or what pf_http_respond() returns. */
int pf__http_answer(struct pf_http_request *request, const struct pf__http_answer *answer);

/* The same with the status's phrase for a body. `field` may be NULL. */
int pf__http_answer_status(struct pf_http_request *request, int status, const char *field);

#endif
