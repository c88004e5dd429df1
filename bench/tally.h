/*
 * tally.h - what came of the requests: counted by one thread, added up when it has ended.
 *
 * Every request that was sent ends in exactly one place: `status` (a complete response),
 * the error table, or `unfinished` (the run ended first). Nothing is made up: no sample is
 * ever added for a request that was not sent.
 */
#ifndef PREFORK_BENCH_TALLY_H
#define PREFORK_BENCH_TALLY_H

#include "bench/hdr.h"
#include <stddef.h>
#include <stdint.h>

enum tally_phase {
    TALLY_CONNECT,
    TALLY_WRITE,
    TALLY_READ,
    TALLY_PARSE,
    TALLY_TIMEOUT,
};

/* What was under way on the connection: tells a harmless close from a lost request. */
enum tally_when {
    TALLY_OPENING, /* not connected yet */
    TALLY_IDLE,    /* nothing was asked: harmless */
    TALLY_SENT,    /* asked, no byte came back: a client may ask again (RFC 9110 9.2.2) */
    TALLY_PARTIAL, /* in mid-response: lost */
};

struct tally_error {
    enum tally_phase phase;
    enum tally_when when;
    int error; /* errno; 0: the peer closed */
    uint64_t count;
    int64_t first_ns; /* on CLOCK_MONOTONIC */
};

/* Kinds of errors told apart; further ones are counted in errors_beyond. */
#define TALLY_ERRORS_MAX 48

#define TALLY_STATUS_MAX 1000

struct tally {
    struct hdr service; /* answers below 400, from send; timeouts at their age */
    struct hdr refused; /* answers of 400 and above: a fast 503 shall not look good */
    struct hdr connect; /* connections made */
    uint64_t ok;        /* answers below 400 */
    uint64_t status[TALLY_STATUS_MAX];
    uint64_t bytes_in, bytes_out;

    size_t error_count;
    struct tally_error errors[TALLY_ERRORS_MAX];
    uint64_t errors_beyond;

    uint64_t unfinished; /* requests without an answer when the run ended */
    int64_t oldest_ns;   /* the age of the oldest of them */
    uint64_t unsent;     /* of a number asked for: given up, no connection could be made */
    int64_t setup_ns;    /* time it took to set up the connections */
    int64_t began_ns, ended_ns; /* on CLOCK_MONOTONIC; 0: the measurement did not begin */
    int64_t stall_ns; /* the longest time by which a scan was late: a stall of our own */
    double busy;      /* CPU time of the (busiest) thread in between, as a share: 0..1 */
};

void tally_init(struct tally *tally);

/* A complete response with that status, so long after its request was sent. */
void tally_answer(struct tally *tally, unsigned status, int64_t service_ns);

/* `error->count` requests (connects, idle connections) ended like that. */
void tally_error(struct tally *tally, const struct tally_error *error);

void tally_merge(struct tally *tally, const struct tally *from);

#endif
