/*
 * adversary_internal.h - adversaries in two files:
 *
 *     adversary_kinds.c   what each kind does, and how a mix of them is written
 *     adversary.c         their life: connect, take turns, be cut off, come back
 */
#ifndef PREFORK_BENCH_ADVERSARY_INTERNAL_H
#define PREFORK_BENCH_ADVERSARY_INTERNAL_H

#include "bench/adversary.h"

#define ADVERSARY_REQUEST_MAX 8600 /* a path of URL_PATH_MAX, and the rest */

enum adversary_state {
    ADVERSARY_DOWN,
    ADVERSARY_CONNECTING,
    ADVERSARY_OPEN,
};

struct adversary {
    struct adversaries *all;
    int fd;              /* -1 when down */
    uint8_t kind, state; /* enum adversary_kind, enum adversary_state */
    bool tried;
    uint32_t at;      /* of a slow reader: sent of a request */
    int64_t since_ns; /* of its opening */
};

/* What it does. A function that answers false has found that the server cut it off, or has
 * made an end itself. NULL: nothing. */
struct adversary_behaviour {
    const char *name;
    bool by_rate;
    bool deaf;  /* not told when something comes */
    int rcvbuf; /* SO_RCVBUF; 0: the kernel's */
    bool (*open)(struct adversary *);
    bool (*on_turn)(struct adversary *);
};

extern const struct adversary_behaviour adversary_behaviours[ADVERSARY_KINDS];

struct adversaries {
    pf_loop *loop;
    struct adversary_options options;
    struct adversary_counts *counts;
    struct adversary *list;
    unsigned count, untried;
    unsigned first[ADVERSARY_KINDS + 1]; /* those of a kind lie together */
    uint64_t dice;
    int64_t began_ns;
    uint64_t ticks;
    uint64_t made[ADVERSARY_KINDS]; /* of kinds by the second */
    pf_timer tick;
    bool ready;
    size_t request_len;
    char request[ADVERSARY_REQUEST_MAX];
};

#endif
