/*
 * ipc.h - between a master and its workers: messages with descriptors, and a scoreboard.
 *
 * CHANNEL. A SOCK_SEQPACKET pair, one end in each process: records keep their boundaries,
 * and descriptors stay with the record they were sent with. A record is a 16-byte header
 * and a payload. Everything is non-blocking; what the socket does not take waits in a
 * bounded queue, and a full queue is the peer's fault.
 *
 * SCOREBOARD. Counters in shared memory, one row for each lane, that anybody may read while
 * they change: no locks, each cell has one writer. It is meant to be inherited over a fork.
 */
#ifndef PREFORK_IPC_H
#define PREFORK_IPC_H

#include <prefork/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- channel --------------------------------------------------------------------- */

#define PF_IPC_MAGIC   0x63706670u /* "pfpc" */
#define PF_IPC_VERSION 1u

/* A record, header included, is at most this long: far below what a socket buffer holds. */
#define PF_IPC_RECORD_MAX  65536
#define PF_IPC_PAYLOAD_MAX (PF_IPC_RECORD_MAX - 16)
/* The kernel's limit for one message (SCM_MAX_FD; unix(7)). */
#define PF_IPC_FDS_MAX 253
/* What may wait in one channel until the peer reads: records, and bytes of payload. */
#define PF_IPC_QUEUE_MAX       256
#define PF_IPC_QUEUE_BYTES_MAX (4 * 1024 * 1024)

/* In front of each record, in the machine's byte order: both ends run on it. */
struct pf_ipc_header {
    uint32_t magic;
    uint16_t type;
    uint8_t version;
    uint8_t descriptors; /* how many come with the record */
    uint32_t length;     /* of the payload */
    uint32_t sequence;   /* 0, 1, 2 ... in each direction; a gap ends the channel */
};

typedef struct pf_channel pf_channel;

/* One record, borrowed for the call. Descriptors are close-on-exec; set those you take to
 * -1, the rest is closed after the call. */
struct pf_message {
    uint16_t type;
    uint32_t sequence;
    const void *payload;
    size_t len;
    int *fds;
    size_t fd_count;
    bool fds_lost; /* it had descriptors, but this process has no room for them: fd_count is
                      0, and they are closed */
};

/* Both run on the loop's thread, and may send on or free the channel. */
typedef void pf_channel_message_fn(pf_channel *channel, const struct pf_message *message,
                                   void *arg);

/*
 * The peer is gone: reason 0 (it closed), -ECONNRESET (it died with unread records of ours;
 * its own last words were delivered all the same), -EPROTO (it sent what is no record, or
 * one out of sequence; descriptors that came with it are closed),
 * or another negative errno. The channel is deaf now; free it.
 */
typedef void pf_channel_closed_fn(pf_channel *channel, int reason, void *arg);

/* Begin the initialiser with PF_CHANNEL_OPTIONS; fields are only ever added at the end. */
struct pf_channel_options {
    size_t size;
    pf_channel_message_fn *on_message;
    pf_channel_closed_fn *on_closed;
    void *arg;
};
#define PF_CHANNEL_OPTIONS .size = sizeof(struct pf_channel_options)

/* A connected pair: non-blocking, close-on-exec, with send buffers larger than the default,
 * which holds 278 small records. Returns 0, -EMFILE, -ENFILE or -ENOMEM. */
PF_API int pf_ipc_pair(int fds[2]);

/*
 * Speak on fd, one end of a pair, through `loop`. fd is the channel's from now on, if this
 * succeeds. Sequences begin at 0, so a pair serves one channel at each end. Returns 0,
 * -EINVAL, -ENOMEM or what pf_loop_add_handler() answers.
 */
PF_API int pf_channel_new(pf_loop *loop, int fd, const struct pf_channel_options *options,
                          pf_channel **out);

/*
 * Send a record: at once, or when the peer reads again. Descriptors are borrowed; those of
 * a record that waits are duplicated. `payload` may be NULL if len is 0.
 *
 * Returns 0, -EMSGSIZE (payload or descriptors over the limits), -ENOBUFS (PF_IPC_QUEUE_MAX
 * records or PF_IPC_QUEUE_BYTES_MAX bytes wait: the peer does not read), -EPIPE (the peer
 * is gone), -ENOMEM, -EMFILE, or the loop's guards: -ECHILD, -EPERM, -ESTALE.
 */
