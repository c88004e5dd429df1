/*
 * client.h - one HTTP/1 connection, seen from the side that asks.
 *
 *     struct pf__http_client_shared shared;         one for a loop, some 100 kB
 *     struct pf__http_client_conn conn;             embedded in what is the caller's
 *     pf__http_client_share(&shared, loop);
 *     pf__http_client_init(&conn, &shared, &ops);
 *     pf__http_client_connect(&conn, &options);     ... ops.on_open
 *     pf__http_client_send(&conn, bytes, len, 1);   ... ops.on_first, on_head, on_body,
 *                                                       on_answer, on_taken
 *     pf__http_client_close(&conn);
 *     pf__http_client_fini(&conn);
 *
 * The caller writes requests; this sends them, and tells him of the answers in the order in
 * which he asked. Any number may be under way at once (RFC 9112 section 9.3.2). Times,
 * retries, redirects and which connection to take are his.
 *
 *     down --connect--> connecting --on_open--> open --on_close, close--> down
 *
 * A connection that is quiet costs the struct and nothing else: what parses and what is
 * received into are shared by all of a loop, and only an answer that has come in part has a
 * parser of its own, and the beginning of its head, until all of it is there. In the steady
 * state a batch of answers costs a recv and a reading of the clock, and a batch of requests
 * a send; no timer, no epoll_ctl, no allocation.
 *
 * CALLBACKS come from the loop alone, never from a call made here. Each may send, close,
 * and connect again; only on_close may also free the connection, for it is the last thing
 * that happens. After a close none comes of what stood in the buffer yet. Those that a
 * caller does not need are NULL, except on_open, on_first, on_answer and on_close.
 *
 * A fork: as the loop. For the loop's thread alone.
 */
#ifndef PREFORK_HTTP_CLIENT_H
#define PREFORK_HTTP_CLIENT_H

#include "http/parser.h"
#include "net/address.h"

#include <prefork/loop.h>

/* What is read at once at the most. */
#define PF__HTTP_CLIENT_READ 65536
/* Bytes of requests that the kernel has not taken yet; beyond it a send answers -ENOBUFS.
 */
#define PF__HTTP_CLIENT_UNSENT_MAX ((size_t)1 << 30)

struct pf__http_client_conn;

enum pf__http_client_phase {
    PF__HTTP_CLIENT_CONNECT,
    PF__HTTP_CLIENT_WRITE,
    PF__HTTP_CLIENT_READ_ON, /* closed by the peer, or reset */
    PF__HTTP_CLIENT_PARSE,   /* what came is no answer */
};

/* How a connection ended. */
struct pf__http_client_end {
    enum pf__http_client_phase phase;
    /* An errno; or 0: the peer closed. With PARSE: EBADMSG it is no HTTP, EMSGSIZE a head
     * beyond PF_HTTP_HEAD_MAX, EPROTO nobody has asked for it, ENOMEM. */
    int error;
    bool announced;     /* an answer said that it was the last */
    bool begun;         /* in the middle of an answer, the first of those owed */
    bool taken;         /* the peer had read all that was asked, and closed in good order:
                           what it owes it will never send. Else it may not know of it */
    unsigned owed;      /* answers that will not come */
    const char *sample; /* PARSE: what came, the wrong included; valid in the callback */
    size_t sample_len;
};

struct pf__http_client_ops {
    void (*on_open)(struct pf__http_client_conn *conn, int64_t now_ns);

    /* Bytes of an answer to the oldest request have come, perhaps of one of 1xx. True: the
     * request was a HEAD, so that no body follows. */
    bool (*on_first)(struct pf__http_client_conn *conn, int64_t now_ns);

    /* The head of a final answer: spans of the parser are offsets into `head`. Both are
     * valid in the callback. */
    void (*on_head)(struct pf__http_client_conn *conn, const struct pf_http_parser *parser,
                    const char *head);

    void (*on_body)(struct pf__http_client_conn *conn, const char *bytes, size_t len);

    /* It is complete; of the parser only numbers are valid. With !parser->keep_alive the
     * connection ends behind it: on_close follows, announced. */
    void (*on_answer)(struct pf__http_client_conn *conn,
                      const struct pf_http_parser *parser, int64_t now_ns);

    /* All that was received at once has been taken in: the time to ask on, with one send.
     */
    void (*on_taken)(struct pf__http_client_conn *conn, int64_t now_ns);

