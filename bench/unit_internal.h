/*
 * unit_internal.h - the inside of a unit, in six files:
 *
 *     unit.c         its life: set up, begin, warm-up, scan, drain, end
 *     unit_conn.c    a connection: open, answer, break, and open again
 *     unit_ask.c     the bytes that are sent
 *     unit_answer.c  what comes back, and whether it is right
 *     unit_pace.c    open loop: which slots are due, and who sends them
 *     unit_books.c   every number that goes to the tally
 *
 * A connection's state says in which list it is:
 *
 *     state         list     waits for
 *     DOWN          -        the scan, which opens it again if it is wanted
 *     CONNECTING    -        the kernel
 *     IDLE          idle     a request: the schedule's, or the start; nothing is asked
 *     BUSY          roomy    answers. Open loop: with room for more under way it is listed
 *                   or -
 *     THINKING      thinking its time: closed loop
 *     LEAVING       -        the close by the server
 */
#ifndef PREFORK_BENCH_UNIT_INTERNAL_H
#define PREFORK_BENCH_UNIT_INTERNAL_H

#include "bench/expect.h"
#include "bench/pace.h"
#include "bench/requests.h"
#include "bench/unit.h"
#include "http/client.h"

enum conn_state {
    CONN_DOWN,
    CONN_CONNECTING,
    CONN_IDLE,
    CONN_BUSY,
    CONN_THINKING,
    CONN_LEAVING,
};

/* A request under way. */
struct stamp {
    int64_t due_ns;  /* closed loop: when it was handed to the connection */
    int64_t sent_ns; /* its first byte; negative: not gone yet, and when it was asked */
    uint64_t begin;  /* where it begins, in all bytes of the connection */
    uint64_t epoch;  /* 0: it fell due in the warm-up; see struct unit */
    const struct request *request;
};

struct conn {
    struct pf__http_client_conn http; /* first */
    struct unit *unit;
    struct conn *next, *before; /* in a list */
    struct conn_list *list;     /* NULL: in none */
    struct stamp *stamps;       /* a ring of plan->pipeline, oldest at `first` */
    uint32_t first, count;
    uint32_t number; /* of all connections of all units */
    uint8_t state;   /* enum conn_state */
    bool tried;      /* the first attempt to connect has ended */
    uint32_t
        batch;     /* closed loop: of a batch that is too large for once, to be asked yet */
    uint64_t made; /* requests since it was opened */
    uint64_t written; /* bytes of them */
    int64_t since_ns; /* connecting, leaving: since; thinking: until */
    int64_t first_ns; /* when the answer that comes began */
    size_t echoed;    /* echo: bytes of the answer that have come */
    struct expect_check check;
};

/* First in, first out. */
struct conn_list {
    struct conn *first, *last;
    size_t count;
};

enum unit_state {
    UNIT_SETUP,
    UNIT_READY,
    UNIT_RUNNING,
    UNIT_DRAINING, /* nothing new falls due; what is due is sent and answered */
    UNIT_DONE,
};

/* What a unit's thread has had of a CPU, and how long it has waited for one while it had
 * something to do: either is time in which it could not take in an answer. */
struct unit_used {
    int64_t had_ns, waited_ns; /* -1: unknown */
};

struct unit {
    struct unit_share share;
    const struct plan *plan;
    struct tally *tally;
    pf_loop *loop;
    enum unit_state state;
    bool open_loop;

    /* connections */
    unsigned conn_count; /* there may be */
    unsigned wanted;     /* of them, by now: with a ramp, or as many as had to be added */
    unsigned opened, tried; /* while setting up: begun, and ended */
    unsigned connecting, standing;
    int64_t made_ns;  /* start of the set-up */
    int64_t alive_ns; /* when a connection stood last, as far as is known */

    /* the measurement */
    bool warming;
    int64_t start_ns; /* of the run, the warm-up first */
    int64_t end_ns;   /* nothing falls due from here on; INT64_MAX: by number */
    uint64_t epoch;   /* counts beginnings: what was asked in an older one is not counted */
    int64_t from_ns;  /* nor is what was due before */
    uint64_t left;    /* requests to be asked yet */
    uint64_t under_way;           /* now, on all connections */
    uint64_t counted;             /* of those the measurement's */
    int64_t counted_at_ns;        /* the integral of it is right up to here */
    struct unit_used used;        /* when the measurement began */
    uint64_t bytes_in, bytes_out; /* of the connections then */
    struct hdr *setup_connect;    /* with a warm-up: connects before it */
    uint64_t setup_opened;

    /* open loop */
    struct pace due, sent;
    uint64_t backlog; /* slots between the two */
    bool pace_armed;
    pf_timer pace_timer;
    int64_t pace_at_ns; /* where it stands */
    bool spun;          /* --pace spin: nothing was done since the last turn */
    int64_t spun_at_ns; /* when that was */
    int64_t spun_ns;    /* spent so */

    /* closed loop */
    struct conn_list thinking;
    bool think_armed;

    /* the scan for timeouts and for connections to make again */
    int64_t scan_at_ns;
    bool scan_was_late;

