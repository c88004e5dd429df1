/*
 * wire.h - an HTTP server and the one who attacks it, over a socket, in one process.
 *
 *     struct pf_wire wire;
 *     pf_wire_start(&wire, NULL);
 *     char *told = pf_wire_exchange(&wire, text, len, PF_WIRE_BYTES, PF_WIRE_BRIEF);
 *     assert_string_equal(told, "200[hello] 400 closed");
 *     free(told);
 *     pf_wire_stop(&wire);
 *
 * The server is the real one on a real loop, whose clock is the test's; its application has
 * a route of every kind (pf_wire_routes). What comes back is read by the library's own
 * parser of responses, so an answer that is not well-formed does not pass for one.
 *
 * Without cmocka, so that fuzz targets can use it too: what must not fail here aborts.
 */
#ifndef PREFORK_TESTS_LIB_WIRE_H
#define PREFORK_TESTS_LIB_WIRE_H

#include "http/parser.h"
#include "http/server.h"
#include "net/conn.h"

#define PF_WIRE_HEAD_TIMEOUT (1 * PF_SECOND)
#define PF_WIRE_IDLE_TIMEOUT (5 * PF_SECOND)
#define PF_WIRE_BODY_TIMEOUT (3 * PF_SECOND)
#define PF_WIRE_STALL        PF_CONN_STALL_NS
#define PF_WIRE_BODY_MAX     1000
/* How long after it was asked /later answers. */
#define PF_WIRE_LATER PF_MILLISECOND

/* How what the client says is cut into sends. */
#define PF_WIRE_WHOLE SIZE_MAX
#define PF_WIRE_BYTES 0
#define PF_WIRE_AT(n) (n) /* once, behind its first n bytes */

enum pf_wire_detail {
    PF_WIRE_BRIEF, /* "200[body] 404 closed": bodies of 2xx only */
    PF_WIRE_FULL,  /* with all fields but Date, and all bodies */
};

#define PF_WIRE_ANSWERS_MAX 4096

struct pf_wire {
    int64_t now; /* what the loop's clock says */
    pf_loop *loop;
    pf_http_server *server;
    int listener; /* of TCP connections; -1: they are socketpairs */
    int client;   /* our end of the connection; -1: none */
    int served;   /* the server's end of a TCP connection; -1: none, or gone */

    /* what has been heard from it */
    char *heard;
    size_t len;
    bool ended; /* the server will say no more */
    int error;  /* errno that reading failed with */

    /* what pf_wire_tell() has seen */
    int interim; /* answers of 1xx */
    bool cut, malformed, spilled;

    /* what the server has told its observer, of all connections */
    int responses, gone;
    char method[64];                   /* of the request answered last; "": it had none */
    int said;                          /* answers on the connection at hand */
    bool to_head[PF_WIRE_ANSWERS_MAX]; /* the n-th of them is to a HEAD: it has no body */
};

/* GET / and /chunks (streamed) and /users/{id} and /files/{path...}, POST /echo
 * (collected), /upload, /mirror and /refuse (bodies as they come), any method of /later (by
 * a timer), /any and, as a resource, /table. */
extern const struct pf_http_route pf_wire_routes[];

/* Fill in *options for that application with the limits above. */
void pf_wire_options(struct pf_http_server_options *options);

/* options  NULL: those. Its observer is the wire's. */
void pf_wire_start(struct pf_wire *wire, const struct pf_http_server_options *options);
void pf_wire_stop(struct pf_wire *wire);

/* Connections from now on are TCP's, over 127.0.0.1, until pf_wire_stop(). Nothing is
 * waited for by time: both kernels' ends are asked what has been sent and what has arrived.
 */
void pf_wire_listen(struct pf_wire *wire);

/* A new connection; the one before is closed, and forgotten. */
void pf_wire_connect(struct pf_wire *wire);

/* Close our end; what the application still has it finishes: it is in `living` no more. */
void pf_wire_leave(struct pf_wire *wire);

/* Send, run the loop until it has nothing to do, hear. False: the server does not take it.
 */
bool pf_wire_say(struct pf_wire *wire, const char *bytes, size_t len);
void pf_wire_turn(struct pf_wire *wire);
void pf_wire_advance(struct pf_wire *wire, int64_t ns);

/* Without a turn of the loop: until something that was sent stands at the server. */
void pf_wire_await(struct pf_wire *wire);

/* Let the clock go on, for as long as the application has requests of the connection. */
void pf_wire_settle(struct pf_wire *wire);

/* All that was heard, as text, and behind it "open" or "closed"; "malformed" where it is no
 * HTTP, "spilled" where something follows a last answer, "cut" where an answer is not
 * whole. Answers of 1xx are left out. Free it. */
char *pf_wire_tell(struct pf_wire *wire, enum pf_wire_detail detail);

/* All of it: connect, say in[0..len) cut so, settle, tell. If nobody goes on with it, a TCP
 * connection ends by a reset. */
char *pf_wire_exchange(struct pf_wire *wire, const char *in, size_t len, size_t cut,
                       enum pf_wire_detail detail);

#endif
