/*
 * adversary.h - clients that a server must survive, on one loop.
 *
 *     slowloris  begins a request and goes on with its head, a field a second, for ever
 *     slowread   asks again and again, and takes 64 bytes of the answers a second
 *     slowpost   announces a large body, and sends a byte of it a second
 *     halfopen   shuts its own direction (a FIN), and never closes the other
 *     idle       connects and says nothing
 *     garbage    sends bytes that are no HTTP
 *     reset      sends half a request and resets the connection: so many a second
 *
 * Each is an entry of a table: what it does when it is connected, once a second, and when
 * something comes. One whom the server cuts off comes back a second later, so that as many
 * as asked for are there all the time. A half-open handshake (a SYN alone) is not among
 * them: it takes a raw socket, and is the kernel's affair, not the server's.
 *
 *     down --> connecting --> open --> down
 */
#ifndef PREFORK_BENCH_ADVERSARY_H
#define PREFORK_BENCH_ADVERSARY_H

#include "bench/hdr.h"
#include "net/address.h"
#include <prefork/loop.h>
#include <stddef.h>

enum adversary_kind {
    ADVERSARY_SLOWLORIS,
    ADVERSARY_SLOWREAD,
    ADVERSARY_SLOWPOST,
    ADVERSARY_HALFOPEN,
    ADVERSARY_IDLE,
    ADVERSARY_GARBAGE,
    ADVERSARY_RESET,
    ADVERSARY_KINDS,
};

/* Each has its turn that often; a cut one comes back at its turn. */
#define ADVERSARY_TURN_NS PF_SECOND
/* Of those that come by the second, connections at a time. */
#define ADVERSARY_RATE_OPEN_MAX 256

/* Who takes part: of each kind a number, of `reset` a number a second; 0: none. */
struct adversary_mix {
    unsigned count[ADVERSARY_KINDS];
};

/* What came of them; in shared memory, with one writer. */
struct adversary_counts {
    uint64_t opened[ADVERSARY_KINDS], cut[ADVERSARY_KINDS], open[ADVERSARY_KINDS];
    uint64_t refused[ADVERSARY_KINDS];     /* connects that failed */
    struct hdr cut_after[ADVERSARY_KINDS]; /* ns from its open to its being cut */
};

struct adversary_options {
    const struct pf_address *target;  /* borrowed, as all of these */
    const struct pf_address *sources; /* NULL, or one for each kind, port 0 */
    const char *authority, *path;     /* of requests */
    struct adversary_mix mix;
    pf_callback_fn *on_ready; /* each has been tried once; not for those by the second */
    void *arg;
};

struct adversaries;

const char *adversary_name(enum adversary_kind kind);

/*
 * Read "slowloris:500,idle:5k,reset:200/s". Returns 0, or -EINVAL with a phrase in `why`:
 * another kind, named twice, without a number, none at all.
 */
int adversary_parse(const char *text, struct adversary_mix *out, char *why, size_t why_len);

/* Descriptors that they take at the most. */
unsigned adversary_descriptors(const struct adversary_mix *mix);

void adversary_counts_init(struct adversary_counts *counts);

/* Returns 0, -ENOMEM, or what pf_loop_call_later() answers. */
int adversaries_new(pf_loop *loop, const struct adversary_options *options,
                    struct adversary_counts *counts, struct adversaries **out);

/* Close all: with a reset. NULL: nothing. */
void adversaries_free(struct adversaries *adversaries);

#endif
