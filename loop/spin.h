/*
 * spin.h - find the handler that makes a loop spin.
 *
 * A level-triggered descriptor whose handler does not do what is due (it ignores a hang-up,
 * or never stops asking for PF_WRITE) is ready again at once, and the loop burns its CPU.
 * Such a handler runs in every turn, so it is enough to suspect one handler at a time:
 * whichever ran in this turn is the suspect until it misses one. After many turns on end
 * its descriptor is looked at before and after each call, and before the next poll, since
 * the handler may leave the work to a callback; if no byte moves, again and again, the
 * handler is convicted. A busy handler that does its work is acquitted by the
 * first look, and costs two a thousand turns.
 *
 * To disable a handler that works is worse than to miss one that spins. Of the things that
 * have bytes only TCP on Linux counts those that went through. Pipes and unix sockets do
 * not, and a peer in the same handler may put back what was taken: there only an end or a
 * hang-up that is ignored is beyond doubt. Of other descriptors nothing is known, and they
 * go free.
 */
#ifndef PREFORK_LOOP_SPIN_H
#define PREFORK_LOOP_SPIN_H

#include <prefork/loop.h>

/* What a descriptor says of the bytes that went through it. */
struct pf__spin_look {
    bool known;
    bool exact;           /* if all of this stays the same, none went */
    long in, out;         /* bytes that wait to be read, to be sent */
    uint64_t sent, taken; /* bytes since it was opened */
};

struct pf__spin {
    uint64_t suspect; /* the tag of its registration; 0: none */
    unsigned turns;   /* on end in which it ran */
    unsigned proofs;  /* calls without progress */
    int64_t since_ns; /* the first of them */
    bool ran;         /* in this turn */
    struct pf__spin_look last;
};

/* The suspect is about to run: is it time to look at it? */
bool pf__spin_is_due(const struct pf__spin *spin, uint64_t tag);

struct pf__spin_look pf__spin_look(int fd);

/* It has run for `events`: is it convicted, at `now_ns`? */
bool pf__spin_judge(struct pf__spin *spin, unsigned events,
                    const struct pf__spin_look *before, const struct pf__spin_look *after,
                    int64_t now_ns);

/* The callbacks and timers that followed have run: did one of them do its work? */
void pf__spin_look_again(struct pf__spin *spin, const struct pf__spin_look *now);

/* The turn is over, and one of its events was `tag`: go on with the suspect, or take that.
 */
void pf__spin_turn(struct pf__spin *spin, uint64_t tag);

#endif
