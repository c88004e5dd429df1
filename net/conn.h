/*
 * conn.h - buffered connections: bytes in, bytes out, deadlines, an orderly end.
 *
 * All connections of a loop hang on one pf_conns, which owns what they share: one large
 * read buffer, one output batch, the deadline lists. A connection owns a buffer only while
 * input is incomplete or output is blocked, so an idle one costs little.
 *
 * A protocol is a table of functions. It is shown the bytes that have come, says how many
 * it has used up, and writes its answers; all that is written while one piece of input is
 * handled leaves in one send(2). While output is blocked nothing is read: the peer's window
 * fills, and that is the back-pressure.
 *
 *     OPEN -> FLUSHING -> LINGERING -> CLOSED
 *               |  the last bytes go out   ^
 *               +--------------------------+   (LINGERING only if asked for)
 *
 * Hot path, for a request that arrives whole: one recv(2), one send(2), no allocation, no
 * epoll_ctl(2), no timer call.
 *
 * Every function answers -ECHILD or -EPERM like the loop does. Not signal-safe.
 */
#ifndef PREFORK_NET_CONN_H
#define PREFORK_NET_CONN_H

#include <prefork/loop.h>

typedef struct pf_conn pf_conn;
typedef struct pf_conns pf_conns;

/* What one recv(2) may bring, and what one batch of answers holds before it is sent. */
#define PF_CONN_READ_MAX  (64 * 1024)
#define PF_CONN_BATCH_MAX (64 * 1024)
/* Default limits; see pf_conns_options. */
#define PF_CONN_INPUT_MAX  (64 * 1024)
#define PF_CONN_OUTPUT_MAX (1024 * 1024)
/* Lingering close: how long, and how many bytes are read and dropped at the most. A peer
 * that sends more has to wait for its end, which gives it time to read. */
#define PF_CONN_LINGER_NS    (2 * PF_SECOND)
#define PF_CONN_LINGER_BYTES (1024 * 1024)
/* Blocked output that makes no progress for this long ends the connection. */
#define PF_CONN_STALL_NS (60 * PF_SECOND)
/* How often one whose peer has finished sending, and that waits for nothing else, is looked
 * at: has the peer reset it meanwhile? Its loop cannot watch for that alone. */
#define PF_CONN_PROBE_NS PF_SECOND

/* Deadline classes a protocol may define; within a class every timeout is the same, so that
 * arming one is an append to a list. */
#define PF_CONN_CLASSES_MAX 4

enum pf_conn_state {
    PF_CONN_OPEN,
    PF_CONN_FLUSHING,  /* no more input; closes when the output is out */
    PF_CONN_LINGERING, /* sent all and said so (FIN); drops what still comes */
    PF_CONN_CLOSED,    /* on_close has run, or runs now */
};

struct pf_conn_protocol {
    const char *name;
    size_t state_size; /* bytes of protocol state behind each connection, zeroed at birth */

    /*
     * data[0..len) is all input not used up so far, the newest at its end. Returns how many
     * bytes are used up; the rest comes again, in front of more. Unless output is blocked
     * (then nothing is read), returning 0 with input_max bytes standing ends the
     * connection: so look at the limit before. Called again without new input when blocked
     * output has drained and input stands.
     */
    size_t (*on_data)(pf_conn *conn, const char *data, size_t len);

    /* The peer has finished sending; answers may still be written. NULL: close. Bytes not
     * used up before are lost after it. A reset that comes later is noticed by writing, or
     * within PF_CONN_PROBE_NS. */
    void (*on_eof)(pf_conn *conn);

    /* Output that was blocked, and a file, are out. NULL: nobody cares. */
    void (*on_drained)(pf_conn *conn);

    /* The deadline set last has passed. NULL: abort. */
    void (*on_deadline)(pf_conn *conn);

    /* The connection ends; `reason` is 0 for an orderly end, else a negative errno
     * (-ECONNRESET, -ETIMEDOUT, -ENOBUFS ...). The last call; the state is freed after it.
     * May be NULL. */
    void (*on_close)(pf_conn *conn, int reason);
};

struct pf_conns_options {
    const struct pf_conn_protocol *protocol;
    void *arg;        /* pf_conn_arg(), for all of them */
    size_t input_max; /* 0: PF_CONN_INPUT_MAX; bytes that may stand unused per connection */
    size_t output_max; /* 0: PF_CONN_OUTPUT_MAX; bytes that may wait to be sent */
    int64_t timeouts_ns[PF_CONN_CLASSES_MAX]; /* per deadline class; 0: class not used */

    /* Called after each connection ended, its state freed and `fd` closed (the number tells
     * which it was); NULL: nobody cares. For a drain that waits for the last one. */
    void (*on_gone)(pf_conns *conns, int fd, void *arg);
};

/* Make the shared part, on this thread's `loop`. Returns 0 or -ENOMEM. */
int pf_conns_new(pf_loop *loop, const struct pf_conns_options *options, pf_conns **out);

