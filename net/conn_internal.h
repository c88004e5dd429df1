/*
 * conn_internal.h - the inside of a connection: its structs, and who does what with them.
 *
 *     conn.c           its birth, its states, what the loop watches, who is called when
 *     conn_in.c        bytes that come, to where the protocol sees them
 *     conn_out.c       bytes that go: the batch, what the peer does not take
 *     conn_file.c      a file behind them
 *     conn_deadline.c  what it waits for, and until when
 *     conn_end.c       its end: by itself, by a linger, by a reset
 *     conns.c          the set: what connections share, and all of them
 *
 * A connection is always in exactly one of the lists of its pf_conns: the one of the
 * deadline that it waits for, or the one of those that wait for none. Within a list all
 * timeouts are the same, so appending keeps it in order.
 *
 * Callbacks may end any connection, their own included: ending closes the descriptor at
 * once, and the memory goes when no callback of that connection is running any more: while
 * `busy`, it stays. So whoever may end one, and looks at it afterwards, raises that.
 */
#ifndef PREFORK_NET_CONN_INTERNAL_H
#define PREFORK_NET_CONN_INTERNAL_H

#include "net/conn.h"

#include "loop/guard.h"

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>

/* Lists behind the protocol's deadline classes. */
enum {
    PF__LIST_STALL = PF_CONN_CLASSES_MAX, /* output is blocked */
    PF__LIST_LINGER,
    PF__LIST_DUE,   /* input stands, to be shown in the next turn */
    PF__LIST_PROBE, /* the peer has finished sending, and the protocol waits for nothing */
    PF__LIST_NONE,  /* no deadline */
    PF__LISTS,
};

enum {
    PF__CONN_FIRST_BUFFER = 1024,
};

struct pf__conn_buffer {
    size_t len, capacity;
    size_t at; /* output: bytes before it are sent */
    char bytes[];
};

/* On its way behind the output. */
struct pf__conn_file {
    int fd;
    off_t offset;
    uint64_t left;
};

struct pf_conn {
    pf_conns *conns;
    pf_conn *next, *prev; /* in its list */
    int64_t deadline_ns;
    struct pf__conn_buffer *in;  /* bytes that on_data has not used up; NULL: none */
    struct pf__conn_buffer *out; /* bytes that the peer does not take; NULL: none */
    struct pf__conn_file *file;  /* NULL: none */
    int fd;
    uint32_t linger_left; /* bytes that may still be dropped */
    uint32_t visited;     /* by pf_conns_each() */
    uint8_t state;        /* enum pf_conn_state */
    uint8_t class;        /* what the protocol waits for: a class, or PF__LIST_NONE */
    uint8_t list;         /* where it is now */
    uint8_t watched;      /* PF_READ, PF_WRITE or 0, as the loop knows it */
    uint8_t busy;         /* callbacks that run */
    bool eof;
    bool linger;
    bool held;   /* input is not shown */
    bool due;    /* what stands is shown in the next turn */
    bool anyway; /* be it nothing */
    max_align_t protocol_state[];
};

struct pf__conn_list {
    pf_conn *first, *last;
};

struct pf_conns {
    pf_loop *loop;
    uint64_t cookie; /* of the process that made them: loop/guard.h */
    struct pf_conns_options options;
    struct pf__conn_list lists[PF__LISTS];
    int64_t timeouts_ns[PF__LISTS];
    size_t count;
    pf_timer timer;
    int64_t timer_at; /* PF_NEVER: not armed */
    pf_conn *cursor;  /* pf_conns_each(): the next one */
    uint32_t visit;
    bool ignores_pipe_signal; /* this process, when they were made */
    pf_conn *owner; /* in whose callback the batch is being filled; NULL: nobody's */
    size_t batch_len;
    char batch[PF_CONN_BATCH_MAX];
    char input[PF_CONN_READ_MAX];
};

/* Something waits for the peer to read. */
static inline bool pf__conn_is_blocked(const pf_conn *conn)
{
    return conn->out || conn->file;
}

/* A callback may fork and return in the child too, into our midst. There the connection is
 * still the parent's: nothing may be sent, shut down or told. */
static inline bool pf__conn_is_inherited(const pf_conn *conn)
{
    return !pf__process_is(conn->conns->cookie);
}

/* ---- conn.c --------------------------------------------------------------------- */

void pf__conn_set_state(pf_conn *conn, enum pf_conn_state to);

/* Have the loop watch for what the connection waits for; it may end over that. */
void pf__conn_watch(pf_conn *conn);

/* After any callback, and after any event: bring list, watch and state in line. The last
 * thing done to a connection, which may be gone afterwards. */
void pf__conn_settle(pf_conn *conn);

/* Room for that many bytes; NULL, and the old ones are still there: no memory. */
struct pf__conn_buffer *pf__conn_grow(struct pf__conn_buffer *buffer, size_t capacity);

/* ---- conn_in.c ------------------------------------------------------------------ */

/* Read once. Returns 1 if something came, 0 if nothing did, or the reason of the end, which
 * the connection has then met. */
int pf__conn_read(pf_conn *conn);

/* Show the protocol all that stands. The connection may be CLOSED afterwards, not freed. */
void pf__conn_feed(pf_conn *conn, const char *data, size_t len);

/* The same, as far as it is due. */
void pf__conn_show_what_stands(pf_conn *conn);

/* ---- conn_out.c ----------------------------------------------------------------- */

/* Bracket a callback: what it writes is one batch; what it ends is freed behind it. */
void pf__conn_enter(pf_conn *conn);
void pf__conn_leave(pf_conn *conn);

/* Send the batch of the connection in whose callback we are; it may end here. flags:
 * MSG_MORE if more follows at once. */
void pf__conn_flush_batch(pf_conn *conn, int flags);

/* The peer reads again. */
void pf__conn_send_on(pf_conn *conn);

/* ---- conn_file.c ---------------------------------------------------------------- */

/* Send of the file what the peer takes, within a turn's share. Returns 0 or the reason of
 * the end that the connection is then to meet. */
int pf__conn_send_file(pf_conn *conn);

void pf__conn_drop_file(pf_conn *conn);

/* Does this process? Where it is not ignored, sendfile(2) would raise it. */
bool pf__conn_ignores_pipe_signal(void);

/* ---- conn_deadline.c ------------------------------------------------------------ */

void pf__conn_append(pf_conn *conn, uint8_t to);
void pf__conn_unlist(pf_conn *conn);

/* Start the timeout that fits what the connection now waits for. */
void pf__conn_restart_deadline(pf_conn *conn);

/* The same, unless it waits for what it waited for. */
void pf__conn_check_deadline(pf_conn *conn);

/* ---- conn_end.c ----------------------------------------------------------------- */

/* Close the descriptor and tell the protocol; the memory goes, unless it is busy. */
void pf__conn_end(pf_conn *conn, int reason);
void pf__conn_release(pf_conn *conn);

/* Everything is out: say good-bye, or be gone. */
void pf__conn_finish(pf_conn *conn);

/* What comes from one that has been said good-bye to. */
void pf__conn_linger(pf_conn *conn);

#endif