PF_API int pf_channel_send(pf_channel *channel, uint16_t type, const void *payload,
                           size_t len, const int *fds, size_t fd_count);

/* Records that wait to be sent; or a guard's error. */
PF_API int pf_channel_queued(pf_channel *channel);

/*
 * Close it and free it, also inside its callbacks. What waits is lost. In a child: closes
 * the child's descriptor and frees, without a word to the loop. After its loop was closed
 * it may still be freed. NULL is fine.
 */
PF_API void pf_channel_free(pf_channel *channel);

/* ---- scoreboard ------------------------------------------------------------------ */

#define PF_SCOREBOARD_NAME_MAX    32 /* of a column, with its NUL */
#define PF_SCOREBOARD_COLUMNS_MAX 256
#define PF_SCOREBOARD_ROWS_MAX    65536

enum pf_column_kind {
    PF_COLUMN_COUNTER, /* only grows; the next worker of the row goes on where it stands, so
                          that totals never go back */
    PF_COLUMN_GAUGE,   /* a present value; cleared when the row's worker is gone */
    PF_COLUMN_ID,      /* a name in numbers: pid, cpu, state */
};

enum pf_column_writer {
    PF_COLUMN_LANE,   /* the row's lane writes it, and nobody else */
    PF_COLUMN_MASTER, /* the master does; on cache lines of its own */
};

struct pf_column {
    const char *name;
    enum pf_column_kind kind;
    enum pf_column_writer writer;
};

typedef struct pf_scoreboard pf_scoreboard;

/*
 * Make one in a memfd, all zeros, with a table in front of it that describes the columns to
 * whoever maps it. Returns 0, -EINVAL (no column, a name too long or twice, limits),
 * -ENOMEM, -EMFILE, -ENFILE.
 */
PF_API int pf_scoreboard_new(const struct pf_column *columns, size_t count, unsigned rows,
                             pf_scoreboard **out);

/*
 * Map one that another process made, from its descriptor (borrowed), for reading. Returns
 * 0, or -EPROTO (it is none, or its table does not fit it).
 */
PF_API int pf_scoreboard_open(int fd, pf_scoreboard **out);

/* Unmap and close. Other processes keep theirs. NULL is fine. */
PF_API void pf_scoreboard_free(pf_scoreboard *board);

/* The memfd, borrowed; -1 for an opened one. */
PF_API int pf_scoreboard_fd(const pf_scoreboard *board);

PF_API unsigned pf_scoreboard_rows(const pf_scoreboard *board);
PF_API unsigned pf_scoreboard_columns(const pf_scoreboard *board);

/* The column's index, or -ENOENT. */
PF_API int pf_scoreboard_find(const pf_scoreboard *board, const char *name);

/* What the table says of a column; false if there is none of this index. */
PF_API bool pf_scoreboard_describe(const pf_scoreboard *board, unsigned column,
                                   struct pf_column *out);

/* The cell, valid as long as the board; NULL beyond its rows or columns. Look it up once,
 * then use pf_count() and pf_score() on it. */
PF_API uint64_t *pf_scoreboard_cell(const pf_scoreboard *board, unsigned row,
                                    unsigned column);

/* Read one cell; 0 beyond the board. */
PF_API uint64_t pf_scoreboard_get(const pf_scoreboard *board, unsigned row,
                                  unsigned column);

/*
 * The sum of a column over all rows, or over `count` of them from `first` on; rows beyond
 * the board count nothing. For a counter a reader never sees it go back.
 */
PF_API uint64_t pf_scoreboard_total(const pf_scoreboard *board, unsigned column);
PF_API uint64_t pf_scoreboard_sum(const pf_scoreboard *board, unsigned column,
                                  unsigned first, unsigned count);

/* The row's worker is gone: clear its gauges. For the master, when nobody else writes. */
PF_API void pf_scoreboard_clear_gauges(pf_scoreboard *board, unsigned row);

/* Add to, or set, a cell that only the caller writes. A load and a store, no locked
 * instruction; readers see the old or the new value. */
static inline void pf_count(uint64_t *cell, uint64_t n)
{
    __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void pf_score(uint64_t *cell, uint64_t value)
{
    __atomic_store_n(cell, value, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
}
#endif
#endif