/*
 * End every connection at once (on_close gets 0), free everything. In a child, before
 * pf_loop_discard(), and after the loop was closed: closes the descriptors and frees the
 * memory without a word to the loop, and runs no callback. From a foreign thread: nothing.
 * NULL is fine. Not inside a callback of its connections.
 */
void pf_conns_free(pf_conns *conns);

/* How many connections there are, lingering ones included. */
size_t pf_conns_count(const pf_conns *conns);

/* The one that has waited longest for its deadline of class `which`; NULL: none waits. */
pf_conn *pf_conns_first(const pf_conns *conns, unsigned which);

/* Call fn(conn, arg) for each connection; fn may close or abort the one it is given. */
void pf_conns_each(pf_conns *conns, void (*fn)(pf_conn *conn, void *arg), void *arg);

/*
 * Begin a connection over fd (connected, non-blocking; ours from now on, closed even if
 * this fails). Reads nothing yet: on_data comes from the loop. Returns 0 and *out (may be
 * NULL), or -ENOMEM or what pf_loop_add_handler() answers.
 */
int pf_conn_open(pf_conns *conns, int fd, pf_conn **out);

/* The protocol's state behind this connection, and what it is part of. */
void *pf_conn_state(pf_conn *conn);
void *pf_conn_arg(pf_conn *conn);
pf_conns *pf_conn_owner(pf_conn *conn);
int pf_conn_fd(const pf_conn *conn); /* -1 from its end on, so in on_close too */
enum pf_conn_state pf_conn_get_state(const pf_conn *conn);

/*
 * Send bytes: at once if called outside on_data, else with the batch when on_data returns.
 * Copied, so `data` may go. Returns 0, -ENOBUFS (len and what waits are more than
 * output_max: nothing taken), -EBUSY (a file is on its way), or -EPIPE: it was not OPEN, or
 * broke over this. In that case on_close has told why, and outside a callback conn is gone.
 */
int pf_conn_write(pf_conn *conn, const void *data, size_t len);

/*
 * Send `len` bytes of the regular file fd, from `offset` on, behind what has been written:
 * without a copy, as the peer takes it. fd is ours, whatever is returned. Until it is out
 * the connection is blocked, and nothing may be written behind it. A file that turns out
 * shorter ends the connection with -EIO. SIGPIPE is not raised; where it is ignored when
 * the pf_conns is made that costs nothing. Returns 0, -EPIPE as pf_conn_write(), -EBUSY (a
 * file is on its way), -ENOMEM, or the guards. Source: sendfile(2).
 */
int pf_conn_send_file(pf_conn *conn, int fd, uint64_t offset, uint64_t len);

/*
 * Room for `len` bytes (at most PF_CONN_BATCH_MAX) in the batch, to be written in place and
 * then taken with pf_conn_wrote(): the way to build a short answer without a copy. NULL if
 * there is none: use pf_conn_write(). Only inside on_data, on whose thread and in whose
 * process the caller is: unlike the others these two do not ask.
 */
char *pf_conn_reserve(pf_conn *conn, size_t len);
void pf_conn_wrote(pf_conn *conn, size_t len);

/* Is output waiting because the peer does not read? Then a protocol should stop answering:
 * return from on_data what it has used up; it is called again when the output is out. */
bool pf_conn_blocked(const pf_conn *conn);

/* Bytes that pf_conn_write() would take now, as far as output_max goes. */
size_t pf_conn_room(const pf_conn *conn);

/* Bytes standing unused, as the next on_data would see them. */
size_t pf_conn_pending(const pf_conn *conn);

/*
 * Show no input for now: on_data is not called; what comes is read until input_max bytes
 * stand, and its end is told by on_eof. go_on ends that: what stands is shown soon, not
 * before this returns; with `anyway` even if it is nothing. Each may be called again in
 * vain.
 */
void pf_conn_hold(pf_conn *conn);
void pf_conn_go_on(pf_conn *conn, bool anyway);

/* (Re)arm the connection's one deadline: class `which`, its timeout from now. O(1). It
 * stands still while output is blocked, and starts anew when that is out. */
void pf_conn_set_deadline(pf_conn *conn, unsigned which);
void pf_conn_clear_deadline(pf_conn *conn);

/* End it when all output is out. With `linger`, say FIN first and drop what still comes, so
 * that the answer is not lost to a reset: for errors and for bodies left unread. Inside a
 * callback the connection lives until that returns. Returns 0. */
int pf_conn_close(pf_conn *conn, bool linger);

/* End it now; output that the kernel does not take at once is lost. on_close gets `reason`.
 */
int pf_conn_abort(pf_conn *conn, int reason);

/* The same, and the peer is to notice (TCP): for what ends where the connection ends, and
 * is not whole. */
int pf_conn_reset(pf_conn *conn, int reason);

/*
 * Handle input that may have come but was not announced yet: one recv(2) now. For a drain,
 * where an idle connection is closed only if nothing stands in it. Returns 1 if there was
 * input or its end (on_data or on_eof has run; conn may be gone) and 0 if not; -EPIPE (not
 * OPEN) or -EBUSY (inside on_data) with nothing done; else the reason it has ended for.
 */
int pf_conn_poll(pf_conn *conn);

#endif
