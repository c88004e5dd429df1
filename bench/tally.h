/*
 * tally.h - what came of the requests: counted by one unit, read by all, added up at the
 * end.
 *
 * A tally lies in memory shared between processes. Its unit is the only writer; the
 * coordinator reads counters and histograms while it runs. So both are touched with relaxed
 * atomic loads and stores, which cost a plain move; the rest is read when the unit has
 * ended.
 *
 * A request is sent when it is handed to its connection; if the kernel has no room, 256 KiB
 * of them, or one that is larger, wait there at the most, and its service time begins when
 * its first byte has gone.
 *
 * Every request that was due ends in exactly one place:
 *
 *     planned = sent + dropped + unsent
 *     sent    = status[...] + failed + censored
 *
 * ok are those of status[...] that are below 400 and pass what was expected of them; wrong
 * are complete answers that do not. An echo that came back whole counts as a status of 200.
 *
 * Nothing is made up, and nothing left out: what was due and is not answered at the end has
 * its age then in the histograms, sent or not, as the least that it would have taken. So
 * percentiles from censored_ns (service) or the smaller of that and unsent_ns (response) on
 * are lower bounds.
 *
 * What comes behind the end of a measurement by time, in the drain, counts in all of these
 * numbers. But it did not come within the time: a rate is ok_in_time by that.
 *
 * A request belongs to the measurement if it fell due (closed loop: was sent) in it; those
 * of the warm-up are in none of the numbers, whenever they are answered. `opened` and
 * `connect` count the connections of the set-up too.
 */
#ifndef PREFORK_BENCH_TALLY_H
#define PREFORK_BENCH_TALLY_H

#include "bench/gaps.h"
#include "bench/hdr.h"
#include <stddef.h>
#include <stdint.h>

enum tally_phase {
    TALLY_CONNECT,
    TALLY_WRITE,
    TALLY_READ,
    TALLY_PARSE,
    TALLY_VALIDATE, /* a complete answer, but not what was expected: see tally_reason */
    TALLY_TIMEOUT,
};

/* What was under way on the connection: tells a harmless close from a lost request. */
enum tally_when {
    TALLY_OPENING, /* not connected yet */
    TALLY_IDLE,    /* nothing was asked: harmless */
    TALLY_SENT, /* asked, no byte came back, perhaps it never came to the server: a client
                   may ask again (RFC 9110 9.2.2) */
    TALLY_PARTIAL, /* in mid-response: lost */
    TALLY_ANSWERED,
    TALLY_TAKEN, /* asked, read by the server, and closed without a byte: lost */
};

/* Reasons that are no errno; beyond the largest of those. 0: the peer closed. */
enum tally_reason {
    TALLY_NOT_HTTP = 1000,
    TALLY_UNASKED, /* bytes nobody asked for */
    TALLY_STATUS,
    TALLY_LENGTH,
    TALLY_BODY,
    TALLY_HASH,
    TALLY_ECHO, /* other bytes than were sent */
};

#define TALLY_SAMPLE_MAX 96

struct tally_error {
    enum tally_phase phase;
    enum tally_when when;
    int reason; /* errno, 0 or a tally_reason */
    uint64_t count;
    int64_t first_ns;              /* on CLOCK_MONOTONIC */
    char sample[TALLY_SAMPLE_MAX]; /* of the first: what came, printable; or "" */
};

/* "ECONNRESET", "closed", "not HTTP", "wrong status" ...; the phases as they are. */
const char *tally_reason_name(int reason);
const char *tally_phase_name(enum tally_phase phase);
const char *tally_when_name(enum tally_when when); /* "opening", "idle", "sent" ... */

/* Of a request or connection: none of the three is harm done. */
enum tally_loss {
    TALLY_HARMLESS,  /* an idle connection closed */
    TALLY_RETRYABLE, /* asked, and closed without a byte */
    TALLY_LOST,      /* refused, taken, closed in mid-response, timed out, garbage */
};
enum tally_loss tally_loss_of(const struct tally_error *error);

/* Kinds of errors told apart; further ones are counted in errors_beyond. */
#define TALLY_ERRORS_MAX 48

#define TALLY_STATUS_MAX 1000

struct tally {
    struct hdr response; /* open only: from when it was due; ok ones; timeouts and what was
                            left over, sent or not, at their ages */
    struct hdr service;  /* from its first byte sent; ok ones; timeouts and those without an
                            answer at their ages */
    struct hdr ttfb;     /* from its first byte sent to the first that came */
    struct hdr refused;  /* service of answers of 400 and above, or wrong */
    struct hdr connect;  /* connections made */
    struct hdr lag;      /* open only: from when it was due to when this unit saw that */

    /* Counters, live. */
    uint64_t planned, sent, ok, wrong, failed, dropped;
    uint64_t bytes_in, bytes_out;
    uint64_t opened, reused; /* connections made; requests on one that had one before */
    uint64_t in_flight;      /* now */
    uint64_t backlog;        /* due and not sent, now */
    uint64_t backlog_max;
    uint64_t status[TALLY_STATUS_MAX];

    /* At the end. */
    size_t error_count;
    struct tally_error errors[TALLY_ERRORS_MAX];
    uint64_t errors_beyond;
    uint64_t censored;   /* sent, and no answer when the run ended */
    int64_t censored_ns; /* the age of the youngest of them: INT64_MAX if there is none */
    uint64_t unsent;     /* planned, or of a number asked for, and never sent */
    int64_t unsent_ns;   /* the age of the youngest that was due: INT64_MAX if none was */
    uint64_t ok_in_time; /* of ok: those that came before ended_ns */
    int64_t setup_ns;    /* time it took to set up the connections */
    int64_t began_ns, ended_ns; /* of the measurement, on CLOCK_MONOTONIC; 0: not begun. The
                                   end is when its time was over or, by number, with the
                                   last answer; or when it was stopped */
    int64_t stall_ns;           /* the longest time this unit stood still */
    double in_flight_ns;        /* the integral of in_flight over the measurement */
    int64_t unrecorded_ns; /* ages of failed and censored ones that are in no histogram */
    struct gaps gaps;      /* times without an ok answer; merged: without any */
    double busy;           /* CPU had and waited for meanwhile, as a share of time: 0..1 */
    double waited;         /* of that the part waited for; NAN: unknown */
};

void tally_init(struct tally *tally);

/* Add to a live counter. */
static inline void tally_count(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + by,
                     __ATOMIC_RELAXED);
}

static inline void tally_set(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static inline uint64_t tally_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* `error->count` requests (connects, idle connections) ended like that. */
void tally_error(struct tally *tally, const struct tally_error *error);

/* Add all of `from`; busy and waited are the busiest one's. */
void tally_merge(struct tally *tally, const struct tally *from);

/* The same while the unit of `from` still runs: only what is live, histograms and counters.
 */
void tally_merge_live(struct tally *tally, const struct tally *from);

#endif