    /* The kernel has taken more of what was unsent. */
    void (*on_sent)(struct pf__http_client_conn *conn, int64_t now_ns);

    /* It is closed already. */
    void (*on_close)(struct pf__http_client_conn *conn,
                     const struct pf__http_client_end *end, int64_t now_ns);

    /* If it is there, this is no HTTP: all bytes are handed to it as they come, and
     * on_first to on_answer are not called. For protocols behind an upgrade. */
    void (*on_bytes)(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                     int64_t now_ns);
};

/* For all connections of a loop. */
struct pf__http_client_shared {
    pf_loop *loop;
    uint64_t bytes_in, bytes_out; /* of all of them, ever */
    /* private */
    struct pf_http_parser parser;
    char buffer[PF_HTTP_HEAD_MAX + PF__HTTP_CLIENT_READ];
};

enum pf__http_client_state {
    PF__HTTP_CLIENT_DOWN,
    PF__HTTP_CLIENT_CONNECTING,
    PF__HTTP_CLIENT_OPEN,
};

struct pf__http_client_conn {
    /* private; state, owed, announced and fd may be read */
    struct pf__http_client_shared *shared;
    const struct pf__http_client_ops *ops;
    int fd; /* -1 while down */
    enum pf__http_client_state state;
    unsigned owed; /* answers */
    uint32_t life; /* counts closes: tells a callback's caller whether it is gone */
    bool await_close, announced;
    bool begun, head_done; /* an answer; its head */
    bool head_request;
    bool blocked;                  /* PF_WRITE is watched */
    struct pf_http_parser *parser; /* of an answer that has come in part; NULL before one */
    char *head;                    /* the beginning of its head */
    size_t head_len, head_size;
    char *unsent; /* unsent_len bytes from unsent_at on */
    size_t unsent_at, unsent_len, unsent_size;
};

struct pf__http_client_options {
    const struct pf_address *to;
    const struct pf_address *from; /* NULL: any; with port 0 the kernel picks one late, so
                                      that the same can serve for several peers */
    bool nodelay;                  /* TCP_NODELAY */
    bool reset;                    /* whoever closes: with a RST, SO_LINGER 0 */
    bool await_close;              /* behind the last answer let the peer close first */
    int rcvbuf, sndbuf;            /* bytes; 0: the kernel's */
};

/* `loop` is borrowed. */
void pf__http_client_share(struct pf__http_client_shared *shared, pf_loop *loop);

/* `shared` and `ops` are borrowed. */
void pf__http_client_init(struct pf__http_client_conn *conn,
                          struct pf__http_client_shared *shared,
                          const struct pf__http_client_ops *ops);

/* Close it and free what it holds. To be called again only behind an init. */
void pf__http_client_fini(struct pf__http_client_conn *conn);

/*
 * Begin to connect; on_open or on_close will tell. Options are not kept.
 *
 * Returns 0, or -EALREADY (it is not down), -EMFILE, -ENFILE, -EADDRNOTAVAIL (no port is
 * left, or `from` is none of ours), -ENETUNREACH, -EACCES, -ENOENT, -ECONNREFUSED (unix
 * sockets tell at once) ... as socket(2), bind(2) and connect(2) have it, or what
 * pf_loop_add_handler() answers; then it is down. Cost: at least three system calls.
 */
int pf__http_client_connect(struct pf__http_client_conn *conn,
                            const struct pf__http_client_options *options);

/*
 * Send requests to which `answers` answers will come. The bytes are borrowed for the call:
 * what the kernel does not take at once is copied and follows by itself.
 *
 * Returns 0, or -ENOTCONN (not open), -ENOBUFS, -ENOMEM, or what send(2) fails with, such
 * as -EPIPE: then some may have gone, nothing is counted as owed, and it is of no use any
 * more; it is still to be closed. Cost: a send(2).
 */
int pf__http_client_send(struct pf__http_client_conn *conn, const char *bytes, size_t len,
                         unsigned answers);

/* Bytes that the kernel has not taken yet. */
static inline size_t pf__http_client_unsent(const struct pf__http_client_conn *conn)
{
    return conn->unsent_len;
}

/* Close it at once, if it is not down; on_close is not called. */
void pf__http_client_close(struct pf__http_client_conn *conn);

#endif