    /* what is sent */
    uint64_t dice, number;
    const struct request *only; /* not a mix, and no placeholders */
    char *batch;                /* of it, plan->pipeline times; NULL: too large */
    char *out;
    size_t out_size;
    unsigned at_once; /* so many are sent at once at the most: unit_ask_init() */

    struct conn *sampled; /* whose answer's first bytes these are */
    char sample[TALLY_SAMPLE_MAX];

    struct conn_list idle, roomy;
    struct conn *conns;
    struct stamp *stamps;
    struct pf__http_client_shared shared;
};

int64_t unit_now(void); /* CLOCK_MONOTONIC */

static inline bool unit_is_live(const struct unit *unit)
{
    return unit->state == UNIT_RUNNING || unit->state == UNIT_DRAINING;
}

/* ---- unit.c */

/* Behind every event: is it time for the next state? */
void unit_settle(struct unit *unit);
/* The warm-up is over by now: begin to count. */
void unit_end_warmup(struct unit *unit, int64_t now);

/* ---- unit_conn.c */

extern const struct pf__http_client_ops unit_http_ops, unit_echo_ops;

void unit_conn_init(struct conn *conn, struct unit *unit, unsigned index);
void unit_conn_open(struct conn *conn);
/* Close it, and open it again if there is something to ask for. */
void unit_conn_reopen(struct conn *conn);
void unit_conn_scan(struct conn *conn, int64_t now, bool may_expire);

/* Closed loop: ask, if there is something left to ask for. */
void unit_conn_ask_on(struct conn *conn, int64_t now);

/* Open loop: send so many requests of the backlog, for which there is room. */
void unit_conn_ask(struct conn *conn, unsigned count, int64_t now);
/* How many may be asked now. None while bytes wait for the kernel, if requests are so large
 * that a batch is not sent at once: else all of it would have to be kept. */
unsigned unit_conn_room(const struct conn *conn);

void unit_list_add(struct conn_list *list, struct conn *conn);
void unit_list_remove(struct conn *conn);

/* ---- unit_ask.c: the bytes of `count` requests; they are stamped already. Returns 0 or
 * what pf__http_client_send() answers. */
int unit_ask_init(struct unit *unit); /* 0 or -ENOMEM */
void unit_ask_fini(struct unit *unit);
int unit_ask_send(struct conn *conn, unsigned count);
/* Which request comes next. */
const struct request *unit_ask_pick(struct unit *unit);

/* ---- unit_answer.c: callbacks of the connection, see http/client.h */

bool unit_on_first(struct pf__http_client_conn *http, int64_t now);
void unit_on_body(struct pf__http_client_conn *http, const char *bytes, size_t len);
void unit_on_answer(struct pf__http_client_conn *http, const struct pf_http_parser *parser,
                    int64_t now);
void unit_on_bytes(struct pf__http_client_conn *http, const char *bytes, size_t len,
                   int64_t now);

/* ---- unit_pace.c */

int unit_pace_start(struct unit *unit);
/* Take what is due by now, and send what can be sent. */
void unit_pace_advance(struct unit *unit, int64_t now);
/* Take what is due up to then, and send nothing. */
void unit_pace_take(struct unit *unit, int64_t up_to, int64_t now);
/* Step over the oldest of the backlog; returns when it was due. */
int64_t unit_pace_next(struct unit *unit);
void unit_pace_send(struct unit *unit, int64_t now);

/* ---- unit_books.c */

static inline struct stamp *unit_stamp(const struct conn *conn, unsigned index)
{
    unsigned at = conn->first + index, size = conn->unit->plan->pipeline;
    return &conn->stamps[at < size ? at : at - size];
}

/* From here on all that is asked is counted, and nothing of what was. */
void unit_books_begin(struct unit *unit, int64_t from_ns, int64_t now);
void unit_books_asked(struct conn *conn, struct stamp *stamp, int64_t now);
/* Its first byte has gone, later than it was asked. */
void unit_books_gone(struct conn *conn, struct stamp *stamp, int64_t now);
/* A complete answer to the oldest request: takes its stamp. `reason`: 0, or why it is
 * wrong. */
void unit_books_answered(struct conn *conn, unsigned status, int reason, int64_t now);
/* All requests under way on the connection end with it: takes their stamps. */
void unit_books_broken(struct conn *conn, const struct tally_error *how, bool begun,
                       int64_t now);
/* An error of a connection that no request ended with. */
void unit_books_error(struct unit *unit, const struct tally_error *error);
void unit_books_sample(struct tally_error *error, const char *bytes, size_t len);
void unit_books_dropped(struct unit *unit, int64_t due_ns);
void unit_books_backlog(struct unit *unit);
void unit_books_bytes(struct unit *unit);
/* The time is over: nothing new is asked, what is under way may still be answered. */
void unit_books_close(struct unit *unit, int64_t now);
/* It ends in the warm-up: nothing was measured. */
void unit_books_forget(struct unit *unit);
/* It is over: what has not been answered, or sent, is censored. */
void unit_books_end(struct unit *unit, int64_t now);

#endif
